//! A set held against the directory.

use super::{directory, load};

fn findings(text: &str) -> String {
    load(text)
        .check(&directory())
        .into_iter()
        .filter(|finding| {
            !finding.rule.as_ref().is_some_and(|rule| rule.as_str().starts_with("countersign."))
        })
        .map(|finding| {
            let rule = finding.rule.map_or_else(|| "-".to_owned(), |rule| rule.to_string());
            format!("{:?} {rule}:{} {}", finding.severity, finding.line.unwrap_or(0), finding.message)
        })
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn groups_that_cannot_lift_their_holds_are_found() {
    // Ada and Bob are `dba`, and Ada sponsors agent 1; Dan of `dev` has no key.
    insta::assert_snapshot!(findings(
        r#"@id("all") permit (principal, action, resource);
@id("unknown") @hold("typo:1") forbid (principal, action in Action::"destroy", resource);
@id("too-small") @hold("dba:3") forbid (principal, action in Action::"destroy", resource);
@id("without-keys") @hold("dev:2") forbid (principal, action in Action::"destroy", resource);
@id("by-chat") @hold("dev:2") @assurance("chat") forbid (principal, action in Action::"destroy", resource);
@id("sponsor") @hold("dba:2") forbid (principal, action in Action::"destroy", resource);
@id("fine") @hold("dba:1") forbid (principal, action in Action::"destroy", resource);
@id("another-way") @hold("typo:1 | dba:1") forbid (principal, action in Action::"destroy", resource);"#
    ));
}

#[test]
fn unwise_rules_are_found() {
    insta::assert_snapshot!(findings(
        r#"@id("all") permit (principal, action, resource);
@id("never") @hold("dba:1") forbid (principal, action in Action::"destroy", resource) when { false };
@id("never-head") forbid (principal in Target::"x", action, resource);
@id("reads") @hold("dba:1") forbid (principal, action in [Action::"read", Action::"write"], resource);
@id("estimate") @hold("dba:1") forbid (principal, action in Action::"write", resource) unless { context has rows && context.rows <= 1000 };"#
    ));
    insta::assert_snapshot!(findings(""));
}

#[test]
fn a_set_that_nobody_could_repair_is_found() {
    insta::assert_snapshot!(findings(
        r#"@id("all") permit (principal, action, resource);
@id("freeze") forbid (principal, action in Action::"admin", resource);"#
    ));
    insta::assert_snapshot!(findings(
        r#"@id("all") permit (principal, action, resource);
@id("nobody") @hold("typo:1") forbid (principal, action in Action::"admin", resource);"#
    ));
}
