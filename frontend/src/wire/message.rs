//! Message: what a client says after startup, with every field checked.

use bytes::Bytes;
use planner::{SqlError, SqlResult};

use super::body::{Body, violation};
use super::frame::Frame;

/// A frontend message.
#[derive(Debug)]
pub enum Message {
    /// Simple query.
    Query(String),
    /// Prepare a statement.
    Parse(Parse),
    /// Make a portal.
    Bind(Bind),
    /// Describe a statement or portal.
    Describe(Target),
    /// Run a portal.
    Execute {
        /// Portal.
        portal: String,
        /// Rows wanted at most; 0 is all.
        row_limit: usize,
    },
    /// Forget a statement or portal.
    Close(Target),
    /// Send what is buffered.
    Flush,
    /// End of an extended-protocol batch.
    Sync,
    /// Goodbye.
    Terminate,
    /// COPY data.
    CopyData(Bytes),
    /// End of COPY data.
    CopyDone,
    /// The client gives up its COPY.
    CopyFail(String),
    /// Password or SASL data.
    Password(Bytes),
    /// The obsolete fast-path call.
    FunctionCall,
}

/// Fields of Parse.
#[derive(Debug)]
pub struct Parse {
    /// Name; empty for the unnamed statement.
    pub name: String,
    /// Text.
    pub query: String,
    /// Types of the parameters; 0 leaves one open.
    pub types: Vec<u32>,
}

/// Fields of Bind.
#[derive(Debug)]
pub struct Bind {
    /// Portal name.
    pub portal: String,
    /// Statement name.
    pub statement: String,
    /// Parameter formats: none, one for all, or one each.
    pub parameter_formats: Vec<i16>,
    /// Parameter values; `None` is NULL.
    pub parameters: Vec<Option<Bytes>>,
    /// Result formats: none, one for all, or one each.
    pub result_formats: Vec<i16>,
}

/// What Describe and Close are about.
#[derive(Debug, PartialEq, Eq)]
pub enum Target {
    /// A prepared statement.
    Statement(String),
    /// A portal.
    Portal(String),
}

impl Message {
    /// Decodes a frame.
    ///
    /// # Errors
    /// 08P01 for a body that does not fit its tag, 22021 for text that is not UTF-8. The stream stays in step.
    pub fn decode(frame: Frame) -> SqlResult<Message> {
        let tag = frame.tag;
        let mut body = Body::new(frame.body);
        let message = match tag {
            b'Q' => Message::Query(body.text()?),
            b'P' => Message::Parse(decode_parse(&mut body)?),
            b'B' => Message::Bind(decode_bind(&mut body)?),
            b'D' => Message::Describe(decode_target(&mut body, "DESCRIBE")?),
            b'C' => Message::Close(decode_target(&mut body, "CLOSE")?),
            b'E' => {
                let portal = body.text()?;
                let row_limit = usize::try_from(body.i32()?).unwrap_or(0);
                Message::Execute { portal, row_limit }
            }
            b'H' => Message::Flush,
            b'S' => Message::Sync,
            b'X' => Message::Terminate,
            b'd' => Message::CopyData(body.rest()),
            b'c' => Message::CopyDone,
            b'f' => Message::CopyFail(body.text()?),
            b'p' => Message::Password(body.rest()),
            b'F' => {
                body.rest();
                Message::FunctionCall
            }
            _ => return Err(violation(format!("invalid frontend message type {tag}"))),
        };
        body.end()?;
        Ok(message)
    }
}

/// Whether an error while handling this tag makes the server skip to Sync.
pub fn is_extended(tag: u8) -> bool {
    matches!(tag, b'P' | b'B' | b'D' | b'C' | b'E' | b'H')
}

fn decode_parse(body: &mut Body) -> SqlResult<Parse> {
    let name = body.text()?;
    let query = body.text()?;
    let count = body.count(4)?;
    let types = (0..count).map(|_| body.u32()).collect::<SqlResult<_>>()?;
    Ok(Parse { name, query, types })
}

fn decode_bind(body: &mut Body) -> SqlResult<Bind> {
    let portal = body.text()?;
    let statement = body.text()?;
    let parameter_formats = decode_formats(body)?;
    let count = body.count(4)?;
    let parameters = (0..count).map(|_| decode_value(body)).collect::<SqlResult<_>>()?;
    let result_formats = decode_formats(body)?;
    Ok(Bind {
        portal,
        statement,
        parameter_formats,
        parameters,
        result_formats,
    })
}

fn decode_formats(body: &mut Body) -> SqlResult<Vec<i16>> {
    let count = body.count(2)?;
    (0..count).map(|_| body.i16()).collect()
}

fn decode_value(body: &mut Body) -> SqlResult<Option<Bytes>> {
    match body.i32()? {
        -1 => Ok(None),
        size => {
            let size = usize::try_from(size).map_err(|_| violation("insufficient data left in message"))?;
            body.bytes(size).map(Some)
        }
    }
}

fn decode_target(body: &mut Body, verb: &str) -> SqlResult<Target> {
    let kind = body.u8()?;
    let name = body.text()?;
    match kind {
        b'S' => Ok(Target::Statement(name)),
        b'P' => Ok(Target::Portal(name)),
        _ => Err(invalid_subtype(verb, kind)),
    }
}

fn invalid_subtype(verb: &str, kind: u8) -> SqlError {
    violation(format!("invalid {verb} message subtype {kind}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use planner::SqlState;

    fn decode(tag: u8, body: &'static [u8]) -> SqlResult<Message> {
        Message::decode(Frame {
            tag,
            body: Bytes::from_static(body),
        })
    }

    #[test]
    fn bind_carries_nulls_and_values() {
        let message = decode(b'B', b"p\0s\0\0\x01\0\x01\0\x02\xff\xff\xff\xff\0\0\0\x02hi\0\0").unwrap();
        let Message::Bind(bind) = message else {
            panic!("not a Bind")
        };
        assert_eq!((bind.portal.as_str(), bind.statement.as_str()), ("p", "s"));
        assert_eq!(bind.parameter_formats, [1]);
        assert_eq!(bind.parameters, [None, Some(Bytes::from_static(b"hi"))]);
    }

    #[test]
    fn truncated_and_overlong_bodies_are_violations() {
        for (tag, body) in [
            (b'B', &b"p\0s\0\0\x01"[..]),
            (b'B', b"p\0s\0\0\0\0\x01\x7f\xff\xff\xff\0\0"),
            (b'B', b"p\0s\0\0\0\0\x01\xff\xff\xff\xfe\0\0"),
            (b'P', b"\0select"),
            (b'P', b"\0select 1\0\xff\xff"),
            (b'E', b"p\0\0\0"),
            (b'D', b"Zname\0"),
            (b'S', b"extra"),
        ] {
            assert_eq!(
                decode(tag, body).unwrap_err().code(),
                SqlState::PROTOCOL_VIOLATION,
                "{} {body:?}",
                tag as char
            );
        }
    }
}
