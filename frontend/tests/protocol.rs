//! The protocol as clients see it, message by message, on a real node.

mod client;

use client::{Client, Node, extended, frame, lines};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(flavor = "multi_thread")]
async fn startup_tells_settings_and_a_key() {
    let node = Node::start().await;
    let mut client = Client::open(node.running.sql).await;
    client
        .startup(
            3 << 16,
            &[
                ("user", "cambium"),
                ("application_name", "test"),
                ("options", "-c DateStyle=SQL,DMY"),
            ],
        )
        .await;
    let messages = client.until(b'Z').await;
    assert_eq!(messages[0].tag, 'R');
    let settings: Vec<String> = messages
        .iter()
        .filter(|message| message.tag == 'S')
        .map(|message| {
            String::from_utf8_lossy(&message.body)
                .replace('\0', " ")
                .trim_end()
                .to_owned()
        })
        .collect();
    for expected in [
        "application_name test",
        "DateStyle SQL, DMY",
        "server_version 15.18",
        "is_superuser on",
    ] {
        assert!(
            settings.iter().any(|setting| setting == expected),
            "{expected} in {settings:?}"
        );
    }
    assert_eq!(client.key.len(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn encryption_is_declined_and_versions_are_negotiated() {
    let node = Node::start().await;
    let mut client = Client::open(node.running.sql).await;
    for code in [80_877_103_u32, 80_877_104] {
        client
            .write(&[&8_u32.to_be_bytes()[..], &code.to_be_bytes()].concat())
            .await;
        assert_eq!(client.stream.read_u8().await.unwrap(), b'N');
    }
    client
        .startup((3 << 16) | 2, &[("user", "cambium"), ("_pq_.speed", "1")])
        .await;
    let first = client.read().await.unwrap();
    assert_eq!(
        (first.tag, &first.body[..]),
        ('v', &b"\0\x03\0\0\0\0\0\x01_pq_.speed\0"[..])
    );
    client.until(b'Z').await;
    let mut old = Client::open(node.running.sql).await;
    old.startup(2 << 16, &[]).await;
    assert_eq!(old.read().await.unwrap().text(), "0A000");
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_roles_and_databases_are_refused() {
    let node = Node::start().await;
    for (user, database, code) in [
        ("nobody", "cambium", "28000"),
        ("cambium", "nowhere", "3D000"),
        ("", "", "28000"),
    ] {
        let mut client = Client::open(node.running.sql).await;
        client.startup(3 << 16, &[("user", user), ("database", database)]).await;
        let error = loop {
            match client.read().await {
                Some(message) if message.tag == 'E' => break message,
                Some(_) => {}
                None => panic!("closed without an error"),
            }
        };
        assert_eq!(
            (error.text().as_str(), error.field(b'S').as_deref()),
            (code, Some("FATAL"))
        );
        assert_eq!(client.read().await, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_statements_are_one_transaction() {
    let node = Node::start().await;
    let mut client = node.connect().await;
    assert_eq!(client.query("").await, ["I", "Z I"]);
    assert_eq!(
        client.query("set work_mem = '9MB'; show nothing; show work_mem").await,
        ["C SET", "E 42704", "Z I"]
    );
    assert_eq!(client.query("show work_mem").await, ["D 4MB", "C SHOW", "Z I"]);
    assert_eq!(
        client.query("set work_mem = '9MB'; show work_mem").await,
        ["C SET", "D 9MB", "C SHOW", "Z I"]
    );
    assert_eq!(
        client.query("begin; savepoint a; selec; rollback").await,
        ["E 42601", "Z I"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_fails_as_a_whole_and_savepoints_save_it() {
    let node = Node::start().await;
    let mut client = node.connect().await;
    assert_eq!(client.query("begin").await, ["C BEGIN", "Z T"]);
    assert_eq!(client.query("begin").await, ["N 25001", "C BEGIN", "Z T"]);
    assert_eq!(client.query("savepoint a").await, ["C SAVEPOINT", "Z T"]);
    assert_eq!(client.query("show nothing").await, ["E 42704", "Z E"]);
    assert_eq!(client.query("show work_mem").await, ["E 25P02", "Z E"]);
    assert_eq!(client.query("rollback to b").await, ["E 3B001", "Z E"]);
    assert_eq!(client.query("rollback to a").await, ["C ROLLBACK", "Z T"]);
    assert_eq!(
        client.query("set transaction isolation level serializable").await,
        ["E 25001", "Z E"]
    );
    assert_eq!(client.query("commit and chain").await, ["C ROLLBACK", "Z T"]);
    assert_eq!(client.query("commit").await, ["C COMMIT", "Z I"]);
    assert_eq!(client.query("commit").await, ["N 25P01", "C COMMIT", "Z I"]);
    assert_eq!(client.query("savepoint a").await, ["E 25P01", "Z I"]);
    assert_eq!(client.query("rollback and chain").await, ["E 25P01", "Z I"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn transaction_modes_are_shown() {
    let node = Node::start().await;
    let mut client = node.connect().await;
    client.query("begin isolation level repeatable read, read only").await;
    assert_eq!(
        client.query("show transaction isolation level").await[0],
        "D repeatable read"
    );
    assert_eq!(client.query("show transaction_read_only").await[0], "D on");
    client.query("rollback").await;
    assert_eq!(client.query("show transaction_isolation").await[0], "D read committed");
    client
        .query("set session characteristics as transaction isolation level serializable")
        .await;
    assert_eq!(
        client.query("begin; show transaction_isolation; rollback").await[1],
        "D serializable"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_extended_protocol_answers_step_by_step() {
    let node = Node::start().await;
    let mut client = node.connect().await;
    let steps = [
        frame(b'P', b"s\0show work_mem\0\0\0"),
        frame(b'D', b"Ss\0"),
        frame(b'B', b"p\0s\0\0\0\0\0\0\0"),
        frame(b'D', b"Pp\0"),
        frame(b'E', b"p\0\0\0\0\0"),
        frame(b'C', b"Pp\0"),
        frame(b'S', b""),
    ];
    client.write(&steps.concat()).await;
    let messages = client.until(b'Z').await;
    let tags: String = messages.iter().map(|message| message.tag).collect();
    assert_eq!(tags, "1tT2TDC3Z");
    assert_eq!(lines(&messages), ["1", "t", "2", "D 4MB", "C SHOW", "3", "Z I"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_skips_to_sync_and_no_further() {
    let node = Node::start().await;
    let mut client = node.connect().await;
    let batch = [
        extended("set work_mem = '9MB'"),
        extended("show nothing"),
        extended("show work_mem"),
        frame(b'S', b""),
        extended("show work_mem"),
        frame(b'S', b""),
    ];
    client.write(&batch.concat()).await;
    assert_eq!(client.answer().await, ["1", "2", "C SET", "1", "2", "E 42704", "Z I"]);
    assert_eq!(client.answer().await, ["1", "2", "D 4MB", "C SHOW", "Z I"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn row_limits_suspend_a_portal() {
    let node = Node::start().await;
    let mut client = node.connect().await;
    let batch = [
        frame(b'P', b"\0show all\0\0\0"),
        frame(b'B', b"p\0\0\0\0\0\0\0\0"),
        frame(b'E', b"p\0\0\0\0\x02"),
        frame(b'E', b"p\0\0\0\0\x01"),
        frame(b'S', b""),
    ];
    client.write(&batch.concat()).await;
    let tags: String = client.until(b'Z').await.iter().map(|message| message.tag).collect();
    assert_eq!(tags, "12DDsDsZ");
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_messages_are_errors_and_the_session_lives() {
    let node = Node::start().await;
    let mut client = node.connect().await;
    client
        .write(&[frame(b'B', b"p\0s\0\0\x05"), frame(b'E', b"p\0"), frame(b'S', b"")].concat())
        .await;
    assert_eq!(client.answer().await, ["E 08P01", "Z I"]);
    client
        .write(&[frame(b'P', b"\0show \xff\0\0\0"), frame(b'S', b"")].concat())
        .await;
    assert_eq!(client.answer().await, ["E 22021", "Z I"]);
    client.send(b'Q', b"no end").await;
    assert_eq!(client.answer().await, ["E 08P01", "Z I"]);
    client.send(b'F', b"\0\0").await;
    assert_eq!(client.answer().await, ["E 0A000", "Z I"]);
    for (bind, code) in [
        (&b"\0missing\0\0\0\0\0\0\0"[..], "26000"),
        (b"\0\0\0\0\0\x01\0\0\0\0\0\0", "26000"),
    ] {
        client.write(&[frame(b'B', bind), frame(b'S', b"")].concat()).await;
        assert_eq!(client.answer().await, [format!("E {code}"), "Z I".into()]);
    }
    assert_eq!(client.query("show work_mem").await[0], "D 4MB");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_without_structure_ends_the_connection() {
    let node = Node::start().await;
    for bytes in [&b"\x16\x03\x01"[..], b"Q\0\0\0\x01", b"S\x7f\xff\xff\xff"] {
        let mut client = node.connect().await;
        client.write(bytes).await;
        let error = client.read().await.unwrap();
        assert_eq!(
            (error.text().as_str(), error.field(b'S').as_deref()),
            ("08P01", Some("FATAL"))
        );
        assert_eq!(client.read().await, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_bytes_leave_the_server_alive() {
    use rand::{Rng, SeedableRng};
    let node = Node::start().await;
    let mut random = rand::rngs::StdRng::seed_from_u64(7);
    for round in 0..300 {
        let mut client = if round % 2 == 0 {
            node.connect().await
        } else {
            Client::open(node.running.sql).await
        };
        let mut bytes: Vec<u8> = (0..random.random_range(1..200)).map(|_| random.random()).collect();
        if round % 3 == 0 {
            // A right tag and length around the noise reaches the decoders.
            bytes = frame(b"QPBDECHSXdcfpF"[random.random_range(0..14)], &bytes);
        }
        // The server may have hung up already, which is its right.
        let _ = client.stream.write_all(&bytes).await;
        let _ = client.stream.shutdown().await;
        let mut rest = Vec::new();
        let _ = client.stream.read_to_end(&mut rest).await;
    }
    assert_eq!(node.connect().await.query("show work_mem").await[0], "D 4MB");
}

#[tokio::test(flavor = "multi_thread")]
async fn notifications_arrive_outside_of_transactions() {
    let node = Node::start().await;
    let (mut ann, mut bob) = (node.connect().await, node.connect().await);
    ann.query("listen news").await;
    ann.query("begin").await;
    bob.query("begin; notify news, 'one'").await;
    bob.query("rollback").await;
    bob.query("notify news, 'two'").await;
    assert_eq!(ann.query("show work_mem").await, ["D 4MB", "C SHOW", "Z T"]);
    let answer = ann.query("commit").await;
    assert_eq!(answer, ["C COMMIT", "A", "Z I"]);
    bob.query("notify news, 'three'").await;
    let message = ann.read().await.unwrap();
    assert_eq!((message.tag, &message.body[4..]), ('A', &b"news\0three\0"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_only_so_many_places() {
    let node = Node::start_with(&["--max-connections", "1"]).await;
    let first = node.connect().await;
    let mut second = Client::open(node.running.sql).await;
    second.startup(3 << 16, &[("user", "cambium")]).await;
    assert_eq!(second.read().await.unwrap().text(), "53300");
    drop(first);
    // The place is free once the server has noticed.
    loop {
        let mut third = Client::open(node.running.sql).await;
        third.startup(3 << 16, &[("user", "cambium")]).await;
        if third.read().await.unwrap().tag == 'R' {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_says_goodbye() {
    let node = Node::start().await;
    let mut client = node.connect().await;
    let address = node.running.sql;
    node.running.stop().await;
    assert_eq!(client.read().await.unwrap().text(), "57P01");
    assert_eq!(client.read().await, None);
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn loopback_without_a_password_is_not_enough_when_scram_is_demanded() {
    let node = Node::start_with(&["--auth", "scram"]).await;
    let mut client = Client::open(node.running.sql).await;
    client.startup(3 << 16, &[("user", "cambium")]).await;
    let request = client.read().await.unwrap();
    assert_eq!(
        (request.tag, &request.body[..]),
        ('R', &b"\0\0\0\x0aSCRAM-SHA-256\0\0"[..])
    );
    let first = b"n,,n=,r=abcdefghijklmnopqrstuvwx";
    let body = [&b"SCRAM-SHA-256\0"[..], &(first.len() as u32).to_be_bytes(), first].concat();
    client.send(b'p', &body).await;
    let challenge = client.read().await.unwrap();
    let text = String::from_utf8_lossy(&challenge.body[4..]).into_owned();
    let nonce = text.split(',').next().unwrap().to_owned();
    client
        .send(b'p', format!("c=biws,{nonce},p={}", "A".repeat(43) + "=").as_bytes())
        .await;
    assert_eq!(client.read().await.unwrap().text(), "28P01");
}
