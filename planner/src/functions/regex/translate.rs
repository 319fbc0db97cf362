//! Translation to the syntax of the crate `regex`, which finds *whether* and *where* a match begins in linear time.
//!
//! Where a match ends is not asked of it: it prefers the first branch, POSIX the longest match. The leftmost position at
//! which anything matches is the same for both.

use std::fmt::Write;

use super::ast::{Assertion, Kind, Node};

/// The pattern, or `None` if it needs back references or looks around.
pub fn translate(root: &Node) -> Option<String> {
    let mut out = String::new();
    write_node(root, &mut out)?;
    Some(out)
}

fn write_node(node: &Node, out: &mut String) -> Option<()> {
    match &node.kind {
        Kind::Empty => out.push_str("(?:)"),
        Kind::Set(set) if set.ranges().is_empty() => out.push_str("[^\\s\\S]"),
        Kind::Set(set) => {
            out.push('[');
            for &(first, last) in set.ranges() {
                let _ = write!(out, "\\u{{{:x}}}-\\u{{{:x}}}", first as u32, last as u32);
            }
            out.push(']');
        }
        Kind::Sequence(parts) => {
            for part in parts {
                write_node(part, out)?;
            }
        }
        Kind::Branches(branches) => {
            out.push_str("(?:");
            for (index, branch) in branches.iter().enumerate() {
                if index > 0 {
                    out.push('|');
                }
                write_node(branch, out)?;
            }
            out.push(')');
        }
        Kind::Repeat(inner, min, max) => {
            out.push_str("(?:");
            write_node(inner, out)?;
            out.push(')');
            let _ = match (min, max) {
                (0, None) => write!(out, "*"),
                (1, None) => write!(out, "+"),
                (min, None) => write!(out, "{{{min},}}"),
                (min, Some(max)) => write!(out, "{{{min},{max}}}"),
            };
        }
        Kind::Group(_, inner) => {
            out.push_str("(?:");
            write_node(inner, out)?;
            out.push(')');
        }
        Kind::Assert(assertion) => out.push_str(match assertion {
            Assertion::TextStart => "\\A",
            Assertion::TextEnd => "\\z",
            Assertion::LineStart => "(?m:^)",
            Assertion::LineEnd => "(?m:$)",
            Assertion::WordStart => "(?-u:\\b{start})",
            Assertion::WordEnd => "(?-u:\\b{end})",
            Assertion::WordBoundary => "(?-u:\\b)",
            Assertion::NoWordBoundary => "(?-u:\\B)",
        }),
        Kind::Back(_) | Kind::Look { .. } => return None,
    }
    Some(())
}
