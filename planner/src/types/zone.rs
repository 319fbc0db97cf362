//! Time zones: names of the IANA database, fixed offsets, POSIX specifications and abbreviations.
//!
//! Offsets are in seconds **west** of UTC, as PostgreSQL keeps them (`-05` is 18000). The IANA data comes from
//! `chrono-tz`; everything else about dates is our own arithmetic.

use std::sync::Arc;

use chrono::{DateTime, Offset, TimeZone as _};
use chrono_tz::{OffsetName, Tz};

use super::abbreviation;
use super::calendar::{self, SECONDS_PER_DAY};
use super::posix::{self, Rule};

/// Furthest displacement of a zone, in hours (PostgreSQL's MAX_TZDISP_HOUR).
pub const DISPLACEMENT_HOURS_MAX: i32 = 15;

/// A time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Zone {
    /// A zone of the IANA database.
    Named(Tz),
    /// A fixed offset: seconds west, what SHOW prints, and the abbreviation.
    Fixed(i32, Arc<str>, Arc<str>),
    /// A POSIX specification with daylight saving time.
    Rule(Arc<Rule>),
}

/// What holds in a zone at some moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneMoment {
    /// Seconds west of UTC.
    pub west: i32,
    /// Daylight saving time.
    pub is_dst: bool,
    /// Abbreviation, such as `PDT`.
    pub abbreviation: String,
}

impl Zone {
    /// Coordinated universal time.
    pub const UTC: Zone = Zone::Named(Tz::UTC);

    /// A zone of a fixed offset without a name, printed as PostgreSQL prints `SET TIME ZONE -8`: `<-08>+08`.
    pub fn fixed(west: i32) -> Zone {
        let east = -west;
        let mut name = String::new();
        write_offset(east, true, &mut name);
        let mut posix = String::new();
        write_offset(west, true, &mut posix);
        Zone::Fixed(west, format!("<{name}>{posix}").into(), name.into())
    }

    /// Finds a zone by name (any case), or reads a POSIX specification such as `FOO+3` or `<-03>3`.
    pub fn named(name: &str) -> Option<Zone> {
        if let Ok(zone) = name.parse::<Tz>() {
            return Some(Zone::Named(zone));
        }
        if let Some(zone) = chrono_tz::TZ_VARIANTS
            .iter()
            .find(|zone| zone.name().eq_ignore_ascii_case(name))
        {
            return Some(Zone::Named(*zone));
        }
        posix::parse(name)
    }

    /// The zone of a `TimeZone` setting: a name, or hours east of UTC.
    pub fn from_setting(value: &str) -> Option<Zone> {
        let value = value.trim();
        if let Ok(hours) = value.parse::<f64>() {
            return (hours.abs() < f64::from(DISPLACEMENT_HOURS_MAX) + 1.0)
                .then(|| Zone::fixed(-((hours * 3600.0).round() as i32)));
        }
        Zone::named(value)
    }

    /// What SHOW prints.
    pub fn name(&self) -> &str {
        match self {
            Zone::Named(zone) => zone.name(),
            Zone::Fixed(_, name, _) => name,
            Zone::Rule(rule) => &rule.name,
        }
    }

    /// The offset if it never changes.
    pub fn fixed_west(&self) -> Option<i32> {
        match self {
            Zone::Fixed(west, _, _) => Some(*west),
            Zone::Named(Tz::UTC) => Some(0),
            Zone::Rule(_) => None,
            Zone::Named(_) => {
                // Two moments in opposite seasons tell a zone with daylight saving time; PostgreSQL demands no
                // transition ever, which only differs for zones that once changed.
                let winter = self.at_utc(946_684_800).west;
                let summer = self.at_utc(962_409_600).west;
                let early = self.at_utc(-2_208_988_800).west;
                (winter == summer && early == winter).then_some(winter)
            }
        }
    }

    /// Seconds west at a moment given in seconds since 1970 UTC.
    pub fn west_at_utc(&self, seconds: i64) -> i32 {
        match self {
            Zone::Fixed(west, _, _) => *west,
            Zone::Named(Tz::UTC) => 0,
            Zone::Rule(rule) => rule.at_utc(seconds).west,
            Zone::Named(zone) => match moment(seconds) {
                Some(utc) => -zone.offset_from_utc_datetime(&utc).fix().local_minus_utc(),
                None => 0,
            },
        }
    }

    /// Everything about a moment given in seconds since 1970 UTC.
    pub fn at_utc(&self, seconds: i64) -> ZoneMoment {
        match self {
            Zone::Fixed(west, _, abbreviation) => ZoneMoment {
                west: *west,
                is_dst: false,
                abbreviation: abbreviation.to_string(),
            },
            Zone::Rule(rule) => rule.at_utc(seconds),
            Zone::Named(zone) => {
                let Some(utc) = moment(seconds) else {
                    return ZoneMoment {
                        west: 0,
                        is_dst: false,
                        abbreviation: zone.name().to_owned(),
                    };
                };
                let offset = zone.offset_from_utc_datetime(&utc);
                let west = -offset.fix().local_minus_utc();
                let is_dst = chrono_tz::OffsetComponents::dst_offset(&offset) != chrono::TimeDelta::zero();
                let abbreviation = offset.abbreviation().map_or_else(
                    || {
                        let mut text = String::new();
                        write_offset(-west, true, &mut text);
                        text
                    },
                    str::to_owned,
                );
                ZoneMoment {
                    west,
                    is_dst,
                    abbreviation,
                }
            }
        }
    }

    /// Seconds west at a local time given in seconds since 1970 *in the zone*. A time that a spring transition skips
    /// counts by the offset before it; one that an autumn transition repeats by the offset after it.
    pub fn west_at_local(&self, local: i64) -> i32 {
        if let Zone::Fixed(west, _, _) = self {
            return *west;
        }
        let before = self.west_at_utc(local - SECONDS_PER_DAY);
        let after = self.west_at_utc(local + SECONDS_PER_DAY);
        if before == after {
            return before;
        }
        let before_holds = self.west_at_utc(local + i64::from(before)) == before;
        let after_holds = self.west_at_utc(local + i64::from(after)) == after;
        if after_holds || !before_holds && after > before {
            after
        } else {
            before
        }
    }
}

/// The moment as chrono has it. Years after the database's last rule are read as the year of the same shape near its
/// end, so that the last rule goes on for ever as it does in PostgreSQL.
fn moment(seconds: i64) -> Option<chrono::NaiveDateTime> {
    /// 2099-01-01 00:00:00 UTC
    const LAST: i64 = 4_070_908_800;
    /// Seconds of 28 years, after which weekdays and leap years repeat within the century.
    const CYCLE: i64 = (28 * 365 + 7) * SECONDS_PER_DAY;
    /// Seconds of 400 years of the Gregorian calendar.
    const GREGORIAN: i64 = 146_097 * SECONDS_PER_DAY;
    let mut seconds = seconds;
    if seconds >= LAST {
        seconds = LAST - GREGORIAN + (seconds - LAST).rem_euclid(GREGORIAN);
        while seconds < LAST - CYCLE {
            // Years 1699–2098 have the same calendar as 400 years later; move into the last 28 of them.
            let (year, _, _) =
                calendar::j2date((seconds.div_euclid(SECONDS_PER_DAY) + calendar::UNIX_EPOCH_JULIAN) as i32);
            seconds = same_shape(seconds, year)?;
        }
    }
    DateTime::from_timestamp(seconds, 0).map(|utc| utc.naive_utc())
}

/// Moves a moment to the year in 2071..=2098 whose weekdays and leap day are those of its own year.
fn same_shape(seconds: i64, year: i32) -> Option<i64> {
    let first = calendar::date2j(year, 1, 1);
    let wanted = (2071..=2098).find(|&candidate| {
        calendar::is_leap(candidate) == calendar::is_leap(year) && (calendar::date2j(candidate, 1, 1) - first) % 7 == 0
    })?;
    Some(seconds + i64::from(calendar::date2j(wanted, 1, 1) - first) * SECONDS_PER_DAY)
}

/// A zone in a function's argument or in a timestamp's text: an abbreviation, a name, or a POSIX specification.
#[derive(Clone, Debug)]
pub enum ZoneName {
    /// An abbreviation of a fixed offset: seconds west, and whether it is daylight saving time.
    Abbreviation(i32, bool),
    /// An abbreviation whose offset depends on the date: that of the named zone.
    Dynamic(Zone),
    /// A zone.
    Zone(Zone),
}

/// Looks up a zone by abbreviation first, then by name, as `timezone('PST', …)` does.
pub fn lookup(name: &str) -> Option<ZoneName> {
    if let Some(found) = abbreviation::lookup(name) {
        return Some(found);
    }
    Zone::named(name).map(ZoneName::Zone)
}

/// Prints an offset east of UTC: `+05`, `-03:30`, `+00:19:32`; `short` leaves zero minutes out.
pub fn write_offset(east: i32, short: bool, out: &mut String) {
    use std::fmt::Write;
    let size = east.unsigned_abs();
    let (hours, minutes, seconds) = (size / 3600, size / 60 % 60, size % 60);
    out.push(if east < 0 { '-' } else { '+' });
    let _ = match (minutes, seconds) {
        (0, 0) if short => write!(out, "{hours:02}"),
        (_, 0) => write!(out, "{hours:02}:{minutes:02}"),
        _ => write!(out, "{hours:02}:{minutes:02}:{seconds:02}"),
    };
}
