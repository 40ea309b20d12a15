//! A query, made ready for the index: names are ids, words are one quoted full-text expression.

use std::collections::BTreeMap;

use domain::directory::Directory;
use domain::id::ActionId;
use domain::principal::Principal;
use domain::time::Timestamp;

use super::{Clause, Column, Query};
use crate::record::Facet;

/// Who is called what.
pub trait Names {
    /// The principals of this name, as `agent:<id>` or `person:<id>`; with `prefix` those whose name begins so.
    /// Upper and lower case are one.
    fn called(&self, name: &str, prefix: bool) -> Vec<String>;
}

impl Names for Directory {
    fn called(&self, name: &str, prefix: bool) -> Vec<String> {
        let wanted = name.to_lowercase();
        let fits = |name: &str| {
            let name = name.to_lowercase();
            if prefix { name.starts_with(&wanted) } else { name == wanted }
        };
        let people = self.people().filter(|one| fits(&one.name)).map(|one| Principal::Person(one.id));
        let agents = self.agents().filter(|one| fits(&one.name)).map(|one| Principal::Agent(one.id));
        people.chain(agents).map(|principal| principal.to_string()).collect()
    }
}

/// A query, ready.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    pub(crate) any_of: Vec<Values>,
    pub(crate) none_of: Vec<Values>,
    /// A full-text expression of quoted phrases.
    pub(crate) words: Option<String>,
    pub(crate) only: Vec<Only>,
    pub(crate) since: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
}

/// Values of one facet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Values {
    pub(crate) facet: Facet,
    pub(crate) texts: Vec<Fit>,
}

/// How a value is compared. Upper and lower case are one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fit {
    Whole(String),
    Beginning(String),
}

/// The records of one thing only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Only {
    Action(ActionId),
    Entry(u64),
}

impl Fit {
    pub(crate) fn fits(&self, text: &str) -> bool {
        match self {
            Self::Whole(whole) => text.eq_ignore_ascii_case(whole),
            Self::Beginning(begin) => {
                text.get(..begin.len()).is_some_and(|cut| cut.eq_ignore_ascii_case(begin))
            }
        }
    }
}

impl Query {
    /// Makes it ready, with the names as they are now.
    #[must_use]
    pub fn plan(&self, names: &dyn Names) -> Plan {
        let mut plan = Plan::default();
        let mut any_of: BTreeMap<Facet, Vec<Fit>> = BTreeMap::new();
        let (mut sought, mut left_out) = (Vec::new(), Vec::new());
        for clause in &self.clauses {
            match clause {
                Clause::Facet { facet, value, prefix, not } => {
                    let texts = fits(*facet, value, *prefix, names);
                    if *not {
                        plan.none_of.push(Values { facet: *facet, texts });
                    } else {
                        any_of.entry(*facet).or_default().extend(texts);
                    }
                }
                Clause::Words { column, text, prefix, not } => {
                    let into = if *not { &mut left_out } else { &mut sought };
                    into.push(phrase(*column, text, *prefix));
                }
                Clause::Since(moment) => plan.since = plan.since.max(Some(moment.at)),
                Clause::Until(moment) => {
                    plan.until = Some(plan.until.map_or(moment.at, |until| until.min(moment.at)));
                }
                Clause::Action(id) => plan.only.push(Only::Action(*id)),
                Clause::Entry(index) => plan.only.push(Only::Entry(*index)),
            }
        }
        plan.any_of = any_of.into_iter().map(|(facet, texts)| Values { facet, texts }).collect();
        if !sought.is_empty() {
            let sought = format!("({})", sought.join(" AND "));
            plan.words = Some(left_out.iter().fold(sought, |words, one| format!("({words} NOT {one})")));
        }
        plan
    }
}

fn fits(facet: Facet, value: &str, prefix: bool, names: &dyn Names) -> Vec<Fit> {
    if facet.is_principal() {
        if value.parse::<Principal>().is_ok() {
            return vec![Fit::Whole(value.to_owned())];
        }
        return names.called(value, prefix).into_iter().map(Fit::Whole).collect();
    }
    vec![if prefix { Fit::Beginning(value.to_owned()) } else { Fit::Whole(value.to_owned()) }]
}

/// A phrase of FTS5. Between double quotes everything is text, once quotes themselves are doubled; our own never
/// hold one.
fn phrase(column: Option<Column>, text: &str, prefix: bool) -> String {
    let column = column.map(|column| format!("{} : ", column.as_str())).unwrap_or_default();
    let star = if prefix { " *" } else { "" };
    format!("({column}\"{}\"{star})", text.replace('"', "\"\""))
}
