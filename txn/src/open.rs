//! Opening one shard: its machine, its Raft group, and the leader's side once this node may serve.

use std::sync::Arc;

use consensus::{GroupId, Groups, Leadership, Members, Role};
use tokio::sync::watch;

use crate::command::Epoch;
use crate::live::Live;
use crate::machine::Machine;
use crate::oracle::Oracle;
use crate::placement::ShardId;
use crate::shard::{Facts, Shard};
use crate::{DeadlockPolicy, TxnError};

/// Opens a group and waits until this node leads it and has applied what was committed before.
pub(crate) async fn open_shard(
    groups: &Arc<Groups>,
    id: ShardId,
    (oracle, live): (&Arc<Oracle>, &Arc<Live>),
    policy: DeadlockPolicy,
) -> Result<(Arc<Shard>, Arc<Machine>), TxnError> {
    let facts = Arc::new(Facts::default());
    let machine = Arc::new(Machine::new(id, facts.clone()));
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
    let shard = Shard::new(id, group, oracle.clone(), facts, live.clone(), (policy, epoch));
    let shard = Arc::new(shard);
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
