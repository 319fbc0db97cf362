//! C7: a path is known before a lock on it is granted, documents are learned once they are committed, and what is known lasts.

use storage::{Jsonb, Shape};

use super::*;

const COLUMN: u16 = 2;

fn json(text: &str) -> Jsonb {
    Jsonb::parse(text).unwrap()
}

/// What the records in the meta group say, not what is in memory.
async fn check(fixture: &Fixture) {
    fixture.check().await;
}

fn paths_of(shape: &Shape) -> Vec<String> {
    let mut paths = Vec::new();
    shape.for_each(&mut |steps, node| {
        let types: Vec<&str> = node.types().names().collect();
        paths.push(format!("{} {}", storage::shape::path_text(steps), types.join("|")));
    });
    paths
}

async fn known(fixture: &Fixture) -> Vec<String> {
    let transaction = fixture.begin();
    transaction.settle_paths().await.unwrap();
    paths_of(&transaction.known_paths(TABLE, COLUMN))
}

async fn write_document(fixture: &Fixture, name: &str, text: &str) {
    let transaction = fixture.begin();
    transaction.begin_statement(true).await.unwrap();
    lock_row(&transaction, name, Mode::Exclusive).await.unwrap();
    transaction.learn_paths(TABLE, COLUMN, &[], json(text).view());
    transaction
        .write(TABLE, &key(name), RowWrite::Put(row(name, 1)))
        .unwrap();
    transaction.commit().await.unwrap();
}

#[tokio::test]
async fn a_path_is_known_before_a_lock_on_it_is_granted() {
    let fixture = Fixture::new().await;
    let path = || {
        Path::new(
            COLUMN,
            [
                Step::Member("items".into()),
                Step::Element(3),
                Step::Member("qty".into()),
            ],
        )
    };
    let transaction = fixture.begin();
    transaction.begin_statement(true).await.unwrap();
    lock_path(&transaction, "a", path(), Mode::Exclusive).await.unwrap();
    // No waiting and no settling: whoever holds the lock can rely on it, and a crash right now does not lose it.
    let shape = transaction.known_paths(TABLE, COLUMN);
    let expected = ["$ ", "$.items ", "$.items[*] ", "$.items[*].qty "];
    assert_eq!(paths_of(&shape), expected, "known, and nobody has seen a value");
    lock_path(&transaction, "a", member("sum"), Mode::Add).await.unwrap();
    assert!(
        transaction
            .known_paths(TABLE, COLUMN)
            .covers_at(&member("sum").steps, None)
    );
    transaction.rollback().await;
    check(&fixture).await;
    let fixture = fixture.crash().await;
    assert!(paths_of(&fixture.begin().known_paths(TABLE, COLUMN)).contains(&"$.items[*].qty ".to_string()));
    check(&fixture).await;
}

#[tokio::test]
async fn what_is_only_read_makes_no_path() {
    let fixture = Fixture::new().await;
    let transaction = fixture.begin();
    transaction.begin_statement(true).await.unwrap();
    lock_path(&transaction, "a", member("typo"), Mode::Shared)
        .await
        .unwrap();
    lock_path(&transaction, "a", Path::column(1), Mode::Exclusive)
        .await
        .unwrap();
    assert!(transaction.known_paths(TABLE, COLUMN).is_empty());
    assert!(transaction.known_paths(TABLE, 1).is_empty());
    transaction.begin_rehearsal();
    lock_path(&transaction, "a", member("rehearsed"), Mode::Exclusive)
        .await
        .unwrap();
    assert!(transaction.known_paths(TABLE, COLUMN).is_empty());
}

#[tokio::test]
async fn a_closed_column_learns_nothing_from_locks() {
    let fixture = Fixture::new().await;
    write_document(&fixture, "a", r#"{"a": 1}"#).await;
    let before = known(&fixture).await;
    let transaction = fixture.begin();
    transaction.begin_statement(true).await.unwrap();
    transaction.keep_paths_closed(TABLE, COLUMN);
    for number in 0..300 {
        lock_path(&transaction, "a", member(&format!("m{number}")), Mode::Exclusive)
            .await
            .unwrap();
    }
    assert_eq!(known(&fixture).await, before);
}

#[tokio::test]
async fn committed_documents_are_learned_and_survive_a_crash() {
    let fixture = Fixture::new().await;
    write_document(&fixture, "a", r#"{"a": 1, "b": [{"c": null}]}"#).await;
    let expected = ["$ object", "$.a number", "$.b array", "$.b[*] object", "$.b[*].c null"];
    assert_eq!(known(&fixture).await, expected);
    check(&fixture).await;
    let fixture = fixture.crash().await;
    assert_eq!(known(&fixture).await, expected);
    write_document(&fixture, "b", r#"{"a": "text"}"#).await;
    let fixture = fixture.reopen().await;
    assert_eq!(
        known(&fixture).await[1],
        "$.a number|string",
        "a shutdown keeps what still waited"
    );
    check(&fixture).await;
}

#[tokio::test]
async fn what_is_rolled_back_is_not_learned() {
    let fixture = Fixture::new().await;
    let transaction = fixture.begin();
    transaction.begin_statement(true).await.unwrap();
    transaction.learn_paths(TABLE, COLUMN, &[], json(r#"{"kept": 1}"#).view());
    let mark = transaction.savepoint();
    transaction.learn_paths(TABLE, COLUMN, &[], json(r#"{"undone": 1}"#).view());
    transaction.rollback_to(mark).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(known(&fixture).await, ["$ object", "$.kept number"]);
    let transaction = fixture.begin();
    transaction.begin_statement(true).await.unwrap();
    transaction.learn_paths(TABLE, COLUMN, &[], json(r#"{"undone": 1}"#).view());
    transaction.rollback().await;
    assert_eq!(known(&fixture).await.len(), 2);
}

#[tokio::test]
async fn forgetting_is_part_of_the_transaction() {
    let fixture = Fixture::new().await;
    write_document(&fixture, "a", r#"{"old": 1}"#).await;
    known(&fixture).await;
    let transaction = fixture.begin();
    transaction.begin_statement(true).await.unwrap();
    transaction.forget_paths(TABLE, None);
    transaction.rollback().await;
    assert_eq!(known(&fixture).await, ["$ object", "$.old number"]);
    let transaction = fixture.begin();
    transaction.begin_statement(true).await.unwrap();
    transaction.forget_paths(TABLE, None);
    // What is known now is forgotten then.
    transaction.learn_paths(TABLE, COLUMN, &[], json(r#"{"old": 1}"#).view());
    transaction.learn_paths(TABLE, COLUMN, &[], json(r#"{"new": {"old": 1}}"#).view());
    transaction.commit().await.unwrap();
    let expected = ["$ object", "$.new object", "$.new.old number", "$.old number"];
    assert_eq!(known(&fixture).await, expected);
    check(&fixture).await;
    let fixture = fixture.crash().await;
    assert_eq!(known(&fixture).await, expected);
    fixture
        .node
        .keep_paths_of(|table, column| (table, column) != (TABLE, COLUMN))
        .await
        .unwrap();
    assert!(known(&fixture).await.iter().all(|path| path == "$ "));
    check(&fixture).await;
}

/// TRUNCATE, INSERT and closing the column in one transaction: what closing registers is not what TRUNCATE forgets.
#[tokio::test]
async fn what_is_registered_behind_a_forgetting_outlasts_it() {
    let fixture = Fixture::new().await;
    write_document(&fixture, "a", r#"{"old": 1}"#).await;
    known(&fixture).await;
    let transaction = fixture.begin();
    transaction.begin_statement(true).await.unwrap();
    transaction.forget_paths(TABLE, Some(COLUMN));
    let mut shape = Shape::default();
    shape.learn(json(r#"{"kept": 1}"#).view());
    transaction.register_paths(TABLE, COLUMN, shape).await.unwrap();
    assert!(paths_of(&transaction.known_paths(TABLE, COLUMN)).contains(&"$.kept number".into()));
    transaction.commit().await.unwrap();
    assert_eq!(known(&fixture).await, ["$ object", "$.kept number"]);
    check(&fixture).await;
}

#[tokio::test]
async fn learning_changes_neither_table_versions_nor_the_registry() {
    let fixture = Fixture::new().await;
    let before = fixture.node.newest_registry_version();
    let planned = fixture.begin();
    planned.begin_statement(true).await.unwrap();
    planned.expect_table(TABLE, 1);
    write_document(&fixture, "a", r#"{"a": {"b": 1}}"#).await;
    known(&fixture).await;
    assert_eq!(fixture.node.newest_registry_version(), before);
    lock_row(&planned, "b", Mode::Exclusive).await.unwrap();
    planned.write(TABLE, &key("b"), RowWrite::Put(row("b", 1))).unwrap();
    planned.commit().await.unwrap();
}

#[tokio::test]
async fn many_sessions_learn_the_same_paths_once() {
    let fixture = Fixture::new().await;
    let learn = |number: usize| {
        let fixture = &fixture;
        async move {
            let transaction = fixture.begin();
            transaction.begin_statement(true).await.unwrap();
            for round in 0..20 {
                let path = member(&format!("m{}", (number + round) % 25));
                let name = format!("row {number}");
                lock_path(&transaction, &name, path.clone(), Mode::Exclusive)
                    .await
                    .unwrap();
                assert!(transaction.known_paths(TABLE, COLUMN).covers_at(&path.steps, None));
            }
        }
    };
    futures::future::join_all((0..16).map(learn)).await;
    assert_eq!(known(&fixture).await.len(), 26);
    check(&fixture).await;
}

/// What a statement pays for a path that is known: `cargo test -p txn --lib -- --ignored --nocapture cost_of_a_known_path`.
#[tokio::test]
#[ignore = "a measurement"]
async fn cost_of_a_known_path() {
    let fixture = Fixture::new().await;
    let members: Vec<String> = (0..100)
        .map(|n| format!(r#""member{n}": {{"a": {{"b": {n}}}}}"#))
        .collect();
    write_document(&fixture, "a", &format!("{{{}}}", members.join(","))).await;
    known(&fixture).await;
    let transaction = fixture.begin();
    let steps = ["member57", "a", "b"].map(|name| Step::Member(name.into()));
    let request = row_lock("a", RowPart::Path(Path::new(COLUMN, steps.clone())), Mode::Exclusive);
    let rounds = 1_000_000;
    let start = std::time::Instant::now();
    for _ in 0..rounds {
        crate::paths::register_before_lock(&transaction.inner, std::slice::from_ref(&request))
            .await
            .unwrap();
    }
    println!("before a lock: {:?}", start.elapsed() / rounds);
    let value = json("5");
    let start = std::time::Instant::now();
    for _ in 0..rounds {
        transaction.learn_paths(TABLE, COLUMN, &steps, value.view());
    }
    println!("of a written value: {:?}", start.elapsed() / rounds);
}
