//! Seeded faults: a small database that is right, and what is done to its history.

use super::*;

fn append(key: &str, value: u64) -> Step {
    Step::Append(key.into(), value)
}

fn read(key: &str, list: &[u64]) -> Step {
    Step::Read(key.into(), list.to_vec())
}

fn committed(began: u64, ended: u64, steps: Vec<Step>) -> Transaction {
    Transaction {
        began,
        ended,
        outcome: Outcome::Committed,
        steps,
    }
}

fn no_end() -> BTreeMap<String, Vec<u64>> {
    BTreeMap::new()
}

/// Transactions one after the other over some keys, from a seed; what each list is in the end.
fn serial(seed: u64, count: u64) -> (Vec<Transaction>, BTreeMap<String, Vec<u64>>) {
    let mut state = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    let mut random = |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut lists: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut history = Vec::new();
    for at in 0..count {
        let outcome = match random(8) {
            0 => Outcome::Aborted,
            1 => Outcome::Unknown,
            _ => Outcome::Committed,
        };
        let happens = outcome == Outcome::Committed || (outcome == Outcome::Unknown && random(2) == 0);
        let mut copy = lists.clone();
        let mut steps = Vec::new();
        for step in 0..1 + random(4) {
            let key = format!("k{}", random(3));
            let list = copy.entry(key.clone()).or_default();
            if random(2) == 0 {
                let value = at * 10 + step;
                list.push(value);
                steps.push(Step::Append(key, value));
            } else {
                steps.push(Step::Read(key, list.clone()));
            }
        }
        if happens {
            lists = copy;
        }
        // They overlap in time: the order is that of their middles.
        history.push(Transaction {
            began: at * 10,
            ended: at * 10 + 25,
            outcome,
            steps,
        });
    }
    (history, lists)
}

#[test]
fn what_is_serial_passes() {
    for seed in 0..200 {
        let (history, last) = serial(seed, 60);
        assert_eq!(check(&history, &last), Ok(()), "seed {seed}");
    }
}

#[test]
fn a_lost_append_is_found() {
    for seed in 0..50 {
        let (history, mut last) = serial(seed, 60);
        let list = last.values_mut().find(|list| list.len() > 3).expect("a list");
        let gone = list.remove(2);
        let found = check(&history, &last);
        assert!(found.is_err(), "seed {seed}: {gone} is gone");
    }
}

#[test]
fn a_doubled_append_is_found() {
    let history = [committed(0, 1, vec![append("a", 1)])];
    let last = BTreeMap::from([("a".to_owned(), vec![1, 1])]);
    assert!(matches!(check(&history, &last), Err(Anomaly::Doubled { value: 1, .. })));
}

#[test]
fn an_aborted_read_is_found() {
    let mut aborted = committed(0, 1, vec![append("a", 1)]);
    aborted.outcome = Outcome::Aborted;
    let history = [aborted, committed(0, 1, vec![read("a", &[1])])];
    assert!(matches!(
        check(&history, &no_end()),
        Err(Anomaly::Aborted { reader: 1, .. })
    ));
}

#[test]
fn two_orders_of_one_list_are_found() {
    let history = [
        committed(0, 9, vec![append("a", 1)]),
        committed(0, 9, vec![append("a", 2)]),
        committed(0, 9, vec![read("a", &[1, 2])]),
        committed(0, 9, vec![read("a", &[2])]),
    ];
    assert!(matches!(check(&history, &no_end()), Err(Anomaly::TwoOrders { .. })));
}

#[test]
fn a_torn_read_is_found() {
    let history = [
        committed(0, 9, vec![append("a", 1), append("a", 2)]),
        committed(0, 9, vec![read("a", &[1])]),
    ];
    let found = check(&history, &no_end());
    assert!(
        matches!(
            found,
            Err(Anomaly::Torn {
                reader: 1,
                writer: 0,
                ..
            })
        ),
        "{found:?}"
    );
}

#[test]
fn a_lost_update_is_a_cycle() {
    let history = [
        committed(0, 9, vec![read("a", &[]), append("a", 1)]),
        committed(0, 9, vec![read("a", &[]), append("a", 2)]),
    ];
    let last = BTreeMap::from([("a".to_owned(), vec![1, 2])]);
    assert!(matches!(check(&history, &last), Err(Anomaly::Cycle(cycle)) if cycle.len() == 2));
}

#[test]
fn write_skew_is_a_cycle() {
    let history = [
        committed(0, 9, vec![read("a", &[]), append("b", 1)]),
        committed(0, 9, vec![read("b", &[]), append("a", 2)]),
    ];
    let last = BTreeMap::from([("a".to_owned(), vec![2]), ("b".to_owned(), vec![1])]);
    let found = check(&history, &last);
    assert!(
        matches!(&found, Err(Anomaly::Cycle(cycle)) if cycle.iter().all(|(_, order)| *order == Order::ReadWrite)),
        "{found:?}"
    );
}

#[test]
fn a_stale_read_is_a_cycle_through_time() {
    let history = [
        committed(0, 1, vec![append("a", 1)]),
        committed(5, 6, vec![read("a", &[])]),
    ];
    let last = BTreeMap::from([("a".to_owned(), vec![1])]);
    let found = check(&history, &last);
    assert!(
        matches!(&found, Err(Anomaly::Cycle(cycle)) if cycle.iter().any(|(_, order)| *order == Order::Time)),
        "{found:?}"
    );
    let beside = [
        committed(0, 7, vec![append("a", 1)]),
        committed(5, 6, vec![read("a", &[])]),
    ];
    assert_eq!(check(&beside, &last), Ok(()));
}

#[test]
fn own_appends_are_read() {
    let history = [
        committed(0, 9, vec![append("a", 1)]),
        committed(
            0,
            9,
            vec![
                append("a", 2),
                read("a", &[1, 2]),
                append("a", 3),
                read("a", &[1, 2, 3]),
            ],
        ),
    ];
    let last = BTreeMap::from([("a".to_owned(), vec![1, 2, 3])]);
    assert_eq!(check(&history, &last), Ok(()));
}
