//! SCRAM-SHA-256 verifiers (RFC 5803), as PostgreSQL stores passwords.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use rand::RngCore;
use sha2::{Digest, Sha256};

/// PostgreSQL's iteration count.
const ITERATIONS: u32 = 4096;

/// Whether a text is a verifier already.
pub fn is_verifier(text: &str) -> bool {
    text.starts_with("SCRAM-SHA-256$") && text.matches('$').count() == 2
}

/// The verifier of a password with a fresh salt: `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`.
pub fn verifier(password: &str) -> String {
    let mut salt = [0u8; 16];
    rand::rng().fill_bytes(&mut salt);
    let normalized = stringprep::saslprep(password).unwrap_or(password.into());
    let salted = salted_password(normalized.as_bytes(), &salt, ITERATIONS);
    let stored_key = Sha256::digest(hmac(&salted, b"Client Key"));
    let server_key = hmac(&salted, b"Server Key");
    format!(
        "SCRAM-SHA-256${ITERATIONS}:{}${}:{}",
        STANDARD.encode(salt),
        STANDARD.encode(stored_key),
        STANDARD.encode(server_key)
    )
}

/// `Hi` of RFC 5802: PBKDF2 with HMAC-SHA-256 and one block.
fn salted_password(password: &[u8], salt: &[u8], iterations: u32) -> [u8; 32] {
    let mut first = salt.to_vec();
    first.extend_from_slice(&1u32.to_be_bytes());
    let mut block = hmac(password, &first);
    let mut result = block;
    for _ in 1..iterations {
        block = hmac(password, &block);
        for (out, byte) in result.iter_mut().zip(block) {
            *out ^= byte;
        }
    }
    result
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_has_postgresqls_form() {
        let made = verifier("secret");
        assert!(is_verifier(&made), "{made}");
        assert!(made.starts_with("SCRAM-SHA-256$4096:"));
        assert_ne!(made, verifier("secret"), "salts differ");
    }

    #[test]
    fn keys_are_those_of_rfc_7677() {
        // The example exchange of RFC 7677, section 3: its server signature follows from this salted password.
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("base64");
        let salted = salted_password(b"pencil", &salt, 4096);
        let message = b"n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                        s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let signature = hmac(&hmac(&salted, b"Server Key"), message);
        assert_eq!(
            STANDARD.encode(signature),
            "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
        );
    }
}
