//! Lock derivation: which paths of the target row an expression reads, and which an assignment writes (DESIGN L3).
//!
//! ```text
//!   doc->'a'->>'b' = 'x'                      reads  doc/a/b
//!   doc = jsonb_set(doc, '{a,b}', …)          writes doc/a/b      nothing else of doc is read or written
//!   doc = f(doc)                              reads and writes doc
//! ```
//!
//! An assignment counts as a change of paths only if its shape proves it: a chain of path functions over the old value of
//! the same column. Which paths exactly depends on the document (a missing parent, an array that shifts), so a written
//! path is *resolved* against the row that was read, and resolved again after the locks were granted.

use storage::jsonb::JsonRef;
use storage::{Datum, Path, Step};

use crate::bound::visit::for_each_child;
use crate::bound::{ColumnId, Expr, ExprKind, Subscript};
use crate::relational::read_paths::for_each_read_of_rel;
use crate::types::oid;

/// A path an assignment writes, before it is resolved against a document.
#[derive(Clone, Debug, PartialEq)]
pub struct PathWrite {
    /// Steps as written; negative array positions are kept as text.
    pub steps: Vec<String>,
    /// What happens there.
    pub kind: PathWriteKind,
}

/// What happens at a written path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathWriteKind {
    /// jsonb_set: only the last step may be created.
    Set,
    /// Subscript assignment: missing parents are created.
    SetWithParents,
    /// `#-`, `-`, or an insertion into an array: what follows in an array shifts.
    Shift,
    /// A member of the top-level object (`||`, `- 'key'`): anything but an object is written as a whole.
    Member,
}

impl PathWrite {
    /// A path that covers whatever the write may change, whatever the document holds: where a step may be a position, or what
    /// follows may shift, the container.
    pub fn reach(&self, column: u16) -> Path {
        let moves_others = matches!(self.kind, PathWriteKind::Shift | PathWriteKind::Member);
        let steps = &self.steps[..self.steps.len() - usize::from(moves_others)];
        let names = steps.iter().take_while(|step| step.parse::<i64>().is_err());
        Path {
            column,
            steps: names.map(|step| Step::Member(step.as_str().into())).collect(),
        }
    }
}

/// Facts a derivation needs beside the expression.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// Ids of the target row's columns.
    pub columns: &'a [(u16, ColumnId)],
    /// Parameter values, so that a parameter can be a path step.
    pub parameters: &'a [Datum],
}

/// Paths of the target row an expression reads; no path is a prefix of another.
pub fn reads(expr: &Expr, columns: &[(u16, ColumnId)]) -> Vec<Path> {
    let mut paths = Vec::new();
    collect_reads(
        expr,
        Target {
            columns,
            parameters: &[],
        },
        &mut paths,
    );
    minimal(paths)
}

/// As [`reads`], with parameter values known.
pub fn reads_with(expr: &Expr, target: Target<'_>) -> Vec<Path> {
    let mut paths = Vec::new();
    collect_reads(expr, target, &mut paths);
    minimal(paths)
}

/// Sorts paths and drops those below another one.
pub fn minimal(mut paths: Vec<Path>) -> Vec<Path> {
    paths.sort();
    let mut kept: Vec<Path> = Vec::with_capacity(paths.len());
    for path in paths {
        if !kept.last().is_some_and(|last| covers(last, &path)) {
            kept.push(path);
        }
    }
    kept
}

/// Whether a path is the other one or above it.
pub fn covers(above: &Path, path: &Path) -> bool {
    above.column == path.column
        && above.steps.len() <= path.steps.len()
        && above.steps.iter().zip(&path.steps).all(|(a, b)| same_name(a, b))
}

/// `Member("3")` and `Element(3)` are one lock name.
fn same_name(a: &Step, b: &Step) -> bool {
    match (a, b) {
        (Step::Member(member), Step::Element(element)) | (Step::Element(element), Step::Member(member)) => {
            member.parse() == Ok(*element)
        }
        (a, b) => a == b,
    }
}

fn collect_reads(expr: &Expr, target: Target<'_>, paths: &mut Vec<Path>) {
    if let Some((path, _)) = read_path(expr, target) {
        paths.push(path);
        return;
    }
    if let ExprKind::Subquery(subquery) = &expr.kind {
        for_each_read_of_rel(&subquery.rel, target.parameters, &mut |id, steps| {
            paths.extend(column_path(id, target).map(|path| Path { steps, ..path }));
        });
    }
    for_each_child(expr, &mut |child| collect_reads(child, target, paths));
}

fn column_path(id: ColumnId, target: Target<'_>) -> Option<Path> {
    let (column, _) = target.columns.iter().find(|(_, known)| *known == id)?;
    Some(Path {
        column: *column,
        steps: Vec::new(),
    })
}

/// The path of the target row an expression reads, if it is a column or steps into one.
fn read_path(expr: &Expr, target: Target<'_>) -> Option<(Path, bool)> {
    let place = place(expr, target.parameters)?;
    let path = column_path(place.column, target)?;
    Some((
        Path {
            steps: place.steps,
            ..path
        },
        place.is_open,
    ))
}

/// The column an expression reads and the steps into it, if it does nothing else.
pub fn place_of(expr: &Expr, parameters: &[Datum]) -> Option<(ColumnId, Vec<Step>)> {
    place(expr, parameters).map(|place| (place.column, place.steps))
}

/// A place inside of a column.
struct Place {
    column: ColumnId,
    steps: Vec<Step>,
    /// Whether further steps may be added: they may not below a position that is no lock name (a negative one).
    is_open: bool,
}

fn place(expr: &Expr, parameters: &[Datum]) -> Option<Place> {
    match &expr.kind {
        ExprKind::Column(column) => Some(Place {
            column: *column,
            steps: Vec::new(),
            is_open: true,
        }),
        ExprKind::Call { function, args } => {
            let steps: Vec<String> = match (function.name, args.as_slice()) {
                (
                    "jsonb_object_field"
                    | "jsonb_object_field_text"
                    | "jsonb_array_element"
                    | "jsonb_array_element_text",
                    [_, key],
                ) => vec![step_text(&constant(key, parameters)?)?],
                ("jsonb_extract_path" | "jsonb_extract_path_text", [_, path]) => {
                    text_array(&constant(path, parameters)?)?
                }
                _ => return None,
            };
            Some(descend(place(&args[0], parameters)?, &steps))
        }
        ExprKind::Subscript { base, subscripts } if base.ty.oid == oid::JSONB => {
            let steps = subscripts
                .iter()
                .map(|subscript| subscript_text(subscript, parameters))
                .collect::<Option<Vec<_>>>()?;
            Some(descend(place(base, parameters)?, &steps))
        }
        _ => None,
    }
}

fn descend(mut place: Place, steps: &[String]) -> Place {
    for text in steps {
        if !place.is_open {
            break;
        }
        match step(text) {
            Some(step) => place.steps.push(step),
            None => place.is_open = false,
        }
    }
    place
}

/// The lock name of a step; `None` for a negative position, which has none.
pub(super) fn step(text: &str) -> Option<Step> {
    if text.starts_with('-') && text[1..].parse::<u32>().is_ok() {
        return None;
    }
    Some(Step::Member(text.into()))
}

/// A constant path argument of a path function, as texts.
pub fn constant_path(expr: &Expr, parameters: &[Datum]) -> Option<Vec<String>> {
    text_array(&constant(expr, parameters)?)
}

fn subscript_text(subscript: &Subscript, parameters: &[Datum]) -> Option<String> {
    match subscript {
        Subscript::Index(index) => step_text(&constant(index, parameters)?),
        Subscript::Slice(..) => None,
    }
}

fn constant(expr: &Expr, parameters: &[Datum]) -> Option<Datum> {
    match &expr.kind {
        ExprKind::Literal(datum) => Some(datum.clone()),
        ExprKind::Parameter(index) => parameters.get(*index).cloned(),
        // An integer as a step of text.
        ExprKind::ConvertIo(base) if expr.ty.oid == oid::TEXT => {
            step_text(&constant(base, parameters)?).map(Datum::text)
        }
        // The subscripts of an assignment, gathered.
        ExprKind::Array {
            elements,
            nested: false,
        } => {
            let steps = elements
                .iter()
                .map(|element| step_text(&constant(element, parameters)?).map(Datum::text));
            Some(Datum::array(oid::TEXT, steps.collect::<Option<Vec<_>>>()?))
        }
        _ => None,
    }
}

fn step_text(datum: &Datum) -> Option<String> {
    match datum {
        Datum::Text(text) => Some(text.to_string()),
        Datum::Int2(_) | Datum::Int4(_) | Datum::Int8(_) => datum.as_i64().map(|position| position.to_string()),
        _ => None,
    }
}

fn text_array(datum: &Datum) -> Option<Vec<String>> {
    let Datum::Array(array) = datum else { return None };
    array
        .elements
        .iter()
        .map(|element| element.as_str().map(str::to_string))
        .collect()
}

/// The paths of its column an assignment writes, and the expressions it computes with; `None` if it writes all of it.
pub fn writes<'e>(column: u16, value: &'e Expr, target: Target<'_>) -> Option<(Vec<PathWrite>, Vec<&'e Expr>)> {
    let mut paths = Vec::new();
    let mut inputs = Vec::new();
    collect_writes(column, value, target, &mut paths, &mut inputs)?;
    (!paths.is_empty()).then_some((paths, inputs))
}

fn collect_writes<'e>(
    column: u16,
    value: &'e Expr,
    target: Target<'_>,
    paths: &mut Vec<PathWrite>,
    inputs: &mut Vec<&'e Expr>,
) -> Option<()> {
    if value.ty.oid != oid::JSONB {
        return None;
    }
    if let ExprKind::Column(id) = &value.kind {
        return column_path(*id, target)
            .filter(|path| path.column == column)
            .map(|_| ());
    }
    let ExprKind::Call { function, args } = &value.kind else {
        return None;
    };
    collect_writes(column, args.first()?, target, paths, inputs)?;
    let mut push = |steps: Vec<String>, kind| {
        // The empty path means the whole document.
        (!steps.is_empty()).then(|| paths.push(PathWrite { steps, kind }))
    };
    match (function.name, &args[1..]) {
        ("jsonb_set", [path, new, rest @ ..]) => {
            push(text_array(&constant(path, target.parameters)?)?, PathWriteKind::Set)?;
            inputs.push(new);
            inputs.extend(rest);
        }
        ("jsonb_subscript_set", [path, new, ..]) => {
            push(
                text_array(&constant(path, target.parameters)?)?,
                PathWriteKind::SetWithParents,
            )?;
            inputs.push(new);
        }
        ("jsonb_insert", [path, new, rest @ ..]) => {
            push(text_array(&constant(path, target.parameters)?)?, PathWriteKind::Shift)?;
            inputs.push(new);
            inputs.extend(rest);
        }
        ("jsonb_delete_path", [path]) => push(text_array(&constant(path, target.parameters)?)?, PathWriteKind::Shift)?,
        ("jsonb_delete", [key]) => match constant(key, target.parameters)? {
            Datum::Text(key) => push(vec![key.to_string()], PathWriteKind::Member)?,
            keys @ Datum::Array(_) => {
                let keys = text_array(&keys)?;
                // Without a key nothing is written, but what kind of value this is asked of decides whether that is an error.
                if keys.is_empty() {
                    return None;
                }
                for key in keys {
                    push(vec![key], PathWriteKind::Member)?;
                }
            }
            _ => return None,
        },
        ("jsonb_concat", [object]) => {
            let Datum::Jsonb(object) = constant(object, target.parameters)? else {
                return None;
            };
            // The empty object names no member under whose lock it would be seen that an array takes it as an element.
            if !object.view().is_object() || object.view().is_empty() {
                return None;
            }
            for (key, _) in object.view().members() {
                push(vec![key.to_string()], PathWriteKind::Member)?;
            }
        }
        _ => return None,
    }
    Some(())
}

/// The path to lock and write for a derived write, given the document as it stands: the topmost parent it creates, the
/// array that shifts or grows, or the path itself. Empty steps mean the whole column.
pub fn resolve(document: JsonRef<'_>, write: &PathWrite) -> Vec<Step> {
    let mut current = document;
    let mut resolved: Vec<Step> = Vec::with_capacity(write.steps.len());
    for (depth, text) in write.steps.iter().enumerate() {
        let is_last = depth + 1 == write.steps.len();
        let child = if current.is_object() {
            resolved.push(Step::Member(text.as_str().into()));
            current.get(text)
        } else if current.is_array() {
            let position = text
                .parse::<u32>()
                .ok()
                .filter(|position| (*position as usize) < current.len());
            let is_shift = is_last && write.kind == PathWriteKind::Shift;
            match position {
                Some(position) if !is_shift && write.kind != PathWriteKind::Member => {
                    resolved.push(Step::Element(position));
                    current.element(i64::from(position))
                }
                // A negative, past-the-end or shifting position: the array as a whole.
                _ => return resolved,
            }
        } else {
            // A scalar in the way: PostgreSQL leaves it or raises; either way it was looked at as a whole.
            return resolved;
        };
        match child {
            Some(child) => current = child,
            // Absent: the step is created (or the operation does nothing, which depends on its absence alone).
            None => return resolved,
        }
    }
    resolved
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(column: u16, steps: &[&str]) -> Path {
        Path {
            column,
            steps: steps.iter().map(|step| Step::Member((*step).into())).collect(),
        }
    }

    #[test]
    fn a_path_below_another_is_dropped() {
        let paths = vec![path(0, &["a", "b"]), path(1, &[]), path(0, &["a"]), path(1, &["x"])];
        assert_eq!(minimal(paths), vec![path(0, &["a"]), path(1, &[])]);
    }

    #[test]
    fn a_write_reaches_as_far_as_the_document_may_make_it() {
        let write = |steps: &[&str], kind| PathWrite {
            steps: steps.iter().map(|step| (*step).to_owned()).collect(),
            kind,
        };
        assert_eq!(write(&["a", "b"], PathWriteKind::Set).reach(2), path(2, &["a", "b"]));
        assert_eq!(
            write(&["a", "0", "b"], PathWriteKind::SetWithParents).reach(2),
            path(2, &["a"])
        );
        assert_eq!(write(&["-1"], PathWriteKind::Set).reach(2), path(2, &[]));
        assert_eq!(write(&["a", "b"], PathWriteKind::Shift).reach(2), path(2, &["a"]));
        assert_eq!(write(&["a"], PathWriteKind::Member).reach(2), path(2, &[]));
    }

    #[test]
    fn a_digit_member_and_an_element_are_one_name() {
        let element = Path {
            column: 0,
            steps: vec![Step::Element(3)],
        };
        assert!(covers(&path(0, &["3"]), &element));
        assert!(!covers(&path(0, &["4"]), &element));
    }
}
