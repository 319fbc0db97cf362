//! Unicode normal forms.

use unicode_normalization::{UnicodeNormalization, is_nfc, is_nfd, is_nfkc, is_nfkd};

use crate::{SqlError, SqlResult, SqlState};

fn unknown(form: &str) -> SqlError {
    SqlError::new(
        SqlState::INVALID_PARAMETER_VALUE,
        format!("invalid normalization form: {form}"),
    )
}

/// `normalize`
pub fn normalize(text: &str, form: &str) -> SqlResult<String> {
    match form.to_ascii_uppercase().as_str() {
        "NFC" => Ok(text.nfc().collect()),
        "NFD" => Ok(text.nfd().collect()),
        "NFKC" => Ok(text.nfkc().collect()),
        "NFKD" => Ok(text.nfkd().collect()),
        _ => Err(unknown(form)),
    }
}

/// `IS NORMALIZED`
pub fn is_normalized(text: &str, form: &str) -> SqlResult<bool> {
    match form.to_ascii_uppercase().as_str() {
        "NFC" => Ok(is_nfc(text)),
        "NFD" => Ok(is_nfd(text)),
        "NFKC" => Ok(is_nfkc(text)),
        "NFKD" => Ok(is_nfkd(text)),
        _ => Err(unknown(form)),
    }
}
