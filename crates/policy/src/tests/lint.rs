//! What does not load, and what the message says.

use super::{load, written};
use crate::PolicySet;

fn refused(text: &str) -> String {
    written(&PolicySet::load(text).expect_err(text))
}

#[test]
fn messages_say_where_what_and_what_to_do() {
    insta::assert_snapshot!(refused("permit (principal, action, resource);"));
    insta::assert_snapshot!(refused(
        "@id(\"a\")\npermit (principal, action, resource);\n\n@id(\"a\")\npermit (principal, action, resource);"
    ));
    insta::assert_snapshot!(refused(
        "@id(\"a\")\npermit (principal, action, resource)\nwhen { context.rows > };"
    ));
    insta::assert_snapshot!(refused(
        "@id(\"a\")\npermit (principal, action == Action::\"http.gett\", resource)\nwhen { context.rows > 1 };"
    ));
    insta::assert_snapshot!(refused("@id(\"a\") permit (principal == ?principal, action, resource);"));
    insta::assert_snapshot!(refused(
        "@id(\"a\") @hold(\"dba:1\") @ttl(\"1h\")\npermit (principal, action, resource);"
    ));
    insta::assert_snapshot!(refused(
        "@id(\"a\") forbid (principal == Agent::\"deploy-bot\", action, resource in Env::\"Prod\");"
    ));
    insta::assert_snapshot!(refused(
        "@id(\"no-permit\") permit (principal, action, resource);\n@id(\"Not A Name\") permit (principal, action, resource);"
    ));
    insta::assert_snapshot!(refused("// \u{202e}hidden\n@id(\"a\") permit (principal, action, resource);"));
    insta::assert_snapshot!(refused(
        "@id(\"a\") permit (principal, action, resource) when { resource.name == \"p\u{430}ypal\" };"
    ));
}

#[test]
fn risk_may_only_add_holds() {
    let hold =
        |clause: &str| format!("@id(\"r\") @hold(\"dba:1\") forbid (principal, action, resource) {clause};");
    for fine in [
        "when { context.risk >= 70 }",
        "when { context.risk > 70 && context.parsed }",
        "when { 70 <= context.risk || !context.parsed }",
        "when { resource.production } unless { context.matched }",
        "when { context has rows && (context.risk > 50 || context.rows > 10) }",
    ] {
        load(&hold(fine));
    }
    for wrong in [
        "when { context.risk < 70 }",
        "when { context.risk == 70 }",
        "when { !(context.risk >= 70) }",
        "unless { context.risk < 70 }",
        "unless { context.risk >= 70 }",
        "when { if context.risk >= 70 then false else true }",
        "when { context has risk }",
        "when { 10 - context.risk < 0 }",
        "when { context.risk >= 70 && context.risk <= 90 }",
        "when { {Var: context.risk}.Var >= 70 }",
        "when { [context.risk].contains(7) }",
    ] {
        let error = refused(&hold(wrong));
        assert!(error.contains("may only add holds"), "{wrong}: {error}");
    }
    assert!(
        refused("@id(\"p\") permit (principal, action, resource) when { context.risk < 10 };")
            .contains("add holds")
    );
    assert!(
        refused("@id(\"p\") permit (principal, action, resource) when { context.risk >= 10 };")
            .contains("add holds")
    );
    assert!(
        refused("@id(\"f\") forbid (principal, action, resource) when { context.risk >= 90 };")
            .contains("no `@hold`")
    );
}

#[test]
fn limits_are_limits() {
    let rule = |n: usize| format!("@id(\"r{n}\") permit (principal, action, resource);\n");
    let long = format!(
        "@id(\"long\") permit (principal, action, resource) when {{ resource.name == \"{}\" }};",
        "x".repeat(20_000)
    );
    assert!(refused(&long).contains("too long"));
    let many: String = (0..=crate::rule::RULES_LIMIT).map(rule).collect();
    assert!(refused(&many).contains("the limit is 10000"));
    assert!(refused(&"/".repeat(2 << 20)).contains("bytes"));
}

fn condition(condition: &str) -> String {
    format!("@id(\"c\") permit (principal, action, resource) when {{ {condition} }};")
}

#[test]
fn what_would_overflow_the_stack_is_refused_before_it_is_parsed() {
    for (shape, word) in [
        (format!("{}true{}", "(".repeat(5_000), ")".repeat(5_000)), "nests too deeply"),
        (vec!["true"; 2_000].join("||"), "too many operators"),
        (format!("{}true", "if true then true else ".repeat(400)), "too many operators"),
        (format!("context{}", ".a".repeat(5_000)), "too many operators"),
        (format!("\"{}\" == \"\\\"((((\" // \" (((", "x".repeat(20_000)), "too long"),
    ] {
        assert!(refused(&condition(&shape)).contains(word), "{word}");
    }
    // After a comment that ends where Cedar ends it.
    assert!(
        refused(&format!("// a \" quote\r{}", condition(&vec!["true"; 2_000].join("||"))))
            .contains("operators")
    );
}

#[test]
fn what_is_within_the_limits_is_parsed_validated_and_evaluated_on_a_small_stack() {
    let names =
        |n: usize| (0..n).map(|n| format!("resource.name == \"n{n}\"")).collect::<Vec<_>>().join(" || ");
    for shape in [
        format!("{}true{}", "(".repeat(30), ")".repeat(30)),
        names(75),
        format!("{}true", "if context.parsed then true else ".repeat(20)),
    ] {
        let text = condition(&shape);
        // As small as an async runtime's worker's; a debug build's frames are several times larger.
        let stack = if cfg!(debug_assertions) { 16 << 20 } else { 2 << 20 };
        let answer = std::thread::Builder::new()
            .stack_size(stack)
            .spawn(move || super::answer(&text, "http.get"))
            .unwrap();
        let answer = answer.join().unwrap();
        // Were it too deep for this stack, Cedar would err and the answer be `policy-error`.
        assert!(answer == "permit c" || answer == "deny no-permit", "{answer}");
    }
}

#[test]
fn break_glass_names_one_group_beside_a_hold() {
    let rule = |glass: &str| {
        format!("@id(\"h\") @hold(\"dba:2\") @break_glass(\"{glass}\") forbid (principal, action, resource);")
    };
    load(&rule("oncall"));
    for wrong in ["", "oncall:1", "On Call", "oncall | dba"] {
        assert!(refused(&rule(wrong)).contains("the value of `@break_glass` is malformed"), "{wrong}");
    }
    let alone = "@id(\"h\") @break_glass(\"oncall\") forbid (principal, action, resource);";
    assert!(refused(alone).contains("means nothing without `@hold`"));
    let permit = "@id(\"h\") @break_glass(\"oncall\") permit (principal, action, resource);";
    assert!(refused(permit).contains("stands on a permit"));
    // A built-in rule has no line of a deployment's text.
    let pairs = vec![("id", "countersign.x"), ("hold", "admins:1"), ("break_glass", "oncall")];
    let faults = crate::annotations::Annotations { pairs, is_permit: false }.rule(None).unwrap_err();
    assert!(faults[0].0.contains("stands on a built-in rule"), "{faults:?}");
}
