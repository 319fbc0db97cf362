//! GROUP BY and aggregates, with grouping sets.

use std::sync::Arc;

use ahash::AHashMap;
use async_trait::async_trait;
use storage::Datum;

use crate::SqlResult;
use crate::eval::order::KeyValues;
use crate::eval::{Layout, Program};
use crate::relational::accumulate::{AggregateProgram, GroupState};
use crate::relational::batch::{BATCH_ROWS, Batch};
use crate::relational::evaluator::{Evaluator, SubPlans};
use crate::relational::plan::{Operator, Plan};
use crate::relational::runtime::{Frame, Reservation, Runtime};

/// A compiled aggregation.
#[derive(Debug)]
pub struct AggregatePlan {
    /// Input.
    pub input: Arc<dyn Plan>,
    /// Values of the group columns.
    pub groups: Vec<Program>,
    /// What makes group values equal.
    pub keys: Vec<Program>,
    /// Grouping sets, as positions in `groups`.
    pub sets: Vec<Vec<usize>>,
    /// Aggregates.
    pub aggregates: Vec<AggregateProgram>,
    /// GROUPING(…): the positions in `groups` that each looks at.
    pub groupings: Vec<Vec<usize>>,
    /// Subqueries of all expressions.
    pub subplans: SubPlans,
    /// Output: groups, aggregates, groupings.
    pub layout: Layout,
}

impl Plan for AggregatePlan {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn open(self: Arc<Self>, runtime: &Arc<Runtime>, frame: &Frame) -> SqlResult<Box<dyn Operator>> {
        let input = self.input.clone().open(runtime, frame)?;
        let evaluator = Evaluator::new(runtime, frame, &self.subplans);
        let reservation = Reservation::new(runtime);
        Ok(Box::new(AggregateOperator {
            plan: self,
            input: Some(input),
            evaluator,
            output: Vec::new().into_iter(),
            reservation,
        }))
    }

    fn inputs(&self) -> Vec<Arc<dyn Plan>> {
        vec![self.input.clone()]
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

struct AggregateOperator {
    plan: Arc<AggregatePlan>,
    input: Option<Box<dyn Operator>>,
    evaluator: Evaluator,
    output: std::vec::IntoIter<(usize, Group)>,
    reservation: Reservation,
}

struct Group {
    values: Vec<Datum>,
    states: Vec<GroupState>,
}

/// Groups of one grouping set, in order of their first row.
#[derive(Default)]
struct Groups {
    positions: AHashMap<KeyValues, usize>,
    groups: Vec<Group>,
}

#[async_trait]
impl Operator for AggregateOperator {
    async fn next(&mut self, rows_max: usize) -> SqlResult<Option<Batch>> {
        if let Some(input) = self.input.take() {
            self.output = self.aggregate(input).await?.into_iter();
        }
        let plan = self.plan.clone();
        self.evaluator.runtime.check()?;
        let count = self.output.len().min(rows_max);
        if count == 0 {
            return Ok(None);
        }
        let mut batch = Batch::with_capacity(plan.layout.width(), count);
        let context = self.evaluator.runtime.eval_context(&self.evaluator.frame);
        for (set, group) in self.output.by_ref().take(count) {
            let mut row = group.values;
            for (mut state, aggregate) in group.states.into_iter().zip(&plan.aggregates) {
                row.push(state.finish(aggregate, &context)?);
            }
            for grouping in &plan.groupings {
                let mask = grouping.iter().fold(0i32, |mask, position| {
                    (mask << 1) | i32::from(!plan.sets[set].contains(position))
                });
                row.push(Datum::Int4(mask));
            }
            batch.push(row);
        }
        Ok(Some(batch))
    }
}

impl AggregateOperator {
    async fn aggregate(&mut self, mut input: Box<dyn Operator>) -> SqlResult<Vec<(usize, Group)>> {
        let plan = self.plan.clone();
        let mut sets: Vec<Groups> = plan.sets.iter().map(|_| Groups::default()).collect();
        // A set without columns has its one group even over no rows.
        for (set, groups) in plan.sets.iter().zip(&mut sets) {
            if set.is_empty() {
                groups.positions.insert(KeyValues::of(&[]), 0);
                groups.groups.push(Group {
                    values: vec![Datum::Null; plan.groups.len()],
                    states: plan.fresh_states(),
                });
            }
        }
        let session = self.evaluator.runtime.session.clone();
        let mut keys = Vec::with_capacity(plan.keys.len());
        let mut values = Vec::with_capacity(plan.groups.len());
        let mut args: Vec<Option<Vec<Datum>>> = Vec::with_capacity(plan.aggregates.len());
        while let Some(batch) = input.next(BATCH_ROWS).await? {
            let mut grown = 0;
            for row in batch.rows() {
                keys.clear();
                self.evaluator.eval_into(&plan.keys, row, &mut keys).await?;
                args.clear();
                for aggregate in &plan.aggregates {
                    args.push(aggregate.arguments(&mut self.evaluator, row).await?);
                }
                for (set, groups) in plan.sets.iter().zip(&mut sets) {
                    let key: KeyValues = set.iter().map(|position| keys[*position].clone()).collect();
                    let position = match groups.positions.get(&key) {
                        Some(position) => *position,
                        None => {
                            values.clear();
                            self.evaluator.eval_into(&plan.groups, row, &mut values).await?;
                            for (position, value) in values.iter_mut().enumerate() {
                                if !set.contains(&position) {
                                    *value = Datum::Null;
                                }
                            }
                            grown += values.iter().map(super::super::batch::datum_size).sum::<usize>() * 2 + 64;
                            groups.positions.insert(key, groups.groups.len());
                            groups.groups.push(Group {
                                values: values.clone(),
                                states: plan.fresh_states(),
                            });
                            groups.groups.len() - 1
                        }
                    };
                    let group = &mut groups.groups[position];
                    for ((state, args), aggregate) in group.states.iter_mut().zip(&args).zip(&plan.aggregates) {
                        if let Some(args) = args {
                            grown += state.add(aggregate, args, &*session)?;
                        }
                    }
                }
            }
            self.reservation.grow(grown)?;
            self.evaluator.runtime.breathe().await?;
        }
        Ok(sets
            .into_iter()
            .enumerate()
            .flat_map(|(set, groups)| groups.groups.into_iter().map(move |group| (set, group)))
            .collect())
    }
}

impl AggregatePlan {
    fn fresh_states(&self) -> Vec<GroupState> {
        self.aggregates.iter().map(GroupState::new).collect()
    }
}
