//! Style: the settings that decide how values are read and printed, parsed once per SET.

use super::zone::Zone;

/// Format of dates (`DateStyle`, first part).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the styles of their names")]
pub enum DateFormat {
    Iso,
    Postgres,
    Sql,
    German,
}

/// Order of day, month and year in ambiguous input (`DateStyle`, second part).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the orders of their names")]
pub enum DateOrder {
    Mdy,
    Dmy,
    Ymd,
}

/// Format of intervals (`IntervalStyle`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the styles of their names")]
pub enum IntervalFormat {
    Postgres,
    PostgresVerbose,
    SqlStandard,
    Iso8601,
}

/// Settings that input and output functions read.
#[derive(Clone, Debug)]
pub struct Style {
    /// `DateStyle`: format.
    pub date_format: DateFormat,
    /// `DateStyle`: order.
    pub date_order: DateOrder,
    /// `IntervalStyle`
    pub interval_format: IntervalFormat,
    /// `TimeZone`
    pub zone: Zone,
    /// `bytea_output` is `escape` rather than `hex`.
    pub bytea_escape: bool,
    /// `extra_float_digits`
    pub extra_float_digits: i32,
}

impl Default for Style {
    /// PostgreSQL's defaults, in UTC.
    fn default() -> Self {
        Self {
            date_format: DateFormat::Iso,
            date_order: DateOrder::Mdy,
            interval_format: IntervalFormat::Postgres,
            zone: Zone::UTC,
            bytea_escape: false,
            extra_float_digits: 1,
        }
    }
}

impl Style {
    /// Takes over a setting by its (case-insensitive) name; `None` if the value is not valid. Settings that have no
    /// part in formats are accepted and ignored.
    pub fn set(&mut self, name: &str, value: &str) -> Option<()> {
        match name.to_ascii_lowercase().as_str() {
            "datestyle" => self.set_date_style(value)?,
            "intervalstyle" => {
                self.interval_format = match value.to_ascii_lowercase().as_str() {
                    "postgres" => IntervalFormat::Postgres,
                    "postgres_verbose" => IntervalFormat::PostgresVerbose,
                    "sql_standard" => IntervalFormat::SqlStandard,
                    "iso_8601" => IntervalFormat::Iso8601,
                    _ => return None,
                }
            }
            "timezone" => self.zone = Zone::from_setting(value)?,
            "bytea_output" => {
                self.bytea_escape = match value.to_ascii_lowercase().as_str() {
                    "hex" => false,
                    "escape" => true,
                    _ => return None,
                }
            }
            "extra_float_digits" => {
                self.extra_float_digits = value.trim().parse().ok().filter(|digits| (-15..=3).contains(digits))?;
            }
            _ => {}
        }
        Some(())
    }

    /// Parts of `DateStyle` come in any order and may be left out, which leaves them as they are.
    fn set_date_style(&mut self, value: &str) -> Option<()> {
        for part in value.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            match part.to_ascii_lowercase().as_str() {
                "iso" => self.date_format = DateFormat::Iso,
                "sql" => self.date_format = DateFormat::Sql,
                "german" => {
                    self.date_format = DateFormat::German;
                    if !value.contains(',') {
                        self.date_order = DateOrder::Dmy;
                    }
                }
                word if word.starts_with("postgres") => self.date_format = DateFormat::Postgres,
                "ymd" => self.date_order = DateOrder::Ymd,
                word if word.starts_with("euro") || word == "dmy" => self.date_order = DateOrder::Dmy,
                word if word == "us" || word.starts_with("noneuro") || word == "mdy" => {
                    self.date_order = DateOrder::Mdy
                }
                "default" => {
                    self.date_format = DateFormat::Iso;
                    self.date_order = DateOrder::Mdy;
                }
                _ => return None,
            }
        }
        Some(())
    }

    /// `DateStyle` as SHOW prints it.
    pub fn date_style(&self) -> String {
        let format = match self.date_format {
            DateFormat::Iso => "ISO",
            DateFormat::Postgres => "Postgres",
            DateFormat::Sql => "SQL",
            DateFormat::German => "German",
        };
        let order = match self.date_order {
            DateOrder::Mdy => "MDY",
            DateOrder::Dmy => "DMY",
            DateOrder::Ymd => "YMD",
        };
        format!("{format}, {order}")
    }
}
