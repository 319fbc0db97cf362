//! Bounds of a session: timeouts, cancel at every kind of wait, and input of any size.

mod client;

use std::time::{Duration, Instant};

use client::{Client, Node, frame};
use tokio::io::AsyncWriteExt;

/// Longest time a cancelled statement may go on here: the promise is 100 ms of an idle machine, and tests run on busy ones.
const STOP_MAX: Duration = Duration::from_secs(3);

/// Sends a CancelRequest with a session's key, over a connection of its own.
async fn cancel(node: &Node, key: &[u8]) {
    let mut other = Client::open(node.running.sql).await;
    let packet = [&16_u32.to_be_bytes()[..], &80_877_102_u32.to_be_bytes(), key].concat();
    other.write(&packet).await;
    assert_eq!(other.read().await, None);
}

/// Waits until a session runs a statement for some time, as `pg_stat_activity` shows it.
async fn until_busy(watcher: &mut Client, pid: i32) {
    let active = format!(
        "select count(*) from pg_stat_activity where pid = {pid} and state = 'active' \
         and clock_timestamp() - query_start > interval '150 milliseconds'"
    );
    while watcher.query(&active).await[0] != "D 1" {}
}

fn pid(client: &Client) -> i32 {
    i32::from_be_bytes([client.key[0], client.key[1], client.key[2], client.key[3]])
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_work_is_cancelled_at_once() {
    let node = Node::start().await;
    let mut watcher = node.connect().await;
    for statement in [
        "create table big (id int primary key, t text)",
        "insert into big select i, md5(i::text) from generate_series(1, 3000) i",
        "create table held (id int primary key, v int)",
        "insert into held values (1, 1)",
    ] {
        watcher.query(statement).await;
    }
    let mut holder = node.connect().await;
    holder
        .query("begin; update held set v = 2; lock table big in share mode")
        .await;
    for statement in [
        "update held set v = 3",
        "alter table held add column w int",
        "delete from big",
        "select pg_sleep(60)",
        "select count(*) from generate_series(1, 1000000000)",
        "select sum(a.i * b.i) from generate_series(1, 100000) a (i), generate_series(1, 100000) b (i)",
        "select * from generate_series(1, 100000000) i order by md5(i::text) limit 1",
        "select count(*) from big a, big b, big c where a.t < b.t and b.t < c.t",
        "select (select count(*) from big b, big c where b.t > a.t and c.t > b.t) from big a",
        "with recursive r (i) as (select 1 union all select i + 1 from r) select count(*) from r",
        "select count(distinct i) from generate_series(1, 1000000000) i",
        "select sum(length(repeat(md5(i::text), 1000))) from generate_series(1, 100000000) i",
        "select sum(i) over (order by i) from generate_series(1, 1000000000) i",
        "create table made as select i from generate_series(1, 100000000) i",
        "copy (select i from generate_series(1, 1000000000) i where i < 0) to stdout",
    ] {
        let mut client = node.connect().await;
        client.send(b'Q', format!("{statement}\0").as_bytes()).await;
        until_busy(&mut watcher, pid(&client)).await;
        let asked = Instant::now();
        cancel(&node, &client.key).await;
        let answer = client.answer().await;
        assert!(answer.contains(&"E 57014".to_owned()), "{statement}: {answer:?}");
        assert!(asked.elapsed() < STOP_MAX, "{statement}: {:?}", asked.elapsed());
        assert_eq!(
            client.query("select 1").await,
            ["D 1", "C SELECT 1", "Z I"],
            "{statement}"
        );
    }
    // Waiting for COPY data is waiting for the client, and ends like any other wait.
    let mut client = node.connect().await;
    client.send(b'Q', b"copy held from stdin\0").await;
    client.until(b'G').await;
    cancel(&node, &client.key).await;
    assert!(client.answer().await.contains(&"E 57014".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn timeouts_end_statements_waits_and_sessions() {
    let node = Node::start().await;
    let mut holder = node.connect().await;
    holder
        .query("create table held (id int primary key, v int); insert into held values (1, 1)")
        .await;
    holder.query("begin; update held set v = 2").await;

    let mut client = node.connect().await;
    client.query("set statement_timeout = '50ms'").await;
    for statement in [
        "select pg_sleep(60)",
        "select count(*) from generate_series(1, 1000000000)",
    ] {
        assert_eq!(client.query(statement).await, ["E 57014", "Z I"], "{statement}");
    }
    assert_eq!(client.query("update held set v = 3").await, ["E 57014", "Z I"]);
    client
        .query("set statement_timeout = 0; set lock_timeout = '50ms'")
        .await;
    assert_eq!(client.query("update held set v = 3").await, ["E 55P03", "Z I"]);
    assert_eq!(client.query("lock table held").await[0], "E 25P01");
    assert_eq!(
        client.query("begin; lock table held").await,
        ["C BEGIN", "E 55P03", "Z E"]
    );
    client.query("rollback; set lock_timeout = 0").await;

    client
        .query("set idle_in_transaction_session_timeout = '50ms'; begin")
        .await;
    let farewell = client.read().await.unwrap();
    assert_eq!(
        (farewell.text().as_str(), farewell.field(b'S').as_deref()),
        ("25P03", Some("FATAL"))
    );
    assert_eq!(client.read().await, None);

    let mut idle = node.connect().await;
    idle.query("set idle_session_timeout = '50ms'").await;
    let farewell = idle.read().await.unwrap();
    assert_eq!(
        (farewell.text().as_str(), farewell.field(b'S').as_deref()),
        ("57P05", Some("FATAL"))
    );
    assert_eq!(idle.read().await, None);
    assert_eq!(holder.query("commit").await, ["C COMMIT", "Z I"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn input_of_any_size_leaves_the_session_alive() {
    let node = Node::start().await;
    let mut client = node.connect().await;
    let deep = format!("select '{}{}'::jsonb", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(client.query(&deep).await, ["E 54001", "Z I"]);
    let deep = format!("select '{}1{}'::json", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    assert_eq!(client.query(&deep).await, ["E 54001", "Z I"]);
    for deep in [
        format!("select {}1{}", "(".repeat(100_000), ")".repeat(100_000)),
        format!("select {}1", "- ".repeat(100_000)),
        format!("select {}true", "not ".repeat(100_000)),
        format!("select 1{}", " + 1".repeat(100_000)),
        format!("select {}1{}", "array[".repeat(50_000), "]".repeat(50_000)),
        format!("select {}1{}", "(select ".repeat(50_000), ")".repeat(50_000)),
    ] {
        let answer = client.query(&deep).await;
        assert!(
            answer[0] == "E 54001" || answer[0].starts_with("D "),
            "{}…: {answer:?}",
            &deep[..40]
        );
        assert_eq!(answer.last().unwrap(), "Z I");
    }
    let long = format!("select length('{}')", "x".repeat(20_000_000));
    assert_eq!(client.query(&long).await, ["D 20000000", "C SELECT 1", "Z I"]);
    // Zero bytes and broken UTF-8 in a text.
    client.send(b'Q', b"select '\xff'\0").await;
    assert_eq!(client.answer().await, ["E 22021", "Z I"]);
    assert_eq!(client.query("select 1").await, ["D 1", "C SELECT 1", "Z I"]);
    // A length that nobody could mean ends the connection, with a word.
    client.stream.write_all(b"Q\x7f\xff\xff\xff").await.unwrap();
    let farewell = client.read().await.unwrap();
    assert_eq!(
        (farewell.text().as_str(), farewell.field(b'S').as_deref()),
        ("08P01", Some("FATAL"))
    );
    let mut client = node.connect().await;
    client.write(&frame(b'?', b"")).await;
    assert_eq!(client.read().await.unwrap().text(), "08P01");
}
