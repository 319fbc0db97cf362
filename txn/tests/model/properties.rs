//! Properties: what holds in every state, and what must be seen in some state so that the rest says something.

use stateright::Property;
use txn::commit::{Answer, Decision, Timestamp};
use txn::locks::TxnId;

use super::rows::{List, Place};
use super::scenario::Scenario;
use super::state::{Phase, SHARDS, State};

/// P1.
pub const ALL_OR_NOTHING: &str = "all or nothing";
/// P2.
pub const CLIENTS_ARE_TOLD: &str = "clients are told what happens";
/// What a path holds is what its commits made of it, one after the other.
pub const NO_LOST_UPDATE: &str = "no path update is lost";
/// Committed transactions have a serial order.
pub const SERIALIZABLE: &str = "what committed is serializable";
/// Nothing committed has seen what was aborted.
pub const NO_DIRTY_READ: &str = "nobody saw what never was";
/// T3.
pub const SNAPSHOTS: &str = "a snapshot is all that committed up to it";
/// P5.
pub const ABORT_STANDS: &str = "after ABORT nothing is prepared";
/// The lock table's own invariants.
pub const LOCKS_ARE_SOUND: &str = "lock tables are sound";
/// P4, every cycle broken, nobody blocked for ever while a quorum lives.
pub const EVERYTHING_ENDS: &str = "everything ends";

/// All transactions commit.
pub const ALL_COMMIT: &str = "all commit";
/// Somebody aborts.
pub const SOMEBODY_ABORTS: &str = "somebody aborts";
/// A node is dead, and what its coordinator had begun commits.
pub const OUTLIVES_COORDINATOR: &str = "a commit outlives its coordinator";
/// A shard has another leader, and all has ended, with a commit over both shards.
pub const OUTLIVES_LEADER: &str = "a commit outlives a leader";
/// Two transactions wait for each other on different shards.
pub const CROSS_CYCLE: &str = "a cycle through both shards";

/// All of them.
pub fn all() -> Vec<Property<Scenario>> {
    vec![
        Property::always(ALL_OR_NOTHING, all_or_nothing),
        Property::always(CLIENTS_ARE_TOLD, clients_are_told),
        Property::always(NO_LOST_UPDATE, no_lost_update),
        Property::always(SERIALIZABLE, serializable),
        Property::always(NO_DIRTY_READ, no_dirty_read),
        Property::always(SNAPSHOTS, snapshots),
        Property::always(ABORT_STANDS, |_, state: &State| {
            let is_zombie = |shard: &super::shard::Shard| {
                shard
                    .durable
                    .prepared
                    .keys()
                    .any(|txn| shard.durable.aborted.contains(txn))
            };
            !state.shards.iter().any(|shard| is_zombie(shard))
        }),
        Property::always(LOCKS_ARE_SOUND, |_, state: &State| {
            state.shards.iter().all(|shard| shard.locks.is_sound)
        }),
        Property::always(EVERYTHING_ENDS, |scenario: &Scenario, state: &State| {
            state.has_ended() || scenario.goes_on(state)
        }),
        Property::sometimes(ALL_COMMIT, |_, state: &State| {
            state.has_ended()
                && state
                    .sessions
                    .iter()
                    .all(|session| matches!(session.answer, Some(Answer::Committed(_))))
        }),
        Property::sometimes(SOMEBODY_ABORTS, |_, state: &State| {
            state.has_ended()
                && state
                    .sessions
                    .iter()
                    .any(|session| session.answer == Some(Answer::Aborted))
        }),
        Property::sometimes(OUTLIVES_COORDINATOR, |_, state: &State| {
            let dead = |at: &usize| state.sessions[*at].phase == Phase::Dead && committed_shards(state, *at) == SHARDS;
            (0..state.sessions.len()).any(|at| dead(&at))
        }),
        Property::sometimes(OUTLIVES_LEADER, |_, state: &State| {
            let has_changed = state.shards.iter().any(|shard| shard.epoch.term > 1);
            state.has_ended()
                && has_changed
                && (0..state.sessions.len()).any(|at| committed_shards(state, at) == SHARDS)
        }),
        Property::sometimes(CROSS_CYCLE, |_, state: &State| {
            let waits = |at: usize| matches!(state.sessions[at].phase, Phase::Locking { next: 1, waits: true });
            state.sessions.len() > 1 && waits(0) && waits(1)
        }),
    ]
}

fn txn(at: usize) -> TxnId {
    TxnId(at as u64 + 1)
}

fn committed_shards(state: &State, at: usize) -> usize {
    let outcomes = state
        .shards
        .iter()
        .filter_map(|shard| shard.durable.outcomes.get(&txn(at)));
    outcomes
        .filter(|outcome| matches!(outcome, Decision::Commit(_)))
        .count()
}

/// The timestamp of a transaction that committed somewhere.
fn committed(state: &State, at: usize) -> Option<Timestamp> {
    let mut outcomes = state
        .shards
        .iter()
        .filter_map(|shard| shard.durable.outcomes.get(&txn(at)));
    outcomes.find_map(|outcome| match outcome {
        Decision::Commit(timestamp) => Some(*timestamp),
        Decision::Abort => None,
    })
}

fn is_committed(state: &State, at: usize) -> bool {
    committed(state, at).is_some() || matches!(state.sessions[at].answer, Some(Answer::Committed(_)))
}

fn all_or_nothing(_: &Scenario, state: &State) -> bool {
    (0..state.sessions.len()).all(|at| {
        let mut outcomes = state
            .shards
            .iter()
            .filter_map(|shard| shard.durable.outcomes.get(&txn(at)));
        let first = outcomes.next();
        outcomes.all(|outcome| Some(outcome) == first)
    })
}

fn clients_are_told(scenario: &Scenario, state: &State) -> bool {
    state
        .sessions
        .iter()
        .enumerate()
        .all(|(at, session)| match session.answer {
            Some(Answer::Committed(0)) => scenario.programs[at].shards().0.is_empty(),
            Some(Answer::Committed(timestamp)) => committed(state, at) == Some(timestamp),
            Some(Answer::Aborted) => committed(state, at).is_none(),
            Some(Answer::Unknown) | None => true,
        })
}

/// On each path every version is the one before and its own transaction, and a reader finds the last of them.
fn no_lost_update(_: &Scenario, state: &State) -> bool {
    state.shards.iter().all(|shard| {
        let rows = &shard.durable.rows;
        let mut newest: Vec<(Place, List)> = Vec::new();
        for delta in &rows.deltas {
            let before = newest.iter().position(|(place, _)| *place == delta.place);
            let expected = before.map_or(&[][..], |at| &newest[at].1);
            let Some((_, base)) = delta.list.split_last() else {
                return false;
            };
            if base != expected {
                return false;
            }
            match before {
                Some(at) => newest[at].1.clone_from(&delta.list),
                None => newest.push((delta.place, delta.list.clone())),
            }
        }
        newest
            .iter()
            .all(|(place, list)| rows.read(*place, Timestamp::MAX) == *list)
    })
}

/// Whether `later` must come after `earlier`: it saw or replaced what that wrote, or wrote over what that saw.
fn follows(scenario: &Scenario, state: &State, earlier: usize, later: usize) -> bool {
    let accesses = |at: usize| scenario.programs[at].accesses().iter().zip(&state.sessions[at].seen);
    accesses(later).any(|(of_later, seen_later)| {
        accesses(earlier).any(|(of_earlier, seen_earlier)| {
            let same = (of_later.shard, of_later.place) == (of_earlier.shard, of_earlier.place);
            let writes = of_later.what != super::scenario::Use::Read;
            let saw = seen_later.contains(&(earlier as u8 + 1));
            // What it wrote is not in what the other saw.
            let overwrote =
                writes && !saw && !seen_earlier.contains(&(later as u8 + 1)) && seen_later.starts_with(seen_earlier);
            let reads_only = of_earlier.what == super::scenario::Use::Read;
            same && (saw || (overwrote && reads_only))
        })
    })
}

fn serializable(scenario: &Scenario, state: &State) -> bool {
    let all: Vec<usize> = (0..state.sessions.len())
        .filter(|&at| !scenario.is_snapshot(at) && is_committed(state, at))
        .collect();
    let mut left = all;
    // A serial order begins with somebody who follows nobody left.
    while !left.is_empty() {
        let first = left.iter().position(|&at| {
            let mut others = left.iter().filter(|&&other| other != at);
            others.all(|&other| !follows(scenario, state, other, at))
        });
        match first {
            Some(first) => left.remove(first),
            None => return false,
        };
    }
    true
}

/// What a committed transaction saw did not turn out to be aborted.
fn no_dirty_read(_: &Scenario, state: &State) -> bool {
    (0..state.sessions.len())
        .filter(|&at| is_committed(state, at))
        .all(|at| {
            let mut seen = state.sessions[at].seen.iter().flatten();
            seen.all(|&other| {
                let other = other as usize - 1;
                state.sessions[other].answer != Some(Answer::Aborted)
                    && !state
                        .shards
                        .iter()
                        .any(|shard| shard.durable.outcomes.get(&txn(other)) == Some(&Decision::Abort))
            })
        })
}

/// What a snapshot saw is what committed up to its timestamp, also when that is logged later.
fn snapshots(scenario: &Scenario, state: &State) -> bool {
    state.sessions.iter().enumerate().all(|(at, session)| {
        let Some(timestamp) = session.drawn.filter(|_| scenario.is_snapshot(at)) else {
            return true;
        };
        let mut reads = scenario.programs[at].accesses().iter().zip(&session.seen);
        reads.all(|(access, seen)| {
            (0..state.sessions.len()).all(|other| {
                let wrote = |of_other: &super::scenario::Access| {
                    (of_other.shard, of_other.place) == (access.shard, access.place)
                        && of_other.what != super::scenario::Use::Read
                };
                let Some(commit) =
                    committed(state, other).filter(|_| scenario.programs[other].accesses().iter().any(wrote))
                else {
                    return true;
                };
                seen.contains(&(other as u8 + 1)) == (commit <= timestamp)
            })
        })
    })
}
