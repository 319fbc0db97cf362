//! System information: the session, settings, types, sequences; and what the owner of the catalogs answers through
//! [`crate::eval::SessionView::catalog_call`].

mod size;
mod table;

use std::time::Duration;

use storage::{Datum, Interval};

use super::CallContext;
use super::call::argument;
use super::text::format::keywords as all_keywords;
use super::value::{Oid, TimestampTz};
use crate::types::calendar::{self, MICROS_PER_SECOND};
use crate::types::{self, Type, abbreviation, array, oid, reg, zone::Zone};
use crate::{SqlError, SqlResult, SqlState};

use size::{size_bytes, size_pretty};
pub(super) use table::FUNCTIONS;

/// The PostgreSQL version whose semantics are followed; drivers parse it out of `version()`.
pub const POSTGRES_VERSION: &str = "15.18";

fn version() -> String {
    format!(
        "PostgreSQL {POSTGRES_VERSION} (Cambium {}) on {}-{}",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH,
        std::env::consts::OS
    )
}

fn current_schemas(context: &mut CallContext<'_>, with_implicit: bool) -> Datum {
    let schemas = context.session.current_schemas(with_implicit);
    array::from_elements(oid::NAME, schemas.into_iter().map(Datum::text).collect())
}

fn current_setting(context: &mut CallContext<'_>, name: &str, missing_ok: bool) -> SqlResult<Option<String>> {
    match context.session.setting(name) {
        None if !missing_ok => Err(SqlError::new(
            SqlState::UNDEFINED_OBJECT,
            format!("unrecognized configuration parameter \"{name}\""),
        )),
        found => Ok(found),
    }
}

/// `set_config(name, value, is_local)`
fn set_config(context: &mut CallContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let Some(name) = argument::<Option<&str>>(args, 0)? else {
        return Err(SqlError::new(
            SqlState::NULL_VALUE_NOT_ALLOWED,
            "SET requires parameter name",
        ));
    };
    let is_local = argument::<Option<bool>>(args, 2)?.unwrap_or(false);
    context
        .session
        .set_setting(name, argument(args, 1)?, is_local)
        .map(Datum::text)
}

/// `format_type(oid, modifier)`
fn format_type(context: &mut CallContext<'_>, type_oid: Option<Oid>, modifier: Option<i32>) -> Option<String> {
    let type_oid = type_oid?.0;
    // With a modifier given as none, character would read back as character(1).
    if type_oid == oid::BPCHAR && modifier.is_some_and(|modifier| modifier < 0) {
        return Some("bpchar".to_owned());
    }
    if type_oid != 0 && types::info(type_oid).is_none() {
        let element = types::element_of(type_oid);
        let name = context.session.object_name(oid::REGTYPE, element.unwrap_or(type_oid));
        let brackets = if element.is_some() { "[]" } else { "" };
        return Some(name.map_or_else(|| "???".to_owned(), |name| format!("{name}{brackets}")));
    }
    Some(types::format_type(Type::with_modifier(
        type_oid,
        modifier.unwrap_or(-1),
    )))
}

/// `COLLATION FOR`
fn collation_for(context: &mut CallContext<'_>, value: Option<&Datum>) -> SqlResult<Option<&'static str>> {
    let ty = context.types.args.first().copied().unwrap_or(Type::UNKNOWN);
    let _ = value;
    match types::info(ty.oid).map(|info| info.collation) {
        _ if ty.oid == oid::UNKNOWN => Ok(None),
        Some(950) => Ok(Some("\"C\"")),
        Some(100) => Ok(Some("\"default\"")),
        _ => Err(SqlError::new(
            SqlState::DATATYPE_MISMATCH,
            format!("collations are not supported by type {}", types::format_type(ty)),
        )),
    }
}

/// `to_regclass` and its kin: NULL where the cast would raise.
fn find(context: &mut CallContext<'_>, kind: u32, name: &str) -> SqlResult<Option<Oid>> {
    if name.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    match reg::find(kind, name.trim(), context.session) {
        Ok(found) => Ok(found.map(Oid)),
        Err(error) if error.code() == SqlState::AMBIGUOUS_FUNCTION => Ok(None),
        Err(error) => Err(error),
    }
}

fn user_by_id(context: &mut CallContext<'_>, role: Oid) -> String {
    context
        .session
        .object_name(oid::REGROLE, role.0)
        .unwrap_or_else(|| format!("unknown (OID={})", role.0))
}

fn nulls(args: &[Datum]) -> i32 {
    args.iter().filter(|arg| arg.is_null()).count() as i32
}

fn interval_seconds(span: Interval) -> f64 {
    super::compare::interval_micros(&span) as f64 / MICROS_PER_SECOND as f64
}

fn sleep(context: &mut CallContext<'_>, seconds: f64) -> SqlResult<()> {
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) => context.session.sleep(duration),
        // A negative time is over already.
        Err(_) => Ok(()),
    }
}

fn sleep_until(context: &mut CallContext<'_>, moment: TimestampTz) -> SqlResult<()> {
    let micros = moment.0.saturating_sub(context.session.clock_timestamp());
    sleep(context, micros as f64 / MICROS_PER_SECOND as f64)
}

fn interval_of(seconds: i32) -> Datum {
    Datum::Interval(Interval {
        months: 0,
        days: 0,
        micros: i64::from(seconds) * MICROS_PER_SECOND,
    })
}

/// `pg_timezone_abbrevs`
fn timezone_abbreviations(context: &mut CallContext<'_>, _args: &[Datum]) -> SqlResult<Vec<Vec<Datum>>> {
    let now = calendar::unix_seconds(context.session.transaction_timestamp());
    Ok(abbreviation::all(now)
        .into_iter()
        .map(|(name, east, is_dst)| vec![Datum::text(name), interval_of(east), Datum::Bool(is_dst)])
        .collect())
}

/// `pg_timezone_names`
fn timezone_names(context: &mut CallContext<'_>, _args: &[Datum]) -> SqlResult<Vec<Vec<Datum>>> {
    let now = calendar::unix_seconds(context.session.transaction_timestamp());
    Ok(chrono_tz::TZ_VARIANTS
        .iter()
        .map(|zone| {
            let moment = Zone::Named(*zone).at_utc(now);
            vec![
                Datum::text(zone.name()),
                Datum::text(moment.abbreviation),
                interval_of(-moment.west),
                Datum::Bool(moment.is_dst),
            ]
        })
        .collect())
}

/// `pg_get_keywords`
fn keywords(_context: &mut CallContext<'_>, _args: &[Datum]) -> SqlResult<Vec<Vec<Datum>>> {
    Ok(all_keywords()
        .map(|(word, category, is_bare)| {
            let meaning = match category {
                'U' => "unreserved",
                'C' => "unreserved (cannot be function or type name)",
                'T' => "reserved (can be function or type name)",
                _ => "reserved",
            };
            vec![
                Datum::text(word),
                Datum::text(category.to_string()),
                Datum::Bool(is_bare),
                Datum::text(meaning),
                Datum::text(if is_bare { "can be bare label" } else { "requires AS" }),
            ]
        })
        .collect())
}

/// `pg_options_to_table`: `name=value` entries as rows.
fn options(_context: &mut CallContext<'_>, args: &[Datum]) -> SqlResult<Vec<Vec<Datum>>> {
    let entries: &storage::Array = argument(args, 0)?;
    entries
        .elements
        .iter()
        .map(|entry| {
            let entry = types::as_str(entry)?;
            Ok(match entry.split_once('=') {
                Some((name, value)) => vec![Datum::text(name), Datum::text(value)],
                None => vec![Datum::text(entry), Datum::Null],
            })
        })
        .collect()
}
