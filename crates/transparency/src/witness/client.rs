//! The log's side: asks each witness of the policy for a cosignature over the head, and keeps the
//! newest checkpoint that meets the quorum.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use audit::{Checkpoint, Policy, PolicyText, SignedCheckpoint, Verdict, VerifierKey};
use futures_util::future::join_all;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

use super::peer::{Asked, Peer};
use super::{Cosigned, Standing, Transport, WitnessedLog};

/// The client's limits.
pub mod limits {
    use std::time::Duration;

    /// How often one witness may answer a question with another size before it is left alone.
    pub const CONFLICTS_LIMIT: usize = 3;

    /// How long one witness may take for a round, with all that it asks in between.
    pub const ASK_PATIENCE: Duration = Duration::from_secs(25);

    /// How long a witness is left alone after its first failure; each one after doubles it.
    pub const BACKOFF: Duration = Duration::from_secs(1);

    /// The longest that a witness is left alone.
    pub const BACKOFF_LIMIT: Duration = Duration::from_secs(300);

    /// How old a cosignature over a head that does not grow may get before a new one is asked for.
    pub const REFRESH: Duration = Duration::from_secs(3_600);

    /// How often a round at start begins anew because another gateway of this log was quicker.
    pub const OVERTAKEN_LIMIT: usize = 5;

    /// How often the log is looked at again before a witness that knows more of it is an alarm: another gateway of the
    /// same store may have shown it a head that this process has not seen yet.
    pub const BEHIND_LOOKS: u32 = 10;

    /// How long it waits between two such looks.
    pub const BEHIND_WAIT: Duration = Duration::from_millis(500);
}

use limits::{ASK_PATIENCE, BEHIND_LOOKS, BEHIND_WAIT, OVERTAKEN_LIMIT, REFRESH};

/// Asks witnesses. One per log and process is enough; several do no harm.
pub struct Client {
    policy: Policy,
    keys: Vec<VerifierKey>,
    log: Arc<dyn WitnessedLog>,
    transport: Arc<dyn Transport>,
    witnesses: Vec<Asking>,
    current: Option<Current>,
    latest: watch::Sender<Option<Arc<Verdict>>>,
    standings: watch::Sender<Vec<(PolicyText, Standing)>>,
    nudge: Arc<Notify>,
}

/// The head under work.
struct Current {
    /// As the log signed it: what witnesses are shown.
    head: SignedCheckpoint,
    /// The same with the cosignatures that it has so far.
    cosigned: SignedCheckpoint,
}

struct Asking {
    peer: Peer,
    standing: Standing,
    /// When it cosigned the current head; nothing if it did not.
    cosigned: Option<Instant>,
}

/// Why witnesses cannot be asked, or why the log must stop.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// A witness's URL is not one of HTTP.
    #[error("the policy's witness `{witness}` has the URL `{url}`; expected http:// or https://")]
    Address {
        /// The witness's name in the policy.
        witness: PolicyText,
        /// Its URL.
        url: PolicyText,
    },
    /// The quorum cannot be met by those that can be asked.
    #[error(
        "the policy's quorum cannot be met by the witnesses that have a URL and a key of type 0x04; add URLs"
    )]
    Unreachable,
    /// The head cannot be read or is not signed by the log's key.
    #[error("the log's head cannot be cosigned: {0}")]
    Head(String),
    /// A witness has seen more of the log than there is.
    #[error(
        "witness `{witness}` has cosigned this log at size {theirs}, and the log has {ours} entries: entries were \
         lost, or somebody else signs with its key; stop, and restore what is missing"
    )]
    Ahead {
        /// The witness's name in the policy.
        witness: PolicyText,
        /// The size that it knows, in leaves.
        theirs: u64,
        /// The log's size, in leaves.
        ours: u64,
    },
    /// A witness has seen another history.
    #[error(
        "witness `{witness}` has cosigned another history of this log at size {theirs} ({reason}): stop, and \
         compare with your backups"
    )]
    Disagrees {
        /// The witness's name in the policy.
        witness: PolicyText,
        /// The size that it knows, in leaves.
        theirs: u64,
        /// What it says.
        reason: String,
    },
}

impl Client {
    /// A client for the policy's witnesses that have a URL, and the handle to what it finds. `keys`
    /// are the log's own; the policy's `log` lines play no part.
    ///
    /// # Errors
    /// [`ClientError::Address`], [`ClientError::Unreachable`].
    pub fn new(
        policy: Policy,
        keys: Vec<VerifierKey>,
        log: Arc<dyn WitnessedLog>,
        transport: Arc<dyn Transport>,
    ) -> Result<(Self, Cosigned), ClientError> {
        let mut witnesses = Vec::new();
        for witness in policy.witnesses() {
            let (Some(key), Some(url)) = (witness.key().readable(), witness.url()) else {
                continue;
            };
            let address =
                url.as_str().filter(|url| url.starts_with("https://") || url.starts_with("http://"));
            let address = address
                .ok_or_else(|| ClientError::Address { witness: witness.name().clone(), url: url.clone() })?;
            let peer = Peer::new(witness.name().clone(), key.clone(), address);
            witnesses.push(Asking { peer, standing: Standing::Untried, cosigned: None });
        }
        if !policy.could_be_met_by(|witness| witness.url().is_some()) {
            return Err(ClientError::Unreachable);
        }
        let (latest, latest_seen) = watch::channel(None);
        let (standings, standings_seen) = watch::channel(standings_of(&witnesses));
        let nudge = Arc::new(Notify::new());
        let view = Cosigned { latest: latest_seen, standings: standings_seen, nudge: Arc::clone(&nudge) };
        let client =
            Self { policy, keys, log, transport, witnesses, current: None, latest, standings, nudge };
        Ok((client, view))
    }

    /// The first round, before the log takes any entry: a witness that has seen more than there is, or
    /// something else, must stop it. A witness that does not answer does not.
    ///
    /// # Errors
    /// [`ClientError::Ahead`], [`ClientError::Disagrees`], [`ClientError::Head`].
    pub async fn start(&mut self) -> Result<(), ClientError> {
        for _ in 0..OVERTAKEN_LIMIT {
            if !self.round().await? {
                break;
            }
        }
        Ok(())
    }

    /// Asks at every turn, and when nudged, until `stop`. Ends early only with an alarm: then the
    /// caller must stop the log.
    ///
    /// # Errors
    /// [`ClientError::Ahead`], [`ClientError::Disagrees`].
    pub async fn run(
        mut self,
        every: Duration,
        stop: impl Future<Output = ()> + Send,
    ) -> Result<(), ClientError> {
        let nudge = Arc::clone(&self.nudge);
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return Ok(()),
                () = tokio::time::sleep(every) => {}
                () = nudge.notified() => {}
            }
            let ended = tokio::select! {
                () = &mut stop => return Ok(()),
                ended = self.round() => ended,
            };
            match ended {
                Ok(_) => {}
                // A store that cannot be read now says so elsewhere too, and may be back soon.
                Err(ClientError::Head(why)) => tracing::warn!(%why, "no witness was asked"),
                Err(alarm) => return Err(alarm),
            }
        }
    }

    /// One round: whoever is due and has not cosigned the head yet is asked, all at once. True if
    /// another gateway of this log was quicker and the round should begin anew.
    async fn round(&mut self) -> Result<bool, ClientError> {
        let head = read_head(self.log.as_ref(), &self.keys).await?;
        let is_new = self.current.as_ref().is_none_or(|current| current.head != head);
        if is_new {
            self.witnesses.iter_mut().for_each(|asking| asking.cosigned = None);
        }
        let cosigned = self.current.take().filter(|_| !is_new).map(|current| current.cosigned);
        let mut cosigned = cosigned.unwrap_or_else(|| head.clone());

        let now = Instant::now();
        let (shown, log, transport) = (&head, self.log.as_ref(), self.transport.as_ref());
        let due = self.witnesses.iter_mut().filter(|asking| asking.is_due(now));
        let asked = join_all(due.map(|asking| async move {
            let answer = timeout(ASK_PATIENCE, asking.peer.ask(shown, log, transport)).await;
            let answer = answer.unwrap_or_else(|_| {
                let why = format!("it took longer than {} s", ASK_PATIENCE.as_secs());
                Asked::Not(Standing::Unreachable { why })
            });
            (asking, answer)
        }))
        .await;

        let ours = head.checkpoint().size();
        let furthest = asked.iter().filter_map(|(_, answer)| match answer {
            Asked::Overtaken { theirs } => Some(*theirs),
            Asked::Cosigned(..) | Asked::Not(_) => None,
        });
        let newest = match furthest.max() {
            Some(theirs) => newest(log, &self.keys, theirs).await?,
            None => ours,
        };
        let (mut overtaken, mut changed) = (false, is_new);
        for (asking, answer) in asked {
            let standing = match answer {
                Asked::Cosigned(line, time) => match cosigned.attach(&line, &asking.peer.key) {
                    Ok(_) => Standing::Cosigned { size: ours, time },
                    Err(error) => Standing::Unreachable { why: error.to_string() },
                },
                Asked::Overtaken { theirs } if theirs <= newest => {
                    overtaken = true;
                    continue;
                }
                Asked::Overtaken { theirs } => Standing::Ahead { theirs, ours: newest },
                Asked::Not(standing) => standing,
            };
            changed |= asking.settle(standing, now);
        }
        self.standings.send_replace(standings_of(&self.witnesses));
        if changed {
            self.publish(&cosigned)?;
        }
        self.current = Some(Current { head, cosigned });
        self.alarm()?;
        Ok(overtaken)
    }

    /// Shows the checkpoint if it meets the quorum; until then the last one that did stays.
    fn publish(&self, cosigned: &SignedCheckpoint) -> Result<(), ClientError> {
        let verdict = self.policy.check_with(cosigned.note(), &self.keys);
        let verdict = verdict.map_err(|error| ClientError::Head(error.to_string()))?;
        if verdict.quorum_is_met() {
            self.latest.send_replace(Some(Arc::new(verdict)));
        }
        Ok(())
    }

    fn alarm(&self) -> Result<(), ClientError> {
        let alarm = self.witnesses.iter().find(|asking| asking.standing.is_alarm());
        let Some(Asking { peer, standing, .. }) = alarm else {
            return Ok(());
        };
        let witness = peer.name.clone();
        match standing.clone() {
            Standing::Ahead { theirs, ours } => Err(ClientError::Ahead { witness, theirs, ours }),
            Standing::Disagrees { theirs, reason } => Err(ClientError::Disagrees { witness, theirs, reason }),
            Standing::Untried
            | Standing::Cosigned { .. }
            | Standing::Unreachable { .. }
            | Standing::Refused { .. } => Ok(()),
        }
    }
}

impl Asking {
    fn is_due(&self, now: Instant) -> bool {
        self.peer.is_due(now) && self.cosigned.is_none_or(|then| now.duration_since(then) >= REFRESH)
    }

    /// Notes how it went; true if the witness cosigned.
    fn settle(&mut self, standing: Standing, now: Instant) -> bool {
        let well = matches!(standing, Standing::Cosigned { .. });
        if well {
            self.cosigned = Some(now);
        } else if self.standing != standing {
            tracing::warn!(witness = %self.peer.name, ?standing, "a witness did not cosign");
        }
        self.peer.settle(well, now);
        self.standing = standing;
        well
    }
}

/// The log's head, checked: what is not signed by the log's own key is shown to nobody.
async fn read_head(log: &dyn WitnessedLog, keys: &[VerifierKey]) -> Result<SignedCheckpoint, ClientError> {
    let note = log.head().await.map_err(|error| ClientError::Head(error.to_string()))?;
    Checkpoint::open(note.as_bytes(), keys).map_err(|error| ClientError::Head(error.to_string()))
}

/// The log's size once it is this, or has had the time to be.
///
/// # Errors
/// [`ClientError::Head`] where the log does not answer: what a process remembers of it contradicts nobody.
async fn newest(log: &dyn WitnessedLog, keys: &[VerifierKey], theirs: u64) -> Result<u64, ClientError> {
    let mut newest = read_head(log, keys).await?.checkpoint().size();
    for _ in 0..BEHIND_LOOKS {
        if newest >= theirs {
            return Ok(newest);
        }
        tokio::time::sleep(BEHIND_WAIT).await;
        newest = read_head(log, keys).await?.checkpoint().size();
    }
    let answers = log.consistency(newest.min(1), newest).await;
    answers.map_err(|error| ClientError::Head(error.to_string()))?;
    Ok(newest)
}

fn standings_of(witnesses: &[Asking]) -> Vec<(PolicyText, Standing)> {
    witnesses.iter().map(|asking| (asking.peer.name.clone(), asking.standing.clone())).collect()
}
