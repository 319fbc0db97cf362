//! Scans: which columns are copied, which conditions are checked, which access path is taken.

use std::sync::Arc;

use storage::Datum;

use super::{Builder, Built, Needed};
use crate::SqlResult;
use crate::bound::{Expr, Scan};
use crate::catalog::Relation;
use crate::eval::{Layout, OuterScope, Program};
use crate::relational::access::Access;
use crate::relational::operators::scan::ScanPlan;
use crate::relational::operators::system_scan::SystemScanPlan;

/// Where a scan's columns are in the extended stored row (see [`ScanPlan`]).
struct Stored {
    layout: Layout,
    slots: Vec<usize>,
    /// Output.
    output: Layout,
}

impl Stored {
    fn of(scan: &Scan, needed: &Needed) -> Self {
        let width = scan.table.columns.len();
        let columns = scan
            .columns
            .iter()
            .map(|(column, position)| (column.id, *position as usize));
        let hidden = scan.row_key.map(|column| (column, width)).into_iter();
        let hidden = hidden.chain(scan.table_oid.map(|column| (column, width + 1)));
        let columns: Vec<_> = columns.chain(hidden).collect();
        let (mut slots, mut output) = (Vec::new(), Layout::default());
        for (column, slot) in columns.iter().filter(|(column, _)| needed.contains(column)) {
            slots.push(*slot);
            output.push(*column);
        }
        Self {
            layout: Layout::with_slots(columns),
            slots,
            output,
        }
    }
}

/// Positions of the stored columns, `width` in all, that a scan reads.
fn wanted(width: usize, slots: &[usize], filter: &[Program]) -> Arc<[u16]> {
    let mut wanted = slots.to_vec();
    for condition in filter {
        condition.root.for_each_slot(&mut |slot| wanted.push(slot));
    }
    wanted.sort_unstable();
    wanted.dedup();
    let stored = wanted.into_iter().filter(|slot| *slot < width);
    stored.filter_map(|slot| u16::try_from(slot).ok()).collect()
}

impl Builder<'_> {
    pub(super) fn scan(&mut self, scan: &Scan, conjuncts: &[Expr], needed: &Needed, scope: &mut OuterScope) -> Built {
        if let Some(members) = &scan.members {
            return self.append(scan, members, conjuncts, needed, scope);
        }
        let access = self.choose_access(scan, conjuncts, scope)?;
        self.scan_by(scan, conjuncts, access, needed, scope)
    }

    /// A scan by a chosen access path.
    pub(super) fn scan_by(
        &mut self,
        scan: &Scan,
        conjuncts: &[Expr],
        access: Access,
        needed: &Needed,
        scope: &mut OuterScope,
    ) -> Built {
        let Stored { layout, slots, output } = Stored::of(scan, needed);
        let missing = self.missing_values(&scan.table)?;
        let mut expressions = self.expressions(&layout, scope);
        let filter = expressions.programs(conjuncts)?;
        let subplans = expressions.finish();
        let wanted = subplans.is_empty().then(|| wanted(missing.len(), &slots, &filter));
        Ok(Arc::new(ScanPlan {
            table: scan.table.clone(),
            alias: scan.alias.clone(),
            layout: output,
            slots,
            wanted,
            missing,
            access,
            filter,
            subplans,
            row_key: scan.row_key,
            measure: self.measure(),
            columns: scan.columns.iter().map(|(column, at)| (*at, column.id)).collect(),
            reads: self.reads.clone(),
        }))
    }

    pub(super) fn system_scan(
        &mut self,
        scan: &Scan,
        conjuncts: &[Expr],
        needed: &Needed,
        scope: &mut OuterScope,
    ) -> Built {
        let Stored { layout, slots, output } = Stored::of(scan, needed);
        let mut expressions = self.expressions(&layout, scope);
        let filter = expressions.programs(conjuncts)?;
        let subplans = expressions.finish();
        Ok(Arc::new(SystemScanPlan {
            relation: scan.table.clone(),
            alias: scan.alias.clone(),
            layout: output,
            slots,
            filter,
            subplans,
        }))
    }

    /// What rows that are shorter than the table hold in the columns they lack.
    fn missing_values(&self, table: &Relation) -> SqlResult<Vec<Datum>> {
        table
            .columns
            .iter()
            .map(|column| match &column.missing {
                Some(text) if !column.dropped => crate::types::input(column.ty, text, self.session),
                _ => Ok(Datum::Null),
            })
            .collect()
    }
}
