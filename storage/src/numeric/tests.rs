//! What PostgreSQL 15 answers to the same questions.

use super::{Numeric, NumericError, NumericResult, WireNumeric};

fn n(text: &str) -> Numeric {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn check(actual: NumericResult, expected: &str) {
    match actual {
        Ok(value) => assert_eq!(value.to_string(), expected),
        Err(error) => assert_eq!(error.to_string(), expected),
    }
}

#[test]
fn text_round_trips_as_postgresql_prints_it() {
    for (input, output) in [
        ("1.50", "1.50"),
        ("-0.0", "0.0"),
        (".5", "0.5"),
        ("5.", "5"),
        ("1e2", "100"),
        ("1.5e-3", "0.0015"),
        (" +12 ", "12"),
        ("nan", "NaN"),
        ("-inf", "-Infinity"),
        ("1e39", "1000000000000000000000000000000000000000"),
        ("0e500", "0"),
        (
            "-123456789012345678901234567890123456789012.10",
            "-123456789012345678901234567890123456789012.10",
        ),
        ("1e 2", "100"),
    ] {
        assert_eq!(n(input).to_string(), output, "{input}");
    }
    for bad in [
        "", " ", ".", "-", "1e", "1.2.3", "0x10", "1_000", "1 2", "- 1", "infinit", "1e5.5",
    ] {
        assert!(matches!(bad.parse::<Numeric>(), Err(NumericError::Syntax(_))), "{bad}");
    }
    for large in ["1e131072", "1e-16384", "1e1000000000", "1e99999999999999999999"] {
        assert_eq!(large.parse::<Numeric>(), Err(NumericError::Overflow), "{large}");
    }
    assert_eq!(n("1e131071").to_string().len(), 131_072);
}

#[test]
fn quotients_have_postgresql_scales() {
    check(n("1").div(&n("3")), "0.33333333333333333333");
    check(n("2").div(&n("3")), "0.66666666666666666667");
    check(n("10").div(&n("4")), "2.5000000000000000");
    check(n("100000").div(&n("7")), "14285.714285714286");
    check(n("1").div(&n("0")), "division by zero");
    check(n("7").rem(&n("-3")), "1");
    check(n("-7.5").rem(&n("2")), "-1.5");
    check(n("Infinity").div(&n("-2")), "-Infinity");
}

#[test]
fn inexact_functions_have_postgresql_digits() {
    check(n("2").sqrt(), "1.414213562373095");
    check(n("1").exp(), "2.7182818284590452");
    check(n("-5").exp(), "0.006737946999085467");
    check(n("2").ln(), "0.6931471805599453");
    check(n("0.001").ln(), "-6.9077552789821371");
    check(n("100").log10(), "2.0000000000000000");
    check(Numeric::log(&n("2"), &n("64")), "6.0000000000000000");
    check(n("2").pow(&n("10")), "1024.0000000000000000");
    check(n("2").pow(&n("-3")), "0.1250000000000000");
    check(n("2").pow(&n("0.5")), "1.4142135623730950");
    check(n("0").pow(&n("-1")), "zero raised to a negative power is undefined");
    check(
        n("-1").pow(&n("0.5")),
        "a negative number raised to a non-integer power yields a complex result",
    );
}

#[test]
fn order_and_keys_ignore_scale() {
    let ordered = [
        "-inf", "-1e200", "-123.5", "-123.45", "-1", "-0.001", "-1e-300", "0", "1e-300", "0.0011", "0.01", "0.9", "1",
        "1.01", "9", "10", "99", "100", "1e37", "1e38", "1e39", "1e200", "inf", "nan",
    ];
    let keys: Vec<Vec<u8>> = ordered.iter().map(|text| key(&n(text))).collect();
    assert!(keys.is_sorted());
    for (index, text) in ordered.iter().enumerate() {
        let (back, rest) = Numeric::read_key(&keys[index]).expect("own key");
        assert_eq!(back, n(text));
        assert!(rest.is_empty());
        for (other, right) in ordered.iter().enumerate() {
            assert_eq!(n(text).cmp(&n(right)), index.cmp(&other), "{text} {right}");
        }
    }
    assert_eq!(key(&n("1.0")), key(&n("1.00")));
    assert_eq!(n("100").trim_scale().to_string(), "100");
}

fn key(value: &Numeric) -> Vec<u8> {
    let mut out = Vec::new();
    value.write_key(&mut out);
    out
}

#[test]
fn rounding_and_limits() {
    check(n("2.5").round(0), "3");
    check(n("-2.5").round(0), "-3");
    check(n("1234.5").round(-2), "1200");
    check(n("1.5").round(3), "1.500");
    assert_eq!(n("-1.59").trunc(1).to_string(), "-1.5");
    check(n("-0.5").ceil(), "0");
    check(n("-0.5").floor(), "-1");
    check(n("99.99").with_precision(4, 1), "100.0");
    assert_eq!(
        n("99.99").with_precision(3, 1),
        Err(NumericError::FieldOverflow {
            detail: "A field with precision 3, scale 1 must round to an absolute value less than 10^2.".to_owned()
        })
    );
}

#[test]
fn wire_form_round_trips() {
    for text in [
        "0",
        "0.00",
        "1",
        "-1.50",
        "10000",
        "12345.678",
        "0.00001",
        "1e40",
        "-1e-40",
        "NaN",
        "-inf",
        "99999999",
    ] {
        let mut bytes = Vec::new();
        n(text).write_wire(&mut bytes);
        assert_eq!(
            Numeric::read_wire(&bytes).map(|v| v.to_string()),
            Ok(n(text).to_string()),
            "{text}"
        );
    }
    assert_eq!(
        n("12345.678").to_wire(),
        WireNumeric {
            weight: 1,
            sign: 0,
            scale: 3,
            digits: vec![1, 2345, 6780]
        }
    );
    assert!(Numeric::read_wire(&[0, 1, 0]).is_err());
}

#[test]
fn floats_convert_with_fifteen_digits() {
    assert_eq!(Numeric::from_f64(0.1).to_string(), "0.1");
    assert_eq!(Numeric::from_f64(1e20).to_string(), "100000000000000000000");
    assert_eq!(Numeric::from_f64(1.0 / 3.0).to_string(), "0.333333333333333");
    assert_eq!(n("1e400").to_f64(), None);
    assert_eq!(n("0.1").to_f64(), Some(0.1));
    assert_eq!(n("9223372036854775807.5").to_i64_rounded(), None);
    assert_eq!(n("-2.5").to_i64_rounded(), Some(-3));
}

#[test]
fn answers_are_those_recorded_from_postgresql() {
    let mut wrong = Vec::new();
    for line in include_str!("recorded.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
    {
        let (question, expected) = line.split_once(" = ").expect("question = answer");
        let words: Vec<&str> = question.split(' ').collect();
        let a = n(words[1]);
        let b = || n(words[2]);
        let digits = || words[2].parse::<i32>().expect("a scale");
        let answer = match words[0] {
            "+" => a.add(&b()),
            "-" => a.sub(&b()),
            "*" => a.mul(&b()),
            "/" => a.div(&b()),
            "%" => a.rem(&b()),
            "^" => a.pow(&b()),
            "div" => a.div_trunc(&b()),
            "log" => Numeric::log(&a, &b()),
            "gcd" => a.gcd(&b()),
            "lcm" => a.lcm(&b()),
            "sqrt" => a.sqrt(),
            "ln" => a.ln(),
            "exp" => a.exp(),
            "round" => a.round(digits()),
            "trunc" => Ok(a.trunc(digits())),
            "ceil" => a.ceil(),
            "floor" => a.floor(),
            other => panic!("unknown operator {other}"),
        };
        let answer = answer.map_or_else(|error| error.to_string(), |value| value.to_string());
        if answer != expected {
            wrong.push(format!("{question} = {answer}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
