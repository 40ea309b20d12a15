//! A bundle as a person reads it: plain text, in which nothing from outside can forge a line of ours.

use std::fmt;

use domain::principal::Principal;
use domain::statement;

use super::{BundleReport, CaseReport, Contents};
use crate::render::{INDETERMINATE, VALID, line, party, result, time, told_log};
use crate::report::{State, Verdict};

impl BundleReport {
    /// The report as a person reads it. Text from outside is escaped.
    #[must_use]
    pub fn render(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for BundleReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Valid => VALID,
            Verdict::Invalid => "INVALID: do not rely on anything that this bundle says",
            Verdict::Indeterminate => INDETERMINATE,
        };
        writeln!(f, "{verdict}")?;
        for reason in &self.reasons {
            writeln!(f, "  - {}", line(reason))?;
        }
        self.contents.as_ref().map_or(Ok(()), |contents| contents.fmt(f))
    }
}

impl fmt::Display for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f)?;
        match &self.period {
            None => writeln!(f, "Bundle     some cases; that there are no others is not shown")?,
            Some(period) => {
                let moment = |at: Option<_>, none: &str| at.map_or(none.to_owned(), time);
                writeln!(f, "Bundle     every entry of the log from {} to {}", period.first, period.end - 1)?;
                writeln!(
                    f,
                    "Period     from {} to {}",
                    moment(period.since, "that entry"),
                    moment(period.until, "that entry")
                )?;
                if let Some(root) = &period.before {
                    writeln!(
                        f,
                        "Goes on    from the signed checkpoint of size {}, root {root}",
                        period.first
                    )?;
                }
            }
        }
        let log = &self.log;
        writeln!(f, "Log        {}, {} entries, root {}", log.origin, log.size, log.root)?;
        writeln!(f, "Key        {}", log.key)?;
        told_log(log, f)?;
        for (state, count) in &self.cases {
            writeln!(f, "Cases      {count:>8} {state}")?;
        }
        for (kind, count) in &self.entries {
            writeln!(f, "Entries    {count:>8} {kind}")?;
        }
        writeln!(f, "\nIts maker says, and nothing proves:")?;
        let by = self.about.by.as_deref().map(|by| format!(" for {}", line(by))).unwrap_or_default();
        writeln!(f, "  made {} by {}{by}", time(self.about.made), line(&self.about.maker))?;
        writeln!(f, "  asked for: {}", line(&self.about.query))
    }
}

impl CaseReport {
    /// The case in one line: its id, what was asked by whom, who approved, what came of it.
    #[must_use]
    pub fn line(&self) -> String {
        let Some(summary) = &self.summary else {
            let why = self.reasons.first().map_or("nothing can be said of it", String::as_str);
            return format!("{}  {}", self.approval, line(why));
        };
        let asked = summary.asked_by.first().map(|asked| party(asked.principal, asked.name.as_deref()));
        let counted = summary.reviews.iter().filter(|review| review.counted || unspent(&summary.state));
        let by: Vec<String> = counted
            .map(|review| {
                let who = party(Principal::Person(review.person), review.name.as_deref());
                format!("{} by {who}", word(review.verdict))
            })
            .collect();
        let by = if by.is_empty() { String::new() } else { format!("; {}", by.join(", ")) };
        let what = &summary.what;
        let result = result(summary);
        format!(
            "{}  {} on {} in {} for {}{by}; {}",
            self.approval,
            what.verb,
            line(&what.resource),
            what.environment,
            asked.unwrap_or_default(),
            line(result.lines().next().unwrap_or_default())
        )
    }
}

fn unspent(state: &State) -> bool {
    !matches!(state, State::Executing | State::Finished)
}

fn word(verdict: statement::Verdict) -> &'static str {
    match verdict {
        statement::Verdict::Approve => "approved",
        statement::Verdict::Deny => "denied",
        statement::Verdict::Ask => "asked back",
    }
}
