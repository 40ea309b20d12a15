//! Decisions and requirements, and their explanations.

use super::{answer, ask, directory, draft, facts, load, short};
use crate::{Question, explain};
use domain::digest::{Digest, Purpose};
use domain::evaluation::Fact;
use domain::requirement::{Assurance, Separation};
use domain::time::Span;

const ALL: &str = "@id(\"all\") @why(\"Everything passes.\") permit (principal, action, resource);\n";

#[test]
fn a_deny_is_final_and_holds_add_up() {
    let set = r#"
        @id("all") permit (principal, action, resource);
        @id("never") forbid (principal, action == Action::"sql.drop", resource);
        @id("destroy") @hold("dba:2 | admins:1") @ttl("30m") @grant("10m") forbid (principal, action in Action::"destroy", resource in Env::"prod");
        @id("broker") @hold("ops:1") @ttl("2h") @grant("5m") @assurance("chat") forbid (principal, action, resource in Target::"broker");
        @id("watch") @mode("shadow") @hold("dba:9") forbid (principal, action, resource);
        @id("watch-deny") @mode("shadow") forbid (principal is Person, action, resource);
    "#;
    assert_eq!(answer(set, "sql.drop"), "deny never (shadow watch)");
    assert_eq!(answer(set, "http.get"), "hold broker (shadow watch)");
    let evaluation = ask(&load(set), &draft("http.delete"), &facts(&[]));
    assert_eq!(short(&evaluation), "hold broker destroy (shadow watch)");
    let requirement = evaluation.requirement().unwrap();
    assert_eq!((requirement.ttl, requirement.grant), (Span::from_seconds(1_800), Span::from_seconds(300)));
    assert_eq!((requirement.assurance, requirement.separation), (Assurance::Passkey, Separation::Full));
    assert_eq!(requirement.holds.len(), 2);
    assert_eq!(requirement.holds[1].any_of.len(), 2);
    insta::assert_json_snapshot!(evaluation.decision);
}

#[test]
fn chat_counts_only_where_every_hold_says_so() {
    let chat = r#"@id("c") @hold("ops:1") @assurance("chat") forbid (principal, action, resource);"#;
    let evaluation = ask(&load(&format!("{ALL}{chat}")), &draft("http.get"), &facts(&[]));
    assert_eq!(evaluation.requirement().unwrap().assurance, Assurance::Chat);
}

#[test]
fn every_head_and_attribute_can_be_asked() {
    let with =
        |head_and_clause: &str| answer(&format!("@id(\"x\") permit {head_and_clause};"), "http.delete");
    let id = super::agent(1);
    let person = super::person(1);
    for yes in [
        format!("(principal == Agent::\"{id}\", action, resource)"),
        "(principal is Agent, action, resource)".to_owned(),
        "(principal, action == Action::\"http.delete\", resource)".to_owned(),
        "(principal, action in [Action::\"read\", Action::\"destroy\"], resource)".to_owned(),
        "(principal, action, resource in Env::\"prod\")".to_owned(),
        "(principal, action, resource is Resource in Target::\"broker\")".to_owned(),
        "(principal, action, resource == Resource::\"broker/queues/orders\")".to_owned(),
        "(principal, action, resource) when { resource.production && resource.target == \"broker\" && resource.environment == \"prod\" }".to_owned(),
        "(principal, action, resource) when { resource.name like \"queues/*\" }".to_owned(),
        "(principal, action, resource) when { resource.hasTag(\"team\") && resource.getTag(\"team\") == \"payments\" }".to_owned(),
        format!("(principal is Agent, action, resource) when {{ principal.sponsor == Person::\"{person}\" && principal.name == \"agent-1\" }}"),
        format!("(principal, action, resource) when {{ Person::\"{person}\" in Group::\"admins\" && Agent::\"{id}\".sponsor.name == \"Ada\" }}"),
        "(principal, action, resource) when { Action::\"sql.drop\" in Action::\"destroy\" && action in Action::\"destroy\" }".to_owned(),
        "(principal, action, resource) when { context.point == \"http\" && context.level == \"enforced\" && context.has_reason }".to_owned(),
        "(principal, action, resource) when { context.matched && context.parsed }".to_owned(),
    ] {
        assert_eq!(with(&yes), "permit x", "{yes}");
    }
    for no in [
        "(principal is Person, action, resource)",
        "(principal, action in Action::\"read\", resource)",
        "(principal, action, resource in Env::\"staging\")",
        "(principal, action, resource) when { context has run }",
        "(principal, action, resource) when { context has subject && context.subject in Group::\"dba\" }",
        "(principal, action, resource == Resource::\"other/queues/orders\")",
    ] {
        assert_eq!(with(no), "deny no-permit", "{no}");
    }
}

#[test]
fn the_person_for_whom_an_agent_acts_can_be_asked_for() {
    let mut draft = draft("http.get");
    draft.chain.behind.push(domain::principal::Link {
        party: domain::principal::Principal::Person(super::person(2)),
        role: domain::principal::Role::Subject,
    });
    let set = load(
        r#"@id("x") permit (principal, action, resource) when { context has subject && context.subject in Group::"dba" };"#,
    );
    assert_eq!(short(&ask(&set, &draft, &facts(&[]))), "permit x");
}

#[test]
fn explanations_say_why_and_what_would_make_it_run() {
    let text = format!(
        r#"{ALL}
        @id("destroy") @hold("dba:2 | admins:1") @ttl("30m") @why("Removes data in production") forbid (principal, action in Action::"destroy", resource in Env::"prod");
        @id("unknown") @hold("nobody:1") @assurance("chat") forbid (principal, action, resource) unless {{ context.matched }};
        @id("reason") @hold("dba:1") @reason("required") forbid (principal, action in Action::"admin", resource);
        @id("drop") @why("Tables are dropped by migrations only") forbid (principal, action == Action::"sql.drop", resource);
        @id("watch") @mode("shadow") forbid (principal, action == Action::"http.get", resource);"#
    );
    let set = load(&text);
    let directory = directory();
    let explained = |verb: &str, matched: bool| {
        let mut draft = draft(verb);
        draft.reason = None;
        let evaluation = ask(&set, &draft, &facts(&[("matched", Fact::Bool(matched))]));
        explain(&evaluation, &directory)
            .lines()
            .filter(|line| !line.starts_with("Decided under"))
            .collect::<Vec<_>>()
            .join("\n")
    };
    insta::assert_snapshot!(explained("http.get", true));
    insta::assert_snapshot!(explained("http.delete", false));
    insta::assert_snapshot!(explained("http.admin", true));
    insta::assert_snapshot!(explained("sql.drop", true));
    let nothing = ask(&load(""), &draft("http.get"), &facts(&[]));
    assert!(explain(&nothing, &directory).contains("add a rule that permits it"));
}

#[test]
fn the_hash_covers_the_built_in_rules() {
    let applied = domain::digest::Digest::of(domain::digest::Purpose::Policy, ALL.as_bytes());
    let set = load(ALL);
    assert_ne!(set.digest(), applied);
    let whole = format!("{}\n{ALL}", crate::load::BUILTIN);
    assert_eq!(set.digest(), domain::digest::Digest::of(domain::digest::Purpose::Policy, whole.as_bytes()));
    assert_ne!(load("").digest(), load(" ").digest());
}

#[test]
fn a_set_is_shared_by_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<crate::PolicySet>();
}

#[test]
fn an_answer_says_whether_it_depends_on_the_action_s_own_values() {
    let depends = |rule: &str| {
        let set = load(&format!("{ALL}@id(\"x\") {rule};"));
        let (draft, facts, directory) = (draft("http.get"), facts(&[]), directory());
        let digest = domain::digest::Digest::of(domain::digest::Purpose::Action, b"x");
        set.answer(&crate::Question { action: &draft, digest, facts: &facts, directory: &directory })
            .depends_on_values
    };
    for rule in [
        // The resource of another action decides, though this action's slice does not hold the rule.
        "forbid (principal, action, resource == Resource::\"broker/other\")",
        "forbid (principal, action, resource in Resource::\"broker/other\")",
        "forbid (principal, action, resource) when { resource == Resource::\"broker/other\" }",
        "forbid (principal, action, resource) when { resource is Resource in Resource::\"broker/other\" }",
        "forbid (principal, action, resource) when { resource.name == \"other\" }",
        "forbid (principal, action, resource) when { context has rows }",
        "forbid (principal, action, resource) unless { context has run }",
        "forbid (principal, action, resource) when { {Var: context has path}.Var }",
        "@hold(\"dba:1\") forbid (principal, action, resource) when { context.risk >= 99 }",
        "@mode(\"shadow\") forbid (principal, action, resource) when { context has bulk && context.bulk }",
    ] {
        assert!(depends(rule), "{rule}");
    }
    for rule in [
        "forbid (principal, action, resource == Resource::\"orders/other\")",
        "forbid (principal, action in Action::\"destroy\", resource) when { context has rows }",
        "forbid (principal, action, resource in Target::\"orders\") when { context has rows }",
        "forbid (principal is Person, action, resource) when { context has rows }",
        "forbid (principal, action, resource) when { resource in Env::\"dev\" || resource is Resource in Target::\"x\" }",
        "forbid (principal, action, resource) when { resource.hasTag(\"x\") && resource.getTag(\"x\") == \"y\" }",
        "forbid (principal is Agent, action, resource) when { principal.sponsor in Group::\"x\" }",
        "@hold(\"dba:1\") @reason(\"required\") forbid (principal, action, resource) unless { context.matched && context.parsed }",
    ] {
        assert!(!depends(rule), "{rule}");
    }
}

#[test]
fn a_hold_that_may_be_broken_says_so() {
    let set = load(&format!(
        "{ALL}@id(\"h\") @hold(\"dba:2 | admins:1\") @break_glass(\"oncall\") forbid (principal, action, resource);"
    ));
    let evaluation = ask(&set, &draft("http.delete"), &facts(&[]));
    let hold = &evaluation.requirement().unwrap().holds[0];
    let glass: Vec<_> = hold.any_of.iter().map(|quorum| (quorum.count, quorum.break_glass)).collect();
    assert_eq!(glass, [(2, false), (1, false), (1, true)]);
    let words = crate::explain(&evaluation, &directory());
    assert!(words.contains("in an emergency one of `oncall`, who breaks glass and says why"), "{words}");
}

#[test]
fn the_strictest_of_several_answers_counts() {
    let set = load(
        r#"
        @id("all") permit (principal, action, resource);
        @id("no") @why("never") forbid (principal, action == Action::"sql.drop", resource);
        @id("rows") @hold("dba:1") @ttl("30m") @why("rows") forbid (principal, action == Action::"sql.delete", resource);
        @id("code") @hold("dba:2") @ttl("10m") @why("code") forbid (principal, action == Action::"sql.call", resource);
        "#,
    );
    let (directory, facts) = (directory(), facts(&[]));
    let answer = |verbs: &[&str]| {
        let answers = verbs.iter().map(|verb| {
            let (draft, digest) = (draft(verb), Digest::of(Purpose::Action, b"x"));
            set.answer(&Question { action: &draft, digest, facts: &facts, directory: &directory })
        });
        let strictest = crate::strictest(answers.collect());
        let question = draft("sql.select");
        let digest = Digest::of(Purpose::Action, b"x");
        let question = Question { action: &question, digest, facts: &facts, directory: &directory };
        set.record(&question, strictest)
    };
    assert_eq!(short(&answer(&["sql.select", "sql.select"])), "permit all");
    assert_eq!(short(&answer(&["sql.select", "sql.delete", "sql.select"])), "hold rows");
    let both = answer(&["sql.call", "sql.delete", "sql.call"]);
    assert_eq!(short(&both), "hold code rows");
    let requirement = both.requirement().unwrap();
    assert_eq!((requirement.holds.len(), requirement.ttl.seconds()), (2, 600));
    assert_eq!(short(&answer(&["sql.delete", "sql.drop", "sql.call"])), "deny no");
    assert_eq!(short(&answer(&[])), "deny policy-error");
}
