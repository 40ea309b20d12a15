//! The receipt as a person reads it: plain text, in which nothing from outside can forge a line of ours.

use std::fmt::{self, Write as _};

use domain::action::Level;
use domain::id::GroupName;
use domain::later::Finding;
use domain::outcome::{Ending, Witnessed};
use domain::principal::Principal;
use domain::requirement::{Assurance, Quorum, Requirement, Separation};
use domain::statement;
use domain::text::{cut, visible};
use domain::time::Timestamp;

use crate::report::{
    Account, Countersigned, Key, Log, Membership, Part, Report, Review, Revoked, Rotation, State, Summary,
    Verdict,
};

/// The most of one payload field that is printed, in bytes; the report has it whole.
const SHOWN_LIMIT_BYTES: usize = 4_000;

pub(crate) const VALID: &str = "VALID: everything below is proven by the log whose key you trust";
pub(crate) const INDETERMINATE: &str =
    "INDETERMINATE: nothing is wrong with what is there, but something needed is missing";

impl Report {
    /// The report as a person reads it. Text from outside is escaped: what does not show is named, and every
    /// further line of it is indented behind a bar.
    #[must_use]
    pub fn render(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Valid => VALID,
            Verdict::Invalid => "INVALID: do not rely on anything that this receipt says",
            Verdict::Indeterminate => INDETERMINATE,
        };
        writeln!(f, "{verdict}")?;
        for reason in &self.reasons {
            writeln!(f, "  - {}", line(reason))?;
        }
        self.summary.as_ref().map_or(Ok(()), |summary| summary.fmt(f))
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.separation == Some(Separation::None) {
            f.write_str("\n*** SEPARATION: NONE. Solo evaluation: whoever answers for the agent may review its actions. ***\n")?;
        }
        for broke in self.reviews.iter().filter(|review| review.break_glass) {
            let who = party(Principal::Person(broke.person), broke.name.as_deref());
            write!(f, "\n*** BREAK-GLASS. {who} approved this alone. ***\n")?;
        }
        writeln!(f, "\nAction     {}", self.approval)?;
        writeln!(f, "Result     {}", result(self))?;
        asked(self, f)?;
        what(self, f)?;
        rules(self, f)?;
        self.reviews.iter().try_for_each(|review| self::review(review, f))?;
        for answer in &self.answers {
            let who = named(self, answer.by);
            match &answer.text {
                Some(text) => writeln!(f, "Answer     {} by {who}{}", time(answer.at), quoted(text))?,
                None => writeln!(f, "Withdrawn  {} by {who}", time(answer.at))?,
            }
        }
        execution(self, f)?;
        later_review(self, f)?;
        proof(self, f)
    }
}

pub(crate) fn result(summary: &Summary) -> String {
    match &summary.state {
        State::Pending => "pending: nothing had run when the last of these entries was written".to_owned(),
        State::Approved => "approved: nothing had run when the last of these entries was written".to_owned(),
        State::Denied { by, why, at } => {
            let by = by.map_or("policy".to_owned(), |person| named(summary, Principal::Person(person)));
            format!("denied {} by {by}; nothing ran{}", time(*at), quoted(why.as_deref().unwrap_or("")))
        }
        State::Expired { at } => format!("expired {}; nothing ran", time(*at)),
        State::Cancelled { by, why, at } => {
            format!("cancelled {} by {}; nothing ran{}", time(*at), named(summary, *by), quoted(why))
        }
        State::Executing => "started; the receipt shows no outcome".to_owned(),
        State::Finished => {
            let outcome = summary.execution.as_ref().and_then(|run| run.finished.as_ref());
            outcome.map_or("it ran", |(_, outcome)| ending(outcome.ending)).to_owned()
        }
        State::Undetermined => "not known: an entry of the case is withheld".to_owned(),
    }
}

fn asked(summary: &Summary, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(f, "Asked      {}", time(summary.asked_at))?;
    for asked in &summary.asked_by {
        writeln!(f, "  {:<9}{}", asked.role, party(asked.principal, asked.name.as_deref()))?;
    }
    match &summary.reason {
        Some(reason) => writeln!(f, "Reason     in the caller's words{}", quoted(reason)),
        None => Ok(()),
    }
}

fn what(summary: &Summary, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let what = &summary.what;
    writeln!(f, "What       {} ({}) on {}", what.verb, what.group.as_str(), line(&what.resource))?;
    writeln!(f, "Where      {} in {}", what.target, what.environment)?;
    for (label, value) in &what.labels {
        writeln!(f, "  label    {}={}", line(label), line(value))?;
    }
    if let Some(credential) = &what.credential {
        writeln!(f, "As         {}", line(credential))?;
    }
    let level = match what.level {
        Level::Enforced => "the caller could not go round it",
        Level::Cooperative => "the caller could have gone round it",
    };
    writeln!(f, "Through    {}: {level}", what.point.as_str())?;
    for (name, value) in &what.session {
        writeln!(f, "  session  {}={}", line(name), line(value))?;
    }
    writeln!(f, "Digest     {}", what.digest)?;
    for part in &summary.payload {
        match part {
            Part::Text { path, text } => {
                let shown = cut(text, SHOWN_LIMIT_BYTES);
                let rest = text.len() - shown.len();
                let rest = if rest == 0 {
                    String::new()
                } else {
                    format!(" ({rest} more bytes are not printed here)")
                };
                writeln!(f, "Payload    {}{rest}{}", line(path), quoted(shown))?;
            }
            Part::Binary { path, bytes } => {
                writeln!(f, "Payload    {}: {bytes} bytes that are not text", line(path))?
            }
            Part::Withheld { commitment } => writeln!(f, "Payload    one field withheld ({commitment})")?,
        }
    }
    Ok(())
}

fn rules(summary: &Summary, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for rule in &summary.rules {
        writeln!(f, "Rule       {}{}", rule.id, quoted(&rule.why))?;
    }
    writeln!(f, "Policy     {}", summary.policy)?;
    match &summary.requirement {
        Some(requirement) => writeln!(f, "Required   {}; {}", required(requirement), apart(requirement)),
        None => writeln!(f, "Required   nothing: policy, asked last, permits or denies it outright"),
    }
}

fn required(requirement: &Requirement) -> String {
    let hold = |hold: &domain::requirement::Hold| {
        let ways: Vec<_> = hold.any_of.iter().map(way).collect();
        ways.join(" or ")
    };
    requirement.holds.iter().map(hold).collect::<Vec<_>>().join("; and ")
}

fn way(quorum: &Quorum) -> String {
    let emergency = if quorum.break_glass { ", by break-glass" } else { "" };
    format!("{} of {}{emergency}", quorum.count, quorum.group)
}

fn apart(requirement: &Requirement) -> &'static str {
    match requirement.separation {
        Separation::Full => "nobody who asked may review",
        Separation::None => "the agent's sponsor may review",
    }
}

fn review(review: &Review, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let word = match review.verdict {
        statement::Verdict::Approve => "Approved",
        statement::Verdict::Deny => "Denied",
        statement::Verdict::Ask => "Asked back",
    };
    let who = party(Principal::Person(review.person), review.name.as_deref());
    let mut more = String::new();
    if let Some(group) = &review.group {
        write!(more, " for {group}")?;
    }
    if review.break_glass {
        more.push_str(", BREAKING GLASS");
    }
    if review.counted {
        more.push_str(", counted");
    }
    writeln!(
        f,
        "{word:<10} {} by {who}{more}{}",
        time(review.at),
        quoted(review.note.as_deref().unwrap_or(""))
    )?;
    match &review.account {
        Some(account) => clicked(account, f)?,
        None => signed(review.key.as_ref(), review.assurance, f)?,
    }
    match (&review.membership, &review.group) {
        (Some(membership), Some(group)) => stood(membership, group, f),
        (Some(_) | None, _) => Ok(()),
    }
}

/// What somebody found who looked at broken glass, or that nobody has looked.
fn later_review(summary: &Summary, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Some(later) = &summary.later_review else {
        return match summary.awaits_later_review {
            true => writeln!(
                f,
                "Afterwards nobody had looked at the broken glass when the last of these entries was written"
            ),
            false => Ok(()),
        };
    };
    let who = party(Principal::Person(later.person), later.name.as_deref());
    let found = match later.finding {
        Finding::Justified => "found it justified",
        Finding::NotJustified => "found it NOT JUSTIFIED",
    };
    writeln!(f, "Afterwards {} {who} for {} {found}{}", time(later.at), later.group, quoted(&later.note))?;
    signed(later.key.as_ref(), Assurance::Passkey, f)?;
    later.membership.as_ref().map_or(Ok(()), |membership| stood(membership, &later.group, f))
}

fn stood(membership: &Membership, group: &GroupName, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Membership { entry, approved } = membership;
    writeln!(f, "  in `{group}` by entry {entry}, which {}", countersigned(approved))
}

/// With which key something was signed.
fn signed(key: Option<&Key>, assurance: Assurance, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let assurance = match assurance {
        Assurance::Chat => "chat",
        Assurance::Passkey => "passkey",
    };
    match key {
        None => writeln!(f, "  signature UNCHECKED: no entry here enrols the key"),
        Some(key) => {
            let by = key.enrolled_by.map_or("nobody (bootstrap)".to_owned(), |by| party(by, None));
            let under =
                key.under.map_or("without an approval".to_owned(), |id| format!("under approval {id}"));
            writeln!(
                f,
                "  signed with the key `{}` ({assurance}), enrolled by entry {}, by {by}, {under}",
                line(&key.label),
                key.enrolled
            )?;
            writeln!(f, "  the key {}", countersigned(&key.countersigned))?;
            key.revoked.as_ref().map_or(Ok(()), |revoked| self::revoked(revoked, f))
        }
    }
}

/// In which account something was clicked, and what that is worth.
fn clicked(account: &Account, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Account { provider, team, user, linked, unlinked } = account;
    let (provider, team, user) = (line(provider), line(team), line(user));
    writeln!(
        f,
        "  a CLICK in {provider} by {user} of {team} (chat): no key signed; that it was made is the log's word"
    )?;
    match linked {
        Some(entry) => writeln!(f, "  the account was linked to them by entry {entry}")?,
        None => writeln!(f, "  whose account it is is UNCHECKED: no entry here links it")?,
    }
    match unlinked {
        Some(ended) => {
            let by = ended.by.map_or("nobody".to_owned(), |by| party(by, None));
            writeln!(f, "  the account was unlinked by entry {}, by {by}", ended.entry)
        }
        None => Ok(()),
    }
}

fn revoked(revoked: &Revoked, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let by = revoked.by.map_or("nobody".to_owned(), |by| party(by, None));
    let how = match (revoked.under, &revoked.countersigned) {
        (Some(id), Some(signed)) => format!("under approval {id}; that {}", countersigned(signed)),
        (Some(id), None) => format!("under approval {id}"),
        (None, _) => "at once: nobody signed for that, and who did it is the log's word".to_owned(),
    };
    writeln!(f, "  the key was revoked by entry {}, by {by}, {how}", revoked.entry)
}

fn countersigned(by: &Countersigned) -> String {
    match by {
        Countersigned::Bootstrap { pinned: true, .. } => {
            "is the first administrator's, countersigned by nobody, with the bootstrap key that you trust; \
             separation: none"
                .to_owned()
        }
        Countersigned::Bootstrap { pinned: false, .. } => {
            "is the first administrator's, countersigned by nobody and TAKEN ON TRUST from the log (`--bootstrap-key` \
             pins it); separation: none"
                .to_owned()
        }
        Countersigned::Alone { by } => format!(
            "is the word of the only administrator, {}, as the log has it: nobody signed for it; separation: none",
            party(*by, None)
        ),
        Countersigned::By { people, separation } => {
            let people: Vec<_> =
                people.iter().map(|person| party(Principal::Person(*person), None)).collect();
            let alone = match separation {
                Separation::Full => "",
                Separation::None => "; separation: none",
            };
            format!("was countersigned by the administrator {}{alone}", people.join(" and "))
        }
        Countersigned::NotShown => "is NOT SHOWN to be countersigned by an administrator".to_owned(),
    }
}

fn execution(summary: &Summary, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Some(run) = &summary.execution else { return Ok(()) };
    writeln!(f, "Started    {}, once, under grant {}", time(run.started), run.grant)?;
    let Some((at, outcome)) = &run.finished else { return Ok(()) };
    let witnessed = match outcome.witnessed {
        Witnessed::Observed => "seen by the gateway",
        Witnessed::Reported => "reported, not seen",
    };
    writeln!(
        f,
        "Ended      {}: {}, {witnessed}{}",
        time(*at),
        ending(outcome.ending),
        quoted(&outcome.detail)
    )
}

fn ending(ending: Ending) -> &'static str {
    match ending {
        Ending::Succeeded => "it ran and succeeded",
        Ending::Failed => "it was started and failed",
        Ending::Unknown => "it was started, and nobody saw how it ended",
    }
}

fn proof(summary: &Summary, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let log = &summary.log;
    writeln!(f, "Log        {}, {} entries, root {}", log.origin, log.size, log.root)?;
    writeln!(f, "Key        {}", log.key)?;
    told_log(log, f)?;
    for entry in &log.entries {
        let subject = entry.subject.as_deref().map(line).unwrap_or_default();
        writeln!(f, "  entry {:>6}  {}  {:<15} {subject}", entry.index, time(entry.at), entry.kind)?;
    }
    f.write_str(
        "\nA receipt proves each entry that it shows. It cannot show that none was left out: a later entry,\n\
         or a key's revocation before a review, is found in the log itself.\n",
    )
}

/// The changes of the log's key that were followed, and what the witnesses say.
pub(crate) fn told_log(log: &Log, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for rotation in &log.rotations {
        let Rotation { entry, at, old, .. } = rotation;
        writeln!(f, "  handed over by {old} in entry {entry}, {}", time(*at))?;
    }
    for witness in &log.witnesses {
        let name = line(&witness.name);
        match witness.cosigned {
            Some(at) => writeln!(f, "Witness    {name} cosigned {}", time(at))?,
            None => writeln!(f, "Witness    {name} did not cosign")?,
        }
    }
    Ok(())
}

/// A party with the name that the summary knows it by.
fn named(summary: &Summary, principal: Principal) -> String {
    let asked = summary.asked_by.iter().find(|party| party.principal == principal).map(|party| &party.name);
    let reviewed = || summary.reviews.iter().find(|review| Principal::Person(review.person) == principal);
    let name = asked.or_else(|| reviewed().map(|review| &review.name));
    party(principal, name.and_then(Option::as_deref))
}

pub(crate) fn party(principal: Principal, name: Option<&str>) -> String {
    name.map_or_else(|| principal.to_string(), |name| format!("{} ({principal})", line(name)))
}

/// Text from outside on one line of ours.
pub(crate) fn line(text: &str) -> String {
    visible(text).replace('\n', "⟨U+000A⟩").replace('\t', "⟨U+0009⟩")
}

/// Text from outside on lines of its own, behind a bar that it cannot write at a line's beginning.
fn quoted(text: &str) -> String {
    visible(text).lines().fold(String::new(), |mut all, line| {
        all.push_str("\n  | ");
        all.push_str(line);
        all
    })
}

/// A moment as RFC 3339 in UTC, to the microsecond that the log has.
pub(crate) fn time(at: Timestamp) -> String {
    let (seconds, micros) = (at.micros() / 1_000_000, at.micros() % 1_000_000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days: eras of 400 years
    // that begin on 1 March, so that the leap day is a year's last.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{micros:06}Z",
        second / 3_600,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_read_as_rfc_3339() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000000Z"),
            (1_709_251_199_999_999, "2024-02-29T23:59:59.999999Z"),
            (1_709_251_200_000_000, "2024-03-01T00:00:00.000000Z"),
            (4_102_444_799_000_001, "2099-12-31T23:59:59.000001Z"),
        ] {
            assert_eq!(time(Timestamp::from_micros(micros)), text);
        }
    }

    #[test]
    fn no_text_from_outside_forges_a_line() {
        assert_eq!(line("a\nVALID\t\u{202e}b"), "a⟨U+000A⟩VALID⟨U+0009⟩⟨U+202E⟩b");
        assert_eq!(quoted("a\nVALID\r\u{2028}x"), "\n  | a\n  | VALID⟨U+000D⟩⟨U+2028⟩x");
        assert_eq!(quoted(""), "");
    }
}
