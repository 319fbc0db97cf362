//! Routing: the partitions of a table as the catalog has them, compiled.

use std::sync::Arc;

use storage::Datum;

use super::bounds::{Bound, Bounds, Edge};
use super::{Mapping, text};
use crate::bind::Purpose;
use crate::bound::{Members, PartitionChild, PartitionNode};
use crate::catalog::{BoundText, Catalog, EdgeText, IndexSource, PartitionKey, Relation};
use crate::eval::session::FixedSession;
use crate::eval::{EvalContext, Program, SessionView};
use crate::modify::index::as_key;
use crate::modify::program::{RowProgram, row_program};
use crate::modify::violation::{describe_values, name_table};
use crate::types::oid;
use crate::{SqlError, SqlResult, SqlState, Type, types};

/// A partitioned table ready to say where its rows belong.
pub struct Routing {
    /// The key's parts over the table's row.
    keys: Vec<RowProgram>,
    types: Vec<Type>,
    /// Partitions in the order of their bounds.
    pub members: Vec<u32>,
    /// Their bounds.
    pub bounds: Bounds,
    /// The table's rows as each partition has them.
    mappings: Vec<Mapping>,
}

impl Routing {
    /// Compiles the partitions of a table; `None` if it has no partition key.
    ///
    /// # Errors
    /// What binding the key's expressions reports, or a bound that cannot be read.
    pub fn new(catalog: &Catalog, session: &dyn SessionView, table: &Arc<Relation>) -> SqlResult<Option<Routing>> {
        let Some(key) = &table.family.key else { return Ok(None) };
        let mut keys = Vec::with_capacity(key.parts.len());
        for part in &key.parts {
            keys.push(match &part.source {
                IndexSource::Column(at) => RowProgram {
                    program: match part.ty.oid {
                        oid::BPCHAR => Program::slot(usize::from(*at), part.ty).trimmed(),
                        _ => Program::slot(usize::from(*at), part.ty),
                    },
                    reads: vec![storage::Path::column(*at)],
                },
                IndexSource::Expression(text) => row_program(catalog, session, table, text, Purpose::Index, None)?,
            });
        }
        let (members, bounds) = bounds_of(catalog, table)?;
        let mapping = |member: &u32| match catalog.relations.get(member) {
            Some(member) => Mapping::between(table, member),
            None => Mapping::between(table, table),
        };
        Ok(Some(Routing {
            mappings: members.iter().map(mapping).collect(),
            keys,
            types: key.parts.iter().map(|part| part.ty).collect(),
            members,
            bounds,
        }))
    }

    /// Columns of the table that decide about a row's partition.
    pub fn columns(&self) -> impl Iterator<Item = u16> {
        self.keys.iter().flat_map(|key| &key.reads).map(|path| path.column)
    }

    /// The key of a row.
    ///
    /// # Errors
    /// What the key's expressions raise.
    pub fn key(&self, row: &[Datum], context: &EvalContext<'_>) -> SqlResult<Vec<Datum>> {
        self.keys.iter().map(|key| key.program.eval(row, context)).collect()
    }

    /// The partition that a row belongs to, and the row's shape there.
    ///
    /// # Errors
    /// What the key's expressions raise.
    pub fn find(&self, row: &[Datum], context: &EvalContext<'_>) -> SqlResult<Option<(u32, &Mapping)>> {
        let key = self.key(row, context)?;
        let found = self.bounds.find(&key);
        Ok(found.map(|at| (self.members[at], &self.mappings[at])))
    }

    /// The shape of the table's rows in a partition.
    pub fn mapping(&self, partition: u32) -> Option<&Mapping> {
        let at = self.members.iter().position(|member| *member == partition)?;
        self.mappings.get(at)
    }

    /// 23514 for a row that belongs to no partition.
    pub fn no_partition(
        &self,
        catalog: &Catalog,
        table: &Relation,
        row: &[Datum],
        context: &EvalContext<'_>,
    ) -> SqlError {
        let error = SqlError::new(
            SqlState::CHECK_VIOLATION,
            format!("no partition of relation \"{}\" found for row", table.name),
        )
        .object(|object| name_table(object, table, context.session));
        match self.key(row, context) {
            Ok(key) => {
                let parts = text::key_parts(catalog, context.session, table).join(", ");
                let values = describe_values(key.iter().zip(self.types.iter().copied()), context);
                error.detail(format!(
                    "Partition key of the failing row contains ({parts}) = ({values})."
                ))
            }
            Err(_) => error,
        }
    }
}

/// The partitions of a table and their bounds, in scan order.
///
/// # Errors
/// XX001 for a bound that cannot be read.
pub fn bounds_of(catalog: &Catalog, table: &Relation) -> SqlResult<(Vec<u32>, Bounds)> {
    let Some(key) = &table.family.key else {
        return Ok((Vec::new(), Bounds::default()));
    };
    let mut members: Vec<(u32, Bound)> = Vec::new();
    for child in catalog.children_of(table.id) {
        let bound = catalog
            .relations
            .get(child)
            .and_then(|child| child.family.bound.as_ref());
        if let Some(bound) = bound {
            members.push((*child, decode(bound, key)?));
        }
    }
    members.sort_by(|(_, left), (_, right)| left.order(right));
    let (members, bounds): (Vec<u32>, Vec<Bound>) = members.into_iter().unzip();
    let types = key.parts.iter().map(|part| part.ty).collect();
    Ok((members, Bounds::new(bounds, types)))
}

/// A stored bound as values.
///
/// # Errors
/// 22P02 and its like for a text that is no value of its type.
pub fn decode(bound: &BoundText, key: &PartitionKey) -> SqlResult<Bound> {
    let session = FixedSession::default();
    let value = |text: &str, at: usize| {
        let ty = key.parts.get(at).map_or(Type::TEXT, |part| part.ty);
        types::input(ty, text, &session).map(|value| as_key(&value, ty).into_owned())
    };
    let edges = |edges: &[EdgeText]| -> SqlResult<Vec<Edge>> {
        let edge = |(at, edge): (usize, &EdgeText)| {
            Ok(match edge {
                EdgeText::Min => Edge::Min,
                EdgeText::Max => Edge::Max,
                EdgeText::Value(text) => Edge::Value(value(text, at)?),
            })
        };
        edges.iter().enumerate().map(edge).collect()
    };
    Ok(match bound {
        BoundText::Range { from, to } => Bound::Range {
            from: edges(from)?,
            to: edges(to)?,
        },
        BoundText::List(values) => Bound::List(
            values
                .iter()
                .map(|text| text.as_ref().map_or(Ok(Datum::Null), |text| value(text, 0)))
                .collect::<SqlResult<_>>()?,
        ),
        BoundText::Hash { modulus, remainder } => Bound::Hash {
            modulus: *modulus,
            remainder: *remainder,
        },
        BoundText::Default => Bound::Default,
    })
}

/// The tables that hold the rows of a table, as a scan of it reads them: partitions by their bounds, and of INHERITS the
/// table itself, then its descendants.
///
/// # Errors
/// XX001 for a bound that cannot be read.
pub fn members(catalog: &Catalog, table: &Arc<Relation>) -> SqlResult<Members> {
    if !table.is_partitioned() {
        let family = catalog.family_of(table.id);
        let tables = family.iter().filter_map(|id| catalog.relations.get(id));
        return Ok(Members {
            tables: tables.cloned().collect(),
            root: None,
        });
    }
    let mut tables = Vec::new();
    let root = Some(node(catalog, table, &mut tables)?);
    Ok(Members { tables, root })
}

fn node(catalog: &Catalog, table: &Arc<Relation>, tables: &mut Vec<Arc<Relation>>) -> SqlResult<PartitionNode> {
    let (members, bounds) = bounds_of(catalog, table)?;
    let mut children = Vec::with_capacity(members.len());
    for member in members.iter().filter_map(|id| catalog.relations.get(id)) {
        children.push(match member.is_partitioned() {
            true => PartitionChild::Node(node(catalog, member, tables)?),
            false => {
                tables.push(member.clone());
                PartitionChild::Table(tables.len() - 1)
            }
        });
    }
    Ok(PartitionNode {
        table: table.clone(),
        bounds,
        children,
    })
}
