//! Atomic commit as a Petri net (`docs/verification/commit.net`), analysed by its incidence matrix and its reachability
//! graph: place invariants, one-safe, never both COMMITTED and ABORTED, an end can be reached from everywhere and is the only
//! place where nothing can happen. Faults put into the net are found.

mod net;

use net::{Marking, Net};

const TEXT: &str = include_str!("../../../docs/verification/commit.net");

fn commit() -> Net {
    Net::parse(TEXT).expect("the net reads")
}

/// Some shard has committed and another aborted.
fn is_torn(net: &Net) -> impl Fn(Marking) -> bool {
    let committed = net
        .bits(["a.COMMITTED", "p1.COMMITTED", "p2.COMMITTED"])
        .expect("places");
    let aborted = net.bits(["a.ABORTED", "p1.ABORTED", "p2.ABORTED"]).expect("places");
    move |marking| marking & committed != 0 && marking & aborted != 0
}

/// The client was told what did not happen.
fn is_lie(net: &Net) -> impl Fn(Marking) -> bool {
    let told_commit = net.bits(["c.COMMITTED"]).expect("places");
    let told_abort = net.bits(["c.ABORTED"]).expect("places");
    let committed = net.bits(["a.COMMITTED"]).expect("places");
    move |marking| {
        (marking & told_commit != 0 && marking & committed == 0)
            || (marking & told_abort != 0 && marking & committed != 0)
    }
}

/// Everybody has ended, and no message is on its way.
fn is_final(net: &Net) -> impl Fn(Marking) -> bool {
    let of_all = [
        vec!["c.COMMITTED", "c.ABORTED", "c.UNKNOWN", "c.DEAD"],
        vec!["a.COMMITTED", "a.ABORTED", "a.UNMARKED"],
        vec!["p1.COMMITTED", "p1.ABORTED"],
        vec!["p2.COMMITTED", "p2.ABORTED"],
    ];
    let of_all = of_all.map(|names| net.bits(names).expect("places"));
    move |marking| of_all.iter().all(|places| marking & places != 0)
}

#[test]
fn sums_are_place_invariants_and_there_are_no_others() {
    let net = commit();
    for &sum in &net.sums {
        assert!(net.is_invariant(sum), "{:?} is no invariant", net.names(sum));
        assert_eq!(
            (net.start & sum).count_ones(),
            1,
            "{:?} begins with one token",
            net.names(sum)
        );
    }
    let covered = net.sums.iter().fold(0, |covered, sum| covered | sum);
    assert_eq!(
        covered.count_ones() as usize,
        net.places.len(),
        "every place is in a sum, so the net is bounded"
    );
    println!(
        "{} places, {} transitions, rank {}",
        net.places.len(),
        net.transitions.len(),
        net.rank()
    );
    assert_eq!(
        net.places.len() - net.rank(),
        net.sums.len(),
        "they span all place invariants"
    );
}

#[test]
fn nobody_commits_what_another_aborts_and_everything_can_end() {
    let net = commit();
    let reachable = net.reachable();
    println!("{} markings", reachable.markings.len());
    assert!(reachable.markings.len() > 90_000, "only {}", reachable.markings.len());
    assert_eq!(reachable.run_to(is_torn(&net)), None);
    assert_eq!(reachable.run_to(is_lie(&net)), None);
    let ends = is_final(&net);
    let stuck: Vec<_> = reachable
        .dead()
        .filter(|&marking| !ends(marking))
        .map(|marking| net.names(marking))
        .collect();
    assert!(stuck.is_empty(), "nothing can happen in {stuck:?}");
    assert_eq!(reachable.lost(&ends), 0, "an end can be reached from everywhere");
    assert_eq!(reachable.never_fires(), Vec::<&str>::new());
    for outcome in ["COMMITTED", "ABORTED"] {
        let all = net.bits(
            ["a", "p1", "p2"]
                .map(|who| format!("{who}.{outcome}"))
                .iter()
                .map(String::as_str),
        );
        let all = all.expect("places");
        assert!(
            reachable.run_to(|marking| marking & all == all).is_some(),
            "all can become {outcome}"
        );
    }
}

#[test]
fn a_voter_that_aborts_by_itself_is_found() {
    let net = commit().with("impatient: p1.VOTED -> p1.ABORTED");
    let run = net.reachable().run_to(is_torn(&net)).map(|run| run.join(" "));
    assert!(run.is_some_and(|run| run.ends_with("impatient") || run.contains("impatient")));
}

#[test]
fn an_anchor_that_decides_twice_is_found() {
    let net = commit().with("forget: a.ABORTED -> a.MARKED");
    assert!(net.reachable().run_to(is_torn(&net)).is_some());
}

#[test]
fn a_decision_without_a_mark_is_found() {
    let net = commit().with("trust: decide a.ABORTED -> a.COMMITTED committed");
    assert!(net.reachable().run_to(is_torn(&net)).is_some());
}

#[test]
fn voters_that_never_ask_are_found() {
    let questions = ["ask1", "tell_abort1"];
    let net = commit().without(&questions);
    assert!(net.reachable().lost(is_final(&net)) > 0);
}
