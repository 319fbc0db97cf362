//! Report: errors and notices as protocol fields.

use bytes::BytesMut;
use pgwire::messages::Message as _;
use pgwire::messages::response::{ErrorResponse, NoticeResponse};
use planner::{Severity, SqlError};

/// PostgreSQL's word for a severity.
fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Debug => "DEBUG",
        Severity::Log => "LOG",
        Severity::Info => "INFO",
        Severity::Notice => "NOTICE",
        Severity::Warning => "WARNING",
        Severity::Error => "ERROR",
        Severity::Fatal => "FATAL",
    }
}

/// Appends an ErrorResponse, or a NoticeResponse below ERROR.
pub fn encode(report: &SqlError, severity: Severity, buffer: &mut BytesMut) {
    let fields = fields(report, severity);
    let result = match severity {
        Severity::Error | Severity::Fatal => ErrorResponse::new(fields).encode(buffer),
        Severity::Debug | Severity::Log | Severity::Info | Severity::Notice | Severity::Warning => {
            NoticeResponse::new(fields).encode(buffer)
        }
    };
    debug_assert!(result.is_ok(), "reports are far below the message limit");
}

fn fields(report: &SqlError, severity: Severity) -> Vec<(u8, String)> {
    let report = report.fields();
    let mut fields = vec![
        (b'S', word(severity).to_owned()),
        (b'V', word(severity).to_owned()),
        (b'C', report.code.0.to_owned()),
        (b'M', clean(&report.message)),
    ];
    let mut optional = |tag: u8, value: &Option<String>| fields.extend(value.as_ref().map(|value| (tag, clean(value))));
    optional(b'D', &report.detail);
    optional(b'H', &report.hint);
    optional(b'P', &report.position.map(|position| position.to_string()));
    optional(b'W', &report.context);
    optional(b's', &report.object.schema);
    optional(b't', &report.object.table);
    optional(b'c', &report.object.column);
    optional(b'd', &report.object.data_type);
    optional(b'n', &report.object.constraint);
    fields
}

/// A field ends at its first zero byte, so a message that quotes one must not carry it on.
fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use planner::SqlState;

    #[test]
    fn an_error_carries_its_fields() {
        let error = SqlError::new(SqlState::UNIQUE_VIOLATION, "duplicate key")
            .detail("Key (id)=(1) already exists.")
            .at(Some(7))
            .object(|object| object.constraint = Some("t_pkey".into()));
        let mut buffer = BytesMut::new();
        encode(&error, Severity::Error, &mut buffer);
        let text = String::from_utf8_lossy(&buffer[5..]).into_owned();
        assert_eq!(buffer[0], b'E');
        for field in [
            "SERROR\0",
            "C23505\0",
            "Mduplicate key\0",
            "DKey (id)=(1) already exists.\0",
            "P7\0",
            "nt_pkey\0",
        ] {
            assert!(text.contains(field), "{field:?} in {text:?}");
        }
    }
}
