//! Special: settings whose values need more than a kind — time zones, date styles, encodings, names.

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
        "application_name" => Ok(text.chars().map(|c| if (' '..='~').contains(&c) { c } else { '?' }).take(63).collect()),
        _ => Ok(text.to_owned()),
    }
}

/// A zone's name in its own spelling, or a fixed offset in POSIX form.
fn time_zone(text: &str) -> Option<String> {
    let text = text.trim();
    if let Some(zone) = chrono_tz::TZ_VARIANTS.iter().find(|zone| zone.name().eq_ignore_ascii_case(text)) {
        return Some(zone.name().to_owned());
    }
    if let Ok(hours) = text.parse::<f64>() {
        return (hours.abs() <= 168.0).then(|| offset_zone((hours * 3600.0).round() as i64));
    }
    posix_zone(text).then(|| text.to_owned())
}

/// PostgreSQL's name for a fixed offset of seconds east of UTC: `<+03>-03`, whose second half counts west.
fn offset_zone(seconds_east: i64) -> String {
    let format = |seconds: i64| {
        let (sign, size) = (if seconds < 0 { '-' } else { '+' }, seconds.abs());
        let mut text = format!("{sign}{:02}", size / 3600);
        if size % 3600 != 0 {
            text.push_str(&format!(":{:02}", size % 3600 / 60));
        }
        text
    };
    format!("<{}>{}", format(seconds_east), format(-seconds_east))
}

/// Zones in POSIX form: an abbreviation (or one in angle brackets), then an offset.
fn posix_zone(text: &str) -> bool {
    let rest = match text.strip_prefix('<') {
        Some(rest) => match rest.split_once('>') {
            Some((_, rest)) => rest,
            None => return false,
        },
        None => {
            let letters = text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len());
            if letters < 3 {
                return false;
            }
            &text[letters..]
        }
    };
    let digits = rest.trim_start_matches(['+', '-']);
    !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit() || c == ':') && rest.len() <= digits.len() + 1
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
    let name: String = text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect();
    match name.as_str() {
        "UTF8" | "UNICODE" => Ok("UTF8".into()),
        "SQLASCII" => Ok("SQL_ASCII".into()),
        "LATIN1" | "ISO88591" | "LATIN2" | "LATIN9" | "ISO885915" | "WIN1252" | "WIN1250" | "WIN1251" | "KOI8R" | "EUCJP"
        | "SJIS" | "GBK" | "BIG5" | "EUCKR" | "GB18030" => Err(SqlError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("conversion between {} and UTF8 is not supported", text.to_ascii_uppercase()),
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
        assert_eq!(time_zone("5.5").as_deref(), Some("<+05:30>-05:30"));
        assert_eq!(time_zone("EST5").as_deref(), Some("EST5"));
        assert_eq!(time_zone("Mars/Olympus"), None);
    }
}
