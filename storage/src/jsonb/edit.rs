//! Changes at a path: jsonb_set, jsonb_insert, subscript assignment and `#-` are one walk with different endings.

use super::view::parse_index;
use super::{JsonBuilder, JsonError, JsonKind, JsonRef, Jsonb};

/// What happens at the end of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetMode {
    /// jsonb_set(…, create_if_missing => false)
    Replace,
    /// jsonb_set: replaces, or adds the last member; an array position out of range prepends or appends.
    Create,
    /// jsonb_insert: before an element, or a member that is not there yet.
    InsertBefore,
    /// jsonb_insert(…, insert_after => true)
    InsertAfter,
    /// Subscript assignment: missing parents are created, gaps in arrays filled with nulls.
    Assign,
    /// `#-`
    Delete,
}

/// Why a document could not be changed. The text is PostgreSQL's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The document is a scalar.
    #[error("cannot set path in scalar")]
    SetInScalar,
    /// The document is a scalar.
    #[error("cannot delete path in scalar")]
    DeletePathInScalar,
    /// The document is a scalar.
    #[error("cannot delete from scalar")]
    DeleteFromScalar,
    /// The document is an object.
    #[error("cannot delete from object using integer index")]
    DeleteIndexFromObject,
    /// A path element is NULL.
    #[error("path element at position {position} is null")]
    NullElement {
        /// Position in the path, from one.
        position: usize,
    },
    /// A path element that addresses an array is not a number.
    #[error("path element at position {position} is not an integer: \"{text}\"")]
    NotInteger {
        /// Position in the path, from one.
        position: usize,
        /// The element.
        text: String,
    },
    /// A negative position before the array's first element, in an assignment.
    #[error("path element at position {position} is out of range: {index}")]
    OutOfRange {
        /// Position in the path, from one.
        position: usize,
        /// The index.
        index: i64,
    },
    /// jsonb_insert met an existing member.
    #[error("cannot replace existing key")]
    KeyExists,
    /// An assignment's path goes through a scalar.
    #[error("cannot replace existing key")]
    ThroughScalar,
    /// The result is too large.
    #[error(transparent)]
    Json(#[from] JsonError),
}

impl EditError {
    /// SQLSTATE of the error.
    pub fn sqlstate(&self) -> &'static str {
        match self {
            Self::NullElement { .. } => "22004",
            Self::NotInteger { .. } => "22P02",
            Self::Json(error) => error.kind.sqlstate(),
            Self::SetInScalar
            | Self::DeletePathInScalar
            | Self::DeleteFromScalar
            | Self::DeleteIndexFromObject
            | Self::OutOfRange { .. }
            | Self::KeyExists
            | Self::ThroughScalar => "22023",
        }
    }

    /// PostgreSQL's detail line.
    pub fn detail(&self) -> Option<&'static str> {
        matches!(self, Self::ThroughScalar)
            .then_some("The path assumes key is a composite object, but it is a scalar value.")
    }

    /// PostgreSQL's hint line.
    pub fn hint(&self) -> Option<&'static str> {
        matches!(self, Self::KeyExists).then_some("Try using the function jsonb_set to replace key value.")
    }
}

/// Sets or inserts `value` at a path; see [`SetMode`]. A `None` in the path is SQL NULL.
///
/// # Errors
/// [`EditError`]
pub fn set<S: AsRef<str>>(
    document: &Jsonb,
    path: &[Option<S>],
    value: &Jsonb,
    mode: SetMode,
) -> Result<Jsonb, EditError> {
    apply(document, path, Some(value), mode)
}

/// Where a step of the path leads in one container.
#[derive(Clone, Copy)]
enum Place {
    /// The child at this position.
    At(usize),
    /// Before the first element.
    Front,
    /// Behind the last child; for [`SetMode::Assign`] at this array position.
    Missing(usize),
}

/// A container on the way, and where the way goes on in it.
struct Level<'a> {
    container: JsonRef<'a>,
    place: Place,
}

pub(super) fn apply<S: AsRef<str>>(
    document: &Jsonb,
    path: &[Option<S>],
    value: Option<&Jsonb>,
    mode: SetMode,
) -> Result<Jsonb, EditError> {
    let root = document.view();
    if root.is_scalar() && mode != SetMode::Assign {
        return Err(if mode == SetMode::Delete {
            EditError::DeletePathInScalar
        } else {
            EditError::SetInScalar
        });
    }
    let absent_is_final = matches!(mode, SetMode::Replace | SetMode::Delete);
    if path.is_empty() || (root.is_empty() && !root.is_scalar() && absent_is_final) {
        return Ok(document.clone());
    }
    let Some(levels) = walk(root, path, mode)? else {
        return Ok(document.clone());
    };
    let mut builder = JsonBuilder::with_capacity(document.size() + value.map_or(0, Jsonb::size) + 16);
    let last = levels.len() - 1;
    for (index, level) in levels.iter().enumerate() {
        open_before(&mut builder, level);
        if index < last {
            continue;
        }
        let step = path.get(index).and_then(Option::as_ref).map_or("", AsRef::as_ref);
        if index + 1 == path.len() {
            end_of_path(&mut builder, level, step, value, mode);
        } else {
            missing_parents(&mut builder, level, path, index, value)?;
        }
    }
    for level in levels.iter().rev() {
        close_after(&mut builder, level);
    }
    rebuilt(builder)
}

/// Follows the path as far as it exists. `None`: the change has no effect.
fn walk<'a, S: AsRef<str>>(
    root: JsonRef<'a>,
    path: &[Option<S>],
    mode: SetMode,
) -> Result<Option<Vec<Level<'a>>>, EditError> {
    let mut levels = Vec::with_capacity(path.len());
    let mut container = root;
    for (index, step) in path.iter().enumerate() {
        let step = step
            .as_ref()
            .ok_or(EditError::NullElement { position: index + 1 })?
            .as_ref();
        let place = match container.kind() {
            JsonKind::Object => match container.find(step.as_bytes()) {
                Ok(found) => Place::At(found),
                Err(_) => Place::Missing(0),
            },
            JsonKind::Array => array_place(container.len(), step, index + 1, mode)?,
            JsonKind::Null | JsonKind::String | JsonKind::Number | JsonKind::Bool => {
                return if mode == SetMode::Assign {
                    Err(EditError::ThroughScalar)
                } else {
                    Ok(None)
                };
            }
        };
        levels.push(Level { container, place });
        let is_last = index + 1 == path.len();
        match place {
            Place::At(child) if !is_last => match child_at(container, child) {
                Some(next) => container = next,
                None => return Ok(None),
            },
            Place::At(_) if container.is_object() && matches!(mode, SetMode::InsertBefore | SetMode::InsertAfter) => {
                return Err(EditError::KeyExists);
            }
            Place::At(_) => {}
            Place::Front | Place::Missing(_) => {
                let creates = match mode {
                    SetMode::Assign => true,
                    SetMode::Create | SetMode::InsertBefore | SetMode::InsertAfter => is_last,
                    SetMode::Replace | SetMode::Delete => false,
                };
                return Ok(creates.then_some(levels));
            }
        }
    }
    Ok(Some(levels))
}

fn array_place(count: usize, step: &str, position: usize, mode: SetMode) -> Result<Place, EditError> {
    let index = parse_index(step).ok_or_else(|| EditError::NotInteger {
        position,
        text: step.to_owned(),
    })?;
    let absolute = if index < 0 { index + count as i64 } else { index };
    if absolute < 0 {
        if mode == SetMode::Assign {
            return Err(EditError::OutOfRange { position, index });
        }
        return Ok(Place::Front);
    }
    let absolute = absolute as usize;
    Ok(if absolute < count {
        Place::At(absolute)
    } else {
        Place::Missing(absolute)
    })
}

/// Opens the container and copies what stands before the place.
fn open_before(builder: &mut JsonBuilder, level: &Level<'_>) {
    let container = level.container;
    let end = match level.place {
        Place::At(index) => index,
        Place::Front => 0,
        Place::Missing(_) => container.len(),
    };
    if container.is_object() {
        builder.begin_object()
    } else {
        builder.begin_array()
    }
    copy_children(builder, container, 0, end);
    if let (Place::At(index), true) = (level.place, container.is_object())
        && let Some((key, _)) = container.member(index)
    {
        // Written even if the member is about to be deleted: `end_of_path` takes it back.
        builder.key_bytes(key);
    }
}

/// Copies what stands behind the place and closes the container.
fn close_after(builder: &mut JsonBuilder, level: &Level<'_>) {
    let start = match level.place {
        Place::At(index) => index + 1,
        Place::Front => 0,
        Place::Missing(_) => level.container.len(),
    };
    copy_children(builder, level.container, start, level.container.len());
    builder.end();
}

fn end_of_path(builder: &mut JsonBuilder, level: &Level<'_>, step: &str, value: Option<&Jsonb>, mode: SetMode) {
    let Some(value) = value else {
        if level.container.is_object() {
            builder.take_back_key();
        }
        return;
    };
    match level.place {
        Place::At(index) if level.container.is_array() => {
            let old = level.container.element_at(index);
            if let (SetMode::InsertAfter, Some(old)) = (mode, old) {
                builder.value(old);
            }
            builder.value(value.view());
            if let (SetMode::InsertBefore, Some(old)) = (mode, old) {
                builder.value(old);
            }
        }
        Place::At(_) | Place::Front => builder.value(value.view()),
        Place::Missing(position) => {
            if level.container.is_object() {
                builder.key(step);
            } else if mode == SetMode::Assign {
                nulls(builder, position - level.container.len());
            }
            builder.value(value.view());
        }
    }
}

/// Creates what is missing between `level` and the end of the path, as subscript assignment does: a number makes an array.
fn missing_parents<S: AsRef<str>>(
    builder: &mut JsonBuilder,
    level: &Level<'_>,
    path: &[Option<S>],
    index: usize,
    value: Option<&Jsonb>,
) -> Result<(), EditError> {
    if level.container.is_object() {
        builder.key(path[index].as_ref().map_or("", AsRef::as_ref));
    } else if let Place::Missing(position) = level.place {
        nulls(builder, position - level.container.len());
    }
    let below = &path[index + 1..];
    for (offset, step) in below.iter().enumerate() {
        let step = step
            .as_ref()
            .ok_or(EditError::NullElement {
                position: index + offset + 2,
            })?
            .as_ref();
        match parse_index(step) {
            Some(position) => {
                builder.begin_array();
                nulls(builder, usize::try_from(position).unwrap_or(0));
            }
            None => {
                builder.begin_object();
                builder.key(step);
            }
        }
    }
    match value {
        Some(value) => builder.value(value.view()),
        None => builder.null(),
    }
    below.iter().for_each(|_| builder.end());
    Ok(())
}

fn nulls(builder: &mut JsonBuilder, count: usize) {
    (0..count).for_each(|_| builder.null());
}

fn child_at(container: JsonRef<'_>, index: usize) -> Option<JsonRef<'_>> {
    if container.is_object() {
        container.member(index).map(|(_, value)| value)
    } else {
        container.element_at(index)
    }
}

fn copy_children(builder: &mut JsonBuilder, container: JsonRef<'_>, start: usize, end: usize) {
    for index in start..end {
        if container.is_object() {
            if let Some((key, value)) = container.member(index) {
                builder.key_bytes(key);
                builder.value(value);
            }
        } else if let Some(element) = container.element_at(index) {
            builder.value(element);
        }
    }
}

pub(super) fn copy_member(builder: &mut JsonBuilder, key: &str, value: JsonRef<'_>) {
    builder.key(key);
    builder.value(value);
}

pub(super) fn rebuilt(builder: JsonBuilder) -> Result<Jsonb, EditError> {
    builder.finish().map_err(EditError::Json)
}

/// Concatenation (`||`): two objects merge, anything else becomes one array.
///
/// # Errors
/// [`EditError::Json`] if the result is too large.
pub fn concat(left: &Jsonb, right: &Jsonb) -> Result<Jsonb, EditError> {
    let (a, b) = (left.view(), right.view());
    if a.is_object() == b.is_object() {
        if !a.is_scalar() && a.is_empty() && !b.is_scalar() {
            return Ok(right.clone());
        }
        if !b.is_scalar() && b.is_empty() && !a.is_scalar() {
            return Ok(left.clone());
        }
    }
    let mut builder = JsonBuilder::with_capacity(left.size() + right.size());
    if a.is_object() && b.is_object() {
        builder.begin_object();
        copy_children(&mut builder, a, 0, a.len());
        copy_children(&mut builder, b, 0, b.len());
    } else {
        builder.begin_array();
        for part in [a, b] {
            if part.is_array() {
                copy_children(&mut builder, part, 0, part.len())
            } else {
                builder.value(part)
            }
        }
    }
    rebuilt(builder)
}

/// Removes every member whose value is null, at any depth; null elements of arrays stay.
///
/// # Errors
/// [`EditError::Json`] if the result is too large.
pub fn strip_nulls(document: &Jsonb) -> Result<Jsonb, EditError> {
    let mut builder = JsonBuilder::with_capacity(document.size());
    let mut open: Vec<(JsonRef<'_>, usize)> = Vec::new();
    let mut next = Some(document.view());
    loop {
        if let Some(value) = next.take() {
            match value.kind() {
                JsonKind::Array => builder.begin_array(),
                JsonKind::Object => builder.begin_object(),
                JsonKind::Null | JsonKind::String | JsonKind::Number | JsonKind::Bool => builder.value(value),
            }
            if !value.is_scalar() {
                open.push((value, 0));
            }
        }
        let Some((container, position)) = open.last_mut() else {
            return rebuilt(builder);
        };
        let index = *position;
        *position += 1;
        if index >= container.len() {
            open.pop();
            builder.end();
        } else if container.is_array() {
            next = container.element_at(index);
        } else if let Some((key, value)) = container.member(index).filter(|(_, value)| !value.is_null()) {
            builder.key_bytes(key);
            next = Some(value);
        }
    }
}
