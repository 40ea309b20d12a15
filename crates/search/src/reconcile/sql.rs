//! SQL without its values: pure. Names and words stay, literals become `?`, comments go.

/// The statement on one line, with every literal replaced.
///
/// Strings are read as `standard_conforming_strings = on` has them, PostgreSQL's default since 9.1; what is not
/// closed is masked to its end.
#[must_use]
pub fn masked(text: &str) -> String {
    let mut lexer = Lexer { rest: text };
    let mut out = String::with_capacity(text.len().min(super::STATEMENT_LIMIT_BYTES));
    while let Some(token) = lexer.next() {
        match token {
            Token::Blank => {
                if !out.is_empty() && !out.ends_with(' ') {
                    out.push(' ');
                }
            }
            Token::Value => out.push('?'),
            // A quoted name may hold anything.
            Token::Text(text) => out.extend(text.chars().map(|c| if c.is_control() { ' ' } else { c })),
        }
    }
    out.truncate(out.trim_end().len());
    out
}

enum Token<'a> {
    /// Blanks and comments.
    Blank,
    /// A literal.
    Value,
    /// Anything else, as it stands.
    Text(&'a str),
}

struct Lexer<'a> {
    rest: &'a str,
}

impl<'a> Lexer<'a> {
    /// Takes so many bytes; all, where that is no border of a character.
    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    /// Takes what a pattern ends, with its end; all, where it does not come.
    fn take_to(&mut self, skip: usize, end: &str) {
        let found = self.rest.get(skip..).and_then(|rest| rest.find(end));
        let length = found.map_or(self.rest.len(), |at| skip + at + end.len());
        self.take(length);
    }

    fn next(&mut self) -> Option<Token<'a>> {
        let first = self.rest.chars().next()?;
        let second = self.rest.chars().nth(1);
        Some(match (first, second) {
            (c, _) if c.is_whitespace() || c.is_control() => {
                let length = self.rest.find(|c: char| !c.is_whitespace() && !c.is_control());
                self.take(length.unwrap_or(self.rest.len()));
                Token::Blank
            }
            ('-', Some('-')) => {
                self.take(self.rest.find('\n').unwrap_or(self.rest.len()));
                Token::Blank
            }
            ('/', Some('*')) => {
                self.comment();
                Token::Blank
            }
            ('\'', _) => {
                self.string(false);
                Token::Value
            }
            ('"', _) => Token::Text(self.identifier()),
            ('$', _) => self.dollar(),
            (c, _) if c.is_ascii_digit() => self.number(),
            ('.', Some(c)) if c.is_ascii_digit() => self.number(),
            (c, _) if is_word(c) => self.word(),
            (c, _) => Token::Text(self.take(c.len_utf8())),
        })
    }

    /// Comments nest.
    fn comment(&mut self) {
        let mut depth = 0_usize;
        loop {
            if self.rest.starts_with("/*") {
                depth += 1;
                self.take(2);
            } else if self.rest.starts_with("*/") {
                depth -= 1;
                self.take(2);
                if depth == 0 {
                    return;
                }
            } else {
                let Some(c) = self.rest.chars().next() else { return };
                self.take(c.len_utf8());
            }
        }
    }

    /// A string from its opening quote on; a doubled quote is one of its characters.
    fn string(&mut self, escapes: bool) {
        self.take(1);
        loop {
            let Some(c) = self.rest.chars().next() else { return };
            self.take(c.len_utf8());
            if c == '\\' && escapes {
                let skipped = self.rest.chars().next().map_or(0, char::len_utf8);
                self.take(skipped);
            } else if c == '\'' {
                if !self.rest.starts_with('\'') {
                    return;
                }
                self.take(1);
            }
        }
    }

    fn identifier(&mut self) -> &'a str {
        let whole = self.rest;
        let mut length = 1;
        loop {
            let Some(at) = whole.get(length..).and_then(|rest| rest.find('"')) else {
                return self.take(whole.len());
            };
            length += at + 1;
            if whole.get(length..).is_none_or(|rest| !rest.starts_with('"')) {
                return self.take(length);
            }
            length += 1;
        }
    }

    /// `$1` is a parameter; `$tag$ … $tag$` is a string.
    fn dollar(&mut self) -> Token<'a> {
        let tag = self.rest.get(1..).and_then(|rest| {
            let end = rest.find(|c: char| !is_word(c))?;
            let is_tag = rest.get(end..)?.starts_with('$') && !rest.starts_with(|c: char| c.is_ascii_digit());
            is_tag.then_some(end + 2)
        });
        if let Some(tag) = tag.and_then(|length| self.rest.get(..length)) {
            self.take_to(tag.len(), tag);
            return Token::Value;
        }
        let digits = self.rest.get(1..).and_then(|rest| rest.find(|c: char| !c.is_ascii_digit()));
        Token::Text(self.take(1 + digits.unwrap_or(self.rest.len().saturating_sub(1))))
    }

    fn number(&mut self) -> Token<'a> {
        let length = self.rest.find(|c: char| !is_word(c) && c != '.').unwrap_or(self.rest.len());
        self.take(length);
        Token::Value
    }

    /// A word, or a string's prefix: `E'…'`, `B'…'`, `X'…'`, `N'…'`, `U&'…'`.
    fn word(&mut self) -> Token<'a> {
        let length = self.rest.find(|c: char| !is_word(c) && c != '$').unwrap_or(self.rest.len());
        let word = self.take(length);
        let is = |names: &[&str]| names.iter().any(|name| word.eq_ignore_ascii_case(name));
        if self.rest.starts_with('\'') && is(&["e", "b", "x", "n"]) {
            self.string(is(&["e"]));
            return Token::Value;
        }
        if self.rest.starts_with("&'") && is(&["u"]) {
            self.take(1);
            self.string(false);
            return Token::Value;
        }
        Token::Text(word)
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
