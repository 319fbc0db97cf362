//! Choice of the access path of a scan: conditions on the leading columns of an index.

use super::Builder;
use crate::SqlResult;
use crate::bound::{ColumnId, Comparison, Expr, ExprKind, Scan};
use crate::catalog::{Index, IndexSource};
use crate::eval::compile::plain_comparison;
use crate::eval::{Compiler, Layout, OuterScope, Program};
use crate::functions::Function;
use crate::relational::access::{Access, IndexAccess};
use crate::types::oid;

/// A condition `column op value` whose value is known before the scan begins.
struct Condition<'e> {
    /// Position among the scan's conditions.
    number: usize,
    column: u16,
    kind: ConditionKind<'e>,
}

enum ConditionKind<'e> {
    Compare(Comparison, &'e Expr),
    AnyOf(&'e Expr),
}

/// What an index could do: how many rows it leaves, roughly, in powers of ten (smaller is better).
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Merit {
    rows: u8,
    is_secondary: bool,
}

impl Builder<'_> {
    pub(super) fn choose_access(
        &mut self,
        scan: &Scan,
        conjuncts: &[Expr],
        scope: &mut OuterScope,
    ) -> SqlResult<Access> {
        let conditions: Vec<Condition<'_>> = conjuncts
            .iter()
            .enumerate()
            .filter_map(|(number, conjunct)| condition(number, conjunct, scan))
            .collect();
        if conditions.is_empty() {
            return Ok(Access::Full);
        }
        let mut best: Option<(Merit, &Index, Vec<&Condition<'_>>)> = None;
        for index in scan.table.indexes.iter().filter(|index| index.predicate.is_none()) {
            let Some((merit, used)) = usable(index, &conditions) else {
                continue;
            };
            if best.as_ref().is_none_or(|(known, ..)| merit < *known) {
                best = Some((merit, index, used));
            }
        }
        let Some((_, index, used)) = best else {
            return Ok(Access::Full);
        };
        let mut access = IndexAccess {
            index: index.id,
            equal: Vec::new(),
            any_of: None,
            lower: None,
            upper: None,
            conditions: used.iter().map(|condition| condition.number).collect(),
            reverse: false,
        };
        for condition in used {
            match &condition.kind {
                ConditionKind::Compare(Comparison::Equal, value) => access.equal.push(value_program(value, scope)?),
                ConditionKind::Compare(comparison @ (Comparison::Greater | Comparison::GreaterOrEqual), value) => {
                    access.lower = Some((value_program(value, scope)?, *comparison));
                }
                ConditionKind::Compare(comparison, value) => {
                    access.upper = Some((value_program(value, scope)?, *comparison));
                }
                ConditionKind::AnyOf(array) => access.any_of = Some(value_program(array, scope)?),
            }
        }
        Ok(Access::Index(access))
    }
}

fn value_program(value: &Expr, scope: &mut OuterScope) -> SqlResult<Program> {
    Compiler::new(&Layout::default(), scope, None).compile(value)
}

/// The conditions an index can use: equalities on its leading columns, then one IN or a range.
fn usable<'c, 'e>(index: &Index, conditions: &'c [Condition<'e>]) -> Option<(Merit, Vec<&'c Condition<'e>>)> {
    let mut used = Vec::new();
    for (position, key) in index.keys.iter().enumerate() {
        let IndexSource::Column(column) = key.source else { break };
        let on_column = || conditions.iter().filter(move |condition| condition.column == column);
        let equal = on_column().find(|c| matches!(c.kind, ConditionKind::Compare(Comparison::Equal, _)));
        if let Some(condition) = equal {
            used.push(condition);
            continue;
        }
        // Several keys are read one by one, which only the row's own key allows.
        let is_last = position + 1 == index.keys.len();
        let any_of = on_column().find(|c| matches!(c.kind, ConditionKind::AnyOf(_)));
        if let Some(condition) = any_of.filter(|_| index.primary && is_last) {
            used.push(condition);
            return Some((
                Merit {
                    rows: 1,
                    is_secondary: false,
                },
                used,
            ));
        }
        let before = used.len();
        let is_lower = |c: &&Condition<'_>| {
            matches!(
                c.kind,
                ConditionKind::Compare(Comparison::Greater | Comparison::GreaterOrEqual, _)
            )
        };
        let is_upper = |c: &&Condition<'_>| {
            matches!(
                c.kind,
                ConditionKind::Compare(Comparison::Less | Comparison::LessOrEqual, _)
            )
        };
        used.extend(on_column().find(is_lower));
        used.extend(on_column().find(is_upper));
        let bounds = used.len() - before;
        if bounds > 0 {
            // A range over a secondary index fetches rows one by one: worth it only if it leaves few of them.
            let rows = if before > 0 {
                2
            } else if bounds == 2 {
                3
            } else {
                4
            };
            return Some((
                Merit {
                    rows,
                    is_secondary: !index.primary,
                },
                used,
            ));
        }
        break;
    }
    if used.is_empty() {
        return None;
    }
    let is_whole = used.len() == index.keys.len();
    let rows = if is_whole && index.unique { 0 } else { 2 };
    Some((
        Merit {
            rows,
            is_secondary: !index.primary,
        },
        used,
    ))
}

/// A conjunct as a condition on a column of the scan.
fn condition<'e>(number: usize, conjunct: &'e Expr, scan: &Scan) -> Option<Condition<'e>> {
    match &conjunct.kind {
        ExprKind::Call { function, args } => {
            let [left, right] = args.as_slice() else { return None };
            let comparison = key_comparison(function)?;
            if let Some(column) = scan_column(left, scan).filter(|_| is_known(right, scan)) {
                return Some(Condition {
                    number,
                    column,
                    kind: ConditionKind::Compare(comparison, right),
                });
            }
            let column = scan_column(right, scan).filter(|_| is_known(left, scan))?;
            Some(Condition {
                number,
                column,
                kind: ConditionKind::Compare(comparison.commuted(), left),
            })
        }
        ExprKind::ArrayCompare {
            operator,
            all: false,
            left,
            array,
        } => {
            let column = scan_column(left, scan).filter(|_| is_known(array, scan))?;
            let is_equality = key_comparison(operator) == Some(Comparison::Equal);
            is_equality.then_some(Condition {
                number,
                column,
                kind: ConditionKind::AnyOf(array),
            })
        }
        // A boolean column as a condition of its own.
        _ => None,
    }
}

/// The comparison a function makes, if keys are ordered by it. `<>` is no use.
fn key_comparison(function: &Function) -> Option<Comparison> {
    let comparison = plain_comparison(function).or(match function.name {
        "bpchareq" => Some(Comparison::Equal),
        "bpcharlt" => Some(Comparison::Less),
        "bpcharle" => Some(Comparison::LessOrEqual),
        "bpchargt" => Some(Comparison::Greater),
        "bpcharge" => Some(Comparison::GreaterOrEqual),
        _ => None,
    })?;
    (comparison != Comparison::NotEqual).then_some(comparison)
}

/// Position of a column of the scan, looking through casts that do not change the value.
fn scan_column(expr: &Expr, scan: &Scan) -> Option<u16> {
    let column: ColumnId = match &expr.kind {
        ExprKind::Column(column) => *column,
        ExprKind::ConvertIo(base) if expr.ty.oid == oid::TEXT && base.ty.oid == oid::VARCHAR => match &base.kind {
            ExprKind::Column(column) => *column,
            _ => return None,
        },
        _ => return None,
    };
    scan.columns
        .iter()
        .find(|(output, _)| output.id == column)
        .map(|(_, position)| *position)
}

/// Whether a value is known before the scan begins.
fn is_known(value: &Expr, scan: &Scan) -> bool {
    if value.has_subquery() || value.is_volatile() {
        return false;
    }
    let columns = value.columns();
    let mut own = scan
        .columns
        .iter()
        .map(|(column, _)| column.id)
        .chain(scan.row_key)
        .chain(scan.table_oid);
    !own.any(|column| columns.contains(&column))
}
