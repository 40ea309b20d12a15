//! The objects of statements that name them otherwise than as tables, and what else their fields say.

use std::collections::BTreeSet;

use pg_query::protobuf::{
    AlterTableType, BoolExprType, CmdType, DiscardMode, DropBehavior, ObjectType, OnConflictAction,
    ReindexObjectType, TransactionStmtKind,
};

use crate::catalog::Catalog;
use crate::names;
use crate::statement::{Control, Found, Object, ObjectKind, Use};
use crate::tree::At;

pub(crate) const CASCADE: i64 = DropBehavior::DropCascade as i64;
pub(crate) const ON_CONFLICT_UPDATE: i64 = OnConflictAction::OnconflictUpdate as i64;
pub(crate) const COMMAND_UPDATE: i64 = CmdType::CmdUpdate as i64;
pub(crate) const COMMAND_INSERT: i64 = CmdType::CmdInsert as i64;
pub(crate) const COMMAND_DELETE: i64 = CmdType::CmdDelete as i64;
pub(crate) const BOOL_OR: i64 = BoolExprType::OrExpr as i64;
pub(crate) const DROP_COLUMN: i64 = AlterTableType::AtDropColumn as i64;

/// An object that no catalog has to find.
pub(crate) fn named(kind: ObjectKind, name: &str) -> Object {
    Object { kind, schema: None, name: name.to_owned(), oid: None, found: Found::Named }
}

/// Whether a table's name stands where a new relation is named.
pub(crate) fn makes(parent: &str, field: &str) -> bool {
    matches!(
        (parent, field),
        ("IntoClause", "rel")
            | ("CreateStmt", "relation")
            | ("ViewStmt", "view")
            | ("CreateSeqStmt", "sequence")
            | ("CompositeTypeStmt", "typevar")
    )
}

/// The objects of a statement but those that stand in it as tables; one without a name where it names none.
/// What names relations is added to `uses`.
pub(crate) fn of(at: At<'_>, catalog: &Catalog, uses: &mut BTreeSet<Use>) -> Vec<Object> {
    let mut listed = |one: At<'_>, kind: i64| listed(one, kind, catalog, uses);
    let has_tables = at.children().any(|child| matches!(child.kind(), "RangeVar" | "VacuumRelation"));
    match at.kind() {
        _ if has_tables => Vec::new(),
        "DropStmt" => at.list("objects").map(|one| listed(one, at.number("remove_type"))).collect(),
        "GrantStmt" => at.list("objects").map(|one| listed(one, at.number("objtype"))).collect(),
        "CommentStmt" | "SecLabelStmt" => {
            at.list("object").map(|one| listed(one, at.number("objtype"))).collect()
        }
        "AlterOwnerStmt" | "AlterObjectSchemaStmt" => {
            at.list("object").map(|one| listed(one, at.number("object_type"))).collect()
        }
        "GrantRoleStmt" => {
            let roles = at.list("granted_roles");
            roles.map(|role| named(ObjectKind::Role, role.text("priv_name"))).collect()
        }
        "DropRoleStmt" | "AlterRoleStmt" | "AlterRoleSetStmt" | "DropOwnedStmt" | "ReassignOwnedStmt" => {
            let roles: Vec<_> = at.children().filter(|child| child.kind() == "RoleSpec").collect();
            let object = |role: &At<'_>| named(ObjectKind::Role, role.text("rolename"));
            if roles.is_empty() {
                vec![named(ObjectKind::Role, "")]
            } else {
                roles.iter().map(object).collect()
            }
        }
        "AlterSystemStmt" => {
            let name = at.child("setstmt").map_or("", |set| set.text("name"));
            vec![named(ObjectKind::Setting, name)]
        }
        "VacuumStmt" | "ClusterStmt" | "CheckPointStmt" => {
            vec![named(ObjectKind::Database, &catalog.database)]
        }
        kind => vec![named(kind_of(kind), &name_of(at))],
    }
}

/// An object of a list, by the type of object that the statement names.
fn listed(at: At<'_>, object_type: i64, catalog: &Catalog, uses: &mut BTreeSet<Use>) -> Object {
    let words: Vec<&str> = at.all().filter(|at| at.kind() == "String").map(|at| at.text("sval")).collect();
    let mut relation = |words: &[&str]| {
        let (schema, name) = match words {
            [name] => (None, *name),
            [.., schema, name] => (Some(*schema), *name),
            [] => return named(ObjectKind::Other, ""),
        };
        let found = names::find(schema, name, catalog).0;
        uses.insert(names::used(schema, name, &found));
        found
    };
    let kind = i32::try_from(object_type).ok().and_then(|number| ObjectType::try_from(number).ok());
    // Only the types that are told apart are named; all others are what they are called.
    #[allow(clippy::wildcard_enum_match_arm)]
    match kind {
        Some(
            ObjectType::ObjectTable
            | ObjectType::ObjectView
            | ObjectType::ObjectMatview
            | ObjectType::ObjectForeignTable
            | ObjectType::ObjectSequence
            | ObjectType::ObjectIndex,
        ) => relation(&words),
        // The last word names the part, those before it the table.
        Some(
            ObjectType::ObjectRule
            | ObjectType::ObjectTrigger
            | ObjectType::ObjectPolicy
            | ObjectType::ObjectColumn
            | ObjectType::ObjectTabconstraint,
        ) => relation(words.split_last().map_or(&[], |(_, table)| table)),
        Some(ObjectType::ObjectSchema) => named(ObjectKind::Schema, &words.join(".")),
        Some(ObjectType::ObjectDatabase) => named(ObjectKind::Database, &words.join(".")),
        Some(ObjectType::ObjectRole) => named(ObjectKind::Role, &words.join(".")),
        Some(ObjectType::ObjectType | ObjectType::ObjectDomain) => named(ObjectKind::Type, &words.join(".")),
        Some(
            ObjectType::ObjectFunction
            | ObjectType::ObjectProcedure
            | ObjectType::ObjectRoutine
            | ObjectType::ObjectAggregate,
        ) => {
            // The words of its arguments' types follow those of its name.
            let name = at.words("objname");
            named(ObjectKind::Function, &name.join("."))
        }
        _ => named(ObjectKind::Other, &words.join(".")),
    }
}

/// The name that a statement gives in a field of its own.
fn name_of(at: At<'_>) -> String {
    const FIELDS: [&str; 21] = [
        "role",
        "dbname",
        "schemaname",
        "extname",
        "fdwname",
        "servername",
        "tablespacename",
        "subname",
        "pubname",
        "policy_name",
        "trigname",
        "evtname",
        "plname",
        "amname",
        "conditionname",
        "portalname",
        "name",
        "idxname",
        "filename",
        "local_schema",
        "newname",
    ];
    if let Some(text) = FIELDS.iter().map(|field| at.text(field)).find(|text| !text.is_empty()) {
        return text.to_owned();
    }
    let own: Vec<&str> =
        at.children().filter(|child| child.kind() == "String").map(|child| child.text("sval")).collect();
    if !own.is_empty() {
        return own.join(".");
    }
    let below = at.children().find(|child| matches!(child.kind(), "List" | "ObjectWithArgs" | "TypeName"));
    let Some(below) = below else { return String::new() };
    let field = match below.kind() {
        "TypeName" => "names",
        "ObjectWithArgs" => "objname",
        _ => "items",
    };
    below.words(field).join(".")
}

fn kind_of(statement: &str) -> ObjectKind {
    match statement {
        "CreateSchemaStmt" => ObjectKind::Schema,
        "CreatedbStmt"
        | "DropdbStmt"
        | "AlterDatabaseStmt"
        | "AlterDatabaseSetStmt"
        | "AlterDatabaseRefreshCollStmt"
        | "ReindexStmt" => ObjectKind::Database,
        "NotifyStmt" | "ListenStmt" | "UnlistenStmt" => ObjectKind::Channel,
        "FetchStmt" | "ClosePortalStmt" | "DeclareCursorStmt" => ObjectKind::Cursor,
        "DeallocateStmt" => ObjectKind::Prepared,
        "CreateFunctionStmt" | "AlterFunctionStmt" => ObjectKind::Function,
        "VariableShowStmt" => ObjectKind::Setting,
        "CreateRoleStmt" => ObjectKind::Role,
        "ConstraintsSetStmt" | "DiscardStmt" => ObjectKind::Session,
        "CreateDomainStmt" | "CreateEnumStmt" | "AlterEnumStmt" | "CreateRangeStmt" | "AlterTypeStmt" => {
            ObjectKind::Type
        }
        "LoadStmt" => ObjectKind::File,
        _ => ObjectKind::Other,
    }
}

/// Whether a statement can run within a transaction block and be rolled back with it (PostgreSQL's
/// `PreventInTransactionBlock`, and what leaves the transaction).
pub(crate) fn is_bindable(at: At<'_>) -> bool {
    match at.kind() {
        "VacuumStmt" => !at.flag("is_vacuumcmd"),
        "CreatedbStmt"
        | "DropdbStmt"
        | "AlterDatabaseStmt"
        | "CreateTableSpaceStmt"
        | "DropTableSpaceStmt"
        | "AlterSystemStmt"
        | "ClusterStmt"
        | "CheckPointStmt"
        | "CreateSubscriptionStmt"
        | "AlterSubscriptionStmt"
        | "DropSubscriptionStmt"
        | "LoadStmt"
        | "TransactionStmt" => false,
        // A file or a program outside keeps what it got.
        "CopyStmt" => at.text("filename").is_empty(),
        "DiscardStmt" => at.number("target") != DiscardMode::DiscardAll as i64,
        "IndexStmt" => !at.flag("concurrent"),
        "DropStmt" => !at.flag("concurrent"),
        "ReindexStmt" => {
            let one =
                [ReindexObjectType::ReindexObjectIndex as i64, ReindexObjectType::ReindexObjectTable as i64];
            one.contains(&at.number("kind"))
                && !at.list("params").any(|option| option.text("defname") == "concurrently")
        }
        _ => true,
    }
}

/// What a `TransactionStmt` does; nothing where its kind is not known.
pub(crate) fn control(at: At<'_>) -> Option<Control> {
    let name = || at.text("savepoint_name").to_owned();
    let chain = at.flag("chain");
    let kind = i32::try_from(at.number("kind")).ok()?;
    Some(match TransactionStmtKind::try_from(kind).ok()? {
        TransactionStmtKind::TransStmtBegin | TransactionStmtKind::TransStmtStart => Control::Begin,
        TransactionStmtKind::TransStmtCommit => Control::Commit { chain },
        TransactionStmtKind::TransStmtRollback => Control::Rollback { chain },
        TransactionStmtKind::TransStmtSavepoint => Control::Savepoint(name()),
        TransactionStmtKind::TransStmtRelease => Control::Release(name()),
        TransactionStmtKind::TransStmtRollbackTo => Control::RollbackTo(name()),
        TransactionStmtKind::TransStmtPrepare => Control::PrepareTransaction,
        TransactionStmtKind::TransStmtCommitPrepared => Control::CommitPrepared,
        TransactionStmtKind::TransStmtRollbackPrepared => Control::RollbackPrepared,
        TransactionStmtKind::Undefined => return None,
    })
}
