//! Calendar arithmetic: PostgreSQL's Julian day functions, and timestamps as fields.

/// Microseconds of a second.
pub const MICROS_PER_SECOND: i64 = 1_000_000;
/// Microseconds of a minute.
pub const MICROS_PER_MINUTE: i64 = 60 * MICROS_PER_SECOND;
/// Microseconds of an hour.
pub const MICROS_PER_HOUR: i64 = 60 * MICROS_PER_MINUTE;
/// Microseconds of a day.
pub const MICROS_PER_DAY: i64 = 24 * MICROS_PER_HOUR;
/// Seconds of a day.
pub const SECONDS_PER_DAY: i64 = 86_400;
/// Julian day of 2000-01-01, day zero of `date`.
pub const POSTGRES_EPOCH_JULIAN: i32 = 2_451_545;
/// Julian day of 1970-01-01.
pub const UNIX_EPOCH_JULIAN: i64 = 2_440_588;
/// Seconds between 1970-01-01 and 2000-01-01.
pub const EPOCH_DIFFERENCE_SECONDS: i64 = (POSTGRES_EPOCH_JULIAN as i64 - UNIX_EPOCH_JULIAN) * SECONDS_PER_DAY;
/// First timestamp: 4714-11-24 00:00:00 BC.
pub const TIMESTAMP_MIN: i64 = -211_813_488_000_000_000;
/// First timestamp that is too late: 294277-01-01 00:00:00.
pub const TIMESTAMP_END: i64 = 9_223_371_331_200_000_000;
/// First date that is too late: 5874898-01-01, as days since 2000.
pub const DATE_END: i32 = 2_147_483_494 - POSTGRES_EPOCH_JULIAN;
/// First date: 4714-11-24 BC.
pub const DATE_MIN: i32 = -POSTGRES_EPOCH_JULIAN;

/// Days of each month, in common and leap years.
pub const MONTH_DAYS: [[i32; 12]; 2] = [
    [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31],
    [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31],
];

/// A point in time as fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// Astronomical year: 0 is 1 BC.
    pub year: i32,
    /// 1..=12
    pub month: i32,
    /// 1..=31
    pub day: i32,
    /// 0..=24
    pub hour: i32,
    /// 0..=59
    pub minute: i32,
    /// 0..=60
    pub second: i32,
    /// 0..=1_000_000
    pub micros: i32,
}

/// Whether a year has a 29 February.
pub fn is_leap(year: i32) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Days of a month (1..=12).
pub fn days_in_month(year: i32, month: i32) -> i32 {
    MONTH_DAYS[usize::from(is_leap(year))][(month - 1).rem_euclid(12) as usize]
}

/// Julian day of a date; PostgreSQL's `date2j`, with its wrapping arithmetic for absurd years.
pub fn date2j(year: i32, month: i32, day: i32) -> i32 {
    let (year, month) = if month > 2 {
        (year.wrapping_add(4800), month + 1)
    } else {
        (year.wrapping_add(4799), month + 13)
    };
    let century = year / 100;
    let mut julian = year.wrapping_mul(365).wrapping_sub(32167);
    julian = julian.wrapping_add(year / 4 - century + century / 4);
    julian.wrapping_add(7834 * month / 256 + day)
}

/// Year, month and day of a Julian day; PostgreSQL's `j2date`.
pub fn j2date(julian: i32) -> (i32, i32, i32) {
    let mut julian = (julian as u32).wrapping_add(32044);
    let mut quad = julian / 146_097;
    let extra = (julian - quad * 146_097) * 4 + 3;
    julian = julian.wrapping_add(60 + quad * 3 + extra / 146_097);
    quad = julian / 1461;
    julian -= quad * 1461;
    let mut y = julian * 4 / 1461;
    julian = if y != 0 {
        (julian + 305) % 365
    } else {
        (julian + 306) % 366
    } + 123;
    y += quad * 4;
    let year = y as i32 - 4800;
    quad = julian * 2141 / 65536;
    let day = julian - 7834 * quad / 256;
    let month = (quad + 10) % 12 + 1;
    (year, month as i32, day as i32)
}

/// Day of the week of a Julian day, Sunday being 0.
pub fn day_of_week(julian: i32) -> i32 {
    (i64::from(julian) + 1).rem_euclid(7) as i32
}

/// Whether a date lies in the range of Julian days PostgreSQL calculates with.
pub fn is_valid_julian(year: i32, month: i32, _day: i32) -> bool {
    (year > -4713 || (year == -4713 && month >= 11)) && (year < 5_874_898 || (year == 5_874_898 && month < 6))
}

/// Whether a timestamp is one, infinities excluded.
pub fn is_valid_timestamp(micros: i64) -> bool {
    (TIMESTAMP_MIN..TIMESTAMP_END).contains(&micros)
}

/// Whether a number of days since 2000 is a date, infinities excluded.
pub fn is_valid_date(days: i32) -> bool {
    (DATE_MIN..DATE_END).contains(&days)
}

/// Days since 2000 of a date; `None` outside the range of dates.
pub fn days_of(year: i32, month: i32, day: i32) -> Option<i32> {
    if !is_valid_julian(year, month, day) {
        return None;
    }
    let days = date2j(year, month, day).wrapping_sub(POSTGRES_EPOCH_JULIAN);
    is_valid_date(days).then_some(days)
}

/// Year, month, day of days since 2000.
pub fn date_of(days: i32) -> (i32, i32, i32) {
    j2date(days.wrapping_add(POSTGRES_EPOCH_JULIAN))
}

/// Microseconds of a time of day.
pub fn micros_of_time(fields: &Fields) -> i64 {
    ((i64::from(fields.hour) * 60 + i64::from(fields.minute)) * 60 + i64::from(fields.second)) * MICROS_PER_SECOND
        + i64::from(fields.micros)
}

/// Microseconds since 2000 of local fields and an offset (seconds west); `None` outside the range of timestamps.
pub fn timestamp_of(fields: &Fields, west: i32) -> Option<i64> {
    if !is_valid_julian(fields.year, fields.month, fields.day) {
        return None;
    }
    let days = i64::from(date2j(fields.year, fields.month, fields.day)) - i64::from(POSTGRES_EPOCH_JULIAN);
    let micros = days.checked_mul(MICROS_PER_DAY)?.checked_add(micros_of_time(fields))?;
    let micros = micros.checked_add(i64::from(west) * MICROS_PER_SECOND)?;
    is_valid_timestamp(micros).then_some(micros)
}

/// Local fields of microseconds since 2000.
pub fn fields_of(micros: i64) -> Fields {
    let days = micros.div_euclid(MICROS_PER_DAY);
    let (year, month, day) = j2date((days + i64::from(POSTGRES_EPOCH_JULIAN)) as i32);
    let mut fields = time_fields_of(micros.rem_euclid(MICROS_PER_DAY));
    (fields.year, fields.month, fields.day) = (year, month, day);
    fields
}

/// Hour, minute, second and microseconds of a time of day; the date is zero.
pub fn time_fields_of(micros: i64) -> Fields {
    Fields {
        hour: (micros / MICROS_PER_HOUR) as i32,
        minute: (micros / MICROS_PER_MINUTE % 60) as i32,
        second: (micros / MICROS_PER_SECOND % 60) as i32,
        micros: (micros % MICROS_PER_SECOND) as i32,
        ..Fields::default()
    }
}

/// Seconds since 1970 of microseconds since 2000, rounded down.
pub fn unix_seconds(micros: i64) -> i64 {
    micros.div_euclid(MICROS_PER_SECOND) + EPOCH_DIFFERENCE_SECONDS
}

/// Julian day of the Monday that begins the ISO week 1 of a year.
fn first_iso_monday(year: i32) -> i32 {
    let fourth = date2j(year, 1, 4);
    fourth - day_of_week(fourth - 1)
}

/// ISO week number and the year it belongs to.
pub fn iso_week(year: i32, month: i32, day: i32) -> (i32, i32) {
    let julian = date2j(year, month, day);
    let mut iso_year = year;
    let mut monday = first_iso_monday(year);
    if julian < monday {
        iso_year -= 1;
        monday = first_iso_monday(iso_year);
    } else if julian >= first_iso_monday(year + 1) {
        iso_year += 1;
        monday = first_iso_monday(iso_year);
    }
    ((julian - monday) / 7 + 1, iso_year)
}

/// Julian day of the Monday of an ISO week.
pub fn iso_week_julian(iso_year: i32, week: i32) -> i32 {
    first_iso_monday(iso_year).wrapping_add((week.wrapping_sub(1)).wrapping_mul(7))
}

/// Day of the year, from 1.
pub fn day_of_year(year: i32, month: i32, day: i32) -> i32 {
    date2j(year, month, day) - date2j(year, 1, 1) + 1
}
