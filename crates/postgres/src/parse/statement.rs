//! The little that the wire reads of a statement's text: its first words. What a statement does is not decided on this.
//!
//! Only texts of one plain form are recognised; anything else is simply not recognised, and takes the common way.

/// Whether the text's first statement is a COPY, so that running it may make the server wait for data.
#[must_use]
pub fn begins_with_copy(text: &str) -> bool {
    let mut words = Words(text);
    while let Some(rest) = words.skip_blank().strip_prefix(';') {
        words.0 = rest;
    }
    words.next().is_some_and(|word| word.eq_ignore_ascii_case("copy"))
}

/// Whether the text only begins a transaction, in a way that a server never refuses: it can be sent later.
///
/// READ WRITE and SERIALIZABLE are left out: a standby refuses them.
#[must_use]
pub fn begins_transaction(text: &str) -> bool {
    begin_tag(text).is_some()
}

/// The tag of the only statement of such a text, as the server words it.
pub(crate) fn begin_tag(text: &str) -> Option<&'static str> {
    let mut all = [""; WORDS_LIMIT];
    let mut count = 0;
    let mut words = Words(text);
    for word in words.by_ref() {
        *all.get_mut(count)? = word;
        count += 1;
    }
    let is = |word: &str, what: &str| word.eq_ignore_ascii_case(what);
    let (tag, modes) = match all.get(..count).filter(|_| words.is_spent())? {
        [begin, more @ ..] if is(begin, "begin") => match more {
            [word, modes @ ..] if is(word, "work") || is(word, "transaction") => ("BEGIN", modes),
            modes => ("BEGIN", modes),
        },
        [start, transaction, modes @ ..] if is(start, "start") && is(transaction, "transaction") => {
            ("START TRANSACTION", modes)
        }
        _ => return None,
    };
    let never_refused = match modes {
        [] => true,
        [read, only] => is(read, "read") && is(only, "only"),
        [isolation, level, one, two] => {
            is(isolation, "isolation")
                && is(level, "level")
                && (is(one, "read") && is(two, "committed") || is(one, "repeatable") && is(two, "read"))
        }
        _ => false,
    };
    never_refused.then_some(tag)
}

/// The name in a text that is only `DEALLOCATE [PREPARE] name`, as the server reads it.
#[must_use]
pub fn deallocated(text: &str) -> Option<String> {
    let mut words = Words(text);
    if !words.next()?.eq_ignore_ascii_case("deallocate") {
        return None;
    }
    let mut rest = words;
    if rest.next().is_some_and(|word| word.eq_ignore_ascii_case("prepare")) {
        words = rest;
    }
    let quoted = words.skip_blank().strip_prefix('"');
    let name = if let Some(quoted) = quoted {
        let (name, after) = quoted.split_once('"')?;
        words = Words(after);
        // A doubled quote, or something glued to the name, is not this plain form.
        if after.starts_with(|next: char| !next.is_whitespace() && next != ';') {
            return None;
        }
        name.to_owned()
    } else {
        let name = words.next()?;
        if name.eq_ignore_ascii_case("all") {
            return None;
        }
        name.to_ascii_lowercase()
    };
    (words.next().is_none() && words.is_spent() && !name.is_empty()).then_some(name)
}

/// The most words that a recognised text has.
const WORDS_LIMIT: usize = 6;

/// The plain words that a text begins with. White space, comments and leading semicolons lie between them.
#[derive(Clone, Copy)]
struct Words<'a>(&'a str);

impl<'a> Words<'a> {
    /// What is left, from its first character that is neither blank nor in a comment.
    fn skip_blank(&mut self) -> &'a str {
        loop {
            self.0 = self.0.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}', '\u{b}']);
            if let Some(comment) = self.0.strip_prefix("--") {
                self.0 = comment.find(['\n', '\r']).and_then(|end| comment.get(end..)).unwrap_or_default();
            } else if self.0.starts_with("/*") {
                self.0 = after_comment(self.0);
            } else {
                return self.0;
            }
        }
    }

    /// Whether nothing but blanks, comments and semicolons is left.
    fn is_spent(mut self) -> bool {
        loop {
            match self.skip_blank().strip_prefix(';') {
                Some(rest) => self.0 = rest,
                None => return self.0.is_empty(),
            }
        }
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let is_word =
            |char: char| char.is_ascii_alphanumeric() || char == '_' || char == '$' || !char.is_ascii();
        let rest = self.skip_blank();
        let end = rest.find(|char| !is_word(char)).unwrap_or(rest.len());
        let (word, after) = rest.split_at_checked(end)?;
        // A quote glued to a word is a literal with a prefix, not a word.
        if word.is_empty() || after.starts_with(['"', '\'']) {
            return None;
        }
        self.0 = after;
        Some(word)
    }
}

/// What follows a block comment; comments nest.
fn after_comment(text: &str) -> &str {
    let bytes = text.as_bytes();
    let (mut depth, mut at) = (0_u32, 0);
    while at < bytes.len() {
        match bytes.get(at..at + 2) {
            Some(b"/*") => (depth, at) = (depth + 1, at + 2),
            Some(b"*/") => (depth, at) = (depth - 1, at + 2),
            Some(_) | None => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    text.get(at..).unwrap_or_default()
}
