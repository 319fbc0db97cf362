//! Versions round trip, damage is noticed, chains end.

use bytes::Bytes;
use proptest::prelude::*;

use super::{
    Chain, Consolidation, RowSlice, RowView, StoredVersion, ValueRef, Version, consolidation, decode_row, encode_row,
    fold, moved_to,
};
use crate::{Array, Datum, Interval, Jsonb, Numeric, Path, PathOp, Row, Step, StorageError};

fn row() -> Row {
    let numeric = |text: &str| Datum::Numeric(Numeric::parse(text).expect("number"));
    vec![
        Datum::Null,
        Datum::Bool(true),
        Datum::Bool(false),
        Datum::Int2(-2),
        Datum::Int4(i32::MIN),
        Datum::Int8(i64::MAX),
        Datum::Float4(1.5),
        Datum::Float8(f64::NEG_INFINITY),
        numeric("-1.50"),
        numeric("NaN"),
        numeric("-inf"),
        numeric("inf"),
        numeric("123456789012345678901234567890123456789012345.6789"),
        numeric("0.00"),
        Datum::from("text"),
        Datum::from(""),
        Datum::bytea(vec![0, 1, 255]),
        Datum::Date(-1),
        Datum::Time(1),
        Datum::TimeTz(5, -3600),
        Datum::Timestamp(i64::MIN),
        Datum::TimestampTz(7),
        Datum::Interval(Interval::new(1, -2, 3)),
        Datum::Uuid([7; 16]),
        Datum::Json("{ }".into()),
        Datum::Jsonb(Jsonb::parse(r#"{"a": [1, 2.50]}"#).expect("JSON")),
        Datum::Oid(u32::MAX),
        Datum::from(Array {
            element_type: 23,
            dimensions: vec![(2, 0)],
            elements: vec![Datum::Int4(1), Datum::Null],
        }),
        Datum::record(vec![Datum::Int4(1), Datum::record(vec![Datum::from("x")])]),
    ]
}

#[test]
fn a_value_is_the_same_where_it_lies() {
    let mut bytes = Vec::new();
    encode_row(&mut bytes, &row());
    let slice = RowSlice::open(&bytes).unwrap();
    for (index, value) in row().iter().enumerate() {
        let found = slice.column(index).unwrap();
        assert_eq!(format!("{found:?}"), format!("{:?}", Some(ValueRef::from(value))));
    }
    assert!(slice.column(row().len()).unwrap().is_none());
}

#[test]
fn rows_round_trip_and_columns_are_read_alone() {
    let row = row();
    let bytes = Bytes::from(Version::encode_full(&row));
    let Ok(StoredVersion::Full(view)) = StoredVersion::open(&bytes) else {
        panic!("a full version")
    };
    assert_eq!(view.len(), row.len());
    for (index, value) in row.iter().enumerate() {
        let read = view.column(index).expect("readable").expect("present");
        assert_eq!(format!("{read:?}"), format!("{value:?}"));
    }
    assert!(matches!(view.column(row.len()), Ok(None)));
    assert_eq!(format!("{:?}", view.to_row().expect("readable")), format!("{row:?}"));
    let wide: Row = vec![
        Datum::from("x".repeat(70_000)),
        Datum::Int4(1),
        Datum::from("y".repeat(300)),
    ];
    let mut out = Vec::new();
    encode_row(&mut out, &wide);
    assert_eq!(decode_row(&out.into()).expect("readable"), wide);
}

#[test]
fn damage_anywhere_is_noticed() {
    let bytes = Version::encode_full(&row());
    for index in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[index] ^= 0x10;
        assert!(
            matches!(Version::decode(&bad.into()), Err(StorageError::Corrupted(_))),
            "byte {index}"
        );
        assert!(matches!(
            Version::decode(&Bytes::copy_from_slice(&bytes[..index])),
            Err(StorageError::Corrupted(_))
        ));
    }
    assert!(matches!(
        Version::decode(&Version::encode_tombstone().into()),
        Ok(Version::Tombstone)
    ));
    let moved = Version::encode_moved(b"key").into();
    assert!(matches!(Version::decode(&moved), Ok(Version::Tombstone)));
    assert_eq!(moved_to(&moved).as_deref(), Some(&b"key"[..]));
    assert_eq!(moved_to(&Version::encode_tombstone().into()), None);
    assert_eq!(moved_to(&Version::encode_full(&[]).into()), None);
}

#[test]
fn deltas_fold_in_order() {
    let set = |at: &str, value: &str| {
        PathOp::set(
            Path::new(1, at.split('/').map(Step::from_text)),
            Jsonb::parse(value).expect("JSON"),
        )
    };
    let base: Row = vec![
        Datum::Int4(1),
        Datum::Jsonb(Jsonb::parse(r#"{"a": {"b": 1}}"#).expect("JSON")),
    ];
    let deltas = [vec![set("a/b", "2"), set("c", "[]")], vec![set("a/b", "3")]];
    let encoded: Vec<Bytes> = deltas.iter().map(|delta| Version::encode_delta(delta).into()).collect();
    let decoded: Vec<Vec<PathOp>> = encoded
        .iter()
        .map(|bytes| match Version::decode(bytes) {
            Ok(Version::Delta(operations)) => operations,
            other => panic!("a delta, not {other:?}"),
        })
        .collect();
    let folded = fold(base, decoded.iter().map(Vec::as_slice)).expect("small");
    assert_eq!(format!("{:?}", folded[1]), r#"Jsonb({"a": {"b": 3}, "c": []})"#);
}

#[test]
fn chains_end_at_half_the_document_or_by_number() {
    let chain = |full_bytes, deltas, delta_bytes| {
        consolidation(Chain {
            full_bytes,
            deltas,
            delta_bytes,
        })
    };
    assert_eq!(chain(100, 16, 40), Consolidation::Keep);
    assert_eq!(chain(100, 17, 40), Consolidation::Now);
    assert_eq!(chain(100 << 10, 25, 50 << 10), Consolidation::Keep);
    assert_eq!(chain(100 << 10, 26, 1000), Consolidation::Now);
    assert_eq!(chain(100 << 10, 20, (50 << 10) + 1), Consolidation::Now);
    assert_eq!(chain(1 << 20, 257, 1000), Consolidation::ByCommand);
    assert_eq!(chain(1 << 20, 256, 1000), Consolidation::Keep);
}

proptest! {
    #[test]
    fn any_bytes_decode_or_fail(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        if let Ok(slice) = RowSlice::open(&bytes) {
            let _ = (0..4).map(|index| slice.column(index)).collect::<Vec<_>>();
        }
        let bytes = Bytes::from(bytes);
        let _ = RowView::open(bytes.clone()).map(|view| view.to_row());
        let _ = super::decode_datum(&bytes);
        let _ = Version::decode(&bytes);
    }
}

#[test]
fn values_pass_through_serde() {
    for value in row() {
        let text = serde_json::to_string(&value).expect("serialisable");
        let back: Datum = serde_json::from_str(&text).expect("deserialisable");
        assert_eq!(format!("{back:?}"), format!("{value:?}"));
    }
    assert!(serde_json::from_str::<Datum>("[19, 9, 9]").is_err());
}
