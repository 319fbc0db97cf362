//! Startup: the first packets of a connection, before messages have tags.

use bytes::{Buf, Bytes, BytesMut};
use planner::SqlResult;

use super::body::{Body, violation};

/// Most bytes of a startup packet, as in PostgreSQL.
const PACKET_SIZE_MAX: usize = 10_000;
const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;
const CANCEL_REQUEST: u32 = 80_877_102;

/// A packet of the startup phase.
#[derive(Debug, PartialEq, Eq)]
pub enum Startup {
    /// Asks for TLS.
    Ssl,
    /// Asks for GSSAPI encryption.
    Gss,
    /// Asks to cancel what another session is doing.
    Cancel {
        /// Session.
        session: u32,
        /// Its secret.
        secret: Bytes,
    },
    /// Opens a session.
    Session {
        /// Minor protocol version wanted.
        minor: u16,
        /// Parameters in the order they were sent.
        parameters: Vec<(String, String)>,
    },
    /// A protocol this server does not speak.
    Unsupported {
        /// Major version.
        major: u16,
        /// Minor version.
        minor: u16,
    },
}

/// Cuts the next startup packet off the input; `None` while it is incomplete.
///
/// # Errors
/// 08P01 for anything that is not a startup packet.
pub fn next_startup(input: &mut BytesMut) -> SqlResult<Option<Startup>> {
    let Some(length) = input.get(0..4) else { return Ok(None) };
    let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]) as usize;
    if !(8..=PACKET_SIZE_MAX).contains(&length) {
        return Err(violation("invalid length of startup packet"));
    }
    if input.len() < length {
        return Ok(None);
    }
    let mut packet = input.split_to(length);
    packet.advance(4);
    decode(packet.freeze()).map(Some)
}

fn decode(packet: Bytes) -> SqlResult<Startup> {
    let mut body = Body::new(packet);
    let code = body.u32()?;
    let (major, minor) = ((code >> 16) as u16, code as u16);
    match code {
        SSL_REQUEST => Ok(Startup::Ssl),
        GSS_REQUEST => Ok(Startup::Gss),
        CANCEL_REQUEST => Ok(Startup::Cancel {
            session: body.u32()?,
            secret: body.rest(),
        }),
        _ if major != 3 => Ok(Startup::Unsupported { major, minor }),
        _ => {
            let layout = |_| violation("invalid startup packet layout: expected terminator as last byte");
            let mut parameters = Vec::new();
            loop {
                let name = body.text().map_err(layout)?;
                if name.is_empty() {
                    break;
                }
                parameters.push((name, body.text().map_err(layout)?));
            }
            body.end().map_err(layout)?;
            Ok(Startup::Session { minor, parameters })
        }
    }
}

/// Splits the `options` parameter (`-c name=value --name=value`, backslash escapes a character) into settings.
///
/// # Errors
/// 42601 for a switch that is not a setting.
pub fn options(text: &str) -> SqlResult<Vec<(String, String)>> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => word.extend(characters.next()),
            character if character.is_whitespace() => {
                words.extend(Some(std::mem::take(&mut word)).filter(|w| !w.is_empty()))
            }
            character => word.push(character),
        }
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    let mut words = words.into_iter();
    let mut settings = Vec::new();
    while let Some(word) = words.next() {
        let setting = match word.strip_prefix("--").or_else(|| word.strip_prefix("-c")) {
            Some("") => words.next().unwrap_or_default(),
            Some(setting) => setting.to_owned(),
            None => return Err(invalid_switch(&word)),
        };
        let (name, value) = setting.split_once('=').ok_or_else(|| invalid_switch(&setting))?;
        settings.push((name.trim().replace('-', "_"), value.to_owned()));
    }
    Ok(settings)
}

fn invalid_switch(word: &str) -> planner::SqlError {
    planner::SqlError::new(
        planner::SqlState::SYNTAX_ERROR,
        format!("invalid command-line argument for server process: {word}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(code: u32, rest: &[u8]) -> BytesMut {
        let mut packet = BytesMut::new();
        packet.extend_from_slice(&(8 + rest.len() as u32).to_be_bytes());
        packet.extend_from_slice(&code.to_be_bytes());
        packet.extend_from_slice(rest);
        packet
    }

    #[test]
    fn parameters_keep_their_order() {
        let startup = next_startup(&mut packet(3 << 16, b"user\0ann\0database\0shop\0\0"))
            .unwrap()
            .unwrap();
        let parameters = vec![("user".into(), "ann".into()), ("database".into(), "shop".into())];
        assert_eq!(startup, Startup::Session { minor: 0, parameters });
    }

    #[test]
    fn bad_packets_are_refused() {
        assert!(next_startup(&mut BytesMut::from(&b"\0\0\0\x07abc"[..])).is_err());
        assert!(next_startup(&mut BytesMut::from(&b"GET / HTTP/1.1\r\n"[..])).is_err());
        assert!(next_startup(&mut packet(3 << 16, b"user\0ann")).is_err());
        assert!(next_startup(&mut packet(3 << 16, b"user\0ann\0\0junk")).is_err());
        assert!(next_startup(&mut packet(CANCEL_REQUEST, b"\0")).is_err());
    }

    #[test]
    fn options_are_settings() {
        let expected = [
            ("a".to_owned(), "1".to_owned()),
            ("b_c".to_owned(), "x y".to_owned()),
            ("d".to_owned(), "2".to_owned()),
        ];
        assert_eq!(options(r"-c a=1 --b-c=x\ y -cd=2").unwrap(), expected);
        assert!(options("-X").is_err());
    }
}
