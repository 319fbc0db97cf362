//! Deletion: `- key`, `- keys`, `- index`, `#- path`.

use super::edit::{self, EditError, SetMode, copy_member, rebuilt};
use super::{JsonBuilder, JsonKind, JsonRef, Jsonb};

/// Deletes a member, or every element that is this string.
///
/// # Errors
/// [`EditError::DeleteFromScalar`]
pub fn delete_key(document: &Jsonb, key: &str) -> Result<Jsonb, EditError> {
    delete_matching(document, |candidate| candidate == key)
}

/// Deletes members, or every element that is one of these strings.
///
/// # Errors
/// [`EditError::DeleteFromScalar`]
pub fn delete_keys<S: AsRef<str>>(document: &Jsonb, keys: &[S]) -> Result<Jsonb, EditError> {
    delete_matching(document, |candidate| keys.iter().any(|key| key.as_ref() == candidate))
}

fn delete_matching(document: &Jsonb, doomed: impl Fn(&str) -> bool) -> Result<Jsonb, EditError> {
    let root = document.view();
    let mut builder = JsonBuilder::with_capacity(document.size());
    match root.kind() {
        JsonKind::Object => {
            builder.begin_object();
            root.members()
                .filter(|(key, _)| !doomed(key))
                .for_each(|(key, value)| copy_member(&mut builder, key, value));
        }
        JsonKind::Array => {
            builder.begin_array();
            let kept = |element: &JsonRef<'_>| !element.as_str().is_some_and(&doomed);
            root.elements().filter(kept).for_each(|element| builder.value(element));
        }
        JsonKind::Null | JsonKind::String | JsonKind::Number | JsonKind::Bool => {
            return Err(EditError::DeleteFromScalar);
        }
    }
    rebuilt(builder)
}

/// Deletes an element, counted from the end if negative; out of range deletes nothing.
///
/// # Errors
/// [`EditError::DeleteFromScalar`], [`EditError::DeleteIndexFromObject`]
pub fn delete_index(document: &Jsonb, index: i64) -> Result<Jsonb, EditError> {
    let root = document.view();
    if root.is_scalar() {
        return Err(EditError::DeleteFromScalar);
    }
    if root.is_object() {
        return Err(EditError::DeleteIndexFromObject);
    }
    let count = root.len() as i64;
    let position = if index < 0 { index.saturating_add(count) } else { index };
    if !(0..count).contains(&position) {
        return Ok(document.clone());
    }
    let mut builder = JsonBuilder::with_capacity(document.size());
    builder.begin_array();
    for (at, element) in root.elements().enumerate() {
        if at as i64 != position {
            builder.value(element);
        }
    }
    rebuilt(builder)
}

/// Deletes the value at a path; nothing if there is none.
///
/// # Errors
/// [`EditError`]
pub fn delete_path<S: AsRef<str>>(document: &Jsonb, path: &[Option<S>]) -> Result<Jsonb, EditError> {
    edit::apply(document, path, None, SetMode::Delete)
}
