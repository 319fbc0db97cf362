//! Calls: functions written as functions, and the keywords that look like them.

use sqlparser::ast as sql;
use sqlparser::ast::{FunctionArg, FunctionArgExpr, FunctionArguments};
use storage::Datum;

use super::function::{CallArgs, FunctionChoice};
use crate::bind::Binder;
use crate::bound::{Expr, ExprKind, OutputColumn};
use crate::functions::{self, FunctionKind};
use crate::parse::forms;
use crate::types::oid;
use crate::{SqlError, SqlResult, SqlState, Type};

/// A function's name with its position.
pub(in crate::bind) struct CallName {
    pub name: String,
    pub position: Option<u32>,
}

impl Binder<'_> {
    pub(in crate::bind) fn bind_function(&mut self, function: &sql::Function) -> SqlResult<Expr> {
        if let Some(name) = forms::internal(&function.name) {
            return self.bind_internal_call(name, function);
        }
        if super::row::is_row_constructor(function)
            && let Some(items) = super::row_items(&sql::Expr::Function(function.clone()))
        {
            let position = self.call_position(function);
            let fields = self.bind_row_items(&items)?;
            return self.make_row(fields, position);
        }
        let CallName { name, position } = self.call_name(function)?;
        if let FunctionArguments::Subquery(query) = &function.args {
            if name == "array" {
                return self.bind_array_subquery(query, position);
            }
            // f((SELECT …)) written with one pair of parentheses.
            return Err(SqlError::new(SqlState::SYNTAX_ERROR, "syntax error at or near \"SELECT\"").at(position));
        }
        if let Some(expr) = self.bind_keyword_call(&name, function, position)? {
            return Ok(expr);
        }
        self.bind_named_call(&name, function, position)
    }

    fn call_position(&self, function: &sql::Function) -> Option<u32> {
        function
            .name
            .0
            .first()
            .and_then(|part| part.as_ident())
            .and_then(|ident| self.at(ident.span))
    }

    /// The name of a call; schemas other than pg_catalog have no functions, but for one.
    pub(in crate::bind) fn call_name(&self, function: &sql::Function) -> SqlResult<CallName> {
        let position = self.call_position(function);
        let parts: Vec<&sql::Ident> = function.name.0.iter().filter_map(|part| part.as_ident()).collect();
        match parts.as_slice() {
            [name] => Ok(CallName {
                name: name.value.clone(),
                position,
            }),
            // The one function of information_schema that clients call.
            [schema, name]
                if schema.value == "pg_catalog"
                    || (schema.value == "information_schema" && name.value == "_pg_expandarray") =>
            {
                Ok(CallName {
                    name: name.value.clone(),
                    position,
                })
            }
            // Functions of our own schema have it in their name, so that no unqualified name finds them.
            [schema, name] if schema.value == "cambium" => {
                let name = format!("cambium.{}", name.value);
                Ok(CallName { name, position })
            }
            [schema, _] => {
                if self.catalog.schema_of(self.session, &schema.value).is_none() {
                    return Err(SqlError::new(
                        SqlState::INVALID_SCHEMA_NAME,
                        format!("schema \"{}\" does not exist", schema.value),
                    )
                    .at(position));
                }
                Err(SqlError::new(
                    SqlState::UNDEFINED_FUNCTION,
                    format!("function {} does not exist", function.name),
                )
                .at(position))
            }
            _ => Err(SqlError::new(
                SqlState::SYNTAX_ERROR,
                format!("improper qualified name (too many dotted names): {}", function.name),
            )
            .at(position)),
        }
    }

    /// Forms that sqlparser has no node for (see [`forms`]).
    fn bind_internal_call(&mut self, name: &str, function: &sql::Function) -> SqlResult<Expr> {
        let args = plain_args(function)?;
        if let Some(operator) = name.strip_prefix("prefix ") {
            let [operand] = args.as_slice() else {
                return Err(self.malformed(function));
            };
            return self.bind_prefix(operator, operand);
        }
        for (word, all) in [("any ", false), ("all ", true)] {
            if let Some(operator) = name.strip_prefix(word) {
                let [left, right] = args.as_slice() else {
                    return Err(self.malformed(function));
                };
                return self.bind_quantified_named(left, operator, right, all);
            }
        }
        match (name, args.as_slice()) {
            ("between symmetric", &[a, b, c]) => self.bind_between_symmetric([a, b, c], false),
            ("not between symmetric", &[a, b, c]) => self.bind_between_symmetric([a, b, c], true),
            _ => Err(self.malformed(function)),
        }
    }

    fn malformed(&self, function: &sql::Function) -> SqlError {
        SqlError::unsupported("this expression").at(self.call_position(function))
    }

    /// Keywords written like functions.
    fn bind_keyword_call(
        &mut self,
        name: &str,
        function: &sql::Function,
        position: Option<u32>,
    ) -> SqlResult<Option<Expr>> {
        // A quoted name is never the keyword.
        let quoted = function
            .name
            .0
            .last()
            .and_then(|part| part.as_ident())
            .is_some_and(|i| i.quote_style.is_some());
        if quoted || function.name.0.len() > 1 {
            return Ok(None);
        }
        match name {
            "coalesce" | "greatest" | "least" => {
                let args = plain_args(function)?;
                self.bind_list_form(name, &args, position).map(Some)
            }
            "nullif" => {
                let args = plain_args(function)?;
                match args.as_slice() {
                    [left, right] => self.bind_null_if(left, right, position).map(Some),
                    _ => Err(SqlError::new(SqlState::SYNTAX_ERROR, "syntax error at or near \")\"").at(position)),
                }
            }
            "grouping" => self.bind_grouping(function, position).map(Some),
            "current_date" | "current_time" | "current_timestamp" | "localtime" | "localtimestamp" => {
                self.bind_current_time(name, function, position).map(Some)
            }
            "current_role" | "user" if matches!(function.args, FunctionArguments::None) => {
                self.call_function("current_user", vec![], position).map(Some)
            }
            "current_catalog" if matches!(function.args, FunctionArguments::None) => {
                self.call_function("current_database", vec![], position).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// A call resolved over the catalog.
    fn bind_named_call(&mut self, name: &str, function: &sql::Function, position: Option<u32>) -> SqlResult<Expr> {
        let kinds = functions::by_name(name);
        let is_aggregate = kinds.iter().any(|candidate| candidate.kind == FunctionKind::Aggregate);
        let is_window = kinds.iter().any(|candidate| candidate.kind == FunctionKind::Window);
        if is_aggregate && function.over.is_none() && !(is_window && function.within_group.is_empty()) {
            return self.bind_aggregate(name, function, position);
        }
        if let Some(over) = &function.over {
            return self.bind_window_call(name, function, over, position);
        }
        if is_window {
            return Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("window function {name} requires an OVER clause"),
            )
            .at(position));
        }
        self.reject_aggregate_clauses(name, function, position)?;
        let call = self.bind_call_args(function)?;
        if let (
            "pg_typeof",
            [
                Expr {
                    kind: ExprKind::Literal(_),
                    ty,
                    ..
                },
            ],
        ) = (name, call.args.as_slice())
            && ty.oid == oid::UNKNOWN
        {
            // The one function that looks at a literal before it is given a type.
            return Ok(crate::bind::coerce::literal(Datum::Oid(oid::UNKNOWN), Type::REGTYPE));
        }
        match self.resolve_function(name, call, position, |_| true)? {
            FunctionChoice::Cast(ty) => {
                let mut args = self.bind_call_args(function)?.args;
                match args.pop() {
                    Some(arg) => self.cast_to(arg, ty, |_| position),
                    None => Err(SqlError::new(
                        SqlState::UNDEFINED_FUNCTION,
                        format!("function {name}() does not exist"),
                    )),
                }
            }
            FunctionChoice::Function { function, args, ty } if function.kind == FunctionKind::Set => {
                self.bind_set_call(function, args, ty, position)
            }
            FunctionChoice::Function { function, args, ty } => Ok(Expr {
                kind: ExprKind::Call { function, args },
                ty,
                position,
            }),
        }
    }

    /// 42809 for DISTINCT, ORDER BY, FILTER and WITHIN GROUP on what is no aggregate.
    fn reject_aggregate_clauses(&self, name: &str, function: &sql::Function, position: Option<u32>) -> SqlResult<()> {
        let (distinct, ordered, star) = match &function.args {
            FunctionArguments::List(list) => (
                list.duplicate_treatment == Some(sql::DuplicateTreatment::Distinct),
                list.clauses
                    .iter()
                    .any(|clause| matches!(clause, sql::FunctionArgumentClause::OrderBy(_))),
                list.args
                    .iter()
                    .any(|arg| matches!(arg, FunctionArg::Unnamed(FunctionArgExpr::Wildcard))),
            ),
            _ => (false, false, false),
        };
        let what = if star {
            return Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("{name}(*) specified, but {name} is not an aggregate function"),
            )
            .at(position));
        } else if distinct {
            "DISTINCT"
        } else if !function.within_group.is_empty() {
            "WITHIN GROUP"
        } else if ordered {
            "ORDER BY"
        } else if function.filter.is_some() {
            "FILTER"
        } else {
            return Ok(());
        };
        // A name nobody knows is reported as such.
        if functions::by_name(name).is_empty() {
            return Ok(());
        }
        Err(SqlError::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("{what} specified, but {name} is not an aggregate function"),
        )
        .at(position))
    }

    /// Binds the arguments of a call.
    pub(in crate::bind) fn bind_call_args(&mut self, function: &sql::Function) -> SqlResult<CallArgs> {
        let mut call = CallArgs {
            args: vec![],
            names: vec![],
            variadic: false,
        };
        let FunctionArguments::List(list) = &function.args else {
            return Ok(call);
        };
        for arg in &list.args {
            let expr = match arg {
                FunctionArg::Unnamed(expr) => expr,
                FunctionArg::Named { name, arg, .. } => {
                    call.names.push(name.value.clone());
                    arg
                }
                FunctionArg::ExprNamed {
                    name: sql::Expr::Identifier(name),
                    arg,
                    ..
                } => {
                    call.names.push(name.value.clone());
                    arg
                }
                FunctionArg::ExprNamed { .. } => {
                    return Err(
                        SqlError::unsupported("this form of a function argument").at(self.call_position(function))
                    );
                }
            };
            if matches!(arg, FunctionArg::Unnamed(_)) && !call.names.is_empty() {
                return Err(SqlError::new(
                    SqlState::SYNTAX_ERROR,
                    "positional argument cannot follow named argument",
                )
                .at(self.call_position(function)));
            }
            match expr {
                FunctionArgExpr::Expr(sql::Expr::Function(inner))
                    if forms::internal(&inner.name) == Some("variadic") =>
                {
                    call.variadic = true;
                    for arg in plain_args(inner)? {
                        call.args.push(self.bind_expr(arg)?);
                    }
                }
                FunctionArgExpr::Expr(sql::Expr::CompoundFieldAccess { root, access_chain }) => {
                    call.args.push(self.bind_access_arg(root, access_chain)?);
                }
                FunctionArgExpr::Expr(expr) => call.args.push(self.bind_expr(expr)?),
                FunctionArgExpr::QualifiedWildcard(name) => {
                    let parts: Vec<sql::Ident> = name.0.iter().filter_map(|part| part.as_ident().cloned()).collect();
                    call.args.push(self.bind_row_of(&parts)?);
                }
                FunctionArgExpr::Wildcard | FunctionArgExpr::WildcardWithOptions(_) => {}
            }
        }
        Ok(call)
    }

    fn bind_access_arg(&mut self, root: &sql::Expr, chain: &[sql::AccessExpr]) -> SqlResult<Expr> {
        self.bind_expr(&sql::Expr::CompoundFieldAccess {
            root: Box::new(root.clone()),
            access_chain: chain.to_vec(),
        })
    }

    /// A set-returning function in the select list becomes a column of the ProjectSet below.
    fn bind_set_call(
        &mut self,
        function: &'static functions::Function,
        args: Vec<Expr>,
        ty: Type,
        position: Option<u32>,
    ) -> SqlResult<Expr> {
        let column: OutputColumn = self.register_set(function, args, ty, position)?;
        Ok(Expr {
            kind: ExprKind::Column(column.id),
            ty,
            position,
        })
    }
}

/// The arguments of a call that takes plain expressions only.
pub(super) fn plain_args(function: &sql::Function) -> SqlResult<Vec<&sql::Expr>> {
    let FunctionArguments::List(list) = &function.args else {
        return Ok(vec![]);
    };
    list.args
        .iter()
        .map(|arg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Ok(expr),
            other => Err(SqlError::new(
                SqlState::SYNTAX_ERROR,
                format!("syntax error at or near \"{other}\""),
            )),
        })
        .collect()
}
