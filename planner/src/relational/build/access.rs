//! Choice of the access path of a scan: conditions on the leading keys of an index, and orders that an index has anyway.

use super::keys::IndexView;
use super::{Builder, Built, Needed, project_needs};
use crate::SqlResult;
use crate::bound::{Comparison, Expr, ExprKind, Rel, Scan, SortKey};
use crate::eval::compile::plain_comparison;
use crate::eval::{Compiler, Layout, OuterScope, Program};
use crate::functions::Function;
use crate::relational::access::{Access, IndexAccess};
use crate::relational::rewrite::fold::{split_conjuncts, substitute};

/// A condition `value op known` whose known side stands before the scan begins.
pub(super) struct Condition<'e> {
    /// Position among the scan's conditions.
    number: usize,
    /// What an index may have as a key.
    pub(super) value: &'e Expr,
    pub(super) kind: ConditionKind<'e>,
}

#[derive(Clone, Copy)]
pub(super) enum ConditionKind<'e> {
    Compare(Comparison, &'e Expr),
    AnyOf(&'e Expr),
    NotNull,
}

impl ConditionKind<'_> {
    fn is_equal(&self) -> bool {
        matches!(self, ConditionKind::Compare(Comparison::Equal, _))
    }

    fn is_lower(&self) -> bool {
        use Comparison::{Greater, GreaterOrEqual};
        matches!(self, ConditionKind::Compare(Greater | GreaterOrEqual, _))
    }

    fn is_upper(&self) -> bool {
        use Comparison::{Less, LessOrEqual};
        matches!(self, ConditionKind::Compare(Less | LessOrEqual, _))
    }
}

/// What an index could do: how many rows it leaves, roughly, in classes (smaller is better).
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Merit {
    rows: u8,
    /// More conditions used leave fewer rows.
    unused: usize,
    is_secondary: bool,
}

/// The conditions that an index uses.
#[derive(Default)]
struct Use<'c, 'e> {
    equal: Vec<&'c Condition<'e>>,
    any_of: Option<&'c Condition<'e>>,
    lower: Option<&'c Condition<'e>>,
    upper: Option<&'c Condition<'e>>,
    not_null: Option<&'c Condition<'e>>,
}

impl Use<'_, '_> {
    fn numbers(&self) -> Vec<usize> {
        let rest = [self.any_of, self.lower, self.upper, self.not_null];
        let used = self.equal.iter().copied().chain(rest.into_iter().flatten());
        used.map(|condition| condition.number).collect()
    }
}

impl Builder<'_> {
    pub(super) fn choose_access(
        &mut self,
        scan: &Scan,
        conjuncts: &[Expr],
        scope: &mut OuterScope,
    ) -> SqlResult<Access> {
        let conditions = conditions_of(conjuncts, scan);
        if conditions.is_empty() {
            return Ok(Access::Full);
        }
        let mut best: Option<(Merit, IndexView<'_>, Use<'_, '_>)> = None;
        for index in IndexView::all(scan, self.session) {
            if !index.covers(conjuncts) {
                continue;
            }
            let Some((merit, used)) = usable(&index, &conditions) else {
                continue;
            };
            if best.as_ref().is_none_or(|(known, ..)| merit < *known) {
                best = Some((merit, index, used));
            }
        }
        match best {
            Some((_, index, used)) => Ok(Access::Index(access_of(&index, &used, scope)?)),
            None => Ok(Access::Full),
        }
    }

    /// A scan that gives its rows in the order of sort keys, if an index has that order and reading by it costs no more
    /// than reading the table: by the primary key always, by another index where a LIMIT ends it early and no other
    /// condition makes it read on and on.
    pub(super) fn ordered_access(
        &mut self,
        scan: &Scan,
        conjuncts: &[Expr],
        keys: &[SortKey],
        has_limit: bool,
        scope: &mut OuterScope,
    ) -> SqlResult<Option<Access>> {
        if scan.members.is_some() {
            return Ok(None);
        }
        let conditions = conditions_of(conjuncts, scan);
        let indexes: Vec<IndexView<'_>> = IndexView::all(scan, self.session)
            .into_iter()
            .filter(|index| index.covers(conjuncts))
            .collect();
        let best = indexes
            .iter()
            .filter_map(|index| usable(index, &conditions).map(|(merit, _)| merit))
            .min();
        for index in &indexes {
            let used = uses_of(index, &conditions);
            let Some(reverse) = order_of(index, used.equal.len(), keys) else {
                continue;
            };
            if used.any_of.is_some() {
                continue;
            }
            let numbers = used.numbers();
            let reads_rest = numbers.len() + index.implied(conjuncts) < conjuncts.len();
            if !index.index.primary && (!has_limit || reads_rest) {
                continue;
            }
            // Another index may leave so few rows that sorting them is nothing.
            let is_best = best.as_ref().is_none_or(|best| {
                best.rows >= 3 || usable(index, &conditions).is_some_and(|(merit, _)| merit.rows <= best.rows)
            });
            if !is_best {
                continue;
            }
            let mut access = access_of(index, &used, scope)?;
            access.reverse = reverse;
            access.ordered = true;
            return Ok(Some(Access::Index(access)));
        }
        Ok(None)
    }

    /// A sorted relation read in index order, without a sort.
    pub(super) fn ordered(
        &mut self,
        input: &Rel,
        keys: &[SortKey],
        has_limit: bool,
        needed: &Needed,
        scope: &mut OuterScope,
    ) -> SqlResult<Option<Built>> {
        let (columns, base) = match input {
            Rel::Project { input, columns } => (Some(columns), &**input),
            other => (None, other),
        };
        let (scan, conjuncts) = match base {
            Rel::Scan(scan) => (scan, Vec::new()),
            Rel::Filter { input, predicate } => match &**input {
                Rel::Scan(scan) => (scan, split_conjuncts(predicate.clone())),
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        if conjuncts.iter().any(super::never_holds) {
            return Ok(None);
        }
        let mut keys = keys.to_vec();
        if let Some(columns) = columns {
            let map = columns
                .iter()
                .map(|(column, value)| (column.id, value.clone()))
                .collect();
            keys.iter_mut().for_each(|key| substitute(&mut key.expr, &map));
        }
        if keys.iter().any(|key| key.expr.has_subquery() || key.expr.is_volatile()) {
            return Ok(None);
        }
        let Some(access) = self.ordered_access(scan, &conjuncts, &keys, has_limit, scope)? else {
            return Ok(None);
        };
        let Some(columns) = columns else {
            let plan = self.scan_by(scan, &conjuncts, access, needed, scope)?;
            return Ok(Some(Ok(self.describe(base, plan))));
        };
        let plan = self.scan_by(scan, &conjuncts, access, &project_needs(columns, needed), scope)?;
        let plan = self.describe(base, plan);
        let plan = self.project_over(plan, columns, needed, scope)?;
        Ok(Some(Ok(self.describe(input, plan))))
    }
}

fn conditions_of<'e>(conjuncts: &'e [Expr], scan: &Scan) -> Vec<Condition<'e>> {
    let conditions = conjuncts.iter().enumerate();
    conditions
        .flat_map(|(number, conjunct)| conditions_in(number, conjunct, scan))
        .collect()
}

fn access_of(index: &IndexView<'_>, used: &Use<'_, '_>, scope: &mut OuterScope) -> SqlResult<IndexAccess> {
    let mut bound = |condition: Option<&Condition<'_>>| match condition.map(|condition| condition.kind) {
        Some(ConditionKind::Compare(comparison, value)) => Ok(Some((value_program(value, scope)?, comparison))),
        _ => SqlResult::Ok(None),
    };
    let (lower, upper) = (bound(used.lower)?, bound(used.upper)?);
    let mut equal = Vec::with_capacity(used.equal.len());
    for condition in &used.equal {
        equal.extend(bound(Some(condition))?.map(|(program, _)| program));
    }
    let any_of = match used.any_of.map(|condition| condition.kind) {
        Some(ConditionKind::AnyOf(array)) => Some(value_program(array, scope)?),
        _ => None,
    };
    Ok(IndexAccess {
        index: index.index.id,
        equal,
        any_of,
        lower,
        upper,
        not_null: used.not_null.is_some(),
        conditions: used.numbers(),
        reverse: false,
        ordered: false,
    })
}

pub(super) fn value_program(value: &Expr, scope: &mut OuterScope) -> SqlResult<Program> {
    Compiler::new(&Layout::default(), scope, None).compile(value)
}

/// The conditions an index can use: equalities on its leading keys, then one IN or a range.
fn uses_of<'c, 'e>(index: &IndexView<'_>, conditions: &'c [Condition<'e>]) -> Use<'c, 'e> {
    let mut used = Use::default();
    for position in 0..index.index.keys.len() {
        let of_key = |is_kind: &dyn Fn(&ConditionKind<'_>) -> bool| {
            conditions
                .iter()
                .find(|condition| is_kind(&condition.kind) && index.is_key(position, condition.value))
        };
        if let Some(condition) = of_key(&|kind| kind.is_equal()) {
            used.equal.push(condition);
            continue;
        }
        used.any_of = of_key(&|kind| matches!(kind, ConditionKind::AnyOf(_)));
        if used.any_of.is_none() {
            used.lower = of_key(&|kind| kind.is_lower());
            used.upper = of_key(&|kind| kind.is_upper());
            if used.lower.is_none() && used.upper.is_none() {
                used.not_null = of_key(&|kind| matches!(kind, ConditionKind::NotNull));
            }
        }
        break;
    }
    used
}

/// The conditions an index can use, and how good that is.
fn usable<'c, 'e>(index: &IndexView<'_>, conditions: &'c [Condition<'e>]) -> Option<(Merit, Use<'c, 'e>)> {
    let used = uses_of(index, conditions);
    let is_whole = used.equal.len() == index.index.keys.len();
    let rows = match (used.equal.len(), &used) {
        (_, _) if is_whole && index.index.unique => 0,
        (
            _,
            Use {
                any_of: Some(condition),
                ..
            },
        ) => {
            let completes = used.equal.len() + 1 == index.index.keys.len() && index.index.unique;
            debug_assert!(matches!(condition.kind, ConditionKind::AnyOf(_)), "chosen as one");
            if completes { 1 } else { 2 }
        }
        (1.., _) => 2,
        (
            0,
            Use {
                lower: Some(_),
                upper: Some(_),
                ..
            },
        ) => 3,
        (0, Use { lower: Some(_), .. } | Use { upper: Some(_), .. }) => 4,
        // IS NOT NULL alone, and nothing at all, leave too many rows to fetch them one by one.
        (0, _) => return None,
    };
    let merit = Merit {
        rows,
        unused: conditions.len() - used.numbers().len(),
        is_secondary: !index.index.primary,
    };
    Some((merit, used))
}

/// Whether the index's order, after keys that are fixed by equalities, is that of sort keys; `true` if it is read from the
/// end.
fn order_of(index: &IndexView<'_>, fixed: usize, keys: &[SortKey]) -> Option<bool> {
    let all = index.index.keys.len();
    let is_fixed = |key: &SortKey| (0..fixed).any(|position| index.is_key(position, &key.expr));
    let mut reverse = None;
    for (position, key) in (fixed..).zip(keys.iter().filter(|key| !is_fixed(key))) {
        if position == all {
            // Behind all keys of a unique index no two rows are left to be ordered.
            let is_decided = index.index.unique && index.has_no_nulls();
            return is_decided.then_some(reverse.unwrap_or(false));
        }
        if !index.is_key(position, &key.expr) {
            return None;
        }
        let column = &index.index.keys[position];
        let (same, flipped) = (
            (key.descending, key.nulls_first) == (column.descending, column.nulls_first),
            (key.descending, key.nulls_first) == (!column.descending, !column.nulls_first),
        );
        // Where no NULL can be, it does not matter where NULLs go.
        let no_nulls = index.is_not_null(position);
        let is_reverse = match (same, flipped) {
            (true, _) => false,
            (_, true) => true,
            _ if no_nulls => key.descending != column.descending,
            _ => return None,
        };
        if reverse.is_some_and(|known| known != is_reverse) {
            return None;
        }
        reverse = Some(is_reverse);
    }
    reverse
}

/// A conjunct as conditions on values of the scan; a comparison of two of them could be read from either side.
pub(super) fn conditions_in<'e>(number: usize, conjunct: &'e Expr, scan: &Scan) -> Vec<Condition<'e>> {
    let condition = |value: &'e Expr, kind: ConditionKind<'e>| Condition { number, value, kind };
    let reads_scan = |value: &Expr| !is_known(value, scan) && !value.has_subquery() && !value.is_volatile();
    match &conjunct.kind {
        ExprKind::Call { function, args } => {
            let ([left, right], Some(comparison)) = (args.as_slice(), key_comparison(function)) else {
                return Vec::new();
            };
            if reads_scan(left) && is_known(right, scan) {
                vec![condition(left, ConditionKind::Compare(comparison, right))]
            } else if reads_scan(right) && is_known(left, scan) {
                vec![condition(right, ConditionKind::Compare(comparison.commuted(), left))]
            } else {
                Vec::new()
            }
        }
        ExprKind::ArrayCompare {
            operator,
            all: false,
            left,
            array,
        } if key_comparison(operator) == Some(Comparison::Equal) && reads_scan(left) && is_known(array, scan) => {
            vec![condition(left, ConditionKind::AnyOf(array))]
        }
        ExprKind::IsNotNull(value) if reads_scan(value) => vec![condition(value, ConditionKind::NotNull)],
        _ => Vec::new(),
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
