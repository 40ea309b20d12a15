//! The checkpoint that everything else leads to: signed by a log whose key is trusted, or by a key that a trusted one
//! handed the log over to, and cosigned by whom the trust file asks for.

use audit::{Checkpoint, Note, VerifierKey, verify_consistency};
use domain::entry::Kind;
use domain::id::Origin;
use domain::time::Timestamp;

use crate::bundle::manifest::RotationLine;
use crate::content;
use crate::log::{hashes, prove_entry};
use crate::report::{Rotation, Witness};
use crate::verify::Trust;

/// A checkpoint that was checked.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) checkpoint: Checkpoint,
    /// The log's key that signed it.
    pub(crate) key: VerifierKey,
    /// What the trusted witnesses say.
    pub(crate) witnesses: Vec<Witness>,
    /// Why too few of them cosigned, where that is so.
    pub(crate) missing: Option<String>,
    /// The changes of the log's key that were followed.
    pub(crate) rotations: Vec<Rotation>,
}

/// Checks the checkpoint of the log `origin`, after following the changes of its key.
pub(crate) fn open(
    note: &str,
    origin: &Origin,
    trust: &Trust,
    lines: &[RotationLine],
) -> Result<Head, String> {
    let followed = follow(origin, trust, lines)?;
    let mut head = signed(note, &followed.keys, trust).map_err(|error| format!("the checkpoint: {error}"))?;
    for (line, tree) in followed.lines {
        let proof = hashes(&line.consistency).map_err(|error| format!("a key's change: {error}"))?;
        let now = &head.checkpoint;
        verify_consistency(tree.size(), tree.root(), now.size(), now.root(), &proof).map_err(|error| {
            format!(
                "the checkpoint does not extend the one of size {}, of an older key: {error}",
                tree.size()
            )
        })?;
    }
    head.rotations = followed.told;
    Ok(head)
}

/// An earlier checkpoint of the same log: by a trusted key, or by one that the log had on the way.
pub(crate) fn open_earlier(
    note: &str,
    origin: &Origin,
    trust: &Trust,
    lines: &[RotationLine],
) -> Result<Head, String> {
    let mut keys = trusted(origin, trust)?;
    for key in follow(origin, trust, lines)?.keys {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    signed(note, &keys, trust).map_err(|error| format!("the earlier checkpoint: {error}"))
}

/// The keys of a log that the auditor trusts.
fn trusted(origin: &Origin, trust: &Trust) -> Result<Vec<VerifierKey>, String> {
    let keys: Vec<_> =
        trust.logs.iter().filter(|key| key.name().as_str() == origin.as_str()).cloned().collect();
    if keys.is_empty() {
        let names: Vec<_> = trust.logs.iter().map(|key| format!("`{}`", key.name())).collect();
        return Err(format!("it is of the log `{origin}`; the trusted key is of {}", names.join(", ")));
    }
    Ok(keys)
}

struct Followed<'l> {
    keys: Vec<VerifierKey>,
    lines: Vec<(&'l RotationLine, Checkpoint)>,
    told: Vec<Rotation>,
}

/// Follows the changes of the key, each signed by the key before it. Those before the first trusted key say nothing
/// to this auditor and are passed over; from then on the older key counts no more.
fn follow<'l>(origin: &Origin, trust: &Trust, lines: &'l [RotationLine]) -> Result<Followed<'l>, String> {
    let mut followed = Followed { keys: trusted(origin, trust)?, lines: Vec::new(), told: Vec::new() };
    for line in lines {
        let told =
            |reason: String| format!("a change of the log's key, entry {}: {reason}", line.entry.index);
        let note = Note::parse(line.checkpoint.as_bytes()).map_err(|error| told(error.to_string()))?;
        let tree = match Checkpoint::open(line.checkpoint.as_bytes(), &followed.keys) {
            Ok(signed) => signed.checkpoint().clone(),
            Err(audit::Error::NoKnownSignature) if followed.lines.is_empty() => continue,
            Err(error) => return Err(told(error.to_string())),
        };
        let old = signer(&note, &followed.keys).map_err(|error| told(error.to_string()))?;
        if line.entry.index.checked_add(1) != Some(tree.size()) {
            return Err(told("it is not the last entry of the old key's last checkpoint".to_owned()));
        }
        let proven = prove_entry(&line.entry, origin, &tree).map_err(told)?;
        if proven.leaf.kind != Kind::Rotation {
            return Err(told("the entry is of another kind".to_owned()));
        }
        let [new, was, _reason] = content::fields(&proven, ["new", "old", "reason"]).map_err(told)?;
        let new = key(new).ok_or_else(|| told("the new key is withheld, or cannot be read".to_owned()))?;
        if key(was).as_ref() != Some(&old) || new.name() != old.name() || new == old {
            return Err(told(
                "it does not lead from the key that signed it to another of this log".to_owned(),
            ));
        }
        followed.told.push(Rotation {
            entry: proven.index,
            at: proven.leaf.time,
            old: old.to_string(),
            new: new.to_string(),
        });
        followed.keys = vec![new];
        followed.lines.push((line, tree));
    }
    Ok(followed)
}

fn key(bytes: Option<&[u8]>) -> Option<VerifierKey> {
    std::str::from_utf8(bytes?).ok()?.parse().ok()
}

fn signer(note: &Note, keys: &[VerifierKey]) -> Result<VerifierKey, audit::Error> {
    note.verify(keys)?.first().map(|key| (*key).clone()).ok_or(audit::Error::NoKnownSignature)
}

fn signed(note: &str, keys: &[VerifierKey], trust: &Trust) -> Result<Head, audit::Error> {
    let note = Note::parse(note.as_bytes())?;
    let key = signer(&note, keys)?;
    let Some(policy) = &trust.witnesses else {
        let signed = Checkpoint::open(note.to_string().as_bytes(), keys)?;
        let checkpoint = signed.checkpoint().clone();
        return Ok(Head { checkpoint, key, witnesses: Vec::new(), missing: None, rotations: Vec::new() });
    };
    let verdict = policy.check_with(&note, keys)?;
    let witnesses = verdict
        .witnesses()
        .iter()
        .map(|witness| Witness {
            name: witness.name.to_string(),
            cosigned: witness
                .time
                .map(|time| Timestamp::from_micros(time.seconds().saturating_mul(1_000_000))),
        })
        .collect();
    let checkpoint = verdict.checkpoint().checkpoint().clone();
    let missing = verdict.require().err().map(|error| format!("the checkpoint: {error}"));
    Ok(Head { checkpoint, key, witnesses, missing, rotations: Vec::new() })
}
