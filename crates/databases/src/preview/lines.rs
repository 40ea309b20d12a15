//! A preview in plain lines, for cards and terminals.

use std::fmt::Write as _;

use super::facts::{Fires, Touched};
use super::{Known, Preview};

impl Preview {
    /// The preview as lines of plain text, the most important first. Names in them are the database's: whoever shows
    /// them shows hidden characters too.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.undo.words().to_owned()];
        match &self.exact {
            Some(Known::Is(exact)) => {
                lines
                    .push(format!("Run and rolled back just now, it wrote or returned {} rows.", exact.rows));
                for changed in &exact.tables {
                    lines.push(format!(
                        "{}: {} added, {} changed, {} removed.",
                        changed.table, changed.inserted, changed.updated, changed.deleted
                    ));
                    for (word, rows) in [("now", &changed.before), ("then", &changed.after)] {
                        lines.extend(rows.iter().map(|row| format!("  {word}: {}", shown(row))));
                    }
                }
                lines.extend(exact.uncounted.iter().map(|why| format!("Tables were not counted: {why}.")));
            }
            Some(Known::Not(why)) => lines.push(format!("It was not tried out: {why}.")),
            None => {}
        }
        match &self.plan {
            Known::Is(plan) => {
                lines.push(format!("The server expects about {} rows, cascades not counted.", plan.rows));
            }
            Known::Not(why) => lines.push(format!("There is no plan: {why}.")),
        }
        lines.extend(self.tables.iter().map(touched));
        lines.extend(self.fires.iter().map(fires));
        if let Known::Is(plan) = &self.plan {
            lines.extend(plan.steps.iter().map(|step| format!("  {step}")));
        }
        lines
    }
}

fn shown(row: &[(String, String)]) -> String {
    let pairs: Vec<String> = row.iter().map(|(column, value)| format!("{column} = {value}")).collect();
    pairs.join(", ")
}

fn touched(touched: &Touched) -> String {
    let verbs: Vec<&str> = touched.verbs.iter().copied().collect();
    let mut line = format!("{} ({}): {}", touched.table, touched.kind, verbs.join(", "));
    if !touched.through.is_empty() {
        let through: Vec<&str> = touched.through.iter().map(String::as_str).collect();
        let _ = write!(line, ", through {}", through.join(", "));
    }
    if let Some(rows) = touched.rows {
        let _ = write!(line, "; about {rows} rows");
    }
    if let Some(bytes) = touched.bytes {
        let _ = write!(line, "; {}", size(bytes));
    }
    line.push('.');
    line
}

fn fires(fires: &Fires) -> String {
    let runs = if fires.runs.is_empty() { String::new() } else { format!(", which runs {}", fires.runs) };
    match fires.kind {
        "cascade" => format!("A foreign key to {} reaches {}.", fires.name, fires.on),
        "event trigger" => format!("The event trigger {} fires{runs}.", fires.name),
        kind => format!("The {kind} {} of {} fires{runs}.", fires.name, fires.on),
    }
}

/// Bytes in the largest unit of which there is at least one.
fn size(bytes: u64) -> String {
    const UNITS: [(&str, u32); 4] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let unit = UNITS.iter().find(|(_, shift)| bytes >> shift > 0);
    unit.map_or_else(|| format!("{bytes} bytes"), |(unit, shift)| format!("{} {unit}", bytes >> shift))
}
