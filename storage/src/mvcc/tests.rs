//! Versions as reads see them, against a model that keeps every state.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::engine::{Batch, Durability, Family};
use crate::version::{ValueRef, Version};
use crate::{Datum, Engine, EngineOptions, Path, PathOp, Row, StorageError, StorageResult};

const TABLE: u32 = 7;

struct Store {
    engine: std::sync::Arc<Engine>,
    family: Family,
    _directory: tempfile::TempDir,
}

impl Store {
    fn new() -> Store {
        let directory = tempfile::tempdir().unwrap();
        let options = EngineOptions {
            block_cache_bytes: 1 << 20,
            write_buffers_bytes: 4 << 20,
            ..Default::default()
        };
        let engine = Engine::open(directory.path(), options).unwrap();
        let family = engine.family(1).unwrap();
        Store {
            engine,
            family,
            _directory: directory,
        }
    }

    fn put(&self, key: &[u8], timestamp: u64, version: &[u8]) {
        let mut batch = Batch::new();
        batch.put(&self.family, &version_key(key, timestamp), version);
        self.engine.write(batch, Durability::Replayed).unwrap();
    }

    fn collect(&self, key: &[u8], safe_point: u64, hidden_below: u64) -> usize {
        let garbage = collect_key(&self.family.newest(), key, safe_point, hidden_below).unwrap();
        let mut batch = Batch::new();
        for key in &garbage {
            batch.delete(&self.family, key);
        }
        self.engine.write(batch, Durability::Replayed).unwrap();
        garbage.len()
    }

    fn at(&self, key: &[u8], at: u64) -> Option<Row> {
        row_at(&self.family.newest(), key, at, 0, Wanted::default())
            .unwrap()
            .row
    }
}

fn full(values: &[i32]) -> Vec<u8> {
    Version::encode_full(&row(values))
}

fn row(values: &[i32]) -> Row {
    values.iter().map(|value| Datum::Int4(*value)).collect()
}

fn snapshot(at: u64) -> Snapshot<'static> {
    Snapshot {
        at,
        hidden_below: 0,
        columns: None,
    }
}

fn delta(column: u16, value: i32) -> Vec<u8> {
    Version::encode_delta(&[PathOp::set_column(column, Datum::Int4(value))])
}

#[test]
fn a_read_folds_what_is_at_or_below_its_timestamp() {
    let store = Store::new();
    let key = row_key(TABLE, b"k");
    store.put(&key, 40, &full(&[1, 2]));
    store.put(&key, 70, &delta(0, 10));
    store.put(&key, 90, &delta(1, 20));
    store.put(&key, 95, &Version::encode_tombstone());
    store.put(&row_key(TABLE, b"l"), 50, &full(&[5, 5]));
    for (at, expected) in [
        (39, None),
        (40, Some([1, 2])),
        (80, Some([10, 2])),
        (90, Some([10, 20])),
        (94, Some([10, 20])),
        (95, None),
    ] {
        assert_eq!(store.at(&key, at), expected.map(|values| row(&values)), "at {at}");
    }
    let state = row_at(&store.family.newest(), &key, 92, 0, Wanted::default()).unwrap();
    assert_eq!((state.newest, state.chain.deltas), (90, 2));
}

#[test]
fn a_locked_read_sees_what_is_not_applied_yet_and_counts_what_is_applied_meanwhile_once() {
    let store = Store::new();
    let key = row_key(TABLE, b"k");
    store.put(&key, 40, &full(&[1, 2]));
    let add = |by: i64| {
        let action = crate::Action::Add(crate::Numeric::from_i64(by));
        Bytes::from(Version::encode_delta(&[PathOp {
            path: Path::column(0),
            action,
        }]))
    };
    let unapplied = [(50, add(10)), (60, add(100))].map(|(timestamp, version)| Unapplied {
        timestamp,
        sequence: 1,
        version,
    });
    let newest =
        |unapplied: &[Unapplied]| newest_row(&store.family.newest(), &key, 0, unapplied, Wanted::default()).unwrap();
    assert_eq!(newest(&unapplied).row, Some(row(&[111, 2])));
    store.put(&key, 50, &add(10));
    assert_eq!(newest(&unapplied).row, Some(row(&[111, 2])), "50 is in both");
    store.put(&key, 60, &add(100));
    assert_eq!(newest(&unapplied).row, Some(row(&[111, 2])));
    let deleted = [Unapplied {
        timestamp: 70,
        sequence: 2,
        version: Version::encode_tombstone().into(),
    }];
    assert_eq!(newest(&deleted).row, None);
    assert_eq!(newest(&deleted).newest, 70);
}

#[test]
fn consolidation_changes_no_read_and_keeps_the_changed_paths() {
    let store = Store::new();
    let key = row_key(TABLE, b"k");
    store.put(&key, 10, &full(&[1, 1]));
    for step in 1..20 {
        store.put(&key, 10 + step, &delta((step % 2) as u16, step as i32));
    }
    let before: Vec<_> = (9..32).map(|at| store.at(&key, at)).collect();
    let view = store.family.newest();
    let (versioned, version) = consolidate(&view, &key, 0, &[]).unwrap().unwrap();
    let mut batch = Batch::new();
    batch.put(&store.family, &versioned, &version);
    store.engine.write(batch, Durability::Replayed).unwrap();
    let after: Vec<_> = (9..32).map(|at| store.at(&key, at)).collect();
    assert_eq!(before, after);
    let state = row_at(&store.family.newest(), &key, u64::MAX, 0, Wanted::default()).unwrap();
    assert_eq!(state.chain.deltas, 0);
    assert!(
        consolidate(&store.family.newest(), &key, 0, &[]).unwrap().is_none(),
        "there is nothing left to do"
    );
    let changes = |since| changes_since(&store.family.newest(), &key, since, 0, &[], Asked::All).unwrap();
    assert_eq!(changes(28), Changes::Paths(vec![Path::column(1)]));
    assert_eq!(changes(27), Changes::Paths(vec![Path::column(1), Path::column(0)]));
    assert_eq!(changes(29), Changes::Nothing);
    assert_eq!(changes(9), Changes::Everything);
    // The next delta stands on the consolidated version; all below it is garbage once the safe point is there.
    store.put(&key, 40, &delta(0, 7));
    assert_eq!(store.at(&key, 40), Some(row(&[7, 19])));
    assert_eq!(store.collect(&key, 35, 0), 19);
    assert_eq!(store.at(&key, 35), before[22]);
    check_family(&store.family.newest(), 35).unwrap();
}

#[test]
fn a_scan_decodes_the_columns_it_is_asked_for() {
    let store = Store::new();
    store.put(&row_key(TABLE, b"k"), 10, &full(&[1, 2, 3]));
    store.put(&row_key(TABLE, b"l"), 10, &full(&[4]));
    let (from, to) = row_range(TABLE, None, None);
    let scan = |columns: &[u16]| {
        let snapshot = Snapshot {
            columns: Some(columns),
            ..snapshot(10)
        };
        let chunk = scan_rows(&store.family.newest(), (&from, &to), Direction::Forward, snapshot, 10).unwrap();
        chunk.items.into_iter().map(|(_, row)| row).collect::<Vec<_>>()
    };
    assert_eq!(scan(&[1]), [vec![Datum::Null, Datum::Int4(2)], vec![Datum::Null]]);
    assert_eq!(
        scan(&[0, 2]),
        [vec![Datum::Int4(1), Datum::Null, Datum::Int4(3)], row(&[4])]
    );
    assert_eq!(scan(&[]), [row(&[]), row(&[])]);
    // A row in deltas is folded as a whole.
    store.put(&row_key(TABLE, b"l"), 11, &delta(0, 5));
    assert_eq!(scan(&[0])[1], row(&[4]), "11 is above the snapshot");
}

#[test]
fn entries_come_and_go_with_timestamps() {
    let store = Store::new();
    for (value, name, timestamp, present) in [
        (b"a", b"1", 10, true),
        (b"a", b"2", 20, true),
        (b"b", b"1", 30, true),
        (b"a", b"1", 30, false),
    ] {
        store.put(&entry_key(TABLE, value, name), timestamp, encode_entry(present));
    }
    let (from, to) = entry_range(TABLE, None, None);
    let scan = |at, direction| {
        let chunk = scan_entries(&store.family.newest(), (&from, &to), direction, at, 0, 100).unwrap();
        chunk
            .items
            .iter()
            .map(|(value, name)| format!("{value:?}{name:?}").replace(['b', '"'], ""))
            .collect::<Vec<_>>()
    };
    assert_eq!(scan(10, Direction::Forward), ["a1"]);
    assert_eq!(scan(20, Direction::Forward), ["a1", "a2"]);
    assert_eq!(scan(30, Direction::Forward), ["a2", "1"]);
    assert_eq!(scan(30, Direction::Reverse), ["1", "a2"]);
    let (from, to) = value_range(TABLE, b"a");
    let unapplied = vec![(
        Bytes::from(entry_key(TABLE, b"a", b"3")),
        vec![Unapplied {
            timestamp: 40,
            sequence: 1,
            version: Bytes::from_static(encode_entry(true)),
        }],
    )];
    let newest = newest_entries(&store.family.newest(), (&from, &to), 0, &unapplied).unwrap();
    assert_eq!(newest, [&b"2"[..], b"3"]);
    let key = entry_key(TABLE, b"a", b"1");
    assert_eq!(store.collect(&key, 29, 0), 0, "still there at 29");
    assert_eq!(store.collect(&key, 30, 0), 2, "a removed entry leaves nothing");
}

#[test]
fn garbage_is_found_by_a_scan_that_goes_in_steps() {
    let store = Store::new();
    let mut expected = Vec::new();
    for number in 0..50u32 {
        let key = row_key(TABLE, &number.to_be_bytes());
        store.put(&key, 10, &full(&[1]));
        match number % 3 {
            0 => {
                store.put(&key, 20, &full(&[2]));
                expected.push(key);
            }
            1 => {
                store.put(&key, 20, &Version::encode_tombstone());
                expected.push(key);
            }
            _ => {}
        }
    }
    for step in [1, 7, 1000] {
        let mut found = Vec::new();
        let mut from = Bytes::new();
        loop {
            let (keys, next) = keys_with_garbage(&store.family.newest(), &from, 30, step).unwrap();
            found.extend(keys);
            match next {
                Some(next) => from = next,
                None => break,
            }
        }
        assert_eq!(found, expected, "in steps of {step}");
    }
    let (found, _) = keys_with_garbage(&store.family.newest(), &[], 30, 1000).unwrap();
    assert_eq!(found, expected);
    assert!(
        keys_with_garbage(&store.family.newest(), &[], 15, 1000)
            .unwrap()
            .0
            .is_empty()
    );
}

/// One change of a random history.
#[derive(Clone, Debug)]
enum Change {
    Put(i32),
    Set(u16, i32),
    Delete,
    Consolidate,
}

fn changes() -> impl Strategy<Value = Vec<(u8, Change)>> {
    let change = prop_oneof![
        2 => any::<i32>().prop_map(Change::Put),
        5 => (0..3u16, any::<i32>()).prop_map(|(column, value)| Change::Set(column, value)),
        1 => Just(Change::Delete),
        1 => Just(Change::Consolidate),
    ];
    prop::collection::vec((0..4u8, change), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..Default::default() })]

    /// Whatever the history, every read at every timestamp sees what a model saw, forward, backward and by key, before and
    /// after garbage collection.
    #[test]
    fn reads_see_the_state_of_their_timestamp(history in changes(), safe_point in 0..70u64, chunk in 1..5usize) {
        let store = Store::new();
        let mut states: Vec<BTreeMap<u8, Row>> = vec![BTreeMap::new()];
        for (index, (name, change)) in history.iter().enumerate() {
            let timestamp = index as u64 + 1;
            let key = row_key(TABLE, &[*name]);
            let mut state = states[index].clone();
            match change {
                Change::Put(value) => {
                    store.put(&key, timestamp, &full(&[*value, 0, 0]));
                    state.insert(*name, row(&[*value, 0, 0]));
                }
                Change::Set(column, value) => {
                    if let Some(row) = state.get_mut(name) {
                        store.put(&key, timestamp, &delta(*column, *value));
                        row[usize::from(*column)] = Datum::Int4(*value);
                    }
                }
                Change::Delete => {
                    if state.remove(name).is_some() {
                        store.put(&key, timestamp, &Version::encode_tombstone());
                    }
                }
                Change::Consolidate => {
                    if let Some((key, version)) = consolidate(&store.family.newest(), &key, 0, &[]).unwrap() {
                        let mut batch = Batch::new();
                        batch.put(&store.family, &key, &version);
                        store.engine.write(batch, Durability::Replayed).unwrap();
                    }
                }
            }
            states.push(state);
        }
        let check = |from: u64| -> Result<(), TestCaseError> {
            for (at, state) in states.iter().enumerate().filter(|(at, _)| *at as u64 >= from) {
                let expected: Vec<(Bytes, Row)> = state
                    .iter()
                    .map(|(name, row)| (Bytes::copy_from_slice(&[*name]), row.clone()))
                    .collect();
                for name in 0..4u8 {
                    prop_assert_eq!(store.at(&row_key(TABLE, &[name]), at as u64), state.get(&name).cloned());
                }
                for direction in [Direction::Forward, Direction::Reverse] {
                    let (from, to) = row_range(TABLE, None, None);
                    let (mut from, mut to) = (Bytes::from(from), Bytes::from(to));
                    let mut found = Vec::new();
                    loop {
                        let view = store.family.newest();
                        let part = scan_rows(&view, (&from, &to), direction, snapshot(at as u64), chunk).unwrap();
                        found.extend(part.items);
                        match (part.next, direction) {
                            (Some(next), Direction::Forward) => from = next,
                            (Some(next), Direction::Reverse) => to = next,
                            (None, _) => break,
                        }
                    }
                    if direction == Direction::Reverse {
                        found.reverse();
                    }
                    prop_assert_eq!(&found, &expected);
                }
                let (from, to) = row_range(TABLE, None, None);
                let (mut from, mut visited) = (Bytes::from(from), Vec::new());
                loop {
                    let next = visit_rows(&store.family.newest(), (&from, &to), (at as u64, 0), chunk, &mut |key, row| {
                        let columns = (0..).map_while(|index| row.column(index).transpose());
                        let columns = columns.map(|value| Ok(format!("{:?}", value?)));
                        visited.push((Bytes::copy_from_slice(key), columns.collect::<StorageResult<Vec<_>>>()?));
                        Ok::<(), StorageError>(())
                    });
                    match next.unwrap() {
                        Some(next) => from = next,
                        None => break,
                    }
                }
                let columns = |row: &Row| row.iter().map(|value| format!("{:?}", ValueRef::from(value))).collect();
                let expected: Vec<_> = expected.iter().map(|(key, row)| (key.clone(), columns(row))).collect();
                prop_assert_eq!(visited, expected);
            }
            Ok(())
        };
        check(0)?;
        for name in 0..4u8 {
            store.collect(&row_key(TABLE, &[name]), safe_point, 0);
        }
        check(safe_point)?;
        for name in 0..4u8 {
            prop_assert_eq!(store.collect(&row_key(TABLE, &[name]), safe_point, 0), 0, "garbage is collected at once");
        }
        check_family(&store.family.newest(), safe_point).map_err(TestCaseError::fail)?;
    }
}
