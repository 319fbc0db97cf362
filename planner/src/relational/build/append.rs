//! Scans of parents: one scan for each table that holds rows, without the partitions that conditions rule out.

use std::sync::Arc;

use super::access::{ConditionKind, conditions_in, value_program};
use super::{Builder, Built, Needed};
use crate::SqlResult;
use crate::bound::{Expr, ExprKind, Members, PartitionChild, PartitionNode, Rel, RelationRef, Scan};
use crate::catalog::IndexSource;
use crate::eval::{EvalContext, OuterScope};
use crate::partition::Mapping;
use crate::relational::evaluator::SubPlans;
use crate::relational::operators::append::{AppendPlan, Pruning, PruningChild, Test, TestKind};
use crate::relational::operators::values::ValuesPlan;
use crate::relational::rewrite::fold::{conjunction, split_conjuncts};
use crate::types::oid;
use crate::{Type, eval::Layout};

impl Builder<'_> {
    /// The scans of a parent's members. One that is left alone is scanned as itself.
    pub(super) fn append(
        &mut self,
        scan: &Scan,
        members: &Arc<Members>,
        conjuncts: &[Expr],
        needed: &Needed,
        scope: &mut OuterScope,
    ) -> Built {
        let mut kept: Vec<usize> = (0..members.tables.len()).collect();
        let mut pruning = None;
        if let Some(root) = &members.root {
            let found = self.pruning(root, scan, conjuncts, scope)?;
            if found.is_constant() {
                kept.clear();
                let context = EvalContext {
                    session: self.session,
                    parameters: &[],
                    outer: &[],
                };
                found.members(&context, &mut kept);
            } else if !found.is_empty() {
                pruning = Some(found);
            }
        }
        let layout = || {
            let columns = scan.columns.iter().map(|(column, _)| column.id);
            let columns = columns.chain(scan.row_key).chain(scan.table_oid);
            Layout::new(columns.filter(|column| needed.contains(column)))
        };
        if kept.is_empty() {
            return Ok(Arc::new(ValuesPlan {
                rows: Vec::new(),
                subplans: SubPlans::default(),
                layout: layout(),
            }));
        }
        let is_alone = kept.len() == 1 && pruning.is_none();
        let mut inputs = Vec::with_capacity(kept.len());
        for (number, member) in kept.iter().enumerate() {
            let table = &members.tables[*member];
            let alias = match is_alone {
                true => scan.alias.clone(),
                false => format!("{}_{}", scan.alias, number + 1),
            };
            inputs.push(self.member(scan, table, alias, conjuncts, needed, scope)?);
        }
        match inputs.pop() {
            Some(only) if is_alone => Ok(only),
            last => {
                inputs.extend(last);
                Ok(Arc::new(AppendPlan {
                    inputs,
                    pruning,
                    layout: layout(),
                }))
            }
        }
    }

    fn member(
        &mut self,
        scan: &Scan,
        table: &RelationRef,
        alias: String,
        conjuncts: &[Expr],
        needed: &Needed,
        scope: &mut OuterScope,
    ) -> Built {
        let mapping = Mapping::between(&scan.table, table);
        let columns = scan.columns.iter();
        let member = Scan {
            table: table.clone(),
            alias,
            columns: columns
                .filter_map(|(column, at)| Some((column.clone(), mapping.place(*at)?)))
                .collect(),
            row_key: scan.row_key,
            table_oid: scan.table_oid,
            members: None,
        };
        let around = self.begin_notes();
        let plan = self.scan(&member, conjuncts, needed, scope)?;
        let rel = Rel::Scan(member);
        let rel = match conjunction(conjuncts.to_vec()) {
            Some(predicate) => Rel::Filter {
                input: Box::new(rel),
                predicate,
            },
            None => rel,
        };
        let plan = self.describe(&rel, plan);
        self.end_notes(around);
        Ok(plan)
    }

    fn pruning(
        &self,
        node: &PartitionNode,
        scan: &Scan,
        conjuncts: &[Expr],
        scope: &mut OuterScope,
    ) -> SqlResult<Pruning> {
        let mut children = Vec::with_capacity(node.children.len());
        for child in &node.children {
            children.push(match child {
                PartitionChild::Table(member) => PruningChild::Member(*member),
                PartitionChild::Node(node) => PruningChild::Table(self.pruning(node, scan, conjuncts, scope)?),
            });
        }
        Ok(Pruning {
            bounds: node.bounds.clone(),
            conditions: test_of(node, scan, conjuncts, scope)?,
            children,
        })
    }
}

/// What conditions say of a table's partition key.
fn test_of(node: &PartitionNode, scan: &Scan, conjuncts: &[Expr], scope: &mut OuterScope) -> SqlResult<Test> {
    let mapping = Mapping::between(&scan.table, &node.table);
    let parts = node.table.family.key.as_ref().map_or(&[][..], |key| &key.parts);
    // Position and type of the part that an expression is, a column of the scan.
    let part_of = |value: &Expr| {
        let ExprKind::Column(column) = &value.kind else {
            return None;
        };
        let (_, at) = scan.columns.iter().find(|(output, _)| output.id == *column)?;
        let place = mapping.place(*at)?;
        let is_it = |source: &IndexSource| matches!(source, IndexSource::Column(own) if *own == place);
        let part = parts.iter().position(|part| is_it(&part.source))?;
        Some((part, parts[part].ty))
    };
    let (mut own, mut others) = (Vec::new(), Vec::new());
    for (number, conjunct) in conjuncts.iter().enumerate() {
        match &conjunct.kind {
            ExprKind::Or(arms) => {
                let mut tests = Vec::with_capacity(arms.len());
                for arm in arms {
                    tests.push(test_of(node, scan, &split_conjuncts(arm.clone()), scope)?);
                }
                if !tests.iter().any(Test::is_empty) {
                    others.push(Test::Any(tests));
                }
            }
            ExprKind::IsNull(value) => own.extend(part_of(value).map(|(part, _)| (part, TestKind::IsNull))),
            // A boolean column stands for itself.
            ExprKind::Column(_) | ExprKind::Not(_) => {
                let (value, truth) = match &conjunct.kind {
                    ExprKind::Not(inner) => (&**inner, false),
                    _ => (conjunct, true),
                };
                if let Some((part, ty)) = part_of(value).filter(|(_, ty)| ty.oid == oid::BOOL) {
                    let program = crate::eval::Program::literal(storage::Datum::Bool(truth), ty);
                    own.push((part, TestKind::Compare(crate::bound::Comparison::Equal, program, ty)));
                }
            }
            _ => {
                for condition in conditions_in(number, conjunct, scan) {
                    let Some((part, ty)) = part_of(condition.value) else {
                        continue;
                    };
                    own.extend(match condition.kind {
                        ConditionKind::Compare(comparison, value) if compares(ty, value.ty) => {
                            let program = value_program(value, scope)?;
                            Some((part, TestKind::Compare(comparison, program, ty)))
                        }
                        ConditionKind::AnyOf(array) if elements_compare(ty, array.ty) => {
                            Some((part, TestKind::AnyOf(value_program(array, scope)?, ty)))
                        }
                        ConditionKind::NotNull => Some((part, TestKind::NotNull)),
                        ConditionKind::Compare(..) | ConditionKind::AnyOf(_) => None,
                    });
                }
            }
        }
    }
    Ok(Test::All(own, others))
}

/// Whether values of two types compare as they are stored.
fn compares(left: Type, right: Type) -> bool {
    let class = |oid: u32| match oid {
        oid::INT2 | oid::INT4 | oid::INT8 => oid::INT8,
        oid::TEXT | oid::VARCHAR | oid::NAME => oid::TEXT,
        oid => oid,
    };
    class(left.oid) == class(right.oid)
}

fn elements_compare(left: Type, array: Type) -> bool {
    crate::types::element_of(array.oid).is_some_and(|element| compares(left, Type::new(element)))
}
