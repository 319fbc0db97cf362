//! Costs: PostgreSQL's unit (one page read in sequence is 1), with formulas that are simple and monotone.

use super::node::{Kind, Node};

const PAGE_BYTES: f64 = 8192.0;
const SEQUENTIAL_PAGE: f64 = 1.0;
const RANDOM_PAGE: f64 = 4.0;
const TUPLE: f64 = 0.01;
const INDEX_TUPLE: f64 = 0.005;
const OPERATOR: f64 = 0.0025;

/// Startup and total cost.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    pub(crate) startup: f64,
    pub(crate) total: f64,
}

/// What is known of an input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input {
    pub(crate) cost: Cost,
    pub(crate) rows: f64,
}

/// The cost of a step. `table_rows`: rows of the table that a scan reads.
pub(crate) fn cost(node: &Node, kind: &Kind, rows: f64, inputs: &[Input], table_rows: f64) -> Cost {
    let first = inputs.first().copied().unwrap_or(Input {
        cost: Cost::default(),
        rows: 0.0,
    });
    let below: f64 = inputs.iter().map(|input| input.cost.total).sum();
    let conditions = node.details.len() as f64 * OPERATOR;
    match kind {
        Kind::SeqScan(_) => Cost {
            startup: 0.0,
            total: (table_rows * (node.width as f64 + 24.0) / PAGE_BYTES).ceil().max(1.0) * SEQUENTIAL_PAGE
                + table_rows * (TUPLE + conditions),
        },
        Kind::IndexScan { .. } => {
            let startup = 0.15 + table_rows.max(1.0).log2() * OPERATOR * 5.0;
            let fetched = rows.max(1.0);
            Cost {
                startup,
                total: startup
                    + 2.0 * RANDOM_PAGE
                    + (fetched - 1.0) * 0.25
                    + fetched * (INDEX_TUPLE + TUPLE + conditions),
            }
        }
        Kind::ValuesScan | Kind::FunctionScan(_) | Kind::CteScan(_) | Kind::WorkTableScan(_) => Cost {
            startup: 0.0,
            total: below + rows * TUPLE,
        },
        Kind::HashJoin(_) | Kind::SetOperation(_) => {
            let startup = inputs.get(1).map_or(0.0, |inner| inner.cost.total) + first.cost.startup;
            Cost {
                startup,
                total: below + first.rows * OPERATOR + rows * TUPLE,
            }
        }
        Kind::NestedLoop(_) | Kind::LookupJoin(_) => {
            let inner = inputs.get(1).copied().unwrap_or(first);
            Cost {
                startup: first.cost.startup + inner.cost.startup,
                total: first.cost.total
                    + first.rows.max(1.0) * inner.cost.total.min(inner.rows.max(1.0) * TUPLE + inner.cost.total)
                    + rows * TUPLE,
            }
        }
        Kind::Aggregate(_) => {
            let startup = first.cost.total + first.rows * OPERATOR * node.details.len().max(1) as f64;
            Cost {
                startup,
                total: startup + rows * TUPLE,
            }
        }
        Kind::Plain("Sort") => {
            let count = first.rows.max(2.0);
            let startup = first.cost.total + 2.0 * OPERATOR * count * count.log2();
            Cost {
                startup,
                total: startup + first.rows * OPERATOR,
            }
        }
        Kind::Plain("Limit") => {
            let part = if first.rows > 0.0 {
                (rows / first.rows).min(1.0)
            } else {
                1.0
            };
            Cost {
                startup: first.cost.startup,
                total: first.cost.startup + (first.cost.total - first.cost.startup) * part,
            }
        }
        Kind::Plain("Result") if inputs.is_empty() => Cost {
            startup: 0.0,
            total: rows * TUPLE,
        },
        Kind::Modify { .. } => Cost {
            startup: first.cost.startup,
            total: first.cost.total,
        },
        Kind::Plain(_) | Kind::Append | Kind::Window { .. } | Kind::Conditions => Cost {
            startup: first.cost.startup,
            total: below + rows * OPERATOR,
        },
    }
}
