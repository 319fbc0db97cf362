//! SQL/JSON path: the type jsonpath and the functions that evaluate it.
//!
//! ```text
//!   text ─lexer─► tokens ─parser─► syntax ─print─► canonical text
//!                                    └─evaluate─► items (predicate: conditions, method: .size(), .keyvalue(), …)
//! ```
//! A jsonpath value is held as the text it was written as, and printed canonically (PostgreSQL's canonical text cannot always
//! be read back); trees are kept per thread, so that a path is parsed once and not per row.
//! Parser, printer and evaluator are our own because PostgreSQL's texts, SQLSTATEs and unwrapping rules are the contract:
//! the crate sql-json-path evaluates over its own document types and has other errors.

mod datetime;
mod evaluate;
mod item;
mod layout;
mod lexer;
mod method;
mod parser;
mod predicate;
mod print;
mod regex;
mod syntax;
mod template;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use storage::{Datum, JsonBuilder, Jsonb};

use evaluate::{Evaluator, Fault};
use item::Item;
use syntax::JsonPath;

use super::{built, invalid};
use crate::functions::define::{scalar, set};
use crate::functions::value::Argument;
use crate::functions::{CallContext, Function};
use crate::types::oid::*;
use crate::{SqlError, SqlResult, SqlState};

const ALL: &[u32] = &[JSONB, JSONPATH, JSONB, BOOL];
const DEFAULTS: &[&str] = &["{}", "false"];

#[rustfmt::skip]
pub(in crate::functions) static FUNCTIONS: &[Function] = &[
    scalar(4005, "jsonb_path_exists", ALL, BOOL, |c, a| exists(c, a, false)).defaults(DEFAULTS),
    scalar(1177, "jsonb_path_exists_tz", ALL, BOOL, |c, a| exists(c, a, true)).defaults(DEFAULTS).stable(),
    scalar(4010, "jsonb_path_exists_opr", &[JSONB, JSONPATH], BOOL, |c, a| exists(c, a, false)),
    scalar(4009, "jsonb_path_match", ALL, BOOL, |c, a| matches(c, a, false)).defaults(DEFAULTS),
    scalar(2030, "jsonb_path_match_tz", ALL, BOOL, |c, a| matches(c, a, true)).defaults(DEFAULTS).stable(),
    scalar(4011, "jsonb_path_match_opr", &[JSONB, JSONPATH], BOOL, |c, a| matches(c, a, false)),
    set(4006, "jsonb_path_query", ALL, JSONB, |c, a| rows(c, a, false)).defaults(DEFAULTS),
    set(1179, "jsonb_path_query_tz", ALL, JSONB, |c, a| rows(c, a, true)).defaults(DEFAULTS).stable(),
    scalar(4007, "jsonb_path_query_array", ALL, JSONB, |c, a| array(c, a, false)).defaults(DEFAULTS),
    scalar(1180, "jsonb_path_query_array_tz", ALL, JSONB, |c, a| array(c, a, true)).defaults(DEFAULTS).stable(),
    scalar(4008, "jsonb_path_query_first", ALL, JSONB, |c, a| first(c, a, false)).defaults(DEFAULTS),
    scalar(2023, "jsonb_path_query_first_tz", ALL, JSONB, |c, a| first(c, a, true)).defaults(DEFAULTS).stable(),
];

/// Paths a thread keeps parsed; when there are more, all are forgotten.
const CACHED_PATHS_MAX: usize = 256;

thread_local! {
    static CACHE: RefCell<HashMap<Arc<str>, Rc<JsonPath>, ahash::RandomState>> = RefCell::default();
}

/// Reads a jsonpath and gives its canonical text: what the type's input function checks and its output function prints.
///
/// # Errors
/// 42601 or 22P02 with PostgreSQL's text, 2201B for a pattern of `like_regex` that is none.
pub fn canonical(text: &str) -> SqlResult<String> {
    parser::parse(text).map(|path| path.to_string())
}

fn parsed(text: &Arc<str>) -> SqlResult<Rc<JsonPath>> {
    if let Some(path) = CACHE.with_borrow(|cache| cache.get(text).cloned()) {
        return Ok(path);
    }
    let path = Rc::new(parser::parse(text)?);
    CACHE.with_borrow_mut(|cache| {
        if cache.len() >= CACHED_PATHS_MAX {
            cache.clear();
        }
        cache.insert(text.clone(), path.clone());
    });
    Ok(path)
}

/// The arguments of a call: the operators have neither variables nor a say about errors, and are silent.
struct Call<'a> {
    document: &'a Jsonb,
    path: Rc<JsonPath>,
    variables: Option<&'a Jsonb>,
    silent: bool,
    use_zone: bool,
}

impl<'a> Call<'a> {
    fn read(args: &'a [Datum], use_zone: bool) -> SqlResult<Self> {
        let (document, path) = match args {
            [document, path, ..] => (<&Jsonb>::read(document)?, Arc::<str>::read(path)?),
            _ => {
                return Err(SqlError::new(
                    SqlState::INTERNAL_ERROR,
                    "jsonpath function called with too few arguments",
                ));
            }
        };
        let variables = args.get(2).map(<&Jsonb>::read).transpose()?;
        if variables.is_some_and(|variables| !variables.view().is_object()) {
            return Err(invalid("\"vars\" argument is not an object")
                .detail("Jsonpath parameters should be encoded as key-value pairs of \"vars\" object."));
        }
        let silent = args.get(3).map(bool::read).transpose()?.unwrap_or(true);
        Ok(Self {
            document,
            path: parsed(&path)?,
            variables,
            silent,
            use_zone,
        })
    }

    fn evaluator<'s>(&self, context: &CallContext<'s>) -> Evaluator<'s>
    where
        'a: 's,
    {
        let variables = self.variables.map(Jsonb::view);
        Evaluator::new(
            &self.path,
            self.document.view(),
            variables,
            self.use_zone,
            context.session,
        )
    }

    /// What the path finds; with `silent`, what it found before an error.
    fn query(&self, context: &CallContext<'_>) -> SqlResult<Vec<Jsonb>> {
        let mut evaluator = self.evaluator(context);
        let mut found = Vec::new();
        match evaluator.query(&self.path, &mut found) {
            Ok(_) => {}
            Err(Fault::Soft(_)) if self.silent => {}
            Err(Fault::Soft(error) | Fault::Hard(error)) => return Err(error),
        }
        let to_jsonb = |item: Item<'_>| match item {
            Item::Stored(value) => self.document.share(value),
            Item::Owned(value) => value,
            Item::Number(value) => Jsonb::number(&value),
            Item::DateTime(value, west) => datetime::to_jsonb(&evaluator, &value, west),
        };
        Ok(found.into_iter().map(to_jsonb).collect())
    }
}

fn exists(context: &mut CallContext<'_>, args: &[Datum], use_zone: bool) -> SqlResult<Datum> {
    let call = Call::read(args, use_zone)?;
    match call.evaluator(context).exists(&call.path) {
        Ok(found) => Ok(Datum::Bool(found)),
        Err(Fault::Soft(_)) if call.silent => Ok(Datum::Null),
        Err(Fault::Soft(error) | Fault::Hard(error)) => Err(error),
    }
}

fn matches(context: &mut CallContext<'_>, args: &[Datum], use_zone: bool) -> SqlResult<Datum> {
    let call = Call::read(args, use_zone)?;
    let found = call.query(context)?;
    if let [single] = found.as_slice() {
        if let Some(truth) = single.view().as_bool() {
            return Ok(Datum::Bool(truth));
        }
        if single.view().is_null() {
            return Ok(Datum::Null);
        }
    }
    if call.silent {
        return Ok(Datum::Null);
    }
    Err(SqlError::new(
        SqlState::SINGLETON_SQL_JSON_ITEM_REQUIRED,
        "single boolean result is expected",
    ))
}

fn rows(context: &mut CallContext<'_>, args: &[Datum], use_zone: bool) -> SqlResult<Vec<Vec<Datum>>> {
    let found = Call::read(args, use_zone)?.query(context)?;
    Ok(found.into_iter().map(|value| vec![Datum::Jsonb(value)]).collect())
}

fn array(context: &mut CallContext<'_>, args: &[Datum], use_zone: bool) -> SqlResult<Datum> {
    let found = Call::read(args, use_zone)?.query(context)?;
    let mut builder = JsonBuilder::new();
    builder.begin_array();
    found.iter().for_each(|value| builder.value(value.view()));
    builder.end();
    built(builder.finish()).map(Datum::Jsonb)
}

fn first(context: &mut CallContext<'_>, args: &[Datum], use_zone: bool) -> SqlResult<Datum> {
    let found = Call::read(args, use_zone)?.query(context)?;
    Ok(found.into_iter().next().map_or(Datum::Null, Datum::Jsonb))
}

#[cfg(test)]
mod tests;
