//! Whether what a statement does can be undone, in plain words.

use serde::Serialize;
use sql::Statement;
use sql::statement::CopyEnd;

/// Whether it can be undone once it is committed. Of several answers the worst holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Undo {
    /// It changes nothing.
    Nothing,
    /// Another statement can undo it.
    Statement,
    /// What was there before is gone but for a backup.
    Backup,
    /// It leaves the database, or happens outside of it.
    Outside,
    /// Nobody can say what it does.
    Unknown,
}

impl Undo {
    /// The answer in a sentence.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Nothing => "It changes nothing.",
            Self::Statement => "Another statement can undo it, as long as nothing was built upon it.",
            Self::Backup => "It cannot be undone: what was there comes back only from a backup.",
            Self::Outside => "It cannot be undone: it reaches beyond the database.",
            Self::Unknown => {
                "It cannot be told whether it can be undone: it runs code that is not read here."
            }
        }
    }
}

pub(super) fn undo(statement: &Statement) -> Undo {
    let mut worst = if statement.is_parsed() { Undo::Nothing } else { Undo::Unknown };
    for atom in &statement.atoms {
        let to_client = atom.copy.as_ref().is_none_or(|copy| copy.end == CopyEnd::Client);
        let one = match atom.verb.as_str() {
            "sql.select" | "sql.transaction" | "sql.set" | "sql.session" | "sql.listen" | "sql.lock" => {
                Undo::Nothing
            }
            // What a caller has read it keeps; that is no change of the database.
            "sql.export" if to_client => Undo::Nothing,
            "sql.insert" | "sql.import" | "sql.define" | "sql.grant" => Undo::Statement,
            "sql.update" | "sql.delete" | "sql.truncate" | "sql.drop" | "sql.merge" => Undo::Backup,
            "sql.maintain" => Undo::Nothing,
            "sql.program" | "sql.notify" | "sql.export" | "sql.system" => Undo::Outside,
            _ => Undo::Unknown,
        };
        // A trigger may do anything.
        worst = worst.max(if atom.triggers { one.max(Undo::Unknown) } else { one });
    }
    worst
}
