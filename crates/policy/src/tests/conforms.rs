//! What we build by hand conforms to the schema, which run time does not check again.

use cedar_policy as cedar;
use domain::digest::{Digest, Purpose};
use domain::evaluation::Fact;
use domain::principal::{Chain, Link, Principal, Role};
use domain::verb::VOCABULARY;

use super::{directory, draft, facts, load, person};
use crate::Question;
use crate::facts::{FactType, OPTIONAL, REQUIRED};
use crate::request::{Caller, resource_id};

#[test]
fn requests_and_entities_conform_for_every_verb_and_principal() {
    let schema = crate::schema::schema().unwrap();
    let directory = directory();
    let set = load(&format!(
        "@id(\"x\") permit (principal, action, resource) when {{ Person::\"{}\" in Group::\"dba\" && Agent::\"{}\".sponsor.name == \"Cyd\" }};",
        person(4),
        super::agent(2)
    ));
    let all: Vec<(&str, Fact)> =
        REQUIRED.iter().chain(OPTIONAL).map(|(name, kind)| (*name, sample(*kind))).collect();
    for (verb, ..) in VOCABULARY {
        for chain in [Chain::agent(super::agent(1), person(1)), Chain::person(person(3))] {
            for facts in [facts(&[]), facts(&all)] {
                let mut draft = draft(verb);
                draft.chain = chain.clone();
                draft.chain.behind.push(Link { party: Principal::Person(person(2)), role: Role::Subject });
                draft.run = Some("run".to_owned());
                let question = Question {
                    action: &draft,
                    digest: Digest::of(Purpose::Action, b""),
                    facts: &facts,
                    directory: &directory,
                };
                let caller = Caller::find(&draft, &directory).unwrap();
                let slice = set.slice(&question, &caller, &resource_id(&draft));
                let (request, entities) =
                    set.names().build(&question, &caller, resource_id(&draft), &slice.named).unwrap();
                cedar::Entities::from_entities(entities.iter().cloned(), Some(schema)).unwrap();
                cedar::Request::new(
                    request.principal().unwrap().clone(),
                    request.action().unwrap().clone(),
                    request.resource().unwrap().clone(),
                    request.context().unwrap().clone(),
                    Some(schema),
                )
                .unwrap();
            }
        }
    }
}

#[test]
fn the_schema_and_the_table_name_the_same_facts() {
    let ours = ["point", "level", "has_reason", "run", "subject"];
    let text = crate::schema::text();
    let body = text.split("type Facts = {").nth(1).unwrap().split("};").next().unwrap();
    let mut in_schema: Vec<String> = body
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("//") && line.contains(':'))
        .map(|line| line.trim_end_matches(',').to_owned())
        .filter(|line| !ours.contains(&line.split([':', '?']).next().unwrap()))
        .collect();
    let word = |kind: FactType| match kind {
        FactType::Bool => "Bool",
        FactType::Int => "Long",
        FactType::Text => "String",
    };
    let mut in_table: Vec<String> = REQUIRED
        .iter()
        .map(|(name, kind)| format!("{name}: {}", word(*kind)))
        .chain(OPTIONAL.iter().map(|(name, kind)| format!("{name}?: {}", word(*kind))))
        .collect();
    in_schema.sort();
    in_table.sort();
    assert_eq!(in_schema, in_table);
}

#[test]
fn the_schema_has_every_verb_in_its_group() {
    let schema = crate::schema::schema().unwrap();
    assert_eq!(schema.actions().count(), VOCABULARY.len() + domain::verb::VerbGroup::ALL.len());
    insta::assert_snapshot!(crate::schema::text());
}

fn sample(kind: FactType) -> Fact {
    match kind {
        FactType::Bool => Fact::Bool(true),
        FactType::Int => Fact::Int(-1),
        FactType::Text => Fact::Text("é\"\\".to_owned()),
    }
}
