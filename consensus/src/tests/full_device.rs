//! A device that is really full; run by hand with `CAMBIUM_SMALL_DEVICE` naming a mount of about 100 MB.

use std::time::Duration;

use super::{Alone, PATIENCE, options, set, value};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a small device"]
async fn c5_a_full_device_is_waited_for_and_nothing_is_lost() {
    let device = std::path::PathBuf::from(std::env::var("CAMBIUM_SMALL_DEVICE").unwrap());
    let ballast = device.join("ballast");
    std::fs::write(&ballast, vec![1; 64 << 20]).unwrap();
    let directory = tempfile::tempdir_in(&device).unwrap();
    let small = storage::EngineOptions {
        free_space_reserve_bytes: 0,
        write_buffers_bytes: 8 << 20,
        ..storage::EngineOptions::default()
    };
    let engine = storage::Engine::open(directory.path(), small).unwrap();
    let groups = crate::Groups::open(engine.clone(), crate::LocalTransport::new().end(1), options(1)).unwrap();
    let node = Alone { groups, engine };
    let (group, _) = node.group(1).await;
    let mut count = 0;
    let waiting = loop {
        let big: String = std::iter::repeat_with(|| char::from(b'a' + (count * 7919 % 26) as u8))
            .take(1 << 20)
            .collect();
        let mut proposal = Box::pin(group.propose(set(count, big)));
        count += 1;
        match tokio::time::timeout(Duration::from_secs(3), &mut proposal).await {
            Ok(applied) => drop(applied.unwrap()),
            Err(_) => break proposal,
        }
    };
    println!("stuck after {count} proposals of 1 MiB");
    std::fs::remove_file(&ballast).unwrap();
    tokio::time::timeout(PATIENCE, waiting).await.expect("goes on").unwrap();
    group.propose(set("last", "one")).await.unwrap();
    node.close().await;
    drop(group);
    let node = Alone::open(directory.path());
    let (group, _) = node.group(1).await;
    for number in 0..count {
        assert_eq!(
            value(&group, &number.to_string()).map(|value| value.len()),
            Some(1 << 20)
        );
    }
    assert_eq!(value(&group, "last").as_deref(), Some("one"));
}
