//! A route's rules: what is masked beyond the detectors, what is not, and who may reveal it.

use std::collections::BTreeSet;

use regex::bytes::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use crate::class::Class;
use crate::json::Step;
use crate::limits::{PATTERN_LIMIT_BYTES, RULE_LIMIT_BYTES, RULES_LIMIT};
use crate::names::plain;

/// Rules as a route states them. Everything stands in addition to the detectors, but `off` and `keep`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Names of fields, parameters and headers whose values are masked, whatever their case and whether they are
    /// written with `_`, `-` or neither.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Paths of values that are masked, as JSON pointers (RFC 6901) in which `*` stands for any one step. A
    /// parameter of a form or a query is `/name`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Patterns whose matches are masked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub patterns: Vec<Pattern>,
    /// Classes that are not looked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub off: Vec<Class>,
    /// Classes that are looked for though they are not by default: `ip`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub on: Vec<Class>,
    /// Paths of values in which no detector is asked; `names`, `paths` and `patterns` still are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keep: Vec<String>,
    /// Whether a card's last four digits stay; true where it is not stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_four: Option<bool>,
    /// Who may reveal what is masked.
    #[serde(skip_serializing_if = "Reveal::is_default")]
    pub reveal: Reveal,
}

/// A pattern of a route's rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pattern {
    /// What it is called where something is masked by it.
    pub name: String,
    /// A regular expression in the syntax of the `regex` crate, which matches in linear time.
    pub regex: String,
}

/// Who may reveal what is masked, of those who may see the request at all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Reveal {
    /// Everybody who is asked to review.
    #[default]
    Reviewers,
    /// Administrators only.
    Admins,
    /// Members of this group only.
    Group(String),
}

impl Reveal {
    fn is_default(&self) -> bool {
        *self == Self::Reviewers
    }
}

impl From<String> for Reveal {
    fn from(word: String) -> Self {
        match word.as_str() {
            "reviewers" => Self::Reviewers,
            "admins" => Self::Admins,
            _ => Self::Group(word),
        }
    }
}

impl From<Reveal> for String {
    fn from(reveal: Reveal) -> Self {
        match reveal {
            Reveal::Reviewers => "reviewers".to_owned(),
            Reveal::Admins => "admins".to_owned(),
            Reveal::Group(group) => group,
        }
    }
}

/// Why rules cannot stand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// A list is too long.
    #[error("`{0}` has more than {RULES_LIMIT} entries; write fewer, or use `*` in paths")]
    TooMany(&'static str),
    /// An entry is empty or too long.
    #[error("`{list}` holds `{entry}`; an entry has 1 to {RULE_LIMIT_BYTES} bytes")]
    Length {
        /// Which list.
        list: &'static str,
        /// The entry, cut.
        entry: String,
    },
    /// A path that is no pointer.
    #[error("the path `{0}` in `{1}` is no JSON pointer; write it as `/customer/*/ssn`")]
    Path(String, &'static str),
    /// A path that is both masked and kept.
    #[error("the path `{0}` stands in `paths` and in `keep`; take it out of one")]
    Both(String),
    /// A pattern that is no regular expression, or too large.
    #[error("the pattern `{name}` cannot be used: {why}")]
    Pattern {
        /// The pattern's name.
        name: String,
        /// Why, in the words of the `regex` crate.
        why: String,
    },
    /// A pattern that matches nothing at all, everywhere.
    #[error("the pattern `{0}` matches an empty text; write it so that it needs at least one character")]
    Empty(String),
    /// A class that no rule can switch.
    #[error(
        "`{0}` cannot be switched on or off; a route's own rules are changed, and what cannot be scanned stays masked"
    )]
    Class(Class),
    /// A class that is on and off.
    #[error("`{0}` stands in `on` and in `off`; take it out of one")]
    OnAndOff(Class),
    /// An empty name of a group.
    #[error("`reveal` is `reviewers`, `admins` or the name of a group")]
    Reveal,
}

/// Rules ready for use.
#[derive(Debug, Default)]
pub(crate) struct Compiled {
    pub(crate) names: BTreeSet<Vec<u8>>,
    pub(crate) paths: Vec<Path>,
    pub(crate) patterns: Vec<(String, Regex)>,
    pub(crate) keep: Vec<Path>,
    off: BTreeSet<Class>,
    pub(crate) last_four: bool,
}

impl Compiled {
    pub(crate) fn new(rules: &Rules) -> Result<Self, RulesError> {
        sized("names", rules.names.iter())?;
        sized("paths", rules.paths.iter())?;
        sized("keep", rules.keep.iter())?;
        sized("patterns", rules.patterns.iter().map(|pattern| &pattern.regex))?;
        sized("patterns", rules.patterns.iter().map(|pattern| &pattern.name))?;
        if let Some(both) = rules.paths.iter().find(|path| rules.keep.contains(path)) {
            return Err(RulesError::Both(both.clone()));
        }
        let mut switched = rules.off.iter().chain(&rules.on);
        if let Some(class) = switched.find(|class| !Class::DETECTED.contains(class)) {
            return Err(RulesError::Class(*class));
        }
        if let Some(class) = rules.on.iter().find(|class| rules.off.contains(class)) {
            return Err(RulesError::OnAndOff(*class));
        }
        if rules.reveal == Reveal::Group(String::new()) {
            return Err(RulesError::Reveal);
        }
        let mut off: BTreeSet<Class> = rules.off.iter().copied().collect();
        if !rules.on.contains(&Class::Ip) {
            off.insert(Class::Ip);
        }
        Ok(Self {
            names: rules.names.iter().map(|name| plain(name.as_bytes())).collect(),
            paths: rules.paths.iter().map(|path| Path::read(path, "paths")).collect::<Result<_, _>>()?,
            patterns: rules.patterns.iter().map(compiled).collect::<Result<_, _>>()?,
            keep: rules.keep.iter().map(|path| Path::read(path, "keep")).collect::<Result<_, _>>()?,
            off,
            last_four: rules.last_four.unwrap_or(true),
        })
    }

    /// Without any rule of a route.
    pub(crate) fn standard() -> Self {
        Self { off: BTreeSet::from([Class::Ip]), last_four: true, ..Self::default() }
    }

    pub(crate) fn looks_for(&self, class: Class) -> bool {
        !self.off.contains(&class)
    }

    /// Whether a field of this name is masked by a rule.
    pub(crate) fn names(&self, name: &[u8]) -> bool {
        !self.names.is_empty() && self.names.contains(&plain(name))
    }
}

fn sized<'r>(
    list: &'static str,
    entries: impl ExactSizeIterator<Item = &'r String>,
) -> Result<(), RulesError> {
    if entries.len() > RULES_LIMIT {
        return Err(RulesError::TooMany(list));
    }
    for entry in entries {
        if entry.is_empty() || entry.len() > RULE_LIMIT_BYTES {
            return Err(RulesError::Length { list, entry: entry.chars().take(40).collect() });
        }
    }
    Ok(())
}

fn compiled(pattern: &Pattern) -> Result<(String, Regex), RulesError> {
    let regex = RegexBuilder::new(&pattern.regex)
        .size_limit(PATTERN_LIMIT_BYTES)
        .build()
        .map_err(|error| RulesError::Pattern { name: pattern.name.clone(), why: error.to_string() })?;
    if regex.is_match(b"") {
        return Err(RulesError::Empty(pattern.name.clone()));
    }
    Ok((pattern.name.clone(), regex))
}

/// A JSON pointer in which a step may be any.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Path(Vec<Option<Vec<u8>>>);

impl Path {
    fn read(text: &str, list: &'static str) -> Result<Self, RulesError> {
        let bad = || RulesError::Path(text.to_owned(), list);
        let steps = text.strip_prefix('/').ok_or_else(bad)?.split('/');
        let step = |step: &str| match step {
            "*" => Ok(None),
            _ if step.replace("~0", "").replace("~1", "").contains('~') => Err(bad()),
            _ => Ok(Some(step.replace("~1", "/").replace("~0", "~").into_bytes())),
        };
        Ok(Self(steps.map(step).collect::<Result<_, _>>()?))
    }

    /// Whether it names this place.
    pub(crate) fn is(&self, path: &[Step<'_>]) -> bool {
        self.0.len() == path.len()
            && self.0.iter().zip(path).all(|(want, step)| match (want, step) {
                (None, _) => true,
                (Some(want), Step::Key(key)) => want.as_slice() == key.as_ref(),
                (Some(want), Step::Index(index)) => want.as_slice() == index.to_string().as_bytes(),
            })
    }
}
