//! How many operations of which kind a GraphQL document has (GraphQL specification, October 2021,
//! sections 2.1 to 2.3). It reads tokens and brackets; whether a field exists is the server's to know.

/// The operations of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Operations {
    pub(crate) queries: usize,
    pub(crate) mutations: usize,
    pub(crate) subscriptions: usize,
}

impl Operations {
    /// Whether there is nothing but queries: a document of several kinds counts as its worst, since the
    /// caller's `operationName` picks one.
    pub(crate) fn only_queries(self) -> bool {
        self.queries > 0 && self.mutations == 0 && self.subscriptions == 0
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    /// Between definitions.
    Start,
    /// After `query`, `fragment` and their like, before the selection set.
    Head,
    /// In a selection set.
    Set,
}

/// Counts a document's operations; nothing where it is not an executable document through and through.
pub(crate) fn operations(document: &str) -> Option<Operations> {
    let mut found = Operations::default();
    let mut open: Vec<char> = Vec::new();
    let mut at = At::Start;
    let mut rest = document;
    while let Some(c) = rest.chars().next() {
        let tail = rest.get(c.len_utf8()..)?;
        match c {
            ' ' | '\t' | '\n' | '\r' | ',' | '\u{feff}' => rest = tail,
            '#' => rest = tail.get(tail.find(['\n', '\r']).unwrap_or(tail.len())..)?,
            '"' if at == At::Start => return None,
            '"' => rest = after_string(rest)?,
            '{' | '(' | '[' => {
                if at == At::Start {
                    // `{ … }` alone is a query.
                    (c == '{').then_some(())?;
                    found.queries += 1;
                }
                if c == '{' && open.is_empty() {
                    at = At::Set;
                }
                open.push(c);
                rest = tail;
            }
            '}' | ')' | ']' => {
                let opener = match c {
                    '}' => '{',
                    ')' => '(',
                    _ => '[',
                };
                (open.pop() == Some(opener)).then_some(())?;
                if open.is_empty() && at == At::Set {
                    at = At::Start;
                }
                rest = tail;
            }
            'a'..='z' | 'A'..='Z' | '_' => {
                let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
                let name = rest.get(..end)?;
                if at == At::Start {
                    match name {
                        "query" => found.queries += 1,
                        "mutation" => found.mutations += 1,
                        "subscription" => found.subscriptions += 1,
                        "fragment" => {}
                        _ => return None,
                    }
                    at = At::Head;
                }
                rest = rest.get(end..)?;
            }
            '!' | '$' | '&' | '.' | ':' | '=' | '@' | '|' | '-' | '+' | '0'..='9' if at != At::Start => {
                rest = tail
            }
            _ => return None,
        }
    }
    let any = found.queries + found.mutations + found.subscriptions > 0;
    (at == At::Start && any).then_some(found)
}

/// What follows a string or a block string.
fn after_string(text: &str) -> Option<&str> {
    if let Some(mut rest) = text.strip_prefix("\"\"\"") {
        loop {
            let end = rest.find("\"\"\"")?;
            let escaped = rest.get(..end)?.ends_with('\\');
            rest = rest.get(end + 3..)?;
            if !escaped {
                return Some(rest);
            }
        }
    }
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return text.get(at + 1..),
            '\\' => {
                chars.next()?;
            }
            '\n' | '\r' => return None,
            _ => {}
        }
    }
    None
}
