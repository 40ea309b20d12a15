//! What one text would do, in the gateway's words: the thing that people see first, each further one, and what the
//! session is afterwards. Pure; what it is made from stands in [`judged`]'s arguments.

use std::collections::BTreeSet;

use domain::evaluation::{Fact, Facts};
use domain::verb::{Verb, VerbGroup};
use gateway::decide::Part;
use sha2::{Digest as _, Sha256};
use sql::statement::{Control, Found, Via};
use sql::{Atom, Classified, Statement};

use crate::catalog::TooMuch;
use crate::limits::PARTS_LIMIT;

/// The setting by which a client says why.
const REASON: &str = "countersign.reason";

/// Settings that the session is asked for again once a statement has touched them: they decide what names mean, and who
/// acts. `*` stands for all.
const ASKED_FOR: &[&str] = &[
    "search_path",
    "role",
    "session_authorization",
    "session authorization",
    "row_security",
    "session_replication_role",
    "transform_null_equals",
    "*",
];

/// What one text would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Judged {
    /// What people see first.
    pub(crate) verb: Verb,
    /// To what.
    pub(crate) resource: String,
    pub(crate) facts: Facts,
    /// Everything, where that is more than one thing.
    pub(crate) parts: Vec<Part>,
    /// Why the client asks, in its own words, where the text says it.
    pub(crate) reason: Option<String>,
    /// Why it was not understood in full.
    pub(crate) opaque: BTreeSet<String>,
    /// Whether bound values could change what it does.
    pub(crate) depends_on_binds: bool,
    /// Over all that policy is told of it: texts that differ in their literals alone have the same.
    pub(crate) digest: [u8; 32],
    pub(crate) leaves: Leaves,
}

/// What a text leaves behind in its session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Leaves {
    /// Something may be left at the server: all but queries that only read, and the ends of transactions.
    pub(crate) anything: bool,
    /// Names may mean something else from here on, or somebody else acts.
    pub(crate) names: bool,
    /// Some setting may have changed.
    pub(crate) settings: bool,
    /// The catalog may have changed.
    pub(crate) definitions: bool,
    /// A transaction, or a part of one, ends in it.
    pub(crate) ends: bool,
    /// The reason that stands from here on; within it, none where it was taken back.
    pub(crate) reason: Option<Option<String>>,
    /// Statements that are kept under a name, with their whole texts.
    pub(crate) prepared: Vec<(String, String)>,
}

/// Why a text cannot be asked about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unasked {
    /// It does more than anybody could look at.
    #[error("one message does {0} things, and at most {PARTS_LIMIT} are looked at together")]
    TooMuch(usize),
    /// It reaches more than its digest can name.
    #[error(transparent)]
    Unbound(#[from] TooMuch),
    /// Its record cannot be written.
    #[error("it cannot be written down: {0}")]
    Unwritten(String),
}

/// Judges a text that was classified; nothing for one that has no statement. `in_transaction` says whether waiting would
/// keep something locked; `shifting` whether the end of the session's transaction would change what names mean.
pub(crate) fn judged(
    text: &str,
    classified: &Classified,
    in_transaction: bool,
    shifting: bool,
) -> Result<Option<Judged>, Unasked> {
    let mut parts: Vec<(Part, bool)> = Vec::new();
    let mut opaque = BTreeSet::new();
    let mut leaves = Leaves::default();
    let mut depends_on_binds = false;
    let mut reason = classified.reason.clone();
    for statement in &classified.statements {
        let tainted = leaves.names || leaves.definitions || (leaves.ends && shifting);
        for atom in &statement.atoms {
            let mut facts = statement.facts(atom);
            facts.insert("sql_in_transaction".to_owned(), Fact::Bool(in_transaction));
            if tainted {
                distrust(&mut facts);
            }
            put(
                &mut parts,
                Part { verb: atom.verb, resource: resource(atom), facts },
                atom.via == Via::Statement,
            );
        }
        if tainted {
            let why = "it stands behind a statement of the same message that may change what its names mean";
            opaque.insert(why.to_owned());
        }
        opaque.extend(statement.opaque.iter().cloned());
        depends_on_binds |= statement.depends_on_binds();
        leaves.after(text, statement);
        if reason.is_none() {
            reason = leaves.reason.clone().flatten();
        }
    }
    let Some((headline, _)) = parts.iter().max_by_key(|(part, direct)| (weight(part.verb), *direct)).cloned()
    else {
        return Ok(None);
    };
    if parts.len() > PARTS_LIMIT {
        return Err(Unasked::TooMuch(parts.len()));
    }
    let parts = if parts.len() > 1 { parts.into_iter().map(|(part, _)| part).collect() } else { Vec::new() };
    let told = domain::canonical::write(&(&headline, &parts));
    let told = told.map_err(|error| Unasked::Unwritten(error.to_string()))?;
    let digest = Sha256::digest(&told).into();
    let Part { verb, resource, facts } = headline;
    Ok(Some(Judged { verb, resource, facts, parts, reason, opaque, depends_on_binds, digest, leaves }))
}

/// What follows was read through a picture that no longer holds.
fn distrust(facts: &mut Facts) {
    for (name, value) in [("parsed", false), ("matched", false), ("bulk", true)] {
        facts.insert(name.to_owned(), Fact::Bool(value));
    }
}

fn put(parts: &mut Vec<(Part, bool)>, part: Part, direct: bool) {
    // One too many is kept, so that it is seen to be too many.
    let room = parts.len() <= PARTS_LIMIT;
    match parts.iter_mut().find(|(known, _)| *known == part) {
        Some((_, known)) => *known |= direct,
        None if room => parts.push((part, direct)),
        None => {}
    }
}

/// The object's name as policies know it; what kind of thing it is where it has none.
fn resource(atom: &Atom) -> String {
    let name = atom.object.full_name();
    if name.is_empty() { atom.object.kind.as_str().to_owned() } else { name }
}

/// What people see first: the worst.
fn weight(verb: Verb) -> u8 {
    match verb.group() {
        VerbGroup::Destroy => 5,
        VerbGroup::Admin => 4,
        VerbGroup::Exec => 3,
        VerbGroup::Export => 2,
        VerbGroup::Write => 1,
        VerbGroup::Read => 0,
    }
}

impl Leaves {
    /// Adds what one more statement leaves behind.
    fn after(&mut self, text: &str, statement: &Statement) {
        // Code that we have not read may do to the session what it likes.
        let runs_code = !statement.is_parsed()
            || statement.atoms.iter().any(|atom| {
                let verb = atom.verb.as_str();
                atom.triggers || atom.rules || matches!(verb, "sql.call" | "sql.session" | "sql.opaque")
            });
        let defining = |atom: &&Atom| {
            matches!(atom.verb.as_str(), "sql.define" | "sql.drop" | "sql.grant" | "sql.system")
        };
        let defines = statement.atoms.iter().any(|atom| defining(&atom));
        // What is temporary the session itself tells of.
        let defines_for_all =
            statement.atoms.iter().filter(defining).any(|atom| atom.object.found != Found::Temporary);
        let only_reads = statement.kind == "SelectStmt"
            && statement.atoms.iter().all(|atom| atom.verb.as_str() == "sql.select");
        self.anything |= runs_code || !(only_reads || statement.control.is_some());
        let asked_for = |name: &str| ASKED_FOR.iter().any(|known| known.eq_ignore_ascii_case(name.trim()));
        self.names |= runs_code || defines || statement.settings.iter().any(|set| asked_for(&set.name));
        self.settings |= runs_code
            || statement.settings.iter().any(|setting| setting.name != REASON)
            || matches!(statement.control, Some(Control::Rollback { .. } | Control::RollbackTo(_)));
        self.definitions |=
            defines_for_all || runs_code && statement.executes.is_none() && is_unread(statement);
        self.ends |= matches!(
            statement.control,
            Some(
                Control::Commit { .. }
                    | Control::Rollback { .. }
                    | Control::RollbackTo(_)
                    | Control::PrepareTransaction
            )
        );
        for setting in
            statement.settings.iter().filter(|setting| matches!(setting.name.as_str(), REASON | "*"))
        {
            self.reason = Some(if setting.name == REASON { statement.reason.clone() } else { None });
        }
        if let (Some(name), Some(whole)) = (&statement.prepares, text.get(statement.range.clone())) {
            self.prepared.push((name.clone(), whole.to_owned()));
        }
    }

    /// Whether it is known that no setting changes.
    pub(crate) fn keeps_settings(&self) -> bool {
        !self.settings && !self.names
    }
}

/// Whether the statement holds code of its own that may define things: DO, a call, or what was not understood.
fn is_unread(statement: &Statement) -> bool {
    !statement.is_parsed() || statement.atoms.iter().any(|atom| atom.verb.as_str() == "sql.call")
}
