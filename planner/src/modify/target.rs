//! Target: which paths of a row a modifying statement reads and writes, and their locks (DESIGN L3, L4, L5).
//!
//! ```text
//!   derive     once a statement: reads of the row, writes of its columns, additions     from expressions alone
//!   lock_row   once a row: resolve writes against the newest row ─► request ─► read again ─► other paths now? once more
//! ```

use storage::path::Parts;
use storage::{Datum, Path, Row, Step};
use txn::{AddIncrement, Isolation, Key, LockName, LockRequest, Mode, RowPart};

use super::add::{self, Addition};
use super::derive::{self, PathWrite, Target};
use super::run::Runner;
use super::writer::{is_elsewhere, moved_away, row_lock};
use crate::bound::Assignment;
use crate::catalog::ConstraintKind;
use crate::partition::Mapping;
use crate::{SqlError, SqlResult, SqlState};

/// What one assignment writes.
pub(super) struct Derived<'e> {
    /// Its column.
    pub column: u16,
    /// Paths inside of the column; none means the whole column.
    pub paths: Vec<PathWrite>,
    /// The addition it is, with the place of its amount among the statement's amounts.
    pub addition: Option<(usize, Addition<'e>)>,
}

impl Derived<'_> {
    /// Whether the assignment may change what lies at a path.
    fn touches(&self, path: &Path) -> bool {
        if self.column != path.column {
            return false;
        }
        if let Some((_, addition)) = &self.addition {
            return addition.path.overlaps(path);
        }
        self.paths.is_empty() || self.paths.iter().any(|write| write.reach(self.column).overlaps(path))
    }
}

/// What locking a row needs to know of its statement.
#[derive(Default)]
pub(super) struct Needs<'a> {
    /// Values of the additions' amounts.
    pub amounts: &'a [Datum],
    /// Parts of documents that are enough; all of them if `None`.
    pub parts: Option<&'a Parts>,
    /// The row, if it was looked at already.
    pub looked: Option<Row>,
}

/// A row under its locks.
pub(super) struct LockedTarget {
    /// Its key: another one than asked for if the row was moved.
    pub key: Key,
    /// The newest row.
    pub row: Row,
    /// Whether it changed since the statement's snapshot.
    pub changed: bool,
    /// Assignments (by their place among those derived) that are made as additions, under A.
    pub additions: Vec<(usize, AddIncrement)>,
}

/// What was found under a key.
enum Place {
    /// No row.
    Gone,
    /// A row, which was put there at this time (0 if that is not known).
    Locked { target: LockedTarget, put_at: u64 },
    /// The row went on under another key, at this time.
    Moved { key: Key, at: u64 },
}

impl Runner<'_> {
    /// What the assignments write, and (added to `read`) what they read of the target row.
    pub(super) fn derive<'e>(
        &self,
        assignments: &'e [Assignment],
        target: Target<'_>,
        read: &mut Vec<Path>,
    ) -> Vec<Derived<'e>> {
        let mut derived: Vec<Derived<'e>> = Vec::with_capacity(assignments.len());
        for assignment in assignments {
            let ty = self.program.table.columns[assignment.column as usize].ty;
            let addition = add::addition(assignment.column, ty, &assignment.value, target);
            let paths = match derive::writes(assignment.column, &assignment.value, target) {
                Some((paths, inputs)) => {
                    if addition.is_none() {
                        for input in inputs {
                            read.extend(derive::reads_with(input, target));
                        }
                    }
                    paths
                }
                None => {
                    if addition.is_none() {
                        read.extend(derive::reads_with(&assignment.value, target));
                    }
                    Vec::new()
                }
            };
            derived.push(Derived {
                column: assignment.column,
                paths,
                addition: addition.map(|addition| (0, addition)),
            });
        }
        let assigned = derived.len();
        for (at, generated) in &self.program.generated {
            let is_touched = |path: &Path| derived[..assigned].iter().any(|derived| derived.touches(path));
            if generated.reads.iter().any(is_touched) {
                read.extend(generated.reads.iter().cloned());
                derived.push(Derived {
                    column: *at,
                    paths: Vec::new(),
                    addition: None,
                });
            }
        }
        let writes_column = |column: u16| derived.iter().any(|derived| derived.column == column);
        let demanding = self.program.checks.iter().map(|(_, check)| check.reads.as_slice());
        let indexed: Vec<Vec<Path>> = self
            .program
            .indexes
            .iter()
            .map(|index| index.reads().cloned().collect())
            .collect();
        for reads in demanding.chain(indexed.iter().map(Vec::as_slice)) {
            if reads.iter().any(|path| writes_column(path.column)) {
                read.extend(reads.iter().cloned());
            }
        }
        if !self.modify.returning.is_empty() {
            let row_columns = self.row_columns.clone();
            let target = Target {
                columns: &row_columns,
                parameters: target.parameters,
            };
            for (_, expr) in &self.modify.returning {
                read.extend(derive::reads_with(expr, target));
            }
        }
        self.drop_seen_additions(&mut derived, assignments, target, read);
        // The primary key cannot change without X on the whole row, which every path lock excludes.
        read.retain(|path| !self.program.primary_key.contains(&path.column));
        *read = derive::minimal(std::mem::take(read));
        derived
    }

    /// Additions to what the statement or a constraint looks at become plain writes (DESIGN L5).
    fn drop_seen_additions<'e>(
        &self,
        derived: &mut [Derived<'e>],
        assignments: &'e [Assignment],
        target: Target<'_>,
        read: &mut Vec<Path>,
    ) {
        // One demotion reads more, which may demote another.
        while let Some(seen) = (0..derived.len()).find(|at| self.is_seen(derived, *at, read)) {
            derived[seen].addition = None;
            let assignment = &assignments[seen];
            match derive::writes(assignment.column, &assignment.value, target) {
                Some((_, inputs)) => inputs
                    .into_iter()
                    .for_each(|input| read.extend(derive::reads_with(input, target))),
                None => read.extend(derive::reads_with(&assignment.value, target)),
            }
        }
        let additions = derived.iter_mut().filter_map(|derived| derived.addition.as_mut());
        for (at, (place, _)) in additions.enumerate() {
            *place = at;
        }
    }

    /// Whether anything looks at, or writes otherwise, what an addition adds to.
    fn is_seen(&self, derived: &[Derived<'_>], at: usize, read: &[Path]) -> bool {
        let Some((_, addition)) = &derived[at].addition else {
            return false;
        };
        let column = addition.path.column;
        let others = derived.iter().enumerate().filter(|(other, _)| *other != at);
        let is_written = others.into_iter().any(|(_, other)| other.column == column);
        let is_key = self.program.primary_key.contains(&column)
            || self.program.table.constraints.iter().any(|constraint| {
                matches!(&constraint.kind, ConstraintKind::Foreign { columns, .. } if columns.contains(&column))
            })
            || self.is_referenced(column);
        is_written || is_key || read.iter().any(|path| path.overlaps(&addition.path))
    }

    /// Whether a foreign key of another table names the column.
    fn is_referenced(&self, column: u16) -> bool {
        let catalog = &self.context.catalog;
        let names = |table: u32, column: u16| {
            let children = catalog.referencing.get(&table).into_iter().flatten();
            children
                .filter_map(|child| catalog.relations.get(child))
                .flat_map(|child| &child.constraints)
                .any(|constraint| {
                    matches!(&constraint.kind, ConstraintKind::Foreign { table: parent, referenced, .. }
                        if *parent == table && referenced.contains(&column))
                })
        };
        let own = &self.program.table;
        let in_ancestor = |ancestor: u32| {
            let parent = catalog.relations.get(&ancestor);
            let place = parent.and_then(|parent| Mapping::between(parent, own).origin(column));
            place.is_some_and(|place| names(ancestor, place))
        };
        names(own.id, column) || catalog.ancestors_of(own.id).into_iter().any(in_ancestor)
    }

    /// Whether assignments may send a row to another place: under another key, or to another partition.
    pub(super) fn moves(&self, derived: &[Derived<'_>]) -> bool {
        let is_key =
            |column: &u16| self.program.primary_key.contains(column) || self.partition_columns.contains(column);
        derived.iter().any(|derived| is_key(&derived.column))
    }

    /// Locks what the statement reads and writes of a row, and reads the newest row. `None` if the row is gone. A row whose
    /// key another transaction changed is followed, as PostgreSQL's EvalPlanQual follows the chain of its versions.
    pub(super) async fn lock_row(
        &mut self,
        key: &Key,
        derived: &[Derived<'_>],
        read: &[Path],
        whole: bool,
        needs: Needs<'_>,
    ) -> SqlResult<Option<LockedTarget>> {
        let Needs { amounts, parts, .. } = needs;
        let mut place = self.lock_place(key, derived, read, whole, needs).await?;
        loop {
            let (key, since) = match place {
                Place::Gone => return Ok(None),
                Place::Locked { target, .. } => return Ok(Some(target)),
                Place::Moved { key, at } => (key, at),
            };
            let needs = Needs {
                amounts,
                parts,
                looked: None,
            };
            place = self.lock_place(&key, derived, read, whole, needs).await?;
            match &mut place {
                // Another row has the key by now.
                Place::Locked { put_at, .. } if *put_at > since => return Ok(None),
                Place::Locked { target, .. } => target.changed = true,
                Place::Moved { .. } | Place::Gone => {}
            }
        }
    }

    /// Locks what lies under one key; again if the row then shows that other paths are written.
    async fn lock_place(
        &mut self,
        key: &Key,
        derived: &[Derived<'_>],
        read: &[Path],
        whole: bool,
        Needs { amounts, parts, looked }: Needs<'_>,
    ) -> SqlResult<Place> {
        let table = self.program.table.id;
        let moves = self.moves(derived);
        let mut additions = additions_of(derived, amounts);
        let mut held: Vec<Path> = Vec::new();
        let mut added: Vec<Path> = Vec::new();
        let mut first = true;
        let mut seen = if whole || moves || !has_paths(derived) {
            None
        } else if looked.is_some() {
            looked
        } else {
            // What is found here only says what to lock: what the answer rests on is noted under the lock.
            let (newest, _) = self.context.transaction.look_newest(table, key, parts).await?;
            newest.map(|mut row| {
                self.program.complete(&mut row);
                row
            })
        };
        let (mut changed, mut put_at) = (false, 0);
        loop {
            let mut requests: Vec<LockRequest> = Vec::new();
            if whole || moves {
                requests.push(row_lock(table, key, RowPart::Row, Mode::Exclusive));
            } else {
                additions.retain(|(at, _)| addition_of(derived, *at).is_some_and(|addition| fits(addition, &seen)));
                for (at, increment) in &additions {
                    let Some(addition) = addition_of(derived, *at) else {
                        continue;
                    };
                    if !added.contains(&addition.path) {
                        added.push(addition.path.clone());
                        requests.push(add_lock(table, key, addition.path.clone(), increment.clone()));
                    }
                }
                for path in resolve_all(derived, seen.as_ref(), &additions) {
                    if !held.iter().any(|held| derive::covers(held, &path)) {
                        requests.push(row_lock(table, key, RowPart::Path(path.clone()), Mode::Exclusive));
                        held.push(path);
                    }
                }
                if first {
                    for path in read
                        .iter()
                        .filter(|path| !held.iter().any(|held| derive::covers(held, path)))
                    {
                        requests.push(row_lock(table, key, RowPart::Path(path.clone()), Mode::Shared));
                    }
                }
            }
            if requests.is_empty() {
                break;
            }
            self.writer.lock(requests).await?;
            let reads = lock_reads(read, &held, whole || moves);
            let transaction = &self.context.transaction;
            let locked = transaction
                .read_locked_to_add(table, key, &reads, &added, parts)
                .await?;
            let Some(mut row) = locked.row else {
                if locked.changed && transaction.isolation() != Isolation::ReadCommitted {
                    return Err(gone());
                }
                if matches!(&locked.moved, Some((key, _)) if is_elsewhere(key)) {
                    return Err(moved_away());
                }
                let moved = locked.moved.map(|(key, at)| Place::Moved { key, at });
                return Ok(moved.unwrap_or(Place::Gone));
            };
            self.program.complete(&mut row);
            changed |= locked.changed;
            put_at = locked.put_at;
            seen = Some(row);
            first = false;
            if whole || moves {
                break;
            }
        }
        if whole || moves {
            additions.clear();
        }
        Ok(seen.map_or(Place::Gone, |row| Place::Locked {
            target: LockedTarget {
                key: key.clone(),
                row,
                changed,
                additions,
            },
            put_at,
        }))
    }
}

/// 40001 for a row of the snapshot that is no more.
fn gone() -> SqlError {
    SqlError::new(
        SqlState::SERIALIZATION_FAILURE,
        "could not serialize access due to concurrent delete",
    )
}

/// Whether what is written depends on the row, so that it is looked at before it is locked.
pub(super) fn has_paths(derived: &[Derived<'_>]) -> bool {
    derived
        .iter()
        .any(|derived| !derived.paths.is_empty() || derived.addition.is_some())
}

fn addition_of<'d, 'e>(derived: &'d [Derived<'e>], at: usize) -> Option<&'d Addition<'e>> {
    derived[at].addition.as_ref().map(|(_, addition)| addition)
}

fn fits(addition: &Addition<'_>, row: &Option<Row>) -> bool {
    row.as_ref().is_some_and(|row| addition.fits(row))
}

/// The additions whose amounts make them such: position among `derived`, and the increment.
fn additions_of(derived: &[Derived<'_>], amounts: &[Datum]) -> Vec<(usize, AddIncrement)> {
    let with_amount = |(at, derived): (usize, &Derived<'_>)| {
        let (place, addition) = derived.addition.as_ref()?;
        Some((at, addition.increment(amounts.get(*place)?)?))
    };
    derived.iter().enumerate().filter_map(with_amount).collect()
}

/// Paths and increments of additions.
pub(super) fn added(derived: &[Derived<'_>], additions: &[(usize, AddIncrement)]) -> Vec<(Path, AddIncrement)> {
    let with_path = |(at, increment): &(usize, AddIncrement)| {
        let addition = addition_of(derived, *at)?;
        Some((addition.path.clone(), increment.clone()))
    };
    additions.iter().filter_map(with_path).collect()
}

fn add_lock(table: u32, key: &Key, path: Path, increment: AddIncrement) -> LockRequest {
    LockRequest {
        name: LockName::path(table, key.clone(), path),
        mode: Mode::Add,
        add: Some(increment),
    }
}

/// The paths to lock by X and write, given the row as it stands; additions are not among them.
pub(super) fn resolve_all(
    derived: &[Derived<'_>],
    row: Option<&Row>,
    additions: &[(usize, AddIncrement)],
) -> Vec<Path> {
    let mut paths = Vec::new();
    for (at, derived) in derived.iter().enumerate() {
        if additions.iter().any(|(addition, _)| *addition == at) {
            continue;
        }
        let document = match row.and_then(|row| row.get(derived.column as usize)) {
            Some(Datum::Jsonb(document)) if !derived.paths.is_empty() => document,
            _ => {
                paths.push(Path::column(derived.column));
                continue;
            }
        };
        for write in &derived.paths {
            let steps: Vec<Step> = derive::resolve(document.view(), write);
            paths.push(Path::new(derived.column, steps));
        }
    }
    derive::minimal(paths)
}

/// What REPEATABLE READ checks for changes since the snapshot: everything read or written; all of the row for `whole`.
fn lock_reads(read: &[Path], written: &[Path], whole: bool) -> Vec<Path> {
    if whole {
        Vec::new()
    } else {
        derive::minimal(read.iter().chain(written).cloned().collect())
    }
}

/// The paths a statement may write, as far as its text says: what SERIALIZABLE locks before it looks for rows.
pub(super) fn written_paths(derived: &[Derived<'_>]) -> Vec<Path> {
    let mut paths = Vec::new();
    for derived in derived.iter().filter(|derived| derived.addition.is_none()) {
        if derived.paths.is_empty() {
            paths.push(Path::column(derived.column));
        }
        for write in &derived.paths {
            let steps = write.steps.iter().map_while(|text| derive::step(text));
            paths.push(Path::new(derived.column, steps));
        }
    }
    derive::minimal(paths)
}
