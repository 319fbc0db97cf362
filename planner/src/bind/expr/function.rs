//! Function resolution: which function a name and argument types mean (func_get_detail, in parse_func.c).

use storage::Datum;

use crate::bind::Binder;
use crate::bind::candidate::{self, Candidate, NoChoice};
use crate::bind::coerce;
use crate::bound::shape::record_type;
use crate::bound::{Expr, ExprKind};
use crate::functions::{self, CastContext, Function, FunctionKind};
use crate::types::{self, oid};
use crate::{SqlError, SqlResult, SqlState, Type};

/// Type modifier of the last argument of a call with the keyword VARIADIC to a function of VARIADIC "any", which otherwise
/// could not tell an array that is a list of arguments from an array that is one argument.
pub const VARIADIC_MARK: i32 = -2;

/// What a call means.
pub(in crate::bind) enum FunctionChoice {
    /// A function, with its arguments in order, converted, and the result's type.
    Function {
        function: &'static Function,
        args: Vec<Expr>,
        ty: Type,
    },
    /// A type's name in function style: a cast.
    Cast(Type),
}

/// Arguments of a call before resolution.
pub(in crate::bind) struct CallArgs {
    pub args: Vec<Expr>,
    /// Names of the trailing named ones.
    pub names: Vec<String>,
    /// The last one was marked VARIADIC.
    pub variadic: bool,
}

/// How a candidate is called.
#[derive(Clone)]
struct Target {
    function: &'static Function,
    /// Trailing arguments to be gathered in an array.
    gathered: usize,
    /// For each argument of the function: the given argument, or its default.
    order: Option<Vec<Option<usize>>>,
}

impl Binder<'_> {
    /// Resolves and converts a call.
    ///
    /// # Errors
    /// 42883 or 42725 with PostgreSQL's hints.
    pub(in crate::bind) fn resolve_function(
        &mut self,
        name: &str,
        call: CallArgs,
        position: Option<u32>,
        wanted: impl Fn(&Function) -> bool,
    ) -> SqlResult<FunctionChoice> {
        let inputs: Vec<u32> = call.args.iter().map(|arg| arg.ty.oid).collect();
        let candidates = candidates(name, &call, &inputs, &wanted);
        let exact = candidates
            .iter()
            .find(|candidate| candidate.args == inputs && !inputs.contains(&oid::UNKNOWN))
            .cloned();
        let exact = exact.or_else(|| candidates.iter().find(|candidate| candidate.args == inputs).cloned());
        let chosen = match exact {
            Some(exact) => Ok(exact),
            None => {
                if let Some(ty) = self.cast_by_name(name, &call) {
                    return Ok(FunctionChoice::Cast(ty));
                }
                candidate::choose(&inputs, &candidates)
            }
        };
        match chosen {
            Ok(candidate) => self.convert_arguments(candidate, call, position),
            Err(no) => Err(self.no_function(name, &call, no, position)),
        }
    }

    /// `int4(x)`: a call of a type's name with one argument is a cast if there is no such function.
    fn cast_by_name(&self, name: &str, call: &CallArgs) -> Option<Type> {
        let [arg] = call.args.as_slice() else { return None };
        if !call.names.is_empty() || call.variadic {
            return None;
        }
        let ty = types::lookup_name(name).map(Type::new)?;
        let castable = arg.ty.oid == oid::UNKNOWN
            || (coerce::can_coerce(arg.ty.oid, ty.oid, CastContext::Explicit)
                && !(coerce::is_row(arg.ty.oid) && types::category(ty.oid) == b'S'));
        castable.then_some(ty)
    }

    fn convert_arguments(
        &mut self,
        candidate: Candidate<Target>,
        call: CallArgs,
        position: Option<u32>,
    ) -> SqlResult<FunctionChoice> {
        let Target {
            function,
            gathered,
            order,
        } = candidate.target;
        let actual: Vec<Type> = call.args.iter().map(|arg| arg.ty).collect();
        let (arg_types, returns) = self
            .resolve_polymorphic(&actual, &candidate.args, function.returns)
            .map_err(|error| error.at(position))?;
        if call.variadic
            && function.args.last() == Some(&oid::ANY)
            && let Some(array) = call.args.last()
            && types::element_of(array.ty.oid).is_none()
        {
            return Err(
                SqlError::new(SqlState::DATATYPE_MISMATCH, "VARIADIC argument must be an array").at(array.position),
            );
        }
        let mut args = Vec::with_capacity(call.args.len());
        let last = call.args.len().saturating_sub(1);
        for (i, (arg, &ty)) in call.args.into_iter().zip(&arg_types).enumerate() {
            let mut converted = self.coerce_implicit(arg, Type::new(ty))?;
            if call.variadic && i == last && function.args.last() == Some(&oid::ANY) {
                converted.ty.modifier = VARIADIC_MARK;
            }
            args.push(converted);
        }
        if gathered > 0 {
            args = self.gather(args, gathered, position)?;
        }
        let args = match order {
            None => args,
            Some(order) => {
                let mut given: Vec<Option<Expr>> = args.into_iter().map(Some).collect();
                let mut ordered = Vec::with_capacity(order.len());
                for (i, source) in order.iter().enumerate() {
                    ordered.push(
                        match source.and_then(|source| given.get_mut(source).and_then(Option::take)) {
                            Some(arg) => arg,
                            None => self.default_argument(function, i)?,
                        },
                    );
                }
                ordered
            }
        };
        let mut ty = result_type(function, returns);
        if matches!(ty.oid, oid::RECORD | oid::RECORD_ARRAY) && function.returns != oid::RECORD {
            // array_agg and its like keep the names of an anonymous record's fields.
            let shaped = actual
                .iter()
                .find(|arg| matches!(arg.oid, oid::RECORD | oid::RECORD_ARRAY));
            ty.modifier = shaped.map_or(ty.modifier, |arg| arg.modifier);
        }
        Ok(FunctionChoice::Function { function, args, ty })
    }

    /// Puts the trailing arguments of a variadic function in an array.
    fn gather(&mut self, mut args: Vec<Expr>, count: usize, position: Option<u32>) -> SqlResult<Vec<Expr>> {
        let elements = args.split_off(args.len() - count);
        let element = elements.first().map_or(oid::TEXT, |first| first.ty.oid);
        let array = types::array_of(element).ok_or_else(|| {
            SqlError::new(
                SqlState::UNDEFINED_OBJECT,
                format!(
                    "could not find array type for data type {}",
                    self.type_name(Type::new(element))
                ),
            )
            .at(position)
        })?;
        let position = elements.first().and_then(|first| first.position);
        args.push(Expr {
            kind: ExprKind::Array {
                elements,
                nested: false,
            },
            ty: Type::new(array),
            position,
        });
        Ok(args)
    }

    /// The default of an argument that was left out.
    fn default_argument(&mut self, function: &'static Function, index: usize) -> SqlResult<Expr> {
        let first = function.args.len() - function.defaults.len();
        let ty = Type::new(function.args[index]);
        let text = index
            .checked_sub(first)
            .and_then(|i| function.defaults.get(i))
            .ok_or_else(|| {
                SqlError::new(
                    SqlState::UNDEFINED_FUNCTION,
                    format!("function {} lacks an argument", function.name),
                )
            })?;
        let datum = if text.eq_ignore_ascii_case("null") {
            Datum::Null
        } else {
            types::input(ty, text.trim_matches('\''), self.session)?
        };
        Ok(coerce::literal(datum, ty))
    }

    fn no_function(&self, name: &str, call: &CallArgs, no: NoChoice, position: Option<u32>) -> SqlError {
        let positional = call.args.len() - call.names.len();
        let shown: Vec<String> = call
            .args
            .iter()
            .enumerate()
            .map(|(i, arg)| {
                let ty = self.type_name(arg.ty);
                let prefix = if call.variadic && i + 1 == call.args.len() {
                    "VARIADIC "
                } else {
                    ""
                };
                match i.checked_sub(positional).and_then(|i| call.names.get(i)) {
                    Some(name) => format!("{name} => {ty}"),
                    None => format!("{prefix}{ty}"),
                }
            })
            .collect();
        let signature = format!("{name}({})", shown.join(", "));
        match no {
            NoChoice::Missing => SqlError::new(
                SqlState::UNDEFINED_FUNCTION,
                format!("function {signature} does not exist"),
            )
            .hint("No function matches the given name and argument types. You might need to add explicit type casts."),
            NoChoice::Ambiguous => SqlError::new(
                SqlState::AMBIGUOUS_FUNCTION,
                format!("function {signature} is not unique"),
            )
            .hint("Could not choose a best candidate function. You might need to add explicit type casts."),
        }
        .at(position)
    }

    /// Calls a scalar function of the catalog by name.
    pub(in crate::bind) fn call_function(
        &mut self,
        name: &str,
        args: Vec<Expr>,
        position: Option<u32>,
    ) -> SqlResult<Expr> {
        let call = CallArgs {
            args,
            names: vec![],
            variadic: false,
        };
        match self.resolve_function(name, call, position, |function| function.kind == FunctionKind::Scalar)? {
            FunctionChoice::Function { function, args, ty } => Ok(Expr {
                kind: ExprKind::Call { function, args },
                ty,
                position,
            }),
            FunctionChoice::Cast(ty) => Err(SqlError::new(
                SqlState::UNDEFINED_FUNCTION,
                format!("function {name} does not exist, only the type {}", self.type_name(ty)),
            )
            .at(position)),
        }
    }

    /// As [`Self::call_function`] where a missing function is no error.
    pub(super) fn try_call(&mut self, name: &str, args: Vec<Expr>, position: Option<u32>) -> SqlResult<Option<Expr>> {
        let inputs: Vec<u32> = args.iter().map(|arg| arg.ty.oid).collect();
        let fits = functions::by_name(name).iter().any(|function| {
            function.kind == FunctionKind::Scalar
                && function.args.len() == inputs.len()
                && coerce::can_coerce_all(&inputs, function.args)
        });
        if fits {
            self.call_function(name, args, position).map(Some)
        } else {
            Ok(None)
        }
    }
}

/// The result type of a call: a function with columns returns a record of that shape.
pub(in crate::bind) fn result_type(function: &Function, returns: u32) -> Type {
    if function.columns.is_empty() || returns != oid::RECORD {
        return Type::new(returns);
    }
    record_type(
        function
            .columns
            .iter()
            .map(|(name, ty)| ((*name).to_owned(), Type::new(*ty)))
            .collect(),
    )
}

/// The functions of a name that take this many arguments, directly, by defaults, or gathered.
fn candidates(
    name: &str,
    call: &CallArgs,
    inputs: &[u32],
    wanted: &impl Fn(&Function) -> bool,
) -> Vec<Candidate<Target>> {
    let mut found = Vec::new();
    for &function in functions::by_name(name) {
        if !wanted(function) {
            continue;
        }
        if !call.names.is_empty() {
            found.extend(named_candidate(function, call));
            continue;
        }
        let count = function.args.len();
        let expandable = function.variadic && !call.variadic && count > 0;
        if inputs.len() == count && !(expandable && function.args[count - 1] == oid::ANY) {
            let target = Target {
                function,
                gathered: 0,
                order: None,
            };
            found.push(Candidate {
                target,
                args: function.args.to_vec(),
            });
        } else if inputs.len() < count && inputs.len() + function.defaults.len() >= count && !call.variadic {
            let order = (0..count).map(|i| (i < inputs.len()).then_some(i)).collect();
            let target = Target {
                function,
                gathered: 0,
                order: Some(order),
            };
            found.push(Candidate {
                target,
                args: function.args[..inputs.len()].to_vec(),
            });
        }
        if expandable && inputs.len() >= count {
            found.push(expanded(function, inputs.len()));
        }
    }
    // What needs no gathering wins over what does, for the same types.
    let plain: Vec<Vec<u32>> = found
        .iter()
        .filter(|candidate| candidate.target.gathered == 0)
        .map(|candidate| candidate.args.clone())
        .collect();
    found.retain(|candidate| candidate.target.gathered == 0 || !plain.contains(&candidate.args));
    found
}

/// A variadic function called with separate arguments.
fn expanded(function: &'static Function, inputs: usize) -> Candidate<Target> {
    let fixed = function.args.len() - 1;
    let last = function.args[fixed];
    let (element, gathered) = match last {
        oid::ANY => (oid::ANY, 0),
        oid::ANYARRAY => (oid::ANYELEMENT, inputs - fixed),
        oid::ANYCOMPATIBLEARRAY => (oid::ANYCOMPATIBLE, inputs - fixed),
        array => (types::element_of(array).unwrap_or(array), inputs - fixed),
    };
    let mut args = function.args[..fixed].to_vec();
    args.resize(inputs, element);
    Candidate {
        target: Target {
            function,
            gathered,
            order: None,
        },
        args,
    }
}

/// Argument names of the functions that are called by them.
fn argument_names(function: &Function) -> &'static [&'static str] {
    match function.name {
        "make_interval" => &["years", "months", "weeks", "days", "hours", "mins", "secs"],
        "make_date" => &["year", "month", "day"],
        "make_time" => &["hour", "min", "sec"],
        "make_timestamp" => &["year", "month", "mday", "hour", "min", "sec"],
        "make_timestamptz" => &["year", "month", "mday", "hour", "min", "sec", "timezone"],
        "jsonb_path_exists"
        | "jsonb_path_match"
        | "jsonb_path_query"
        | "jsonb_path_query_array"
        | "jsonb_path_query_first"
        | "jsonb_path_exists_tz"
        | "jsonb_path_match_tz"
        | "jsonb_path_query_tz"
        | "jsonb_path_query_array_tz"
        | "jsonb_path_query_first_tz" => &["target", "path", "vars", "silent"],
        "jsonb_set" => &["jsonb_in", "path", "replacement", "create_if_missing"],
        "jsonb_set_lax" => &[
            "jsonb_in",
            "path",
            "replacement",
            "create_if_missing",
            "null_value_treatment",
        ],
        "jsonb_insert" => &["jsonb_in", "path", "replacement", "insert_after"],
        "json_populate_record" | "json_populate_recordset" => &["base", "from_json", "use_json_as_text"],
        _ => &[],
    }
}

/// A call with named arguments, put in the function's order.
fn named_candidate(function: &'static Function, call: &CallArgs) -> Option<Candidate<Target>> {
    let names = argument_names(function);
    let count = function.args.len();
    let positional = call.args.len() - call.names.len();
    if names.len() < count || positional > count {
        return None;
    }
    let mut order: Vec<Option<usize>> = (0..count).map(|i| (i < positional).then_some(i)).collect();
    let mut args = function.args[..positional].to_vec();
    for (i, name) in call.names.iter().enumerate() {
        let place = names[..count].iter().position(|candidate| candidate == name)?;
        if order[place].is_some() {
            return None;
        }
        order[place] = Some(positional + i);
        args.push(function.args[place]);
    }
    let first_default = count - function.defaults.len();
    if order[..first_default].iter().any(Option::is_none) {
        return None;
    }
    Some(Candidate {
        target: Target {
            function,
            gathered: 0,
            order: Some(order),
        },
        args,
    })
}
