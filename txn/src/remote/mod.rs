//! Remote: shards as a transaction sees them, wherever they are led.

mod shard_ref;

pub(crate) use shard_ref::ShardRef;
