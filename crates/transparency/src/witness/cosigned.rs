//! What the client knows, for whoever asks: the newest checkpoint that a quorum cosigned, and how
//! each witness stands.

use std::sync::Arc;

use audit::{CosignatureTime, PolicyText, Verdict};
use tokio::sync::{Notify, watch};

/// A view of the client, cheap to clone. It outlives the client and then says the last that it knew.
#[derive(Debug, Clone)]
pub struct Cosigned {
    pub(super) latest: watch::Receiver<Option<Arc<Verdict>>>,
    pub(super) standings: watch::Receiver<Vec<(PolicyText, Standing)>>,
    pub(super) nudge: Arc<Notify>,
}

impl Cosigned {
    /// The newest checkpoint whose cosignatures meet the quorum, with who cosigned when. Nothing
    /// until the first: the publisher then has the log's own checkpoint and must say so.
    #[must_use]
    pub fn latest(&self) -> Option<Arc<Verdict>> {
        self.latest.borrow().clone()
    }

    /// Waits for a cosigned checkpoint that this handle has not shown to [`changed`](Self::changed)
    /// yet. Nothing once the client has ended.
    pub async fn changed(&mut self) -> Option<Arc<Verdict>> {
        self.latest.changed().await.ok()?;
        self.latest.borrow_and_update().clone()
    }

    /// How each witness stands, in the policy's order.
    #[must_use]
    pub fn standings(&self) -> Vec<(PolicyText, Standing)> {
        self.standings.borrow().clone()
    }

    /// Asks the client to look at the head now instead of at its next turn.
    pub fn nudge(&self) {
        self.nudge.notify_one();
    }
}

/// How a witness stands to this log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It was not asked yet.
    Untried,
    /// It cosigned a head of that size.
    Cosigned {
        /// The head's size in leaves.
        size: u64,
        /// The time that the cosignature states.
        time: CosignatureTime,
    },
    /// No answer that can be read.
    Unreachable {
        /// Why, in one line.
        why: String,
    },
    /// It does not cosign this log: it does not know it, or not its key.
    Refused {
        /// The status code.
        status: u16,
        /// What it says, in one line.
        reason: String,
    },
    /// It has cosigned a larger tree of this log than the log has. Entries were lost: an old backup
    /// was restored, or somebody else signs with the log's key.
    Ahead {
        /// The size that it knows, in leaves.
        theirs: u64,
        /// The log's size, in leaves.
        ours: u64,
    },
    /// The log does not extend the tree that it has cosigned: history was rewritten.
    Disagrees {
        /// The size that it knows, in leaves.
        theirs: u64,
        /// What it says, in one line.
        reason: String,
    },
}

impl Standing {
    /// Whether the log must stop until a human has looked.
    #[must_use]
    pub fn is_alarm(&self) -> bool {
        match self {
            Self::Ahead { .. } | Self::Disagrees { .. } => true,
            Self::Untried | Self::Cosigned { .. } | Self::Unreachable { .. } | Self::Refused { .. } => false,
        }
    }
}
