//! One witness as the client sees it: what size it knows, and when it may be asked again.

use std::time::Duration;

use audit::witness::{AddCheckpoint, Answer};
use audit::{CosignatureTime, NoteSignature, PolicyText, SignedCheckpoint, WitnessKey};
use tokio::time::Instant;

use super::client::limits::{BACKOFF, BACKOFF_LIMIT, CONFLICTS_LIMIT};
use super::{Standing, Transport, WitnessedLog};

/// A witness that is asked.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) name: PolicyText,
    pub(super) key: WitnessKey,
    url: String,
    /// The size that it cosigned last, as far as it told; zero until it did.
    known: u64,
    failures: u32,
    not_before: Option<Instant>,
}

/// What came of asking.
#[derive(Debug)]
pub(super) enum Asked {
    /// A line that its key made over the head.
    Cosigned(NoteSignature, CosignatureTime),
    /// The witness knows a later head than the one that we came with, which the log may have by now.
    Overtaken { theirs: u64 },
    /// Anything else.
    Not(Standing),
}

impl Peer {
    /// A witness with its submission prefix.
    pub(super) fn new(name: PolicyText, key: WitnessKey, prefix: &str) -> Self {
        let url = format!("{}/add-checkpoint", prefix.trim_end_matches('/'));
        Self { name, key, url, known: 0, failures: 0, not_before: None }
    }

    /// Whether it may be asked now.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.not_before.is_none_or(|then| then <= now)
    }

    /// Notes how it went, and with it when to ask again.
    pub(super) fn settle(&mut self, well: bool, now: Instant) {
        self.failures = if well { 0 } else { self.failures.saturating_add(1) };
        self.not_before = (!well).then(|| now + backoff(self.failures));
    }

    /// Asks for a cosignature over the head, from the size that the witness knows. Where that is not
    /// known, the first question finds it out.
    pub(super) async fn ask(
        &mut self,
        head: &SignedCheckpoint,
        log: &dyn WitnessedLog,
        transport: &dyn Transport,
    ) -> Asked {
        let size = head.checkpoint().size();
        for _ in 0..CONFLICTS_LIMIT {
            if self.known > size {
                return Asked::Overtaken { theirs: self.known };
            }
            let answer = match self.exchange(head, log, transport).await {
                Ok(answer) => answer,
                Err(why) => return Asked::Not(Standing::Unreachable { why }),
            };
            match answer {
                Answer::Cosigned(lines) => return self.accept(&lines, head),
                // Before 2025 the protocol answered a fork of equal size so.
                Answer::Conflict { known } if known == self.known && known == size => {
                    return self.disagrees("it holds another tree of the same size".to_owned());
                }
                // It was asked from this very size: its answer says nothing, and so must not stop a log.
                Answer::Conflict { known } if known == self.known => {
                    let why = format!("asked from size {known}, it answered that it knows size {known}");
                    return Asked::Not(Standing::Unreachable { why });
                }
                Answer::Conflict { known } => self.known = known,
                Answer::Refused { status: 422, reason } if self.known > 0 => return self.disagrees(reason),
                Answer::Refused { status, reason } if status < 500 => {
                    return Asked::Not(Standing::Refused { status, reason });
                }
                Answer::Refused { status, reason } => {
                    let why = format!("it answered {status}: {reason}");
                    return Asked::Not(Standing::Unreachable { why });
                }
            }
        }
        let why = "its known size changes with each question".to_owned();
        Asked::Not(Standing::Unreachable { why })
    }

    async fn exchange(
        &self,
        head: &SignedCheckpoint,
        log: &dyn WitnessedLog,
        transport: &dyn Transport,
    ) -> Result<Answer, String> {
        let size = head.checkpoint().size();
        let proof = if self.known == 0 || self.known == size {
            Vec::new()
        } else {
            log.consistency(self.known, size).await.map_err(|error| error.to_string())?
        };
        let request = AddCheckpoint::new(self.known, proof, head.note().clone());
        let request = request.map_err(|error| error.to_string())?;
        let reply =
            transport.post(&self.url, request.to_string()).await.map_err(|error| error.to_string())?;
        Answer::parse(reply.status, reply.content_type.as_deref(), &reply.body)
            .map_err(|error| error.to_string())
    }

    /// Takes the witness's own line out of its answer; lines by other keys are ignored.
    fn accept(&mut self, lines: &[NoteSignature], head: &SignedCheckpoint) -> Asked {
        let found = lines.iter().find_map(|line| {
            let time = head.clone().attach(line, &self.key).ok()?;
            // A witness must state a time; zero means that it states none.
            (time.seconds() > 0).then(|| (line.clone(), time))
        });
        let Some((line, time)) = found else {
            let why = format!("its answer has no good cosignature by `{}`", self.key);
            return Asked::Not(Standing::Unreachable { why });
        };
        self.known = head.checkpoint().size();
        Asked::Cosigned(line, time)
    }

    fn disagrees(&self, reason: String) -> Asked {
        Asked::Not(Standing::Disagrees { theirs: self.known, reason })
    }
}

fn backoff(failures: u32) -> Duration {
    let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    BACKOFF.saturating_mul(doubled).min(BACKOFF_LIMIT)
}
