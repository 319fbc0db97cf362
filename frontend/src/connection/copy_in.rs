//! COPY FROM STDIN: the client's data, decoded, converted and inserted in batches.

use std::sync::Arc;

use planner::catalog::{Relation, RelationKind};
use planner::statement::StatementContext;
use planner::{SqlError, SqlResult, SqlState, Type, types};
use storage::Datum;
use tokio::time::Instant;

use super::guard::{guard, protect, stopped, timed_out, timeout};
use super::serve::Connection;
use super::{Stopped, Work};
use crate::copy::csv::Forced;
use crate::copy::{CopyOptions, Decoder, Field, Format, Record};
use crate::session::Statement;
use crate::session::block::{Block, aborted};
use crate::session::command::{CopySource, CopyStatement, CopyTarget};
use crate::session::rows::Complete;
use crate::session::shared::Shared;
use crate::wire::body::violation;
use crate::wire::{Frame, Message};

/// Rows handed to the planner at a time.
const BATCH_ROWS: usize = 1000;
/// Bytes of data after which a batch is handed over, however few its rows.
const BATCH_SIZE: usize = 1 << 20;

/// Where the rows go.
pub(super) struct Target {
    relation: Arc<Relation>,
    /// Columns in the order of the data: position (attnum - 1), name, type.
    columns: Vec<(u16, String, Type)>,
}

/// Rows waiting to be inserted, with the lines they came from.
#[derive(Default)]
struct Batch {
    rows: Vec<Vec<Datum>>,
    lines: Vec<u64>,
    size: usize,
}

impl Connection {
    /// Runs COPY in either direction; the tag is the caller's to send.
    pub(super) async fn copy(&mut self, copy: &CopyStatement, statement: &Statement) -> Work<Complete> {
        if self.session.block() == Block::Failed {
            return Err(aborted().into());
        }
        if copy.target != CopyTarget::Client {
            return Err(server_side(copy).into());
        }
        let options = CopyOptions::new(&copy.options, copy.is_from).map_err(|error| error.shift(statement.offset))?;
        if copy.is_from {
            self.copy_in(copy, statement, options).await
        } else {
            self.copy_out(copy, statement, options).await
        }
    }

    async fn copy_in(&mut self, copy: &CopyStatement, statement: &Statement, options: CopyOptions) -> Work<Complete> {
        if copy.condition.is_some() {
            return Err(SqlError::unsupported("COPY FROM with WHERE")
                .hint("Copy into a staging table and INSERT … SELECT.")
                .into());
        }
        if self.session.is_read_only() {
            let message = "cannot execute COPY FROM in a read-only transaction";
            return Err(SqlError::new(SqlState::READ_ONLY_SQL_TRANSACTION, message).into());
        }
        let deadline = self.deadline();
        let target = self
            .copy_target(&copy.source)
            .await
            .map_err(|error| error.shift(statement.offset))?;
        let forced = target.forced(&options)?;
        let context = self.session.context([].into()).await?;
        let is_binary = options.format == Format::Binary;
        self.outbox.output.copy_response(b'G', is_binary, target.columns.len());
        self.outbox.flush().await?;
        let names = target.columns.iter().map(|(_, name, _)| name.clone()).collect();
        let mut decoder = Decoder::new(options, forced, target.relation.name.clone(), names);
        let mut batch = Batch::default();
        let mut count = 0;
        loop {
            let frame = self.copy_frame(deadline).await?;
            let is_last = match copy_message(frame)? {
                Some(data) => {
                    decoder.push(&data)?;
                    false
                }
                None => true,
            };
            while let Some(record) = decoder.next(is_last)? {
                batch.add(record, &decoder, &target, &self.shared)?;
                if batch.is_full() {
                    count += self.insert(&context, &target, &decoder, &mut batch, deadline).await?;
                }
            }
            if is_last {
                count += self.insert(&context, &target, &decoder, &mut batch, deadline).await?;
                self.settle(deadline).await?;
                return Ok(Complete::Counted("COPY", count));
            }
        }
    }

    /// The next message of the client, unless the statement must stop.
    async fn copy_frame(&mut self, deadline: Option<Instant>) -> Work<Frame> {
        loop {
            let frame = tokio::select! {
                biased;
                frame = self.reader.frame() => frame?,
                stop = self.shared.stopped() => return Err(stopped(stop)),
                () = timeout(deadline) => return Err(Stopped::Error(timed_out())),
            };
            // Flush and Sync mean nothing while data is coming.
            if !matches!(frame.tag, b'H' | b'S') {
                return Ok(frame);
            }
        }
    }

    async fn copy_target(&mut self, source: &CopySource) -> SqlResult<Target> {
        let CopySource::Table {
            schema,
            name,
            columns,
            position,
        } = source
        else {
            return Err(SqlError::new(SqlState::SYNTAX_ERROR, "COPY FROM needs a table"));
        };
        let catalog = self.session.catalog().await?;
        let relation = catalog.relation(&*self.shared, schema.as_deref(), name).cloned();
        let relation = relation.ok_or_else(|| no_relation(schema.as_deref(), name).at(*position))?;
        check_kind(&relation)?;
        let columns = match columns {
            Some(names) => named_columns(&relation, names)?,
            None => relation
                .live_columns()
                .filter(|(_, column)| !column.generated)
                .map(|(position, column)| (position, column.name.clone(), column.ty))
                .collect(),
        };
        Ok(Target { relation, columns })
    }

    /// Inserts a batch. When it fails, its rows are tried one by one, so that the error names the line it is about.
    async fn insert(
        &mut self,
        context: &StatementContext,
        target: &Target,
        decoder: &Decoder,
        batch: &mut Batch,
        deadline: Option<Instant>,
    ) -> Work<u64> {
        let Batch { rows, lines, .. } = std::mem::take(batch);
        if rows.is_empty() {
            return Ok(0);
        }
        let mark = context.transaction.savepoint();
        let retry = rows.clone();
        let error = match self.insert_rows(context, target, rows, deadline).await {
            Err(Stopped::Error(error)) if is_about_a_row(&error) => error,
            result => return result,
        };
        protect(async { Ok(context.transaction.rollback_to(mark).await.map_err(SqlError::from)?) }).await?;
        for (row, line) in retry.into_iter().zip(lines) {
            if let Err(stopped) = self.insert_rows(context, target, vec![row], deadline).await {
                return Err(match stopped {
                    Stopped::Error(error) => Stopped::Error(error.context(|| decoder.table_line(line))),
                    other => other,
                });
            }
        }
        Err(error.into())
    }

    async fn insert_rows(
        &mut self,
        context: &StatementContext,
        target: &Target,
        rows: Vec<Vec<Datum>>,
        deadline: Option<Instant>,
    ) -> Work<u64> {
        let planner = self.session.services().planner.clone();
        let positions: Vec<u16> = target.columns.iter().map(|(position, ..)| *position).collect();
        let table = target.relation.id;
        let work = Box::pin(async { Ok(planner.copy_in(context, table, &positions, rows).await?) });
        guard(&mut self.reader, &self.shared, deadline, work).await
    }
}

impl Target {
    fn forced(&self, options: &CopyOptions) -> SqlResult<Forced> {
        let names: Vec<&str> = self.columns.iter().map(|(_, name, _)| name.as_str()).collect();
        let missing = |name: &str| missing_column(&self.relation, name);
        Ok(Forced {
            not_null: options.force_not_null.flags("FORCE_NOT_NULL", &names, missing)?,
            null: options.force_null.flags("FORCE_NULL", &names, missing)?,
        })
    }
}

impl Batch {
    fn add(&mut self, record: Record, decoder: &Decoder, target: &Target, shared: &Shared) -> SqlResult<()> {
        let mut row = Vec::with_capacity(record.fields.len());
        for (position, (field, (_, _, ty))) in record.fields.iter().zip(&target.columns).enumerate() {
            let value = match field {
                Field::Null => Ok(Datum::Null),
                Field::Text(text) => {
                    self.size += text.len();
                    types::input(*ty, text, shared)
                }
                Field::Binary(bytes) => {
                    self.size += bytes.len();
                    types::binary_input(*ty, bytes, shared)
                }
            };
            row.push(value.map_err(|error| error.context(|| decoder.value_context(record.line, position, field)))?);
        }
        self.rows.push(row);
        self.lines.push(record.line);
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.rows.len() >= BATCH_ROWS || self.size >= BATCH_SIZE
    }
}

/// Data, or `None` at the end.
fn copy_message(frame: Frame) -> Work<Option<bytes::Bytes>> {
    let tag = frame.tag;
    match Message::decode(frame)? {
        Message::CopyData(data) => Ok(Some(data)),
        Message::CopyDone => Ok(None),
        Message::CopyFail(reason) => {
            Err(SqlError::new(SqlState::QUERY_CANCELED, format!("COPY from stdin failed: {reason}")).into())
        }
        Message::Terminate => Err(Stopped::Lost),
        _ => Err(Stopped::Fatal(violation(format!(
            "unexpected message type 0x{tag:02X} during COPY from stdin"
        )))),
    }
}

/// Whether an error is about a row's values, not about the transaction or the machine.
fn is_about_a_row(error: &SqlError) -> bool {
    matches!(&error.code().0[..2], "22" | "23" | "42" | "44" | "21" | "54")
}

fn check_kind(relation: &Relation) -> SqlResult<()> {
    let name = &relation.name;
    let wrong = |message: String| Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message));
    match relation.kind {
        RelationKind::Table => Ok(()),
        RelationKind::View => wrong(format!("cannot copy to view \"{name}\"")),
        RelationKind::Composite => wrong(format!("cannot open relation \"{name}\"")),
        RelationKind::Sequence => wrong(format!("cannot copy to sequence \"{name}\"")),
        RelationKind::System => wrong(format!("cannot copy to system relation \"{name}\"")),
    }
}

fn named_columns(relation: &Relation, names: &[String]) -> SqlResult<Vec<(u16, String, Type)>> {
    let mut columns: Vec<(u16, String, Type)> = Vec::with_capacity(names.len());
    for name in names {
        let Some((position, column)) = relation.live_columns().find(|(_, column)| column.name == *name) else {
            let message = missing_column(relation, name).unwrap_or_default();
            return Err(SqlError::new(SqlState::UNDEFINED_COLUMN, message));
        };
        if column.generated {
            return Err(SqlError::new(
                SqlState::INVALID_COLUMN_REFERENCE,
                format!("column \"{name}\" is a generated column"),
            )
            .detail("Generated columns cannot be used in COPY."));
        }
        if columns.iter().any(|(taken, ..)| *taken == position) {
            return Err(SqlError::new(
                SqlState::DUPLICATE_COLUMN,
                format!("column \"{name}\" specified more than once"),
            ));
        }
        columns.push((position, name.clone(), column.ty));
    }
    Ok(columns)
}

fn missing_column(relation: &Relation, name: &str) -> Option<String> {
    let exists = relation.live_columns().any(|(_, column)| column.name == name);
    (!exists).then(|| format!("column \"{name}\" of relation \"{}\" does not exist", relation.name))
}

/// 42P01
fn no_relation(schema: Option<&str>, name: &str) -> SqlError {
    let name = schema.map_or_else(|| name.to_owned(), |schema| format!("{schema}.{name}"));
    SqlError::new(SqlState::UNDEFINED_TABLE, format!("relation \"{name}\" does not exist"))
}

fn server_side(copy: &CopyStatement) -> SqlError {
    let direction = if copy.is_from {
        "COPY FROM a file or program"
    } else {
        "COPY TO a file or program"
    };
    let hint = if copy.is_from {
        "Use COPY FROM STDIN, or psql's \\copy."
    } else {
        "Use COPY TO STDOUT, or psql's \\copy."
    };
    SqlError::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!("{direction} on the server is not supported"),
    )
    .hint(hint)
}
