//! Opening one shard: its machine, its Raft group, and the leader's side once this node may serve.

use std::sync::Arc;

use consensus::{GroupId, Groups, Leadership, Members, Role};
use tokio::sync::watch;

use crate::TxnError;
use crate::command::{DecisionRecord, Epoch, PreparedRecord, decode};
use crate::commit::{Anchor, Participant};
use crate::live::Live;
use crate::locks::LockConfig;
use crate::machine::Machine;
use crate::machine::records::{self, Record};
use crate::oracle::{Oracle, clock_ms};
use crate::placement::ShardId;
use crate::shard::{Facts, Shard};

/// Opens a group and waits until this node leads it and has applied what was committed before.
pub(crate) async fn open_shard(
    groups: &Arc<Groups>,
    id: ShardId,
    (oracle, live): (&Arc<Oracle>, &Arc<Live>),
    locks: LockConfig,
) -> Result<(Arc<Shard>, Arc<Machine>), TxnError> {
    let facts = Arc::new(Facts::default());
    let machine = Arc::new(Machine::new(id, groups.engine().clone(), facts.clone()));
    let group = groups
        .open_group(GroupId(u64::from(id)), machine.clone(), Members::Alone)
        .await?;
    let mut leadership = group.leadership();
    let term = loop {
        let now = *leadership.borrow_and_update();
        match now.role {
            Role::Serving => break now.term,
            Role::Stopped => return Err(TxnError::Unavailable),
            Role::Follower | Role::Elected => {}
        }
        if leadership.changed().await.is_err() {
            return Err(TxnError::Unavailable);
        }
    };
    let epoch = Epoch { term, generation: 0 };
    let view = group.family().newest();
    let (now_ms, mut prepared, mut decisions) = (clock_ms(), Vec::new(), Vec::new());
    for (_, record) in records::all(&view, Record::Prepared)? {
        prepared.push(decode::<PreparedRecord>(&record)?);
    }
    for (_, record) in records::all(&view, Record::Decision)? {
        let DecisionRecord {
            attempt,
            decision,
            parties,
        } = decode(&record)?;
        decisions.push((attempt, decision, parties));
    }
    let participant = Participant::new(
        id,
        prepared.iter().map(|record| (record.attempt, record.parties.clone())),
        now_ms,
    );
    let anchor = Anchor::new(id, decisions, now_ms);
    let (oracle, live) = (oracle.clone(), live.clone());
    let shard = Arc::new(Shard::new(
        id,
        group,
        oracle,
        facts,
        live,
        (locks, epoch),
        (participant, anchor),
    ));
    for PreparedRecord {
        attempt, writes, locks, ..
    } in &prepared
    {
        shard.restore(*attempt, writes, locks)?;
    }
    machine.lead(&shard);
    follow(&shard, leadership, epoch);
    Ok((shard, machine))
}

/// Ends the epoch when leadership is lost: proposals whose callers went away would not tell.
fn follow(shard: &Arc<Shard>, mut leadership: watch::Receiver<Leadership>, epoch: Epoch) {
    let shard = Arc::downgrade(shard);
    tokio::spawn(async move {
        let lost = leadership
            .wait_for(|now| now.term != epoch.term || now.role != Role::Serving)
            .await
            .is_ok();
        if let (true, Some(shard)) = (lost, shard.upgrade()) {
            shard.on_term_over(epoch.term);
        }
    });
}
