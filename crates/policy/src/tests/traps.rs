//! The traps that `policy.md` names, each a test.

use super::{answer, ask, draft, facts, load, short, written};
use crate::PolicySet;
use domain::evaluation::Fact;

const ALL: &str = r#"@id("all") permit (principal, action, resource);"#;

fn refused(text: &str) -> String {
    written(&PolicySet::load(text).expect_err(text))
}

#[test]
fn a_forbid_that_errs_denies() {
    // It validates, and `rows + the largest integer` overflows: Cedar skips it, and we do not.
    let rule = r#"@id("many") forbid (principal, action, resource)
        when { context has rows && context.rows + 9223372036854775807 > 0 };"#;
    let set = load(&format!("{ALL}\n{rule}"));
    let fine = ask(&set, &draft("http.get"), &facts(&[("rows", Fact::Int(-9_223_372_036_854_775_807))]));
    assert_eq!(short(&fine), "permit all");
    let erring = ask(&set, &draft("http.get"), &facts(&[("rows", Fact::Int(7))]));
    assert_eq!(short(&erring), "deny policy-error");
    assert!(
        erring.rules[0].why.contains("`many`") && erring.rules[0].why.contains("overflow"),
        "{}",
        erring.rules[0].why
    );
}

#[test]
fn a_hold_that_errs_denies() {
    let rule = r#"@id("many") @hold("dba:1") forbid (principal, action, resource)
        when { context has rows && context.rows * 9223372036854775807 > 0 };"#;
    let evaluation =
        ask(&load(&format!("{ALL}\n{rule}")), &draft("http.get"), &facts(&[("rows", Fact::Int(2))]));
    assert_eq!(short(&evaluation), "deny policy-error");
}

#[test]
fn a_permit_that_errs_denies_even_beside_another_permit() {
    let rule = r#"@id("few") permit (principal, action, resource)
        when { context has rows && context.rows * 9223372036854775807 < 0 };"#;
    let evaluation =
        ask(&load(&format!("{ALL}\n{rule}")), &draft("http.get"), &facts(&[("rows", Fact::Int(2))]));
    assert_eq!(short(&evaluation), "deny policy-error");
}

#[test]
fn a_shadow_rule_that_errs_is_recorded_and_decides_nothing() {
    let rule = r#"@id("watch") @mode("shadow") forbid (principal, action, resource)
        when { context has rows && context.rows * 9223372036854775807 > 0 };"#;
    let evaluation =
        ask(&load(&format!("{ALL}\n{rule}")), &draft("http.get"), &facts(&[("rows", Fact::Int(2))]));
    assert_eq!(short(&evaluation), "permit all (shadow watch)");
}

#[test]
fn misspelt_annotations_do_not_load() {
    let rule = |annotation: &str| format!("@id(\"x\") {annotation} forbid (principal, action, resource);");
    insta::assert_snapshot!(refused(&rule("@holdd(\"dba:1\")")), @"1:1: rule `x`: unknown annotation `@holdd`; did you mean `@hold`?");
    for annotation in [
        "@hold(\"dba;2\")",
        "@hold(\"dba:0\")",
        "@hold(\"dba:33\")",
        "@hold(\"dba:+2\")",
        "@hold(\"dba:2 |\")",
        "@hold(\"DBA:2\")",
        "@hold(\"dba\")",
        "@hold(\"\")",
        "@hold",
        "@hold(\"dba:1 | dba:2\")",
        "@hold(\"dba:1\") @ttl(\"soon\")",
        "@hold(\"dba:1\") @grant(\"0s\")",
        "@hold(\"dba:1\") @assurance(\"sms\")",
        "@hold(\"dba:1\") @reason(\"please\")",
        "@hold(\"dba:1\") @reason",
        "@mode(\"shadowy\")",
        "@hold(\"dba:1\") @escalate(\"oncall\")",
        "@hold(\"dba:1\") @ttl(\"5m\") @escalate(\"10m:oncall\")",
        "@hold(\"dba:1\") @notify(\" \")",
        "@ttl(\"5m\")",
        "@why(\"\u{202e}ti snur\")",
        "@hold(\"dba:1\") @hold(\"dba:2\")",
        "@example(\"x\")",
    ] {
        refused(&rule(annotation));
    }
}

#[test]
fn a_negated_has_does_not_validate() {
    let error = refused(
        r#"@id("x") @hold("dba:1") forbid (principal, action, resource)
           when { !(context has rows) || context.rows > 1000 };"#,
    );
    assert!(error.contains("rows") && error.contains("unless { context has rows"), "{error}");
    load(
        r#"@id("x") @hold("dba:1") forbid (principal, action, resource)
           unless { context has bulk && !context.bulk && context has rows && context.rows <= 1000 };"#,
    );
}

#[test]
fn unknown_facts_deny() {
    for (name, fact) in
        [("surprise", Fact::Bool(true)), ("rows", Fact::Text("many".to_owned())), ("risk", Fact::Bool(false))]
    {
        let evaluation = ask(&load(ALL), &draft("http.get"), &facts(&[(name, fact)]));
        assert_eq!(short(&evaluation), "deny policy-error", "{name}");
        assert!(evaluation.rules[0].why.contains(name));
    }
    for missing in ["matched", "parsed", "risk"] {
        let mut facts = facts(&[]);
        facts.remove(missing);
        assert_eq!(short(&ask(&load(ALL), &draft("http.get"), &facts)), "deny policy-error", "{missing}");
    }
}

#[test]
fn nothing_permitted_is_denied_with_how_to_permit_it() {
    assert_eq!(answer("", "http.get"), "deny no-permit");
    let evaluation = ask(&load(""), &draft("http.get"), &facts(&[]));
    insta::assert_snapshot!(evaluation.rules[0].why, @r#"no rule permits `http.get` on `broker`; to allow it, add to the policy set @id("…") permit (principal, action == Action::"http.get", resource in Target::"broker");"#);
    // What it advises loads, and permits.
    let advice = evaluation.rules[0].why.split("policy set ").nth(1).unwrap().replace('…', "advised");
    assert_eq!(answer(&advice, "http.get"), "permit advised");
}

#[test]
fn a_reason_that_is_required_and_missing_is_a_deny_that_says_so() {
    let set = load(&format!(
        r#"{ALL} @id("why") @hold("dba:1") @reason("required") forbid (principal, action, resource);"#
    ));
    assert_eq!(short(&ask(&set, &draft("http.get"), &facts(&[]))), "hold why");
    for reason in [None, Some("  \n".to_owned())] {
        let mut draft = draft("http.get");
        draft.reason = reason;
        let evaluation = ask(&set, &draft, &facts(&[]));
        assert_eq!(short(&evaluation), "deny reason-required why");
        assert!(evaluation.rules[0].why.contains("`why` asks for a reason"), "{}", evaluation.rules[0].why);
    }
}

#[test]
fn a_hold_on_an_empty_group_still_holds() {
    let rule = r#"@id("h") @hold("nobody-there:2") forbid (principal, action, resource);"#;
    assert_eq!(answer(&format!("{ALL}\n{rule}"), "http.get"), "hold h");
}

#[test]
fn users_cannot_loosen_the_built_in_rules() {
    let mut draft = draft("config.policy");
    draft.chain = domain::principal::Chain::person(super::person(2));
    draft.target.name = "countersign".parse().unwrap();
    let held = ask(&load(ALL), &draft, &facts(&[]));
    assert_eq!(short(&held), "hold countersign.config-review");
    let tighter = load(
        r#"@id("two") @hold("admins:2") forbid (principal, action == Action::"config.policy", resource);"#,
    );
    assert_eq!(short(&ask(&tighter, &draft, &facts(&[]))), "hold countersign.config-review two");
    let error = refused(r#"@id("countersign.config-review") permit (principal, action, resource);"#);
    assert!(error.contains("built-in"), "{error}");
    // On another target, and by an agent without a permit of its own.
    draft.target.name = "broker".parse().unwrap();
    assert_eq!(short(&ask(&load(ALL), &draft, &facts(&[]))), "deny countersign.config-elsewhere");
}

#[test]
fn a_sponsor_s_groups_are_not_its_agent_s() {
    let by_group = r#"@id("g") permit (principal in Group::"admins", action, resource);"#;
    assert_eq!(answer(by_group, "http.get"), "deny no-permit");
    let by_sponsor = r#"@id("s") permit (principal is Agent, action, resource) when { principal.sponsor in Group::"admins" };"#;
    assert_eq!(answer(by_sponsor, "http.get"), "permit s");
}

#[test]
fn a_caller_whom_the_directory_does_not_let_act_is_denied() {
    let set = load(ALL);
    let mut stranger = draft("http.get");
    stranger.chain = domain::principal::Chain::agent(super::agent(9), super::person(1));
    assert_eq!(short(&ask(&set, &stranger, &facts(&[]))), "deny policy-error");
    // Agent 1 is Ada's; an action that was sealed under another sponsor excludes the wrong person.
    let mut moved = draft("http.get");
    moved.chain = domain::principal::Chain::agent(super::agent(1), super::person(2));
    assert_eq!(short(&ask(&set, &moved, &facts(&[]))), "deny policy-error");
}
