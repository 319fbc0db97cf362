//! Value: checks what SET is given and prints what SHOW answers, with PostgreSQL's units and messages.

use planner::{SqlError, SqlResult, SqlState};

use super::table::{Kind, Setting, Unit};

/// Factor of a unit name relative to bytes or to microseconds.
type Factor = (&'static str, i64);

const MEMORY: &[Factor] = &[
    ("B", 1),
    ("kB", 1 << 10),
    ("MB", 1 << 20),
    ("GB", 1 << 30),
    ("TB", 1 << 40),
];
const TIME: &[Factor] = &[
    ("us", 1),
    ("ms", 1_000),
    ("s", 1_000_000),
    ("min", 60_000_000),
    ("h", 3_600_000_000),
    ("d", 86_400_000_000),
];

/// The form in which a value is kept: numbers in the base unit, words spelled as in the table.
///
/// # Errors
/// 22023 with PostgreSQL's text.
pub fn canonical(setting: &Setting, value: &str) -> SqlResult<String> {
    match setting.kind {
        Kind::Bool => boolean(value)
            .map(|value| if value { "on".into() } else { "off".into() })
            .ok_or_else(|| invalid(format!("parameter \"{}\" requires a Boolean value", setting.name))),
        Kind::Integer(min, max, unit) => {
            let number = number(setting, value, unit)?.round();
            let (low, high) = (min as f64, max as f64);
            if !(low..=high).contains(&number) {
                let (unit, number) = (space_unit(unit), number as i64);
                return Err(invalid(format!(
                    "{number}{unit} is outside the valid range for parameter \"{}\" ({min}{unit} .. {max}{unit})",
                    setting.name
                )));
            }
            Ok((number as i64).to_string())
        }
        Kind::Real(min, max, unit) => {
            let number = number(setting, value, unit)?;
            if !(min..=max).contains(&number) {
                let unit = space_unit(unit);
                return Err(invalid(format!(
                    "{number}{unit} is outside the valid range for parameter \"{}\" ({min}{unit} .. {max}{unit})",
                    setting.name
                )));
            }
            Ok(number.to_string())
        }
        Kind::Enum(words) => match words.iter().find(|word| word.eq_ignore_ascii_case(value)) {
            Some(word) => Ok((*word).to_owned()),
            None => enum_alias(words, value)
                .map(str::to_owned)
                .ok_or_else(|| invalid_value(setting, value).hint(format!("Available values: {}.", words.join(", ")))),
        },
        Kind::Text | Kind::List | Kind::Names => Ok(value.to_owned()),
    }
}

/// What SHOW prints for a kept value: numbers in the largest unit that loses nothing.
pub fn shown(setting: &Setting, value: &str) -> String {
    let (Kind::Integer(_, _, unit) | Kind::Real(_, _, unit)) = setting.kind else {
        return value.to_owned();
    };
    let (Some((base, units)), Ok(number)) = (base_of(unit), value.parse::<i64>()) else {
        return match (base_of(unit), value.parse::<f64>()) {
            (Some((base, units)), Ok(_)) => units
                .iter()
                .find(|(_, factor)| *factor == base)
                .map_or(value.to_owned(), |(name, _)| format!("{value}{name}")),
            _ => value.to_owned(),
        };
    };
    if number <= 0 {
        return value.to_owned();
    }
    let total = i128::from(number) * i128::from(base);
    units
        .iter()
        .rev()
        .find(|(_, factor)| total % i128::from(*factor) == 0)
        .map_or(value.to_owned(), |(name, factor)| {
            format!("{}{name}", total / i128::from(*factor))
        })
}

/// PostgreSQL's booleans: true, false, yes, no, on, off and their unique beginnings, 1 and 0.
pub fn boolean(value: &str) -> Option<bool> {
    let value = value.trim().to_ascii_lowercase();
    let begins = |word: &str, least: usize| value.len() >= least && word.starts_with(&value);
    if begins("true", 1) || begins("yes", 1) || value == "on" || value == "1" {
        Some(true)
    } else if begins("false", 1) || begins("no", 1) || begins("off", 2) || value == "0" {
        Some(false)
    } else {
        None
    }
}

/// 22023
pub fn invalid(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

/// 22023 with the standard text.
pub fn invalid_value(setting: &Setting, value: &str) -> SqlError {
    invalid(format!("invalid value for parameter \"{}\": \"{value}\"", setting.name))
}

/// Enum settings with on and off take any boolean; some words have other spellings.
fn enum_alias(words: &[&'static str], value: &str) -> Option<&'static str> {
    let find = |wanted: &str| words.iter().find(|word| **word == wanted).copied();
    if value.eq_ignore_ascii_case("debug") {
        return find("debug2");
    }
    boolean(value).and_then(|value| find(if value { "on" } else { "off" }))
}

fn number(setting: &Setting, value: &str, unit: Unit) -> SqlResult<f64> {
    let text = value.trim();
    let digits = text
        .find(|c: char| c.is_ascii_alphabetic() && !matches!(c, 'e' | 'E' | 'x' | 'X'))
        .unwrap_or(text.len());
    let (mut digits, mut suffix) = (&text[..digits], text[digits..].trim());
    // An exponent letter directly before the unit's end belongs to the number only if digits follow it.
    if let Some(stripped) = digits.strip_suffix(['e', 'E']) {
        (digits, suffix) = (stripped, &text[stripped.len()..]);
    }
    let digits = digits.trim_end();
    let parsed = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hexadecimal) => i64::from_str_radix(hexadecimal, 16).ok().map(|number| number as f64),
        None => digits.parse::<f64>().ok().filter(|number| number.is_finite()),
    };
    let number = parsed.ok_or_else(|| invalid_value(setting, value))?;
    if suffix.is_empty() {
        return Ok(number);
    }
    let Some((base, units)) = base_of(unit) else {
        return Err(invalid_value(setting, value));
    };
    match units.iter().find(|(name, _)| *name == suffix) {
        Some((_, factor)) => Ok(number * *factor as f64 / base as f64),
        None => {
            let valid = if units.as_ptr() == MEMORY.as_ptr() {
                "Valid units for this parameter are \"B\", \"kB\", \"MB\", \"GB\", and \"TB\"."
            } else {
                "Valid units for this parameter are \"us\", \"ms\", \"s\", \"min\", \"h\", and \"d\"."
            };
            Err(invalid_value(setting, value).hint(valid))
        }
    }
}

fn base_of(unit: Unit) -> Option<(i64, &'static [Factor])> {
    match unit {
        Unit::None => None,
        Unit::Bytes => Some((1, MEMORY)),
        Unit::Kilobytes => Some((1 << 10, MEMORY)),
        Unit::Blocks => Some((8 << 10, MEMORY)),
        Unit::Megabytes => Some((1 << 20, MEMORY)),
        Unit::Milliseconds => Some((1_000, TIME)),
        Unit::Seconds => Some((1_000_000, TIME)),
        Unit::Minutes => Some((60_000_000, TIME)),
    }
}

/// Name of a base unit as pg_settings shows it.
pub fn unit_name(unit: Unit) -> Option<&'static str> {
    match unit {
        Unit::None => None,
        Unit::Bytes => Some("B"),
        Unit::Kilobytes => Some("kB"),
        Unit::Blocks => Some("8kB"),
        Unit::Megabytes => Some("MB"),
        Unit::Milliseconds => Some("ms"),
        Unit::Seconds => Some("s"),
        Unit::Minutes => Some("min"),
    }
}

fn space_unit(unit: Unit) -> String {
    unit_name(unit).map_or(String::new(), |name| format!(" {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::settings::table::{SETTINGS, find};

    fn set(name: &str, value: &str) -> Result<String, String> {
        let setting = &SETTINGS[find(name).unwrap()];
        match canonical(setting, value) {
            Ok(value) => Ok(shown(setting, &value)),
            Err(error) => Err(error.fields().message.clone()),
        }
    }

    #[test]
    fn units_are_read_and_shown_as_postgresql_does() {
        assert_eq!(set("work_mem", "4096"), Ok("4MB".into()));
        assert_eq!(set("work_mem", "1.5GB"), Ok("1536MB".into()));
        assert_eq!(set("statement_timeout", "90s"), Ok("90s".into()));
        assert_eq!(set("statement_timeout", "120 s"), Ok("2min".into()));
        assert_eq!(set("statement_timeout", "0"), Ok("0".into()));
        assert_eq!(set("effective_cache_size", "524288"), Ok("4GB".into()));
        assert_eq!(set("seq_page_cost", "1e1"), Ok("10".into()));
    }

    #[test]
    fn wrong_values_get_postgresqls_messages() {
        assert_eq!(
            set("statement_timeout", "-1").unwrap_err(),
            "-1 ms is outside the valid range for parameter \"statement_timeout\" (0 ms .. 2147483647 ms)"
        );
        assert_eq!(
            set("extra_float_digits", "4").unwrap_err(),
            "4 is outside the valid range for parameter \"extra_float_digits\" (-15 .. 3)"
        );
        assert_eq!(
            set("enable_sort", "maybe").unwrap_err(),
            "parameter \"enable_sort\" requires a Boolean value"
        );
        assert_eq!(
            set("bytea_output", "x").unwrap_err(),
            "invalid value for parameter \"bytea_output\": \"x\""
        );
        assert_eq!(
            set("work_mem", "4 parsecs").unwrap_err(),
            "invalid value for parameter \"work_mem\": \"4 parsecs\""
        );
    }

    #[test]
    fn booleans_take_unique_beginnings() {
        assert_eq!(
            [boolean("t"), boolean("YES"), boolean("of"), boolean("o"), boolean("2")],
            [Some(true), Some(true), Some(false), None, None]
        );
    }
}
