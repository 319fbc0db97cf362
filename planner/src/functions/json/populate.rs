//! JSON back to SQL values: json_populate_record, json_to_record and their set-returning forms.

use std::sync::Arc;

use storage::{Array, Datum, JsonKind, JsonRef, Jsonb};

use super::text::{self, Kind};
use super::{encode, invalid};
use crate::bound::shape;
use crate::eval::SessionView;
use crate::functions::define::{scalar, set};
use crate::functions::{CallContext, Function};
use crate::types::oid::*;
use crate::types::{self, element_of};
use crate::{SqlError, SqlResult, SqlState, Type};

#[rustfmt::skip]
pub(in crate::functions) static FUNCTIONS: &[Function] = &[
    scalar(3960, "json_populate_record", &[ANYELEMENT, JSON, BOOL], ANYELEMENT, |c, a| populate(c, a, "json_populate_record")).lenient().stable().defaults(&["false"]),
    scalar(3209, "jsonb_populate_record", &[ANYELEMENT, JSONB], ANYELEMENT, |c, a| populate(c, a, "jsonb_populate_record")).lenient().stable(),
    scalar(3204, "json_to_record", &[JSON], RECORD, to_record).stable(),
    scalar(3490, "jsonb_to_record", &[JSONB], RECORD, to_record).stable(),
    set(3961, "json_populate_recordset", &[ANYELEMENT, JSON, BOOL], ANYELEMENT, |c, a| populate_set(c, a, "json_populate_recordset")).lenient().stable().defaults(&["false"]),
    set(3475, "jsonb_populate_recordset", &[ANYELEMENT, JSONB], ANYELEMENT, |c, a| populate_set(c, a, "jsonb_populate_recordset")).lenient().stable(),
    set(3205, "json_to_recordset", &[JSON], RECORD, |c, a| to_set(c, None, a.first(), "json_to_recordset")).stable(),
    set(3491, "jsonb_to_recordset", &[JSONB], RECORD, |c, a| to_set(c, None, a.first(), "jsonb_to_recordset")).stable(),
];

/// A value of either type.
#[derive(Clone)]
enum Source<'a> {
    Text(text::Value<'a>),
    Binary(JsonRef<'a>),
}

impl<'a> Source<'a> {
    fn of(datum: &'a Datum) -> SqlResult<Option<Self>> {
        Ok(match datum {
            Datum::Json(json) => Some(Self::Text(text::whole(json)?)),
            Datum::Jsonb(document) => Some(Self::Binary(document.view())),
            _ => None,
        })
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Text(value) => value.kind,
            Self::Binary(value) => match value.kind() {
                JsonKind::Null => Kind::Null,
                JsonKind::String => Kind::String,
                JsonKind::Number => Kind::Number,
                JsonKind::Bool => Kind::Bool,
                JsonKind::Array => Kind::Array,
                JsonKind::Object => Kind::Object,
            },
        }
    }

    /// Text for a type's input function: strings without quotes, everything else as JSON.
    fn plain(self) -> String {
        match self {
            Self::Text(value) => value.into_text().unwrap_or_default().into_owned(),
            Self::Binary(value) => value.to_text().unwrap_or_default().into_owned(),
        }
    }

    fn json(&self) -> String {
        match self {
            Self::Text(value) => value.raw.to_owned(),
            Self::Binary(value) => value.to_string(),
        }
    }

    fn elements(&self) -> SqlResult<Vec<Source<'a>>> {
        Ok(match self {
            Self::Text(value) => text::elements(value.raw)?
                .unwrap_or_default()
                .into_iter()
                .map(Source::Text)
                .collect(),
            Self::Binary(value) => value.elements().map(Source::Binary).collect(),
        })
    }
}

/// Members of an object, the last of equal keys counting.
enum Members<'a> {
    Text(Vec<(std::borrow::Cow<'a, str>, text::Value<'a>)>),
    Binary(JsonRef<'a>),
}

impl<'a> Members<'a> {
    fn of(source: &Source<'a>) -> SqlResult<Self> {
        match source.kind() {
            Kind::Object => {}
            Kind::Array => return Err(invalid("cannot call populate_composite on an array")),
            Kind::String | Kind::Number | Kind::Bool | Kind::Null => {
                return Err(invalid("cannot call populate_composite on a scalar"));
            }
        }
        Ok(match source {
            Source::Text(value) => Self::Text(text::members(value.raw)?.unwrap_or_default()),
            Source::Binary(value) => Self::Binary(*value),
        })
    }

    fn get(&self, name: &str) -> Option<Source<'a>> {
        match self {
            Self::Text(members) => members
                .iter()
                .rev()
                .find(|(key, _)| key == name)
                .map(|(_, value)| Source::Text(value.clone())),
            Self::Binary(object) => object.get(name).map(Source::Binary),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Text(members) => members.is_empty(),
            Self::Binary(object) => object.is_empty(),
        }
    }
}

type Columns = Arc<[(String, Type)]>;

/// Names and types of a row type's columns.
fn columns(ty: Type, session: &dyn SessionView) -> Option<Columns> {
    shape::fields(ty).or_else(|| session.composite_columns(ty.oid))
}

/// The row type a call makes: its declared result, or the type of its first argument.
fn result_columns(context: &CallContext<'_>, base: Option<&Datum>, function: &str) -> SqlResult<Columns> {
    let types = context.types;
    if let (Some(declared), Some(given), Some(Datum::Record(_))) = (
        shape::fields(types.result),
        types.args.first().and_then(|ty| shape::fields(*ty)),
        base,
    ) {
        check_alike(&given, &declared)?;
    }
    let candidates = [Some(types.result), types.args.first().copied()];
    if let Some(found) = candidates
        .into_iter()
        .flatten()
        .find_map(|ty| columns(ty, context.session))
    {
        return Ok(found);
    }
    if let Some(Datum::Record(fields)) = base {
        let names = encode::fields(fields, types.result, context.session);
        return Ok(names.into_iter().map(|(name, ty)| (name.into_owned(), ty)).collect());
    }
    let anonymous = types.args.first().is_some_and(|ty| ty.oid == RECORD);
    if function.contains("_to_") || anonymous {
        let message = format!("could not determine row type for result of {function}");
        return Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, message)
            .hint("Provide a non-null record argument, or call the function in the FROM clause using a column definition list."));
    }
    let message = format!("first argument of {function} must be a row type");
    Err(SqlError::new(SqlState::DATATYPE_MISMATCH, message))
}

/// 42804 unless the row that is given has the columns that the query's definition list declares.
fn check_alike(given: &Columns, declared: &Columns) -> SqlResult<()> {
    let refuse = |detail: String| {
        let message = "function return row and query-specified return row do not match";
        Err(SqlError::new(SqlState::DATATYPE_MISMATCH, message).detail(detail))
    };
    if given.len() != declared.len() {
        let word = if given.len() == 1 { "attribute" } else { "attributes" };
        return refuse(format!(
            "Returned row contains {} {word}, but query expects {}.",
            given.len(),
            declared.len()
        ));
    }
    for (at, ((_, given), (_, declared))) in given.iter().zip(declared.iter()).enumerate() {
        if given.oid != declared.oid {
            return refuse(format!(
                "Returned type {} at ordinal position {}, but query expects {}.",
                types::format_type(*given),
                at + 1,
                types::format_type(*declared)
            ));
        }
    }
    Ok(())
}

/// The named row type a call makes, whose columns may have domains.
fn row_type(context: &CallContext<'_>) -> Option<u32> {
    Some(context.types.result.oid).filter(|oid| *oid != RECORD)
}

fn populate(context: &mut CallContext<'_>, args: &[Datum], function: &str) -> SqlResult<Datum> {
    let [base, json, ..] = args else { return Ok(Datum::Null) };
    let columns = result_columns(context, Some(base), function)?;
    match Source::of(json)? {
        Some(source) => record(
            row_type(context),
            &columns,
            base_fields(base),
            &source,
            context.session,
            0,
        ),
        None => Ok(base.clone()),
    }
}

fn to_record(context: &mut CallContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let columns = result_columns(context, None, "json_to_record")?;
    match args.first().map(Source::of).transpose()?.flatten() {
        Some(source) => record(None, &columns, None, &source, context.session, 0),
        None => Ok(Datum::Null),
    }
}

fn populate_set(context: &mut CallContext<'_>, args: &[Datum], function: &str) -> SqlResult<Vec<Vec<Datum>>> {
    to_set(context, args.first(), args.get(1), function)
}

fn base_fields(base: &Datum) -> Option<&[Datum]> {
    match base {
        Datum::Record(fields) => Some(fields),
        _ => None,
    }
}

fn to_set(
    context: &mut CallContext<'_>,
    base: Option<&Datum>,
    json: Option<&Datum>,
    function: &str,
) -> SqlResult<Vec<Vec<Datum>>> {
    let columns = result_columns(context, base, function)?;
    let Some(source) = json.map(Source::of).transpose()?.flatten() else {
        return Ok(Vec::new());
    };
    match source.kind() {
        Kind::Array => {}
        Kind::Object => return Err(invalid(format!("cannot call {function} on an object"))),
        Kind::String | Kind::Number | Kind::Bool | Kind::Null => {
            return Err(invalid(format!("cannot call {function} on a scalar")));
        }
    }
    let mut rows = Vec::new();
    for element in source.elements()? {
        if element.kind() != Kind::Object {
            return Err(invalid(format!("argument of {function} must be an array of objects")));
        }
        match record(
            row_type(context),
            &columns,
            base.and_then(base_fields),
            &element,
            context.session,
            0,
        )? {
            Datum::Record(fields) => rows.push(fields.to_vec()),
            _ => rows.push(vec![Datum::Null; columns.len()]),
        }
    }
    Ok(rows)
}

/// Arrays and records nested deeper than this are refused.
const DEPTH_MAX: usize = 100;

fn record(
    row_type: Option<u32>,
    columns: &Columns,
    base: Option<&[Datum]>,
    source: &Source<'_>,
    session: &dyn SessionView,
    depth: usize,
) -> SqlResult<Datum> {
    if depth > DEPTH_MAX {
        return Err(SqlError::new(
            SqlState::STATEMENT_TOO_COMPLEX,
            "stack depth limit exceeded",
        ));
    }
    let members = Members::of(source)?;
    let domains = row_type
        .map(|row_type| session.composite_domains(row_type))
        .unwrap_or_default();
    if let (Some(base), true) = (base, members.is_empty()) {
        return Ok(Datum::record(base.to_vec()));
    }
    let mut fields = Vec::with_capacity(columns.len());
    for (index, (name, ty)) in columns.iter().enumerate() {
        let value = match members.get(name) {
            Some(value) => field(*ty, value, name, session, depth)?,
            None => base.and_then(|base| base.get(index)).cloned().unwrap_or(Datum::Null),
        };
        if let Some(domain) = domains.get(index).copied().flatten() {
            crate::domain::check(session, domain, &value)?;
        }
        fields.push(value);
    }
    Ok(Datum::record(fields))
}

/// One value as a SQL type.
fn field(ty: Type, value: Source<'_>, name: &str, session: &dyn SessionView, depth: usize) -> SqlResult<Datum> {
    let kind = value.kind();
    if kind == Kind::Null {
        return Ok(Datum::Null);
    }
    if ty.oid == JSON {
        return Ok(Datum::Json(value.json().into()));
    }
    if ty.oid == JSONB {
        return Ok(Datum::Jsonb(match value {
            Source::Binary(part) => part.to_owned(),
            Source::Text(part) => Jsonb::parse(part.raw)?,
        }));
    }
    if let (Some(element), true) = (element_of(ty.oid), kind != Kind::String) {
        let mut lengths = Vec::new();
        let mut elements = Vec::new();
        let place = Place {
            name,
            session,
            depth,
            element: Type::with_modifier(element, ty.modifier),
        };
        place.collect(&value, 0, &mut Vec::new(), &mut lengths, &mut elements)?;
        let dimensions = if elements.is_empty() {
            Vec::new()
        } else {
            lengths.iter().map(|&length| (length, 1)).collect()
        };
        return Ok(Datum::Array(Arc::new(Array {
            element_type: element,
            dimensions,
            elements,
        })));
    }
    if let (Some(columns), true) = (columns(ty, session), kind != Kind::String) {
        return record(Some(ty.oid), &columns, None, &value, session, depth + 1);
    }
    types::input(ty, &value.plain(), session)
}

/// An array being read.
struct Place<'a> {
    name: &'a str,
    session: &'a dyn SessionView,
    depth: usize,
    element: Type,
}

impl Place<'_> {
    /// Collects the elements of nested arrays. The first path down decides how many dimensions there are; all others must
    /// agree.
    fn collect(
        &self,
        value: &Source<'_>,
        level: usize,
        at: &mut Vec<usize>,
        lengths: &mut Vec<i32>,
        out: &mut Vec<Datum>,
    ) -> SqlResult<()> {
        if value.kind() != Kind::Array {
            return Err(self.expected_array(at));
        }
        if level > 5 {
            let message = format!(
                "number of array dimensions ({}) exceeds the maximum allowed (6)",
                level + 1
            );
            return Err(SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
        }
        let elements = value.elements()?;
        let first_visit = lengths.len() == level;
        if first_visit {
            lengths.push(elements.len() as i32);
        } else if lengths[level] != elements.len() as i32 {
            return Err(malformed());
        }
        // Sub-arrays make a further dimension unless the element type takes arrays itself.
        let nested = elements.first().is_some_and(|first| first.kind() == Kind::Array)
            && !matches!(self.element.oid, JSON | JSONB);
        let leaf_expected = !first_visit && lengths.len() == level + 1;
        for (index, element) in elements.into_iter().enumerate() {
            at.push(index);
            if nested && !leaf_expected {
                self.collect(&element, level + 1, at, lengths, out)?;
            } else if element.kind() == Kind::Array && !matches!(self.element.oid, JSON | JSONB) {
                return Err(malformed());
            } else if lengths.len() > level + 1 {
                return Err(self.expected_array(at));
            } else {
                out.push(field(self.element, element, self.name, self.session, self.depth + 1)?);
            }
            at.pop();
        }
        Ok(())
    }

    fn expected_array(&self, at: &[usize]) -> SqlError {
        let error = SqlError::new(SqlState::INVALID_TEXT_REPRESENTATION, "expected JSON array");
        if at.is_empty() {
            return error.hint(format!("See the value of key \"{}\".", self.name));
        }
        let indices: String = at.iter().map(|index| format!("[{index}]")).collect();
        error.hint(format!("See the array element {indices} of key \"{}\".", self.name))
    }
}

fn malformed() -> SqlError {
    SqlError::new(SqlState::INVALID_TEXT_REPRESENTATION, "malformed JSON array")
        .detail("Multidimensional arrays must have sub-arrays with matching dimensions.")
}
