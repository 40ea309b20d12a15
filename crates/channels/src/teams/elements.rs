//! The few elements of Adaptive Cards 1.5 that cards are made of.
//!
//! A `TextBlock` reads Markdown and dates out of its text, so it holds nobody's words but this program's. Everybody
//! else's stand in the runs of a `RichTextBlock`, which formats and links nothing; the two braces with which a date would
//! begin never stand in one run.

use domain::text::Piece;
use domain::time::Timestamp;
use gateway::card::Shown;
use serde_json::{Value, json};

use super::inbound::Button;
use super::limits::NAME_BYTES;

/// Our own words.
pub(super) fn ours(text: &str) -> Value {
    json!({ "type": "TextBlock", "text": text, "wrap": true })
}

/// Our own words, small.
pub(super) fn subtle(text: &str) -> Value {
    json!({ "type": "TextBlock", "text": text, "wrap": true, "isSubtle": true, "size": "Small" })
}

/// A heading, for eyes and for screen readers.
pub(super) fn heading(text: &str) -> Value {
    json!({ "type": "TextBlock", "text": text, "wrap": true, "size": "Large", "weight": "Bolder", "style": "heading" })
}

/// A moment, in each reader's own time zone ("Text features", date and time). For our own words only.
pub(super) fn moment(time: Timestamp) -> String {
    let micros = i64::try_from(time.micros()).unwrap_or(i64::MAX);
    match jiff::Timestamp::from_microsecond(micros) {
        Ok(time) => {
            let time = time.strftime("%Y-%m-%dT%H:%M:%SZ");
            format!("{{{{DATE({time}, COMPACT)}}}} {{{{TIME({time})}}}}")
        }
        Err(_) => format!("{} microseconds since 1970", time.micros()),
    }
}

/// A line of runs: ours and other people's.
#[derive(Debug, Clone, Default)]
pub(super) struct Line(Vec<Value>);

impl Line {
    /// Our own words.
    pub(super) fn ours(mut self, text: &str) -> Self {
        self.0.push(json!({ "type": "TextRun", "text": text }));
        self
    }

    /// Our own words, strong.
    pub(super) fn strong(mut self, text: &str) -> Self {
        self.0.push(json!({ "type": "TextRun", "text": text, "weight": "Bolder" }));
        self
    }

    /// Somebody's words, with what is hidden in them marked. A line has no breaks: they are shown as `⏎`.
    pub(super) fn words(self, words: &Shown) -> Self {
        self.pieces(words, false)
    }

    /// Words of the directory or the policy, which are short.
    pub(super) fn name(self, name: &str) -> Self {
        let name = domain::text::cut(name, NAME_BYTES);
        self.words(&Shown::new(name))
    }

    /// A piece of a command: as it is, in letters of one width.
    pub(super) fn code(self, words: &Shown) -> Self {
        self.pieces(words, true)
    }

    fn pieces(mut self, words: &Shown, code: bool) -> Self {
        for piece in &words.pieces {
            let (text, marked) = match piece {
                Piece::Plain(text) => (still(text), false),
                Piece::Hidden(name) => (format!("⟨{name}⟩"), true),
                Piece::Mixed(word) => (format!("⟨mixed scripts: {word}⟩"), true),
            };
            for part in apart(&text) {
                let mut run = json!({ "type": "TextRun", "text": part });
                if let Some(run) = run.as_object_mut() {
                    if code {
                        run.insert("fontType".to_owned(), json!("Monospace"));
                    }
                    if marked {
                        run.insert("color".to_owned(), json!("Attention"));
                        run.insert("weight".to_owned(), json!("Bolder"));
                    }
                }
                self.0.push(run);
            }
        }
        self
    }

    /// The line as an element.
    pub(super) fn block(self) -> Value {
        json!({ "type": "RichTextBlock", "inlines": self.0 })
    }

    /// The line right below the one before it.
    pub(super) fn close(self) -> Value {
        json!({ "type": "RichTextBlock", "inlines": self.0, "spacing": "None" })
    }

    /// The line in small letters, for what is read last.
    pub(super) fn small(mut self) -> Value {
        for run in self.0.iter_mut().filter_map(Value::as_object_mut) {
            run.insert("size".to_owned(), json!("Small"));
            run.insert("isSubtle".to_owned(), json!(true));
        }
        json!({ "type": "RichTextBlock", "inlines": self.0, "spacing": "Small" })
    }
}

/// Somebody's words in lines of their own.
pub(super) fn lines(words: &Shown) -> Vec<Shown> {
    let mut lines = vec![Vec::new()];
    for piece in &words.pieces {
        match piece {
            Piece::Plain(text) => {
                for (place, part) in text.split('\n').enumerate() {
                    if place > 0 {
                        lines.push(Vec::new());
                    }
                    if let (Some(line), false) = (lines.last_mut(), part.is_empty()) {
                        line.push(Piece::Plain(part.to_owned()));
                    }
                }
            }
            Piece::Hidden(_) | Piece::Mixed(_) => {
                if let Some(line) = lines.last_mut() {
                    line.push(piece.clone());
                }
            }
        }
    }
    lines.into_iter().map(|pieces| Shown { pieces, suspicious: words.suspicious }).collect()
}

/// A text whose spaces a renderer does not fold, tabs and breaks shown.
fn still(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut folds = true; // at the beginning, and after a space
    for c in text.chars() {
        match c {
            ' ' if folds => out.push('\u{a0}'),
            ' ' => out.push(' '),
            '\t' => out.push('⇥'),
            '\n' => out.push('⏎'),
            other => out.push(other),
        }
        folds = c == ' ';
    }
    out
}

/// A text in parts that hold no `{{`; together they are the text. Never empty.
fn apart(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for c in text.chars() {
        if c == '{' && parts.last().is_some_and(|part| part.ends_with('{')) {
            parts.push(String::new());
        }
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts
}

/// A box around elements.
pub(super) fn boxed(style: &str, items: Vec<Value>) -> Value {
    json!({ "type": "Container", "style": style, "items": items, "spacing": "Medium" })
}

/// A button that comes back to us. Clients that know no `Action.Execute` send the same data with `Action.Submit`.
pub(super) fn execute(title: &str, style: Option<&str>, button: &Button) -> Value {
    let mut action = json!({
        "type": "Action.Execute",
        "title": title,
        "verb": button.press.as_str(),
        "data": button,
        "fallback": { "type": "Action.Submit", "title": title, "data": button },
    });
    if let (Some(style), Some(action)) = (style, action.as_object_mut()) {
        action.insert("style".to_owned(), json!(style));
    }
    action
}

/// A button that leads into the console.
pub(super) fn open(title: &str, url: &str) -> Value {
    json!({ "type": "Action.OpenUrl", "title": title, "url": url })
}

/// A button that asks first: for words, or for a second click.
pub(super) fn unfold(title: &str, style: Option<&str>, body: Vec<Value>, then: Value) -> Value {
    let mut action = json!({
        "type": "Action.ShowCard",
        "title": title,
        "card": { "type": "AdaptiveCard", "version": super::render::VERSION, "body": body, "actions": [then] },
    });
    if let (Some(style), Some(action)) = (style, action.as_object_mut()) {
        action.insert("style".to_owned(), json!(style));
    }
    action
}

/// The input for words, which must be given.
pub(super) fn input(id: &str, label: &str, longest: usize) -> Value {
    json!({
        "type": "Input.Text", "id": id, "label": label, "isMultiline": true, "maxLength": longest,
        "isRequired": true, "errorMessage": "Please write a word or two.",
    })
}
