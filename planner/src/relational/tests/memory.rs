//! A source whose tables are in memory, with the indexes that their relations declare.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::{StreamExt, stream};
use parking_lot::Mutex;
use storage::key::encode_columns;
use storage::{Datum, Path, Row};
use txn::transaction::{EntryStream, RowStream};
use txn::{IndexId, Isolation, Key, KeyRange, LockRequest, LockWait, LockedRow, TableId};

use crate::SqlResult;
use crate::Type;
use crate::catalog::{Column, Index, IndexKey, IndexSource, Relation, RelationKind, SystemRows};
use crate::eval::SessionView;
use crate::relational::RowSource;
use crate::relational::access::{key_orders, key_value};

/// Tables in memory.
#[derive(Default)]
pub struct MemorySource {
    tables: Mutex<BTreeMap<TableId, BTreeMap<Key, Row>>>,
    entries: Mutex<BTreeMap<IndexId, BTreeSet<(Key, Key)>>>,
    pub rows_read: AtomicUsize,
}

impl MemorySource {
    /// Adds rows to a table.
    pub fn insert(&self, relation: &Relation, rows: Vec<Row>) {
        let mut tables = self.tables.lock();
        let table = tables.entry(relation.id).or_default();
        for row in rows {
            let key = match relation.primary_key() {
                Some(index) => index_value(index, &row),
                None => Key::from((table.len() as u64).to_be_bytes().to_vec()),
            };
            for index in relation.indexes.iter().filter(|index| !index.primary) {
                let entry = (index_value(index, &row), key.clone());
                self.entries.lock().entry(index.id).or_default().insert(entry);
            }
            table.insert(key, row);
        }
    }
}

fn index_value(index: &Index, row: &Row) -> Key {
    let values: Vec<Datum> = index
        .keys
        .iter()
        .map(|key| match key.source {
            IndexSource::Column(position) => key_value(row[position as usize].clone(), key.ty).unwrap_or(Datum::Null),
            IndexSource::Expression(_) => Datum::Null,
        })
        .collect();
    Key::from(encode_columns(&values, &key_orders(index)).expect("short keys"))
}

fn is_within(key: &Key, range: &KeyRange) -> bool {
    range.from.as_ref().is_none_or(|from| key >= from) && range.to.as_ref().is_none_or(|to| key < to)
}

#[async_trait]
impl RowSource for MemorySource {
    fn scan(&self, table: TableId, _: Option<&Arc<[u16]>>, range: KeyRange, _: bool) -> RowStream {
        let tables = self.tables.lock();
        let rows: Vec<(Key, Row)> = tables
            .get(&table)
            .into_iter()
            .flatten()
            .filter(|(key, _)| is_within(key, &range))
            .map(|(key, row)| (key.clone(), row.clone()))
            .collect();
        self.rows_read.fetch_add(rows.len(), Ordering::Relaxed);
        let batches: Vec<_> = rows.chunks(1024).map(|rows| Ok(rows.to_vec())).collect();
        stream::iter(batches).boxed()
    }

    fn scan_index(&self, _: TableId, index: IndexId, _: bool, range: KeyRange, _: bool) -> EntryStream {
        let entries = self.entries.lock();
        let found: Vec<(Key, Key)> = entries
            .get(&index)
            .into_iter()
            .flatten()
            .filter(|(value, _)| is_within(value, &range))
            .cloned()
            .collect();
        stream::iter([Ok(found)]).boxed()
    }

    async fn get(&self, table: TableId, key: &Key) -> SqlResult<Option<Row>> {
        self.rows_read.fetch_add(1, Ordering::Relaxed);
        Ok(self.tables.lock().get(&table).and_then(|rows| rows.get(key).cloned()))
    }

    async fn system_rows(&self, _: &Relation) -> SqlResult<SystemRows> {
        Ok(Vec::new())
    }

    async fn lock(&self, _: Vec<LockRequest>, _: LockWait) -> SqlResult<bool> {
        Ok(true)
    }

    async fn read_locked(&self, table: TableId, key: &Key, _: &[Path]) -> SqlResult<LockedRow> {
        Ok(LockedRow {
            row: self.get(table, key).await?,
            ..LockedRow::default()
        })
    }

    fn isolation(&self) -> Isolation {
        Isolation::ReadCommitted
    }
}

/// A session with PostgreSQL's defaults.
pub struct TestSession;

impl SessionView for TestSession {
    fn setting(&self, name: &str) -> Option<String> {
        (name.eq_ignore_ascii_case("TimeZone")).then(|| "UTC".to_owned())
    }

    fn current_database(&self) -> String {
        "cambium".to_owned()
    }

    fn current_user(&self) -> String {
        "cambium".to_owned()
    }
}

/// A table whose first column is its primary key and whose second has an index.
pub fn relation(id: u32, name: &str, columns: &[(&str, Type)]) -> Relation {
    let column = |(name, ty): &(&str, Type)| Column::new((*name).to_string(), *ty);
    let index = |id: u32, position: u16, primary: bool| Index {
        id,
        name: format!("{name}_{position}"),
        unique: primary,
        primary,
        deferrable: false,
        nulls_not_distinct: false,
        keys: vec![IndexKey {
            source: IndexSource::Column(position),
            ty: columns[position as usize].1,
            descending: false,
            nulls_first: false,
        }],
        include: Vec::new(),
        predicate: None,
        comment: None,
        origin: Default::default(),
    };
    Relation {
        id,
        schema: 2200,
        name: name.to_owned(),
        kind: RelationKind::Table,
        owner: 10,
        columns: columns.iter().map(column).collect(),
        constraints: Vec::new(),
        indexes: vec![index(id + 1, 0, true), index(id + 2, 1, false)],
        view: None,
        check_option: None,
        sequence: None,
        comment: None,
        on_commit: Default::default(),
        family: Default::default(),
        version: 1,
    }
}
