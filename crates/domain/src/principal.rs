//! Who acts, and the whole chain of those for whom they act.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Malformed;
use crate::id::{AgentId, PersonId};

/// One party of a chain, written `agent:<id>` or `person:<id>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Principal {
    /// A program.
    Agent(AgentId),
    /// A human.
    Person(PersonId),
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent(id) => write!(f, "agent:{id}"),
            Self::Person(id) => write!(f, "person:{id}"),
        }
    }
}

impl FromStr for Principal {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        match text.split_once(':') {
            Some(("agent", id)) => Ok(Self::Agent(id.parse()?)),
            Some(("person", id)) => Ok(Self::Person(id.parse()?)),
            _ => Err(Malformed::value("principal", text, "`agent:<id>` or `person:<id>` is expected")),
        }
    }
}

impl TryFrom<String> for Principal {
    type Error = Malformed;
    fn try_from(text: String) -> Result<Self, Malformed> {
        text.parse()
    }
}

impl From<Principal> for String {
    fn from(principal: Principal) -> String {
        principal.to_string()
    }
}

/// Why a party stands on a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The human who answers for the agent.
    Sponsor,
    /// The human for whom the agent acts in this run.
    Subject,
    /// A program that handed the work on.
    Delegate,
    /// Whoever started the pipeline.
    Trigger,
    /// Whoever edited the action's parameters.
    Editor,
}

/// A party and its role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Who.
    pub party: Principal,
    /// Why they stand here.
    pub role: Role,
}

/// The most links that a chain may have.
pub const CHAIN_LIMIT: usize = 16;

/// Who calls, and everybody behind them. Nobody on a chain reviews its action.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chain {
    /// Whose credential was presented.
    pub caller: Principal,
    /// Everybody behind the caller, outermost first.
    pub behind: Vec<Link>,
}

impl Chain {
    /// A human acting for themself.
    #[must_use]
    pub fn person(person: PersonId) -> Self {
        Self { caller: Principal::Person(person), behind: Vec::new() }
    }

    /// An agent and its sponsor.
    #[must_use]
    pub fn agent(agent: AgentId, sponsor: PersonId) -> Self {
        let link = Link { party: Principal::Person(sponsor), role: Role::Sponsor };
        Self { caller: Principal::Agent(agent), behind: vec![link] }
    }

    /// Whether this human stands anywhere on the chain.
    #[must_use]
    pub fn contains(&self, person: PersonId) -> bool {
        self.parties().any(|party| party == Principal::Person(person))
    }

    /// Whether the human stands on the chain as sponsor and as nothing else.
    #[must_use]
    pub fn only_sponsors(&self, person: PersonId) -> bool {
        self.caller != Principal::Person(person)
            && self
                .behind
                .iter()
                .filter(|link| link.party == Principal::Person(person))
                .all(|link| link.role == Role::Sponsor)
    }

    /// The sponsor, where an agent calls.
    #[must_use]
    pub fn sponsor(&self) -> Option<PersonId> {
        self.behind.iter().find_map(|link| match (link.role, link.party) {
            (Role::Sponsor, Principal::Person(person)) => Some(person),
            _ => None,
        })
    }

    /// Everybody on the chain.
    pub fn parties(&self) -> impl Iterator<Item = Principal> + '_ {
        std::iter::once(self.caller).chain(self.behind.iter().map(|link| link.party))
    }
}
