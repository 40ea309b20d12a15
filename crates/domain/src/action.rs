//! An action: everything that will run, named in one record with one digest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Malformed;
use crate::canonical;
use crate::digest::{Digest, Purpose};
use crate::id::{ActionId, CredentialRef, Environment, TargetName};
use crate::principal::{CHAIN_LIMIT, Chain};
use crate::verb::Verb;

/// Where an action was intercepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Point {
    /// The HTTP reverse proxy.
    Http,
    /// The API: an action that somebody asks about or has reported.
    Rest,
    /// PostgreSQL's wire.
    Postgres,
    /// The Model Context Protocol.
    Mcp,
    /// Programs.
    Exec,
    /// Kubernetes' API.
    K8s,
    /// Model APIs.
    Model,
    /// Countersign's own configuration: people, agents, routes, policy.
    Config,
}

impl Point {
    /// The point's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Rest => "rest",
            Self::Postgres => "postgres",
            Self::Mcp => "mcp",
            Self::Exec => "exec",
            Self::K8s => "k8s",
            Self::Model => "model",
            Self::Config => "config",
        }
    }
}

/// Whether the caller could have gone round the point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The point alone holds the target's credential.
    Enforced,
    /// The caller could reach the target without us.
    Cooperative,
}

/// What would be touched.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resource {
    /// Its name in the target, such as `queues/%2F/orders`.
    pub name: String,
    /// Where it stands.
    pub environment: Environment,
    /// What its owners say of it, from the route.
    pub labels: BTreeMap<String, String>,
}

impl Resource {
    /// Whether the resource is production, by its environment or by the label `production=true`.
    #[must_use]
    pub fn is_production(&self) -> bool {
        self.environment.is_production() || self.labels.get("production").is_some_and(|value| value == "true")
    }
}

/// Which system would be touched, and as what it was defined when this action was sealed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The route's name.
    pub name: TargetName,
    /// The digest of the route's (or tool's) definition: a definition that changes is another action.
    pub definition: Digest,
}

/// The longest reason, in bytes.
pub const REASON_LIMIT_BYTES: usize = 2_000;
/// The longest name of a resource, in bytes.
pub const RESOURCE_LIMIT_BYTES: usize = 8_192;
/// The longest run id, in bytes.
pub const RUN_LIMIT_BYTES: usize = 256;

/// An action's parts, before they are sealed. The payload itself is not here: its root is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// The version of this record: 1.
    pub v: u8,
    /// The action's id; the approval that may stand on it has the same.
    pub id: ActionId,
    /// Where it was intercepted.
    pub point: Point,
    /// Whether the caller could have gone round.
    pub level: Level,
    /// Who asks, and for whom.
    pub chain: Chain,
    /// What would be done.
    pub verb: Verb,
    /// To what.
    pub resource: Resource,
    /// Where.
    pub target: Target,
    /// With which credential, by name.
    pub credential: Option<CredentialRef>,
    /// Session state that changes what the bytes mean, such as a search path.
    pub session: BTreeMap<String, String>,
    /// The run or trace that this belongs to, as the caller claims.
    pub run: Option<String>,
    /// Why, in the caller's words: untrusted.
    pub reason: Option<String>,
    /// The root over the salted commitments of payload and parameters.
    pub payload: Digest,
}

/// A sealed action: the record's canonical bytes and their digest, which covers all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    draft: Draft,
    bytes: Vec<u8>,
    digest: Digest,
}

impl Action {
    /// Seals the parts into canonical bytes.
    ///
    /// # Errors
    /// A version that is not 1, or a text over its limit.
    pub fn seal(draft: Draft) -> Result<Self, Malformed> {
        check(&draft)?;
        let bytes = canonical::write(&draft)?;
        let digest = Digest::of(Purpose::Action, &bytes);
        Ok(Self { draft, bytes, digest })
    }

    /// Reads a sealed action's bytes; they are kept as they are.
    ///
    /// # Errors
    /// What [`Action::seal`] refuses, and bytes that are not strict JSON of this shape.
    pub fn read(bytes: Vec<u8>) -> Result<Self, Malformed> {
        let draft: Draft = canonical::read_exact(&bytes)?;
        check(&draft)?;
        let digest = Digest::of(Purpose::Action, &bytes);
        Ok(Self { draft, bytes, digest })
    }

    /// The action's id.
    #[must_use]
    pub fn id(&self) -> ActionId {
        self.draft.id
    }

    /// The digest over all of it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The canonical bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Who asks, and for whom.
    #[must_use]
    pub fn chain(&self) -> &Chain {
        &self.draft.chain
    }

    /// The record's parts.
    #[must_use]
    pub fn parts(&self) -> &Draft {
        &self.draft
    }
}

fn check(draft: &Draft) -> Result<(), Malformed> {
    if draft.v != 1 {
        return Err(Malformed::value("action record version", &draft.v.to_string(), "1 is expected"));
    }
    let limit = |what, actual, limit, unit| {
        if actual > limit { Err(Malformed::TooLarge { what, actual, limit, unit }) } else { Ok(()) }
    };
    limit("the chain", draft.chain.behind.len(), CHAIN_LIMIT, "links")?;
    limit("the resource's name", draft.resource.name.len(), RESOURCE_LIMIT_BYTES, "bytes")?;
    limit("the reason", draft.reason.as_deref().map_or(0, str::len), REASON_LIMIT_BYTES, "bytes")?;
    limit("the run id", draft.run.as_deref().map_or(0, str::len), RUN_LIMIT_BYTES, "bytes")
}

/// A part in which two actions differ, for the reviewer of a changed one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Which part, such as `resource.name` or `payload http.body`.
    pub part: String,
    /// What it was, where it can be shown.
    pub before: Option<String>,
    /// What it is now.
    pub after: Option<String>,
}
