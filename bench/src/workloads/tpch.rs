//! Five queries in the manner of TPC-H at scale 0.1, over data of our own making with the benchmark's sizes and ranges.

use anyhow::Result;

use super::{Pair, Plan};
use crate::pgbench::{Length, Load, Script};
use crate::report::Report;
use crate::server::Server;

const TABLES: &str = "
CREATE TABLE region (r_regionkey int PRIMARY KEY, r_name text NOT NULL);
CREATE TABLE nation (n_nationkey int PRIMARY KEY, n_name text NOT NULL, n_regionkey int NOT NULL);
CREATE TABLE supplier (s_suppkey int PRIMARY KEY, s_name text NOT NULL, s_nationkey int NOT NULL);
CREATE TABLE customer (c_custkey int PRIMARY KEY, c_name text NOT NULL, c_nationkey int NOT NULL, c_mktsegment text NOT NULL);
CREATE TABLE orders (o_orderkey int PRIMARY KEY, o_custkey int NOT NULL, o_orderdate date NOT NULL, o_orderpriority text NOT NULL, o_shippriority int NOT NULL);
CREATE TABLE lineitem (l_orderkey int NOT NULL, l_linenumber int NOT NULL, l_suppkey int NOT NULL, l_quantity numeric(15,2) NOT NULL,
  l_extendedprice numeric(15,2) NOT NULL, l_discount numeric(15,2) NOT NULL, l_tax numeric(15,2) NOT NULL, l_returnflag text NOT NULL, l_linestatus text NOT NULL,
  l_shipdate date NOT NULL, l_commitdate date NOT NULL, l_receiptdate date NOT NULL, l_shipmode text NOT NULL, PRIMARY KEY (l_orderkey, l_linenumber))";

const SMALL_ROWS: &str = "
INSERT INTO region SELECT n, (ARRAY['AFRICA', 'AMERICA', 'ASIA', 'EUROPE', 'MIDDLE EAST'])[n + 1] FROM generate_series(0, 4) AS n;
INSERT INTO nation SELECT n, 'NATION ' || n, n % 5 FROM generate_series(0, 24) AS n;
INSERT INTO supplier SELECT n, 'Supplier ' || n, n * 7 % 25 FROM generate_series(1, 1000) AS n;
INSERT INTO customer SELECT n, 'Customer ' || n, n * 11 % 25, (ARRAY['AUTOMOBILE', 'BUILDING', 'FURNITURE', 'HOUSEHOLD', 'MACHINERY'])[n * 13 % 5 + 1]
  FROM generate_series(1, 15000) AS n";

const QUERIES: [(&str, &str); 5] = [
    (
        "Q1",
        "SELECT l_returnflag, l_linestatus, sum(l_quantity), sum(l_extendedprice), sum(l_extendedprice * (1 - l_discount)),
         sum(l_extendedprice * (1 - l_discount) * (1 + l_tax)), avg(l_quantity), avg(l_extendedprice), avg(l_discount), count(*)
         FROM lineitem WHERE l_shipdate <= date '1998-12-01' - interval '90 days' GROUP BY 1, 2 ORDER BY 1, 2;",
    ),
    (
        "Q3",
        "SELECT l_orderkey, sum(l_extendedprice * (1 - l_discount)) AS revenue, o_orderdate, o_shippriority FROM customer, orders, lineitem
         WHERE c_mktsegment = 'BUILDING' AND c_custkey = o_custkey AND l_orderkey = o_orderkey AND o_orderdate < date '1995-03-15'
         AND l_shipdate > date '1995-03-15' GROUP BY l_orderkey, o_orderdate, o_shippriority ORDER BY revenue DESC, o_orderdate LIMIT 10;",
    ),
    (
        "Q5",
        "SELECT n_name, sum(l_extendedprice * (1 - l_discount)) AS revenue FROM customer, orders, lineitem, supplier, nation, region
         WHERE c_custkey = o_custkey AND l_orderkey = o_orderkey AND l_suppkey = s_suppkey AND c_nationkey = s_nationkey AND s_nationkey = n_nationkey
         AND n_regionkey = r_regionkey AND r_name = 'ASIA' AND o_orderdate >= date '1994-01-01' AND o_orderdate < date '1995-01-01'
         GROUP BY n_name ORDER BY revenue DESC;",
    ),
    (
        "Q6",
        "SELECT sum(l_extendedprice * l_discount) AS revenue FROM lineitem WHERE l_shipdate >= date '1994-01-01' AND l_shipdate < date '1995-01-01'
         AND l_discount BETWEEN 0.05 AND 0.07 AND l_quantity < 24;",
    ),
    (
        "Q12",
        "SELECT l_shipmode, sum(CASE WHEN o_orderpriority IN ('1-URGENT', '2-HIGH') THEN 1 ELSE 0 END),
         sum(CASE WHEN o_orderpriority NOT IN ('1-URGENT', '2-HIGH') THEN 1 ELSE 0 END) FROM orders, lineitem
         WHERE o_orderkey = l_orderkey AND l_shipmode IN ('MAIL', 'SHIP') AND l_commitdate < l_receiptdate AND l_shipdate < l_commitdate
         AND l_receiptdate >= date '1994-01-01' AND l_receiptdate < date '1995-01-01' GROUP BY 1 ORDER BY 1;",
    ),
];

/// Orders at scale 0.1, each with four lines, in batches.
const ORDERS: usize = 150_000;
const BATCH: usize = 15_000;

fn fill(server: &Server) -> Result<()> {
    server.sql(TABLES)?;
    server.sql(SMALL_ROWS)?;
    for first in (1..=ORDERS).step_by(BATCH) {
        let last = first + BATCH - 1;
        server.sql(&format!(
            "INSERT INTO orders SELECT n, n * 31 % 15000 + 1, date '1992-01-01' + n * 17 % 2400,
             (ARRAY['1-URGENT', '2-HIGH', '3-MEDIUM', '4-NOT SPECIFIED', '5-LOW'])[n % 5 + 1], 0 FROM generate_series({first}, {last}) AS n"
        ))?;
        server.sql(&format!(
            "INSERT INTO lineitem SELECT n, line, (n * 7 + line * 13) % 1000 + 1, (n * 3 + line * 5) % 50 + 1, ((n * 37 + line * 101) % 90000 + 1000)::numeric / 10,
             ((n + line) % 11)::numeric / 100, ((n + line * 2) % 9)::numeric / 100, (ARRAY['A', 'N', 'R'])[(n + line) % 3 + 1], (ARRAY['F', 'O'])[(n + line) % 2 + 1],
             date '1992-01-01' + n * 17 % 2400 + (n + line * 19) % 120 + 1, date '1992-01-01' + n * 17 % 2400 + (n + line * 7) % 60 + 30,
             date '1992-01-01' + n * 17 % 2400 + (n + line * 19) % 120 + 1 + (n + line) % 30 + 1,
             (ARRAY['AIR', 'FOB', 'MAIL', 'RAIL', 'REG AIR', 'SHIP', 'TRUCK'])[(n * 3 + line) % 7 + 1]
             FROM generate_series({first}, {last}) AS n, generate_series(1, 4) AS line"
        ))?;
    }
    Ok(())
}

/// Each query alone, one client.
///
/// # Errors
/// What a server or pgbench reports, or a result that differs between the two.
pub fn run(plan: &Plan, report: &mut Report) -> Result<()> {
    let pair = Pair::start(plan, None)?;
    pair.both().into_iter().try_for_each(fill)?;
    pair.postgres.sql("VACUUM ANALYZE")?;
    for (name, query) in QUERIES {
        let answers = pair.both().map(|server| server.sql(query));
        let [postgres, cambium] = answers;
        let (postgres, cambium) = (postgres?, cambium?);
        anyhow::ensure!(postgres == cambium, "{name} differs:\n{postgres}\nand\n{cambium}");
        let load = Load {
            length: Length::Transactions(2),
            ..plan.load(1, "simple", Script::Text(query.into()))
        };
        pair.compare(plan, &load, &format!("TPC-H-like {name}, scale 0.1"), None, report)?;
    }
    Ok(())
}
