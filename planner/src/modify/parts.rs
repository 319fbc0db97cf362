//! Parts: what an UPDATE needs of a large document, so that the change of one leaf does not put the whole together.
//!
//! What expressions read is derived for the locks already, and what is read must be enough to compute with (DESIGN L3). So the
//! parts are the paths that are locked, and the paths that programs of the table look at whether they change or not.

use storage::Path;
use storage::path::Parts;

use super::derive::{PathWrite, PathWriteKind};
use super::program::TableProgram;
use super::target::Derived;
use crate::catalog::ConstraintKind;
use crate::types::oid;

/// The parts of the target row that an UPDATE of these paths needs; `None` if there is no document to take apart.
pub(super) fn of_update(program: &TableProgram, derived: &[Derived<'_>], read: &[Path]) -> Option<Parts> {
    let table = &program.table;
    if !table.live_columns().any(|(_, column)| column.ty.oid == oid::JSONB) {
        return None;
    }
    let mut parts = Parts::new();
    read.iter().for_each(|path| parts.add(path));
    for derived in derived {
        for write in &derived.paths {
            add_write(&mut parts, derived.column, write);
        }
        if let Some((_, addition)) = &derived.addition {
            parts.add(&addition.path);
        }
    }
    let programs = program.generated.iter().map(|(_, program)| program);
    let programs = programs.chain(program.checks.iter().map(|(_, program)| program));
    for path in programs.flat_map(|program| &program.reads) {
        parts.add(path);
    }
    for path in program.indexes.iter().flat_map(|index| index.reads()) {
        parts.add(path);
    }
    let mut whole: Vec<u16> = program.primary_key.clone();
    for constraint in &table.constraints {
        if let ConstraintKind::Foreign { columns, .. } = &constraint.kind {
            whole.extend(columns);
        }
    }
    whole.extend(
        table
            .live_columns()
            .filter(|(_, column)| column.domain.is_some())
            .map(|(at, _)| at),
    );
    whole.into_iter().for_each(|column| parts.add(&Path::column(column)));
    Some(parts)
}

/// Adds what a write resolves against, and the values it leaves as they are where it writes.
pub(super) fn add_write(parts: &mut Parts, column: u16, write: &PathWrite) {
    let path = Path::new(
        column,
        write
            .steps
            .iter()
            .map(|step| storage::Step::Member(step.as_str().into())),
    );
    match write.kind {
        PathWriteKind::Set | PathWriteKind::SetWithParents => parts.add(&path),
        PathWriteKind::Shift | PathWriteKind::Member => parts.add_moving(&path),
    }
}
