//! Properties over random sets and random actions.

use domain::action::Draft;
use domain::digest::{Digest, Purpose};
use domain::directory::Directory;
use domain::evaluation::{Decision, Fact, Facts};
use domain::principal::Chain;
use proptest::prelude::*;
use proptest::sample::select;

use cedar_policy as cedar;

use super::{directory, draft, facts, load, person};
use crate::request::{Caller, resource_id};
use crate::rule::POLICY_ERROR;
use crate::{Answer, PolicySet, Question};

fn heads() -> (Vec<String>, Vec<&'static str>, Vec<&'static str>) {
    let principals = vec![
        "principal".to_owned(),
        "principal is Agent".to_owned(),
        "principal is Person".to_owned(),
        format!("principal == Agent::\"{}\"", super::agent(1)),
        format!("principal is Agent in Agent::\"{}\"", super::agent(2)),
        format!("principal in Person::\"{}\"", person(1)),
        format!("principal == Person::\"{}\"", person(3)),
        "principal in Group::\"dba\"".to_owned(),
        "principal is Person in Group::\"admins\"".to_owned(),
        "principal in Group::\"nobody\"".to_owned(),
    ];
    let actions = vec![
        "action",
        "action == Action::\"http.get\"",
        "action == Action::\"http.delete\"",
        "action in Action::\"destroy\"",
        "action in [Action::\"read\", Action::\"http.post\"]",
        "action in [Action::\"write\", Action::\"config.policy\"]",
    ];
    let resources = vec![
        "resource",
        "resource is Resource",
        "resource in Env::\"prod\"",
        "resource is Resource in Env::\"dev\"",
        "resource in Target::\"broker\"",
        "resource in Target::\"orders\"",
        "resource in Target::\"countersign\"",
        "resource == Resource::\"broker/a\"",
        "resource in Resource::\"orders/b\"",
    ];
    (principals, actions, resources)
}

fn clauses() -> Vec<&'static str> {
    vec![
        "",
        "",
        "when { resource.production }",
        "when { resource.name == \"a\" }",
        "when { resource.hasTag(\"team\") && resource.getTag(\"team\") == \"x\" }",
        "unless { context.matched }",
        "when { context.parsed }",
        "when { context has rows && context.rows > 10 }",
        "when { context has rows && context.rows + 9223372036854775807 > 0 }",
        "when { principal in Group::\"dba\" }",
        "when { resource in Env::\"prod\" && resource in [Env::\"prod\", Env::\"dev\"] }",
        "when { resource == Resource::\"broker/a\" }",
        "when { context.has_reason && context.point == \"http\" }",
        "unless { context has run }",
    ]
}

/// One rule's effect and annotations, without its id.
fn effects() -> Vec<&'static str> {
    vec![
        "permit",
        "permit",
        "permit",
        "forbid",
        "@hold(\"dba:1\") forbid",
        "@hold(\"dba:2 | admins:1\") @ttl(\"5m\") @reason(\"required\") forbid",
        "@hold(\"dev:1\") @assurance(\"chat\") @grant(\"1m\") forbid",
        "@mode(\"shadow\") forbid",
        "@mode(\"shadow\") @hold(\"dba:1\") forbid",
    ]
}

fn policies() -> impl Strategy<Value = String> {
    let (principals, actions, resources) = heads();
    let rule = (select(effects()), select(principals), select(actions), select(resources), select(clauses()));
    prop::collection::vec(rule, 0..24).prop_map(|rules| {
        let write = |(n, (effect, principal, action, resource, clause)): (
            usize,
            (&str, String, &str, &str, &str),
        )| {
            format!("@id(\"r{n}\") {effect} ({principal}, {action}, {resource}) {clause};\n")
        };
        rules.into_iter().enumerate().map(write).collect()
    })
}

fn asked() -> impl Strategy<Value = (Draft, Facts)> {
    let chain = select(vec![
        Chain::agent(super::agent(1), person(1)),
        Chain::agent(super::agent(2), person(3)),
        Chain::person(person(1)),
        Chain::person(person(3)),
    ]);
    let verb = select(vec!["http.get", "http.post", "http.delete", "config.policy", "sql.drop"]);
    let place = (
        select(vec!["broker", "orders", "countersign"]),
        select(vec!["prod", "dev"]),
        select(vec!["a", "b"]),
    );
    let own = (
        any::<bool>(),
        any::<bool>(),
        prop::option::of(select(vec![5_i64, 50])),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    );
    (chain, verb, place, own).prop_map(
        |(chain, verb, (target, environment, name), (matched, parsed, rows, reason, run, label))| {
            let mut draft = draft(verb);
            draft.chain = chain;
            draft.target.name = target.parse().unwrap();
            draft.resource.environment = environment.parse().unwrap();
            name.clone_into(&mut draft.resource.name);
            draft.resource.labels =
                if label { [("team".to_owned(), "x".to_owned())].into() } else { [].into() };
            draft.reason = reason.then(|| "because".to_owned());
            draft.run = run.then(|| "run".to_owned());
            let mut facts = facts(&[("matched", Fact::Bool(matched)), ("parsed", Fact::Bool(parsed))]);
            facts.extend(rows.map(|rows| ("rows".to_owned(), Fact::Int(rows))));
            (draft, facts)
        },
    )
}

fn question<'a>(draft: &'a Draft, facts: &'a Facts, directory: &'a Directory) -> Question<'a> {
    Question { action: draft, digest: Digest::of(Purpose::Action, b"x"), facts, directory }
}

fn without_memo(answer: Answer) -> Answer {
    Answer { depends_on_values: false, ..answer }
}

/// What a stock engine, which knows nothing of our annotations, says.
fn stock(set: &PolicySet, question: &Question<'_>, shadow_too: bool) -> bool {
    let caller = Caller::find(question.action, question.directory).unwrap();
    let id = resource_id(question.action);
    let whole = set.whole();
    let (request, entities) = set.names().build(question, &caller, id, &whole.named).unwrap();
    let all = cedar::PolicySet::from_policies(
        set.loaded()
            .iter()
            .filter(|loaded| shadow_too || !loaded.rule.shadow)
            .map(|loaded| loaded.cedar.clone()),
    );
    cedar::Authorizer::new().is_authorized(&request, &all.unwrap(), &entities).decision()
        == cedar::Decision::Allow
}

/// Loading validates, which a debug build does slowly: few cases by default, more by `PROPTEST_CASES`.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_slice_answers_as_the_full_set_does(text in policies(), asked in prop::collection::vec(asked(), 1..12)) {
        let set = load(&text);
        let directory = directory();
        for (draft, facts) in &asked {
            let question = question(draft, facts, &directory);
            let full = set.answer_over(&question, |set, _, _, _| set.whole()).unwrap();
            prop_assert_eq!(without_memo(set.answer(&question)), without_memo(full));
        }
    }

    #[test]
    fn what_may_be_remembered_is_the_same_for_every_action_of_its_key(
        text in policies(),
        (draft, facts) in asked(),
        others in prop::collection::vec(asked(), 1..12),
    ) {
        let set = load(&text);
        let directory = directory();
        let one = set.answer(&question(&draft, &facts, &directory));
        for (other, other_facts) in others {
            // Another action with the same key: its own values differ.
            let twin = Draft {
                resource: domain::action::Resource { name: other.resource.name, ..draft.resource.clone() },
                run: other.run,
                ..draft.clone()
            };
            let mut twin_facts = facts.clone();
            twin_facts.remove("rows");
            twin_facts.extend(other_facts.get("rows").map(|rows| ("rows".to_owned(), rows.clone())));
            let twin_question = question(&twin, &twin_facts, &directory);
            prop_assert_eq!(set.memo_key(&twin_question), set.memo_key(&question(&draft, &facts, &directory)));
            if !one.depends_on_values {
                prop_assert_eq!(&one, &set.answer(&twin_question));
            }
        }
    }

    #[test]
    fn a_stock_engine_permits_what_we_permit_and_nothing_that_we_hold(text in policies(), asked in prop::collection::vec(asked(), 1..12)) {
        let set = load(&text);
        let directory = directory();
        for (draft, facts) in &asked {
            let question = question(draft, facts, &directory);
            let answer = set.answer(&question);
            if answer.rules.iter().any(|rule| rule.id.as_str() == POLICY_ERROR) {
                prop_assert_eq!(&answer.decision, &Decision::Deny);
            } else {
                prop_assert_eq!(stock(&set, &question, false), answer.decision == Decision::Permit);
            }
            // With the shadow rules read as plain forbids it can only deny more.
            prop_assert!(!stock(&set, &question, true) || stock(&set, &question, false));
        }
    }
}
