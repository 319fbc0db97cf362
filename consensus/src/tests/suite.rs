//! openraft's own suite for log stores and state machines, against ours.

use std::sync::Arc;
use std::time::Duration;

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use tempfile::TempDir;

use super::Counting;
use crate::leadership::Shared;
use crate::log::{GroupLog, LogStore, LogWriter};
use crate::machine::StateMachine;
use crate::types::{GroupId, TypeConfig};

struct Builder;

impl StoreBuilder<TypeConfig, LogStore, StateMachine, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, LogStore, StateMachine), StorageError<TypeConfig>> {
        let directory = tempfile::tempdir().unwrap();
        let engine = super::engine(directory.path());
        let writer = LogWriter::start(engine.clone(), Arc::new(|error| panic!("{error}"))).unwrap();
        let log = GroupLog::open(GroupId(7), writer, 1 << 20).unwrap();
        let shared = Arc::new(Shared::new(1, Duration::from_secs(1)));
        let state = StateMachine::open(GroupId(7), engine, Arc::new(Counting::default()), shared, None).unwrap();
        Ok((directory, LogStore::new(log, None), state))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stores_pass_the_suite_of_openraft() {
    Suite::test_all(Builder).await.unwrap();
}
