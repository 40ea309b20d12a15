//! A statement's tree becomes atoms: one pass over all of its nodes, each looked at whatever it stands below.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use domain::verb::Verb;

use crate::builtin;
use crate::catalog::{Catalog, Relation};
use crate::effects;
use crate::functions;
use crate::kinds::{Role, role};
use crate::limits::{ATOMS_LIMIT, USES_LIMIT};
use crate::names;
use crate::objects;
use crate::parse::{Parsed, Unread};
use crate::reason::is_reason;
use crate::settings;
use crate::statement::{
    Atom, Bind, BindPlace, Classified, CopyData, CopyEnd, Found, Object, ObjectKind, Statement, Use, Via,
};
use crate::tree::{At, EMPTY};

/// Reads the texts that the catalog keeps, such as a view's query.
pub(crate) type Read<'r> = dyn Fn(&str) -> Result<Arc<Parsed>, Unread> + 'r;

/// The statements of a text.
pub(crate) fn statements(parsed: &Parsed, catalog: &Catalog, read: &Read<'_>) -> Vec<Statement> {
    let one = |(root, range): &(usize, Range<usize>)| {
        let root = parsed.tree.at(*root);
        let mut statement = below(root, catalog);
        statement.range = range.clone();
        effects::add(&mut statement, catalog, read);
        close(&mut statement);
        statement
    };
    parsed.statements.iter().map(one).collect()
}

/// What a text is that could not be read.
pub(crate) fn unread(why: Unread, length: usize) -> Classified {
    let mut statement = Statement { range: 0..length, ..empty("(unread)") };
    statement.opaque.insert(why.to_string());
    close(&mut statement);
    Classified { statements: vec![statement], reason: None, unread: Some(why) }
}

/// What a node, and all below it, would do; effects that only the catalog knows are not in it.
pub(crate) fn below(root: At<'_>, catalog: &Catalog) -> Statement {
    let first = if root.kind() == "RawStmt" { root.child("stmt").unwrap_or(root) } else { root };
    let mut reading =
        Reading { catalog, out: empty(first.kind()), words: Words::default(), tables: BTreeMap::new() };
    // A column's table may come after the column, so that tables are looked for first.
    for at in root.all().filter(|at| at.kind() == "RangeVar" && !names::is_common(*at)) {
        let alias = at.child("alias").map_or(at.text("relname"), |alias| alias.text("aliasname"));
        reading.tables.insert(alias.to_owned(), names::relation(at, catalog).1);
    }
    for at in root.all() {
        reading.node(at);
    }
    reading.classes();
    reading.out
}

/// Every statement has an atom, and one that was not understood has one that says so.
fn close(statement: &mut Statement) {
    if statement.atoms.len() > ATOMS_LIMIT {
        statement.opaque.insert(format!("it does more than {ATOMS_LIMIT} things"));
        statement.atoms.truncate(ATOMS_LIMIT);
    }
    if statement.uses.len() > USES_LIMIT {
        statement.opaque.insert(format!("it uses more than {USES_LIMIT} names"));
        while statement.uses.len() > USES_LIMIT {
            statement.uses.pop_last();
        }
    }
    let session = || Object {
        kind: ObjectKind::Session,
        schema: None,
        name: String::new(),
        oid: None,
        found: Found::Named,
    };
    if !statement.is_parsed() {
        statement.atoms.extend(atom("sql.opaque", session(), Via::Statement));
    }
    if statement.atoms.is_empty() {
        let verb = match role(statement.kind) {
            Some(Role::Statement(verb)) => verb,
            Some(Role::Part) | None => "sql.opaque",
        };
        statement.atoms.extend(atom(verb, session(), Via::Statement));
    }
}

fn empty(kind: &'static str) -> Statement {
    Statement {
        range: 0..0,
        kind,
        atoms: Vec::new(),
        uses: BTreeSet::new(),
        opaque: BTreeSet::new(),
        bindable: true,
        binds: Vec::new(),
        control: None,
        settings: Vec::new(),
        reason: None,
        prepares: None,
        executes: None,
    }
}

/// An atom without particulars. The vocabulary has every verb that this crate names; a test holds it to that.
pub(crate) fn atom(verb: &str, object: Object, via: Via) -> Option<Atom> {
    let verb: Verb = verb.parse().or_else(|_| "sql.opaque".parse()).ok()?;
    Some(Atom {
        verb,
        object,
        via,
        filtered: None,
        copy: None,
        columns: BTreeSet::new(),
        classes: BTreeSet::new(),
        triggers: false,
        rules: false,
        cascades: false,
    })
}

/// The columns that a statement speaks of, as far as its words tell.
#[derive(Default)]
struct Words {
    names: BTreeSet<String>,
    /// It speaks of whole rows, or gives columns other names.
    all: bool,
}

struct Reading<'c> {
    catalog: &'c Catalog,
    out: Statement,
    words: Words,
    /// Relations by the names under which this statement has them.
    tables: BTreeMap<String, Option<&'c Relation>>,
}

impl<'c> Reading<'c> {
    fn node(&mut self, at: At<'_>) {
        match at.kind() {
            "RangeVar" => self.table(at),
            "FuncCall" => {
                let words = at.words("funcname");
                self.uses(functions::uses_function(&words, self.catalog));
                self.call(functions::call(&words, self.catalog));
            }
            "AExpr" => operators(&at.words("name")).iter().for_each(|name| self.operator(name)),
            "SubLink" => self.operator(&at.words("oper_name")),
            "SortBy" => self.operator(&at.words("use_op")),
            "TypeName" if is_value(at) => {
                let words = at.words("names");
                self.uses(functions::uses_type(&words, self.catalog));
                self.call(functions::type_(&words, self.catalog));
            }
            "ColumnRef" => self.column(at),
            "AIndirection" => {
                for name in at.words("indirection") {
                    self.attribute(name);
                }
            }
            "RangeTableSample" => {
                let words = at.words("method");
                self.uses(functions::uses_function(&words, self.catalog));
                self.call(functions::sampling(&words, self.catalog));
            }
            "AStar" => self.words.all = true,
            "Alias" if at.child("colnames").is_some() => self.words.all = true,
            "JoinExpr" => self.words.names.extend(at.words("using_clause").into_iter().map(str::to_owned)),
            "ResTarget" if matches!(at.field(), "cols" | "target_list") => {
                self.words.names.insert(at.text("name").to_owned());
            }
            "ParamRef" => self.bind(at),
            EMPTY if is_left_empty(at) => {}
            EMPTY => self.opaque("a node that the parser cannot tell"),
            kind => match role(kind) {
                Some(Role::Statement(verb)) => self.statement(at, verb),
                Some(Role::Part) => self.part(at),
                None => self.opaque(&format!("the kind of node `{kind}`")),
            },
        }
    }

    fn opaque(&mut self, why: &str) {
        self.out.opaque.insert(why.to_owned());
    }

    /// Adds an atom once.
    fn push(&mut self, atom: Option<Atom>) {
        let Some(atom) = atom else { return };
        let same =
            |other: &Atom| other.verb == atom.verb && other.object == atom.object && other.copy == atom.copy;
        let atoms = &mut self.out.atoms;
        let room = atoms.len() <= ATOMS_LIMIT;
        match atoms.iter_mut().find(|other| same(other)) {
            Some(other) => {
                // Of two, the one that narrows nothing counts.
                if other.filtered == Some(true) {
                    other.filtered = atom.filtered;
                }
                other.columns.extend(atom.columns);
            }
            // One too many is kept, so that `close` sees it.
            None if room => atoms.push(atom),
            None => {}
        }
    }

    fn call(&mut self, object: Option<Object>) {
        if let Some(object) = object {
            self.push(atom("sql.call", object, Via::Statement));
        }
    }

    fn operator(&mut self, words: &[&str]) {
        self.uses(functions::uses_operator(words, self.catalog));
        self.call(functions::operator(words, self.catalog));
    }

    /// `value.name`, which is mostly a column: only a function that is there counts.
    fn attribute(&mut self, name: &str) {
        self.uses(functions::uses_function(&[name], self.catalog).filter(|used| !used.oids.is_empty()));
        self.call(functions::attribute(name, self.catalog));
    }

    /// Keeps a name that is used. One too many is kept, so that `close` sees it.
    fn uses(&mut self, used: Option<Use>) {
        if self.out.uses.len() <= USES_LIMIT {
            self.out.uses.extend(used);
        }
    }

    fn table(&mut self, at: At<'_>) {
        let parent = at.parent().map_or("", At::kind);
        if at.field() == "locked_rels" || names::is_common(at) {
            return;
        }
        let object = if objects::makes(parent, at.field()) {
            names::made(at, self.catalog)
        } else {
            let found = names::relation(at, self.catalog).0;
            self.uses(Some(names::used(Some(at.text("schemaname")), at.text("relname"), &found)));
            found
        };
        let Some(owner) = at.ancestors().find(|above| matches!(role(above.kind()), Some(Role::Statement(_))))
        else {
            return;
        };
        let verb = match role(owner.kind()) {
            _ if names::is_read(at) => "sql.select",
            _ if owner.kind() == "SelectStmt" => "sql.define",
            Some(Role::Statement(verb)) => verb,
            Some(Role::Part) | None => "sql.opaque",
        };
        match owner.kind() {
            "InsertStmt" | "UpdateStmt" | "DeleteStmt" | "MergeStmt" if verb != "sql.select" => {
                self.written(owner, verb, &object);
            }
            "CopyStmt" => {
                let copied = self.copied(owner, object);
                self.push(copied);
            }
            _ => {
                let mut atom = atom(verb, object, Via::Statement);
                if let Some(atom) = &mut atom {
                    atom.cascades = owner.number("behavior") == objects::CASCADE;
                }
                self.push(atom);
            }
        }
    }

    /// The target of a statement that writes rows.
    fn written(&mut self, at: At<'_>, verb: &str, object: &Object) {
        // What a query below this statement sets counts too: rather too many than too few.
        let set = at.all().filter(|at| at.kind() == "ResTarget" && at.field() == "target_list");
        let columns: BTreeSet<String> = set.map(|at| at.text("name").to_owned()).collect();
        let put = |reading: &mut Self, verb: &str, filtered: Option<bool>| {
            let verb = if is_only_explained(at) { "sql.select" } else { verb };
            let mut atom = atom(verb, object.clone(), Via::Statement);
            if let Some(atom) = &mut atom {
                atom.filtered = filtered;
                if verb == "sql.update" {
                    atom.columns = columns.clone();
                }
            }
            reading.push(atom);
        };
        match at.kind() {
            "InsertStmt" => {
                put(self, verb, None);
                self.words.all |= at.child("cols").is_none();
                let conflict = at.child("on_conflict_clause");
                if conflict.is_some_and(|clause| clause.number("action") == objects::ON_CONFLICT_UPDATE) {
                    // It changes rows that the new ones meet, and no others.
                    put(self, "sql.update", Some(true));
                }
            }
            "MergeStmt" => {
                let filtered = Some(at.child("join_condition").is_some_and(narrows));
                put(self, verb, filtered);
                for clause in at.list("merge_when_clauses") {
                    match clause.number("command_type") {
                        objects::COMMAND_UPDATE => put(self, "sql.update", filtered),
                        objects::COMMAND_INSERT => put(self, "sql.insert", None),
                        objects::COMMAND_DELETE => put(self, "sql.delete", filtered),
                        _ => {}
                    }
                }
            }
            _ => put(self, verb, Some(at.child("where_clause").is_some_and(narrows))),
        }
    }

    fn copied(&mut self, at: At<'_>, object: Object) -> Option<Atom> {
        self.words.all |= at.child("attlist").is_none();
        self.words.names.extend(at.words("attlist").into_iter().map(str::to_owned));
        let copy = copy_of(at);
        let mut atom = atom(if copy.inward { "sql.import" } else { "sql.export" }, object, Via::Statement)?;
        atom.copy = Some(copy);
        Some(atom)
    }

    fn column(&mut self, at: At<'_>) {
        let words = at.words("fields");
        let Some(name) = words.last().copied() else { return };
        self.words.names.insert(name.to_owned());
        match words.as_slice() {
            // `t` alone is the whole row, where there is such a table.
            [_] => {}
            [.., qualifier, _] => {
                let table = self.tables.get(*qualifier).copied().flatten();
                let is_column =
                    table.is_some_and(|table| table.columns.iter().any(|column| column.name == name));
                if !is_column {
                    self.attribute(name);
                }
            }
            [] => {}
        }
    }

    fn bind(&mut self, at: At<'_>) {
        let place = at.ancestors().try_fold(at, |below, above| {
            let argument = match above.kind() {
                "FuncCall" => functions::call(&above.words("funcname"), self.catalog).is_some(),
                "ExecuteStmt" => true,
                _ => false,
            };
            match below.field() {
                _ if argument => Err(BindPlace::Argument),
                "where_clause" | "join_condition" | "quals" | "having_clause" => Err(BindPlace::Filter),
                "limit_count" | "limit_offset" => Err(BindPlace::Limit),
                "target_list" | "values_lists" | "merge_when_clauses" => Err(BindPlace::Value),
                _ => Ok(above),
            }
        });
        let bind = Bind { number: at.number("number"), place: place.err().unwrap_or(BindPlace::Other) };
        if !self.out.binds.contains(&bind) {
            self.out.binds.push(bind);
        }
    }

    /// A part that says something of the statement around it.
    fn part(&mut self, at: At<'_>) {
        match at.kind() {
            "LockingClause" => {
                // It locks what the query around it reads.
                let Some(query) = at.parent() else { return };
                let read = query.list("from_clause").flat_map(At::all);
                for table in read.filter(|at| at.kind() == "RangeVar" && !names::is_common(*at)) {
                    let (object, _) = names::relation(table, self.catalog);
                    self.push(atom("sql.lock", object, Via::Statement));
                }
            }
            "AlterTableCmd" => {
                if at.number("subtype") == objects::DROP_COLUMN
                    && let Some(table) = at.parent().and_then(|above| above.child("relation"))
                {
                    let (object, _) = names::relation(table, self.catalog);
                    self.push(atom("sql.drop", object, Via::Statement));
                }
            }
            "PartitionCmd" if at.flag("concurrent") => self.out.bindable = false,
            _ => {}
        }
    }

    fn statement(&mut self, at: At<'_>, verb: &'static str) {
        self.out.bindable &= objects::is_bindable(at);
        match at.kind() {
            "SelectStmt" | "InsertStmt" | "UpdateStmt" | "DeleteStmt" | "MergeStmt" | "ReturnStmt"
            | "ExplainStmt" | "CreateTableAsStmt" => {}
            "PrepareStmt" => self.out.prepares = Some(at.text("name").to_owned()),
            "ExecuteStmt" => self.execute(at),
            "DoStmt" => {
                self.opaque("DO runs code of a procedural language");
                self.call(Some(objects::named(ObjectKind::Function, "DO")));
            }
            "CallStmt" => {
                let words = at.child("funccall").map(|call| call.words("funcname")).unwrap_or_default();
                let found = functions::call(&words, self.catalog);
                self.call(found.or_else(|| Some(objects::named(ObjectKind::Function, &words.join(".")))));
            }
            "CopyStmt" => self.copy(at),
            "VariableSetStmt" if at.field() == "setstmt" => {}
            "VariableSetStmt" => self.set(at),
            "TransactionStmt" => {
                self.out.control = objects::control(at);
                if self.out.control.is_none() {
                    self.opaque("a change of the transaction that is not known");
                }
                self.push(atom(verb, objects::named(ObjectKind::Session, ""), Via::Statement));
            }
            _ => {
                for object in objects::of(at, self.catalog, &mut self.out.uses) {
                    let mut atom = atom(verb, object, Via::Statement);
                    if let Some(atom) = &mut atom {
                        atom.cascades = at.number("behavior") == objects::CASCADE;
                    }
                    self.push(atom);
                }
            }
        }
    }

    fn execute(&mut self, at: At<'_>) {
        let name = at.text("name");
        self.out.executes = Some(name.to_owned());
        match self.catalog.prepared.get(name) {
            Some(atoms) if !is_only_explained(at) => {
                for kept in atoms {
                    self.push(Some(Atom { via: Via::Prepared(name.to_owned()), ..kept.clone() }));
                }
            }
            Some(_) => {}
            None => self.opaque(&format!("the kept statement `{name}` is not known")),
        }
    }

    fn copy(&mut self, at: At<'_>) {
        let copy = copy_of(at);
        if copy.end != CopyEnd::Client {
            let kind = if copy.end == CopyEnd::Program { ObjectKind::Program } else { ObjectKind::File };
            let mut program = atom("sql.program", objects::named(kind, at.text("filename")), Via::Statement);
            if let Some(atom) = &mut program {
                atom.copy = Some(copy.clone());
            }
            self.push(program);
        }
        if at.child("query").is_some() {
            let mut export = atom("sql.export", objects::named(ObjectKind::Other, "query"), Via::Statement);
            if let Some(atom) = &mut export {
                atom.copy = Some(copy);
            }
            self.push(export);
        }
    }

    fn set(&mut self, at: At<'_>) {
        let setting = settings::read(at);
        let verb = if settings::is_harmless(&setting) { "sql.set" } else { "sql.session" };
        self.push(atom(verb, objects::named(ObjectKind::Setting, &setting.name), Via::Statement));
        if setting.name == settings::REASON {
            self.out.reason = setting.value.clone().filter(|value| is_reason(value));
        }
        self.out.settings.push(setting);
    }

    /// The classes of data that each atom's words speak of.
    fn classes(&mut self) {
        // A table's own name, as a column, is its whole row.
        let whole_rows = self.tables.keys().any(|name| self.words.names.contains(name));
        let all = self.words.all || whole_rows;
        for atom in &mut self.out.atoms {
            let object = &atom.object;
            if object.found == Found::System {
                atom.classes.extend(builtin::system_class(&object.name).map(str::to_owned));
            }
            let Some(relation) = object.oid.and_then(|oid| self.catalog.relation_by_oid(oid)) else {
                continue;
            };
            let by_word = matches!(
                atom.verb.as_str(),
                "sql.select"
                    | "sql.insert"
                    | "sql.update"
                    | "sql.merge"
                    | "sql.delete"
                    | "sql.export"
                    | "sql.import"
            );
            let spoken = |name: &String| all || !by_word || self.words.names.contains(name);
            let columns = relation.columns.iter().filter(|column| spoken(&column.name));
            atom.classes.extend(columns.flat_map(|column| column.classes.iter().cloned()));
        }
    }
}

fn copy_of(at: At<'_>) -> CopyData {
    let end = if at.flag("is_program") {
        CopyEnd::Program
    } else if at.text("filename").is_empty() {
        CopyEnd::Client
    } else {
        CopyEnd::File
    };
    CopyData { inward: at.flag("is_from"), end }
}

/// The operators that an expression runs: `BETWEEN` and its kin stand for two.
fn operators<'w>(words: &[&'w str]) -> Vec<Vec<&'w str>> {
    match words {
        ["BETWEEN" | "BETWEEN SYMMETRIC"] => vec![vec![">="], vec!["<="]],
        ["NOT BETWEEN" | "NOT BETWEEN SYMMETRIC"] => vec![vec!["<"], vec![">"]],
        words => vec![words.to_vec()],
    }
}

/// Whether the grammar itself leaves a place empty: plain DISTINCT, a function in FROM without a list of columns, the
/// arguments of `aggregate(*)`, an operator's `NONE`, a body of nothing.
fn is_left_empty(at: At<'_>) -> bool {
    let parent = at.parent();
    let above = parent.and_then(At::parent).map_or("", At::kind);
    match (parent.map_or("", At::kind), at.field()) {
        ("SelectStmt", "distinct_clause") | ("DefineStmt", "args") | ("ObjectWithArgs", "objargs") => true,
        ("List", "items") => matches!(above, "RangeFunction" | "CreateFunctionStmt"),
        _ => false,
    }
}

/// Whether a type stands where a value is made of it, and not where one is defined or named.
fn is_value(at: At<'_>) -> bool {
    let owner = at.ancestors().find_map(|above| match role(above.kind()) {
        Some(Role::Statement(verb)) => Some(verb),
        Some(Role::Part) | None => None,
    });
    let is_cast = at.parent().is_some_and(|parent| parent.kind() == "TypeCast");
    is_cast
        || matches!(
            owner,
            Some("sql.select" | "sql.insert" | "sql.update" | "sql.merge" | "sql.delete" | "sql.export")
        )
}

/// Whether a statement stands below an EXPLAIN that does not run it. Only `ANALYZE` runs it, whatever else is said of it:
/// `ANALYZE false` is not believed.
fn is_only_explained(at: At<'_>) -> bool {
    at.ancestors().find(|above| above.kind() == "ExplainStmt").is_some_and(|explain| {
        !explain.list("options").any(|option| option.text("defname").eq_ignore_ascii_case("analyze"))
    })
}

/// Whether a condition reads a column in such a way that it can leave rows out: a constant, `true OR …` and `a = a` cannot.
fn narrows(at: At<'_>) -> bool {
    if at.kind() == "BoolExpr" {
        let mut parts = at.list("args");
        return match at.number("boolop") {
            objects::BOOL_OR => parts.all(narrows),
            _ => parts.any(narrows),
        };
    }
    let column = |field| at.child(field).filter(|at| at.kind() == "ColumnRef").map(|at| at.words("fields"));
    let is_same = at.kind() == "AExpr" && column("lexpr").is_some() && column("lexpr") == column("rexpr");
    !is_same && at.all().any(|at| matches!(at.kind(), "ColumnRef" | "CurrentOfExpr"))
}
