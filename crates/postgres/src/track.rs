//! What a session has prepared, as the server has it.
//!
//! Statements have names of our own at the server. SQL's PREPARE shares its names with the protocol: without this, a
//! client could replace a statement behind the gate's back and bind to what was never looked at.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::{PORTALS_LIMIT, STATEMENTS_LIMIT, STATEMENTS_LIMIT_BYTES};
use crate::parse::statement::deallocated;
use crate::parse::{Malformed, Parse, Text};
use crate::session::SharedTerms;
use crate::watched::Watching;

/// A prepared statement.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) text: Box<str>,
    pub(crate) types: Box<[u32]>,
    /// Its name at the server; empty for the unnamed.
    pub(crate) name: Text,
    /// The client's name of the statement that this one lets go of.
    pub(crate) drops: Option<Text>,
}

/// A portal: a statement with its values, decided about when it was made.
#[derive(Debug, Clone)]
pub(crate) struct Portal {
    pub(crate) statement: Arc<Statement>,
    /// The most data that it may bring then, in bytes.
    pub(crate) copy_limit: Option<u64>,
    pub(crate) watching: Watching,
    /// The conditions that it runs under.
    pub(crate) terms: Option<SharedTerms>,
}

/// Takes back what a message did that the server refused or skipped.
#[derive(Debug)]
pub(crate) enum Undo {
    Nothing,
    Statement(Text, Option<Arc<Statement>>),
    Portal(Text, Option<Portal>),
}

/// A session's statements and portals by the client's names.
pub(crate) struct Names {
    statements: HashMap<Text, Arc<Statement>>,
    portals: HashMap<Text, Portal>,
    text_bytes: usize,
    made: u64,
    prefix: String,
}

impl Names {
    /// `prefix` is this session's own: an underscore and digits, so that it reads the same in any case.
    pub(crate) fn new(random: [u8; 16]) -> Names {
        let prefix = format!("_{:039}_", u128::from_be_bytes(random));
        Names { statements: HashMap::new(), portals: HashMap::new(), text_bytes: 0, made: 0, prefix }
    }

    /// A name that nobody but us can have at the server.
    pub(crate) fn own(&self, what: &str) -> Result<Text, Malformed> {
        Text::try_from(format!("{}{what}", self.prefix))
    }

    /// Whether a text speaks of names of ours.
    pub(crate) fn are_in(&self, text: &str) -> bool {
        memchr::memmem::find(text.as_bytes(), self.prefix.as_bytes()).is_some()
    }

    pub(crate) fn statement(&self, name: &Text) -> Option<&Arc<Statement>> {
        self.statements.get(name)
    }

    pub(crate) fn portal(&self, name: &Text) -> Option<&Portal> {
        self.portals.get(name)
    }

    /// Whether there are no statements but these.
    pub(crate) fn are_all(&self, names: &[&Text]) -> bool {
        self.statements.keys().all(|name| names.contains(&name))
    }

    /// Whether one more statement of this length is too much.
    pub(crate) fn is_full(&self, text: &str) -> bool {
        self.statements.len() >= STATEMENTS_LIMIT || self.text_bytes + text.len() > STATEMENTS_LIMIT_BYTES
    }

    pub(crate) fn is_full_of_portals(&self) -> bool {
        self.portals.len() >= PORTALS_LIMIT
    }

    /// A text that only lets go of one of our statements, with the name that it has at the server; and the
    /// client's name for it.
    pub(crate) fn rename_deallocate(&self, text: &str) -> Option<(Text, Text)> {
        let name = Text::try_from(deallocated(text)?).ok()?;
        let statement = self.statements.get(&name).filter(|_| !name.is_empty())?;
        let text = Text::try_from(format!("DEALLOCATE {}", statement.name.as_str())).ok()?;
        Some((text, name))
    }

    /// Notes a statement; what the server is told, and how to take it back.
    pub(crate) fn prepare(&mut self, parse: &Parse) -> Result<(Parse, Undo), Malformed> {
        let name = if parse.name.is_empty() {
            Text::default()
        } else {
            self.made += 1;
            self.own(&self.made.to_string())?
        };
        let (text, drops) = match self.rename_deallocate(parse.text.as_str()) {
            Some((text, drops)) => (text, Some(drops)),
            None => (parse.text.clone(), None),
        };
        let statement = Statement {
            text: parse.text.as_str().into(),
            types: parse.types.as_slice().into(),
            name: name.clone(),
            drops,
        };
        let undo = self.put_statement(parse.name.clone(), Some(Arc::new(statement)));
        Ok((Parse { name, text, types: parse.types.clone() }, undo))
    }

    pub(crate) fn put_statement(&mut self, name: Text, statement: Option<Arc<Statement>>) -> Undo {
        self.text_bytes += statement.as_ref().map_or(0, |statement| statement.text.len());
        let before = match statement {
            Some(statement) => self.statements.insert(name.detached(), statement),
            None => self.statements.remove(&name),
        };
        self.text_bytes =
            self.text_bytes.saturating_sub(before.as_ref().map_or(0, |before| before.text.len()));
        Undo::Statement(name, before)
    }

    pub(crate) fn put_portal(&mut self, name: Text, portal: Option<Portal>) -> Undo {
        let before = match portal {
            Some(portal) => self.portals.insert(name.detached(), portal),
            None => self.portals.remove(&name),
        };
        Undo::Portal(name, before)
    }

    pub(crate) fn undo(&mut self, undo: Undo) {
        match undo {
            Undo::Nothing => {}
            Undo::Statement(name, before) => {
                self.put_statement(name, before);
            }
            Undo::Portal(name, before) => {
                self.put_portal(name, before);
            }
        }
    }

    /// The server lets go of all portals when a transaction ends. Who watches them comes back.
    pub(crate) fn end_transaction(&mut self) -> impl Iterator<Item = Watching> {
        self.portals.drain().map(|(_, portal)| portal.watching)
    }

    /// SQL has let go of all statements; `kept` were prepared behind it.
    pub(crate) fn deallocate_all_but(&mut self, kept: &[Text]) {
        self.statements.retain(|name, _| kept.contains(name));
        self.text_bytes = self.statements.values().map(|statement| statement.text.len()).sum();
    }
}
