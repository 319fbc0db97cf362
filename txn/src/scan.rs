//! Scans: rows and index entries in key order, the shards' parts merged, own writes laid over them.
//!
//! ```text
//!   shard 1   a c f …┐
//!   shard 2   b d …  ├─ merge ─► a b c d f …      the smallest of the heads; a part that runs dry is refilled
//!   own writes  c' e ┘           a b c' d e f …   an own write replaces the row, or hides it
//! ```

use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::try_unfold;
use futures::{FutureExt, StreamExt};
use storage::mvcc::{self, Chunk, Direction};
use storage::{Datum, Row};

use crate::buffer::{CommandNumber, Overlay};
use crate::command::Timestamp;
use crate::remote::client::page;
use crate::remote::message::PageAsk;
use crate::remote::{RemoteShard, ShardRef};
use crate::shard::Shard;
use crate::shard::asker::Asker;
use crate::transaction::{EntryStream, Inner, RowStream};
use crate::{IndexId, Key, KeyRange, TableId, TxnError};

/// What a scan looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// The statement's snapshot.
    Snapshot,
    /// Everything committed when the scan is made.
    Newest,
}

/// Rows of the first batch; each further one is twice as long.
const BATCH_COUNT_MIN: usize = 64;
/// Rows of a batch at most.
const BATCH_COUNT_MAX: usize = 1024;
/// Bytes of documents and texts after which a batch ends, however few its rows.
const BATCH_BYTES_MAX: usize = 8 << 20;

/// Something a scan finds, with the key that orders it.
trait Item: Sized + Send + 'static {
    type Order: Ord + Clone + Send;
    fn order(&self) -> Self::Order;
    /// Bytes of what is large in it, roughly.
    fn bytes(&self) -> usize;
    /// Where the item is among the transaction's own writes.
    fn overlay_page(
        source: &Source,
        inner: &Inner,
        command: CommandNumber,
        after: Option<&Self::Order>,
        count_max: usize,
    ) -> Result<Vec<(Self::Order, Patch<Self>)>, TxnError>;
    fn chunk(
        source: &Source,
        shard: &Shard,
        range: (&[u8], &[u8]),
        at: Timestamp,
        count_max: usize,
    ) -> Result<Chunk<Self>, TxnError>;
    /// As [`Self::chunk`], of a shard another node leads.
    fn page(
        shard: RemoteShard,
        asker: Asker<'_>,
        page: PageAsk,
    ) -> impl Future<Output = Result<Chunk<Self>, TxnError>> + Send;
    fn patch(self, patch: Patch<Self>) -> Result<Option<Self>, TxnError>;
    /// What a patch amounts to where the shards have nothing.
    fn made(order: Self::Order, patch: Patch<Self>) -> Result<Option<Self>, TxnError>;
}

/// An own write over what the shards have.
enum Patch<T> {
    Row(Overlay),
    Present(T),
    Absent,
}

/// What is scanned.
struct Source {
    table: TableId,
    index: Option<IndexId>,
    from: Vec<u8>,
    to: Vec<u8>,
    range: KeyRange,
    direction: Direction,
    /// Columns wanted of rows, ascending; `None` is all.
    columns: Option<Arc<[u16]>>,
}

impl Item for (Key, Row) {
    type Order = Key;

    fn order(&self) -> Key {
        self.0.clone()
    }

    fn bytes(&self) -> usize {
        let large = |value: &Datum| match value {
            Datum::Jsonb(document) => document.as_bytes().len(),
            Datum::Text(text) | Datum::Json(text) => text.len(),
            Datum::Bytea(bytes) => bytes.len(),
            _ => 0,
        };
        self.1.iter().map(large).sum()
    }

    fn overlay_page(
        source: &Source,
        inner: &Inner,
        command: CommandNumber,
        after: Option<&Key>,
        count_max: usize,
    ) -> Result<Vec<(Key, Patch<Self>)>, TxnError> {
        let (mut from, mut to) = (Bound::Unbounded, Bound::Unbounded);
        if let Some(key) = &source.range.from {
            from = Bound::Included(key);
        }
        if let Some(key) = &source.range.to {
            to = Bound::Excluded(key);
        }
        match (after, source.direction) {
            (Some(key), Direction::Forward) => from = Bound::Excluded(key),
            (Some(key), Direction::Reverse) => to = Bound::Excluded(key),
            (None, _) => {}
        }
        let reverse = source.direction == Direction::Reverse;
        let page = inner
            .state
            .lock()
            .buffer
            .rows_between(command, source.table, from, to, reverse, count_max)?;
        Ok(page
            .into_iter()
            .map(|(key, overlay)| (key, Patch::Row(overlay)))
            .collect())
    }

    fn chunk(
        source: &Source,
        shard: &Shard,
        range: (&[u8], &[u8]),
        at: Timestamp,
        count_max: usize,
    ) -> Result<Chunk<Self>, TxnError> {
        let snapshot = (at, source.columns.as_deref());
        shard.scan_rows(source.table, range, source.direction, snapshot, count_max)
    }

    async fn page(shard: RemoteShard, asker: Asker<'_>, page: PageAsk) -> Result<Chunk<Self>, TxnError> {
        shard.scan_rows(asker, page).await
    }

    fn patch(self, patch: Patch<Self>) -> Result<Option<Self>, TxnError> {
        match patch {
            Patch::Row(overlay) => Ok(overlay.over(Some(self.1))?.map(|row| (self.0, row))),
            Patch::Present(item) => Ok(Some(item)),
            Patch::Absent => Ok(None),
        }
    }

    fn made(order: Key, patch: Patch<Self>) -> Result<Option<Self>, TxnError> {
        match patch {
            Patch::Row(overlay) => Ok(overlay.over(None)?.map(|row| (order, row))),
            Patch::Present(item) => Ok(Some(item)),
            Patch::Absent => Ok(None),
        }
    }
}

impl Item for (Key, Key) {
    type Order = (Key, Key);

    fn order(&self) -> (Key, Key) {
        self.clone()
    }

    fn bytes(&self) -> usize {
        0
    }

    fn overlay_page(
        source: &Source,
        inner: &Inner,
        command: CommandNumber,
        after: Option<&(Key, Key)>,
        count_max: usize,
    ) -> Result<Vec<((Key, Key), Patch<Self>)>, TxnError> {
        let start = source.range.from.clone().map(|value| (value, Key::new()));
        let end = source.range.to.clone().map(|value| (value, Key::new()));
        let mut from = start.as_ref().map_or(Bound::Unbounded, Bound::Included);
        let mut to = end.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        match (after, source.direction) {
            (Some(entry), Direction::Forward) => from = Bound::Excluded(entry),
            (Some(entry), Direction::Reverse) => to = Bound::Excluded(entry),
            (None, _) => {}
        }
        let reverse = source.direction == Direction::Reverse;
        let index = source.index.unwrap_or_default();
        let page = inner
            .state
            .lock()
            .buffer
            .entries_between(command, index, from, to, reverse, count_max)?;
        let patch = |(value, row, present): (Key, Key, bool)| {
            let entry = (value, row);
            (
                entry.clone(),
                if present { Patch::Present(entry) } else { Patch::Absent },
            )
        };
        Ok(page.into_iter().map(patch).collect())
    }

    fn chunk(
        source: &Source,
        shard: &Shard,
        range: (&[u8], &[u8]),
        at: Timestamp,
        count_max: usize,
    ) -> Result<Chunk<Self>, TxnError> {
        shard.scan_entries(
            source.table,
            source.index.unwrap_or_default(),
            range,
            source.direction,
            at,
            count_max,
        )
    }

    async fn page(shard: RemoteShard, asker: Asker<'_>, page: PageAsk) -> Result<Chunk<Self>, TxnError> {
        shard.scan_entries(asker, page).await
    }

    fn patch(self, patch: Patch<Self>) -> Result<Option<Self>, TxnError> {
        Self::made((Key::new(), Key::new()), patch)
    }

    fn made(_: (Key, Key), patch: Patch<Self>) -> Result<Option<Self>, TxnError> {
        match patch {
            Patch::Present(entry) => Ok(Some(entry)),
            Patch::Row(_) | Patch::Absent => Ok(None),
        }
    }
}

/// The timestamp of a scan.
enum Drawn {
    /// Drawn when the scan was made.
    At(Result<Timestamp, TxnError>),
    /// To be asked for when it is read first.
    Not(At),
}

/// One shard's part of a scan.
struct Part<T> {
    /// A leader of this node is read on from when it leads no more: what is below the timestamp stays as it is.
    shard: ShardRef,
    /// What is left of the range.
    from: Bytes,
    to: Bytes,
    found: VecDeque<T>,
    is_done: bool,
}

impl<T> Part<T> {
    /// Takes what was read, and where to read on.
    fn take(&mut self, chunk: Chunk<T>, direction: Direction) {
        self.found = chunk.items.into();
        match (chunk.next, direction) {
            (Some(next), Direction::Forward) => self.from = next,
            (Some(next), Direction::Reverse) => self.to = next,
            (None, _) => self.is_done = true,
        }
    }
}

/// A scan on its way.
struct Scan<T: Item> {
    inner: Arc<Inner>,
    source: Source,
    /// The snapshot of the statement that made the scan; a cursor is read on by later ones.
    at: Drawn,
    is_started: bool,
    /// Version of the table that the statement was planned for.
    planned: Option<u64>,
    command: CommandNumber,
    parts: Vec<Part<T>>,
    own: VecDeque<(T::Order, Patch<T>)>,
    own_after: Option<T::Order>,
    own_is_done: bool,
    batch_count: usize,
}

impl<T: Item> Scan<T> {
    fn new(inner: Arc<Inner>, source: Source, at: At) -> Scan<T> {
        let (at, command) = {
            let mut state = inner.state.lock();
            // Drawn now, a timestamp is above everything proposed so far; what is below it is waited for (T3).
            let snapshot = inner.snapshot_at_once(&mut state);
            let drawn = match at {
                At::Snapshot => snapshot,
                At::Newest => snapshot.and_then(|_| inner.node.draw_at_once()),
            };
            state.open_scans += 1;
            (drawn.transpose().map_or(Drawn::Not(at), Drawn::At), state.command)
        };
        let (parts, own) = (Vec::new(), VecDeque::new());
        let batch_count = BATCH_COUNT_MIN;
        Scan {
            inner,
            source,
            at,
            is_started: false,
            planned: None,
            command,
            parts,
            own,
            own_after: None,
            own_is_done: false,
            batch_count,
        }
    }

    /// The timestamp it reads at.
    async fn timestamp(&mut self) -> Result<Timestamp, TxnError> {
        let drawn = match &self.at {
            Drawn::At(drawn) => return drawn.clone(),
            Drawn::Not(At::Snapshot) => self.inner.snapshot().await,
            // The snapshot keeps garbage collection away.
            Drawn::Not(At::Newest) => match self.inner.snapshot().await {
                Ok(_) => self.inner.node.draw().await,
                Err(error) => Err(error),
            },
        };
        self.at = Drawn::At(drawn.clone());
        drawn
    }

    /// Waits for what is on its way to the shards (T3).
    async fn start(&mut self, at: Timestamp) -> Result<(), TxnError> {
        let (hides_base, wrote_anything, planned) = {
            let state = self.inner.usable()?;
            let hides_base = match self.source.index {
                None => state.buffer.hides_rows(self.command, self.source.table),
                Some(index) => state.buffer.hides_entries(self.command, self.source.table, index),
            };
            let planned = state.planned_for(self.source.table);
            (hides_base, !state.buffer.is_empty(), planned)
        };
        self.own_is_done = !wrote_anything;
        if !hides_base {
            for id in self.inner.node.placement.table(self.source.table) {
                let (from, to) = (&self.source.from, &self.source.to);
                let shard = self.inner.node.leader(id);
                if let ShardRef::Local(shard) = &shard {
                    let table = (self.source.table, planned);
                    shard
                        .wait_to_scan(self.inner.asker(), table, self.source.index, (from, to), at)
                        .await?;
                }
                let (from, to) = (Bytes::copy_from_slice(from), Bytes::copy_from_slice(to));
                self.parts.push(Part {
                    shard,
                    from,
                    to,
                    found: VecDeque::new(),
                    is_done: false,
                });
            }
        }
        self.planned = planned;
        self.is_started = true;
        Ok(())
    }

    /// The next batch; empty at the end.
    async fn next(&mut self) -> Result<Vec<T>, TxnError> {
        self.inner.interrupt.check()?;
        // Nothing below waits while what is read lies in memory: other tasks of this thread must have their turn.
        tokio::task::consume_budget().await;
        let at = self.timestamp().await?;
        if !self.is_started {
            self.start(at).await?;
        }
        let mut batch: Vec<T> = Vec::with_capacity(self.batch_count);
        let (mut counted, mut bytes) = (0, 0);
        while batch.len() < self.batch_count {
            bytes += batch[counted..].iter().map(T::bytes).sum::<usize>();
            counted = batch.len();
            if bytes >= BATCH_BYTES_MAX {
                break;
            }
            self.refill(at).await?;
            let Some(part) = self.first_part() else {
                match self.own.pop_front() {
                    Some((order, patch)) => batch.extend(self.take_own(order, patch)?),
                    None => break,
                }
                continue;
            };
            let head = self.parts[part]
                .found
                .front()
                .expect("first_part names a part with a head")
                .order();
            match self.own.front() {
                Some((own, _)) if self.is_before(own, &head) => {
                    let (order, patch) = self.own.pop_front().expect("front was there");
                    batch.extend(self.take_own(order, patch)?);
                }
                Some((own, _)) if *own == head => {
                    let (_, patch) = self.own.pop_front().expect("front was there");
                    let item = self.parts[part].found.pop_front().expect("head was there");
                    batch.extend(item.patch(patch)?);
                }
                _ => batch.extend(self.parts[part].found.pop_front()),
            }
        }
        self.batch_count = (self.batch_count * 2).min(BATCH_COUNT_MAX);
        Ok(batch)
    }

    fn take_own(&self, order: T::Order, patch: Patch<T>) -> Result<Option<T>, TxnError> {
        T::made(order, patch)
    }

    fn is_before(&self, left: &T::Order, right: &T::Order) -> bool {
        match self.source.direction {
            Direction::Forward => left < right,
            Direction::Reverse => left > right,
        }
    }

    /// Reads on where a part or the own writes ran dry.
    async fn refill(&mut self, at: Timestamp) -> Result<(), TxnError> {
        let mut is_elsewhere = false;
        for part in &mut self.parts {
            while part.found.is_empty() && !part.is_done {
                let ShardRef::Local(shard) = &part.shard else {
                    is_elsewhere = true;
                    break;
                };
                let chunk = T::chunk(&self.source, shard, (&part.from, &part.to), at, self.batch_count)?;
                part.take(chunk, self.source.direction);
            }
        }
        if is_elsewhere {
            self.refill_elsewhere(at).boxed().await?;
        }
        if self.own.is_empty() && !self.own_is_done {
            let after = self.own_after.as_ref();
            let page = T::overlay_page(&self.source, &self.inner, self.command, after, BATCH_COUNT_MAX)?;
            self.own_is_done = page.len() < BATCH_COUNT_MAX;
            self.own_after = page.last().map(|(order, _)| order.clone());
            self.own = page.into();
        }
        Ok(())
    }

    /// As [`Self::refill`], of shards on other nodes: all that ran dry at once.
    async fn refill_elsewhere(&mut self, at: Timestamp) -> Result<(), TxnError> {
        let source = &self.source;
        let mut ask = page(self.inner.owner, (source.table, self.planned), source.index);
        ask.is_reverse = source.direction == Direction::Reverse;
        ask.at = at;
        ask.columns = source.columns.as_deref().map(<[u16]>::to_vec);
        ask.count_max = self.batch_count as u32;
        loop {
            let is_dry = |part: &&mut Part<T>| part.found.is_empty() && !part.is_done;
            let asked = self.parts.iter_mut().filter(is_dry).filter_map(|part| {
                let ShardRef::Remote(shard) = part.shard.clone() else {
                    return None;
                };
                let mut ask = ask.clone();
                (ask.from, ask.to) = (part.from.clone(), part.to.clone());
                let asker = self.inner.asker();
                Some(async move { (T::page(shard, asker, ask).await, part) })
            });
            let answered = futures::future::join_all(asked).await;
            if answered.is_empty() {
                return Ok(());
            }
            for (chunk, part) in answered {
                part.take(chunk?, source.direction);
            }
        }
    }

    /// The part whose head comes first.
    fn first_part(&self) -> Option<usize> {
        let mut first: Option<(usize, T::Order)> = None;
        for (index, part) in self.parts.iter().enumerate() {
            let Some(head) = part.found.front() else { continue };
            let order = head.order();
            if first.as_ref().is_none_or(|(_, best)| self.is_before(&order, best)) {
                first = Some((index, order));
            }
        }
        first.map(|(index, _)| index)
    }
}

impl<T: Item> Drop for Scan<T> {
    fn drop(&mut self) {
        self.inner.state.lock().open_scans -= 1;
    }
}

fn stream<T: Item>(scan: Scan<T>) -> futures::stream::BoxStream<'static, Result<Vec<T>, TxnError>> {
    let batches = try_unfold(scan, |mut scan| async move {
        let batch = scan.next().await?;
        Ok(if batch.is_empty() { None } else { Some((batch, scan)) })
    });
    batches.boxed()
}

/// Rows in key order, of these columns (`None` is all).
pub(crate) fn rows(
    inner: Arc<Inner>,
    (table, columns): (TableId, Option<Arc<[u16]>>),
    range: KeyRange,
    reverse: bool,
    at: At,
) -> RowStream {
    let (from, to) = mvcc::row_range(table, range.from.as_deref(), range.to.as_deref());
    let source = Source {
        table,
        index: None,
        from,
        to,
        range,
        direction: direction(reverse),
        columns,
    };
    stream(Scan::<(Key, Row)>::new(inner, source, at))
}

/// Entries of an index (table, index, whether it is global) in value order.
pub(crate) fn entries(
    inner: Arc<Inner>,
    (table, index, _global): (TableId, IndexId, bool),
    range: KeyRange,
    reverse: bool,
    at: At,
) -> EntryStream {
    let (from, to) = mvcc::entry_range(index, range.from.as_deref(), range.to.as_deref());
    let direction = direction(reverse);
    let source = Source {
        table,
        index: Some(index),
        from,
        to,
        range,
        direction,
        columns: None,
    };
    stream(Scan::<(Key, Key)>::new(inner, source, at))
}

fn direction(reverse: bool) -> Direction {
    if reverse {
        Direction::Reverse
    } else {
        Direction::Forward
    }
}
