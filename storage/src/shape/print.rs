//! Paths as text: SQL/JSON path, so that a path can be handed to `jsonb_path_query` as it is.

use super::ShapeStep;
use crate::jsonb::write_escaped;

/// A path as SQL/JSON path: `$.items[*].qty`, `$."two words"`, `$.users.*`.
pub fn path_text(steps: &[ShapeStep]) -> String {
    let mut text = String::from("$");
    for step in steps {
        match step {
            ShapeStep::AnyElement => text.push_str("[*]"),
            ShapeStep::AnyMember => text.push_str(".*"),
            ShapeStep::Member(name) => {
                text.push('.');
                if is_plain(name) {
                    text.push_str(name);
                } else {
                    // Writing to a String cannot fail.
                    let _ = write_escaped(&mut text, name);
                }
            }
        }
    }
    text
}

/// Whether a name needs no quotes.
fn is_plain(name: &str) -> bool {
    let mut characters = name.chars();
    characters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_')
}
