//! Defaults as they are stored: a sequence that nextval names is kept by its number, so that renaming it changes nothing
//! and dropping it is noticed.

use std::ops::ControlFlow;

use sqlparser::ast::{
    CastKind, DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Value, VisitMut, VisitorMut,
};

use super::Ddl;
use crate::types::oid;

impl Ddl<'_> {
    /// The text a default is stored as.
    pub(super) fn default_text(&self, expression: &Expr) -> String {
        let mut expression = expression.clone();
        let _ = VisitMut::visit(&mut expression, &mut Sequences(self));
        expression.to_string()
    }
}

struct Sequences<'a, 'b>(&'a Ddl<'b>);

impl VisitorMut for Sequences<'_, '_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let Expr::Function(function) = expr else {
            return ControlFlow::Continue(());
        };
        let is_nextval = function
            .name
            .0
            .last()
            .and_then(|part| part.as_ident())
            .is_some_and(|name| name.value.eq_ignore_ascii_case("nextval"));
        let FunctionArguments::List(list) = &mut function.args else {
            return ControlFlow::Continue(());
        };
        if is_nextval
            && let [FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))] = list.args.as_mut_slice()
            && let Some(name) = sequence_name(argument)
            && let Some(found) = self.0.context.session.object_oid(oid::REGCLASS, name)
        {
            *argument = Expr::Cast {
                kind: CastKind::DoubleColon,
                expr: Box::new(Expr::value(Value::SingleQuotedString(found.to_string()))),
                data_type: DataType::Regclass,
                format: None,
            };
        }
        ControlFlow::Continue(())
    }
}

/// The name in `'s'` and `'s'::regclass`; `'s'::text` is looked up whenever it is used.
fn sequence_name(argument: &Expr) -> Option<&str> {
    match argument {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(name) => Some(name),
            _ => None,
        },
        Expr::Cast {
            expr,
            data_type: DataType::Regclass,
            ..
        } => sequence_name(expr),
        _ => None,
    }
}
