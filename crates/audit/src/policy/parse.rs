//! Reading a policy file, line after line. A line knows only what stands before it, as the format
//! has it, so that groups cannot run in circles.

use std::collections::{BTreeMap, BTreeSet};

use crate::text::from_decimal;
use crate::{CosignerKey, Error, KeyId, KeyName, VerifierKey};

use super::{
    LogKey, MAX_POLICY_BYTES, MAX_POLICY_GROUPS, MAX_POLICY_LOGS, MAX_POLICY_NAME_BYTES,
    MAX_POLICY_URL_BYTES, MAX_POLICY_WITNESSES, Policy, PolicyError, PolicyLog, PolicyProblem, PolicyText,
    PolicyWitness, Rule,
};

const NONE: &[u8] = b"none";

pub(super) fn policy(bytes: &[u8]) -> Result<Policy, PolicyError> {
    if bytes.len() > MAX_POLICY_BYTES {
        return Err(PolicyError { line: 1, problem: PolicyProblem::FileTooLong });
    }
    let mut reader = Reader::default();
    let mut last = 1;
    for (line, text) in (1..).zip(bytes.split_inclusive(|byte| *byte == b'\n')) {
        last = line;
        reader.line(text).map_err(|problem| PolicyError { line, problem })?;
    }
    reader.finish().map_err(|problem| PolicyError { line: last, problem })
}

/// What the lines so far have defined.
#[derive(Default)]
struct Reader {
    logs: Vec<PolicyLog>,
    witnesses: Vec<PolicyWitness>,
    groups: usize,
    names: BTreeMap<Vec<u8>, Rule>,
    members: BTreeSet<Vec<u8>>,
    keys: BTreeSet<(KeyName, KeyId)>,
    /// Nothing for no line yet; nothing within for `quorum none`.
    quorum: Option<Option<Rule>>,
}

impl Reader {
    fn line(&mut self, line: &[u8]) -> Result<(), PolicyProblem> {
        let line = line.strip_suffix(b"\n").ok_or(PolicyProblem::NoNewline)?;
        let control = |byte: &u8| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f;
        if let Some(byte) = line.iter().copied().find(|byte| control(byte)) {
            return Err(PolicyProblem::Control(byte));
        }
        let words = line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
        match *words.collect::<Vec<_>>() {
            [] => Ok(()),
            [first, ..] if first.starts_with(b"#") => Ok(()),
            [b"log", ref rest @ ..] => self.log(rest),
            [b"witness", ref rest @ ..] => self.witness(rest),
            [b"group", ref rest @ ..] => self.group(rest),
            [b"quorum", ref rest @ ..] => self.quorum(rest),
            [other, ..] => Err(PolicyProblem::Keyword(text(other))),
        }
    }

    fn log(&mut self, words: &[&[u8]]) -> Result<(), PolicyProblem> {
        let (vkey, url) = match *words {
            [vkey] => (vkey, None),
            [vkey, address] => (vkey, Some(url(address)?)),
            _ => return Err(PolicyProblem::Shape("log <vkey> [<url>]")),
        };
        let key = log_key(vkey)?;
        if self.logs.iter().any(|log| log.key.public() == key.public()) {
            return Err(PolicyProblem::DuplicateKey);
        }
        if self.logs.len() >= MAX_POLICY_LOGS {
            return Err(PolicyProblem::TooManyLogs);
        }
        self.claim_key(key.name().clone(), key.id())?;
        self.logs.push(PolicyLog { key, url });
        Ok(())
    }

    fn witness(&mut self, words: &[&[u8]]) -> Result<(), PolicyProblem> {
        let (name, vkey, url) = match *words {
            [name, vkey] => (name, vkey, None),
            [name, vkey, address] => (name, vkey, Some(url(address)?)),
            _ => return Err(PolicyProblem::Shape("witness <name> <vkey> [<url>]")),
        };
        let key: CosignerKey = utf8(vkey)?.parse().map_err(PolicyProblem::Key)?;
        if self.witnesses.iter().any(|witness| witness.key.public() == key.public()) {
            return Err(PolicyProblem::DuplicateKey);
        }
        if self.witnesses.len() >= MAX_POLICY_WITNESSES {
            return Err(PolicyProblem::TooManyWitnesses);
        }
        self.claim_key(key.name().clone(), key.id())?;
        self.define(name, Rule::Witness(text(name)))?;
        self.witnesses.push(PolicyWitness { name: text(name), key, url });
        Ok(())
    }

    fn group(&mut self, words: &[&[u8]]) -> Result<(), PolicyProblem> {
        let (name, threshold, names) = match *words {
            [name, threshold, ref names @ ..] if !names.is_empty() => (name, threshold, names),
            _ => return Err(PolicyProblem::Shape("group <name> all|any|<k> <name>...")),
        };
        if self.groups >= MAX_POLICY_GROUPS {
            return Err(PolicyProblem::TooManyGroups);
        }
        let threshold = match threshold {
            b"all" => names.len(),
            b"any" => 1,
            given => decimal(given)
                .filter(|k| (1..=names.len()).contains(k))
                .ok_or_else(|| PolicyProblem::Threshold { given: text(given), members: names.len() })?,
        };
        let members = names.iter().map(|member| self.member(member)).collect::<Result<_, _>>()?;
        self.groups += 1;
        self.define(name, Rule::Group { name: text(name), threshold, members })
    }

    fn member(&mut self, name: &[u8]) -> Result<Rule, PolicyProblem> {
        if name == NONE {
            return Err(PolicyProblem::NoneAsMember);
        }
        let rule = self.names.get(name).ok_or_else(|| PolicyProblem::Undefined(text(name)))?;
        if !self.members.insert(name.to_vec()) {
            return Err(PolicyProblem::MemberTwice(text(name)));
        }
        Ok(rule.clone())
    }

    fn quorum(&mut self, words: &[&[u8]]) -> Result<(), PolicyProblem> {
        let [name] = *words else {
            return Err(PolicyProblem::Shape("quorum <name>|none"));
        };
        if self.quorum.is_some() {
            return Err(PolicyProblem::SecondQuorum);
        }
        self.quorum = Some(match name {
            NONE => None,
            name => Some(self.names.get(name).cloned().ok_or_else(|| PolicyProblem::Undefined(text(name)))?),
        });
        Ok(())
    }

    fn define(&mut self, name: &[u8], rule: Rule) -> Result<(), PolicyProblem> {
        if name.len() > MAX_POLICY_NAME_BYTES {
            return Err(PolicyProblem::NameTooLong);
        }
        if name == NONE || self.names.contains_key(name) {
            return Err(PolicyProblem::NameTaken(text(name)));
        }
        self.names.insert(name.to_vec(), rule);
        Ok(())
    }

    fn claim_key(&mut self, name: KeyName, id: KeyId) -> Result<(), PolicyProblem> {
        if self.keys.insert((name, id)) { Ok(()) } else { Err(PolicyProblem::AmbiguousKey) }
    }

    fn finish(self) -> Result<Policy, PolicyProblem> {
        let quorum = self.quorum.ok_or(PolicyProblem::NoQuorum)?;
        Ok(Policy { logs: self.logs, witnesses: self.witnesses, quorum })
    }
}

impl LogKey {
    fn name(&self) -> &KeyName {
        match self {
            Self::Ed25519(key) => key.name(),
            Self::Unread(key) => key.name(),
        }
    }

    fn id(&self) -> KeyId {
        match self {
            Self::Ed25519(key) => key.id(),
            Self::Unread(key) => key.id(),
        }
    }

    fn public(&self) -> Vec<u8> {
        match self {
            Self::Ed25519(key) => key.public_bytes().to_vec(),
            Self::Unread(key) => key.public().to_vec(),
        }
    }
}

/// A log's key: Ed25519, or ML-DSA-44, which logs share with cosigners.
fn log_key(vkey: &[u8]) -> Result<LogKey, PolicyProblem> {
    let vkey = utf8(vkey)?;
    vkey.parse::<VerifierKey>().map(LogKey::Ed25519).or_else(|refused| match vkey.parse() {
        Ok(key @ CosignerKey::MlDsa44 { .. }) => Ok(LogKey::Unread(key)),
        Ok(CosignerKey::Ed25519(_)) | Err(_) => Err(PolicyProblem::Key(refused)),
    })
}

fn url(word: &[u8]) -> Result<PolicyText, PolicyProblem> {
    if word.len() > MAX_POLICY_URL_BYTES {
        return Err(PolicyProblem::UrlTooLong);
    }
    Ok(text(word))
}

fn utf8(vkey: &[u8]) -> Result<&str, PolicyProblem> {
    let not_text = |_| PolicyProblem::Key(Error::malformed_bytes("verifier key", vkey, "it is not UTF-8"));
    str::from_utf8(vkey).map_err(not_text)
}

fn decimal(word: &[u8]) -> Option<usize> {
    usize::try_from(from_decimal(str::from_utf8(word).ok()?)?).ok()
}

fn text(word: &[u8]) -> PolicyText {
    PolicyText(word.to_vec())
}
