//! Route: which partition a written row belongs to, and rows that change theirs.

use std::sync::Arc;

use storage::Row;
use txn::{Key, RowWrite};

use super::program::TableProgram;
use super::writer::{Arbiters, ELSEWHERE, Inserted, Writer};
use crate::partition::Mapping;
use crate::{SqlError, SqlResult, SqlState};

impl Writer<'_> {
    /// The table that a row of a partitioned table belongs to, and the row as that table has it.
    ///
    /// # Errors
    /// 23514 if there is no such partition, and what the partition key's expressions raise.
    pub(super) fn route(&self, table: &Arc<TableProgram>, row: Row) -> SqlResult<(Arc<TableProgram>, Row)> {
        let (mut program, mut row) = (table.clone(), row);
        while let Some(routing) = &program.routing {
            let context = self.eval_context();
            let Some((partition, mapping)) = routing.find(&row, &context)? else {
                return Err(routing.no_partition(&self.context.catalog, &program.table, &row, &context));
            };
            row = mapping.to_child(row);
            program = self.planner.program(&self.context, partition)?;
        }
        Ok((program, row))
    }

    /// As [`Self::route`]; `None` if there is no partition for the row.
    pub(super) fn try_route(&self, table: &Arc<TableProgram>, row: Row) -> SqlResult<Option<(Arc<TableProgram>, Row)>> {
        match self.route(table, row) {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.code() == SqlState::CHECK_VIOLATION => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether a row is one that its table may hold as the partition it is.
    ///
    /// # Errors
    /// What the partition keys' expressions raise.
    pub(super) fn belongs(&self, program: &TableProgram, row: &Row) -> SqlResult<bool> {
        let (mut child, mut row) = (program.table.id, row.clone());
        for ancestor in self.context.catalog.ancestors_of(child) {
            let parent = self.planner.program(&self.context, ancestor)?;
            let Some(routing) = &parent.routing else {
                return Ok(true);
            };
            if let Some(mapping) = routing.mapping(child) {
                row = mapping.to_parent(&row);
            }
            let found = routing.find(&row, &self.eval_context())?;
            if found.map(|(partition, _)| partition) != Some(child) {
                return Ok(false);
            }
            child = ancestor;
        }
        Ok(true)
    }

    /// Columns of a partition that decide whether it may hold a row.
    pub(super) fn partition_columns(&self, program: &TableProgram) -> SqlResult<Vec<u16>> {
        let mut columns = Vec::new();
        for ancestor in self.context.catalog.ancestors_of(program.table.id) {
            let parent = self.planner.program(&self.context, ancestor)?;
            let mapping = Mapping::between(&parent.table, &program.table);
            let keys = parent.routing.iter().flat_map(|routing| routing.columns());
            columns.extend(keys.filter_map(|column| mapping.place(column)));
        }
        Ok(columns)
    }

    /// Moves a row, locked as a whole, to the partition of `root` that its new state belongs to. `new` is of the shape of
    /// the table it leaves.
    ///
    /// # Errors
    /// 23514 if there is none, and what inserting it there raises.
    pub(super) async fn move_row(
        &mut self,
        root: &Arc<TableProgram>,
        program: &Arc<TableProgram>,
        key: &Key,
        old: &Row,
        new: &Row,
    ) -> SqlResult<(Arc<TableProgram>, Row)> {
        let row = Mapping::between(&root.table, &program.table).to_parent(new);
        if root.table.is_partition() && !self.belongs(root, &row)? {
            return Err(super::violation::partition(&root.table, &row, &self.eval_context()));
        }
        let (target, mut row) = self.route(root, row)?;
        target.generate(&mut row, &self.eval_context())?;
        target.check(&row, &self.eval_context())?;
        // Who waits for the row learns that it went to another table.
        self.delete_row(program, key, old, RowWrite::Move(ELSEWHERE)).await?;
        match self.insert(&target, row.clone(), Arbiters::None).await? {
            Inserted::Written(_) => {}
            Inserted::Conflict { .. } => {
                return Err(SqlError::new(SqlState::INTERNAL_ERROR, "nobody arbitrates a moved row"));
            }
        }
        self.queue.moved(&self.context, (program, old), (&target, &row));
        Ok((target, row))
    }
}
