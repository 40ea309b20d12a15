//! The facts that policies may read, with their types. `schema.cedarschema` says what each means; a test
//! holds the two against each other.

use cedar_policy::RestrictedExpression;
use domain::evaluation::{Fact, Facts};

/// A fact's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactType {
    /// Yes or no.
    Bool,
    /// A count or a score.
    Int,
    /// A word.
    Text,
}

/// Facts that every action has. A missing one is an error: who does not say whether an action was
/// understood is not asked for a guess.
pub const REQUIRED: &[(&str, FactType)] =
    &[("matched", FactType::Bool), ("parsed", FactType::Bool), ("risk", FactType::Int)];

/// Facts that an action may have.
pub const OPTIONAL: &[(&str, FactType)] = &[
    ("method", FactType::Text),
    ("operation", FactType::Text),
    ("path", FactType::Text),
    ("content_type", FactType::Text),
    ("body_bytes", FactType::Int),
    ("rows", FactType::Int),
    ("bulk", FactType::Bool),
    ("prior_runs", FactType::Int),
    ("prior_denials", FactType::Int),
    ("denied_today", FactType::Int),
    ("data_classes", FactType::Text),
    ("sql_statement", FactType::Text),
    ("sql_kind", FactType::Text),
    ("sql_where", FactType::Bool),
    ("sql_bindable", FactType::Bool),
    ("sql_direct", FactType::Bool),
    ("sql_system", FactType::Bool),
    ("sql_temporary", FactType::Bool),
    ("sql_triggers", FactType::Bool),
    ("sql_rules", FactType::Bool),
    ("sql_cascades", FactType::Bool),
    ("sql_copy", FactType::Text),
    ("sql_copy_end", FactType::Text),
    ("sql_setting", FactType::Text),
    ("sql_in_transaction", FactType::Bool),
];

/// Facts that are estimates: what they say may turn out otherwise.
pub const ESTIMATES: &[&str] = &["rows"];

/// The fact that may only add holds.
pub(crate) const RISK: &str = "risk";

/// Refuses facts that the schema does not know, that have another type, or that are missing.
///
/// # Errors
/// What is wrong, in words.
pub fn check(facts: &Facts) -> Result<(), String> {
    for (name, fact) in facts {
        let Some((_, expected)) = REQUIRED.iter().chain(OPTIONAL).find(|(known, _)| known == name) else {
            return Err(format!("the fact `{name}` is not in the policy schema"));
        };
        if *expected != type_of(fact) {
            return Err(format!("the fact `{name}` is expected to be {}", expected.words()));
        }
    }
    match REQUIRED.iter().find(|(name, _)| !facts.contains_key(*name)) {
        Some((name, _)) => Err(format!("the fact `{name}` is missing; the enforcement point must state it")),
        None => Ok(()),
    }
}

impl FactType {
    fn words(self) -> &'static str {
        match self {
            Self::Bool => "true or false",
            Self::Int => "an integer",
            Self::Text => "a text",
        }
    }
}

fn type_of(fact: &Fact) -> FactType {
    match fact {
        Fact::Bool(_) => FactType::Bool,
        Fact::Int(_) => FactType::Int,
        Fact::Text(_) => FactType::Text,
    }
}

/// A fact as Cedar's value.
pub(crate) fn value(fact: &Fact) -> RestrictedExpression {
    match fact {
        Fact::Bool(value) => RestrictedExpression::new_bool(*value),
        Fact::Int(value) => RestrictedExpression::new_long(*value),
        Fact::Text(value) => RestrictedExpression::new_string(value.clone()),
    }
}
