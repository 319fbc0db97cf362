//! Rows: what a statement answers, and how it is taken row by row.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::BoxStream;
use planner::SqlResult;
use planner::statement::{ResultColumn, Tag, Verb};
use planner::{SqlError, Type};
use storage::Datum;

/// A row.
pub type Row = Vec<Datum>;

/// Rows that come in batches, taken one by one.
pub struct Rows {
    stream: Option<BoxStream<'static, SqlResult<Vec<Row>>>>,
    ready: VecDeque<Row>,
    /// An error met while reading ahead; raised when the rows before it are taken.
    failure: Option<SqlError>,
}

impl Rows {
    /// Rows of a stream.
    pub fn stream(stream: BoxStream<'static, SqlResult<Vec<Row>>>) -> Self {
        Self {
            stream: Some(stream),
            ready: VecDeque::new(),
            failure: None,
        }
    }

    /// Rows that are all there.
    pub fn ready(rows: Vec<Row>) -> Self {
        Self {
            stream: None,
            ready: rows.into(),
            failure: None,
        }
    }

    /// The next row.
    ///
    /// # Errors
    /// What the statement raises.
    pub async fn next(&mut self) -> SqlResult<Option<Row>> {
        while self.ready.is_empty() {
            if let Some(error) = self.failure.take() {
                return Err(error);
            }
            let Some(stream) = &mut self.stream else {
                return Ok(None);
            };
            match stream.next().await {
                Some(batch) => self.ready = batch?.into(),
                None => self.stream = None,
            }
        }
        Ok(self.ready.pop_front())
    }

    /// Whether nothing is left, as far as is known without waiting.
    pub fn is_exhausted(&self) -> bool {
        self.ready.is_empty() && self.stream.is_none() && self.failure.is_none()
    }

    /// Reads everything, so that the rows no longer depend on the transaction's snapshot. An error waits for its turn.
    pub async fn read_ahead(&mut self) {
        while let Some(stream) = &mut self.stream {
            match stream.next().await {
                Some(Ok(batch)) => self.ready.extend(batch),
                Some(Err(error)) => {
                    self.failure = Some(error);
                    self.stream = None;
                }
                None => self.stream = None,
            }
        }
    }

    /// The error met while reading ahead.
    pub fn take_failure(&mut self) -> Option<SqlError> {
        self.failure.take()
    }

    /// Whether it still reads from its transaction.
    pub fn is_streaming(&self) -> bool {
        self.stream.is_some()
    }
}

/// How the command tag of rows is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowTag {
    /// `SELECT 3`, `FETCH 2`
    Counted(&'static str),
    /// `SHOW`, `EXPLAIN`
    Fixed(&'static str),
}

/// A statement's answer.
pub enum Answer {
    /// Rows.
    Rows(RowSet),
    /// A tag.
    Done(Complete),
}

/// Rows with their description.
pub struct RowSet {
    /// Columns.
    pub columns: Arc<[ResultColumn]>,
    /// Rows.
    pub rows: Rows,
    /// Tag.
    pub tag: RowTag,
    /// All columns are sent in binary, whatever the client asked (FETCH of a BINARY cursor).
    pub is_binary: bool,
}

/// A finished command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Complete {
    /// A fixed tag.
    Fixed(&'static str),
    /// A counting tag.
    Counted(&'static str, u64),
    /// EmptyQueryResponse instead of a tag.
    Empty,
}

impl RowTag {
    /// Tag of a verb the planner answers with.
    pub fn of(verb: Verb) -> RowTag {
        match verb {
            Verb::Explain | Verb::Show => RowTag::Fixed(word(verb)),
            Verb::Select | Verb::Insert | Verb::Update | Verb::Delete | Verb::Merge => RowTag::Counted(word(verb)),
        }
    }

    /// The tag after a number of rows.
    pub fn complete(self, count: u64) -> Complete {
        match self {
            RowTag::Counted(word) => Complete::Counted(word, count),
            RowTag::Fixed(word) => Complete::Fixed(word),
        }
    }
}

impl From<Tag> for Complete {
    fn from(tag: Tag) -> Self {
        match tag {
            Tag::Count(verb, count) => Complete::Counted(word(verb), count),
            Tag::Text(text) => Complete::Fixed(text),
        }
    }
}

/// A verb in a command tag. INSERT carries the zero that used to be an OID.
fn word(verb: Verb) -> &'static str {
    match verb {
        Verb::Select => "SELECT",
        Verb::Insert => "INSERT 0",
        Verb::Update => "UPDATE",
        Verb::Delete => "DELETE",
        Verb::Merge => "MERGE",
        Verb::Explain => "EXPLAIN",
        Verb::Show => "SHOW",
    }
}

/// A text column of an answer the session makes itself.
pub fn text_column(name: &str) -> ResultColumn {
    ResultColumn {
        name: name.to_owned(),
        ty: Type::TEXT,
        table: 0,
        attribute: 0,
    }
}

/// A text value.
pub fn text(value: impl Into<Arc<str>>) -> Datum {
    Datum::Text(value.into())
}
