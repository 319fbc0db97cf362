//! Special: settings whose values need more than a kind — time zones, date styles, encodings, names.

use planner::types::zone::Zone;
use planner::{SqlError, SqlResult, SqlState};

use super::table::Setting;
use super::value;

/// Checks a value that its kind has accepted; returns the form to keep.
///
/// # Errors
/// 22023 with PostgreSQL's text.
pub fn check(setting: &Setting, text: &str, current: &str) -> SqlResult<String> {
    match setting.name {
        "TimeZone" => time_zone(text).ok_or_else(|| value::invalid_value(setting, text)),
        "DateStyle" => date_style(text, current).ok_or_else(|| value::invalid_value(setting, text)),
        "client_encoding" => encoding(setting, text),
        // The lexers read strings as the standard does, and a setting that only pretends would change what they mean.
        "standard_conforming_strings" if text == "off" => {
            Err(SqlError::unsupported("standard_conforming_strings = off")
                .hint("Write strings with backslash escapes as E'…'."))
        }
        "application_name" => Ok(text
            .chars()
            .map(|c| if (' '..='~').contains(&c) { c } else { '?' })
            .take(63)
            .collect()),
        _ => Ok(text.to_owned()),
    }
}

/// A zone's name in its own spelling, or a fixed offset in POSIX form.
fn time_zone(text: &str) -> Option<String> {
    Zone::from_setting(text).map(|zone| zone.name().to_owned())
}

/// DateStyle is two words in any order; a missing one keeps its value.
fn date_style(text: &str, current: &str) -> Option<String> {
    let (mut style, mut order) = current.split_once(", ").unwrap_or(("ISO", "MDY"));
    let (mut has_style, mut has_order) = (false, false);
    for word in text.split(',').map(str::trim) {
        let upper = word.to_ascii_uppercase();
        let (new_style, new_order) = match upper.as_str() {
            "ISO" => (Some("ISO"), None),
            "SQL" => (Some("SQL"), None),
            "GERMAN" => (Some("German"), None),
            word if word.starts_with("POSTGRES") => (Some("Postgres"), None),
            "YMD" => (None, Some("YMD")),
            word if word == "DMY" || word.starts_with("EURO") => (None, Some("DMY")),
            word if word == "MDY" || word == "US" || word.starts_with("NONEURO") => (None, Some("MDY")),
            "DEFAULT" => (Some("ISO"), Some("MDY")),
            _ => return None,
        };
        if let Some(new) = new_style {
            if has_style && new != style {
                return None;
            }
            (style, has_style) = (new, true);
        }
        if let Some(new) = new_order {
            if has_order && new != order {
                return None;
            }
            (order, has_order) = (new, true);
        }
    }
    // The German style brings its order along unless one is given.
    if style == "German" && has_style && !has_order {
        order = "DMY";
    }
    Some(format!("{style}, {order}"))
}

/// Text is UTF-8 throughout; SQL_ASCII asks for no conversion, which is the same thing.
fn encoding(setting: &Setting, text: &str) -> SqlResult<String> {
    let name: String = text
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_uppercase())
        .collect();
    match name.as_str() {
        "UTF8" | "UNICODE" => Ok("UTF8".into()),
        "SQLASCII" => Ok("SQL_ASCII".into()),
        "LATIN1" | "ISO88591" | "LATIN2" | "LATIN9" | "ISO885915" | "WIN1252" | "WIN1250" | "WIN1251" | "KOI8R"
        | "EUCJP" | "SJIS" | "GBK" | "BIG5" | "EUCKR" | "GB18030" => Err(SqlError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!(
                "conversion between {} and UTF8 is not supported",
                text.to_ascii_uppercase()
            ),
        )
        .hint("Set client_encoding to UTF8.")),
        _ => Err(value::invalid_value(setting, text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn date_styles_combine() {
        assert_eq!(date_style("sql, dmy", "ISO, MDY").unwrap(), "SQL, DMY");
        assert_eq!(date_style("iso", "SQL, DMY").unwrap(), "ISO, DMY");
        assert_eq!(date_style("german", "ISO, MDY").unwrap(), "German, DMY");
        assert_eq!(date_style("iso, sql", "ISO, MDY"), None);
        assert_eq!(date_style("fancy", "ISO, MDY"), None);
    }

    #[test]
    fn time_zones_are_names_or_offsets() {
        assert_eq!(time_zone("europe/berlin").as_deref(), Some("Europe/Berlin"));
        assert_eq!(time_zone("-8").as_deref(), Some("<-08>+08"));
        assert_eq!(time_zone("Mars/Olympus"), None);
    }
}
