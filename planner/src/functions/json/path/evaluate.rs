//! Evaluation of a jsonpath over a document.
//!
//! Values flow through the accessors one by one (`next`): each accessor hands every value it finds to the rest of the path.
//! `lax` mode unwraps arrays where an accessor wants something else and wraps single values where it wants an array;
//! structural errors become empty results. Errors are of two kinds: *soft* ones are unknown in a predicate and nothing with
//! `silent`, *hard* ones (an unknown variable, a comparison that needs a time zone) always reach the user.

use storage::{JsonRef, Numeric};

use super::item::Item;
use super::syntax::{Arithmetic, Condition, Expr, Head, JsonPath, Step};
use crate::eval::SessionView;
use crate::{SqlError, SqlState};

/// Why evaluation stopped.
pub(super) enum Fault {
    Soft(SqlError),
    Hard(SqlError),
}

impl Fault {
    pub(super) fn soft(code: SqlState, message: impl Into<String>) -> Self {
        Self::Soft(SqlError::new(code, message))
    }
}

/// Whether anything was found.
pub(super) type Outcome = Result<bool, Fault>;

/// Deepest nesting of accessors, conditions and operators during evaluation.
const DEPTH_MAX: usize = 1200;

/// The object that generated ids of `keyvalue()` count from.
#[derive(Clone)]
pub(super) struct Base<'a> {
    pub(super) object: Item<'a>,
    pub(super) id: i64,
}

/// State of one evaluation.
pub(super) struct Evaluator<'a> {
    pub(super) lax: bool,
    /// Lax, or below `**`.
    forgiving: bool,
    root: Item<'a>,
    pub(super) current: Item<'a>,
    variables: Option<JsonRef<'a>>,
    pub(super) base: Base<'a>,
    /// Next id of an object that `keyvalue()` makes.
    pub(super) next_object: i64,
    /// What `last` means: size of the array subscripted.
    array_size: Option<usize>,
    /// Comparisons may use the session's time zone.
    pub(super) use_zone: bool,
    pub(super) session: &'a dyn SessionView,
    depth: usize,
}

/// Where results go; `None` when only their existence matters.
pub(super) type Found<'f, 'a> = Option<&'f mut Vec<Item<'a>>>;

impl<'a> Evaluator<'a> {
    pub(super) fn new(
        path: &JsonPath,
        document: JsonRef<'a>,
        variables: Option<JsonRef<'a>>,
        use_zone: bool,
        session: &'a dyn SessionView,
    ) -> Self {
        let root = Item::Stored(document);
        Self {
            lax: path.lax,
            forgiving: path.lax,
            base: Base {
                object: root.clone(),
                id: 0,
            },
            current: root.clone(),
            root,
            next_object: if variables.is_some() { 2 } else { 1 },
            variables,
            array_size: None,
            use_zone,
            session,
            depth: 0,
        }
    }

    /// Evaluates the whole path and collects what it finds. What was found before a soft error stays in `found`.
    pub(super) fn query(&mut self, path: &JsonPath, found: &mut Vec<Item<'a>>) -> Outcome {
        let root = self.root.clone();
        self.expr(&path.expr, &root, Some(found))
    }

    /// Whether the path finds anything. Strict mode looks at everything, to be sure that there is no error.
    pub(super) fn exists(&mut self, path: &JsonPath) -> Outcome {
        let root = self.root.clone();
        if path.lax {
            return self.expr(&path.expr, &root, None);
        }
        let mut found = Vec::new();
        self.expr(&path.expr, &root, Some(&mut found))?;
        Ok(!found.is_empty())
    }

    /// Evaluates an expression with `@`-less context value `item`.
    pub(super) fn expr(&mut self, expr: &Expr, item: &Item<'a>, found: Found<'_, 'a>) -> Outcome {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Fault::Hard(SqlError::new(
                SqlState::STATEMENT_TOO_COMPLEX,
                "stack depth limit exceeded",
            )));
        }
        let outcome = self.head(expr, item, found);
        self.depth -= 1;
        outcome
    }

    fn head(&mut self, expr: &Expr, item: &Item<'a>, found: Found<'_, 'a>) -> Outcome {
        let steps = expr.steps.as_slice();
        let skip = steps.is_empty() && found.is_none();
        match &expr.head {
            Head::Root => {
                let root = self.root.clone();
                self.base = Base {
                    object: root.clone(),
                    id: 0,
                };
                self.next(steps, root, found)
            }
            Head::Current => {
                let current = self.current.clone();
                self.next(steps, current, found)
            }
            Head::Literal(_) | Head::Number(_) | Head::Last if skip => Ok(true),
            Head::Literal(value) => self.next(steps, Item::Owned(value.clone()), found),
            Head::Number(value) => self.next(steps, Item::Number(value.clone()), found),
            Head::Last => {
                let size = self.array_size.unwrap_or(0) as i64;
                self.next(steps, Item::Number(Numeric::from_i64(size - 1)), found)
            }
            Head::Variable(name) => {
                let Some(value) = self.variables.and_then(|variables| variables.get(name)) else {
                    let message = format!("could not find jsonpath variable \"{name}\"");
                    return Err(Fault::Hard(SqlError::new(SqlState::UNDEFINED_OBJECT, message)));
                };
                let saved = self.base.clone();
                self.base = Base {
                    object: self.variables.map_or(Item::Stored(value), Item::Stored),
                    id: 1,
                };
                let outcome = self.next(steps, Item::Stored(value), found);
                self.base = saved;
                outcome
            }
            Head::Arithmetic(operator, left, right) => {
                let result = self.arithmetic(*operator, left, right, item)?;
                if skip {
                    return Ok(true);
                }
                self.next(steps, Item::Number(result), found)
            }
            Head::Sign { negative, operand } => self.sign(*negative, operand, steps, item, found),
            Head::Condition(condition) => {
                let truth = self.condition(condition, item)?;
                if skip {
                    return Ok(true);
                }
                self.next(steps, Item::bool(truth), found)
            }
        }
    }

    /// Hands a value to the rest of the path, or to the results.
    pub(super) fn next(&mut self, steps: &[Step], item: Item<'a>, found: Found<'_, 'a>) -> Outcome {
        match steps.split_first() {
            Some((step, rest)) => self.step(step, rest, item, found, self.lax),
            None => {
                if let Some(found) = found {
                    found.push(item);
                }
                Ok(true)
            }
        }
    }

    /// Applies an accessor. `unwrap`: an array where none is wanted stands for its elements.
    fn step(&mut self, step: &Step, rest: &[Step], item: Item<'a>, found: Found<'_, 'a>, unwrap: bool) -> Outcome {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Fault::Hard(SqlError::new(
                SqlState::STATEMENT_TOO_COMPLEX,
                "stack depth limit exceeded",
            )));
        }
        let takes_arrays = match step {
            Step::Elements(_) | Step::AnyElement | Step::AnyDepth(..) => true,
            Step::Method(method) => matches!(method, super::syntax::Method::Size | super::syntax::Method::Type),
            Step::Member(_) | Step::AnyMember | Step::Filter(_) | Step::DateTime(_) => false,
        };
        let outcome = if unwrap && !takes_arrays && item.is_array() {
            self.each(item.children(), found, |evaluator, element, found| {
                evaluator.step(step, rest, element, found, false)
            })
        } else {
            self.apply(step, rest, item, found)
        };
        self.depth -= 1;
        outcome
    }

    fn apply(&mut self, step: &Step, rest: &[Step], item: Item<'a>, found: Found<'_, 'a>) -> Outcome {
        match step {
            Step::Member(name) => self.member(name, rest, &item, found),
            Step::AnyMember if item.is_object() => self.hand_on(item.children(), rest, found, self.lax),
            Step::AnyMember => self.structural(
                SqlState::SQL_JSON_OBJECT_NOT_FOUND,
                "jsonpath wildcard member accessor can only be applied to an object",
            ),
            Step::AnyElement if item.is_array() => self.hand_on(item.children(), rest, found, self.lax),
            Step::AnyElement if self.lax => self.next(rest, item, found),
            Step::AnyElement => self.structural(
                SqlState::SQL_JSON_ARRAY_NOT_FOUND,
                "jsonpath wildcard array accessor can only be applied to an array",
            ),
            Step::Elements(elements) => self.elements(elements, rest, &item, found),
            Step::AnyDepth(first, last) => self.any_depth(*first, *last, rest, item, found),
            Step::Filter(condition) => {
                let saved = std::mem::replace(&mut self.current, item.clone());
                let truth = self.condition(condition, &item);
                self.current = saved;
                if truth? == Some(true) {
                    self.next(rest, item, found)
                } else {
                    Ok(false)
                }
            }
            Step::Method(method) => self.method(*method, rest, item, found),
            Step::DateTime(template) => self.datetime(template.as_deref(), rest, &item, found),
        }
    }

    /// A structural error, or nothing in lax mode.
    pub(super) fn structural(&self, code: SqlState, message: &str) -> Outcome {
        if self.forgiving {
            Ok(false)
        } else {
            Err(Fault::soft(code, message))
        }
    }

    fn member(&mut self, name: &str, rest: &[Step], item: &Item<'a>, found: Found<'_, 'a>) -> Outcome {
        if !item.is_object() {
            let message = "jsonpath member accessor can only be applied to an object";
            return self.structural(SqlState::SQL_JSON_MEMBER_NOT_FOUND, message);
        }
        match item.part(|object| object.get(name)) {
            Some(value) => self.next(rest, value, found),
            None if self.forgiving => Ok(false),
            None => {
                let message = format!("JSON object does not contain key \"{name}\"");
                Err(Fault::soft(SqlState::SQL_JSON_MEMBER_NOT_FOUND, message))
            }
        }
    }

    /// Runs something over values, stopping at the first find when only existence matters.
    fn each(
        &mut self,
        items: Vec<Item<'a>>,
        mut found: Found<'_, 'a>,
        mut run: impl FnMut(&mut Self, Item<'a>, Found<'_, 'a>) -> Outcome,
    ) -> Outcome {
        let mut any = false;
        for item in items {
            any |= run(self, item, found.as_deref_mut())?;
            if any && found.is_none() {
                break;
            }
        }
        Ok(any)
    }

    /// Hands values to the rest of the path; `unwrap` decides whether its first accessor may unwrap them.
    fn hand_on(&mut self, items: Vec<Item<'a>>, rest: &[Step], found: Found<'_, 'a>, unwrap: bool) -> Outcome {
        self.each(items, found, |evaluator, item, found| match rest.split_first() {
            Some((step, rest)) => evaluator.step(step, rest, item, found, unwrap),
            None => evaluator.next(rest, item, found),
        })
    }

    fn elements(
        &mut self,
        elements: &[(Expr, Option<Expr>)],
        rest: &[Step],
        item: &Item<'a>,
        mut found: Found<'_, 'a>,
    ) -> Outcome {
        let size = match item.array_size() {
            Some(size) => size,
            None if self.lax => 1,
            None => {
                let message = "jsonpath array accessor can only be applied to an array";
                return self.structural(SqlState::SQL_JSON_ARRAY_NOT_FOUND, message);
            }
        };
        let saved = self.array_size.replace(size);
        let mut any = false;
        for (from, to) in elements {
            let found = found.as_deref_mut();
            let only_existence = found.is_none();
            match self.subscript(from, to.as_ref(), size, rest, item, found) {
                Ok(one) => any |= one,
                Err(fault) => {
                    self.array_size = saved;
                    return Err(fault);
                }
            }
            if any && only_existence {
                break;
            }
        }
        self.array_size = saved;
        Ok(any)
    }

    /// One element or range of elements.
    fn subscript(
        &mut self,
        from: &Expr,
        to: Option<&Expr>,
        size: usize,
        rest: &[Step],
        item: &Item<'a>,
        found: Found<'_, 'a>,
    ) -> Outcome {
        let first = self.index(from, item)?;
        let last = match to {
            Some(to) => self.index(to, item)?,
            None => first,
        };
        let size = size as i64;
        if !self.forgiving && (first < 0 || first > last || last >= size) {
            let message = "jsonpath array subscript is out of bounds";
            return Err(Fault::soft(SqlState::INVALID_SQL_JSON_SUBSCRIPT, message));
        }
        let range = first.max(0)..=last.min(size - 1);
        if !item.is_array() {
            let found_self = range.contains(&0);
            return if found_self {
                self.next(rest, item.clone(), found)
            } else {
                Ok(false)
            };
        }
        let items = range
            .filter_map(|index| item.part(|array| array.element(index)))
            .collect();
        self.each(items, found, |evaluator, element, found| {
            evaluator.next(rest, element, found)
        })
    }

    /// Value of a subscript.
    fn index(&mut self, expr: &Expr, item: &Item<'a>) -> Result<i64, Fault> {
        let mut values = Vec::new();
        self.expr(expr, item, Some(&mut values))?;
        let number = match values.as_slice() {
            [single] => single.as_number(),
            _ => None,
        };
        let Some(number) = number else {
            let message = "jsonpath array subscript is not a single numeric value";
            return Err(Fault::soft(SqlState::INVALID_SQL_JSON_SUBSCRIPT, message));
        };
        number.trunc(0).to_i32_rounded().map(i64::from).ok_or_else(|| {
            let message = "jsonpath array subscript is out of integer range";
            Fault::soft(SqlState::INVALID_SQL_JSON_SUBSCRIPT, message)
        })
    }

    /// `**`: the value itself and everything below it, outermost first, without recursion into the document.
    fn any_depth(&mut self, first: u32, last: u32, rest: &[Step], item: Item<'a>, mut found: Found<'_, 'a>) -> Outcome {
        let saved = std::mem::replace(&mut self.forgiving, true);
        let mut any = false;
        let mut open = vec![vec![item].into_iter()];
        let outcome = loop {
            let level = open.len() as u32 - 1;
            let Some(siblings) = open.last_mut() else { break Ok(any) };
            let Some(value) = siblings.next() else {
                open.pop();
                if open.is_empty() {
                    break Ok(any);
                }
                continue;
            };
            let children = if level < last { value.children() } else { Vec::new() };
            let is_leaf = !value.is_array() && !value.is_object();
            if level >= first || (first == u32::MAX && last == u32::MAX && is_leaf && level > 0) {
                // The value itself is handed on as any value is; what lies below it unwraps in lax mode.
                match self.hand_on(vec![value], rest, found.as_deref_mut(), self.lax) {
                    Ok(one) => any |= one,
                    Err(fault) => break Err(fault),
                }
                if any && found.is_none() {
                    break Ok(any);
                }
            }
            if !children.is_empty() {
                open.push(children.into_iter());
            }
        };
        self.forgiving = saved;
        outcome
    }

    fn arithmetic(
        &mut self,
        operator: Arithmetic,
        left: &Expr,
        right: &Expr,
        item: &Item<'a>,
    ) -> Result<Numeric, Fault> {
        let left = self.unwrapped(left, item)?;
        let right = self.unwrapped(right, item)?;
        let single = |side: &str, values: &[Item<'a>]| {
            let number = match values {
                [value] => value.as_number(),
                _ => None,
            };
            number.ok_or_else(|| {
                let symbol = operator.symbol();
                let message = format!("{side} operand of jsonpath operator {symbol} is not a single numeric value");
                Fault::soft(SqlState::SINGLETON_SQL_JSON_ITEM_REQUIRED, message)
            })
        };
        let (a, b) = (single("left", &left)?, single("right", &right)?);
        let result = match operator {
            Arithmetic::Add => a.add(&b),
            Arithmetic::Subtract => a.sub(&b),
            Arithmetic::Multiply => a.mul(&b),
            Arithmetic::Divide => a.div(&b),
            Arithmetic::Remainder => a.rem(&b),
        };
        result.map_err(|error| Fault::Soft(error.into()))
    }

    fn sign(
        &mut self,
        negative: bool,
        operand: &Expr,
        steps: &[Step],
        item: &Item<'a>,
        mut found: Found<'_, 'a>,
    ) -> Outcome {
        let mut any = false;
        for value in self.unwrapped(operand, item)? {
            let skip = steps.is_empty() && found.is_none();
            let Some(number) = value.as_number() else {
                if skip {
                    continue;
                }
                let symbol = if negative { '-' } else { '+' };
                let message = format!("operand of unary jsonpath operator {symbol} is not a numeric value");
                return Err(Fault::soft(SqlState::SQL_JSON_NUMBER_NOT_FOUND, message));
            };
            if skip {
                return Ok(true);
            }
            let number = if negative { number.neg() } else { number };
            any |= self.next(steps, Item::Number(number), found.as_deref_mut())?;
            if any && found.is_none() {
                return Ok(true);
            }
        }
        Ok(any)
    }

    /// Values of an expression, arrays unwrapped once in lax mode.
    pub(super) fn unwrapped(&mut self, expr: &Expr, item: &Item<'a>) -> Result<Vec<Item<'a>>, Fault> {
        let mut values = Vec::new();
        self.expr(expr, item, Some(&mut values))?;
        if !self.lax || !values.iter().any(Item::is_array) {
            return Ok(values);
        }
        Ok(values
            .into_iter()
            .flat_map(|value| {
                if value.is_array() {
                    value.children()
                } else {
                    vec![value]
                }
            })
            .collect())
    }

    /// Outcome of a condition; `None` is unknown.
    pub(super) fn condition(&mut self, condition: &Condition, item: &Item<'a>) -> Result<Option<bool>, Fault> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Fault::Hard(SqlError::new(
                SqlState::STATEMENT_TOO_COMPLEX,
                "stack depth limit exceeded",
            )));
        }
        let truth = self.truth(condition, item);
        self.depth -= 1;
        truth
    }
}

impl Fault {
    /// Adds a detail line.
    pub(super) fn with_detail(self, detail: &str) -> Self {
        match self {
            Self::Soft(error) => Self::Soft(error.detail(detail)),
            Self::Hard(error) => Self::Hard(error.detail(detail)),
        }
    }
}
