//! C1: what a command changes and the id that says so are one batch; nobody ever finds one without the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use storage::EngineError;
use storage::engine::{Batch, Family};

use super::{Alone, serving, set};
use crate::log::codec;
use crate::{CommandEntry, GroupId, Machine, Members};

const PLACE: &[u8] = b"place";
const COMMANDS: u64 = 3_000;

/// A machine that writes down the place of each command in the log.
struct Places;

impl Machine for Places {
    fn load(&self, _: &Family) -> Result<(), EngineError> {
        Ok(())
    }

    fn apply(&self, family: &Family, entry: &CommandEntry, batch: &mut Batch) -> Result<Bytes, EngineError> {
        batch.put(family, PLACE, &entry.index.to_be_bytes());
        Ok(Bytes::new())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c1_nobody_finds_a_change_without_its_id() {
    let directory = tempfile::tempdir().unwrap();
    let node = Alone::open(directory.path());
    let group = node
        .groups
        .open_group(GroupId(1), Arc::new(Places), Members::Alone)
        .await
        .unwrap();
    serving(&group).await;
    group.propose(set("k", 0)).await.unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    // Looks all the time, at one moment each: what a crash or a snapshot would catch.
    let watcher = {
        let (engine, family, is_over) = (node.engine.clone(), group.family(), is_over.clone());
        std::thread::spawn(move || {
            let mut looks = 0u64;
            while !is_over.load(Ordering::Acquire) {
                let view = family.at(&engine.snapshot());
                let place = view.get(PLACE).unwrap().unwrap();
                let place = u64::from_be_bytes(place[..8].try_into().unwrap());
                let applied = view.get(b"\0applied").unwrap().unwrap();
                let applied = codec::decode_log_id(&applied).unwrap();
                assert_eq!(place, applied.index, "after {looks} looks");
                looks += 1;
            }
            looks
        })
    };
    for round in 0..COMMANDS / 100 {
        let proposals: Vec<_> = (0..100)
            .map(|number| group.propose(set("k", round * 100 + number)))
            .collect();
        for proposal in proposals {
            proposal.await.unwrap();
        }
    }
    is_over.store(true, Ordering::Release);
    let looks = watcher.join().expect("every look found both");
    assert!(looks > COMMANDS / 10, "it looked {looks} times only");
}
