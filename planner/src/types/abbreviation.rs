//! Abbreviations of time zones: PostgreSQL's `Default` set.

use chrono_tz::Tz;

use super::zone::{Zone, ZoneName};

/// What an abbreviation stands for.
enum Meaning {
    /// Seconds west of UTC, in standard time.
    Standard(i32),
    /// Seconds west of UTC, in daylight saving time.
    Daylight(i32),
    /// Whatever it means in this zone at the date in question.
    Zone(Tz),
}

use Meaning::{Daylight, Standard};

/// Looks up an abbreviation, in any case.
pub fn lookup(name: &str) -> Option<ZoneName> {
    if name.len() > 6 {
        return None;
    }
    let upper = name.to_ascii_uppercase();
    let position = ABBREVIATIONS
        .binary_search_by(|(candidate, _)| (*candidate).cmp(upper.as_str()))
        .ok()?;
    Some(match &ABBREVIATIONS[position].1 {
        Standard(west) => ZoneName::Abbreviation(*west, false),
        Daylight(west) => ZoneName::Abbreviation(*west, true),
        Meaning::Zone(zone) => ZoneName::Dynamic(Zone::Named(*zone)),
    })
}

/// Every abbreviation in order, with seconds east of UTC now and whether it is daylight saving time.
pub fn all(now: i64) -> Vec<(&'static str, i32, bool)> {
    let mut found: Vec<_> = Vec::with_capacity(ABBREVIATIONS.len());
    for (name, meaning) in ABBREVIATIONS {
        found.push(match meaning {
            Standard(west) => (*name, -west, false),
            Daylight(west) => (*name, -west, true),
            Meaning::Zone(zone) => {
                let moment = Zone::Named(*zone).at_utc(now);
                (*name, -moment.west, moment.is_dst)
            }
        });
    }
    found
}

#[rustfmt::skip]
static ABBREVIATIONS: &[(&str, Meaning)] = &[
    ("ACDT", Daylight(-37800)), ("ACSST", Daylight(-37800)), ("ACST", Standard(-34200)), ("ACT", Standard(18000)),
    ("ACWST", Standard(-31500)), ("ADT", Daylight(10800)), ("AEDT", Daylight(-39600)), ("AESST", Daylight(-39600)),
    ("AEST", Standard(-36000)), ("AFT", Standard(-16200)), ("AKDT", Daylight(28800)), ("AKST", Standard(32400)),
    ("ALMST", Daylight(-25200)), ("ALMT", Standard(-21600)), ("AMST", Meaning::Zone(Tz::Asia__Yerevan)),
    ("AMT", Standard(14400)), ("ANAST", Meaning::Zone(Tz::Asia__Anadyr)), ("ANAT", Meaning::Zone(Tz::Asia__Anadyr)),
    ("ARST", Meaning::Zone(Tz::America__Argentina__Buenos_Aires)),
    ("ART", Meaning::Zone(Tz::America__Argentina__Buenos_Aires)), ("AST", Standard(14400)),
    ("AWSST", Daylight(-32400)), ("AWST", Standard(-28800)), ("AZOST", Daylight(0)), ("AZOT", Standard(3600)),
    ("AZST", Meaning::Zone(Tz::Asia__Baku)), ("AZT", Meaning::Zone(Tz::Asia__Baku)), ("BDST", Daylight(-7200)),
    ("BDT", Standard(-21600)), ("BNT", Standard(-28800)), ("BORT", Standard(-28800)), ("BOT", Standard(14400)),
    ("BRA", Standard(10800)), ("BRST", Daylight(7200)), ("BRT", Standard(10800)), ("BST", Daylight(-3600)),
    ("BTT", Standard(-21600)), ("CADT", Daylight(-37800)), ("CAST", Standard(-34200)), ("CCT", Standard(-28800)),
    ("CDT", Daylight(18000)), ("CEST", Daylight(-7200)), ("CET", Standard(-3600)), ("CETDST", Daylight(-7200)),
    ("CHADT", Daylight(-49500)), ("CHAST", Standard(-45900)), ("CHUT", Standard(-36000)),
    ("CKT", Meaning::Zone(Tz::Pacific__Rarotonga)), ("CLST", Daylight(10800)),
    ("CLT", Meaning::Zone(Tz::America__Santiago)), ("COT", Standard(18000)), ("CST", Standard(21600)),
    ("CXT", Standard(-25200)), ("DAVT", Meaning::Zone(Tz::Antarctica__Davis)), ("DDUT", Standard(-36000)),
    ("EASST", Meaning::Zone(Tz::Pacific__Easter)), ("EAST", Meaning::Zone(Tz::Pacific__Easter)),
    ("EAT", Standard(-10800)), ("EDT", Daylight(14400)), ("EEST", Daylight(-10800)), ("EET", Standard(-7200)),
    ("EETDST", Daylight(-10800)), ("EGST", Daylight(0)), ("EGT", Standard(3600)), ("EST", Standard(18000)),
    ("FET", Standard(-10800)), ("FJST", Daylight(-46800)), ("FJT", Standard(-43200)),
    ("FKST", Meaning::Zone(Tz::Atlantic__Stanley)), ("FKT", Meaning::Zone(Tz::Atlantic__Stanley)),
    ("FNST", Daylight(3600)), ("FNT", Standard(7200)), ("GALT", Standard(21600)), ("GAMT", Standard(32400)),
    ("GEST", Meaning::Zone(Tz::Asia__Tbilisi)), ("GET", Meaning::Zone(Tz::Asia__Tbilisi)), ("GFT", Standard(10800)),
    ("GILT", Standard(-43200)), ("GMT", Standard(0)), ("GYT", Meaning::Zone(Tz::America__Guyana)),
    ("HKT", Standard(-28800)), ("HST", Standard(36000)), ("ICT", Standard(-25200)), ("IDT", Daylight(-10800)),
    ("IOT", Meaning::Zone(Tz::Indian__Chagos)), ("IRKST", Meaning::Zone(Tz::Asia__Irkutsk)),
    ("IRKT", Meaning::Zone(Tz::Asia__Irkutsk)), ("IRT", Standard(-12600)), ("IST", Standard(-7200)),
    ("JAYT", Standard(-32400)), ("JST", Standard(-32400)), ("KDT", Daylight(-36000)), ("KGST", Daylight(-21600)),
    ("KGT", Meaning::Zone(Tz::Asia__Bishkek)), ("KOST", Meaning::Zone(Tz::Pacific__Kosrae)),
    ("KRAST", Meaning::Zone(Tz::Asia__Krasnoyarsk)), ("KRAT", Meaning::Zone(Tz::Asia__Krasnoyarsk)),
    ("KST", Standard(-32400)), ("LHDT", Meaning::Zone(Tz::Australia__Lord_Howe)), ("LHST", Standard(-37800)),
    ("LIGT", Standard(-36000)), ("LINT", Meaning::Zone(Tz::Pacific__Kiritimati)),
    ("LKT", Meaning::Zone(Tz::Asia__Colombo)), ("MAGST", Meaning::Zone(Tz::Asia__Magadan)),
    ("MAGT", Meaning::Zone(Tz::Asia__Magadan)), ("MART", Standard(34200)),
    ("MAWT", Meaning::Zone(Tz::Antarctica__Mawson)), ("MDT", Daylight(21600)), ("MEST", Daylight(-7200)),
    ("MESZ", Daylight(-7200)), ("MET", Standard(-3600)), ("METDST", Daylight(-7200)), ("MEZ", Standard(-3600)),
    ("MHT", Standard(-43200)), ("MMT", Standard(-23400)), ("MPT", Standard(-36000)), ("MSD", Daylight(-14400)),
    ("MSK", Meaning::Zone(Tz::Europe__Moscow)), ("MST", Standard(25200)), ("MUST", Daylight(-18000)),
    ("MUT", Standard(-14400)), ("MVT", Standard(-18000)), ("MYT", Standard(-28800)), ("NDT", Daylight(9000)),
    ("NFT", Standard(12600)), ("NOVST", Meaning::Zone(Tz::Asia__Novosibirsk)),
    ("NOVT", Meaning::Zone(Tz::Asia__Novosibirsk)), ("NPT", Standard(-20700)), ("NST", Standard(12600)),
    ("NUT", Meaning::Zone(Tz::Pacific__Niue)), ("NZDT", Daylight(-46800)), ("NZST", Standard(-43200)),
    ("NZT", Standard(-43200)), ("OMSST", Meaning::Zone(Tz::Asia__Omsk)), ("OMST", Meaning::Zone(Tz::Asia__Omsk)),
    ("PDT", Daylight(25200)), ("PET", Standard(18000)), ("PETST", Meaning::Zone(Tz::Asia__Kamchatka)),
    ("PETT", Meaning::Zone(Tz::Asia__Kamchatka)), ("PGT", Standard(-36000)), ("PHT", Standard(-28800)),
    ("PKST", Daylight(-21600)), ("PKT", Standard(-18000)), ("PMDT", Daylight(7200)), ("PMST", Standard(10800)),
    ("PONT", Standard(-39600)), ("PST", Standard(28800)), ("PWT", Standard(-32400)), ("PYST", Daylight(10800)),
    ("PYT", Meaning::Zone(Tz::America__Asuncion)), ("RET", Standard(-14400)), ("SADT", Daylight(-37800)),
    ("SAST", Standard(-7200)), ("SCT", Standard(-14400)), ("SGT", Meaning::Zone(Tz::Asia__Singapore)),
    ("TAHT", Standard(36000)), ("TFT", Standard(-18000)), ("TJT", Standard(-18000)),
    ("TKT", Meaning::Zone(Tz::Pacific__Fakaofo)), ("TMT", Meaning::Zone(Tz::Asia__Ashgabat)),
    ("TOT", Standard(-46800)), ("TRUT", Standard(-36000)), ("TVT", Standard(-43200)), ("UCT", Standard(0)),
    ("ULAST", Daylight(-32400)), ("ULAT", Meaning::Zone(Tz::Asia__Ulaanbaatar)), ("UT", Standard(0)),
    ("UTC", Standard(0)), ("UYST", Daylight(7200)), ("UYT", Standard(10800)), ("UZST", Daylight(-21600)),
    ("UZT", Standard(-18000)), ("VET", Meaning::Zone(Tz::America__Caracas)),
    ("VLAST", Meaning::Zone(Tz::Asia__Vladivostok)), ("VLAT", Meaning::Zone(Tz::Asia__Vladivostok)),
    ("VOLT", Meaning::Zone(Tz::Europe__Volgograd)), ("VUT", Standard(-39600)), ("WADT", Daylight(-28800)),
    ("WAKT", Standard(-43200)), ("WAST", Standard(-25200)), ("WAT", Standard(-3600)), ("WDT", Daylight(-32400)),
    ("WET", Standard(0)), ("WETDST", Daylight(-3600)), ("WFT", Standard(-43200)), ("WGST", Daylight(7200)),
    ("WGT", Standard(10800)), ("XJT", Standard(-21600)), ("YAKST", Meaning::Zone(Tz::Asia__Yakutsk)),
    ("YAKT", Meaning::Zone(Tz::Asia__Yakutsk)), ("YAPT", Standard(-36000)), ("YEKST", Daylight(-21600)),
    ("YEKT", Meaning::Zone(Tz::Asia__Yekaterinburg)), ("Z", Standard(0)), ("ZULU", Standard(0)),
];
