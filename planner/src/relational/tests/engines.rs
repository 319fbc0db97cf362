//! Both engines give the same rows: queries over a table large enough for the columnar one, compared with the row one.

use std::sync::Arc;

use futures::TryStreamExt;
use storage::{Datum, Jsonb, Numeric};
use tokio_util::sync::CancellationToken;

use super::memory::{MemorySource, TestSession, relation};
use crate::bound::{AggregateCall, ColumnId, Expr, ExprKind, JoinKind, OutputColumn, Rel, RelationRef, Scan, SortKey};
use crate::functions::{self, Function};
use crate::relational::columnar::adaptive::AdaptivePlan;
use crate::relational::{NoModify, QueryScope, plan_query};
use crate::types::oid;
use crate::{SqlResult, Type};

const ROWS: i32 = 9_000;

const COLUMNS: [(&str, Type); 8] = [
    ("id", Type::INT4),
    ("k", Type::INT4),
    ("name", Type::TEXT),
    ("wide", Type::INT8),
    ("ratio", Type::FLOAT8),
    ("price", Type::NUMERIC),
    ("doc", Type::JSONB),
    ("code", Type::BPCHAR),
];

fn row(id: i32) -> Vec<Datum> {
    let scale = (id % 3) as u32;
    let price = Numeric::from_parts(i128::from(id % 50) * 10i128.pow(scale), scale).expect("a small number");
    vec![
        Datum::Int4(id),
        if id % 11 == 0 { Datum::Null } else { Datum::Int4(id % 7) },
        Datum::text(format!("n{}", id % 100)),
        Datum::Int8(i64::from(id) * 1_000_000_007),
        Datum::Float8(match id % 5 {
            0 => -0.0,
            1 => 0.0,
            2 => f64::NAN,
            _ => f64::from(id) / 4.0,
        }),
        Datum::Numeric(price),
        Datum::Jsonb(Jsonb::parse(&format!(r#"{{"a": "{}", "n": {}}}"#, id % 13, id % 17)).expect("valid")),
        Datum::text(if id % 2 == 0 { "x" } else { "x  " }),
    ]
}

fn fixture() -> (QueryScope, RelationRef) {
    let source = Arc::new(MemorySource::default());
    let big = Arc::new(relation(300, "big", &COLUMNS));
    source.insert(&big, (0..ROWS).map(row).collect());
    let scope = QueryScope::over(
        source,
        Arc::new(TestSession),
        Arc::new([]),
        CancellationToken::new(),
        Arc::new(NoModify),
    );
    (scope, big)
}

fn scan(table: &RelationRef, first: u32) -> Rel {
    let columns = COLUMNS.iter().enumerate().map(|(position, (name, ty))| {
        let id = ColumnId(first + position as u32);
        (
            OutputColumn {
                id,
                name: (*name).to_owned(),
                ty: *ty,
            },
            position as u16,
        )
    });
    Rel::Scan(Scan {
        table: table.clone(),
        alias: table.name.clone(),
        columns: columns.collect(),
        row_key: None,
        table_oid: None,
        members: None,
    })
}

fn output(number: u32, ty: Type) -> OutputColumn {
    OutputColumn {
        id: ColumnId(number),
        name: String::new(),
        ty,
    }
}

fn column(number: u32, ty: Type) -> Expr {
    Expr {
        kind: ExprKind::Column(ColumnId(number)),
        ty,
        position: None,
    }
}

fn literal(value: Datum, ty: Type) -> Expr {
    Expr {
        kind: ExprKind::Literal(value),
        ty,
        position: None,
    }
}

fn function(name: &str, args: &[u32]) -> &'static Function {
    functions::by_name(name)
        .iter()
        .find(|function| function.args == args)
        .expect("a known function")
}

fn call(name: &str, args: Vec<Expr>, ty: Type) -> Expr {
    let oids: Vec<u32> = args.iter().map(|arg| arg.ty.oid).collect();
    Expr {
        kind: ExprKind::Call {
            function: function(name, &oids),
            args,
        },
        ty,
        position: None,
    }
}

fn aggregate(name: &str, args: Vec<Expr>, ty: Type) -> AggregateCall {
    let oids: Vec<u32> = args.iter().map(|arg| arg.ty.oid).collect();
    let candidates = functions::by_name(name);
    let function = candidates
        .iter()
        .find(|function| function.args == oids)
        .or_else(|| {
            candidates
                .iter()
                .find(|function| function.args.first().is_some_and(|arg| *arg >= oid::ANY))
        })
        .expect("a known aggregate");
    AggregateCall {
        function,
        args,
        distinct: false,
        order: vec![],
        filter: None,
        ty,
    }
}

fn group(input: Rel, keys: Vec<(u32, Expr)>, calls: Vec<(u32, AggregateCall)>) -> Rel {
    let groups: Vec<_> = keys.into_iter().map(|(id, expr)| (output(id, expr.ty), expr)).collect();
    let sets = vec![(0..groups.len()).collect()];
    let aggregates = calls
        .into_iter()
        .map(|(id, call)| (output(id, call.ty), call))
        .collect();
    Rel::Aggregate {
        input: Box::new(input),
        groups,
        sets,
        aggregates,
        groupings: vec![],
    }
}

async fn rows(scope: &QueryScope, rel: &Rel, columns: &[ColumnId]) -> SqlResult<Vec<String>> {
    let batches: Vec<Vec<Vec<Datum>>> = scope.run(rel, columns)?.try_collect().await?;
    Ok(batches.iter().flatten().map(|row| format!("{row:?}")).collect())
}

/// Compares the engines; `ordered` if the order of rows is defined.
async fn compare(scope: &QueryScope, rel: &Rel, columns: &[u32], ordered: bool) -> Vec<String> {
    let columns: Vec<ColumnId> = columns.iter().copied().map(ColumnId).collect();
    let plan = plan_query(rel, &columns, &TestSession).unwrap().plan;
    let mut top = plan;
    while !top.as_any().is::<AdaptivePlan>() {
        top = top
            .inputs()
            .first()
            .expect("some part of the plan chooses its engine")
            .clone();
    }
    let mut columnar = rows(scope, rel, &columns).await.unwrap();
    let mut by_rows = rows(&scope.rows_only(), rel, &columns).await.unwrap();
    if !ordered {
        columnar.sort();
        by_rows.sort();
    }
    assert_eq!(columnar, by_rows);
    columnar
}

#[tokio::test]
async fn groups_and_aggregates_agree() {
    let (scope, big) = fixture();
    let calls = || {
        vec![
            (50, aggregate("count", vec![], Type::INT8)),
            (51, aggregate("count", vec![column(2, Type::INT4)], Type::INT8)),
            (52, aggregate("sum", vec![column(1, Type::INT4)], Type::INT8)),
            (53, aggregate("sum", vec![column(4, Type::INT8)], Type::NUMERIC)),
            (54, aggregate("avg", vec![column(1, Type::INT4)], Type::NUMERIC)),
            (55, aggregate("sum", vec![column(6, Type::NUMERIC)], Type::NUMERIC)),
            (56, aggregate("min", vec![column(3, Type::TEXT)], Type::TEXT)),
            (57, aggregate("max", vec![column(4, Type::INT8)], Type::INT8)),
        ]
    };
    let outputs = [50, 51, 52, 53, 54, 55, 56, 57];
    let all = compare(&scope, &group(scan(&big, 1), vec![], calls()), &outputs, false).await;
    assert_eq!(all.len(), 1);
    for (key, ty, groups) in [
        (2, Type::INT4, 8),
        (3, Type::TEXT, 100),
        (5, Type::FLOAT8, 3602),
        (6, Type::NUMERIC, 50),
        (7, Type::JSONB, 221),
        (8, Type::BPCHAR, 1),
    ] {
        let rel = group(scan(&big, 1), vec![(40, column(key, ty))], calls());
        let found = compare(&scope, &rel, &[40, 50, 51, 52, 53, 54, 55, 56, 57], false).await;
        assert_eq!(found.len(), groups, "groups by column {key}");
    }
}

#[tokio::test]
async fn groups_by_json_paths_agree() {
    let (scope, big) = fixture();
    let path = |name: &str| {
        let key = literal(Datum::text(name), Type::TEXT);
        call("jsonb_object_field_text", vec![column(7, Type::JSONB), key], Type::TEXT)
    };
    let number = Expr {
        kind: ExprKind::ConvertIo(Box::new(path("n"))),
        ty: Type::NUMERIC,
        position: None,
    };
    let rel = group(
        scan(&big, 1),
        vec![(40, path("a"))],
        vec![
            (50, aggregate("sum", vec![number], Type::NUMERIC)),
            (51, aggregate("count", vec![], Type::INT8)),
        ],
    );
    assert_eq!(compare(&scope, &rel, &[40, 50, 51], false).await.len(), 13);
}

#[tokio::test]
async fn filtered_and_distinct_aggregates_agree() {
    let (scope, big) = fixture();
    let mut filtered = aggregate("count", vec![], Type::INT8);
    filtered.filter = Some(call(
        "int4lt",
        vec![column(2, Type::INT4), literal(Datum::Int4(3), Type::INT4)],
        Type::BOOL,
    ));
    let mut distinct = aggregate("count", vec![column(3, Type::TEXT)], Type::INT8);
    distinct.distinct = true;
    let rel = group(
        scan(&big, 1),
        vec![(40, column(2, Type::INT4))],
        vec![(50, filtered), (51, distinct)],
    );
    compare(&scope, &rel, &[40, 50, 51], false).await;
}

#[tokio::test]
async fn sorts_agree() {
    let (scope, big) = fixture();
    for (key, ty) in [
        (2, Type::INT4),
        (5, Type::FLOAT8),
        (6, Type::NUMERIC),
        (7, Type::JSONB),
        (3, Type::TEXT),
    ] {
        for descending in [false, true] {
            let keys = vec![
                SortKey {
                    expr: column(key, ty),
                    descending,
                    nulls_first: descending,
                },
                SortKey {
                    expr: column(1, Type::INT4),
                    descending: false,
                    nulls_first: false,
                },
            ];
            let sort = Rel::Sort {
                input: Box::new(scan(&big, 1)),
                keys,
            };
            compare(&scope, &sort, &[1, key], true).await;
            let count = Some(literal(Datum::Int8(7), Type::INT8));
            let limited = Rel::Limit {
                input: Box::new(sort),
                limit: count,
                offset: None,
                with_ties: false,
            };
            assert_eq!(compare(&scope, &limited, &[1, key], true).await.len(), 7);
        }
    }
}

#[tokio::test]
async fn joins_agree() {
    let (scope, big) = fixture();
    let low = |rel: Rel, number: u32| {
        let below = call(
            "int4lt",
            vec![column(number, Type::INT4), literal(Datum::Int4(600), Type::INT4)],
            Type::BOOL,
        );
        Rel::Filter {
            input: Box::new(rel),
            predicate: below,
        }
    };
    for kind in [
        JoinKind::Inner,
        JoinKind::Left,
        JoinKind::Right,
        JoinKind::Full,
        JoinKind::Semi,
        JoinKind::Anti,
    ] {
        let equal = call(
            "int4eq",
            vec![column(1, Type::INT4), column(22, Type::INT4)],
            Type::BOOL,
        );
        let less = call(
            "int4gt",
            vec![column(21, Type::INT4), column(1, Type::INT4)],
            Type::BOOL,
        );
        let on = Expr {
            kind: ExprKind::And(vec![equal, less]),
            ty: Type::BOOL,
            position: None,
        };
        let (left, right) = (Box::new(scan(&big, 1)), Box::new(low(scan(&big, 21), 21)));
        let join = Rel::Join {
            kind,
            left,
            right,
            on: Some(on),
            lateral: false,
        };
        let mut calls = vec![(50, aggregate("count", vec![], Type::INT8))];
        calls.push((51, aggregate("sum", vec![column(1, Type::INT4)], Type::INT8)));
        let mut outputs = vec![40, 50, 51];
        if !matches!(kind, JoinKind::Semi | JoinKind::Anti) {
            calls.push((52, aggregate("sum", vec![column(21, Type::INT4)], Type::INT8)));
            outputs.push(52);
        }
        compare(
            &scope,
            &group(join, vec![(40, column(2, Type::INT4))], calls),
            &outputs,
            false,
        )
        .await;
    }
}

#[tokio::test]
async fn an_error_keeps_its_code() {
    let (scope, big) = fixture();
    let quotient = call(
        "int4div",
        vec![column(1, Type::INT4), column(2, Type::INT4)],
        Type::INT4,
    );
    let rel = group(
        scan(&big, 1),
        vec![],
        vec![(50, aggregate("sum", vec![quotient], Type::INT8))],
    );
    for scope in [scope.clone(), scope.rows_only()] {
        let error = rows(&scope, &rel, &[ColumnId(50)]).await.unwrap_err();
        assert_eq!(error.code().0, "22012");
    }
}
