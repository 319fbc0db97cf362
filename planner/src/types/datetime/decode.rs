//! Decode: fields become a date and time with a zone (`DecodeDateTime`), or a time of day (`DecodeTimeOnly`).

use super::Fault;
use super::number::{
    Draft, decode_date, decode_number, decode_number_field, decode_time, decode_zone, fraction_micros, small_integer,
    validate_date,
};
use super::scan::{Field, FieldKind, scan};
use super::token::{self, Unit, Word, mask};
use crate::types::calendar::{self, Fields, MICROS_PER_DAY, MICROS_PER_SECOND};
use crate::types::style::Style;
use crate::types::zone::{Zone, ZoneName};

/// Start of the transaction, in microseconds since 2000 UTC: what `now` and `today` mean.
#[derive(Clone, Copy, Debug)]
pub struct CurrentTime(pub i64);

/// What a text said.
#[derive(Clone, Debug, PartialEq)]
pub enum Decoded {
    /// A date and time with the offset of its zone (seconds west); the session's zone where the text named none.
    Fields(Fields, i32),
    /// A time of day without a date.
    TimeOnly,
    /// `epoch`
    Epoch,
    /// `infinity`
    Infinity,
    /// `-infinity`
    NegativeInfinity,
}

/// The zone a text named.
#[derive(Clone, Debug)]
pub enum ZoneSpec {
    /// None: the session's.
    Session,
    /// Seconds west.
    Offset(i32),
    /// A zone, whose offset depends on the date.
    Named(Zone),
    /// An abbreviation whose meaning depends on the date.
    Dynamic(String, Zone),
}

/// What both decoders keep while reading fields.
struct Decoder<'a> {
    style: &'a Style,
    now: CurrentTime,
    time_only: bool,
    draft: Draft,
    seen: u32,
    zone: ZoneSpec,
    /// Unit that labels the next number (`ptype`).
    label: Option<Unit>,
    has_text_month: bool,
    is_julian: bool,
    is_bc: bool,
    afternoon: Option<bool>,
    special: Option<Decoded>,
}

/// Reads a date with or without time and zone.
pub fn date_and_time(text: &str, style: &Style, now: CurrentTime) -> Result<Decoded, Fault> {
    let fields = scan(text)?;
    let mut decoder = Decoder::new(style, now, false);
    decoder.read(&fields)?;
    decoder.finish_date()?;
    if let Some(special) = decoder.special {
        return Ok(special);
    }
    if decoder.seen & mask::DATE != mask::DATE {
        return if decoder.seen & mask::TIME == mask::TIME {
            Ok(Decoded::TimeOnly)
        } else {
            Err(Fault::Format)
        };
    }
    let is_modified = decoder.seen & mask::DAYLIGHT_MODIFIER != 0;
    let west = match &decoder.zone {
        ZoneSpec::Offset(west) => *west,
        // A daylight saving time modifier needs a standard zone before it.
        _ if is_modified => return Err(Fault::Format),
        ZoneSpec::Session => offset_at(&decoder.draft.fields, &style.zone),
        ZoneSpec::Named(zone) => offset_at(&decoder.draft.fields, zone),
        ZoneSpec::Dynamic(name, zone) => abbreviation_offset(&decoder.draft.fields, name, zone),
    };
    Ok(Decoded::Fields(decoder.draft.fields, west))
}

/// Reads a time of day with its zone (seconds west).
pub fn time_only(text: &str, style: &Style, now: CurrentTime) -> Result<(Fields, i32), Fault> {
    let fields = scan(text)?;
    let mut decoder = Decoder::new(style, now, true);
    decoder.read(&fields)?;
    decoder.finish_date()?;
    let Decoder { draft, seen, zone, .. } = decoder;
    let time = draft.fields;
    if time.minute > 59 || time.second > 60 || time_overflows(&time) {
        return Err(Fault::Field);
    }
    if seen & mask::TIME != mask::TIME {
        return Err(Fault::Format);
    }
    let has_date = seen & mask::DATE == mask::DATE;
    let is_modified = seen & mask::DAYLIGHT_MODIFIER != 0;
    // The date the zone's offset is taken at: the one given, or today.
    let dated = || -> Result<Fields, Fault> {
        let mut dated = time;
        if seen & mask::DATE == 0 {
            let today = super::local_fields(now.0, &style.zone).0;
            (dated.year, dated.month, dated.day) = (today.year, today.month, today.day);
        } else if !has_date {
            return Err(Fault::Format);
        }
        Ok(dated)
    };
    let west = match &zone {
        ZoneSpec::Offset(west) => *west,
        _ if is_modified => return Err(Fault::Format),
        ZoneSpec::Named(zone) => match zone.fixed_west() {
            Some(west) => west,
            None if has_date => offset_at(&time, zone),
            None => return Err(Fault::Format),
        },
        ZoneSpec::Dynamic(name, zone) => abbreviation_offset(&dated()?, name, zone),
        ZoneSpec::Session => offset_at(&dated()?, &style.zone),
    };
    Ok((time, west))
}

/// Seconds west of a displacement such as `+05:30`; `None` if it is out of range or none.
pub fn displacement(text: &str) -> Option<i32> {
    decode_zone(text).ok()
}

/// Offset (seconds west) of a zone at local fields.
pub fn offset_at(fields: &Fields, zone: &Zone) -> i32 {
    zone.west_at_local(local_seconds(fields))
}

/// Seconds since 1970, as if the fields were UTC.
fn local_seconds(fields: &Fields) -> i64 {
    let days = i64::from(calendar::date2j(fields.year, fields.month, fields.day)) - calendar::UNIX_EPOCH_JULIAN;
    days * calendar::SECONDS_PER_DAY + calendar::micros_of_time(fields).div_euclid(MICROS_PER_SECOND)
}

/// Offset of an abbreviation that changed its meaning: the one it had last at or before the date, else the next one, else
/// the zone's own.
pub fn abbreviation_offset(fields: &Fields, name: &str, zone: &Zone) -> i32 {
    let local = local_seconds(fields);
    let own = zone.west_at_local(local);
    abbreviation_offset_at(local + i64::from(own), name, zone)
}

/// As [`abbreviation_offset`], at a moment in seconds since 1970 UTC.
pub fn abbreviation_offset_at(moment: i64, name: &str, zone: &Zone) -> i32 {
    const MONTH: i64 = 30 * calendar::SECONDS_PER_DAY;
    // Half a year reaches the other season; ten years the last use of an abbreviation that was retired.
    let back = (0..120).map(|step| moment - step * MONTH);
    let forward = (1..120).map(|step| moment + step * MONTH);
    back.chain(forward)
        .map(|candidate| zone.at_utc(candidate))
        .find(|found| found.abbreviation.eq_ignore_ascii_case(name))
        .map_or_else(|| zone.west_at_utc(moment), |found| found.west)
}

/// Whether a time of day is past 24:00:00.
pub fn time_overflows(fields: &Fields) -> bool {
    !(0..=24).contains(&fields.hour)
        || !(0..60).contains(&fields.minute)
        || !(0..=60).contains(&fields.second)
        || calendar::micros_of_time(fields) > MICROS_PER_DAY
}

impl<'a> Decoder<'a> {
    fn new(style: &'a Style, now: CurrentTime, time_only: bool) -> Self {
        Self {
            style,
            now,
            time_only,
            draft: Draft::default(),
            seen: 0,
            zone: ZoneSpec::Session,
            label: None,
            has_text_month: false,
            is_julian: false,
            is_bc: false,
            afternoon: None,
            special: None,
        }
    }

    /// What counts as seen for numbers: a time of day takes no part of a date from a bare number.
    fn seen_for_numbers(&self) -> u32 {
        if self.time_only {
            self.seen | mask::DATE
        } else {
            self.seen
        }
    }

    fn read(&mut self, fields: &[Field]) -> Result<(), Fault> {
        for (index, field) in fields.iter().enumerate() {
            let set = match field.kind {
                FieldKind::Date => self.date_field(fields, index)?,
                FieldKind::Time => {
                    if self.label.take().is_some_and(|label| label != Unit::Time) {
                        return Err(Fault::Format);
                    }
                    let set = decode_time(&field.text, &mut self.draft)?;
                    if time_overflows(&self.draft.fields) {
                        return Err(Fault::Field);
                    }
                    set
                }
                FieldKind::Zone => {
                    self.zone = ZoneSpec::Offset(decode_zone(&field.text)?);
                    mask::ZONE
                }
                FieldKind::Number => self.number_field(fields, index)?,
                FieldKind::Word | FieldKind::Special => match self.word_field(fields, index)? {
                    Some(set) => set,
                    None => continue,
                },
            };
            if set & self.seen != 0 {
                return Err(Fault::Format);
            }
            self.seen |= set;
        }
        Ok(())
    }

    /// Something with `-`, `/` or `.` inside.
    fn date_field(&mut self, fields: &[Field], index: usize) -> Result<u32, Fault> {
        let text = &fields[index].text;
        let order = self.style.date_order;
        if self.time_only {
            let last = fields[fields.len() - 1].kind;
            if index == 0 && fields.len() >= 2 && (last == FieldKind::Date || fields[1].kind == FieldKind::Time) {
                return decode_date(text, self.seen, order, &mut self.draft);
            }
            self.label = None;
            return self.run_together_or_zone(text);
        }
        match self.label {
            Some(Unit::Julian) => {
                // A Julian day with a zone attached; all other forms of it are separate fields.
                self.label = None;
                let (value, rest) = small_integer(text)?;
                self.set_julian(value)?;
                self.zone = ZoneSpec::Offset(decode_zone(rest)?);
                Ok(mask::DATE | mask::TIME | mask::ZONE)
            }
            None if self.seen & (mask::MONTH | mask::DAY) != mask::MONTH | mask::DAY => {
                decode_date(text, self.seen, order, &mut self.draft)
            }
            label => {
                self.label = None;
                if label.is_some_and(|label| label != Unit::Time) {
                    return Err(Fault::Format);
                }
                if label.is_some() && !text.starts_with(|c: char| c.is_ascii_digit()) {
                    return Err(Fault::Format);
                }
                self.run_together_or_zone(text)
            }
        }
    }

    /// `hhmmss-zz`, or a zone's name such as `america/new_york`.
    fn run_together_or_zone(&mut self, text: &str) -> Result<u32, Fault> {
        if !text.starts_with(|c: char| c.is_ascii_digit()) {
            self.zone = ZoneSpec::Named(Zone::named(text).ok_or_else(|| Fault::Zone(text.to_owned()))?);
            return Ok(mask::ZONE);
        }
        if self.seen & mask::TIME == mask::TIME {
            return Err(Fault::Format);
        }
        let (time, zone) = text.split_at(text.find('-').ok_or(Fault::Format)?);
        self.zone = ZoneSpec::Offset(decode_zone(zone)?);
        let set = decode_number_field(time, self.seen_for_numbers(), &mut self.draft)?;
        Ok(set | mask::ZONE)
    }

    fn number_field(&mut self, fields: &[Field], index: usize) -> Result<u32, Fault> {
        let text = &fields[index].text;
        if let Some(label) = self.label.take() {
            return self.labelled_number(text, label);
        }
        let order = self.style.date_order;
        let seen = self.seen_for_numbers();
        let point = text.find('.');
        if self.time_only {
            return match point {
                Some(_) if index == 0 && fields.len() >= 2 && fields[fields.len() - 1].kind == FieldKind::Date => {
                    decode_date(text, self.seen, order, &mut self.draft)
                }
                Some(point) if point > 2 => decode_number_field(text, seen, &mut self.draft),
                Some(_) => Err(Fault::Format),
                None if text.len() > 4 => decode_number_field(text, seen, &mut self.draft),
                None => decode_number(text, false, seen, order, &mut self.draft),
            };
        }
        match point {
            Some(_) if seen & mask::DATE == 0 => decode_date(text, seen, order, &mut self.draft),
            Some(point) if point > 2 => decode_number_field(text, seen, &mut self.draft),
            _ if text.len() >= 6 && (seen & mask::DATE == 0 || seen & mask::TIME == 0) => {
                decode_number_field(text, seen, &mut self.draft)
            }
            _ => decode_number(text, self.has_text_month, seen, order, &mut self.draft),
        }
    }

    /// A number after a word such as `y`, `jd` or `t`.
    fn labelled_number(&mut self, text: &str, label: Unit) -> Result<u32, Fault> {
        let (value, rest) = small_integer(text)?;
        let has_fraction = rest.starts_with('.');
        if has_fraction && !matches!(label, Unit::Julian | Unit::Time | Unit::Second)
            || !has_fraction && !rest.is_empty()
        {
            return Err(Fault::Format);
        }
        let fields = &mut self.draft.fields;
        Ok(match label {
            Unit::Year => {
                fields.year = value;
                mask::YEAR
            }
            // After a month and an hour, m means minutes.
            Unit::Month if self.seen & mask::MONTH != 0 && self.seen & mask::HOUR != 0 => {
                fields.minute = value;
                mask::MINUTE
            }
            Unit::Month => {
                fields.month = value;
                mask::MONTH
            }
            Unit::Day => {
                fields.day = value;
                mask::DAY
            }
            Unit::Hour => {
                fields.hour = value;
                mask::HOUR
            }
            Unit::Minute => {
                fields.minute = value;
                mask::MINUTE
            }
            Unit::Second => {
                fields.second = value;
                if has_fraction {
                    fields.micros = fraction_micros(rest)?;
                    mask::ALL_SECONDS
                } else {
                    mask::SECOND
                }
            }
            Unit::Julian => {
                self.set_julian(value)?;
                if !has_fraction {
                    return Ok(mask::DATE);
                }
                let fraction: f64 = if rest.len() == 1 {
                    0.0
                } else {
                    rest.parse().map_err(|_| Fault::Format)?
                };
                let time = calendar::time_fields_of((fraction * MICROS_PER_DAY as f64) as i64);
                let fields = &mut self.draft.fields;
                (fields.hour, fields.minute, fields.second, fields.micros) =
                    (time.hour, time.minute, time.second, time.micros);
                mask::DATE | mask::TIME
            }
            Unit::Time => {
                let set = decode_number_field(text, self.seen | mask::DATE, &mut self.draft)?;
                if set != mask::TIME {
                    return Err(Fault::Format);
                }
                set
            }
            _ => return Err(Fault::Format),
        })
    }

    fn set_julian(&mut self, day: i32) -> Result<(), Fault> {
        if day < 0 {
            return Err(Fault::Field);
        }
        let fields = &mut self.draft.fields;
        (fields.year, fields.month, fields.day) = calendar::j2date(day);
        self.is_julian = true;
        Ok(())
    }

    /// A word. `None` for one without meaning.
    fn word_field(&mut self, fields: &[Field], index: usize) -> Result<Option<u32>, Fault> {
        let text = &fields[index].text;
        // Abbreviations of zones take precedence over the words of dates.
        match crate::types::abbreviation::lookup(text) {
            Some(ZoneName::Abbreviation(west, is_dst)) => {
                self.zone = ZoneSpec::Offset(west);
                return Ok(Some(if is_dst {
                    mask::ZONE | mask::DAYLIGHT_ZONE
                } else {
                    mask::ZONE
                }));
            }
            Some(ZoneName::Dynamic(zone)) => {
                self.zone = ZoneSpec::Dynamic(text.clone(), zone);
                return Ok(Some(mask::ZONE));
            }
            Some(ZoneName::Zone(_)) | None => {}
        }
        let Some(word) = token::lookup(text) else {
            self.zone = ZoneSpec::Named(Zone::named(text).ok_or(Fault::Format)?);
            return Ok(Some(mask::ZONE));
        };
        self.word(word, fields, index)
    }

    fn word(&mut self, word: Word, fields: &[Field], index: usize) -> Result<Option<u32>, Fault> {
        const EVERYTHING: u32 = mask::DATE | mask::TIME | mask::ZONE;
        let set = match word {
            Word::Ignored => return Ok(None),
            Word::Now => {
                let (now, west) = super::local_fields(self.now.0, &self.style.zone);
                if self.time_only {
                    let fields = &mut self.draft.fields;
                    (fields.hour, fields.minute, fields.second, fields.micros) =
                        (now.hour, now.minute, now.second, now.micros);
                    mask::TIME
                } else {
                    self.draft.fields = now;
                    self.draft.is_two_digits = false;
                    self.is_julian = true;
                    self.zone = ZoneSpec::Offset(west);
                    EVERYTHING
                }
            }
            Word::Zulu => {
                let fields = &mut self.draft.fields;
                (fields.hour, fields.minute, fields.second) = (0, 0, 0);
                self.zone = ZoneSpec::Offset(0);
                mask::TIME | mask::ZONE
            }
            Word::Today | Word::Yesterday | Word::Tomorrow | Word::Epoch | Word::Infinity | Word::NegativeInfinity
                if self.time_only =>
            {
                return Err(Fault::Format);
            }
            Word::Today => self.relative_day(0),
            Word::Yesterday => self.relative_day(-1),
            Word::Tomorrow => self.relative_day(1),
            Word::Epoch => {
                self.special = Some(Decoded::Epoch);
                EVERYTHING
            }
            Word::Infinity => {
                self.special = Some(Decoded::Infinity);
                EVERYTHING
            }
            Word::NegativeInfinity => {
                self.special = Some(Decoded::NegativeInfinity);
                EVERYTHING
            }
            Word::Month(month) => {
                let fields = &mut self.draft.fields;
                // A number before was taken for the month, but was the day.
                let swaps = self.seen & mask::MONTH != 0
                    && !self.has_text_month
                    && self.seen & mask::DAY == 0
                    && (1..=31).contains(&fields.month);
                if swaps {
                    fields.day = fields.month;
                }
                self.has_text_month = true;
                fields.month = month;
                if swaps { mask::DAY } else { mask::MONTH }
            }
            Word::DaylightModifier => {
                self.zone = match &self.zone {
                    ZoneSpec::Offset(west) => ZoneSpec::Offset(west - 3600),
                    other => other.clone(),
                };
                mask::DAYLIGHT_MODIFIER | mask::DAYLIGHT_ZONE
            }
            Word::Am | Word::Pm => {
                self.afternoon = Some(word == Word::Pm);
                mask::AM_PM
            }
            Word::Ad | Word::Bc => {
                self.is_bc = word == Word::Bc;
                mask::ERA
            }
            Word::DayOfWeek(_) => mask::DAY_OF_WEEK,
            Word::Unit(unit) => {
                self.label = Some(unit);
                0
            }
            Word::IsoTime => {
                // A filler before the time; it must follow a date and precede something like a time.
                let follows_date = self.time_only || self.seen & mask::DATE == mask::DATE;
                let precedes_time = fields
                    .get(index + 1)
                    .is_some_and(|next| matches!(next.kind, FieldKind::Number | FieldKind::Time | FieldKind::Date));
                if !follows_date || !precedes_time {
                    return Err(Fault::Format);
                }
                self.label = Some(Unit::Time);
                0
            }
        };
        Ok(Some(set))
    }

    fn relative_day(&mut self, offset: i32) -> u32 {
        let today = super::local_fields(self.now.0, &self.style.zone).0;
        let julian = calendar::date2j(today.year, today.month, today.day) + offset;
        let fields = &mut self.draft.fields;
        (fields.year, fields.month, fields.day) = calendar::j2date(julian);
        // The year is whole already; it must not be taken for one before Christ or of two digits.
        self.is_julian = true;
        mask::DATE
    }

    fn finish_date(&mut self) -> Result<(), Fault> {
        if self.special.is_some() {
            return Ok(());
        }
        validate_date(self.seen, self.is_julian, self.is_bc, &mut self.draft)?;
        let hour = &mut self.draft.fields.hour;
        if let Some(afternoon) = self.afternoon {
            if *hour > 12 {
                return Err(Fault::Field);
            }
            if afternoon && *hour != 12 {
                *hour += 12;
            } else if !afternoon && *hour == 12 {
                *hour = 0;
            }
        }
        Ok(())
    }
}
