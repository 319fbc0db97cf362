//! Partition keys and bounds as DDL writes them: read, checked against their neighbours and the rows that exist.

use sqlparser::ast::{Expr, ForValues, FunctionArg, FunctionArgExpr, FunctionArguments, PartitionBoundValue};
use txn::Mode;

use super::Ddl;
use super::names::{fold, ident_position, position};
use crate::bind::Purpose;
use crate::catalog::{
    BoundText, EdgeText, IndexSource, PartitionKey, PartitionKeyPart, Relation, RelationKind, Strategy,
};
use crate::eval::EvalContext;
use crate::eval::session::FixedSession;
use crate::modify::program::row_program;
use crate::modify::violation::name_table;
use crate::partition::bounds::Bound;
use crate::partition::routing::{bounds_of, decode};
use crate::partition::{Bounds, Mapping, Routing};
use crate::types::oid;
use crate::{SqlError, SqlResult, SqlState, Type, stored, types};

/// Most parts of a partition key, as in PostgreSQL.
const KEY_PARTS_MAX: usize = 32;

impl Ddl<'_> {
    /// PARTITION BY, which the parser reads as a call.
    pub(super) fn partition_key(&self, table: &Relation, by: &Expr) -> SqlResult<PartitionKey> {
        let syntax = || SqlError::new(SqlState::SYNTAX_ERROR, format!("syntax error at or near \"{by}\""));
        let Expr::Function(function) = by else {
            return Err(syntax());
        };
        let FunctionArguments::List(list) = &function.args else {
            return Err(syntax());
        };
        let name = function.name.to_string().to_lowercase();
        let strategy = match name.as_str() {
            "range" => Strategy::Range,
            "list" => Strategy::List,
            "hash" => Strategy::Hash,
            _ => {
                return Err(SqlError::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("unrecognized partitioning strategy \"{name}\""),
                ));
            }
        };
        if strategy == Strategy::List && list.args.len() > 1 {
            return Err(SqlError::new(
                SqlState::INVALID_OBJECT_DEFINITION,
                "cannot use \"list\" partition strategy with more than one column",
            ));
        }
        if list.args.len() > KEY_PARTS_MAX {
            return Err(SqlError::new(
                SqlState::TOO_MANY_COLUMNS,
                format!("cannot partition using more than {KEY_PARTS_MAX} columns"),
            ));
        }
        let mut parts = Vec::with_capacity(list.args.len());
        for arg in &list.args {
            let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = arg else {
                return Err(syntax());
            };
            parts.push(self.partition_key_part(table, expr)?);
        }
        Ok(PartitionKey { strategy, parts })
    }

    fn partition_key_part(&self, table: &Relation, expr: &Expr) -> SqlResult<PartitionKeyPart> {
        let expr = match expr {
            Expr::Collate { expr, collation } => {
                stored::check_collation(collation)?;
                &**expr
            }
            Expr::Nested(inner) => &**inner,
            expr => expr,
        };
        if let Expr::Identifier(ident) = expr {
            let name = fold(ident);
            let Some((at, column)) = table.live_columns().find(|(_, column)| column.name == name) else {
                if matches!(name.as_str(), "tableoid" | "ctid" | "xmin" | "xmax" | "cmin" | "cmax") {
                    return Err(SqlError::new(
                        SqlState::INVALID_OBJECT_DEFINITION,
                        format!("cannot use system column \"{name}\" in partition key"),
                    )
                    .at(ident_position(ident)));
                }
                return Err(SqlError::new(
                    SqlState::UNDEFINED_COLUMN,
                    format!("column \"{name}\" named in partition key does not exist"),
                )
                .at(ident_position(ident)));
            };
            if column.generated {
                return Err(SqlError::new(
                    SqlState::INVALID_OBJECT_DEFINITION,
                    "cannot use generated column in partition key",
                )
                .detail(format!("Column \"{name}\" is a generated column."))
                .at(ident_position(ident)));
            }
            check_class(column.ty)?;
            return Ok(PartitionKeyPart {
                source: IndexSource::Column(at),
                ty: column.ty,
            });
        }
        let text = expr.to_string();
        let bound = self.expression_over(table, &text, Purpose::Index).map_err(|error| {
            error.with_message(|message| message.replace("index expressions", "partition key expressions"))
        })?;
        if bound.expr.columns().is_empty() {
            return Err(SqlError::new(
                SqlState::INVALID_OBJECT_DEFINITION,
                "cannot use constant expression as partition key",
            ));
        }
        if bound.expr.is_volatile() {
            return Err(SqlError::new(
                SqlState::INVALID_OBJECT_DEFINITION,
                "functions in partition key expression must be marked IMMUTABLE",
            )
            .at(position(expr)));
        }
        check_class(bound.expr.ty)?;
        Ok(PartitionKeyPart {
            source: IndexSource::Expression(text),
            ty: bound.expr.ty,
        })
    }

    /// FOR VALUES for a partition of a table.
    pub(super) fn read_bound(&self, parent: &Relation, name: &str, values: &ForValues) -> SqlResult<BoundText> {
        let Some(key) = &parent.family.key else {
            return Err(SqlError::new(
                SqlState::INVALID_OBJECT_DEFINITION,
                format!("\"{}\" is not partitioned", parent.name),
            ));
        };
        let invalid = |message: &str| Err(SqlError::new(SqlState::INVALID_TABLE_DEFINITION, message.to_string()));
        let bound = match (values, key.strategy) {
            (ForValues::Default, Strategy::Hash) => {
                return invalid("a hash-partitioned table may not have a default partition");
            }
            (ForValues::Default, _) => BoundText::Default,
            (ForValues::With { modulus, remainder }, Strategy::Hash) => {
                let (Ok(modulus), Ok(remainder)) = (u32::try_from(*modulus), u32::try_from(*remainder)) else {
                    return invalid("modulus for hash partition must be an integer value greater than zero");
                };
                if modulus == 0 {
                    return invalid("modulus for hash partition must be an integer value greater than zero");
                }
                if remainder >= modulus {
                    return invalid("remainder for hash partition must be less than modulus");
                }
                BoundText::Hash { modulus, remainder }
            }
            (ForValues::In(values), Strategy::List) => {
                let mut listed: Vec<Option<String>> = Vec::with_capacity(values.len());
                for value in values {
                    let value = self.bound_value(parent, key, 0, value)?;
                    // The same value twice is once.
                    if !listed.contains(&value) {
                        listed.push(value);
                    }
                }
                BoundText::List(listed)
            }
            (ForValues::From { from, to }, Strategy::Range) => {
                if from.len() != key.parts.len() {
                    return invalid("FROM must specify exactly one value per partitioning column");
                }
                if to.len() != key.parts.len() {
                    return invalid("TO must specify exactly one value per partitioning column");
                }
                BoundText::Range {
                    from: self.edge(parent, key, from)?,
                    to: self.edge(parent, key, to)?,
                }
            }
            (_, Strategy::Hash) => return invalid("invalid bound specification for a hash partition"),
            (_, Strategy::List) => return invalid("invalid bound specification for a list partition"),
            (_, Strategy::Range) => return invalid("invalid bound specification for a range partition"),
        };
        let decoded = decode(&bound, key)?;
        if decoded.is_empty_range()
            && let Bound::Range { .. } = decoded
        {
            let text = |edges: &[EdgeText]| {
                let edges: Vec<String> = edges
                    .iter()
                    .enumerate()
                    .map(|(at, edge)| edge_text(edge, key.parts[at].ty))
                    .collect();
                edges.join(", ")
            };
            let BoundText::Range { from, to } = &bound else {
                return Ok(bound);
            };
            return Err(SqlError::new(
                SqlState::INVALID_OBJECT_DEFINITION,
                format!("empty range bound specified for partition \"{name}\""),
            )
            .detail(format!(
                "Specified lower bound ({}) is greater than or equal to upper bound ({}).",
                text(from),
                text(to)
            )));
        }
        Ok(bound)
    }

    fn edge(&self, parent: &Relation, key: &PartitionKey, edge: &[PartitionBoundValue]) -> SqlResult<Vec<EdgeText>> {
        let mut read = Vec::with_capacity(edge.len());
        for (at, value) in edge.iter().enumerate() {
            read.push(match value {
                PartitionBoundValue::MinValue => EdgeText::Min,
                PartitionBoundValue::MaxValue => EdgeText::Max,
                PartitionBoundValue::Expr(expr) => match self.bound_value(parent, key, at, expr)? {
                    Some(text) => EdgeText::Value(text),
                    None => {
                        return Err(SqlError::new(
                            SqlState::INVALID_TABLE_DEFINITION,
                            "cannot specify NULL in range bound",
                        ));
                    }
                },
            });
            let kind = |edge: &EdgeText| match edge {
                EdgeText::Min => "MINVALUE",
                EdgeText::Max => "MAXVALUE",
                EdgeText::Value(_) => "",
            };
            if let [.., before, last] = read.as_slice()
                && !kind(before).is_empty()
                && kind(before) != kind(last)
            {
                let before = kind(before);
                return Err(SqlError::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!("every bound following {before} must also be {before}"),
                ));
            }
        }
        Ok(read)
    }

    /// A bound's value in its type's text form, `None` for NULL.
    fn bound_value(&self, parent: &Relation, key: &PartitionKey, at: usize, expr: &Expr) -> SqlResult<Option<String>> {
        let ty = key.parts[at].ty;
        let name = match &key.parts[at].source {
            IndexSource::Column(column) => parent.columns[usize::from(*column)].name.clone(),
            IndexSource::Expression(text) => text.clone(),
        };
        let nothing = Relation::system_placeholder();
        let program = row_program(
            self.catalog(),
            &*self.context.session,
            &nothing,
            &expr.to_string(),
            Purpose::Default,
            Some(ty),
        )
        .map_err(|error| match error.code() {
            SqlState::DATATYPE_MISMATCH => SqlError::new(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "specified value cannot be cast to type {} for column \"{name}\"",
                    types::format_type(ty)
                ),
            )
            .at(position(expr)),
            SqlState::UNDEFINED_COLUMN | SqlState::FEATURE_NOT_SUPPORTED if matches!(expr, Expr::Identifier(_)) => {
                SqlError::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    "cannot use column reference in partition bound expression",
                )
                .at(position(expr))
            }
            _ => error.with_message(|message| message.replace("DEFAULT expressions", "partition bound")),
        })?;
        let context = EvalContext {
            session: &*self.context.session,
            parameters: &[],
            outer: &[],
        };
        let value = program.program.eval(&[], &context)?;
        if value.is_null() {
            return Ok(None);
        }
        let mut text = String::new();
        types::output(ty, &value, &FixedSession::default(), &mut text)?;
        Ok(Some(text))
    }

    /// Checks a new bound against the partitions that exist, and the default partition's rows against it.
    pub(super) async fn check_bound(&self, parent: &Relation, table: &Relation, bound: &BoundText) -> SqlResult<()> {
        let Some(key) = &parent.family.key else { return Ok(()) };
        let (members, bounds) = bounds_of(self.catalog(), parent)?;
        let new = decode(bound, key)?;
        let name_of = |at: usize| {
            let relation = self.catalog().relations.get(&members[at]);
            relation.map_or_else(String::new, |relation| relation.name.clone())
        };
        if let (Bound::Default, Some(at)) = (&new, bounds.default_position()) {
            return Err(SqlError::new(
                SqlState::INVALID_OBJECT_DEFINITION,
                format!(
                    "partition \"{}\" conflicts with existing default partition \"{}\"",
                    table.name,
                    name_of(at)
                ),
            ));
        }
        if let Bound::Hash { modulus, .. } = &new {
            check_modulus(*modulus, &bounds, name_of)?;
        }
        if let Some(at) = bounds.overlap(&new) {
            return Err(SqlError::new(
                SqlState::INVALID_OBJECT_DEFINITION,
                format!(
                    "partition \"{}\" would overlap partition \"{}\"",
                    table.name,
                    name_of(at)
                ),
            ));
        }
        match bounds.default_position() {
            Some(at) => self.check_default_partition(parent, members[at], new).await,
            None => Ok(()),
        }
    }

    /// No row of the default partition may belong to a new one.
    async fn check_default_partition(&self, parent: &Relation, default: u32, new: Bound) -> SqlResult<()> {
        let Some(key) = &parent.family.key else { return Ok(()) };
        let default = self.relation_by_id(default)?.clone();
        let bounds = Bounds::new(vec![new], key.parts.iter().map(|part| part.ty).collect());
        let routing = Routing::new(
            self.catalog(),
            &*self.context.session,
            &std::sync::Arc::new(parent.clone()),
        )?;
        let Some(routing) = routing else { return Ok(()) };
        for leaf in crate::partition::routing::members(self.catalog(), &default)?.tables {
            self.lock_table(&leaf, Mode::AccessExclusive).await?;
            let mapping = Mapping::between(parent, &leaf);
            let context = EvalContext {
                session: &*self.context.session,
                parameters: &[],
                outer: &[],
            };
            self.for_each_row(&leaf, |_, row| {
                let key = routing.key(&mapping.to_parent(&row), &context)?;
                match bounds.find(&key) {
                    None => Ok(()),
                    Some(_) => Err(SqlError::new(
                        SqlState::CHECK_VIOLATION,
                        format!(
                            "updated partition constraint for default partition \"{}\" would be violated by some row",
                            leaf.name
                        ),
                    )
                    .object(|object| name_table(object, &leaf, &*self.context.session))),
                }
            })
            .await?;
            self.put_relation(&leaf)?;
        }
        Ok(())
    }

    /// 0A000 for a unique index of a partitioned table that does not have the whole partition key.
    pub(super) fn check_partition_keys(&self, table: &Relation) -> SqlResult<()> {
        let Some(key) = &table.family.key else { return Ok(()) };
        for index in table.indexes.iter().filter(|index| index.unique) {
            let word = if table.is_primary(index) {
                "PRIMARY KEY"
            } else {
                "UNIQUE"
            };
            for part in &key.parts {
                let IndexSource::Column(column) = part.source else {
                    return Err(SqlError::new(
                        SqlState::FEATURE_NOT_SUPPORTED,
                        format!("unsupported {word} constraint with partition key definition"),
                    )
                    .detail(format!(
                        "{word} constraints cannot be used when partition keys include expressions."
                    )));
                };
                if !index.uses_column(column) {
                    return Err(SqlError::new(
                        SqlState::FEATURE_NOT_SUPPORTED,
                        "unique constraint on partitioned table must include all partitioning columns",
                    )
                    .detail(format!(
                        "{word} constraint on table \"{}\" lacks column \"{}\" which is part of the partition key.",
                        table.name,
                        table.columns[usize::from(column)].name
                    )));
                }
            }
        }
        Ok(())
    }

    /// A partitioned table by name.
    pub(super) fn find_partitioned(&self, name: &sqlparser::ast::ObjectName) -> SqlResult<std::sync::Arc<Relation>> {
        let found = self.find(name)?.clone();
        if found.kind != RelationKind::Table || !found.is_partitioned() {
            return Err(SqlError::new(
                SqlState::INVALID_OBJECT_DEFINITION,
                format!("\"{}\" is not partitioned", found.name),
            ));
        }
        Ok(found)
    }
}

fn check_class(ty: Type) -> SqlResult<()> {
    if matches!(ty.oid, oid::JSON | oid::XML | oid::UNKNOWN) {
        return Err(SqlError::new(
            SqlState::UNDEFINED_OBJECT,
            format!(
                "data type {} has no default operator class for access method \"btree\"",
                types::format_type(ty)
            ),
        )
        .hint("You must specify a btree operator class or define a default btree operator class for the data type."));
    }
    Ok(())
}

fn edge_text(edge: &EdgeText, ty: Type) -> String {
    match edge {
        EdgeText::Min => "MINVALUE".into(),
        EdgeText::Max => "MAXVALUE".into(),
        EdgeText::Value(text) => match ty.oid {
            oid::INT4 if !text.starts_with('-') => text.clone(),
            oid::NUMERIC if text.contains('.') && !text.starts_with('-') => text.clone(),
            _ => format!("'{}'", text.replace('\'', "''")),
        },
    }
}

/// Every modulus must be a factor of the next larger one.
fn check_modulus(modulus: u32, bounds: &Bounds, name_of: impl Fn(usize) -> String) -> SqlResult<()> {
    let error = |detail: String| {
        Err(SqlError::new(
            SqlState::INVALID_OBJECT_DEFINITION,
            "every hash partition modulus must be a factor of the next larger modulus",
        )
        .detail(detail))
    };
    for (at, bound) in bounds.bounds().iter().enumerate() {
        let Bound::Hash { modulus: other, .. } = bound else {
            continue;
        };
        if *other < modulus && !modulus.is_multiple_of(*other) {
            return error(format!(
                "The new modulus {modulus} is not divisible by {other}, the modulus of existing partition \"{}\".",
                name_of(at)
            ));
        }
        if *other > modulus && other % modulus != 0 {
            return error(format!(
                "The new modulus {modulus} is not a factor of {other}, the modulus of existing partition \"{}\".",
                name_of(at)
            ));
        }
    }
    Ok(())
}
