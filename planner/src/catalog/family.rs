//! Family: what a table has of its parents, and how a partitioned table tells its rows apart.
//!
//! A partition is a child of one partitioned table; a table of INHERITS has any number of parents. Either way each table
//! of a family keeps its own rows under its own id; a partitioned table keeps none.

use serde::{Deserialize, Serialize};

use super::{Catalog, IndexSource, Relation};
use crate::Type;

/// A table's place among its relatives.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Family {
    /// Tables it inherits from, in the order they were named; the one parent of a partition.
    #[serde(default)]
    pub parents: Vec<u32>,
    /// PARTITION BY: the table's rows are in its partitions.
    #[serde(default)]
    pub key: Option<PartitionKey>,
    /// FOR VALUES of a partition.
    #[serde(default)]
    pub bound: Option<BoundText>,
}

/// How a partitioned table tells its rows apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the strategies of their names")]
pub enum Strategy {
    Range,
    List,
    Hash,
}

/// PARTITION BY.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PartitionKey {
    /// Strategy.
    pub strategy: Strategy,
    /// Columns and expressions, in order.
    pub parts: Vec<PartitionKeyPart>,
}

/// A column or expression of a partition key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PartitionKeyPart {
    /// What it is.
    pub source: IndexSource,
    /// Its type.
    pub ty: Type,
}

impl PartitionKey {
    /// Positions of the columns that are parts of the key themselves.
    pub fn columns(&self) -> impl Iterator<Item = u16> {
        self.parts.iter().filter_map(|part| match part.source {
            IndexSource::Column(at) => Some(at),
            IndexSource::Expression(_) => None,
        })
    }
}

/// FOR VALUES as it is stored: values in their types' text form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BoundText {
    /// FROM (…) TO (…)
    Range {
        /// The first row that belongs to it.
        from: Vec<EdgeText>,
        /// The first one that does not.
        to: Vec<EdgeText>,
    },
    /// IN (…), NULL as `None`.
    List(Vec<Option<String>>),
    /// WITH (MODULUS …, REMAINDER …)
    Hash {
        /// Modulus.
        modulus: u32,
        /// Remainder.
        remainder: u32,
    },
    /// DEFAULT
    Default,
}

/// One value of a range's edge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EdgeText {
    /// MINVALUE
    Min,
    /// A value.
    Value(String),
    /// MAXVALUE
    Max,
}

/// What a constraint, index or column of a child has of its parent's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The parent's constraint or index that this one was made for.
    #[serde(default)]
    pub parent: Option<u32>,
    /// Parents that have it.
    #[serde(default)]
    pub inherited: u16,
    /// Whether it is there only because the parents have it.
    #[serde(default)]
    pub is_only_inherited: bool,
    /// NO INHERIT
    #[serde(default)]
    pub no_inherit: bool,
}

impl Relation {
    /// Whether its rows are in partitions.
    pub fn is_partitioned(&self) -> bool {
        self.family.key.is_some()
    }

    /// Whether it is a partition.
    pub fn is_partition(&self) -> bool {
        self.family.bound.is_some()
    }
}

impl Catalog {
    /// Children of a table, in the order of their ids.
    pub fn children_of(&self, table: u32) -> &[u32] {
        self.children.get(&table).map_or(&[], Vec::as_slice)
    }

    /// A table and all that come from it, each once, parents before children.
    pub fn family_of(&self, table: u32) -> Vec<u32> {
        let mut family = vec![table];
        let mut next = 0;
        while let Some(member) = family.get(next).copied() {
            next += 1;
            for child in self.children_of(member) {
                if !family.contains(child) {
                    family.push(*child);
                }
            }
        }
        family
    }

    /// The tables above a partition, its parent first and the root last.
    pub fn ancestors_of(&self, table: u32) -> Vec<u32> {
        let mut ancestors = Vec::new();
        let mut at = self.relations.get(&table);
        while let Some(relation) = at.filter(|relation| relation.is_partition()) {
            let Some(parent) = relation.family.parents.first() else {
                break;
            };
            ancestors.push(*parent);
            at = self.relations.get(parent);
        }
        ancestors
    }
}
