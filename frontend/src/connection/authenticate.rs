//! Authenticate: trust on loopback, SCRAM-SHA-256 everywhere else.
//!
//! pgwire's SCRAM core does the exchange from the verifier the catalog keeps (PostgreSQL's text form), so that no password
//! is ever on the server. A role that does not exist or has no password goes through the same exchange with a made-up
//! verifier: an outsider cannot tell the difference.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use pgwire::api::auth::sasl::scram::{ScramSecret, ScramServerAuth};
use pgwire::messages::startup::Authentication;
use planner::catalog::Role;
use planner::{SqlResult, SqlState};

use super::startup::{Client, fatal};
use super::{Stopped, Work};
use crate::server::{Authentication as Policy, Server};
use crate::wire::Body;
use crate::wire::body::violation;

const MECHANISM: &str = "SCRAM-SHA-256";
const MECHANISM_PLUS: &str = "SCRAM-SHA-256-PLUS";
/// Iterations of made-up verifiers; PostgreSQL's default, so that they look like real ones.
const ITERATIONS: usize = 4096;

/// Makes sure a client is who it says. AuthenticationOk is in the outbox afterwards.
///
/// # Errors
/// Fatal 28P01 for a wrong password, 28000 for a role trust cannot find, 08P01 for a broken exchange.
pub async fn authenticate(client: &mut Client, role: Option<&Role>, user: &str, server: &Server) -> Work<()> {
    let has_password = role.is_some_and(|role| role.password.is_some());
    let is_trusted = server.authentication == Policy::Trust && client.address.ip().is_loopback() && !has_password;
    if is_trusted {
        if role.is_none() {
            let message = format!("role \"{user}\" does not exist");
            return Err(fatal(SqlState::INVALID_AUTHORIZATION_SPECIFICATION, message));
        }
    } else {
        scram(client, role, user).await?;
    }
    client.outbox.output.authentication(Authentication::Ok);
    Ok(())
}

async fn scram(client: &mut Client, role: Option<&Role>, user: &str) -> Work<()> {
    let known = role
        .filter(|role| role.login)
        .and_then(|role| role.password.as_deref())
        .and_then(parse_verifier);
    let is_known = known.is_some();
    let mut mechanisms = vec![MECHANISM.to_owned()];
    let mut core = ScramServerAuth::new();
    if let Some(certificate) = &client.certificate
        && core.configure_certificate(certificate).is_ok()
    {
        mechanisms.insert(0, MECHANISM_PLUS.to_owned());
    }
    client
        .outbox
        .output
        .authentication(Authentication::SASL(mechanisms.clone()));
    let first = password_message(client).await?;
    let (mechanism, data) = initial_response(first).map_err(Stopped::Fatal)?;
    if !mechanisms.contains(&mechanism) {
        return Err(fatal(
            SqlState::PROTOCOL_VIOLATION,
            "client selected an invalid SASL authentication mechanism",
        ));
    }
    let malformed = |_| fatal(SqlState::PROTOCOL_VIOLATION, "malformed SCRAM message");
    let secret = known.unwrap_or_else(|| made_up_verifier(user));
    let (challenge, exchange) = core
        .on_client_first_message_with_secret(&data, secret)
        .map_err(malformed)?;
    client
        .outbox
        .output
        .authentication(Authentication::SASLContinue(challenge.into()));
    let last = password_message(client).await?;
    match exchange.on_client_final_message(&last) {
        Ok(proof) if is_known => {
            client
                .outbox
                .output
                .authentication(Authentication::SASLFinal(proof.into()));
            Ok(())
        }
        _ => Err(fatal(
            SqlState::INVALID_PASSWORD,
            format!("password authentication failed for user \"{user}\""),
        )),
    }
}

async fn password_message(client: &mut Client) -> Work<Bytes> {
    client.outbox.flush().await?;
    let frame = client.reader.frame().await?;
    match frame.tag {
        b'p' => Ok(frame.body),
        tag => Err(fatal(
            SqlState::PROTOCOL_VIOLATION,
            format!("expected SASL response, got message type {tag}"),
        )),
    }
}

/// SASLInitialResponse: the mechanism and the client's first message.
fn initial_response(body: Bytes) -> SqlResult<(String, Bytes)> {
    let mut body = Body::new(body);
    let mechanism = body.text()?;
    let size = usize::try_from(body.i32()?).map_err(|_| violation("malformed SCRAM message"))?;
    let data = body.bytes(size)?;
    body.end()?;
    Ok((mechanism, data))
}

/// Reads `SCRAM-SHA-256$4096:salt$stored-key:server-key`.
fn parse_verifier(text: &str) -> Option<ScramSecret> {
    let rest = text.strip_prefix(MECHANISM)?.strip_prefix('$')?;
    let (parameters, keys) = rest.split_once('$')?;
    let (iterations, salt) = parameters.split_once(':')?;
    let (stored_key, server_key) = keys.split_once(':')?;
    let decode = |text: &str| STANDARD.decode(text).ok();
    Some(ScramSecret::Verifier {
        salt: decode(salt)?,
        iterations: iterations.parse().ok()?,
        stored_key: decode(stored_key)?,
        server_key: decode(server_key)?,
    })
}

/// A verifier nobody has the password of. The salt depends on the name alone, as a stored one would.
fn made_up_verifier(user: &str) -> ScramSecret {
    use std::hash::{BuildHasher, RandomState};
    static SEED: std::sync::LazyLock<RandomState> = std::sync::LazyLock::new(RandomState::new);
    let salt = [
        SEED.hash_one((user, 1)).to_be_bytes(),
        SEED.hash_one((user, 2)).to_be_bytes(),
    ]
    .concat();
    let key: [u8; 32] = rand::random();
    ScramSecret::Verifier {
        salt,
        iterations: ITERATIONS,
        stored_key: key.to_vec(),
        server_key: key.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verifiers_are_postgresqls() {
        let text = "SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0c2FsdA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        let Some(ScramSecret::Verifier { iterations, salt, .. }) = parse_verifier(text) else {
            panic!("refused")
        };
        assert_eq!((iterations, salt.as_slice()), (4096, &b"saltsaltsaltsalt"[..]));
        assert!(parse_verifier("md5abcdef").is_none());
    }

    #[test]
    fn broken_initial_responses_are_violations() {
        assert!(initial_response(Bytes::from_static(b"SCRAM-SHA-256\0\xff\xff\xff\xff")).is_err());
        assert!(initial_response(Bytes::from_static(b"SCRAM")).is_err());
    }
}
