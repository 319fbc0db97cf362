//! What the engine promises, each promise by its name.

use super::{Batch, Durability, Engine, EngineError, EngineOptions};

fn small() -> EngineOptions {
    EngineOptions {
        block_cache_bytes: 8 << 20,
        write_buffers_bytes: 16 << 20,
        ..EngineOptions::default()
    }
}

fn put(engine: &Engine, shard: u64, key: &str, value: &str) {
    let family = engine.family(shard).unwrap();
    let mut batch = Batch::new();
    batch.put(&family, key.as_bytes(), value.as_bytes());
    engine.write(batch, Durability::Replayed).unwrap();
}

fn get(engine: &Engine, shard: u64, key: &str) -> Option<String> {
    let view = engine.family(shard).unwrap().newest();
    view.get(key.as_bytes())
        .unwrap()
        .map(|value| String::from_utf8(value.to_vec()).unwrap())
}

#[test]
fn a_directory_is_open_once() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Engine::open(directory.path(), small()).unwrap();
    match Engine::open(directory.path(), small()) {
        Err(EngineError::InUse { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
        other => panic!("opened twice: {:?}", other.err()),
    }
    drop(engine);
    Engine::open(directory.path(), small()).unwrap();
}

#[test]
fn a_view_keeps_the_directory_in_use() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Engine::open(directory.path(), small()).unwrap();
    let view = engine.family(1).unwrap().newest();
    drop(engine);
    assert!(matches!(
        Engine::open(directory.path(), small()),
        Err(EngineError::InUse { .. })
    ));
    drop(view);
    Engine::open(directory.path(), small()).unwrap();
}

#[test]
fn an_older_format_is_read_and_from_then_on_the_present_one() {
    let directory = tempfile::tempdir().unwrap();
    drop(Engine::open(directory.path(), small()).unwrap());
    let version = directory.path().join("VERSION");
    let present = std::fs::read_to_string(&version).unwrap();
    std::fs::write(&version, "cambium 1\n").unwrap();
    drop(Engine::open(directory.path(), small()).unwrap());
    assert_eq!(std::fs::read_to_string(&version).unwrap(), present);
}

#[test]
fn a_newer_format_is_refused_and_untouched() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("VERSION"), "cambium 99\n").unwrap();
    match Engine::open(directory.path(), small()) {
        Err(EngineError::NewerFormat { found, .. }) => assert_eq!(found, 99),
        other => panic!("opened: {:?}", other.err()),
    }
    assert!(!directory.path().join("db").exists());
}

#[test]
fn a_directory_of_somebody_else_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("thesis.tex"), "…").unwrap();
    assert!(matches!(
        Engine::open(directory.path(), small()),
        Err(EngineError::NotADataDirectory { .. })
    ));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn replayed_writes_are_lost_unless_flushed_and_logged_ones_are_not() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Engine::open(directory.path(), small()).unwrap();
    put(&engine, 1, "a", "flushed");
    engine.flush(&engine.family(1).unwrap()).unwrap();
    put(&engine, 1, "b", "not flushed");
    let mut batch = Batch::new();
    batch.put(engine.log(), b"c", b"logged");
    engine.write(batch, Durability::Logged).unwrap();
    engine.sync_log().unwrap();
    // A crash: the files as they are now, opened as another directory.
    let copy = tempfile::tempdir().unwrap();
    copy_directory(directory.path(), copy.path());
    let after = Engine::open(copy.path(), small()).unwrap();
    assert_eq!(get(&after, 1, "a").as_deref(), Some("flushed"));
    assert_eq!(get(&after, 1, "b"), None);
    assert_eq!(after.log().newest().get(b"c").unwrap().as_deref(), Some(&b"logged"[..]));
}

fn copy_directory(from: &std::path::Path, to: &std::path::Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy_directory(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_switched_family_replaces_the_old_one_and_a_staged_one_is_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Engine::open(directory.path(), small()).unwrap();
    put(&engine, 7, "k", "old");
    let old = engine.family(7).unwrap();
    let staged = engine.stage_family(7).unwrap();
    let mut batch = Batch::new();
    batch.put(&staged, b"k", b"new");
    engine.write(batch, Durability::Replayed).unwrap();
    assert_eq!(get(&engine, 7, "k").as_deref(), Some("old"));
    engine.switch_family(&staged).unwrap();
    assert_eq!(get(&engine, 7, "k").as_deref(), Some("new"));
    assert_eq!(
        old.newest().get(b"k").unwrap().as_deref(),
        Some(&b"old"[..]),
        "readers of the old family go on"
    );
    // Staged, filled, never switched.
    let abandoned = engine.stage_family(7).unwrap();
    let mut batch = Batch::new();
    batch.put(&abandoned, b"k", b"abandoned");
    engine.write(batch, Durability::Replayed).unwrap();
    engine.flush(&abandoned).unwrap();
    drop((old, staged, abandoned, engine));
    let engine = Engine::open(directory.path(), small()).unwrap();
    assert_eq!(get(&engine, 7, "k").as_deref(), Some("new"));
    assert_eq!(engine.shards().unwrap(), vec![7]);
    assert_eq!(engine.family(7).unwrap().shard(), Some((7, 2)));
}

#[test]
fn a_dropped_family_is_empty_when_it_is_made_again() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Engine::open(directory.path(), small()).unwrap();
    put(&engine, 3, "k", "v");
    engine.drop_family(3).unwrap();
    assert!(engine.shards().unwrap().is_empty());
    assert_eq!(get(&engine, 3, "k"), None);
}

#[test]
fn cursors_walk_both_ways_within_their_bounds() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Engine::open(directory.path(), small()).unwrap();
    for key in ["a", "b", "c", "d"] {
        put(&engine, 1, key, key);
    }
    let view = engine.family(1).unwrap().newest();
    let mut cursor = view.cursor(Some(b"b"), Some(b"d")).unwrap();
    let mut keys = String::new();
    cursor.seek_to_first();
    while let Some(key) = cursor.key() {
        keys.push_str(std::str::from_utf8(key).unwrap());
        cursor.next();
    }
    cursor.seek_back(b"zzz");
    while let Some(key) = cursor.key() {
        keys.push_str(std::str::from_utf8(key).unwrap());
        cursor.prev();
    }
    cursor.status().unwrap();
    assert_eq!(keys, "bccb");
}

#[test]
fn a_snapshot_does_not_see_later_writes() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Engine::open(directory.path(), small()).unwrap();
    put(&engine, 1, "k", "before");
    let view = engine.family(1).unwrap().at(&engine.snapshot());
    put(&engine, 1, "k", "after");
    put(&engine, 1, "l", "after");
    assert_eq!(view.get(b"k").unwrap().as_deref(), Some(&b"before"[..]));
    let mut cursor = view.cursor(None, None).unwrap();
    cursor.seek_to_last();
    assert_eq!(cursor.item(), Some((&b"k"[..], &b"before"[..])));
}

#[test]
fn exported_files_carry_a_family_to_another_engine() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let source = Engine::open(from.path(), small()).unwrap();
    for number in 0..100 {
        put(&source, 1, &format!("key{number:03}"), &"x".repeat(100));
    }
    let view = source.family(1).unwrap().at(&source.snapshot());
    put(&source, 1, "key000", "changed after the snapshot");
    let target = Engine::open(to.path(), small()).unwrap();
    let files = source.export(&view, &target.tmp().join("in"), 2_000).unwrap();
    assert!(files.len() > 3);
    let staged = target.stage_family(1).unwrap();
    target.ingest(&staged, files).unwrap();
    target.switch_family(&staged).unwrap();
    drop((staged, target));
    let target = Engine::open(to.path(), small()).unwrap();
    assert_eq!(get(&target, 1, "key000"), Some("x".repeat(100)));
    assert_eq!(get(&target, 1, "key099"), Some("x".repeat(100)));
    assert_eq!(get(&target, 1, "key100"), None);
}

#[test]
fn the_reserve_is_compared_with_the_space_left() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Engine::open(directory.path(), small()).unwrap();
    assert!(engine.free_bytes().unwrap() > 0);
    drop(engine);
    let options = EngineOptions {
        free_space_reserve_bytes: u64::MAX,
        ..small()
    };
    assert!(Engine::open(directory.path(), options).unwrap().below_reserve());
}

#[test]
fn a_full_device_is_told_apart_from_a_broken_one() {
    assert!(EngineError::file("x".as_ref(), std::io::Error::from_raw_os_error(28)).is_retryable());
    assert!(!EngineError::file("x".as_ref(), std::io::Error::from_raw_os_error(5)).is_retryable());
}

#[test]
fn counters_tell_log_from_state() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Engine::open(directory.path(), small()).unwrap();
    engine.family(1).unwrap();
    let before = engine.stats();
    put(&engine, 1, "k", &"v".repeat(1000));
    engine.sync_log().unwrap();
    let after = engine.stats();
    assert!(after.state_bytes - before.state_bytes >= 1000);
    assert_eq!(after.log_bytes, before.log_bytes);
    assert_eq!(after.syncs, before.syncs + 1);
}

#[test]
#[ignore = "a measurement"]
fn point_reads_per_second() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Engine::open(directory.path(), EngineOptions::default()).unwrap();
    let family = engine.family(1).unwrap();
    let key = |number: u64| {
        let mut key = b"r\0\0\0\x01".to_vec();
        key.extend_from_slice(&(number.wrapping_mul(0x9E37_79B9_7F4A_7C15)).to_be_bytes());
        key.extend_from_slice(&(!7u64).to_be_bytes());
        key
    };
    let count = 200_000;
    for number in 0..count {
        let mut batch = Batch::new();
        batch.put(&family, &key(number), &[7; 100]);
        engine.write(batch, Durability::Replayed).unwrap();
    }
    for is_flushed in [false, true] {
        if is_flushed {
            engine.flush(&family).unwrap();
        }
        let view = family.newest();
        let time = |what: &str, read: &dyn Fn(u64)| {
            let started = std::time::Instant::now();
            for number in 0..100_000 {
                read((number * 31) % count);
            }
            println!("flushed {is_flushed}: {what} {:?}", started.elapsed() / 100_000);
        };
        time("get", &|number| assert!(view.get(&key(number)).unwrap().is_some()));
        time("cursor", &|number| {
            let key = key(number);
            let mut cursor = view.cursor(Some(&key[..13]), None).unwrap();
            cursor.seek(&key);
            assert!(cursor.valid());
        });
        let cursor = std::cell::RefCell::new(view.cursor(None, None).unwrap());
        time("seek of a cursor kept", &|number| {
            let mut cursor = cursor.borrow_mut();
            cursor.seek(&key(number));
            assert!(cursor.valid());
        });
    }
}
