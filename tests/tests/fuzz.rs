//! Everything that parses bytes from outside, against bytes that nobody meant: no panic, no stack overflow, no memory
//! explosion. `CAMBIUM_FUZZ_SECONDS=600 cargo test -p tests --test fuzz` is the long run of each target.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use frontend::wire::frame::next_frame;
use frontend::wire::startup::next_startup;
use frontend::wire::{Message, Output};
use planner::eval::session::FixedSession;
use planner::statement::{Planner, StatementContext};
use storage::key::{KeyOrder, decode_columns, encode_columns};
use storage::version::{Version, decode_datum};
use storage::{Datum, Jsonb};
use tests::fuzz::{Verdict, run};
use txn::{Node, NodeConfig, TransactionOptions};

fn verdict(is_understood: bool) -> Verdict {
    if is_understood {
        Verdict::Understood
    } else {
        Verdict::Refused
    }
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

// ---- wire ----

/// A message of the protocol.
fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    bytes.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// Splits a stream into messages, and decodes each; then takes the same bytes for the start of a connection.
fn wire(input: &[u8]) -> Verdict {
    let mut buffer = BytesMut::from(input);
    let mut decoded = 0;
    while let Ok(Some(frame)) = next_frame(&mut buffer) {
        match Message::decode(frame) {
            Ok(_) => decoded += 1,
            Err(error) => {
                let mut output = Output::default();
                output.report(&error, planner::Severity::Error);
                assert!(!output.pending().is_empty());
            }
        }
    }
    let started = next_startup(&mut BytesMut::from(input));
    verdict(decoded > 0 || matches!(started, Ok(Some(_))))
}

#[test]
fn wire_decoder() {
    let mut startup = 40_u32.to_be_bytes().to_vec();
    startup.extend_from_slice(&196_608_u32.to_be_bytes());
    startup.extend_from_slice(b"user\0cambium\0database\0cambium\0\0\0");
    let bind = b"portal\0statement\0\x00\x01\x00\x01\x00\x02\x00\x00\x00\x02ab\xff\xff\xff\xff\x00\x01\x00\x01";
    let seeds = vec![
        startup,
        vec![0, 0, 0, 8, 4, 210, 22, 47],
        vec![0, 0, 0, 16, 4, 210, 22, 46, 0, 0, 0, 1, 1, 2, 3, 4],
        message(b'Q', b"SELECT 1\0"),
        [
            message(b'P', b"statement\0SELECT $1\0\x00\x01\x00\x00\x00\x17"),
            message(b'S', b""),
        ]
        .concat(),
        message(b'B', bind),
        [
            message(b'D', b"Sstatement\0"),
            message(b'E', b"portal\0\x00\x00\x00\x0a"),
        ]
        .concat(),
        [message(b'C', b"Pportal\0"), message(b'H', b""), message(b'X', b"")].concat(),
        [message(b'd', b"1\t2\n"), message(b'c', b""), message(b'f', b"no\0")].concat(),
        message(b'p', b"SCRAM-SHA-256\0\x00\x00\x00\x05n,,n="),
    ];
    run(
        "wire",
        seeds,
        &[
            b"\0\0\0\x04",
            b"\0\0\0\x08",
            b"\xff\xff\xff\xff",
            b"\0",
            b"Q",
            b"P",
            b"B",
        ],
        wire,
    );
}

// ---- jsonb ----

/// Text as JSON, and bytes as a stored document: whatever is accepted can be printed, compared and read again.
fn json(input: &[u8]) -> Verdict {
    let mut understood = false;
    if let Ok(text) = std::str::from_utf8(input)
        && let Ok(document) = Jsonb::parse(text)
    {
        understood = true;
        let printed = document.to_string();
        let again = Jsonb::parse(&printed).expect("what is printed is JSON");
        assert_eq!(again, document, "printed and read again");
        Jsonb::from_bytes(document.as_bytes().clone()).expect("what the parser builds is well-formed");
    }
    if let Ok(document) = Jsonb::from_bytes(Bytes::copy_from_slice(input)) {
        understood = true;
        let printed = document.to_string();
        assert_eq!(Jsonb::parse(&printed).as_ref(), Ok(&document), "{printed}");
    }
    // Bytes that were not checked read as something; a checksum stands before them, and nothing else.
    let unchecked = Jsonb::from_trusted_bytes(Bytes::copy_from_slice(input));
    let _ = (unchecked.get("a"), unchecked.element(-1), unchecked.view().len());
    let _ = unchecked.to_string().len() + usize::from(unchecked == Jsonb::null());
    let _ = Version::decode(&Bytes::copy_from_slice(input));
    let _ = decode_datum(&Bytes::copy_from_slice(input));
    verdict(understood)
}

#[test]
fn jsonb_decoding() {
    let documents = [
        "null",
        "[]",
        "{}",
        r#"{"b": [1, 2.50, -3e10], "a": "x\u00e9\n", "": {"deep": [[[[{}]]]]}}"#,
        r#"[true, false, "\ud83d\ude00", 123456789012345678901234567890123456789012345678901234567890]"#,
        r#""text""#,
        "1e-1000",
        r#"{"a": 1, "a": 2, "aa": {"a": {"a": {"a": null}}}}"#,
    ];
    let mut seeds = texts(&documents);
    let stored = documents.iter().map(|text| Jsonb::parse(text).expect("a seed is JSON"));
    seeds.extend(stored.map(|document| document.as_bytes().to_vec()));
    let row = vec![
        Datum::Int4(7),
        Datum::Text("x".into()),
        Datum::Jsonb(Jsonb::empty_object()),
        Datum::Null,
    ];
    seeds.push(Version::encode_full(&row));
    let dictionary: &[&[u8]] = &[
        b"{\"a\":", b"}", b"[", b"]", b"\\u0000", b"\\ud800", b"1e9", b"-0", b"true", b",",
    ];
    run("jsonb", seeds, dictionary, json);
}

// ---- keys ----

/// Whatever decodes as a key encodes to a key that decodes to the same; order of bytes is order of values.
fn key(input: &[u8]) -> Verdict {
    let Ok(values) = decode_columns(input) else {
        return Verdict::Refused;
    };
    let orders = vec![KeyOrder::default(); values.len()];
    if let Ok(encoded) = encode_columns(&values, &orders) {
        let again = decode_columns(&encoded).expect("what was encoded decodes");
        assert_eq!(
            encode_columns(&again, &orders).ok().as_ref(),
            Some(&encoded),
            "{values:?}"
        );
    }
    let _ = (storage::key::parse_row_key(input), storage::key::parse_index_key(input));
    Verdict::Understood
}

#[test]
fn key_codec() {
    let json = Jsonb::parse(r#"{"a": [1, "x", null, {"b": 2.5}]}"#).expect("a seed is JSON");
    let values = [
        vec![Datum::Int4(7), Datum::Text("abc".into()), Datum::Null],
        vec![
            Datum::Numeric("-123.4500".parse().expect("a number")),
            Datum::Bool(true),
        ],
        vec![Datum::Float8(-1.5), Datum::Uuid([7; 16]), Datum::Timestamp(0)],
        vec![Datum::Jsonb(json)],
        vec![Datum::record(vec![Datum::Int2(1), Datum::Text("z".into())])],
        vec![storage::Array::vector(23, vec![Datum::Int4(1), Datum::Null]).into()],
    ];
    let encode = |values: &Vec<Datum>| {
        encode_columns(values, &vec![KeyOrder::default(); values.len()]).expect("a seed can be encoded")
    };
    let seeds = values.iter().map(encode).collect();
    run(
        "key",
        seeds,
        &[
            b"\x00\xff",
            b"\x00\x01",
            b"\x12\x08",
            b"\x14",
            b"\x15",
            b"\xff",
            b"\x07\x04",
        ],
        key,
    );
}

// ---- SQL ----

const TABLES: &str =
    "CREATE TABLE t (id int PRIMARY KEY, a text, b numeric(10, 2), doc jsonb, tags text[], at timestamptz);
    CREATE TABLE u (id int PRIMARY KEY, t int REFERENCES t, x float8, y date); CREATE INDEX ON t ((doc->>'k'));
    CREATE VIEW v AS SELECT t.id, u.x FROM t JOIN u ON u.t = t.id";

const STATEMENTS: [&str; 34] = [
    "SELECT * FROM t",
    "SELECT id, a || 'x', b * 2 + 1 FROM t WHERE id BETWEEN 1 AND 10 AND a LIKE 'x%' ORDER BY b DESC NULLS LAST LIMIT 5",
    "SELECT doc->'a'->>'b', doc #>> '{a,b,0}', doc['a'][0] FROM t WHERE doc @> '{\"a\": 1}' AND doc ? 'k'",
    "SELECT jsonb_path_query(doc, '$.a[*] ? (@.b > 1 && exists(@.c)).d') FROM t WHERE doc @@ '$.a == 1'",
    "SELECT t.id, count(*), sum(u.x) FILTER (WHERE u.x > 0) FROM t LEFT JOIN u ON u.t = t.id GROUP BY ROLLUP (t.id) HAVING count(*) > 1",
    "SELECT a, rank() OVER (PARTITION BY a ORDER BY b ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM t",
    "WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 10) SELECT * FROM r",
    "SELECT * FROM t WHERE id IN (SELECT t FROM u WHERE u.x > t.b) OR EXISTS (SELECT 1 FROM u WHERE u.t = t.id)",
    "SELECT * FROM t CROSS JOIN LATERAL (SELECT max(x) AS m FROM u WHERE u.t = t.id) AS l",
    "SELECT DISTINCT ON (a) a, b FROM t ORDER BY a, b",
    "SELECT CASE WHEN id > 1 THEN 'a' WHEN a IS NULL THEN NULL ELSE a END, COALESCE(a, b::text), NULLIF(id, 1) FROM t",
    "(SELECT 1 UNION SELECT 2) INTERSECT SELECT 1 EXCEPT ALL VALUES (1), (2)",
    "INSERT INTO t (id, a, doc) VALUES (1, 'x', '{\"a\": 1}'), (2, DEFAULT, NULL) ON CONFLICT (id) DO UPDATE SET a = excluded.a RETURNING *",
    "INSERT INTO u SELECT g, g % 3, random(), current_date FROM generate_series(1, 10) AS g",
    "UPDATE t SET doc['a']['b'] = '1', b = b + 1 WHERE id = 1 RETURNING doc",
    "UPDATE t SET doc = jsonb_set(doc, '{a,b}', '2') || '{\"c\": 3}' - 'd' #- '{e,0}' FROM u WHERE u.t = t.id",
    "DELETE FROM t USING u WHERE t.id = u.t AND u.y < date '2020-01-01' - interval '1 month'",
    "WITH d AS (DELETE FROM u RETURNING *) INSERT INTO t (id) SELECT id FROM d",
    "SELECT ARRAY[1, 2, 3][1:2], tags[1], array_agg(a ORDER BY id), unnest(tags) FROM t GROUP BY tags",
    "SELECT id FROM t FOR NO KEY UPDATE OF t SKIP LOCKED",
    "SELECT extract(epoch FROM at), date_trunc('day', at), at AT TIME ZONE 'UTC', to_char(at, 'YYYY-MM-DD') FROM t",
    "SELECT '1'::int + $1, $2::text, CAST($3 AS numeric), ROW(1, 'a') = ROW(2, 'b'), (1, 2) < (2, 1)",
    "VALUES (1, 'a'), (2, NULL)",
    "EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM v",
    "CREATE TABLE w (id serial PRIMARY KEY, c int CHECK (c > 0) UNIQUE, d int GENERATED ALWAYS AS (c * 2) STORED, FOREIGN KEY (c) REFERENCES t ON DELETE CASCADE)",
    "ALTER TABLE t ADD COLUMN z int DEFAULT 1 NOT NULL, DROP COLUMN a",
    "CREATE UNIQUE INDEX i ON t ((doc->>'a') DESC, lower(a)) WHERE b > 0",
    "DROP TABLE IF EXISTS t, u CASCADE",
    "SELECT substring('abc' FROM 2 FOR 1), trim(BOTH 'x' FROM a), position('a' IN a), overlay(a PLACING 'b' FROM 1) FROM t",
    "SELECT json_build_object('a', 1), jsonb_agg(doc), row_to_json(t), to_jsonb(t.*) FROM t GROUP BY t.id",
    "SELECT g, sum(g) OVER w FROM generate_series(1, 5) AS s(g) WINDOW w AS (ORDER BY g)",
    "SELECT U&'d\\0061t' || E'\\x41\\n' || $tag$ x $tag$ || B'101'::text, 1e10, .5, 0.1e-5, 'a' 'b'",
    "SELECT ((((((((((1))))))))))",
    "SELECT NOT NOT NOT TRUE, - - - 1, a IS DISTINCT FROM b::text FROM t",
];

const WORDS: &[&[u8]] = &[
    b"SELECT ",
    b" FROM t",
    b" WHERE ",
    b" AND ",
    b" OR ",
    b"NOT ",
    b"(",
    b")",
    b"::int",
    b"::jsonb",
    b"::text",
    b"->",
    b"->>",
    b"NULL",
    b"'",
    b"''",
    b"\"",
    b"$1",
    b"$$",
    b"--",
    b"/*",
    b"*/",
    b";",
    b"[",
    b"]",
    b",",
    b"CASE WHEN ",
    b" END",
    b" UNION ALL ",
    b" JOIN u ON true",
    b" ORDER BY 1",
    b" GROUP BY 1",
    b" LIMIT 1",
    b"EXISTS (",
    b" IN (",
    b"ARRAY[",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"1e400",
    b"E'\\",
    b"U&'",
    b"interval '1'",
    b"EXPLAIN ",
    b" OVER ()",
    b"count(*)",
    b"coalesce(",
    b" COLLATE \"C\"",
    b" AS x",
    b"t.*",
    b"ROW(",
    b"generate_series(1,2)",
    b"\xc3\xa9",
    b"\0",
];

/// A planner over a node with some tables.
struct Sql {
    planner: Arc<Planner>,
    runtime: tokio::runtime::Runtime,
    _directory: tempfile::TempDir,
}

impl Sql {
    fn new() -> anyhow::Result<Sql> {
        let directory = tempfile::tempdir()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let config = NodeConfig {
            data: directory.path().join("data"),
            shard_count: 1,
            ..NodeConfig::default()
        };
        let planner = runtime.block_on(async {
            let node = Node::open(config).await?;
            Ok::<_, anyhow::Error>(Planner::open(node).await?)
        })?;
        let sql = Sql {
            planner,
            runtime,
            _directory: directory,
        };
        for statement in TABLES.split(';') {
            sql.plan(statement, true)?;
        }
        Ok(sql)
    }

    /// Parses, binds and plans; runs only what `is_run` says.
    fn plan(&self, text: &str, is_run: bool) -> planner::SqlResult<usize> {
        let session = Arc::new(FixedSession::default());
        self.runtime.block_on(async {
            let catalog = self.planner.catalog().await?;
            let parsed = self.planner.parse(text)?;
            for statement in &parsed {
                let prepared = self.planner.prepare(&catalog, &*session, statement, &[])?;
                if !is_run && prepared.is_ddl {
                    continue;
                }
                let context = StatementContext {
                    transaction: Arc::new(self.planner.node.begin(TransactionOptions::default())),
                    catalog: catalog.clone(),
                    session: session.clone(),
                    parameters: prepared.parameters.iter().map(|_| Datum::Null).collect(),
                    cancel: tokio_util::sync::CancellationToken::new(),
                };
                context.transaction.begin_statement(true).await?;
                if is_run {
                    self.planner.execute(&context, &prepared).await?;
                    context.transaction.commit().await?;
                    continue;
                }
                // EXPLAIN builds the plan and does not run it.
                let explained = self.planner.parse(&format!("EXPLAIN {}", statement.text))?;
                if let [explain] = &explained[..]
                    && !statement.text.trim_start().to_ascii_uppercase().starts_with("EXPLAIN")
                {
                    let explain = self.planner.prepare(&catalog, &*session, explain, &[])?;
                    self.planner.execute(&context, &explain).await?;
                }
            }
            Ok(parsed.len())
        })
    }
}

#[test]
fn sql_to_plan() {
    let sql = Sql::new().expect("a node can be opened");
    run("sql", texts(&STATEMENTS), WORDS, move |input| {
        let text = String::from_utf8_lossy(input);
        verdict(sql.plan(&text, false).is_ok_and(|count| count > 0))
    });
}
