//! What the gate asks before anything runs, and this protocol's patience.
//!
//! Who is let in and what may run is not known here: the caller implements [`Admit`] and [`Decide`].

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use rustls::pki_types::CertificateDer;

use crate::config::{Asked, Secret, Upstream};
use crate::parse::{Bind, Status, Text};
use crate::reply::Refusal;

pub use crate::permit::{
    Beyond, Bounds, Copied, Ended, Lookup, Mask, Permit, Recheck, Results, RowLimit, Rows, TableBounds, Watch,
};

/// Decides about one session's statements.
///
/// Nothing that a client sends is run before `decide` was asked about it and permitted it. An implementation that
/// cannot know denies.
pub trait Decide: Send + Sync {
    /// Decides about everything that one message will run.
    fn decide(&self, facts: &Facts, group: &StatementGroup<'_>) -> Verdict;

    /// Takes what came of a [`Verdict::Look`]. `decide` is asked about the same group behind it, but where the look
    /// failed within a transaction: then the group is refused.
    fn learned(&self, _facts: &Facts, _lookup: &Lookup, _rows: Result<Rows, Refusal>) {}

    /// Whether a text may be prepared. The server then looks names and types up and runs nothing; a text that would
    /// be held is permitted here.
    ///
    /// # Errors
    /// Why not.
    fn prepare(&self, _facts: &Facts, _text: &str, _types: &[u32]) -> Result<(), Refusal> {
        Ok(())
    }
}

/// Lets clients in.
#[async_trait]
pub trait Admit: Send + Sync + 'static {
    /// Looks at what a client shows, and says where it goes on to.
    ///
    /// # Errors
    /// Why it is not let in. The words reach somebody who has shown nothing good.
    async fn admit(&self, presented: Presented) -> Result<Admission, Refusal>;
}

/// What a client shows.
#[derive(Debug)]
pub struct Presented {
    /// What it asks for.
    pub asked: Asked,
    /// Its password: an access token, say. Empty where it was not asked for one.
    pub password: Secret,
    /// Its certificates, the first its own, where TLS verified them.
    pub certificates: Vec<CertificateDer<'static>>,
    /// Where it comes from.
    pub peer: SocketAddr,
}

/// A client that is let in.
pub struct Admission {
    /// Whose session this is: each may have so many ([`Settings::connections_each`](crate::config::Settings)).
    pub principal: String,
    /// Where it goes on to.
    pub onward: Onward,
    /// A role at the server to act as. With it, the user of `onward` only makes a role for this session, which is a member of
    /// this one, acts as it, has its settings, and is dropped when the session has ended; its password is good for
    /// [`MADE_LIFETIME`](crate::config::MADE_LIFETIME). That user needs CREATEROLE, and this role with its ADMIN option.
    pub acts_as: Option<Text>,
    /// Who decides about its statements.
    pub decide: Box<dyn Decide>,
    /// Whether its statements may wait for people while their transaction is open, where the gate's settings do not say so
    /// for all.
    pub hold_inside_transaction: bool,
    /// Ends when the session has to end: its credential was revoked, say. It may never end.
    pub ended: BoxFuture<'static, Refusal>,
}

/// Where a client goes on to, and as whom.
#[derive(Clone)]
pub struct Onward {
    /// The server.
    pub upstream: Arc<Upstream>,
    /// The user to sign in as.
    pub user: Text,
    /// The database to sign in to.
    pub database: Text,
    /// The credential for it, which the client never sees.
    pub password: Secret,
}

/// What is known about a session, apart from the statement.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The settings that the server told of last, by name.
    pub settings: BTreeMap<Bytes, Bytes>,
}

/// Everything that one message will run.
#[derive(Debug, Clone, Copy)]
pub struct StatementGroup<'a> {
    /// The text: any number of statements where nothing is bound, one where something is.
    pub text: &'a str,
    /// The types of parameters that the client named; empty where nothing is bound.
    pub types: &'a [u32],
    /// The values, and how results are to be written; nothing for a simple query.
    pub bind: Option<&'a Bind>,
    /// The transaction that it would run in.
    pub transaction: Status,
    /// Whether it can wait: no transaction of the session is open at the server, or the gate was told not to mind.
    pub may_wait: bool,
}

/// What is decided.
pub enum Verdict {
    /// It runs at once.
    Permit(Permit),
    /// It runs when somebody says so.
    Hold(Held),
    /// It does not run.
    Deny(Refusal),
    /// It is not known yet, and will be soon without anybody being asked: what is decided comes of this future. The
    /// client hears nothing of it; also where nothing may wait for people.
    Later(BoxFuture<'static, Verdict>),
    /// The session's backend has to be asked first. At most [`LOOKS_LIMIT`](crate::config::LOOKS_LIMIT) times for
    /// one group.
    Look(Lookup),
}

/// A statement that waits.
pub struct Held {
    /// What comes of it. Dropped when nobody waits any more; what was asked of people stays asked.
    pub answer: BoxFuture<'static, Result<Permit, Refusal>>,
    /// What the client hears where it cannot wait; and, as a notice, where it does.
    pub refusal: Refusal,
}

impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Permit(permit) => f.debug_tuple("Permit").field(permit).finish(),
            Verdict::Hold(held) => f.debug_tuple("Hold").field(&held.refusal).finish(),
            Verdict::Deny(refusal) => f.debug_tuple("Deny").field(refusal).finish(),
            Verdict::Later(_) => f.write_str("Later"),
            Verdict::Look(lookup) => f.debug_tuple("Look").field(lookup).finish(),
        }
    }
}
