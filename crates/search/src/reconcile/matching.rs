//! Holding statements against actions: pure, one statement at a time.
//!
//! A statement passed us when its user is one that only the gateway has, and an action on the database's route was
//! running then: the one that the statement's mark names, or, without a mark, any. The second is weaker, and the report
//! tells the two apart.

use std::collections::{BTreeMap, BTreeSet};

use domain::id::ActionId;
use domain::text::cut;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::csvlog::{Row, Statement};
use super::{FINDINGS_LIMIT, OPEN_ENDED, SESSIONS_LIMIT, SLACK, STATEMENT_LIMIT_BYTES, sql};

/// What a mark begins with, in `application_name` or in a comment; an action's id follows.
const MARK: &str = "countersign:";

/// Which databases stand behind which routes, as the operator says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// The databases that are judged. What runs in others is counted, and not judged.
    pub database: Vec<Database>,
}

/// A database, and who comes to it from us.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// Its name on the server.
    pub name: String,
    /// The route whose actions run there.
    pub target: String,
    /// The database's users whose credential only the gateway has.
    pub gateway_users: BTreeSet<String>,
    /// Users who are not judged, such as a monitor or a backup; their statements are counted.
    #[serde(default)]
    pub ignore_users: BTreeSet<String>,
}

/// An action that ran, as the trail has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Which action.
    pub action: ActionId,
    /// On which route.
    pub target: String,
    /// When it began: its permit, or its execution.
    pub from: Timestamp,
    /// When its outcome was recorded, where it was.
    pub to: Option<Timestamp>,
}

/// Why a statement did not pass us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// Its user is none of the gateway's.
    OtherUser,
    /// Its user is the gateway's, and no action was running.
    NoAction,
    /// It bears the mark of an action that the trail does not have, or that was not running then.
    WrongMark,
}

impl Why {
    /// The reason's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OtherUser => "other-user",
            Self::NoAction => "no-action",
            Self::WrongMark => "wrong-mark",
        }
    }
}

/// A statement that did not pass us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// When it was logged.
    pub time: Timestamp,
    /// The database.
    pub database: String,
    /// The database's user.
    pub user: String,
    /// From where.
    pub from: String,
    /// What the session calls itself.
    pub application: String,
    /// The server's session.
    pub session: String,
    /// Why it is listed.
    pub why: Why,
    /// The statement, without its values.
    pub statement: String,
}

/// What a reconciliation came to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// How many statements were judged.
    pub judged: u64,
    /// How many of them bear the mark of an action that was running.
    pub matched_by_mark: u64,
    /// How many bear none, and ran while some action on the route was running: weaker.
    pub matched_by_time: u64,
    /// How many did not pass us.
    pub found: u64,
    /// The first of them.
    pub findings: Vec<Finding>,
    /// Statements of users whom the operator leaves out, by user.
    pub ignored: BTreeMap<String, u64>,
    /// Statements in databases that the operator does not name, by database.
    pub unmapped: BTreeMap<String, u64>,
    /// Statements outside the time that was asked for.
    pub outside: u64,
    /// How many rows are missing, by the numbers that sessions give their rows: the log is not whole.
    pub missing_rows: u64,
}

/// Holds statements against actions.
#[derive(Debug)]
pub struct Matcher<'a> {
    mapping: &'a Mapping,
    actions: BTreeMap<ActionId, Ran>,
    /// By route: when actions began, and the latest end of all that began until then.
    running: BTreeMap<String, Vec<(Timestamp, Timestamp)>>,
    from: Timestamp,
    to: Timestamp,
    /// The last line of each session.
    sessions: BTreeMap<String, u64>,
    report: Report,
}

impl<'a> Matcher<'a> {
    /// Over these databases and actions, for statements from `from` on and before `to`.
    #[must_use]
    pub fn new(mapping: &'a Mapping, actions: Vec<Ran>, from: Timestamp, to: Timestamp) -> Self {
        let mut running: BTreeMap<String, Vec<(Timestamp, Timestamp)>> = BTreeMap::new();
        for action in &actions {
            running.entry(action.target.clone()).or_default().push((action.from, action.end()));
        }
        for spans in running.values_mut() {
            spans.sort_unstable();
            let mut latest = Timestamp::ZERO;
            for (_, end) in spans {
                latest = latest.max(*end);
                *end = latest;
            }
        }
        let actions = actions.into_iter().map(|action| (action.action, action)).collect();
        Self { mapping, actions, running, from, to, sessions: BTreeMap::new(), report: Report::default() }
    }

    /// Looks at one row.
    pub fn see(&mut self, row: &Row) {
        self.follow(row);
        if let Some(statement) = &row.statement {
            self.judge(statement);
        }
    }

    /// What it came to.
    #[must_use]
    pub fn report(self) -> Report {
        self.report
    }

    /// Each session numbers its rows from 1, so a number that is left out is a row that is gone. Where files begin
    /// in the middle of a session, nothing is said of what was before.
    fn follow(&mut self, row: &Row) {
        if let Some(last) = self.sessions.get(&row.session) {
            self.report.missing_rows += row.line.saturating_sub(*last).saturating_sub(1);
        }
        if self.sessions.len() >= SESSIONS_LIMIT && !self.sessions.contains_key(&row.session) {
            // Sessions are named after the time of their beginning.
            self.sessions.pop_first();
        }
        self.sessions.insert(row.session.clone(), row.line);
    }

    fn judge(&mut self, statement: &Statement) {
        if statement.time < self.from || statement.time >= self.to {
            self.report.outside += 1;
            return;
        }
        let Some(database) = self.mapping.database.iter().find(|one| one.name == statement.database) else {
            *self.report.unmapped.entry(statement.database.clone()).or_default() += 1;
            return;
        };
        if database.ignore_users.contains(&statement.user) {
            *self.report.ignored.entry(statement.user.clone()).or_default() += 1;
            return;
        }
        self.report.judged += 1;
        let why = if !database.gateway_users.contains(&statement.user) {
            Some(Why::OtherUser)
        } else {
            match mark(statement) {
                Some(action) if self.was_running(action, &database.target, statement.time) => {
                    self.report.matched_by_mark += 1;
                    None
                }
                Some(_) => Some(Why::WrongMark),
                None if self.any_running(&database.target, statement.time) => {
                    self.report.matched_by_time += 1;
                    None
                }
                None => Some(Why::NoAction),
            }
        };
        if let Some(why) = why {
            self.find(statement, why);
        }
    }

    fn find(&mut self, statement: &Statement, why: Why) {
        self.report.found += 1;
        if self.report.findings.len() >= FINDINGS_LIMIT {
            return;
        }
        self.report.findings.push(Finding {
            time: statement.time,
            database: statement.database.clone(),
            user: statement.user.clone(),
            from: statement.from.clone(),
            application: statement.application.clone(),
            session: statement.session.clone(),
            why,
            statement: cut(&sql::masked(&statement.text), STATEMENT_LIMIT_BYTES).to_owned(),
        });
    }

    fn was_running(&self, action: ActionId, target: &str, at: Timestamp) -> bool {
        self.actions.get(&action).is_some_and(|ran| ran.target == target && covers(ran.from, ran.end(), at))
    }

    fn any_running(&self, target: &str, at: Timestamp) -> bool {
        let Some(spans) = self.running.get(target) else { return false };
        let slack = micros(SLACK);
        let begun = spans.partition_point(|(from, _)| from.micros() <= at.micros().saturating_add(slack));
        begun
            .checked_sub(1)
            .and_then(|last| spans.get(last))
            .is_some_and(|(_, latest)| latest.micros().saturating_add(slack) >= at.micros())
    }
}

impl Ran {
    fn end(&self) -> Timestamp {
        let open = Timestamp::from_micros(self.from.micros().saturating_add(micros(OPEN_ENDED)));
        self.to.unwrap_or(open)
    }
}

fn covers(from: Timestamp, to: Timestamp, at: Timestamp) -> bool {
    let slack = micros(SLACK);
    from.micros().saturating_sub(slack) <= at.micros() && at.micros() <= to.micros().saturating_add(slack)
}

fn micros(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The action that a statement says it belongs to. A mark that does not read is none.
fn mark(statement: &Statement) -> Option<ActionId> {
    let id = |text: &str| text.get(..36)?.parse().ok();
    let named = statement.application.strip_prefix(MARK).and_then(id);
    named.or_else(|| {
        statement.text.match_indices(MARK).find_map(|(at, _)| id(statement.text.get(at + MARK.len()..)?))
    })
}
