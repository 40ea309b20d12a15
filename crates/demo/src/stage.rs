//! How the story is told in a terminal: numbered steps, plain words, colour where somebody looks.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

/// The terminal.
#[derive(Debug)]
pub(crate) struct Stage {
    colour: bool,
    step: u32,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { colour: wanted && std::io::stdout().is_terminal(), step: 0 }
    }

    /// The story's title.
    pub(crate) fn title(&self, title: &str, subtitle: &str) {
        self.print("");
        self.print(&format!("  {}  {}", self.paint(title, "1"), self.paint(subtitle, "2")));
    }

    /// The next step's heading.
    pub(crate) fn step(&mut self, heading: &str) {
        self.step += 1;
        let number = self.paint(&format!("{:2}", self.step), "36");
        self.print("");
        self.print(&format!(" {number}  {}", self.paint(heading, "1")));
    }

    /// A line of the story.
    pub(crate) fn say(&self, text: &str) {
        self.print(&format!("     {text}"));
    }

    /// What somebody could type themself.
    pub(crate) fn command(&self, text: &str) {
        self.print(&format!("     {}", self.paint(&format!("$ {text}"), "2")));
    }

    /// A request over HTTP and what came of it.
    pub(crate) fn call(&self, request: &str, status: u16, remark: &str) {
        let colour = if (200..300).contains(&status) { "32" } else { "31" };
        let status = self.paint(&format!("{status:4}"), colour);
        self.print(&format!("     {request:30}  {status}  {remark}"));
    }

    /// A request that has no answer yet.
    pub(crate) fn held(&self, request: &str, remark: &str) {
        let held = self.paint("held", "33");
        self.print(&format!("     {request:30}  {held}  {remark}"));
    }

    /// What went well.
    pub(crate) fn good(&self, text: &str) {
        self.print(&format!("     {} {text}", self.paint("✓", "32")));
    }

    /// A link that a person is to open: it must not be missed.
    pub(crate) fn link(&self, what: &str, url: &str) {
        self.print("");
        self.print(&format!("     {}", self.paint(&format!("▶ {what}"), "1;33")));
        self.print(&format!("       {}", self.paint(url, "1;4")));
        self.print("");
    }

    /// What another program printed.
    pub(crate) fn quote(&self, text: &str) {
        for line in text.trim_end().lines() {
            self.print(&format!("     {} {line}", self.paint("│", "2")));
        }
    }

    fn paint(&self, text: &str, code: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn print(&self, line: &str) {
        let _ = writeln!(std::io::stdout(), "{}", line.trim_end());
    }
}

/// `0.8 ms`, `140 ms`, `1.2 s`.
pub(crate) fn took(time: Duration) -> String {
    let milliseconds = time.as_secs_f64() * 1_000.0;
    match milliseconds {
        ..10.0 => format!("{milliseconds:.1} ms"),
        10.0..1_000.0 => format!("{milliseconds:.0} ms"),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

/// What went wrong, to standard error.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "\n{text}");
}
