//! Keys order as PostgreSQL orders values: each type is a primary key here and there, filled with edge cases and random
//! values. Cambium reads a table in the order of its encoded keys; PostgreSQL is asked to sort.

use anyhow::{Result, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tests::Server;
use tests::postgres::Postgres;
use tokio_postgres::{Client, SimpleQueryMessage};

/// Random values of each type, beside the ones written out.
const RANDOM_VALUES: usize = 60;

/// A type, values that are easy to get wrong, and how to make more.
struct Case {
    ty: &'static str,
    edges: &'static [&'static str],
    random: fn(&mut StdRng) -> String,
}

fn decimal(random: &mut StdRng) -> String {
    let exponent = random.random_range(-12..12);
    let mantissa: i64 = random.random_range(-99_999..99_999);
    format!("{mantissa}e{exponent}")
}

fn word(random: &mut StdRng) -> String {
    let letters = ["a", "b", "B", "z", " ", "0", "é", "ß", "中", "\u{1F600}", "~", "\t"];
    (0..random.random_range(0..6))
        .map(|_| letters[random.random_range(0..letters.len())])
        .collect()
}

fn moment(random: &mut StdRng) -> String {
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:06}",
        random.random_range(1..9999),
        random.random_range(1..13),
        random.random_range(1..29),
        random.random_range(0..24),
        random.random_range(0..60),
        random.random_range(0..60),
        random.random_range(0..1_000_000),
    )
}

fn document(random: &mut StdRng, depth: u32) -> String {
    match random.random_range(0..if depth == 0 { 5 } else { 7 }) {
        0 => "null".into(),
        1 => "true".into(),
        2 => "false".into(),
        3 => decimal(random),
        4 => format!("\"{}\"", word(random).replace('\t', " ")),
        5 => {
            let elements: Vec<_> = (0..random.random_range(0..4))
                .map(|_| document(random, depth - 1))
                .collect();
            format!("[{}]", elements.join(","))
        }
        _ => {
            let members: Vec<_> = (0..random.random_range(0..4))
                .map(|_| {
                    format!(
                        "\"{}\": {}",
                        ["a", "b", "aa", "c"][random.random_range(0..4)],
                        document(random, depth - 1)
                    )
                })
                .collect();
            format!("{{{}}}", members.join(","))
        }
    }
}

const CASES: &[Case] = &[
    Case {
        ty: "bool",
        edges: &["t", "f"],
        random: |random| random.random_bool(0.5).to_string(),
    },
    Case {
        ty: "int2",
        edges: &["-32768", "-1", "0", "1", "32767"],
        random: |random| random.random::<i16>().to_string(),
    },
    Case {
        ty: "int4",
        edges: &["-2147483648", "-1", "0", "255", "256", "2147483647"],
        random: |random| random.random::<i32>().to_string(),
    },
    Case {
        ty: "int8",
        edges: &["-9223372036854775808", "-1", "0", "9223372036854775807"],
        random: |random| random.random::<i64>().to_string(),
    },
    Case {
        ty: "float4",
        edges: &[
            "NaN",
            "-Infinity",
            "Infinity",
            "0",
            "1e-40",
            "-1e-40",
            "3.4028235e38",
            "-3.4028235e38",
        ],
        random: decimal,
    },
    Case {
        ty: "float8",
        edges: &[
            "NaN",
            "-Infinity",
            "Infinity",
            "0",
            "-0",
            "5e-324",
            "-5e-324",
            "1.7976931348623157e308",
        ],
        random: decimal,
    },
    Case {
        ty: "numeric",
        edges: &[
            "NaN",
            "-Infinity",
            "Infinity",
            "0",
            "0.00",
            "1.10",
            "1.1",
            "-1.1",
            "1e300",
            "-1e300",
            "1e-300",
            "-1e-300",
            "9999",
            "10000",
            "99990000",
        ],
        random: decimal,
    },
    Case {
        ty: "text COLLATE \"C\"",
        edges: &["", " ", "a", "a ", "ab", "A", "é", "\u{10FFFF}"],
        random: word,
    },
    Case {
        ty: "varchar(8) COLLATE \"C\"",
        edges: &["", "a", "ab"],
        random: word,
    },
    Case {
        ty: "char(6) COLLATE \"C\"",
        edges: &["", "a", "a b", "ab"],
        random: word,
    },
    Case {
        ty: "bytea",
        edges: &["\\x", "\\x00", "\\x0000", "\\x00ff", "\\xff", "\\xff00"],
        random: |random| {
            let bytes: String = (0..random.random_range(0..5))
                .map(|_| format!("{:02x}", random.random::<u8>()))
                .collect();
            format!("\\x{bytes}")
        },
    },
    Case {
        ty: "date",
        edges: &[
            "-infinity",
            "infinity",
            "4713-01-01 BC",
            "0001-01-01",
            "1999-12-31",
            "2000-01-01",
            "5874897-12-31",
        ],
        random: |random| moment(random)[..10].to_owned(),
    },
    Case {
        ty: "time",
        edges: &["00:00", "24:00", "23:59:59.999999"],
        random: |random| moment(random)[11..].to_owned(),
    },
    Case {
        ty: "timestamp",
        edges: &["-infinity", "infinity", "4713-01-01 BC", "1999-12-31 23:59:59.999999"],
        random: moment,
    },
    Case {
        ty: "timestamptz",
        edges: &["-infinity", "infinity", "2000-01-01 00:00+14", "2000-01-01 00:00-12"],
        random: |random| format!("{}+{:02}", moment(random), random.random_range(0..14)),
    },
    Case {
        ty: "interval",
        edges: &[
            "0",
            "1 month",
            "30 days",
            "29 days 24:00:00",
            "-1 month",
            "1 year -1 day",
            "-178000000 years",
            "178000000 years",
        ],
        random: |random| {
            format!(
                "{} mons {} days {} secs",
                random.random_range(-20..20),
                random.random_range(-40..40),
                random.random_range(-100_000..100_000)
            )
        },
    },
    Case {
        ty: "uuid",
        edges: &[
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
        ],
        random: |random| format!("{:032x}", random.random::<u128>()),
    },
    Case {
        ty: "jsonb",
        edges: &[
            "[]",
            "{}",
            "null",
            "\"\"",
            "0",
            "[[]]",
            "[{}]",
            "{\"a\": {}}",
            "{\"b\": 1}",
            "{\"aa\": 1}",
            "1.0",
            "1e2",
        ],
        random: |random| document(random, 2),
    },
    Case {
        ty: "int4[]",
        edges: &["{}", "{NULL}", "{1}", "{1,NULL}", "{1,2}", "{2}"],
        random: |random| {
            let elements: Vec<_> = (0..random.random_range(0..4))
                .map(|_| random.random_range(-3..3).to_string())
                .collect();
            format!("{{{}}}", elements.join(","))
        },
    },
    Case {
        ty: "text[] COLLATE \"C\"",
        edges: &["{}", "{\"\"}", "{a}", "{a,b}", "{a,NULL}", "{ab}"],
        random: |random| format!("{{\"{}\",x}}", word(random)),
    },
];

async fn column(client: &Client, query: &str) -> Result<Vec<String>> {
    let messages = client.simple_query(query).await?;
    let values = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("(null)").to_owned()),
        _ => None,
    });
    Ok(values.collect())
}

#[tokio::test]
async fn keys_order_as_postgresql_orders_values() -> Result<()> {
    let Some(postgres) = Postgres::start().await? else {
        return Ok(());
    };
    let directory = tempfile::tempdir()?;
    let server = Server::start(&directory.path().join("data"))?;
    let (judge, client) = (postgres.connect().await?, server.connect().await?);
    let mut random = StdRng::seed_from_u64(15);
    for case in CASES {
        let mut values: Vec<String> = case.edges.iter().map(|value| (*value).to_owned()).collect();
        values.extend((0..RANDOM_VALUES).map(|_| (case.random)(&mut random)));
        for session in [&judge, &client] {
            session
                .batch_execute("SET timezone = 'UTC'; DROP TABLE IF EXISTS keys, sorted")
                .await?;
            session
                .batch_execute(&format!("CREATE TABLE keys (v {} PRIMARY KEY)", case.ty))
                .await?;
            session
                .batch_execute(&format!("CREATE TABLE sorted (v {}, n serial)", case.ty))
                .await?;
            for value in &values {
                let literal = value.replace('\'', "''");
                session
                    .batch_execute(&format!(
                        "INSERT INTO keys VALUES ('{literal}') ON CONFLICT DO NOTHING; INSERT INTO sorted VALUES ('{literal}')"
                    ))
                    .await?;
            }
            session
                .batch_execute("INSERT INTO sorted VALUES (NULL), (NULL)")
                .await?;
        }
        // One key more than there is in the other would hide behind a sort of both.
        let expected = column(&judge, "SELECT v::text AS shown FROM keys ORDER BY v").await?;
        let stored = column(&client, "SELECT v::text AS shown FROM keys").await?;
        ensure!(
            stored == expected,
            "{}: keys are stored as\n{stored:?}\nPostgreSQL has\n{expected:?}",
            case.ty
        );
        for order in ["v, n", "v DESC, n", "v NULLS FIRST, n", "v DESC NULLS LAST, n"] {
            let query = format!("SELECT v::text AS shown FROM sorted ORDER BY {order}");
            let (expected, sorted) = (column(&judge, &query).await?, column(&client, &query).await?);
            ensure!(
                sorted == expected,
                "{} by {order}:\n{sorted:?}\nPostgreSQL has\n{expected:?}",
                case.ty
            );
            client
                .batch_execute("CREATE INDEX IF NOT EXISTS sorted_v ON sorted (v, n)")
                .await?;
        }
    }
    server.stop()
}
