//! The README's tour: its SQL blocks run as they stand.

use tests::Server;

#[tokio::test]
async fn the_commands_of_the_tour_run() -> anyhow::Result<()> {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md"))?;
    let blocks: Vec<&str> = readme
        .split("```sql\n")
        .skip(1)
        .filter_map(|block| block.split("```").next())
        .collect();
    assert!(blocks.len() >= 3, "the README has lost its tour");

    let directory = tempfile::tempdir()?;
    let server = Server::start(&directory.path().join("data"))?;
    let client = server.connect().await?;
    for block in blocks {
        client
            .batch_execute(block)
            .await
            .map_err(|error| anyhow::anyhow!("{error:?} in\n{block}"))?;
    }
    client.batch_execute("ROLLBACK").await?;
    let row = client.query_one("SELECT doc::text FROM cart WHERE id = 1", &[]).await?;
    let document: &str = row.get(0);
    assert_eq!(
        document,
        r#"{"items": [{"qty": 2, "sku": "tea"}], "coupon": "SPRING", "customer": "ada"}"#
    );
    server.stop()
}
