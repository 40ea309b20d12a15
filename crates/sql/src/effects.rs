//! What a statement brings about besides what it says: through views, rules, triggers, foreign keys, partitions.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use crate::catalog::{Catalog, Event, Follow, Relation};
use crate::classify::{Read, atom, below};
use crate::limits::{ATOMS_LIMIT, FOLLOW_LIMIT};
use crate::names;
use crate::statement::{Atom, Object, ObjectKind, Statement, Use, Via};

/// Adds to a statement what the catalog says would follow from it, until nothing new comes.
pub(crate) fn add(statement: &mut Statement, catalog: &Catalog, read: &Read<'_>) {
    let mut effects = Effects {
        catalog,
        stored: OnceCell::new(),
        read,
        seen: BTreeSet::new(),
        uses: BTreeSet::new(),
        opaque: BTreeSet::new(),
    };
    let mut at = 0;
    let mut round_ends = statement.atoms.len();
    let mut rounds = 0;
    while let Some(one) = statement.atoms.get_mut(at) {
        if rounds > FOLLOW_LIMIT || at > ATOMS_LIMIT {
            statement.opaque.insert("its rules, views and cascades go on for too long".to_owned());
            return;
        }
        let more = effects.of(one);
        for new in more {
            let known = |other: &Atom| other.verb == new.verb && other.object == new.object;
            if !statement.atoms.iter().any(known) {
                statement.atoms.push(new);
            }
        }
        at += 1;
        if at == round_ends {
            round_ends = statement.atoms.len();
            rounds += 1;
        }
    }
    statement.uses.append(&mut effects.uses);
    statement.opaque.append(&mut effects.opaque);
}

struct Effects<'c> {
    catalog: &'c Catalog,
    /// The catalog as stored texts are written for. The session's search path could give their names another meaning.
    stored: OnceCell<Catalog>,
    read: &'c Read<'c>,
    /// What was followed already.
    seen: BTreeSet<(&'static str, u32)>,
    /// What the stored texts use.
    uses: BTreeSet<Use>,
    opaque: BTreeSet<String>,
}

impl Effects<'_> {
    /// What follows from one atom.
    fn of(&mut self, one: &mut Atom) -> Vec<Atom> {
        let relation = one.object.oid.and_then(|oid| self.catalog.relation_by_oid(oid));
        let event = event_of(one);
        let Some((relation, event)) = relation.zip(event) else { return Vec::new() };
        one.triggers |= relation.triggers.iter().any(|trigger| trigger.events.contains(&event));
        one.rules |= relation.rules.iter().any(|rule| rule.event == event);
        if !self.seen.insert((one.verb.as_str(), relation.oid)) {
            return Vec::new();
        }
        let mut more = Vec::new();
        if let Some(query) = relation.query.as_deref().filter(|_| relation.kind == ObjectKind::View) {
            more.extend(self.view(relation, query, one));
        }
        for rule in relation.rules.iter().filter(|rule| rule.event == event) {
            let via = Via::Rule(format!("{}.{}", relation.name, rule.name));
            more.extend(self.stored(&rule.definition, &via, true));
        }
        for child in &relation.children {
            more.extend(self.relation(*child).and_then(|child| {
                let via = Via::Inheritance(relation.name.clone());
                let classes = one.classes.clone();
                Some(Atom { filtered: one.filtered, classes, ..atom(one.verb.as_str(), child, via)? })
            }));
        }
        more.extend(self.keys(relation, event, one));
        more
    }

    /// What a view's query reads; what is written to a view is written to what it reads.
    fn view(&mut self, view: &Relation, query: &str, one: &Atom) -> Vec<Atom> {
        let via = Via::View(view.name.clone());
        let mut more = self.stored(query, &via, false);
        if !one.verb.is_read() {
            let read: Vec<Atom> =
                more.iter().filter(|atom| atom.verb.as_str() == "sql.select").cloned().collect();
            more.extend(read.into_iter().map(|atom| Atom { verb: one.verb, filtered: one.filtered, ..atom }));
        }
        more
    }

    /// What the foreign keys that point at a relation do when its rows go or change.
    fn keys(&mut self, relation: &Relation, event: Event, one: &Atom) -> Vec<Atom> {
        let mut more = Vec::new();
        for key in &relation.referenced_by {
            // A key that is not set is not changed.
            let is_set =
                one.columns.is_empty() || key.columns.iter().any(|column| one.columns.contains(column));
            if event == Event::Update && !is_set {
                continue;
            }
            let (verb, follows) = match (event, key.on_delete, key.on_update) {
                (Event::Delete, Follow::Cascade, _) => ("sql.delete", true),
                (Event::Delete, Follow::Set, _) | (Event::Update, _, Follow::Cascade | Follow::Set) => {
                    ("sql.update", true)
                }
                // TRUNCATE refuses, unless it is told to truncate those too.
                (Event::Truncate, ..) => ("sql.truncate", one.cascades),
                (Event::Delete | Event::Update, Follow::Refuse, _)
                | (Event::Update, ..)
                | (Event::Select | Event::Insert, ..) => continue,
            };
            if !follows {
                continue;
            }
            let object = self.relation(key.from);
            let Some(new) = object.and_then(|object| atom(verb, object, Via::Cascade(relation.name.clone())))
            else {
                continue;
            };
            let columns = self.catalog.relation_by_oid(key.from).map(|from| from.columns.as_slice());
            let classes =
                columns.unwrap_or_default().iter().flat_map(|column| column.classes.clone()).collect();
            more.push(Atom { filtered: one.filtered, cascades: true, classes, ..new });
        }
        more
    }

    fn relation(&mut self, oid: u32) -> Option<Object> {
        let found = self.catalog.relation_by_oid(oid).map(|relation| names::object(relation, self.catalog));
        if found.is_none() {
            self.opaque
                .insert(format!("it reaches the relation {oid}, which the catalog's picture does not have"));
        }
        found
    }

    /// What a text that the catalog keeps would do: a view's query, or the actions of a rule.
    fn stored(&mut self, text: &str, via: &Via, is_rule: bool) -> Vec<Atom> {
        let parsed = match (self.read)(text) {
            Ok(parsed) => parsed,
            Err(why) => {
                self.opaque.insert(format!("a view or rule that it uses cannot be read: {why}"));
                return Vec::new();
            }
        };
        let mut more = Vec::new();
        for (root, _) in &parsed.statements {
            let root = parsed.tree.at(*root);
            let rule = root.child("stmt").filter(|at| is_rule && at.kind() == "RuleStmt");
            let parts = rule.map_or_else(|| vec![root], |rule| rule.list("actions").collect());
            for part in parts {
                let mut found = below(part, self.stored.get_or_init(|| self.catalog.stored()));
                self.opaque.append(&mut found.opaque);
                let own = found.uses.into_iter().filter(|used| !used.oids.is_empty());
                self.uses.extend(own.map(|used| Use { stored: true, ..used }));
                more.extend(found.atoms.into_iter().map(|atom| Atom { via: via.clone(), ..atom }));
            }
        }
        more
    }
}

/// What happens to an object's rows by an atom.
fn event_of(atom: &Atom) -> Option<Event> {
    Some(match atom.verb.as_str() {
        "sql.select" | "sql.export" => Event::Select,
        "sql.insert" | "sql.import" => Event::Insert,
        "sql.update" => Event::Update,
        "sql.delete" => Event::Delete,
        "sql.truncate" => Event::Truncate,
        _ => return None,
    })
}
