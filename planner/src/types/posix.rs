//! POSIX specifications of time zones: `FOO+3`, `<-03>3`, `PST8PDT,M3.2.0,M11.1.0`.

use super::calendar::{self, SECONDS_PER_DAY, UNIX_EPOCH_JULIAN, is_leap};
use super::zone::{Zone, ZoneMoment};

/// A zone that changes to daylight saving time and back by the same rule every year.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The specification in capitals, as SHOW prints it.
    pub name: String,
    standard: Offset,
    daylight: Offset,
    start: Change,
    end: Change,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Offset {
    abbreviation: String,
    west: i32,
}

/// When the clock changes: a day, and the local time of that day in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Change {
    day: Day,
    time: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Day {
    /// `Jn`: 1 to 365, 29 February never counted.
    Julian(i32),
    /// `n`: 0 to 365.
    OfYear(i32),
    /// `Mm.w.d`: weekday d of week w of month m, week 5 being the last.
    OfMonth(i32, i32, i32),
}

/// What the United States do, for a specification without a rule.
const DEFAULT_START: Change = Change {
    day: Day::OfMonth(3, 2, 0),
    time: 7200,
};
const DEFAULT_END: Change = Change {
    day: Day::OfMonth(11, 1, 0),
    time: 7200,
};

impl Rule {
    /// What holds at a moment in seconds since 1970 UTC.
    pub fn at_utc(&self, seconds: i64) -> ZoneMoment {
        let local = seconds - i64::from(self.standard.west);
        let julian = local.div_euclid(SECONDS_PER_DAY) + UNIX_EPOCH_JULIAN;
        let (year, _, _) = calendar::j2date(julian as i32);
        let start = self.start.in_year(year) + i64::from(self.standard.west);
        let end = self.end.in_year(year) + i64::from(self.daylight.west);
        // South of the equator summer goes over the end of the year.
        let is_dst = if start < end {
            (start..end).contains(&seconds)
        } else {
            !(end..start).contains(&seconds)
        };
        let offset = if is_dst { &self.daylight } else { &self.standard };
        ZoneMoment {
            west: offset.west,
            is_dst,
            abbreviation: offset.abbreviation.clone(),
        }
    }
}

impl Change {
    /// Seconds since 1970 of the change in a year, as if its local time were UTC.
    fn in_year(self, year: i32) -> i64 {
        let first = calendar::date2j(year, 1, 1);
        let julian = match self.day {
            Day::Julian(day) => first + day - 1 + i32::from(is_leap(year) && day >= 60),
            Day::OfYear(day) => first + day,
            Day::OfMonth(month, week, weekday) => {
                let month_start = calendar::date2j(year, month, 1);
                let offset = (weekday - calendar::day_of_week(month_start)).rem_euclid(7);
                let mut day = offset + 7 * (week - 1);
                if day >= calendar::days_in_month(year, month) {
                    day -= 7;
                }
                month_start + day
            }
        };
        (i64::from(julian) - UNIX_EPOCH_JULIAN) * SECONDS_PER_DAY + i64::from(self.time)
    }
}

/// Reads a specification. The abbreviation of standard time may be missing: `+02:00` is two hours *west*.
pub fn parse(text: &str) -> Option<Zone> {
    let upper = text.to_ascii_uppercase();
    let mut rest = upper.as_str();
    let abbreviation = take_name(&mut rest)?;
    let west = take_offset(&mut rest)?;
    let standard = Offset { abbreviation, west };
    if rest.is_empty() {
        return Some(Zone::Fixed(west, upper.clone().into(), standard.abbreviation.into()));
    }
    let abbreviation = take_name(&mut rest).filter(|name| !name.is_empty())?;
    let west = if rest.is_empty() || rest.starts_with([',', ';']) {
        west - 3600
    } else {
        take_offset(&mut rest)?
    };
    let daylight = Offset { abbreviation, west };
    let (mut start, mut end) = (DEFAULT_START, DEFAULT_END);
    if !rest.is_empty() {
        start = take_change(&mut rest)?;
        end = take_change(&mut rest)?;
    }
    rest.is_empty().then(|| {
        Zone::Rule(
            Rule {
                name: upper.clone(),
                standard,
                daylight,
                start,
                end,
            }
            .into(),
        )
    })
}

fn take_name(rest: &mut &str) -> Option<String> {
    if let Some(body) = rest.strip_prefix('<') {
        let (name, tail) = body.split_once('>')?;
        *rest = tail;
        return Some(name.to_owned());
    }
    let end = rest
        .find(|c: char| c.is_ascii_digit() || matches!(c, ',' | '+' | '-'))
        .unwrap_or(rest.len());
    let (name, tail) = rest.split_at(end);
    // A name in other letters would swallow any text at all.
    if !name.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return None;
    }
    *rest = tail;
    Some(name.to_owned())
}

fn take_number(rest: &mut &str, max: i32) -> Option<i32> {
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (number, tail) = rest.split_at(digits);
    *rest = tail;
    number.parse().ok().filter(|number| *number <= max)
}

/// `[+-]hh[:mm[:ss]]` in seconds.
fn take_offset(rest: &mut &str) -> Option<i32> {
    let sign = if rest.starts_with('-') { -1 } else { 1 };
    *rest = rest.strip_prefix(['+', '-']).unwrap_or(rest);
    let mut seconds = take_number(rest, 167)? * 3600;
    for unit in [60, 1] {
        if let Some(tail) = rest.strip_prefix(':') {
            *rest = tail;
            seconds += take_number(rest, 59 + i32::from(unit == 1))? * unit;
        } else {
            break;
        }
    }
    Some(sign * seconds)
}

/// `,Mm.w.d[/time]` and its other forms.
fn take_change(rest: &mut &str) -> Option<Change> {
    *rest = rest.strip_prefix([',', ';'])?;
    let day = if let Some(tail) = rest.strip_prefix('J') {
        *rest = tail;
        Day::Julian(take_number(rest, 365).filter(|day| *day >= 1)?)
    } else if let Some(tail) = rest.strip_prefix('M') {
        *rest = tail;
        let month = take_number(rest, 12).filter(|month| *month >= 1)?;
        *rest = rest.strip_prefix('.')?;
        let week = take_number(rest, 5).filter(|week| *week >= 1)?;
        *rest = rest.strip_prefix('.')?;
        Day::OfMonth(month, week, take_number(rest, 6)?)
    } else {
        Day::OfYear(take_number(rest, 365)?)
    };
    let time = match rest.strip_prefix('/') {
        Some(tail) => {
            *rest = tail;
            take_offset(rest)?
        }
        None => 7200,
    };
    Some(Change { day, time })
}
