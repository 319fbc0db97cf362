//! Many transactions at once: waiting, hand-over, deadlocks across shards, money that stays the same.

use super::*;

/// Names whose rows are on different shards.
fn names_on_two_shards(fixture: &Fixture) -> (String, String) {
    let placement = fixture.node.inner.placement;
    let shard = |name: &str| placement.row(TABLE, &key(name));
    let other = (0..100)
        .map(|number| format!("x{number}"))
        .find(|name| shard(name) != shard("a"))
        .unwrap();
    ("a".into(), other)
}

#[tokio::test]
async fn a_lock_passes_on_when_the_commit_is_proposed_and_the_next_holder_sees_the_write() {
    let fixture = Fixture::new().await;
    fixture.put(&[("a", 1)]).await;
    let first = fixture.begin();
    add(&first, "a", 1).await.unwrap();
    let second = fixture.begin();
    second.begin_statement(true).await.unwrap();
    let commit = first.commit();
    tokio::pin!(commit);
    // One poll proposes; nothing is durable yet, because the log's thread has had no turn to answer this one.
    let proposed = futures::poll!(&mut commit).is_pending();
    assert!(lock_path(&second, "a", Path::column(1), Mode::Exclusive).await.unwrap());
    let locked = second.read_locked(TABLE, &key("a"), &[Path::column(1)]).await.unwrap();
    assert_eq!(value_of(locked.row), Some(2));
    second.write(TABLE, &key("a"), set_value(3)).unwrap();
    if proposed {
        commit.await.unwrap();
    }
    second.settle().await.unwrap();
    second.commit().await.unwrap();
    assert_eq!(fixture.value("a").await, Some(3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn increments_of_one_row_are_never_lost() {
    let fixture = Fixture::new().await;
    fixture.put(&[("a", 0)]).await;
    let workers = (0..8).map(|_| {
        let node = fixture.node.clone();
        tokio::spawn(async move {
            for _ in 0..50 {
                let transaction = node.begin(TransactionOptions::default());
                add(&transaction, "a", 1).await.unwrap();
                transaction.commit().await.unwrap();
            }
        })
    });
    for worker in futures::future::join_all(workers).await {
        worker.unwrap();
    }
    assert_eq!(fixture.value("a").await, Some(400));
    fixture.check().await;
    let fixture = fixture.crash().await;
    assert_eq!(fixture.value("a").await, Some(400));
    fixture.check().await;
}

#[tokio::test]
async fn a_deadlock_across_shards_has_one_victim() {
    let fixture = Fixture::new().await;
    let (a, b) = names_on_two_shards(&fixture);
    fixture.put(&[(&a, 1), (&b, 1)]).await;
    let (one, two) = (fixture.begin(), fixture.begin());
    add(&one, &a, 1).await.unwrap();
    add(&two, &b, 1).await.unwrap();
    let cross = async |transaction: &Transaction, name: &str| {
        let done = add(transaction, name, 1).await;
        match done {
            Ok(()) => transaction.commit().await.map(drop),
            Err(error) => {
                transaction.rollback().await;
                Err(error)
            }
        }
    };
    let (first, second) = tokio::join!(cross(&one, &b), cross(&two, &a));
    let deadlocks = [&first, &second]
        .iter()
        .filter(|end| matches!(end, Err(TxnError::Deadlock { .. })))
        .count();
    assert_eq!(deadlocks, 1, "{first:?} {second:?}");
    assert!(first.is_ok() != second.is_ok());
    let sum = fixture.value(&a).await.unwrap() + fixture.value(&b).await.unwrap();
    assert_eq!(sum, 4, "one transaction added to both rows, the other to none");
}

/// Transfers between random accounts on all shards, with readers that add up everything in one snapshot.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_is_neither_made_nor_lost() {
    const ACCOUNTS: usize = 12;
    const TOTAL: i64 = ACCOUNTS as i64 * 100;
    let fixture = Fixture::new().await;
    let accounts: Vec<String> = (0..ACCOUNTS).map(|number| format!("account{number}")).collect();
    let rows: Vec<(&str, i64)> = accounts.iter().map(|name| (name.as_str(), 100)).collect();
    fixture.put(&rows).await;
    let transfer = async |node: &Arc<Node>, from: &str, to: &str| {
        let transaction = node.begin(TransactionOptions::default());
        add(&transaction, from, -1).await?;
        add(&transaction, to, 1).await?;
        transaction.commit().await
    };
    let workers = (0..6u64).map(|seed| {
        let (node, accounts) = (fixture.node.clone(), accounts.clone());
        tokio::spawn(async move {
            let mut committed = 0;
            let mut state = seed + 1;
            while committed < 40 {
                state = state
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                let from = (state >> 33) as usize % ACCOUNTS;
                let to = (from + 1 + (state >> 50) as usize % (ACCOUNTS - 1)) % ACCOUNTS;
                match transfer(&node, &accounts[from], &accounts[to]).await {
                    Ok(_) => committed += 1,
                    Err(error) => assert!(error.is_retryable(), "{error}"),
                }
            }
        })
    });
    let reader = {
        let node = fixture.node.clone();
        tokio::spawn(async move {
            for _ in 0..40 {
                let transaction = node.begin(TransactionOptions::default());
                transaction.begin_statement(true).await.unwrap();
                let mut rows = transaction.scan(TABLE, KeyRange::default(), false);
                let mut sum = 0;
                while let Some(batch) = rows.next().await {
                    sum += batch
                        .unwrap()
                        .into_iter()
                        .map(|(_, row)| value_of(Some(row)).unwrap())
                        .sum::<i64>();
                }
                assert_eq!(sum, TOTAL, "a snapshot saw half a transfer");
            }
        })
    };
    for worker in futures::future::join_all(workers).await {
        worker.unwrap();
    }
    reader.await.unwrap();
    fixture.check().await;
    let fixture = fixture.crash().await;
    fixture.check().await;
    let mut sum = 0;
    for account in &accounts {
        sum += fixture.value(account).await.unwrap();
    }
    assert_eq!(sum, TOTAL);
}
