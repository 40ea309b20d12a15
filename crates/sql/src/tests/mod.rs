//! Texts in, atoms out.

mod kinds;
mod attacks;
mod statements;
mod uses;
mod bounds;
mod properties;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use domain::evaluation::Fact;

use crate::catalog::{
    Catalog, Column, Event, Follow, Function, Operator, Reference, Relation, Rule, Trigger, Trust, Type,
};
use crate::statement::{Classified, Found, ObjectKind, Via};
use crate::{Classifier, Statement};

pub(crate) fn column(name: &str, classes: &[&str]) -> Column {
    Column { name: name.to_owned(), classes: classes.iter().map(|class| (*class).to_owned()).collect() }
}

pub(crate) fn relation(oid: u32, schema: &str, name: &str, columns: Vec<Column>) -> Relation {
    Relation {
        oid,
        kind: ObjectKind::Table,
        schema: schema.to_owned(),
        name: name.to_owned(),
        columns,
        query: None,
        rules: Vec::new(),
        triggers: Vec::new(),
        referenced_by: Vec::new(),
        children: Vec::new(),
    }
}

/// A shop: customers with personal data, orders that go with them, a view, a rule, a trigger, a partition.
pub(crate) fn shop() -> Catalog {
    let mut shop = Catalog::new("shop", &["pg_catalog", "public"]);
    let columns = vec![column("id", &[]), column("name", &["pii"]), column("card", &["pii", "payment"])];
    shop.add_relation(Relation {
        referenced_by: vec![Reference {
            from: 2,
            columns: vec!["id".to_owned()],
            on_delete: Follow::Cascade,
            on_update: Follow::Set,
        }],
        ..relation(1, "public", "customers", columns)
    });
    shop.add_relation(Relation {
        triggers: vec![Trigger {
            name: "stamp".to_owned(),
            events: [Event::Update].into(),
            function: "public.stamp".to_owned(),
            runs: 104,
        }],
        children: vec![6],
        ..relation(
            2,
            "public",
            "orders",
            vec![column("id", &[]), column("customer", &[]), column("total", &[])],
        )
    });
    shop.add_relation(Relation {
        kind: ObjectKind::View,
        query: Some("SELECT c.name, pg_catalog.now() AS at FROM public.customers c".to_owned()),
        ..relation(3, "public", "names", vec![column("name", &["pii"]), column("at", &[])])
    });
    shop.add_relation(Relation {
        rules: vec![Rule {
            name: "sweep".to_owned(),
            event: Event::Update,
            definition: "CREATE RULE sweep AS ON UPDATE TO public.notes DO INSTEAD DELETE FROM public.notes"
                .to_owned(),
        }],
        ..relation(4, "public", "notes", vec![column("id", &[]), column("text", &[])])
    });
    shop.add_relation(relation(5, "audit", "log", vec![column("id", &[])]));
    shop.add_relation(relation(6, "public", "orders_2026", vec![column("id", &[])]));
    shop.add_relation(Relation {
        kind: ObjectKind::View,
        query: Some("SELECT public.reckon(l.id) AS sum FROM audit.log l".to_owned()),
        ..relation(7, "public", "sums", vec![column("sum", &[])])
    });
    let function = |oid, schema: &str, trust| Function { oid, schema: schema.to_owned(), trust };
    shop.add_function("reckon", function(100, "public", Trust::Never));
    shop.add_function("plain", function(101, "public", Trust::Said));
    shop.add_function("upper", function(102, "evil", Trust::Never));
    shop.add_function("dblink", function(103, "public", Trust::Never));
    shop.add_function("word_similarity", function(105, "public", Trust::Shipped));
    let operator = |oid, trust, runs| Operator { oid, schema: "public".to_owned(), trust, runs };
    shop.add_operator("===", operator(110, Trust::Never, 100));
    shop.add_operator("~=~", operator(111, Trust::Said, 101));
    shop.add_type("public", "mood", 120, Type::Plain);
    shop.add_type("public", "checked", 121, Type::RunsCode);
    shop
}

pub(crate) fn classify(text: &str) -> Classified {
    Classifier::default().classify(text.as_bytes(), true, &shop())
}

/// One statement's atoms, a line each, as few words as tell them apart.
pub(crate) fn told(statement: &Statement) -> String {
    let mut lines = String::new();
    for atom in &statement.atoms {
        let _ = write!(lines, "{} {} {}", atom.verb, atom.object.kind.as_str(), atom.object.full_name());
        match atom.object.found {
            Found::Nowhere => lines.push_str(" (nowhere)"),
            Found::System => lines.push_str(" (system)"),
            Found::Temporary => lines.push_str(" (temporary)"),
            Found::Catalog | Found::Named => {}
        }
        match atom.filtered {
            Some(true) => lines.push_str(" where"),
            Some(false) => lines.push_str(" all-rows"),
            None => {}
        }
        if let Some(copy) = &atom.copy {
            let _ = write!(lines, " {}:{}", if copy.inward { "from" } else { "to" }, copy.end.as_str());
        }
        for (is, word) in [(atom.triggers, "triggers"), (atom.rules, "rules"), (atom.cascades, "cascades")] {
            if is {
                let _ = write!(lines, " {word}");
            }
        }
        if !atom.classes.is_empty() {
            let _ = write!(lines, " {:?}", atom.classes);
        }
        if atom.via != Via::Statement {
            let _ = write!(lines, " via {:?}", atom.via);
        }
        lines.push('\n');
    }
    for why in &statement.opaque {
        let _ = writeln!(lines, "OPAQUE: {why}");
    }
    if !statement.bindable {
        lines.push_str("not bindable\n");
    }
    lines
}

/// Every statement of a text, with what it would do.
pub(crate) fn tell(text: &str) -> String {
    let classified = classify(text);
    let mut lines = format!("{text}\n");
    for statement in &classified.statements {
        for line in told(statement).lines() {
            let _ = writeln!(lines, "    {line}");
        }
    }
    lines
}

/// The verbs of a text's atoms.
pub(crate) fn verbs(text: &str) -> BTreeSet<&'static str> {
    let classified = classify(text);
    classified
        .statements
        .iter()
        .flat_map(|statement| &statement.atoms)
        .map(|atom| atom.verb.as_str())
        .collect()
}

/// Whether nothing of a text would be asked about: every atom only reads what was found, and all was understood.
pub(crate) fn is_plain_read(text: &str) -> bool {
    let classified = classify(text);
    classified.statements.iter().all(|statement| {
        statement.atoms.iter().all(|atom| {
            let facts = statement.facts(atom);
            atom.verb.is_read()
                && facts.get("parsed") == Some(&Fact::Bool(true))
                && facts.get("matched") == Some(&Fact::Bool(true))
        })
    })
}
