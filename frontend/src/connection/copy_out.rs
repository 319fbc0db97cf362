//! COPY TO STDOUT: rows of a table or query as COPY data.

use std::sync::Arc;

use planner::catalog::{Relation, RelationKind};
use planner::eval::SessionView;
use planner::functions::quote_identifier;
use planner::{SqlError, SqlResult, SqlState, Type};
use txn::Transaction;

use super::deliver::relieve;
use super::guard::guard;
use super::serve::Connection;
use super::{Outbox, Work};
use crate::copy::{CopyOptions, Encoder, Format};
use crate::session::command::{CopySource, CopyStatement};
use crate::session::rows::{Answer, Complete, RowSet};
use crate::session::shared::Shared;
use crate::session::{Body, Session, Statement};

impl Connection {
    pub(super) async fn copy_out(
        &mut self,
        copy: &CopyStatement,
        statement: &Statement,
        options: CopyOptions,
    ) -> Work<Complete> {
        let deadline = self.deadline();
        let Connection {
            reader,
            outbox,
            session,
            shared,
            ..
        } = self;
        let work = Box::pin(async {
            let set = open(session, copy, statement).await?;
            let transaction = session.transaction();
            let complete = send(set, options, outbox, (shared, transaction.as_deref())).await?;
            session.settle().await?;
            Ok(complete)
        });
        guard(reader, shared, deadline, work).await
    }
}

async fn open(session: &mut Session, copy: &CopyStatement, statement: &Statement) -> SqlResult<RowSet> {
    let query = match &copy.source {
        CopySource::Query(piece) => session.parse_piece(statement, piece)?,
        CopySource::Table {
            schema, name, columns, ..
        } => {
            let catalog = session.catalog().await?;
            let relation = catalog.relation(&*session.shared, schema.as_deref(), name);
            if let Some(relation) = relation {
                check_kind(relation)?;
            }
            let text = table_query(relation, schema.as_deref(), name, columns.as_deref());
            session.parse_one(&text, 0)?
        }
    };
    let Body::Query(parsed) = &query.body else {
        return Err(SqlError::new(SqlState::SYNTAX_ERROR, "COPY needs a query"));
    };
    if matches!(*parsed.ast, sqlparser::ast::Statement::Merge(_)) {
        return Err(SqlError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "MERGE not supported in COPY",
        ));
    }
    let plan = session.bind(parsed, query.offset, &[]).await?;
    match session.run(parsed, &plan, [].into()).await? {
        Answer::Rows(set) => Ok(set),
        Answer::Done(_) => Err(SqlError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "COPY query must have a RETURNING clause",
        )),
    }
}

async fn send(
    set: RowSet,
    options: CopyOptions,
    outbox: &mut Outbox,
    (shared, transaction): (&Arc<Shared>, Option<&Transaction>),
) -> Work<Complete> {
    let RowSet { columns, mut rows, .. } = set;
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let force_quote = options.force_quote.flags("FORCE_QUOTE", &names, |_| None)?;
    outbox
        .output
        .copy_response(b'H', options.format == Format::Binary, columns.len());
    let described: Vec<(String, Type)> = columns.iter().map(|column| (column.name.clone(), column.ty)).collect();
    let is_text = options.format != Format::Binary;
    let mut encoder = Encoder::new(options, described, force_quote);
    let session: &dyn SessionView = &**shared;
    let mut start = bytes::BytesMut::new();
    encoder.start(&mut start);
    // The binary signature travels with the first row, as clients that read a row a message expect; a header line is a
    // message of its own.
    if is_text && !start.is_empty() {
        let header = start.split();
        outbox.output.message(b'd', |buffer| buffer.extend_from_slice(&header));
    }
    let mut count = 0;
    while let Some(row) = rows.next().await? {
        let signature = start.split();
        outbox.output.try_message(b'd', |buffer| {
            buffer.extend_from_slice(&signature);
            encoder.row(&row, session, buffer)
        })?;
        count += 1;
        relieve(outbox, transaction).await?;
    }
    let mut end = start;
    encoder.end(&mut end);
    if !end.is_empty() {
        outbox.output.message(b'd', |buffer| buffer.extend_from_slice(&end));
    }
    outbox.output.copy_done();
    Ok(Complete::Counted("COPY", count))
}

fn check_kind(relation: &Relation) -> SqlResult<()> {
    let name = &relation.name;
    match relation.kind {
        RelationKind::Table if relation.is_partitioned() => Err(SqlError::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("cannot copy from partitioned table \"{name}\""),
        )
        .hint("Try the COPY (SELECT ...) TO variant.")),
        RelationKind::Table | RelationKind::System => Ok(()),
        RelationKind::View => Err(SqlError::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("cannot copy from view \"{name}\""),
        )
        .hint("Try the COPY (SELECT ...) TO variant.")),
        RelationKind::Composite => Err(SqlError::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("cannot open relation \"{}\"", relation.name),
        )),
        RelationKind::Sequence => Err(SqlError::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("cannot copy from sequence \"{name}\""),
        )),
    }
}

/// The query a table stands for: its columns but the generated ones.
fn table_query(
    relation: Option<&Arc<Relation>>,
    schema: Option<&str>,
    name: &str,
    columns: Option<&[String]>,
) -> String {
    let listed: Vec<String> = match (columns, relation) {
        (Some(columns), _) => columns.iter().map(|column| quote_identifier(column)).collect(),
        (None, Some(relation)) => relation
            .live_columns()
            .filter(|(_, column)| !column.generated)
            .map(|(_, column)| quote_identifier(&column.name))
            .collect(),
        (None, None) => vec!["*".into()],
    };
    let table = schema.map_or_else(
        || quote_identifier(name),
        |schema| format!("{}.{}", quote_identifier(schema), quote_identifier(name)),
    );
    // Rows of tables that inherit from it are not the table's own.
    let only = if relation.is_some_and(|relation| relation.kind == RelationKind::Table) {
        "ONLY "
    } else {
        ""
    };
    format!("SELECT {} FROM {only}{table}", listed.join(", "))
}
