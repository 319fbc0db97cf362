//! A buffer that sets its writes aside again and again is the same as one that never does.

use proptest::prelude::*;
use storage::{Jsonb, Path};

use super::*;

const TABLE: TableId = 20000;
const INDEX: IndexId = 20001;

#[derive(Clone, Debug)]
enum Step {
    Put(u8, i32),
    Change(u8, i32),
    Delete(u8),
    Move(u8, u8),
    Entry(u8, u8, bool),
    Clear,
    NextCommand,
    Mark,
    RollBack,
    SetAside,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..12_u8, any::<i32>()).prop_map(|(key, value)| Step::Put(key, value)),
        3 => (0..12_u8, any::<i32>()).prop_map(|(key, value)| Step::Change(key, value)),
        2 => (0..12_u8).prop_map(Step::Delete),
        1 => (0..12_u8, 0..12_u8).prop_map(|(key, to)| Step::Move(key, to)),
        4 => (0..4_u8, 0..12_u8, any::<bool>()).prop_map(|(value, row, present)| Step::Entry(value, row, present)),
        1 => Just(Step::Clear),
        2 => Just(Step::NextCommand),
        2 => Just(Step::Mark),
        1 => Just(Step::RollBack),
        3 => Just(Step::SetAside),
    ];
    proptest::collection::vec(step, 1..60)
}

/// A key that no other is the beginning of.
fn key(number: u8) -> Key {
    Bytes::from(vec![number, number.wrapping_mul(37), 1])
}

fn row(value: i32) -> Row {
    vec![Datum::Int4(value), Datum::Jsonb(Jsonb::empty_object())]
}

fn entry(value: u8, row: u8, present: bool) -> FinalEntry {
    FinalEntry {
        table: TABLE,
        index: INDEX,
        global: false,
        value: key(value),
        row: key(row),
        present,
    }
}

/// What can be seen of a buffer, as text.
fn seen(buffer: &Buffer, command: CommandNumber) -> String {
    let mut text = String::new();
    for number in 0..13 {
        let own = buffer.row(command, TABLE, &key(number)).unwrap();
        let folded = own.map(|overlay| overlay.over(Some(row(-1))).unwrap());
        text += &format!(
            "{number}: {folded:?} {}\n",
            buffer.has_row(TABLE, &key(number)).unwrap()
        );
        text += &format!("{:?}\n", buffer.entries_of(command, INDEX, &key(number)).unwrap());
    }
    for reverse in [false, true] {
        for (from, to, count) in [
            (Bound::Unbounded, Bound::Unbounded, usize::MAX),
            (Bound::Included(&key(3)), Bound::Excluded(&key(9)), 3),
            (Bound::Excluded(&key(3)), Bound::Included(&key(9)), 100),
        ] {
            let rows = buffer.rows_between(command, TABLE, from, to, reverse, count).unwrap();
            let keys: Vec<Key> = rows.into_iter().map(|(key, _)| key).collect();
            text += &format!("{keys:?}\n");
        }
        let (from, to) = ((key(1), key(5)), (key(3), key(2)));
        for (from, to) in [
            (Bound::Unbounded, Bound::Unbounded),
            (Bound::Excluded(&from), Bound::Excluded(&to)),
        ] {
            let entries = buffer.entries_between(command, INDEX, from, to, reverse, 7).unwrap();
            text += &format!("{entries:?}\n");
        }
    }
    text
}

fn drained(buffer: Buffer) -> Vec<String> {
    let mut all = Vec::new();
    let mut drain = buffer.drain().unwrap();
    while let Some(row) = drain.next_row().unwrap() {
        all.push(format!("{:?} {:?} {}", row.key, row.version, row.is_delta));
    }
    while let Some(entry) = drain.next_entry().unwrap() {
        all.push(format!("{:?} {:?} {}", entry.value, entry.row, entry.present));
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn setting_writes_aside_changes_nothing(steps in steps()) {
        let directory = tempfile::tempdir().unwrap();
        let engine = Engine::open(directory.path(), Default::default()).unwrap();
        let (mut kept, mut aside) = (Buffer::default(), Buffer::default());
        let (mut command, mut marks) = (1, vec![0]);
        for step in steps {
            for buffer in [&mut kept, &mut aside] {
                match &step {
                    Step::Put(number, value) => {
                        buffer.write_row(command, TABLE, &key(*number), RowWrite::Put(row(*value)));
                    }
                    Step::Change(number, value) => {
                        let operation = PathOp::set_column(0, Datum::Int4(*value));
                        let inside = PathOp::set(Path::column(1), Jsonb::empty_object());
                        let change = RowWrite::Change(vec![operation, inside]);
                        buffer.write_row(command, TABLE, &key(*number), change);
                    }
                    Step::Move(number, to) => buffer.write_row(command, TABLE, &key(*number), RowWrite::Move(key(*to))),
                    Step::Delete(number) => buffer.write_row(command, TABLE, &key(*number), RowWrite::Delete),
                    Step::Entry(value, row, present) => buffer.write_entry(command, entry(*value, *row, *present)),
                    Step::Clear => buffer.clear(command, Clear::Table(TABLE)),
                    Step::RollBack => buffer.roll_back_to(marks[marks.len() / 2]).unwrap(),
                    Step::NextCommand | Step::Mark | Step::SetAside => {}
                }
            }
            match step {
                Step::NextCommand => command += 1,
                Step::Mark => marks.push(kept.mark()),
                Step::RollBack => marks.truncate(marks.len() / 2 + 1),
                Step::SetAside => aside.set_aside(&engine, 7).unwrap(),
                _ => {}
            }
            prop_assert_eq!(kept.mark(), aside.mark());
            prop_assert_eq!(kept.is_empty(), aside.is_empty());
        }
        for command in [command, command + 1] {
            prop_assert_eq!(seen(&kept, command), seen(&aside, command));
        }
        prop_assert_eq!(drained(kept), drained(aside));
        let mut cursor = engine.scratch().unwrap().newest().cursor(None, None).unwrap();
        cursor.seek_to_first();
        prop_assert!(cursor.item().is_none(), "nothing stays behind");
    }
}

/// A waiter that follows a row to its new key must not take what was put in its place for it.
#[test]
fn a_row_that_moved_and_did_not_stay_is_said_to_be_where_it_is() {
    let moved = |steps: &[(u8, RowWrite)]| {
        let mut buffer = Buffer::default();
        for (number, write) in steps {
            buffer.write_row(1, TABLE, &key(*number), write.clone());
        }
        let mut drain = buffer.drain().unwrap();
        let first = drain.next_row().unwrap().unwrap();
        storage::version::moved_to(&first.version).map(|key| key.to_vec())
    };
    let put = || RowWrite::Put(row(1));
    let to = |number: u8| RowWrite::Move(key(number));
    assert_eq!(moved(&[(1, to(2)), (2, put())]), Some(key(2).to_vec()));
    assert_eq!(
        moved(&[(1, to(2)), (2, put()), (2, RowWrite::Delete), (2, put())]),
        None
    );
    let twice = [(1, to(2)), (2, put()), (2, to(3)), (3, put()), (2, put())];
    assert_eq!(moved(&twice), Some(key(3).to_vec()));
    let back = [(1, put()), (1, RowWrite::Delete), (2, put())];
    assert_eq!(moved(&back), None);
}
