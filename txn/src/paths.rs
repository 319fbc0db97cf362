//! Known paths: what the documents of every jsonb column look like, durable in the meta group (DESIGN C7).
//!
//! ```text
//!   X or A on a path ── known? ──yes──► the lock request goes on          one look at a trie, nothing is locked or copied
//!                          └─no──► pending ─┐
//!   whole documents ── COMMIT ──► pending ──┴► drain: merge, propose what changed to the meta group ─► applied ─► known
//! ```
//!
//! Invariants
//!  K1  A path below a column is known before X or A on it is granted to anybody, unless the column is closed.
//!  K2  What is known is durable: a shape is published when the records of it are applied.
//!  K3  Learning changes no table's version, and nothing that plans depend on (C8).
//!  K4  Only documents that were committed are learned; a path that was only locked is known and has no types.
//!
//! Batches make themselves: whatever comes while one batch is on its way to the log is the next one. Paths of whole
//! documents are registered up to [`DELAY`] after their commit, so that a load of different documents writes few batches;
//! a crash in that time forgets them until a document shows them again. Whoever needs to know all of them drains first.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use storage::engine::View;
use storage::shape::Changes;
use storage::{JsonRef, Path, Shape, Step};

use crate::command::Body;
use crate::machine::records::{self, Record};
use crate::node::NodeInner;
use crate::placement::{FIRST_USER_TABLE, META};
use crate::remote::message::NewsWire;
use crate::remote::{RemoteShard, ShardRef};
use crate::shard::Shard;
use crate::transaction::Inner;
use crate::{LockName, LockRequest, Mode, Node, RowPart, TableId, Transaction, TxnError};

/// How long after their commit the paths of whole documents may wait for company.
const DELAY: Duration = Duration::from_millis(50);
/// Records one command writes at most.
const RECORDS_MAX: usize = 1000;

/// A column: table and position.
pub(crate) type Column = (TableId, u16);

/// Something that is to become known, or forgotten.
#[derive(Clone, Debug)]
pub(crate) enum News {
    /// Documents of a column have these paths.
    Learned(Column, Shape),
    /// A table's documents are gone, or those of one column.
    Forgotten(TableId, Option<u16>),
}

/// The shapes of all columns.
type Shapes = HashMap<Column, Shape, ahash::RandomState>;

/// The known paths of a node.
#[derive(Default)]
pub(crate) struct Paths {
    shapes: ArcSwap<Shapes>,
    pending: Mutex<Vec<News>>,
    /// One batch at a time.
    draining: tokio::sync::Mutex<()>,
    /// A task will drain soon.
    is_scheduled: AtomicBool,
}

impl Paths {
    /// The known paths as the meta group has them.
    pub(crate) fn reload(&self, view: &View) -> Result<(), TxnError> {
        self.shapes.store(Arc::new(read_shapes(view)?));
        Ok(())
    }

    /// The paths of a column.
    pub(crate) fn shape(&self, column: Column) -> Option<Shape> {
        self.shapes.load().get(&column).cloned()
    }

    /// Whether everything a value at a path shows is known.
    fn covers(&self, column: Column, steps: &[Step], value: Option<JsonRef<'_>>) -> bool {
        self.shapes
            .load()
            .get(&column)
            .is_some_and(|shape| shape.covers_at(steps, value))
    }

    /// Takes news that need not be known at once.
    pub(crate) fn tell_later(node: &Arc<NodeInner>, news: Vec<News>) {
        node.paths.pending.lock().extend(news);
        if node.paths.is_scheduled.swap(true, Ordering::AcqRel) {
            return;
        }
        let node = Arc::downgrade(node);
        tokio::spawn(async move {
            tokio::time::sleep(DELAY).await;
            let Some(node) = node.upgrade() else { return };
            node.paths.is_scheduled.store(false, Ordering::Release);
            if node.is_stopping.load(Ordering::Acquire) {
                return;
            }
            if let Err(error) = node.paths.drain_batch(&node).await {
                tracing::warn!(%error, "new paths of documents wait to be registered");
            }
        });
    }

    /// Makes everything known that was told until now.
    pub(crate) async fn drain(node: &Arc<NodeInner>) -> Result<(), TxnError> {
        let node = node.clone();
        // A task of its own: a statement that is cancelled meanwhile must not take the news of others with it.
        let drained = tokio::spawn(async move { node.paths.drain_batch(&node).await });
        drained.await.unwrap_or(Err(TxnError::Unavailable))
    }

    async fn drain_batch(&self, node: &Arc<NodeInner>) -> Result<(), TxnError> {
        let _one_at_a_time = self.draining.lock().await;
        let news = std::mem::take(&mut *self.pending.lock());
        if news.is_empty() {
            return Ok(());
        }
        let before = self.shapes.load_full();
        let mut shapes = Shapes::clone(&before);
        for one in &news {
            match one {
                News::Learned(column, shape) => shapes.entry(*column).or_default().merge(shape),
                News::Forgotten(table, column) => {
                    shapes.retain(|(known, at), _| known != table || column.is_some_and(|column| column != *at));
                }
            }
        }
        let written = match node.leader(META) {
            ShardRef::Local(meta) => write_changes(node, &meta, &before, &shapes).await,
            ShardRef::Remote(meta) => tell_leader(&meta, &news).await,
        };
        if let Err(error) = written {
            // What had been told before stays in front.
            self.pending.lock().splice(0..0, news);
            return Err(error);
        }
        self.shapes.store(Arc::new(shapes));
        Ok(())
    }

    /// Checks that what is known is what is written down.
    pub(crate) async fn check(&self, node: &NodeInner) -> Result<(), String> {
        let _nothing_on_its_way = self.draining.lock().await;
        let meta = node.shard(META).map_err(|error| error.to_string())?;
        let written = read_shapes(&meta.view()).map_err(|error| error.to_string())?;
        for (column, shape) in self.shapes.load().iter() {
            shape
                .check_invariants()
                .map_err(|error| format!("{column:?}: {error}"))?;
            if written.get(column) != Some(shape) {
                return Err(format!("the known paths of {column:?} are not those written down"));
            }
        }
        Ok(())
    }
}

/// Proposes what changed, and waits until it is applied.
async fn write_changes(node: &NodeInner, meta: &Arc<Shard>, before: &Shapes, shapes: &Shapes) -> Result<(), TxnError> {
    let none = Shape::default();
    let gone = before.keys().filter(|column| !shapes.contains_key(column));
    let mut waiting = Vec::new();
    for column in shapes.keys().chain(gone) {
        let shape = shapes.get(column).unwrap_or(&none);
        let changes = shape.changes_from(before.get(column).unwrap_or(&none));
        if changes.is_empty() {
            continue;
        }
        if node.is_disk_full() {
            return Err(TxnError::DiskFull);
        }
        for changes in parts(changes) {
            let (table, column) = *column;
            let body = Body::Paths { table, column, changes };
            waiting.push(meta.keep_house(body)?);
        }
    }
    for awaited in waiting {
        awaited.applied().await?;
    }
    Ok(())
}

/// Has the meta group's leader make known what is new. What it keeps of that (an object may have become a map) is known here
/// when it is applied; until then this node takes it as it was told.
async fn tell_leader(meta: &RemoteShard, news: &[News]) -> Result<(), TxnError> {
    let wire = |one: &News| match one {
        News::Learned(column, shape) => NewsWire::Learned(*column, shape.changes_from(&Shape::default()).put),
        News::Forgotten(table, column) => NewsWire::Forgotten(*table, *column),
    };
    meta.learn(news.iter().map(wire).collect()).await
}

impl Paths {
    /// Makes known what another node has seen; the place of the newest entry of the meta group by then.
    pub(crate) async fn learn_here(node: &Arc<NodeInner>, news: Vec<NewsWire>) -> Result<u64, TxnError> {
        let mut told = Vec::with_capacity(news.len());
        for one in news {
            told.push(match one {
                NewsWire::Learned(column, records) => {
                    let records = records.iter().map(|(path, value)| (path.as_slice(), *value));
                    News::Learned(column, Shape::restore(records)?)
                }
                NewsWire::Forgotten(table, column) => News::Forgotten(table, column),
            });
        }
        node.paths.pending.lock().extend(told);
        Paths::drain(node).await?;
        Ok(node.shard(META)?.group.applied_index())
    }
}

/// Changes in commands of a bounded size; what goes goes first.
fn parts(mut changes: Changes) -> Vec<Changes> {
    let mut rest = changes.put.split_off(changes.put.len().min(RECORDS_MAX));
    let mut parts = vec![changes];
    while !rest.is_empty() {
        let later = rest.split_off(rest.len().min(RECORDS_MAX));
        let put = std::mem::replace(&mut rest, later);
        parts.push(Changes {
            put,
            ..Changes::default()
        });
    }
    parts
}

fn read_shapes(view: &View) -> Result<Shapes, TxnError> {
    let corrupted = || TxnError::Corrupted("the record of a known path is damaged".into());
    let mut of_column: HashMap<Column, Vec<(bytes::Bytes, u8)>> = HashMap::new();
    for (rest, value) in records::all(view, Record::Path)? {
        let (table, column, path) = records::split_path(rest).ok_or_else(corrupted)?;
        let value = *value.first().ok_or_else(corrupted)?;
        of_column.entry((table, column)).or_default().push((path, value));
    }
    let mut shapes = Shapes::default();
    for (column, paths) in of_column {
        let shape = Shape::restore(paths.iter().map(|(path, value)| (&**path, *value)));
        shapes.insert(column, shape.map_err(|_| corrupted())?);
    }
    Ok(shapes)
}

/// The path a request is about to write below, if it is one inside a document of a user's table.
fn written_path(request: &LockRequest) -> Option<(TableId, &Path)> {
    match &request.name {
        LockName::Row {
            table,
            part: RowPart::Path(path),
            ..
        } if *table >= FIRST_USER_TABLE
            && !path.steps.is_empty()
            && matches!(request.mode, Mode::Exclusive | Mode::Add) =>
        {
            Some((*table, path))
        }
        _ => None,
    }
}

/// Registers the paths that are new to their columns before locks on them are asked for (K1).
///
/// Reads need no registration: S on a path nobody has says nothing about documents, and must not make such a path known.
pub(crate) async fn register_before_lock(inner: &Inner, requests: &[LockRequest]) -> Result<(), TxnError> {
    let paths = &inner.node.paths;
    let is_new = |(table, path): &(TableId, &Path)| !paths.covers((*table, path.column), &path.steps, None);
    let mut new = requests.iter().filter_map(written_path).filter(is_new).peekable();
    if new.peek().is_none() || crate::rehearsal::is_on(inner) {
        return Ok(());
    }
    let closed = inner.closed.lock().clone();
    let new = new.filter(|(table, path)| !closed.contains(&(*table, path.column)));
    let news = new.map(|(table, path)| {
        let mut shape = Shape::default();
        shape.learn_at(&path.steps, None);
        News::Learned((table, path.column), shape)
    });
    let news: Vec<News> = news.collect();
    if news.is_empty() {
        return Ok(());
    }
    paths.pending.lock().extend(news);
    Paths::drain(&inner.node).await
}

impl Transaction {
    /// From now on locks of this transaction make no paths of a column known: it is closed, and what it does not know is
    /// refused once the value is there. A mistake repeated often would otherwise make a map of an object.
    pub fn keep_paths_closed(&self, table: TableId, column: u16) {
        let mut closed = self.inner.closed.lock();
        if !closed.contains(&(table, column)) {
            closed.push((table, column));
        }
    }

    /// The known paths of a column.
    pub fn known_paths(&self, table: TableId, column: u16) -> Shape {
        self.inner.node.paths.shape((table, column)).unwrap_or_default()
    }

    /// Notes what a value written at a path of a document shows, to be known once this transaction is committed.
    pub fn learn_paths(&self, table: TableId, column: u16, steps: &[Step], value: JsonRef<'_>) {
        let is_known = || self.inner.node.paths.covers((table, column), steps, Some(value));
        if !self.inner.forgets_paths.load(Ordering::Relaxed) && is_known() {
            return;
        }
        let mut state = self.inner.state.lock();
        // What is forgotten in between is not found again: news stay in order.
        let noted = state
            .news
            .iter_mut()
            .rev()
            .take_while(|news| matches!(news, News::Learned(..)));
        for news in noted {
            if let News::Learned(known, shape) = news
                && *known == (table, column)
            {
                if !shape.covers_at(steps, Some(value)) {
                    shape.learn_at(steps, Some(value));
                }
                return;
            }
        }
        let mut shape = Shape::default();
        shape.learn_at(steps, Some(value));
        state.news.push(News::Learned((table, column), shape));
    }

    /// Forgets the paths of a table's documents, or of one column, once this transaction is committed.
    pub fn forget_paths(&self, table: TableId, column: Option<u16>) {
        self.inner.forgets_paths.store(true, Ordering::Relaxed);
        self.inner.state.lock().news.push(News::Forgotten(table, column));
    }

    /// Makes the paths of a column known that its documents have, at once and whatever becomes of this transaction.
    ///
    /// # Errors
    /// [`TxnError::DiskFull`] or [`TxnError::Unavailable`]
    pub async fn register_paths(&self, table: TableId, column: u16, shape: Shape) -> Result<(), TxnError> {
        let node = &self.inner.node;
        let news = News::Learned((table, column), shape);
        node.paths.pending.lock().push(news.clone());
        Paths::drain(node).await?;
        // Where this transaction forgets the column before, it must be found again behind that.
        self.inner.state.lock().news.push(news);
        Ok(())
    }

    /// Waits until the paths of everything committed before are known.
    ///
    /// # Errors
    /// As [`register_paths`](Self::register_paths).
    pub async fn settle_paths(&self) -> Result<(), TxnError> {
        Paths::drain(&self.inner.node).await
    }
}

impl Node {
    /// Forgets the paths of columns that are no more: a crash may have come between the end of a column and that of its paths.
    ///
    /// # Errors
    /// [`TxnError::DiskFull`] or [`TxnError::Unavailable`]
    pub async fn keep_paths_of(&self, is_kept: impl Fn(TableId, u16) -> bool) -> Result<(), TxnError> {
        let shapes = self.inner.paths.shapes.load_full();
        let gone = shapes.keys().filter(|(table, column)| !is_kept(*table, *column));
        let news: Vec<News> = gone
            .map(|(table, column)| News::Forgotten(*table, Some(*column)))
            .collect();
        if news.is_empty() {
            return Ok(());
        }
        self.inner.paths.pending.lock().extend(news);
        Paths::drain(&self.inner).await
    }
}
