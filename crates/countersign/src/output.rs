//! What a person reads and what a machine reads: tables without borders, colour only where somebody looks, and
//! the API's own JSON under `--json`.
//!
//! Whatever comes from outside passes [`visible`], so that nothing in it moves a terminal's cursor or hides.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use domain::text::visible;
use domain::time::Timestamp;
use serde_json::Value;

/// How often the spinner turns.
const SPINNER_EVERY: Duration = Duration::from_millis(120);
/// A wait shorter than this shows no spinner.
const SPINNER_AFTER: Duration = Duration::from_millis(400);

/// Where a command's words go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    /// Whether machines read it.
    pub(crate) json: bool,
    colour: bool,
}

/// How a piece of text stands out. Without colour it is the text alone: no meaning hangs on colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Bold,
    Dim,
    Good,
    Warn,
    Bad,
}

impl Tone {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Good => "32",
            Self::Warn => "33",
            Self::Bad => "31",
        }
    }

    /// The tone in which a state of an approval, or an ending, is said.
    pub(crate) fn of_state(word: &str) -> Self {
        match word {
            "pending" | "executing" | "unknown" | "needs-review" | "held" => Self::Warn,
            "approved" | "finished" | "succeeded" | "permit" | "permitted" | "active" => Self::Good,
            "denied" | "failed" | "deny" => Self::Bad,
            "expired" | "cancelled" | "inactive" | "disabled" => Self::Dim,
            _ => Self::Plain,
        }
    }
}

/// One cell of a table.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    pub(crate) fn toned(text: impl AsRef<str>, tone: Tone) -> Self {
        Self { text: one_line(text.as_ref()), tone }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::toned(text, Tone::Plain)
    }
}

impl Output {
    /// Colour where standard output is a terminal and nobody asked for none (<https://no-color.org>).
    pub(crate) fn new(json: bool) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        Self { json, colour: wanted && std::io::stdout().is_terminal() }
    }

    /// Text in a tone.
    pub(crate) fn paint(self, text: &str, tone: Tone) -> String {
        if !self.colour || tone == Tone::Plain {
            return text.to_owned();
        }
        format!("\u{1b}[{}m{text}\u{1b}[0m", tone.code())
    }

    /// A line. It must be ours, or have passed [`visible`].
    pub(crate) fn line(self, text: &str) {
        // A reader that has gone (`| head`) is no failure of ours.
        let _ = writeln!(std::io::stdout(), "{text}");
    }

    /// An answer of the API, as it came.
    pub(crate) fn json(self, value: &Value) {
        self.line(&serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string()));
    }

    /// Lines of `name  value`, the values aligned.
    pub(crate) fn pairs(self, pairs: &[(&str, Cell)]) {
        let width = pairs.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        for (name, cell) in pairs {
            let name = self.paint(&format!("{name:width$}"), Tone::Dim);
            self.line(&format!("{name}  {}", self.paint(&cell.text, cell.tone)));
        }
    }

    /// Aligned columns under quiet headings; `nothing` where there are no rows.
    pub(crate) fn table(self, headings: &[&str], rows: &[Vec<Cell>], nothing: &str) {
        if rows.is_empty() {
            self.line(nothing);
            return;
        }
        for line in self.aligned(headings, rows) {
            self.line(&line);
        }
    }

    fn aligned(self, headings: &[&str], rows: &[Vec<Cell>]) -> Vec<String> {
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| columns(&cell.text));
            let heading = headings.get(column).map_or(0, |heading| columns(heading));
            cells.max().unwrap_or(0).max(heading)
        };
        let widths: Vec<usize> = (0..headings.len()).map(width).collect();
        let headings =
            headings.iter().map(|heading| Cell::toned(heading.to_uppercase(), Tone::Dim)).collect();
        std::iter::once(&headings).chain(rows).map(|row| self.row(row, &widths)).collect()
    }

    fn row(self, row: &[Cell], widths: &[usize]) -> String {
        let mut line = String::new();
        for (position, (cell, width)) in row.iter().zip(widths).enumerate() {
            line.push_str(&self.paint(&cell.text, cell.tone));
            // The last column needs no filling.
            if position + 1 < row.len() {
                let fill = width.saturating_sub(columns(&cell.text)) + 2;
                line.extend(std::iter::repeat_n(' ', fill));
            }
        }
        line.trim_end().to_owned()
    }
}

/// How many columns a text takes in a terminal: two for wide East Asian characters, none for marks that combine.
fn columns(text: &str) -> usize {
    unicode_width::UnicodeWidthStr::width(text)
}

/// Text from outside on one line.
pub(crate) fn one_line(text: &str) -> String {
    visible(text).replace('\n', "⏎").replace('\t', " ")
}

/// Text from outside on as many lines as it has, each behind a bar, so that none passes for ours.
pub(crate) fn quoted(text: &str) -> Vec<String> {
    let shown = visible(text);
    shown.split('\n').map(|line| format!("│ {}", line.replace('\t', "    "))).collect()
}

/// A remark beside the output: to standard error, and only where a person may read it.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Waits with a quiet spinner and the time that has gone, on a terminal only.
pub(crate) async fn waiting<T>(what: &str, future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    if !std::io::stderr().is_terminal() {
        return future.await;
    }
    let began = Instant::now();
    let mut ticks = tokio::time::interval(SPINNER_EVERY);
    let mut turns = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'].into_iter().cycle();
    loop {
        tokio::select! {
            biased;
            done = &mut future => {
                let _ = write!(std::io::stderr(), "\r\u{1b}[2K");
                return done;
            }
            _ = ticks.tick() => {
                let gone = began.elapsed();
                if gone >= SPINNER_AFTER {
                    let turn = turns.next().unwrap_or(' ');
                    let _ = write!(std::io::stderr(), "\r\u{1b}[2K{turn} {what}  {}", clock(gone));
                    let _ = std::io::stderr().flush();
                }
            }
        }
    }
}

/// `0:07`, `12:40`, `1:02:03`.
fn clock(gone: Duration) -> String {
    let seconds = gone.as_secs();
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// A time as people read it, in their own zone: `today 14:03:07`, or with its date.
pub(crate) fn when(time: Timestamp) -> String {
    let Some(then) = zoned(time) else { return format!("{} µs after 1970", time.micros()) };
    let today = jiff::Zoned::now().date() == then.date();
    then.strftime(if today { "today %H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" }).to_string()
}

/// How far a time is from now: `in 12 min`, `3 h ago`.
pub(crate) fn relative(time: Timestamp) -> String {
    let now = jiff::Timestamp::now().as_microsecond();
    let then = i64::try_from(time.micros()).unwrap_or(i64::MAX);
    let seconds = then.saturating_sub(now) / 1_000_000;
    let amount = match seconds.unsigned_abs() {
        0..5 => return "now".to_owned(),
        seconds @ 5..90 => format!("{seconds} s"),
        seconds @ 90..5_400 => format!("{} min", (seconds + 30) / 60),
        seconds @ 5_400..129_600 => format!("{} h", (seconds + 1_800) / 3_600),
        seconds => format!("{} days", (seconds + 43_200) / 86_400),
    };
    if seconds > 0 { format!("in {amount}") } else { format!("{amount} ago") }
}

fn zoned(time: Timestamp) -> Option<jiff::Zoned> {
    let micros = i64::try_from(time.micros()).ok()?;
    let time = jiff::Timestamp::from_microsecond(micros).ok()?;
    Some(time.to_zoned(jiff::tz::TimeZone::system()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Output = Output { json: false, colour: false };

    #[test]
    fn columns_align_whatever_the_script() {
        let rows = vec![vec![Cell::from("删除"), "x".into()], vec!["Zoë".into(), "y".into()]];
        assert_eq!(PLAIN.aligned(&["who", "what"], &rows), ["WHO   WHAT", "删除  x", "Zoë   y"]);
    }

    #[test]
    fn nothing_from_outside_moves_the_cursor() {
        assert_eq!(Cell::from("\u{1b}[2Jx\ny").text, "⟨U+001B⟩[2Jx⏎y");
        assert_eq!(quoted("one\ntwo\u{202e}"), ["│ one", "│ two⟨U+202E⟩"]);
    }

    #[test]
    fn colour_is_only_colour() {
        let colour = Output { json: false, colour: true };
        assert_eq!(colour.paint("held", Tone::Warn), "\u{1b}[33mheld\u{1b}[0m");
        assert_eq!(PLAIN.paint("held", Tone::Warn), "held");
    }

    #[test]
    fn long_waits_read_as_a_clock() {
        assert_eq!(clock(Duration::from_secs(7)), "0:07");
        assert_eq!(clock(Duration::from_secs(3_723)), "1:02:03");
    }
}
