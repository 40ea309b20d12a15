//! A record: what the index knows of one entry of the log, or of one line of a segment.

use std::collections::BTreeSet;

use domain::id::ActionId;
use domain::time::Timestamp;
use serde::Serialize;

/// What a record can be looked for by. The names are those of the query language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Facet {
    /// Everybody who has to do with it: caller, chain, reviewers; as `agent:<id>` or `person:<id>`.
    Who,
    /// Who did this very thing.
    By,
    /// The agent that asked.
    Agent,
    /// The human who answers for the agent.
    Sponsor,
    /// What would be done.
    Verb,
    /// What kind of effect that has.
    Group,
    /// The route.
    Target,
    /// Where the resource stands.
    Environment,
    /// What policy or a human said: `permit`, `needs-review`, `deny`; `approve`, `ask`.
    Verdict,
    /// A rule that decided.
    Rule,
    /// What kind of thing happened: a log entry's kind without its version.
    Kind,
    /// How it ended: `succeeded`, `failed`, `unknown`.
    Outcome,
    /// Who says how it ended: `observed` by the gateway, or `reported` to it.
    Said,
    /// Where it was intercepted.
    Point,
    /// `enforced` or `cooperative`.
    Level,
    /// `yes` where people were asked: an approval stands under the action's id.
    Held,
    /// Where it is on record: `log` or `activity`.
    Source,
}

impl Facet {
    /// All facets, in the order of the documentation. A facet's place here is its number in the index: add at the end.
    pub const ALL: [Self; 17] = [
        Self::Who,
        Self::By,
        Self::Agent,
        Self::Sponsor,
        Self::Verb,
        Self::Group,
        Self::Target,
        Self::Environment,
        Self::Verdict,
        Self::Rule,
        Self::Kind,
        Self::Outcome,
        Self::Said,
        Self::Point,
        Self::Level,
        Self::Held,
        Self::Source,
    ];

    /// The facets whose values are counted beside a search.
    pub const COUNTED: [Self; 10] = [
        Self::Verdict,
        Self::Kind,
        Self::Agent,
        Self::Sponsor,
        Self::Verb,
        Self::Target,
        Self::Environment,
        Self::Rule,
        Self::Outcome,
        Self::Source,
    ];

    /// The facet's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Who => "who",
            Self::By => "by",
            Self::Agent => "agent",
            Self::Sponsor => "sponsor",
            Self::Verb => "verb",
            Self::Group => "group",
            Self::Target => "target",
            Self::Environment => "environment",
            Self::Verdict => "verdict",
            Self::Rule => "rule",
            Self::Kind => "kind",
            Self::Outcome => "outcome",
            Self::Said => "said",
            Self::Point => "point",
            Self::Level => "level",
            Self::Held => "held",
            Self::Source => "source",
        }
    }

    /// The facet of this name; `env` is `environment`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let name = if name == "env" { "environment" } else { name };
        Self::ALL.into_iter().find(|facet| facet.as_str() == name)
    }

    /// The facet's number in the index.
    pub(crate) fn number(self) -> u8 {
        Self::ALL
            .iter()
            .position(|facet| *facet == self)
            .and_then(|at| u8::try_from(at).ok())
            .unwrap_or(u8::MAX)
    }

    pub(crate) fn numbered(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Whether its values are principals, which people know by name.
    #[must_use]
    pub fn is_principal(self) -> bool {
        matches!(self, Self::Who | Self::By | Self::Agent | Self::Sponsor)
    }

    /// Whether what follows on an action has it from the action.
    pub(crate) fn is_inherited(self) -> bool {
        matches!(
            self,
            Self::Who
                | Self::Agent
                | Self::Sponsor
                | Self::Verb
                | Self::Group
                | Self::Target
                | Self::Environment
                | Self::Point
                | Self::Level
                | Self::Held
        )
    }
}

/// Where the thing itself is on record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// The log's entry with this index.
    Log(u64),
    /// A line of a segment.
    Activity {
        /// The segment's name without its ending.
        segment: String,
        /// Where the line begins, in bytes.
        offset: u64,
    },
}

/// The words of a record, masked; each is looked for by full text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Words {
    /// What is or would be touched, as the caller wrote it.
    pub resource: Option<String>,
    /// What somebody said: a reason, a note, a question, an answer.
    pub words: Option<String>,
    /// What is said beside: a target's own word, a run's id.
    pub detail: Option<String>,
}

/// What the index knows of one thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When.
    pub time: Timestamp,
    /// Where the thing itself is on record.
    pub place: Place,
    /// Which action it belongs to.
    pub action: Option<ActionId>,
    /// Whether the action's facets come from here, for what follows on it.
    pub origin: bool,
    /// What it can be looked for by.
    pub facets: BTreeSet<(Facet, String)>,
    /// Its words.
    pub words: Words,
}

impl Record {
    pub(crate) fn new(time: Timestamp, place: Place) -> Self {
        let source = match &place {
            Place::Log(_) => "log",
            Place::Activity { .. } => "activity",
        };
        let facets = [(Facet::Source, source.to_owned())].into();
        Self { time, place, action: None, origin: false, facets, words: Words::default() }
    }

    pub(crate) fn add(&mut self, facet: Facet, value: impl AsRef<str>) {
        let value = domain::text::cut(value.as_ref(), crate::limits::VALUE_LIMIT_BYTES);
        if !value.is_empty() {
            self.facets.insert((facet, value.to_owned()));
        }
    }
}
