//! The trail's page, from made-up results, and served over a real index.

use std::collections::BTreeMap;

use domain::directory::Directory;
use domain::principal::Principal;
use search::{Answer, Clause, Counts, Facet, FacetCount, Hit, Place, Query, Words};

use super::fixtures::{action, at, directory, person};
use crate::trail::{Trail, address, view};

/// What the pages hold against the trail's rules: the page in its states.
pub(super) fn pages(frame: impl Fn(&maud::Markup) -> String) -> Vec<(&'static str, String)> {
    let known = directory();
    let typed = "verb:http.delete \"drop table\" agent:\"cleanup agent\"";
    vec![
        ("trail", frame(&view::page(&trail(&known, typed, Some(answer(true)))))),
        ("trail_all", frame(&view::page(&trail(&known, "", Some(answer(false)))))),
        ("trail_broken", frame(&view::page(&trail(&known, "orders foo:bar<b> x", None)))),
        ("trail_nothing", frame(&view::page(&trail(&known, "verb:none", Some(nothing()))))),
    ]
}

fn trail<'a>(directory: &'a Directory, typed: &str, answer: Option<Answer>) -> Trail<'a> {
    let query = Query::parse(typed, at(0));
    Trail {
        typed: typed.to_owned(),
        query,
        answer,
        later: false,
        behind: 3,
        elsewhere: 0,
        directory,
        now: at(0),
    }
}

fn nothing() -> Answer {
    Answer { hits: Vec::new(), next: None, counts: Some(Counts::default()) }
}

fn answer(more: bool) -> Answer {
    let agent = directory().agents().next().map(|agent| Principal::Agent(agent.id).to_string()).unwrap();
    let ada = Principal::Person(person(1)).to_string();
    let hit = |id: u64, facets: &[(Facet, &str)], resource: Option<&str>, words: Option<&str>, held: bool| {
        let mut by_facet: BTreeMap<Facet, Vec<String>> = BTreeMap::new();
        for (facet, value) in facets {
            by_facet.entry(*facet).or_default().push((*value).to_owned());
        }
        if held {
            by_facet.insert(Facet::Held, vec!["yes".to_owned()]);
        }
        let words =
            Words { resource: resource.map(str::to_owned), words: words.map(str::to_owned), detail: None };
        let number = i64::try_from(id).unwrap();
        Hit {
            id,
            time: at(number * 40 - 400),
            place: Place::Log(id),
            action: Some(action(7)),
            facets: by_facet,
            words,
        }
    };
    let hits = vec![
        hit(
            9,
            &[
                (Facet::Kind, "outcome"),
                (Facet::Outcome, "failed"),
                (Facet::Verb, "http.delete"),
                (Facet::Agent, &agent),
                (Facet::Sponsor, &ada),
                (Facet::Target, "broker"),
            ],
            Some("queues/%2F/orders\u{202e}"),
            None,
            true,
        ),
        hit(
            8,
            &[
                (Facet::Kind, "review"),
                (Facet::By, &ada),
                (Facet::Verdict, "approve"),
                (Facet::Verb, "http.delete"),
                (Facet::Environment, "production"),
            ],
            Some("queues/%2F/orders"),
            Some("<b>fine</b>"),
            true,
        ),
        hit(
            7,
            &[
                (Facet::Kind, "decision"),
                (Facet::By, &agent),
                (Facet::Agent, &agent),
                (Facet::Sponsor, &ada),
                (Facet::Verdict, "permit"),
                (Facet::Verb, "http.get"),
                (Facet::Environment, "staging"),
                (Facet::Rule, "reads"),
            ],
            Some("carts/17"),
            Some("to see what is left"),
            false,
        ),
        hit(
            6,
            &[
                (Facet::Kind, "reported"),
                (Facet::Verb, "com.example.model.called"),
                (Facet::Said, "reported"),
            ],
            Some("models/large"),
            None,
            false,
        ),
        hit(5, &[(Facet::Kind, "erasure"), (Facet::By, &ada)], None, None, false),
    ];
    let count = |facet, value: &str, records| FacetCount { facet, value: value.to_owned(), records };
    let facets = vec![
        count(Facet::Verdict, "permit", 8_412),
        count(Facet::Verdict, "deny", 17),
        count(Facet::Agent, &agent, 9_001),
        count(Facet::Agent, "agent:0195f3a0-0000-7000-8002-0000000000ee", 12),
        count(Facet::Verb, "http.delete", 40),
        count(Facet::Environment, "production", 12),
        count(Facet::Environment, "staging", 3),
    ];
    let counts = Counts { records: if more { 10_000 } else { 9_040 }, more, facets };
    Answer { hits, next: more.then_some(5), counts: Some(counts) }
}

#[test]
fn an_address_brings_its_query_back() {
    let query = Query::parse("rule:\"a & b\" \"50% + x=1\" -kind:review since:7d", at(0)).unwrap();
    let address = address(&query.to_string(), Some(7));
    let (_, asked) = address.split_once('?').unwrap();
    assert!(asked.is_ascii() && !asked.contains([' ', '+', '"']), "{asked}");
    assert_eq!(asked.matches('&').count(), 1);
    let without = query.without(&query.clauses()[2]);
    assert!(without.clauses().iter().all(|clause| !matches!(clause, Clause::Facet { not: true, .. })));
}
