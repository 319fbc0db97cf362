//! Plans made by hand: what each relation gives, and what it does not evaluate.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::TryStreamExt;
use storage::Datum;
use tokio_util::sync::CancellationToken;

use super::memory::{MemorySource, TestSession, relation};
use crate::bound::{
    AggregateCall, ColumnId, Expr, ExprKind, JoinKind, OutputColumn, Rel, RelationRef, Scan, SortKey, Subquery,
    SubqueryKind,
};
use crate::functions::{self, Function};
use crate::relational::{NoModify, QueryScope};
use crate::{SqlResult, Type};

struct Fixture {
    source: Arc<MemorySource>,
    scope: QueryScope,
    people: RelationRef,
    pets: RelationRef,
}

fn fixture() -> Fixture {
    let source = Arc::new(MemorySource::default());
    let people = Arc::new(relation(
        100,
        "people",
        &[("id", Type::INT4), ("age", Type::INT4), ("name", Type::TEXT)],
    ));
    let pets = Arc::new(relation(
        200,
        "pets",
        &[("id", Type::INT4), ("owner", Type::INT4), ("name", Type::TEXT)],
    ));
    let person = |id: i32, age: Option<i32>, name: &str| vec![Datum::Int4(id), age.into(), Datum::text(name)];
    source.insert(
        &people,
        vec![
            person(1, Some(30), "ann"),
            person(2, Some(0), "bob"),
            person(3, None, "cid"),
            person(4, Some(30), "dan"),
        ],
    );
    let pet = |id: i32, owner: Option<i32>, name: &str| vec![Datum::Int4(id), owner.into(), Datum::text(name)];
    source.insert(
        &pets,
        vec![
            pet(1, Some(1), "rex"),
            pet(2, Some(1), "tom"),
            pet(3, Some(4), "kit"),
            pet(4, None, "odd"),
        ],
    );
    let scope = QueryScope::over(
        source.clone(),
        Arc::new(TestSession),
        Arc::new([]),
        CancellationToken::new(),
        Arc::new(NoModify),
    );
    Fixture {
        source,
        scope,
        people,
        pets,
    }
}

fn id(number: u32) -> ColumnId {
    ColumnId(number)
}

fn output(number: u32, ty: Type) -> OutputColumn {
    OutputColumn {
        id: id(number),
        name: format!("c{number}"),
        ty,
    }
}

fn column(number: u32, ty: Type) -> Expr {
    Expr {
        kind: ExprKind::Column(id(number)),
        ty,
        position: None,
    }
}

fn int(value: i32) -> Expr {
    Expr {
        kind: ExprKind::Literal(Datum::Int4(value)),
        ty: Type::INT4,
        position: None,
    }
}

fn function(name: &str, args: &[Type]) -> &'static Function {
    let oids: Vec<u32> = args.iter().map(|ty| ty.oid).collect();
    functions::by_name(name)
        .iter()
        .find(|function| function.args == oids)
        .expect("a known function")
}

fn call(name: &str, args: Vec<Expr>, ty: Type) -> Expr {
    let types: Vec<Type> = args.iter().map(|arg| arg.ty).collect();
    Expr {
        kind: ExprKind::Call {
            function: function(name, &types),
            args,
        },
        ty,
        position: None,
    }
}

fn equal(left: Expr, right: Expr) -> Expr {
    call("int4eq", vec![left, right], Type::BOOL)
}

/// `people` as columns 1 (id), 2 (age), 3 (name), or `pets` as 11 (id), 12 (owner), 13 (name).
fn scan(table: &RelationRef, first: u32) -> Rel {
    let columns = (0..3).map(|position| {
        (
            output(first + position, table.columns[position as usize].ty),
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

fn filter(input: Rel, predicate: Expr) -> Rel {
    Rel::Filter {
        input: Box::new(input),
        predicate,
    }
}

fn sort(input: Rel, number: u32, ty: Type) -> Rel {
    let key = SortKey {
        expr: column(number, ty),
        descending: false,
        nulls_first: false,
    };
    Rel::Sort {
        input: Box::new(input),
        keys: vec![key],
    }
}

fn limit(input: Rel, count: i64) -> Rel {
    let count = Expr {
        kind: ExprKind::Literal(Datum::Int8(count)),
        ty: Type::INT8,
        position: None,
    };
    Rel::Limit {
        input: Box::new(input),
        limit: Some(count),
        offset: None,
        with_ties: false,
    }
}

fn join(kind: JoinKind, left: Rel, right: Rel, on: Expr) -> Rel {
    Rel::Join {
        kind,
        left: Box::new(left),
        right: Box::new(right),
        on: Some(on),
        lateral: false,
    }
}

async fn rows(fixture: &Fixture, rel: &Rel, columns: &[u32]) -> SqlResult<String> {
    let columns: Vec<ColumnId> = columns.iter().copied().map(id).collect();
    let batches: Vec<Vec<Vec<Datum>>> = fixture.scope.run(rel, &columns)?.try_collect().await?;
    let row = |row: &Vec<Datum>| {
        let values = row.iter().map(|value| match value {
            Datum::Null => "∅".to_owned(),
            Datum::Int4(value) => value.to_string(),
            Datum::Int8(value) => value.to_string(),
            Datum::Text(value) => value.to_string(),
            other => format!("{other:?}"),
        });
        values.collect::<Vec<_>>().join(" ")
    };
    Ok(batches.iter().flatten().map(row).collect::<Vec<_>>().join(", "))
}

#[tokio::test]
async fn a_scan_by_key_reads_one_row() {
    let fixture = fixture();
    let rel = filter(scan(&fixture.people, 1), equal(column(1, Type::INT4), int(2)));
    assert_eq!(rows(&fixture, &rel, &[3]).await.unwrap(), "bob");
    assert_eq!(fixture.source.rows_read.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_scan_by_index_rechecks_and_reads_few_rows() {
    let fixture = fixture();
    let rel = filter(scan(&fixture.pets, 11), equal(column(12, Type::INT4), int(1)));
    assert_eq!(rows(&fixture, &rel, &[13]).await.unwrap(), "rex, tom");
    assert_eq!(fixture.source.rows_read.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn an_inner_join_pairs_rows() {
    let fixture = fixture();
    let on = equal(column(1, Type::INT4), column(12, Type::INT4));
    let rel = sort(
        join(JoinKind::Inner, scan(&fixture.people, 1), scan(&fixture.pets, 11), on),
        13,
        Type::TEXT,
    );
    assert_eq!(
        rows(&fixture, &rel, &[3, 13]).await.unwrap(),
        "dan kit, ann rex, ann tom"
    );
}

#[tokio::test]
async fn outer_joins_pad_with_null() {
    let fixture = fixture();
    let on = || equal(column(1, Type::INT4), column(12, Type::INT4));
    let left = join(JoinKind::Left, scan(&fixture.people, 1), scan(&fixture.pets, 11), on());
    assert_eq!(
        rows(&fixture, &sort(left, 1, Type::INT4), &[3, 13]).await.unwrap(),
        "ann rex, ann tom, bob ∅, cid ∅, dan kit"
    );
    let right = join(JoinKind::Right, scan(&fixture.people, 1), scan(&fixture.pets, 11), on());
    assert_eq!(
        rows(&fixture, &sort(right, 11, Type::INT4), &[3, 13]).await.unwrap(),
        "ann rex, ann tom, dan kit, ∅ odd"
    );
    let full = join(JoinKind::Full, scan(&fixture.people, 1), scan(&fixture.pets, 11), on());
    let text = rows(&fixture, &sort(full, 13, Type::TEXT), &[3, 13]).await.unwrap();
    assert_eq!(text, "dan kit, ∅ odd, ann rex, ann tom, bob ∅, cid ∅");
}

#[tokio::test]
async fn a_join_without_equality_compares_all_pairs() {
    let fixture = fixture();
    let on = call(
        "int4lt",
        vec![column(11, Type::INT4), column(1, Type::INT4)],
        Type::BOOL,
    );
    let rel = join(JoinKind::Inner, scan(&fixture.people, 1), scan(&fixture.pets, 11), on);
    let count = aggregate(rel, vec![], "count", vec![], 50);
    assert_eq!(rows(&fixture, &count, &[50]).await.unwrap(), "6");
}

fn aggregate(input: Rel, groups: Vec<(OutputColumn, Expr)>, name: &str, args: Vec<Expr>, result: u32) -> Rel {
    let types: Vec<Type> = args.iter().map(|arg| arg.ty).collect();
    let call = AggregateCall {
        function: function(name, &types),
        args,
        distinct: false,
        order: vec![],
        filter: None,
        ty: Type::INT8,
    };
    let sets = vec![(0..groups.len()).collect()];
    let aggregates = vec![(output(result, Type::INT8), call)];
    Rel::Aggregate {
        input: Box::new(input),
        groups,
        sets,
        aggregates,
        groupings: vec![],
    }
}

#[tokio::test]
async fn groups_keep_null_as_a_value() {
    let fixture = fixture();
    let groups = vec![(output(20, Type::INT4), column(2, Type::INT4))];
    let rel = sort(
        aggregate(scan(&fixture.people, 1), groups, "count", vec![], 21),
        20,
        Type::INT4,
    );
    assert_eq!(rows(&fixture, &rel, &[20, 21]).await.unwrap(), "0 1, 30 2, ∅ 1");
}

#[tokio::test]
async fn a_limit_keeps_later_rows_from_raising() {
    let fixture = fixture();
    let quotient = call("int4div", vec![int(60), column(2, Type::INT4)], Type::INT4);
    let project = |input| Rel::Project {
        input: Box::new(input),
        columns: vec![(output(30, Type::INT4), quotient.clone())],
    };
    let one = project(limit(scan(&fixture.people, 1), 1));
    assert_eq!(rows(&fixture, &one, &[30]).await.unwrap(), "2");
    let above = limit(project(scan(&fixture.people, 1)), 1);
    assert_eq!(rows(&fixture, &above, &[30]).await.unwrap(), "2");
    let all = rows(&fixture, &project(scan(&fixture.people, 1)), &[30]).await;
    assert_eq!(all.unwrap_err().code().0, "22012");
}

/// `(SELECT count(*) FROM pets WHERE owner = people.id)`
fn pet_count(fixture: &Fixture) -> Expr {
    let own = filter(
        scan(&fixture.pets, 11),
        equal(column(12, Type::INT4), column(1, Type::INT4)),
    );
    let rel = aggregate(own, vec![], "count", vec![], 40);
    let subquery = Subquery {
        kind: SubqueryKind::Scalar,
        rel,
        columns: vec![id(40)],
    };
    Expr {
        kind: ExprKind::Subquery(Box::new(subquery)),
        ty: Type::INT8,
        position: None,
    }
}

#[tokio::test]
async fn a_correlated_subquery_sees_each_row() {
    let fixture = fixture();
    let columns = vec![
        (output(31, Type::TEXT), column(3, Type::TEXT)),
        (output(32, Type::INT8), pet_count(&fixture)),
    ];
    let rel = Rel::Project {
        input: Box::new(scan(&fixture.people, 1)),
        columns,
    };
    assert_eq!(
        rows(&fixture, &rel, &[31, 32]).await.unwrap(),
        "ann 2, bob 0, cid 0, dan 1"
    );
}

#[tokio::test]
async fn exists_and_its_negation_become_joins() {
    let fixture = fixture();
    let exists = || {
        let rel = filter(
            scan(&fixture.pets, 11),
            equal(column(12, Type::INT4), column(1, Type::INT4)),
        );
        let subquery = Subquery {
            kind: SubqueryKind::Exists,
            rel,
            columns: vec![],
        };
        Expr {
            kind: ExprKind::Subquery(Box::new(subquery)),
            ty: Type::BOOL,
            position: None,
        }
    };
    let with = filter(scan(&fixture.people, 1), exists());
    assert_eq!(rows(&fixture, &with, &[3]).await.unwrap(), "ann, dan");
    let not = Expr {
        kind: ExprKind::Not(Box::new(exists())),
        ty: Type::BOOL,
        position: None,
    };
    let without = filter(scan(&fixture.people, 1), not);
    assert_eq!(rows(&fixture, &without, &[3]).await.unwrap(), "bob, cid");
}

#[tokio::test]
async fn not_in_is_unknown_beside_null() {
    let fixture = fixture();
    let member = |predicate: Option<Expr>| {
        let pets = scan(&fixture.pets, 11);
        let rel = match predicate {
            Some(predicate) => filter(pets, predicate),
            None => pets,
        };
        let test = Box::new(equal(column(1, Type::INT4), column(12, Type::INT4)));
        let kind = SubqueryKind::Quantified { all: false, test };
        let subquery = Subquery {
            kind,
            rel,
            columns: vec![id(12)],
        };
        let inner = Expr {
            kind: ExprKind::Subquery(Box::new(subquery)),
            ty: Type::BOOL,
            position: None,
        };
        Expr {
            kind: ExprKind::Not(Box::new(inner)),
            ty: Type::BOOL,
            position: None,
        }
    };
    let among_null = filter(scan(&fixture.people, 1), member(None));
    assert_eq!(rows(&fixture, &among_null, &[3]).await.unwrap(), "");
    let is_known = Expr {
        kind: ExprKind::IsNotNull(Box::new(column(12, Type::INT4))),
        ty: Type::BOOL,
        position: None,
    };
    let among_known = filter(scan(&fixture.people, 1), member(Some(is_known)));
    assert_eq!(rows(&fixture, &among_known, &[3]).await.unwrap(), "bob, cid");
}

#[tokio::test]
async fn a_lateral_join_runs_its_right_side_for_each_row() {
    let fixture = fixture();
    let own = filter(
        scan(&fixture.pets, 11),
        equal(column(12, Type::INT4), column(1, Type::INT4)),
    );
    let right = limit(sort(own, 11, Type::INT4), 1);
    let left = Box::new(scan(&fixture.people, 1));
    let rel = Rel::Join {
        kind: JoinKind::Left,
        left,
        right: Box::new(right),
        on: None,
        lateral: true,
    };
    assert_eq!(
        rows(&fixture, &rel, &[3, 13]).await.unwrap(),
        "ann rex, bob ∅, cid ∅, dan kit"
    );
}

#[tokio::test]
async fn a_sort_of_more_rows_than_fit_is_merged_from_runs_and_stays_stable() -> SqlResult<()> {
    let fixture = fixture();
    let count = 5_000;
    let values = (0..count)
        .map(|number| vec![int(number * 7 % 50), int(number)])
        .collect();
    let values = Rel::Values {
        rows: values,
        columns: vec![output(1, Type::INT4), output(2, Type::INT4)],
    };
    let mut expected: Vec<(i32, i32)> = (0..count).map(|number| (number * 7 % 50, number)).collect();
    expected.sort();
    let expected: Vec<String> = expected.iter().map(|(key, number)| format!("{key} {number}")).collect();
    let sorted = rows(&fixture, &sort(values, 1, Type::INT4), &[1, 2]).await?;
    assert_eq!(sorted, expected.join(", "));
    Ok(())
}
