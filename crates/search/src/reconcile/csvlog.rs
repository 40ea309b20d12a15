//! PostgreSQL's csvlog, versions 13 to 18: 24 columns in 13, 26 from 14 on.
//!
//! Source: PostgreSQL's documentation, "Using CSV-Format Log Output". A statement is a row of severity `LOG` whose
//! message begins as `log_statement` and `log_min_duration_statement` write it.

use std::io::Read;

use csv::{ByteRecord, ReaderBuilder};
use domain::time::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Where the columns stand.
mod column {
    pub(super) const TIME: usize = 0;
    pub(super) const USER: usize = 1;
    pub(super) const DATABASE: usize = 2;
    pub(super) const FROM: usize = 4;
    pub(super) const SESSION: usize = 5;
    pub(super) const LINE: usize = 6;
    pub(super) const SEVERITY: usize = 11;
    pub(super) const MESSAGE: usize = 13;
    pub(super) const APPLICATION: usize = 22;
}

/// How many columns a row has: of 13, and of 14 to 18.
const COLUMNS: [usize; 2] = [24, 26];

/// Why a log does not read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file cannot be read, or is no CSV.
    #[error("row {row} does not read: {why}")]
    Csv {
        /// Which row, from 1.
        row: u64,
        /// What is wrong.
        why: String,
    },
    /// The row is of no version that is known.
    #[error(
        "row {row} has {columns} columns; PostgreSQL 13 writes 24, and 14 to 18 write 26: is it a csvlog?"
    )]
    Columns {
        /// Which row, from 1.
        row: u64,
        /// How many it has.
        columns: usize,
    },
    /// The row's time cannot be told.
    #[error(
        "row {row}: the time `{time}` does not say which zone it is in; name the server's `log_timezone`"
    )]
    Time {
        /// Which row, from 1.
        row: u64,
        /// The time as it stands.
        time: String,
    },
}

/// The zone of times whose abbreviation does not say it for certain (`CET` does not, `UTC` does).
#[derive(Debug, Clone, Default)]
pub struct Zone(Option<TimeZone>);

impl Zone {
    /// The zone of this name, such as `Europe/Vienna`; `None` where nobody knows it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        TimeZone::get(name).ok().map(|zone| Self(Some(zone)))
    }
}

/// A row of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The session it belongs to.
    pub session: String,
    /// Its number in the session, from 1 and without a hole.
    pub line: u64,
    /// The statement, where it logs one.
    pub statement: Option<Statement>,
}

/// A statement that ran, or was about to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// When it was logged.
    pub time: Timestamp,
    /// The database's user.
    pub user: String,
    /// The database.
    pub database: String,
    /// From where the session came: an address and port, or `[local]`.
    pub from: String,
    /// The session.
    pub session: String,
    /// What the session calls itself.
    pub application: String,
    /// The statement, with its values.
    pub text: String,
}

/// Reads a log, row after row.
///
/// # Errors
/// At the first row that does not read: a log that is read in part proves nothing. Also what `each` answers.
pub fn read<E: From<LogError>>(
    log: impl Read,
    zone: &Zone,
    mut each: impl FnMut(Row) -> Result<(), E>,
) -> Result<(), E> {
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(log);
    let mut record = ByteRecord::new();
    let mut number = 0;
    loop {
        number += 1;
        match reader.read_byte_record(&mut record) {
            Ok(true) => each(row(&record, number, zone)?)?,
            Ok(false) => return Ok(()),
            Err(error) => return Err(LogError::Csv { row: number, why: error.to_string() }.into()),
        }
    }
}

fn row(record: &ByteRecord, number: u64, zone: &Zone) -> Result<Row, LogError> {
    if !COLUMNS.contains(&record.len()) {
        return Err(LogError::Columns { row: number, columns: record.len() });
    }
    // A database may hold text in any encoding; what is not UTF-8 is shown as such.
    let text = |at: usize| String::from_utf8_lossy(record.get(at).unwrap_or_default()).into_owned();
    let line = text(column::LINE).parse();
    let line =
        line.map_err(|_| LogError::Csv { row: number, why: "a session's line has no number".to_owned() })?;
    let session = text(column::SESSION);
    let message = text(column::MESSAGE);
    let statement = match (text(column::SEVERITY).as_str(), said(&message)) {
        ("LOG", Some(said)) => {
            let stands = text(column::TIME);
            let time = time(&stands, zone).ok_or(LogError::Time { row: number, time: stands })?;
            Some(Statement {
                time,
                user: text(column::USER),
                database: text(column::DATABASE),
                from: text(column::FROM),
                session: session.clone(),
                application: text(column::APPLICATION),
                text: said.to_owned(),
            })
        }
        (_, _) => None,
    };
    Ok(Row { session, line, statement })
}

/// The statement in a message, where it logs the running of one.
fn said(message: &str) -> Option<&str> {
    // `duration: 0.123 ms  statement: …`, where only durations are logged.
    let message = match message.strip_prefix("duration: ") {
        Some(rest) => rest.split_once(" ms  ")?.1,
        None => message,
    };
    if let Some(said) = message.strip_prefix("statement: ") {
        return Some(said);
    }
    if let Some(said) = message.strip_prefix("fastpath function call: ") {
        return Some(said);
    }
    // `execute <unnamed>: …`, `execute fetch from p1/c1: …`; parsing and binding run nothing.
    message.strip_prefix("execute ").and_then(|rest| rest.split_once(": ")).map(|(_, said)| said)
}

/// `2026-11-21 05:29:11.123 UTC`.
fn time(text: &str, zone: &Zone) -> Option<Timestamp> {
    let (moment, name) = text.rsplit_once(' ')?;
    let moment: DateTime = moment.parse().ok()?;
    let zone = match (name, &zone.0) {
        ("UTC" | "GMT" | "Z", _) => TimeZone::UTC,
        (_, Some(zone)) => zone.clone(),
        (name, None) => TimeZone::fixed(offset(name)?),
    };
    let at = moment.to_zoned(zone).ok()?.timestamp().as_microsecond();
    u64::try_from(at).ok().map(Timestamp::from_micros)
}

/// A zone that is written as its offset: `+02`, `-0330`.
fn offset(name: &str) -> Option<jiff::tz::Offset> {
    let sign = match name.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits: String = name.chars().skip(1).filter(|c| *c != ':').collect();
    let number = |part: Option<&str>| part.map_or(Some(0), |part| part.parse::<i32>().ok());
    let hours = number(digits.get(..2))?;
    let minutes = number(digits.get(2..).filter(|rest| !rest.is_empty()))?;
    jiff::tz::Offset::from_seconds(sign * (hours * 3_600 + minutes * 60)).ok()
}
