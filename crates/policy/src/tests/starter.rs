//! The starter packs in `policies/` load and do what their fixtures say.

use super::load;
use crate::run_fixtures;

#[test]
fn the_http_pack_does_what_its_cases_say() {
    let set = load(include_str!("../../../../policies/http.cedar"));
    let results = run_fixtures(include_str!("../../../../policies/http.test.toml"), &set);
    assert!(results.len() > 15);
    for result in results {
        assert!(result.passed(), "{}: {:?}\n{}", result.name, result.differences, result.explanation);
    }
}

#[test]
fn the_postgres_pack_does_what_its_cases_say() {
    let set = load(include_str!("../../../../policies/postgres.cedar"));
    let results = run_fixtures(include_str!("../../../../policies/postgres.test.toml"), &set);
    assert!(results.len() > 30);
    for result in results {
        assert!(result.passed(), "{}: {:?}\n{}", result.name, result.differences, result.explanation);
    }
}

#[test]
fn a_case_that_differs_says_how() {
    let set = load(include_str!("../../../../policies/http.cedar"));
    let case = |rest: &str| {
        let text = format!(
            "[[case]]\nname = \"c\"\nprincipal = \"agent\"\nverb = \"http.delete\"\ntarget = \"t\"\nenvironment = \"prod\"\n{rest}"
        );
        run_fixtures(&text, &set).remove(0).differences.join("; ")
    };
    assert_eq!(case("expect = \"hold\""), "");
    assert_eq!(case("expect = \"permit\""), "expected permit, got hold");
    assert_eq!(
        case("expect = \"hold\"\nrules = []\nhold = [\"dba:1\"]\nttl = \"1h\"\nassurance = \"chat\""),
        "expected rules [], got [RuleId(http-prod-destroy)]; expected holds [\"dba:1\"], got [\"reviewers:1\"]; \
         expected ttl 1h, got 30m; expected assurance Chat, got Passkey"
    );
    assert!(case("expect = \"hold\"\nfacts = { surprise = 1 }").contains("expected hold, got deny"));
    assert!(case("expect = \"maybe\"").contains("maybe"));
    assert!(case("expect = \"hold\"\nextra = 1").contains("extra"));
    assert!(!run_fixtures("", &set)[0].passed());
    assert!(!run_fixtures("no toml", &set)[0].passed());
}
