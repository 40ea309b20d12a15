//! A change of Countersign itself, in words: the exact bytes below it are what is approved.

use domain::directory::{Directory, DirectoryEvent};
use domain::principal::Principal;
use gateway::card::{Card, Shown, name_of};

use crate::{limits, words};

/// The payload path under which the gateway puts a proposed change.
const CHANGE: &str = "config.change";

/// What would change.
#[derive(Debug)]
pub(crate) struct Proposal {
    /// In one sentence.
    pub(crate) sentence: String,
    /// For a document: its lines, against what stands.
    pub(crate) lines: Vec<Line>,
}

/// One line of a compared document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    Same(Shown),
    Added(Shown),
    Removed(Shown),
    /// So many lines that stand as they stood.
    Skipped(usize),
}

/// How many unchanged lines stand around a change.
const AROUND: usize = 3;

impl Proposal {
    /// The proposal on a card, where it is one and its payload stands there whole.
    pub(crate) fn read(card: &Card, directory: &Directory) -> Option<Self> {
        let part = card.payload.iter().find(|part| part.path == CHANGE)?;
        let text = words::original(part.text.as_ref()?)?;
        let event: DirectoryEvent = domain::canonical::read(text.as_bytes()).ok()?;
        Some(Self::of(&event, directory))
    }

    /// What an event would change in a directory.
    pub(crate) fn of(event: &DirectoryEvent, directory: &Directory) -> Self {
        let person = |id| name_of(Principal::Person(id), directory);
        let agent = |id| name_of(Principal::Agent(id), directory);
        let mut lines = Vec::new();
        let sentence = match event {
            DirectoryEvent::PersonAdded { name, .. } => format!("Add the person {name}."),
            DirectoryEvent::PersonDeactivated { id } => {
                format!(
                    "Deactivate {}: sessions end, keys sign no more, unused approvals are void.",
                    person(*id)
                )
            }
            DirectoryEvent::KeyEnrolled { person: id, key } => {
                let (label, print) = (&key.label, key.fingerprint());
                format!("Let the passkey “{label}” ({print}) speak for {}.", person(*id))
            }
            DirectoryEvent::SshKeyEnrolled { person: id, key } => {
                let (label, print) = (&key.label, key.fingerprint());
                format!("Let the SSH key “{label}” ({print}) speak for {} at a terminal.", person(*id))
            }
            DirectoryEvent::KeyRevoked { person: id, .. } => format!("Revoke a key of {}.", person(*id)),
            DirectoryEvent::AccountLinked { person: id, account } => {
                format!("Let the account {account} stand for {}.", person(*id))
            }
            DirectoryEvent::AccountUnlinked { person: id, account } => {
                format!("Let the account {account} stand for {} no more.", person(*id))
            }
            DirectoryEvent::GroupJoined { group, person: id } => {
                format!("Put {} into the group {group}.", person(*id))
            }
            DirectoryEvent::GroupLeft { group, person: id } => {
                format!("Take {} out of the group {group}.", person(*id))
            }
            DirectoryEvent::AgentAdded { name, sponsor, .. } => {
                format!("Add the agent {name}, for which {} answers.", person(*sponsor))
            }
            DirectoryEvent::AgentKeyReplaced { id, .. } => {
                format!("Give the agent {} another key.", agent(*id))
            }
            DirectoryEvent::AgentSponsorChanged { id, sponsor } => {
                format!("Let {} answer for the agent {}.", person(*sponsor), agent(*id))
            }
            DirectoryEvent::AgentDisabled { id } => format!("Disable the agent {}.", agent(*id)),
            DirectoryEvent::RouteSet { name, document } => {
                let before = directory.route(name).map(|route| laid_out(&route.text)).unwrap_or_default();
                lines = compare(&before, &laid_out(document));
                let what = if before.is_empty() { "Add" } else { "Change" };
                format!("{what} the route {name}.")
            }
            DirectoryEvent::RouteRemoved { name } => format!("Remove the route {name}."),
            DirectoryEvent::PolicyApplied { text } => {
                let before = directory.policy().map(|policy| policy.text.as_str()).unwrap_or_default();
                lines = compare(before, text);
                "Apply another policy.".to_owned()
            }
        };
        Self { sentence, lines }
    }
}

fn laid_out(document: &str) -> String {
    domain::canonical::read_value(document.as_bytes())
        .ok()
        .and_then(|value| serde_json::to_string_pretty(&value).ok())
        .unwrap_or_else(|| document.to_owned())
}

/// The lines of both, with what is the same but for a little context left out. Beyond
/// [`limits::COMPARED_LINES`] the old ones are all removed and the new ones all added, which is true too.
pub(crate) fn compare(before: &str, after: &str) -> Vec<Line> {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let (old_rest, new_rest) = (old.get(head..).unwrap_or_default(), new.get(head..).unwrap_or_default());
    let tail = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(a, b)| a == b).count();
    let old_middle = old_rest.get(..old_rest.len() - tail).unwrap_or_default();
    let new_middle = new_rest.get(..new_rest.len() - tail).unwrap_or_default();
    let mut lines: Vec<Line> = new.iter().take(head).map(|line| Line::Same(Shown::new(line))).collect();
    lines.extend(middle(old_middle, new_middle));
    lines.extend(new.iter().skip(new.len() - tail).map(|line| Line::Same(Shown::new(line))));
    fold(lines)
}

/// The longest common subsequence of the lines, by dynamic programming.
fn middle(old: &[&str], new: &[&str]) -> Vec<Line> {
    let added = |line: &&str| Line::Added(Shown::new(line));
    let removed = |line: &&str| Line::Removed(Shown::new(line));
    if old.len().saturating_mul(new.len()) > limits::COMPARED_LINES * limits::COMPARED_LINES {
        return old.iter().map(removed).chain(new.iter().map(added)).collect();
    }
    // `table[i][j]`: how many lines `old[i..]` and `new[j..]` share.
    let mut table = vec![vec![0_u32; new.len() + 1]; old.len() + 1];
    let at = |table: &Vec<Vec<u32>>, i: usize, j: usize| {
        table.get(i).and_then(|row| row.get(j)).copied().unwrap_or(0)
    };
    for (i, a) in old.iter().enumerate().rev() {
        for (j, b) in new.iter().enumerate().rev() {
            let best = if a == b {
                at(&table, i + 1, j + 1) + 1
            } else {
                at(&table, i + 1, j).max(at(&table, i, j + 1))
            };
            if let Some(cell) = table.get_mut(i).and_then(|row| row.get_mut(j)) {
                *cell = best;
            }
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut lines = Vec::new();
    loop {
        match (old.get(i), new.get(j)) {
            (Some(a), Some(b)) if a == b => {
                lines.push(Line::Same(Shown::new(a)));
                (i, j) = (i + 1, j + 1);
            }
            (Some(a), b) if b.is_none() || at(&table, i + 1, j) >= at(&table, i, j + 1) => {
                lines.push(removed(a));
                i += 1;
            }
            (_, Some(b)) => {
                lines.push(added(b));
                j += 1;
            }
            (Some(_) | None, None) => break,
        }
    }
    lines
}

fn fold(lines: Vec<Line>) -> Vec<Line> {
    let changed: Vec<usize> =
        lines.iter().enumerate().filter(|(_, line)| !matches!(line, Line::Same(_))).map(|(n, _)| n).collect();
    let near = |n: usize| {
        let next = changed.partition_point(|at| *at + AROUND < n);
        changed.get(next).is_some_and(|at| *at <= n + AROUND)
    };
    let mut folded: Vec<Line> = Vec::new();
    for (n, line) in lines.into_iter().enumerate() {
        if near(n) {
            folded.push(line);
        } else if let Some(Line::Skipped(count)) = folded.last_mut() {
            *count += 1;
        } else {
            folded.push(Line::Skipped(1));
        }
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(before: &str, after: &str, expected: &[&str]) {
        let said: Vec<String> = compare(before, after)
            .into_iter()
            .map(|line| match line {
                Line::Same(text) => format!(" {}", words::original(&text).unwrap()),
                Line::Added(text) => format!("+{}", words::original(&text).unwrap()),
                Line::Removed(text) => format!("-{}", words::original(&text).unwrap()),
                Line::Skipped(count) => format!("~{count}"),
            })
            .collect();
        assert_eq!(said, expected);
    }

    #[test]
    fn what_changed_stands_between_what_did_not() {
        check("a\nb\nc", "a\nx\nc", &[" a", "-b", "+x", " c"]);
        check("", "a\nb", &["+a", "+b"]);
        check("a\nb", "", &["-a", "-b"]);
        check("1\n2\n3\n4\n5\n6\n7\n8", "1\n2\n3\n4\n5\n6\n7\n9", &["~4", " 5", " 6", " 7", "-8", "+9"]);
        check("a\nb\nc\nd", "b\nc\ne\nd", &["-a", " b", " c", "+e", " d"]);
        check("same", "same", &["~1"]);
    }
}
