//! Portals and cursors: answers that are read in parts.
//!
//! A cursor of DECLARE and a portal of Bind share one name space, as in PostgreSQL. Rows are counted from 1; a cursor stands
//! on row `at`, where 0 is before the first and one past the end is after the last. A cursor that may move backwards keeps
//! every row it has read.

use std::sync::Arc;

use planner::statement::ResultColumn;
use planner::{SqlError, SqlResult, SqlState};
use storage::Datum;

use super::block::{self, Block};
use super::command::{Declare, Direction};
use super::prepared::PreparedStatement;
use super::rows::{Answer, Complete, Row, RowSet, RowTag, Rows};
use super::{Body, Session, Statement};

/// An answer that is read in parts.
pub struct Portal {
    /// What it came from.
    pub source: Source,
    /// Where it is.
    pub state: State,
    /// Savepoints that were open when it was made.
    pub depth: usize,
    /// WITH HOLD
    is_held: bool,
    /// Whether the transaction that made it has committed.
    is_from_earlier: bool,
    is_binary: bool,
    /// Formats of the result, for the protocol's portals.
    pub formats: Vec<i16>,
}

/// What a portal came from.
pub enum Source {
    /// Bind: a prepared statement and its parameters.
    Bound(Arc<PreparedStatement>, Arc<[Datum]>),
    /// DECLARE: the query's text.
    Declared(Arc<str>),
}

/// How far a portal is.
pub enum State {
    /// Not started.
    Ready,
    /// Rows are being read.
    Open(Cursor),
    /// Finished, with the tag it gave.
    Done(Complete),
}

/// Rows and a place in them.
pub struct Cursor {
    /// Columns.
    pub columns: Arc<[ResultColumn]>,
    /// Tag.
    pub tag: RowTag,
    rows: Rows,
    /// Rows read so far, if it may move backwards.
    read: Option<Vec<Row>>,
    at: i64,
    /// Number of rows, once known.
    count: Option<i64>,
}

impl Cursor {
    /// A cursor before the first row.
    pub fn new(set: RowSet, keeps_rows: bool) -> Self {
        Self {
            columns: set.columns,
            tag: set.tag,
            rows: set.rows,
            read: keeps_rows.then(Vec::new),
            at: 0,
            count: None,
        }
    }

    /// The next row.
    ///
    /// # Errors
    /// What the query raises.
    pub async fn next(&mut self) -> SqlResult<Option<Row>> {
        if self.count.is_some_and(|count| self.at > count) {
            return Ok(None);
        }
        if let Some(row) = self.read.as_ref().and_then(|read| read.get(self.at as usize)) {
            self.at += 1;
            return Ok(Some(row.clone()));
        }
        match self.rows.next().await? {
            Some(row) => {
                self.at += 1;
                if let Some(read) = &mut self.read {
                    read.push(row.clone());
                }
                Ok(Some(row))
            }
            None => {
                self.count = Some(self.at);
                self.at += 1;
                Ok(None)
            }
        }
    }

    /// Whether no row is left, as far as is known without waiting.
    pub fn is_exhausted(&self) -> bool {
        self.rows.is_exhausted()
    }

    /// Rows in a direction.
    ///
    /// # Errors
    /// 55000 for moving a NO SCROLL cursor backwards, and what the query raises.
    pub async fn fetch(&mut self, direction: Direction) -> SqlResult<Vec<Row>> {
        match direction {
            Direction::Forward(0) | Direction::Backward(0) | Direction::Relative(0) => self.current(),
            Direction::Forward(count) => self.forward(count).await,
            Direction::Backward(count) => self.backward(count),
            Direction::Absolute(row) if row >= 0 => self.absolute(row).await,
            Direction::Absolute(row) => {
                self.check_scroll()?;
                self.read_all().await?;
                self.absolute((self.count.unwrap_or(0) + 1 + row).max(0)).await
            }
            Direction::Relative(rows) => self.absolute((self.at + rows).max(0)).await,
        }
    }

    async fn forward(&mut self, count: i64) -> SqlResult<Vec<Row>> {
        let mut rows = Vec::new();
        while (rows.len() as i64) < count {
            match self.next().await? {
                Some(row) => rows.push(row),
                None => break,
            }
        }
        Ok(rows)
    }

    fn backward(&mut self, count: i64) -> SqlResult<Vec<Row>> {
        self.check_scroll()?;
        let mut rows = Vec::new();
        while self.at > 0 && (rows.len() as i64) < count {
            self.at -= 1;
            match self.row_here() {
                Some(row) => rows.push(row),
                None => break,
            }
        }
        Ok(rows)
    }

    async fn absolute(&mut self, row: i64) -> SqlResult<Vec<Row>> {
        if row < self.at {
            self.check_scroll()?;
            self.at = row;
            return Ok(self.row_here().into_iter().collect());
        }
        if row == self.at {
            return self.current();
        }
        while self.at < row - 1 {
            if self.next().await?.is_none() {
                return Ok(Vec::new());
            }
        }
        Ok(self.next().await?.into_iter().collect())
    }

    /// The row the cursor stands on, again.
    fn current(&mut self) -> SqlResult<Vec<Row>> {
        if self.at > 0 && self.count.is_none_or(|count| self.at <= count) {
            self.check_scroll()?;
        }
        Ok(self.row_here().into_iter().collect())
    }

    fn row_here(&self) -> Option<Row> {
        let index = usize::try_from(self.at - 1).ok()?;
        self.read.as_ref()?.get(index).cloned()
    }

    fn check_scroll(&self) -> SqlResult<()> {
        if self.read.is_some() {
            return Ok(());
        }
        Err(SqlError::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            "cursor can only scan forward",
        )
        .hint("Declare it with SCROLL option to enable backward scan."))
    }

    /// Reads every row while standing still.
    async fn read_all(&mut self) -> SqlResult<()> {
        let at = self.at;
        while self.next().await?.is_some() {}
        self.at = at.min(self.count.unwrap_or(at) + 1);
        Ok(())
    }
}

impl Portal {
    /// A portal of Bind.
    pub fn bound(statement: Arc<PreparedStatement>, parameters: Arc<[Datum]>, formats: Vec<i16>, depth: usize) -> Self {
        Self {
            source: Source::Bound(statement, parameters),
            state: State::Ready,
            depth,
            is_held: false,
            is_from_earlier: false,
            is_binary: false,
            formats,
        }
    }

    /// Whether it outlives COMMIT. Held cursors have been read to their end by then.
    pub(super) fn survives_commit(&mut self) -> bool {
        self.is_from_earlier |= self.is_held;
        self.is_from_earlier
    }

    /// Whether it outlives ROLLBACK.
    pub(super) fn survives_abort(&self) -> bool {
        self.is_from_earlier
    }

    pub(super) async fn read_ahead(&mut self) {
        if let State::Open(cursor) = &mut self.state
            && cursor.rows.is_streaming()
        {
            cursor.rows.read_ahead().await;
        }
    }

    /// Columns, once known.
    pub fn columns(&self) -> Option<Arc<[ResultColumn]>> {
        match &self.state {
            State::Open(cursor) => Some(cursor.columns.clone()),
            State::Ready | State::Done(_) => None,
        }
    }
}

impl Session {
    /// A portal by name.
    ///
    /// # Errors
    /// 34000
    pub fn portal(&mut self, name: &str) -> SqlResult<&mut Portal> {
        self.portals.get_mut(name).ok_or_else(|| {
            SqlError::new(
                SqlState::INVALID_CURSOR_NAME,
                format!("portal \"{name}\" does not exist"),
            )
        })
    }

    /// Makes a portal of Bind.
    ///
    /// # Errors
    /// 42P03 if the name is taken.
    pub fn store_portal(
        &mut self,
        name: &str,
        statement: Arc<PreparedStatement>,
        parameters: Arc<[Datum]>,
        formats: Vec<i16>,
    ) -> SqlResult<()> {
        if !name.is_empty() && self.portals.contains_key(name) {
            return Err(taken(name));
        }
        let depth = self.savepoints.len();
        self.portals
            .insert(name.to_owned(), Portal::bound(statement, parameters, formats, depth));
        Ok(())
    }

    /// Takes a portal out to work on it; [`put_portal`](Self::put_portal) brings it back.
    ///
    /// # Errors
    /// 34000
    pub fn take_portal(&mut self, name: &str) -> SqlResult<Portal> {
        self.portal(name)?;
        self.portals.remove(name).ok_or_else(|| no_cursor(name))
    }

    /// Brings a portal back.
    pub fn put_portal(&mut self, name: &str, portal: Portal) {
        self.portals.insert(name.to_owned(), portal);
    }

    /// Forgets a portal; a missing one is fine.
    pub fn close_portal(&mut self, name: &str) {
        self.portals.remove(name);
    }

    /// DECLARE
    pub(super) async fn declare(&mut self, declare: &Declare, query: Statement) -> SqlResult<Answer> {
        if !declare.is_held && self.block == Block::Idle {
            return Err(block::needs_block("DECLARE CURSOR"));
        }
        if self.portals.contains_key(&declare.name) {
            return Err(taken(&declare.name));
        }
        let set = self.open_query(&query).await?;
        let mut cursor = Cursor::new(set, declare.scroll != Some(false));
        if declare.is_held && self.block == Block::Idle {
            cursor.rows.read_ahead().await;
        }
        self.portals.insert(
            declare.name.clone(),
            Portal {
                source: Source::Declared(query.text.clone()),
                state: State::Open(cursor),
                depth: self.savepoints.len(),
                is_held: declare.is_held,
                is_from_earlier: false,
                is_binary: declare.is_binary,
                formats: Vec::new(),
            },
        );
        Ok(Answer::Done(Complete::Fixed("DECLARE CURSOR")))
    }

    async fn open_query(&mut self, query: &Statement) -> SqlResult<RowSet> {
        let not_a_query = || {
            SqlError::new(
                SqlState::SYNTAX_ERROR,
                "syntax error in DECLARE CURSOR: a SELECT is needed",
            )
        };
        match &query.body {
            Body::Query(parsed) => {
                let plan = self.bind(parsed, query.offset, &[]).await?;
                match self.run(parsed, &plan, [].into()).await? {
                    Answer::Rows(set) if set.tag == RowTag::Counted("SELECT") => Ok(set),
                    Answer::Rows(_) | Answer::Done(_) => Err(not_a_query()),
                }
            }
            Body::Command(command) => match &**command {
                super::command::Command::Execute { name, arguments } => {
                    let arguments = arguments.as_ref().map(|piece| super::prepared::Arguments {
                        text: &query.text[piece.clone()],
                        offset: query.offset + query.text[..piece.start].chars().count() as u32,
                    });
                    match self.execute_by_name(name, arguments.as_ref()).await? {
                        Answer::Rows(set) => Ok(set),
                        Answer::Done(_) => Err(not_a_query()),
                    }
                }
                _ => Err(not_a_query()),
            },
            Body::Empty | Body::Planned(_) => Err(not_a_query()),
        }
    }

    /// FETCH, MOVE
    pub(super) async fn fetch(&mut self, name: &str, direction: Direction, is_move: bool) -> SqlResult<Answer> {
        let portal = self.portals.get_mut(name).ok_or_else(|| no_cursor(name))?;
        let is_binary = portal.is_binary;
        let State::Open(cursor) = &mut portal.state else {
            return Err(SqlError::new(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("portal \"{name}\" cannot be run"),
            ));
        };
        let rows = cursor.fetch(direction).await?;
        if is_move {
            return Ok(Answer::Done(Complete::Counted("MOVE", rows.len() as u64)));
        }
        Ok(Answer::Rows(RowSet {
            columns: cursor.columns.clone(),
            rows: Rows::ready(rows),
            tag: RowTag::Counted("FETCH"),
            is_binary,
        }))
    }

    /// CLOSE
    pub(super) fn close_cursor(&mut self, name: Option<&str>) -> SqlResult<Answer> {
        match name {
            Some(name) => {
                self.portals.remove(name).ok_or_else(|| no_cursor(name))?;
                Ok(Answer::Done(Complete::Fixed("CLOSE CURSOR")))
            }
            None => {
                self.portals.clear();
                Ok(Answer::Done(Complete::Fixed("CLOSE CURSOR ALL")))
            }
        }
    }

    /// Reads held cursors to their end before COMMIT takes their transaction away.
    ///
    /// # Errors
    /// What their queries raise.
    pub(super) async fn hold_cursors(&mut self) -> SqlResult<()> {
        for portal in self.portals.values_mut().filter(|portal| portal.is_held) {
            portal.read_ahead().await;
            if let State::Open(cursor) = &mut portal.state
                && let Some(error) = cursor.rows.take_failure()
            {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Cursors of DECLARE, for `pg_cursors`: name and query.
    pub fn cursors(&self) -> Vec<(String, Arc<str>)> {
        let declared = |(name, portal): (&String, &Portal)| match &portal.source {
            Source::Declared(text) => Some((name.clone(), text.clone())),
            Source::Bound(..) => None,
        };
        self.portals.iter().filter_map(declared).collect()
    }
}

fn taken(name: &str) -> SqlError {
    SqlError::new(SqlState::DUPLICATE_CURSOR, format!("cursor \"{name}\" already exists"))
}

fn no_cursor(name: &str) -> SqlError {
    SqlError::new(
        SqlState::INVALID_CURSOR_NAME,
        format!("cursor \"{name}\" does not exist"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::command::ALL;

    fn cursor(count: i32, keeps_rows: bool) -> Cursor {
        let rows = Rows::ready((1..=count).map(|row| vec![Datum::Int4(row)]).collect());
        Cursor::new(
            RowSet {
                columns: [].into(),
                rows,
                tag: RowTag::Counted("SELECT"),
                is_binary: false,
            },
            keeps_rows,
        )
    }

    fn fetch(cursor: &mut Cursor, direction: Direction) -> Result<Vec<i32>, SqlState> {
        let rows = futures::executor::block_on(cursor.fetch(direction)).map_err(|error| error.code())?;
        Ok(rows
            .into_iter()
            .map(|row| match row[0] {
                Datum::Int4(value) => value,
                ref other => panic!("{other:?}"),
            })
            .collect())
    }

    #[test]
    fn a_cursor_moves_both_ways() {
        let mut c = cursor(4, true);
        assert_eq!(fetch(&mut c, Direction::Forward(2)), Ok(vec![1, 2]));
        assert_eq!(fetch(&mut c, Direction::Backward(1)), Ok(vec![1]));
        assert_eq!(fetch(&mut c, Direction::Backward(1)), Ok(vec![]));
        assert_eq!(fetch(&mut c, Direction::Forward(ALL)), Ok(vec![1, 2, 3, 4]));
        assert_eq!(fetch(&mut c, Direction::Forward(1)), Ok(vec![]));
        assert_eq!(fetch(&mut c, Direction::Backward(ALL)), Ok(vec![4, 3, 2, 1]));
        assert_eq!(fetch(&mut c, Direction::Absolute(-1)), Ok(vec![4]));
        assert_eq!(fetch(&mut c, Direction::Relative(-2)), Ok(vec![2]));
        assert_eq!(fetch(&mut c, Direction::Forward(0)), Ok(vec![2]));
        assert_eq!(fetch(&mut c, Direction::Absolute(9)), Ok(vec![]));
        assert_eq!(fetch(&mut c, Direction::Absolute(0)), Ok(vec![]));
    }

    #[test]
    fn a_cursor_without_scroll_goes_forward_only() {
        let mut c = cursor(4, false);
        assert_eq!(fetch(&mut c, Direction::Absolute(3)), Ok(vec![3]));
        assert_eq!(
            fetch(&mut c, Direction::Backward(1)),
            Err(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE)
        );
        assert_eq!(fetch(&mut c, Direction::Relative(1)), Ok(vec![4]));
    }
}
