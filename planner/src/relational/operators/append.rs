//! Append: the rows of several tables, one after the other; those that cannot hold what is wanted are not opened.

use std::sync::Arc;

use async_trait::async_trait;
use storage::Datum;

use crate::SqlResult;
use crate::eval::{EvalContext, Layout, Program};
use crate::modify::index::as_key;
use crate::partition::Bounds;
use crate::partition::bounds::{Condition, Demand};
use crate::relational::batch::Batch;
use crate::relational::columnar::adaptive::take_begun;
use crate::relational::plan::{Operator, Plan};
use crate::relational::runtime::{Frame, Runtime};
use crate::{Type, bound::Comparison};

/// Compiled scans of the tables of a family. All give the same columns.
#[derive(Debug)]
pub struct AppendPlan {
    /// The scans.
    pub inputs: Vec<Arc<dyn Plan>>,
    /// Which of them to open, where that depends on the run.
    pub pruning: Option<Pruning>,
    /// Output.
    pub layout: Layout,
}

/// What conditions with known values say of the partitions of one table, and of theirs.
#[derive(Debug)]
pub struct Pruning {
    /// Bounds of the partitions.
    pub bounds: Bounds,
    /// What the rows wanted meet.
    pub conditions: Test,
    /// The partitions, in the order of the bounds.
    pub children: Vec<PruningChild>,
}

/// A partition: an input by its place, or a partitioned table.
#[derive(Debug)]
pub enum PruningChild {
    /// Place of the table's scan among all members.
    Member(usize),
    /// A partitioned one.
    Table(Pruning),
}

/// Conditions on a partition key.
#[derive(Debug)]
pub enum Test {
    /// Conditions on parts of the key that all hold, and tests that hold beside them.
    All(Vec<(usize, TestKind)>, Vec<Test>),
    /// One of these holds.
    Any(Vec<Test>),
}

/// A condition whose value a program without a row gives.
#[derive(Debug)]
pub enum TestKind {
    /// `part op value`
    Compare(Comparison, Program, Type),
    /// `part = ANY (array)`
    AnyOf(Program, Type),
    /// IS NULL
    IsNull,
    /// IS NOT NULL
    NotNull,
}

impl TestKind {
    /// A value that cannot be computed here will fail, or not be asked for, where the condition itself is.
    fn demand(&self, context: &EvalContext<'_>) -> Option<Demand> {
        Some(match self {
            TestKind::Compare(comparison, program, ty) => {
                let value = program.eval(&[], context).ok()?;
                Demand::Compare(*comparison, as_key(&value, *ty).into_owned())
            }
            TestKind::AnyOf(program, ty) => match program.eval(&[], context).ok()? {
                Datum::Array(array) => {
                    let key = |value: &Datum| as_key(value, *ty).into_owned();
                    Demand::AnyOf(array.elements.iter().map(key).collect())
                }
                Datum::Null => Demand::AnyOf(Vec::new()),
                _ => return None,
            },
            TestKind::IsNull => Demand::IsNull,
            TestKind::NotNull => Demand::NotNull,
        })
    }

    fn is_constant(&self) -> bool {
        match self {
            TestKind::Compare(_, program, _) | TestKind::AnyOf(program, _) => program.as_literal().is_some(),
            TestKind::IsNull | TestKind::NotNull => true,
        }
    }
}

impl Test {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        matches!(self, Test::All(conditions, tests) if conditions.is_empty() && tests.is_empty())
    }

    fn is_constant(&self) -> bool {
        match self {
            Test::All(conditions, tests) => {
                conditions.iter().all(|(_, kind)| kind.is_constant()) && tests.iter().all(Test::is_constant)
            }
            Test::Any(tests) => tests.iter().all(Test::is_constant),
        }
    }

    fn survivors(&self, bounds: &Bounds, context: &EvalContext<'_>) -> Vec<bool> {
        match self {
            Test::All(conditions, tests) => {
                let demand = |(part, kind): &(usize, TestKind)| {
                    Some(Condition {
                        part: *part,
                        demand: kind.demand(context)?,
                    })
                };
                let conditions: Vec<Condition> = conditions.iter().filter_map(demand).collect();
                let mut left = bounds.survivors(&conditions);
                for test in tests {
                    let other = test.survivors(bounds, context);
                    left.iter_mut().zip(other).for_each(|(left, other)| *left &= other);
                }
                left
            }
            Test::Any(tests) => {
                let mut left = vec![false; bounds.bounds().len()];
                for test in tests {
                    let other = test.survivors(bounds, context);
                    left.iter_mut().zip(other).for_each(|(left, other)| *left |= other);
                }
                left
            }
        }
    }
}

impl Pruning {
    /// Whether the partitions left are the same in every run.
    pub fn is_constant(&self) -> bool {
        let is_constant = |child: &PruningChild| match child {
            PruningChild::Member(_) => true,
            PruningChild::Table(pruning) => pruning.is_constant(),
        };
        self.conditions.is_constant() && self.children.iter().all(is_constant)
    }

    /// Whether it can leave anything out.
    pub fn is_empty(&self) -> bool {
        let is_empty = |child: &PruningChild| match child {
            PruningChild::Member(_) => true,
            PruningChild::Table(pruning) => pruning.is_empty(),
        };
        self.conditions.is_empty() && self.children.iter().all(is_empty)
    }

    /// The members that may hold rows that are wanted.
    pub fn members(&self, context: &EvalContext<'_>, members: &mut Vec<usize>) {
        let left = self.conditions.survivors(&self.bounds, context);
        for (child, _) in self.children.iter().zip(left).filter(|(_, is_left)| *is_left) {
            match child {
                PruningChild::Member(member) => members.push(*member),
                PruningChild::Table(pruning) => pruning.members(context, members),
            }
        }
    }
}

impl Plan for AppendPlan {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn open(self: Arc<Self>, runtime: &Arc<Runtime>, frame: &Frame) -> SqlResult<Box<dyn Operator>> {
        if let Some(begun) = take_begun(frame, &*self) {
            return Ok(begun);
        }
        let mut members = Vec::new();
        match &self.pruning {
            Some(pruning) => pruning.members(&runtime.eval_context(frame), &mut members),
            None => members.extend(0..self.inputs.len()),
        }
        Ok(Box::new(Append {
            members: members.into_iter(),
            current: None,
            runtime: runtime.clone(),
            frame: frame.clone(),
            plan: self,
        }))
    }

    fn inputs(&self) -> Vec<Arc<dyn Plan>> {
        self.inputs.clone()
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

struct Append {
    plan: Arc<AppendPlan>,
    members: std::vec::IntoIter<usize>,
    current: Option<Box<dyn Operator>>,
    runtime: Arc<Runtime>,
    frame: Frame,
}

#[async_trait]
impl Operator for Append {
    async fn next(&mut self, rows_max: usize) -> SqlResult<Option<Batch>> {
        loop {
            if let Some(current) = &mut self.current {
                if let Some(batch) = current.next(rows_max).await? {
                    return Ok(Some(batch));
                }
                self.current = None;
            }
            self.runtime.breathe().await?;
            let Some(member) = self.members.next() else {
                return Ok(None);
            };
            let input = self.plan.inputs[member].clone();
            self.current = Some(input.open(&self.runtime, &self.frame)?);
        }
    }
}
