//! What is explored: short explorations in every run of the tests, the long ones on demand
//! (`cargo test -p txn --test model -- --ignored --nocapture`).

use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

use super::properties::*;
use super::rules::Rule;
use super::scenario::{self, Faults, Scenario};

/// More states, counted as often as they are come to, than any exploration here has; one that outgrows it fails instead of
/// filling the machine's memory.
const STATES_MAX: usize = 600_000;

/// Explores everything. No property fails, what is to be seen is seen, and there are at least so many states.
fn explore(name: &str, scenario: Scenario, seen: &[&'static str], states_min: usize) {
    let started = Instant::now();
    let checker = scenario
        .checker()
        .threads(1)
        .target_state_count(STATES_MAX)
        .spawn_bfs()
        .join();
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    println!(
        "{name}: {states} states, depth {depth}, {:.1} s",
        started.elapsed().as_secs_f64()
    );
    report_failures(name, &checker);
    for property in seen {
        assert!(checker.discovery(property).is_some(), "{name}: never seen: {property}");
    }
    assert!(states >= states_min, "{name}: only {states} states");
    assert!(checker.state_count() < STATES_MAX, "{name}: stopped at {states} states");
}

/// Panics with the way to a state in which a property does not hold.
fn report_failures(name: &str, checker: &impl Checker<Scenario>) {
    for (property, path) in checker.discoveries() {
        if checker.model().property(property).expectation.discovery_is_failure() {
            println!("{:#?}", path.last_state());
            for action in path.into_actions() {
                println!("  {action:?}");
            }
            panic!("{name}: not so: {property}");
        }
    }
}

/// With a rule switched off a property fails.
fn explore_without(rule: Rule, scenario: Scenario, property: &'static str) {
    let started = Instant::now();
    let checker = scenario
        .without(rule)
        .checker()
        .threads(1)
        .finish_when(HasDiscoveries::AnyOf([property].into()))
        .target_state_count(STATES_MAX)
        .spawn_bfs()
        .join();
    let found = checker.discovery(property);
    let Some(path) = found else {
        panic!(
            "without {rule:?} nothing is found in {} states",
            checker.unique_state_count()
        );
    };
    let (states, seconds) = (checker.unique_state_count(), started.elapsed().as_secs_f64());
    println!("without {rule:?}, after {states} states, {seconds:.1} s: not so: {property}");
    for action in path.into_actions() {
        println!("  {action:?}");
    }
}

#[test]
fn transfers_in_opposite_orders_end_whole() {
    explore(
        "transfers",
        scenario::transfers(),
        &[ALL_COMMIT, SOMEBODY_ABORTS, CROSS_CYCLE],
        20_000,
    );
}

#[test]
fn write_skew_is_kept_out() {
    explore(
        "write skew",
        scenario::write_skew(),
        &[ALL_COMMIT, SOMEBODY_ABORTS],
        1_000,
    );
}

#[test]
fn snapshots_see_all_or_nothing_of_a_commit() {
    explore("snapshots", scenario::snapshots(), &[ALL_COMMIT], 4_000);
}

#[test]
fn paths_of_one_document_are_consolidated_without_loss() {
    explore("one document", scenario::one_document(), &[ALL_COMMIT], 5_000);
}

#[test]
fn a_hot_path_survives_lost_proposals() {
    let faults = Faults {
        rejections: 1,
        ..Faults::default()
    };
    explore(
        "hot path",
        scenario::hot_path().with(faults),
        &[ALL_COMMIT, SOMEBODY_ABORTS],
        2_000,
    );
}

#[test]
fn without_the_epoch_an_update_is_lost() {
    let faults = Faults {
        changes: 1,
        ..Faults::default()
    };
    explore_without(Rule::Epoch, scenario::transfers().with(faults), NO_LOST_UPDATE);
}

#[test]
fn without_the_order_of_commands_an_update_rests_on_nothing() {
    let faults = Faults {
        rejections: 1,
        ..Faults::default()
    };
    explore_without(Rule::Order, scenario::hot_path().with(faults), NO_LOST_UPDATE);
}

#[test]
fn without_marks_before_the_draw_a_snapshot_misses_a_commit() {
    explore_without(Rule::MarkThenDraw, scenario::snapshots(), SNAPSHOTS);
}

#[test]
fn without_waiting_for_marks_a_snapshot_misses_a_commit() {
    explore_without(Rule::SnapshotsWait, scenario::snapshots(), SNAPSHOTS);
}

#[test]
fn without_confirmation_write_skew_comes_in() {
    let faults = Faults {
        changes: 1,
        ..Faults::default()
    };
    explore_without(Rule::Confirm, scenario::write_skew().with(faults), SERIALIZABLE);
}

#[test]
fn without_waiting_for_what_was_seen_a_commit_rests_on_what_never_was() {
    let faults = Faults {
        changes: 1,
        ..Faults::default()
    };
    explore_without(Rule::SeenIsApplied, scenario::handed_over().with(faults), NO_DIRTY_READ);
}

#[test]
fn without_tombstones_the_aborted_are_prepared() {
    let faults = Faults {
        cancels: 1,
        late_locks: 1,
        ..Faults::default()
    };
    explore_without(Rule::Tombstones, scenario::transfers().with(faults), ABORT_STANDS);
}

#[test]
fn without_the_consolidation_guard_an_update_is_lost() {
    explore_without(Rule::ConsolidationGuard, scenario::one_document(), NO_LOST_UPDATE);
}

#[test]
fn without_detection_a_cycle_through_both_shards_stays() {
    explore_without(Rule::Detection, scenario::transfers(), EVERYTHING_ENDS);
}

#[test]
fn without_fresh_cores_a_lost_decision_blocks_for_ever() {
    let faults = Faults {
        rejections: 1,
        ..Faults::default()
    };
    explore_without(Rule::FreshCores, scenario::transfers().with(faults), EVERYTHING_ENDS);
}

/// Small transactions, and a leader that changes: all of it in each run of the tests.
#[test]
fn a_leader_changes_while_a_path_is_hot() {
    let faults = Faults {
        changes: 1,
        ..Faults::default()
    };
    explore(
        "hot path, a leader changes",
        scenario::hot_path().with(faults),
        &[ALL_COMMIT, SOMEBODY_ABORTS],
        1_000,
    );
}

#[test]
fn a_node_dies_while_a_path_is_hot() {
    let faults = Faults {
        crashes: 1,
        ..Faults::default()
    };
    explore(
        "hot path, a node dies",
        scenario::hot_path().with(faults),
        &[ALL_COMMIT],
        1_000,
    );
}

/// Everything at once: one crash, one change of a leader, loss, repetition. Depth first and with a limit, because a
/// breadth-first search keeps its whole front in memory: gigabytes within minutes. To be run alone, under `ulimit -v`.
#[test]
#[ignore = "takes long and much memory: see docs/verification.md"]
fn everything_that_may_go_wrong() {
    let limit = std::env::var("CAMBIUM_MODEL_STATES")
        .ok()
        .and_then(|text| text.parse().ok());
    let limit: usize = limit.unwrap_or(200_000);
    let faults = Faults {
        crashes: 1,
        changes: 1,
        losses: 1,
        duplicates: 1,
        ..Faults::default()
    };
    let scenarios = [
        ("transfers", scenario::transfers()),
        ("write skew", scenario::write_skew()),
        ("snapshots", scenario::snapshots()),
        ("one document", scenario::one_document()),
        ("handed over", scenario::handed_over()),
    ];
    for (name, scenario) in scenarios {
        let started = Instant::now();
        let checker = scenario
            .with(faults)
            .checker()
            .threads(1)
            .target_state_count(limit)
            .spawn_dfs()
            .join();
        report_failures(name, &checker);
        let (states, seconds) = (checker.unique_state_count(), started.elapsed().as_secs_f64());
        println!(
            "{name}: {states} states, {seconds:.0} s, {}",
            if checker.state_count() < limit {
                "all"
            } else {
                "stopped by the limit"
            }
        );
    }
}
