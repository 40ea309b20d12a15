//! Every kind of node that PostgreSQL's parser can make, and what it means that one is there.
//!
//! A test goes over the parser's own list of kinds: each stands here, or is one that only the planner makes. A kind that
//! stands nowhere makes its statement opaque.

use std::collections::HashMap;
use std::sync::LazyLock;

/// What a kind of node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// A statement, with the verb that it has where nothing below says otherwise.
    Statement(&'static str),
    /// A part of a statement. It has no effect of its own, or one that [`crate::classify`] reads.
    Part,
}

/// What a kind is; nothing where the parser does not make it.
pub(crate) fn role(kind: &str) -> Option<Role> {
    static ROLES: LazyLock<HashMap<&'static str, Role>> = LazyLock::new(|| {
        let statements = STATEMENTS
            .iter()
            .flat_map(|(verb, kinds)| kinds.split(' ').map(|kind| (kind, Role::Statement(verb))));
        statements.chain(PARTS.split(' ').map(|kind| (kind, Role::Part))).collect()
    });
    ROLES.get(kind).copied()
}

/// Statements by verb.
pub(crate) const STATEMENTS: &[(&str, &str)] = &[
    (
        "sql.select",
        "SelectStmt ReturnStmt DeclareCursorStmt ClosePortalStmt FetchStmt ExplainStmt PrepareStmt \
         DeallocateStmt",
    ),
    ("sql.insert", "InsertStmt"),
    ("sql.update", "UpdateStmt"),
    ("sql.merge", "MergeStmt"),
    ("sql.delete", "DeleteStmt"),
    ("sql.truncate", "TruncateStmt"),
    ("sql.drop", "DropTableSpaceStmt DropStmt DropdbStmt DropOwnedStmt DropSubscriptionStmt"),
    (
        "sql.define",
        "CreateSchemaStmt AlterTableStmt AlterCollationStmt AlterDomainStmt CreateStmt AlterTableMoveAllStmt \
         CreateForeignTableStmt ImportForeignSchemaStmt CreateTrigStmt CreateSeqStmt AlterSeqStmt \
         DefineStmt CreateDomainStmt CreateOpClassStmt CreateOpFamilyStmt AlterOpFamilyStmt \
         CommentStmt IndexStmt CreateStatsStmt AlterStatsStmt CreateFunctionStmt AlterFunctionStmt \
         RenameStmt AlterObjectDependsStmt AlterObjectSchemaStmt AlterOperatorStmt AlterTypeStmt \
         RuleStmt CompositeTypeStmt CreateEnumStmt CreateRangeStmt AlterEnumStmt ViewStmt \
         CreateTableAsStmt CreateConversionStmt CreateCastStmt CreateTransformStmt \
         AlterTsDictionaryStmt AlterTsConfigurationStmt",
    ),
    (
        "sql.grant",
        "GrantStmt GrantRoleStmt AlterDefaultPrivilegesStmt CreateUserMappingStmt AlterUserMappingStmt \
         DropUserMappingStmt CreatePolicyStmt AlterPolicyStmt CreateRoleStmt AlterRoleStmt \
         AlterRoleSetStmt DropRoleStmt SecLabelStmt AlterOwnerStmt ReassignOwnedStmt",
    ),
    ("sql.session", "DiscardStmt"),
    ("sql.set", "VariableSetStmt VariableShowStmt ConstraintsSetStmt"),
    (
        "sql.system",
        "CreateTableSpaceStmt AlterTableSpaceOptionsStmt CreateExtensionStmt AlterExtensionStmt \
         AlterExtensionContentsStmt CreateFdwStmt AlterFdwStmt CreateForeignServerStmt \
         AlterForeignServerStmt CreateAmStmt CreateEventTrigStmt AlterEventTrigStmt CreatePLangStmt \
         LoadStmt CreatedbStmt AlterDatabaseStmt AlterDatabaseRefreshCollStmt AlterDatabaseSetStmt \
         AlterSystemStmt CreatePublicationStmt AlterPublicationStmt CreateSubscriptionStmt \
         AlterSubscriptionStmt",
    ),
    ("sql.maintain", "ClusterStmt VacuumStmt RefreshMatViewStmt CheckPointStmt ReindexStmt"),
    ("sql.lock", "LockStmt"),
    ("sql.call", "DoStmt CallStmt"),
    ("sql.export", "CopyStmt"),
    ("sql.opaque", "ExecuteStmt"),
    ("sql.transaction", "TransactionStmt"),
    ("sql.notify", "NotifyStmt"),
    ("sql.listen", "ListenStmt UnlistenStmt"),
];

/// Parts of statements, as the grammar makes them.
const PARTS: &str = "Alias RangeVar IntoClause GroupingFunc MergeSupportFunc NamedArgExpr BoolExpr SubLink CaseExpr \
    CaseWhen RowExpr CoalesceExpr MinMaxExpr SqlValueFunction XmlExpr JsonFormat JsonReturning \
    JsonValueExpr JsonIsPredicate JsonBehavior NullTest BooleanTest SetToDefault CurrentOfExpr \
    JoinExpr TypeName ColumnRef ParamRef AExpr TypeCast CollateClause RoleSpec FuncCall AStar \
    AIndices AIndirection AArrayExpr ResTarget MultiAssignRef SortBy WindowDef RangeSubselect \
    RangeFunction RangeTableFunc RangeTableFuncCol RangeTableSample ColumnDef TableLikeClause \
    IndexElem DefElem LockingClause XmlSerialize PartitionElem PartitionSpec PartitionBoundSpec \
    PartitionRangeDatum PartitionCmd GroupingSet WithClause InferClause OnConflictClause \
    CteSearchClause CteCycleClause CommonTableExpr MergeWhenClause ReturningOption ReturningClause \
    TriggerTransition JsonOutput JsonArgument JsonFuncExpr JsonTablePathSpec JsonTable \
    JsonTableColumn JsonKeyValue JsonParseExpr JsonScalarExpr JsonSerializeExpr \
    JsonObjectConstructor JsonArrayConstructor JsonArrayQueryConstructor JsonAggConstructor \
    JsonObjectAgg JsonArrayAgg RawStmt AlterTableCmd AtAlterConstraint ReplicaIdentityStmt \
    ObjectWithArgs AccessPriv Constraint CreateOpClassItem StatsElem FunctionParameter \
    VacuumRelation PublicationTable PublicationObjSpec Integer Float Boolean String BitString List \
    AConst";

/// Kinds that only the planner makes. The parser has them in its messages and never in its tree, so that one there is
/// something that we do not know.
#[cfg(test)]
pub(crate) const PLANNED: &str = "TableFunc Var Param Aggref WindowFunc WindowFuncRunCondition SubscriptingRef FuncExpr OpExpr \
    DistinctExpr NullIfExpr ScalarArrayOpExpr SubPlan AlternativeSubPlan FieldSelect FieldStore \
    RelabelType CoerceViaIo ArrayCoerceExpr ConvertRowtypeExpr CollateExpr CaseTestExpr ArrayExpr \
    RowCompareExpr JsonConstructorExpr JsonExpr JsonTablePath JsonTablePathScan JsonTableSiblingJoin \
    MergeAction CoerceToDomain CoerceToDomainValue NextValueExpr InferenceElem ReturningExpr \
    TargetEntry RangeTblRef FromExpr OnConflictExpr Query RangeTblEntry RtePermissionInfo \
    RangeTblFunction TableSampleClause WithCheckOption SortGroupClause WindowClause RowMarkClause \
    SetOperationStmt PlAssignStmt InlineCodeBlock CallContext IntList OidList";
