//! Byte order is value order, for every type.

use proptest::prelude::*;

use super::{
    KeyOrder, decode_columns, encode_column, encode_columns, index_key, parse_index_key, parse_row_key, prefix_end,
    row_key,
};
use crate::{Array, Datum, Interval, Jsonb, Numeric};

/// Values of one type (chosen by `kind`), with the awkward ones frequent.
fn datum(kind: u8) -> BoxedStrategy<Datum> {
    let micros = prop_oneof![Just(i64::MIN), Just(i64::MAX), Just(0), any::<i64>()];
    match kind {
        0 => any::<bool>().prop_map(Datum::Bool).boxed(),
        1 => any::<i16>().prop_map(Datum::Int2).boxed(),
        2 => any::<i32>().prop_map(Datum::Int4).boxed(),
        3 => any::<i64>().prop_map(Datum::Int8).boxed(),
        4 => prop_oneof![any::<f32>(), Just(f32::NAN), Just(-0.0), Just(0.0)]
            .prop_map(Datum::Float4)
            .boxed(),
        5 => prop_oneof![
            any::<f64>(),
            Just(-f64::NAN),
            Just(-0.0),
            Just(0.0),
            Just(f64::NEG_INFINITY)
        ]
        .prop_map(Datum::Float8)
        .boxed(),
        6 => numeric().prop_map(Datum::Numeric).boxed(),
        7 => "[a-c\u{0}é]{0,4}".prop_map(Datum::from).boxed(),
        8 => prop::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(0xFF), any::<u8>()], 0..5)
            .prop_map(Datum::bytea)
            .boxed(),
        9 => any::<i32>().prop_map(Datum::Date).boxed(),
        10 => (0..86_400_000_001_i64).prop_map(Datum::Time).boxed(),
        11 => (0..20_i64, -3..3_i32)
            .prop_map(|(t, z)| Datum::TimeTz(t * 3_600_000_000, z * 3600))
            .boxed(),
        12 => micros.prop_map(Datum::Timestamp).boxed(),
        13 => micros.prop_map(Datum::TimestampTz).boxed(),
        14 => prop_oneof![
            (-2..3_i32, -60..60_i32, any::<i64>()),
            (any::<i32>(), any::<i32>(), any::<i64>())
        ]
        .prop_map(|(m, d, u)| Datum::Interval(Interval::new(m, d, u)))
        .boxed(),
        15 => any::<[u8; 16]>().prop_map(Datum::Uuid).boxed(),
        16 => any::<u32>().prop_map(Datum::Oid).boxed(),
        17 => json().prop_map(Datum::Jsonb).boxed(),
        18 => prop::collection::vec(prop_oneof![Just(Datum::Null), (0..3_i32).prop_map(Datum::Int4)], 0..4)
            .prop_flat_map(|elements| (Just(elements), 0..2_i32))
            .prop_map(|(elements, bound)| {
                let mut array = Array::vector(23, elements);
                array.dimensions.iter_mut().for_each(|dimension| dimension.1 = bound);
                Datum::from(array)
            })
            .boxed(),
        _ => (0..3_i32, "[ab]{0,2}")
            .prop_map(|(a, b)| Datum::record(vec![Datum::Int4(a), Datum::from(b)]))
            .boxed(),
    }
}

fn numeric() -> impl Strategy<Value = Numeric> {
    prop_oneof![
        Just(Numeric::NAN),
        Just(Numeric::INFINITY),
        Just(Numeric::NEGATIVE_INFINITY),
        (-50..50_i128, 0..4_u32).prop_map(|(m, s)| Numeric::from_parts(m, s).expect("small scale")),
        (any::<i128>(), 0..40_u32).prop_map(|(m, s)| Numeric::from_parts(m, s).expect("small scale")),
        (any::<i64>(), -300..300_i32).prop_map(|(m, e)| format!("{m}e{e}").parse().expect("within limits")),
    ]
}

fn json() -> impl Strategy<Value = Jsonb> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        (-3..3_i32).prop_map(|n| n.to_string()),
        Just("1.0".to_owned()),
        Just("1.00".to_owned()),
        "\"[ab]{0,2}\"",
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(("[ab]{0,2}", inner), 0..3).prop_map(|members| {
                let members: Vec<String> = members
                    .iter()
                    .map(|(key, value)| format!("\"{key}\":{value}"))
                    .collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
    .prop_map(|text| Jsonb::parse(&text).expect("valid"))
}

fn pair() -> impl Strategy<Value = (Datum, Datum)> {
    (0..20_u8).prop_flat_map(|kind| {
        let value = prop_oneof![9 => datum(kind), 1 => Just(Datum::Null)];
        (value.clone(), value)
    })
}

fn encode(value: &Datum, order: KeyOrder) -> Vec<u8> {
    let mut out = Vec::new();
    encode_column(&mut out, value, order);
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn byte_order_is_value_order((a, b) in pair(), descending: bool, nulls_first: bool) {
        let order = KeyOrder { descending, nulls_first };
        let mut expected = a.compare(&b);
        let nulls_differ = a.is_null() != b.is_null();
        if (nulls_differ && nulls_first) || (!nulls_differ && descending) {
            expected = expected.reverse();
        }
        prop_assert_eq!(encode(&a, order).cmp(&encode(&b, order)), expected, "{:?} {:?}", a, b);
    }

    #[test]
    fn equal_values_hash_alike((a, b) in pair()) {
        use std::hash::{BuildHasher, RandomState};
        let state = RandomState::new();
        if a == b {
            prop_assert_eq!(state.hash_one(&a), state.hash_one(&b), "{:?} {:?}", a, b);
        }
    }

    #[test]
    fn keys_round_trip_and_delimit_themselves((a, b) in pair(), (c, _) in pair(), descending: bool) {
        let order = KeyOrder { descending, nulls_first: descending };
        let values = [a, c, b];
        let key = encode_columns(&values, &[order, KeyOrder::default(), order]).expect("short");
        prop_assert_eq!(decode_columns(&key).expect("own key"), values.to_vec());
    }

    #[test]
    fn any_bytes_decode_or_fail(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let _ = decode_columns(&bytes);
        let _ = parse_row_key(&bytes);
        let _ = parse_index_key(&bytes);
    }
}

#[test]
fn newer_versions_come_first_and_keys_come_apart() {
    let pk = encode_columns(&[Datum::Int4(7)], &[]).expect("short");
    assert!(row_key(5, &pk, 20) < row_key(5, &pk, 10));
    let key = row_key(5, &pk, 20);
    let parsed = parse_row_key(&key).expect("row key");
    assert_eq!(
        (parsed.table, parsed.primary_key, parsed.timestamp),
        (5, pk.as_slice(), 20)
    );
    let value = encode_columns(&[Datum::from("x"), Datum::Null], &[]).expect("short");
    let key = index_key(9, &value, &pk, 3);
    let parsed = parse_index_key(&key).expect("index key");
    assert_eq!(
        (parsed.index, parsed.value, parsed.primary_key, parsed.timestamp),
        (9, value.as_slice(), pk.as_slice(), 3)
    );
    assert!(parse_row_key(&key).is_none());
}

#[test]
fn prefix_end_is_the_first_key_beyond() {
    assert_eq!(prefix_end(&[1, 2]), Some(vec![1, 3]));
    assert_eq!(prefix_end(&[1, 0xFF]), Some(vec![2]));
    assert_eq!(prefix_end(&[0xFF]), None);
    assert_eq!(prefix_end(&[]), None);
}
