//! Deparse: bound expressions back to SQL, in the words of PostgreSQL's EXPLAIN.

use std::fmt::Write as _;

use storage::Datum;

use super::names::{Name, Names};
use crate::Type;
use crate::bound::{
    AggregateCall, ColumnId, Comparison, Expr, ExprKind, SortKey, Subquery, SubqueryKind, Subscript, WindowCall,
};
use crate::eval::SessionView;
use crate::functions::{self, Function};
use crate::system::deparse::quote_ident;
use crate::types::{self, format_type, oid};

/// Writes expressions of one statement.
#[derive(Clone, Copy)]
pub(crate) struct Deparser<'a> {
    pub(crate) names: &'a Names,
    pub(crate) session: &'a dyn SessionView,
    /// Columns of the relation a scan's conditions stand at: those go without their table, all others with it.
    pub(crate) own: Option<&'a [ColumnId]>,
    /// At the aggregation itself: aggregates stand as they are.
    pub(crate) at_aggregate: bool,
    /// Only the parentheses a reader needs, as `pg_get_expr(…, true)` prints them.
    pub(crate) pretty: bool,
}

/// What an expression is an operand of.
#[derive(Clone, Copy, PartialEq)]
enum Parent {
    /// An operator; whether the operand is its left one.
    Operator(&'static str, bool),
    And,
    Or,
    Not,
    /// IS NULL and the like.
    Test,
    /// A cast.
    Cast,
}

impl<'a> Deparser<'a> {
    /// A writer for a statement.
    pub(crate) fn new(names: &'a Names, session: &'a dyn SessionView) -> Self {
        Self {
            names,
            session,
            own: None,
            at_aggregate: false,
            pretty: false,
        }
    }

    /// An expression.
    pub(crate) fn text(&self, expr: &Expr) -> String {
        let mut out = String::new();
        self.write(expr, &mut out);
        out
    }

    /// Conditions that all hold.
    pub(crate) fn conditions(&self, conjuncts: &[Expr]) -> String {
        match conjuncts {
            [only] => self.text(only),
            several => {
                let texts: Vec<String> = several.iter().map(|conjunct| self.text(conjunct)).collect();
                format!("({})", texts.join(" AND "))
            }
        }
    }

    /// Sort keys; what is computed below stands in parentheses, as in PostgreSQL.
    pub(crate) fn sort_keys(&self, keys: &[SortKey]) -> Vec<String> {
        let key = |key: &SortKey| {
            let text = match &key.expr.kind {
                ExprKind::Column(_) => self.text(&key.expr),
                _ => format!("({})", self.text(&key.expr)),
            };
            let order = match (key.descending, key.nulls_first) {
                (false, false) => "",
                (false, true) => " NULLS FIRST",
                (true, true) => " DESC",
                (true, false) => " DESC NULLS LAST",
            };
            format!("{text}{order}")
        };
        keys.iter().map(key).collect()
    }

    /// A column by its id.
    pub(crate) fn column(&self, column: ColumnId) -> String {
        let mut out = String::new();
        self.write_column(column, &mut out);
        out
    }

    /// A column of a select list: what is computed there stands as it is.
    pub(crate) fn output(&self, column: ColumnId) -> String {
        match self.names.of(column) {
            Some(Name::Value(value)) => self.text(value),
            _ => self.column(column),
        }
    }

    fn write_column(&self, id: ColumnId, out: &mut String) {
        match self.names.of(id) {
            Some(Name::Column { table, column }) => {
                let is_qualified = match self.own {
                    Some(own) => self.names.verbose || !own.contains(&id),
                    None => self.names.qualify,
                };
                if is_qualified && !table.is_empty() {
                    let _ = write!(out, "{}.", quote_ident(table));
                }
                out.push_str(&quote_ident(column));
            }
            Some(Name::Value(value)) => match &value.kind {
                ExprKind::Column(inner) if *inner == id => out.push_str("\"?column?\""),
                ExprKind::Column(inner) => self.write_column(*inner, out),
                _ => {
                    out.push('(');
                    self.write(value, out);
                    out.push(')');
                }
            },
            Some(Name::Aggregate(call)) if self.at_aggregate => self.write_aggregate(call, out),
            Some(Name::Aggregate(call)) => {
                out.push('(');
                self.write_aggregate(call, out);
                out.push(')');
            }
            Some(Name::Window(call)) => {
                out.push('(');
                self.write_window(call, out);
                out.push(')');
            }
            Some(Name::Text(text)) => out.push_str(text),
            None => out.push_str(self.names.late(id).as_deref().unwrap_or("\"?column?\"")),
        }
    }

    fn write(&self, expr: &Expr, out: &mut String) {
        match &expr.kind {
            ExprKind::Literal(value) => self.write_literal(value, expr.ty, out),
            ExprKind::Parameter(number) => {
                let _ = write!(out, "${}", number + 1);
            }
            ExprKind::Column(column) => self.write_column(*column, out),
            ExprKind::Call { function, args } => self.write_call(function, args, expr.ty, out),
            ExprKind::And(operands) => self.joined(operands, " AND ", Parent::And, out),
            ExprKind::Or(operands) => self.joined(operands, " OR ", Parent::Or, out),
            ExprKind::Not(operand) => {
                self.open(out);
                out.push_str("NOT ");
                self.operand_of(Parent::Not, operand, out);
                self.close(out);
            }
            ExprKind::IsNull(operand) => self.test(operand, " IS NULL", out),
            ExprKind::IsNotNull(operand) => self.test(operand, " IS NOT NULL", out),
            ExprKind::IsTruth {
                operand,
                value,
                negated,
            } => {
                let word = match value {
                    Some(true) => "TRUE",
                    Some(false) => "FALSE",
                    None => "UNKNOWN",
                };
                let not = if *negated { "NOT " } else { "" };
                self.test(operand, &format!(" IS {not}{word}"), out);
            }
            ExprKind::IsDistinct {
                left, right, negated, ..
            } => {
                let word = if *negated {
                    " IS NOT DISTINCT FROM "
                } else {
                    " IS DISTINCT FROM "
                };
                self.infix(left, word, right, out);
            }
            ExprKind::Case { branches, otherwise } => {
                out.push_str("CASE");
                for (condition, result) in branches {
                    self.wrapped(" WHEN ", condition, " THEN ", out);
                    self.write(result, out);
                }
                match otherwise {
                    Some(otherwise) => self.wrapped(" ELSE ", otherwise, " END", out),
                    None => out.push_str(" END"),
                }
            }
            ExprKind::Coalesce(args) => self.call("COALESCE", args, out),
            ExprKind::NullIf { left, right, .. } => {
                out.push_str("NULLIF(");
                self.write(left, out);
                self.wrapped(", ", right, ")", out);
            }
            ExprKind::Extreme { greatest, args } => self.call(if *greatest { "GREATEST" } else { "LEAST" }, args, out),
            ExprKind::ArrayCompare {
                operator,
                all,
                left,
                array,
            } => {
                let symbol = symbol(operator, 2).unwrap_or(operator.name);
                self.open(out);
                self.operand_of(Parent::Operator(symbol, true), left, out);
                let _ = write!(out, " {symbol}");
                self.wrapped(if *all { " ALL (" } else { " ANY (" }, array, ")", out);
                self.close(out);
            }
            ExprKind::Array { elements, .. } => {
                out.push_str("ARRAY[");
                self.list(elements, out);
                out.push(']');
            }
            ExprKind::Row(fields) => self.call("ROW", fields, out),
            ExprKind::RowCompare { comparison, pairs } => {
                let left: Vec<&Expr> = pairs.iter().map(|pair| &pair.left).collect();
                let right: Vec<&Expr> = pairs.iter().map(|pair| &pair.right).collect();
                out.push_str("(ROW(");
                self.list(left, out);
                let _ = write!(out, ") {} ROW(", comparison_symbol(*comparison));
                self.list(right, out);
                out.push_str("))");
            }
            ExprKind::Subscript { base, subscripts } => {
                self.write(base, out);
                for subscript in subscripts {
                    out.push('[');
                    match subscript {
                        Subscript::Index(index) => self.write(index, out),
                        Subscript::Slice(from, to) => {
                            from.iter().for_each(|from| self.write(from, out));
                            out.push(':');
                            to.iter().for_each(|to| self.write(to, out));
                        }
                    }
                    out.push(']');
                }
            }
            ExprKind::Field { base, index } => self.wrapped("(", base, &format!(").f{}", index + 1), out),
            ExprKind::Subquery(subquery) => self.write_subquery(subquery, out),
            ExprKind::Grouping(columns) => {
                let columns: Vec<String> = columns.iter().map(|column| self.column(*column)).collect();
                let _ = write!(out, "GROUPING({})", columns.join(", "));
            }
            ExprKind::ConvertIo(base) | ExprKind::ConvertArray { base, .. } => self.write_cast(base, expr.ty, out),
            ExprKind::Coerce { base, .. } => self.write_cast(base, expr.ty, out),
            ExprKind::Placeholder => out.push_str("VALUE"),
        }
    }

    fn wrapped(&self, before: &str, expr: &Expr, after: &str, out: &mut String) {
        out.push_str(before);
        self.write(expr, out);
        out.push_str(after);
    }

    fn infix(&self, left: &Expr, symbol: &str, right: &Expr, out: &mut String) {
        self.open(out);
        self.operand_of(Parent::Test, left, out);
        out.push_str(symbol);
        self.operand_of(Parent::Test, right, out);
        self.close(out);
    }

    fn joined(&self, operands: &[Expr], word: &str, parent: Parent, out: &mut String) {
        self.open(out);
        for (number, operand) in operands.iter().enumerate() {
            out.push_str(if number > 0 { word } else { "" });
            self.operand_of(parent, operand, out);
        }
        self.close(out);
    }

    fn test(&self, operand: &Expr, test: &str, out: &mut String) {
        self.open(out);
        self.operand_of(Parent::Test, operand, out);
        out.push_str(test);
        self.close(out);
    }

    /// Parentheses around every operator, unless they are left to [`Self::operand_of`].
    fn open(&self, out: &mut String) {
        if !self.pretty {
            out.push('(');
        }
    }

    fn close(&self, out: &mut String) {
        if !self.pretty {
            out.push(')');
        }
    }

    /// An operand, in parentheses if it would be read differently (or less easily) without.
    fn operand_of(&self, parent: Parent, operand: &Expr, out: &mut String) {
        if self.pretty && !self.is_simple(operand, parent) {
            self.wrapped("(", operand, ")", out);
        } else {
            self.write(operand, out);
        }
    }

    /// PostgreSQL's isSimpleNode: whether an operand goes without parentheses.
    fn is_simple(&self, operand: &Expr, parent: Parent) -> bool {
        match &operand.kind {
            ExprKind::And(_) => matches!(parent, Parent::And | Parent::Or),
            ExprKind::Or(_) => parent == Parent::Or,
            ExprKind::Not(_) | ExprKind::ArrayCompare { .. } | ExprKind::RowCompare { .. } => false,
            ExprKind::IsNull(_) | ExprKind::IsNotNull(_) | ExprKind::IsTruth { .. } | ExprKind::IsDistinct { .. } => {
                matches!(parent, Parent::And | Parent::Or | Parent::Not)
            }
            ExprKind::Call { function, args } => match (symbol(function, args.len()), parent) {
                (None, _) | (Some(_), Parent::And | Parent::Or | Parent::Not) => true,
                (Some(own), Parent::Operator(outer, is_left)) if args.len() == 2 => match (rank(own), rank(outer)) {
                    (Some(own), Some(outer)) => own > outer || (own == outer && is_left),
                    _ => false,
                },
                (Some(_), _) => false,
            },
            _ => true,
        }
    }

    fn list<'e>(&self, exprs: impl IntoIterator<Item = &'e Expr>, out: &mut String) {
        for (number, expr) in exprs.into_iter().enumerate() {
            self.wrapped(if number > 0 { ", " } else { "" }, expr, "", out);
        }
    }

    fn call(&self, name: &str, args: &[Expr], out: &mut String) {
        let _ = write!(out, "{name}(");
        self.list(args, out);
        out.push(')');
    }

    fn write_cast(&self, base: &Expr, ty: Type, out: &mut String) {
        self.open(out);
        self.operand_of(Parent::Cast, base, out);
        self.close(out);
        let _ = write!(out, "::{}", self.type_name(ty));
    }

    /// The name of a type; of one that users made as the search path lets it be found.
    fn type_name(&self, ty: Type) -> String {
        if ty.oid == 0 || types::info(ty.oid).is_some() {
            return format_type(ty);
        }
        let element = types::element_of(ty.oid);
        let name = self.session.object_name(oid::REGTYPE, element.unwrap_or(ty.oid));
        let brackets = if element.is_some() { "[]" } else { "" };
        name.map_or_else(|| format_type(ty), |name| format!("{name}{brackets}"))
    }

    fn write_call(&self, function: &Function, args: &[Expr], ty: Type, out: &mut String) {
        match (symbol(function, args.len()), args) {
            (Some(symbol), [left, right]) => {
                self.open(out);
                self.operand(function, symbol, 0, left, out);
                let _ = write!(out, " {symbol} ");
                self.operand(function, symbol, 1, right, out);
                self.close(out);
            }
            (Some(symbol), [operand]) => {
                self.open(out);
                let _ = write!(out, "{symbol} ");
                self.operand_of(Parent::Operator(symbol, false), operand, out);
                self.close(out);
            }
            (_, [base, ..]) if is_cast(function, base.ty, ty) => self.write_cast(base, ty, out),
            _ => self.call(&quote_ident(function.name), args, out),
        }
    }

    /// An operand; varchar is text to operators, which PostgreSQL says.
    fn operand(&self, function: &Function, symbol: &'static str, at: usize, operand: &Expr, out: &mut String) {
        let wants_text = function.args.get(at) == Some(&oid::TEXT);
        match wants_text && operand.ty.oid == oid::VARCHAR && !matches!(operand.kind, ExprKind::Literal(_)) {
            true => self.write_cast(operand, Type::TEXT, out),
            false => self.operand_of(Parent::Operator(symbol, at == 0), operand, out),
        }
    }

    /// An aggregate as it stands in a query.
    pub(crate) fn write_aggregate(&self, call: &AggregateCall, out: &mut String) {
        let _ = write!(out, "{}(", quote_ident(call.function.name));
        if call.distinct {
            out.push_str("DISTINCT ");
        }
        if call.args.is_empty() && call.function.name == "count" {
            out.push('*');
        }
        self.list(&call.args, out);
        if !call.order.is_empty() {
            let keys = self.sort_keys(&call.order);
            let _ = write!(out, " ORDER BY {}", keys.join(", "));
        }
        out.push(')');
        if let Some(filter) = &call.filter {
            self.wrapped(" FILTER (WHERE ", filter, ")", out);
        }
    }

    fn write_window(&self, call: &WindowCall, out: &mut String) {
        self.write_aggregate(&call.call, out);
        out.push_str(" OVER (?)");
    }

    fn write_subquery(&self, subquery: &Subquery, out: &mut String) {
        let Some(plan) = self.names.subplan(subquery) else {
            out.push_str("(SubPlan)");
            return;
        };
        match (plan.initial, &subquery.kind) {
            (Some(parameter), SubqueryKind::Quantified { .. }) => {
                let _ = write!(out, "(hashed {})", plan.title(parameter));
            }
            (Some(parameter), _) => {
                let _ = write!(out, "${parameter}");
            }
            (None, SubqueryKind::Quantified { .. }) if plan.is_free => {
                let _ = write!(out, "(hashed SubPlan {})", plan.number);
            }
            (None, _) => {
                let _ = write!(out, "(SubPlan {})", plan.number);
            }
        }
    }

    fn write_literal(&self, value: &Datum, ty: Type, out: &mut String) {
        if value.is_null() {
            let _ = write!(out, "NULL::{}", self.type_name(Type::new(ty.oid)));
            return;
        }
        let mut text = String::new();
        if crate::types::output(ty, value, self.session, &mut text).is_err() {
            text = "?".into();
        }
        let is_plain = match ty.oid {
            oid::INT4 => !text.starts_with('-'),
            oid::NUMERIC => text.contains('.') && !text.starts_with('-') && ty.modifier < 0,
            _ => false,
        };
        match ty.oid {
            oid::BOOL => out.push_str(if text == "t" { "true" } else { "false" }),
            _ if is_plain => out.push_str(&text),
            oid::UNKNOWN => {
                let _ = write!(out, "'{}'", text.replace('\'', "''"));
            }
            _ => {
                let escape = if text.contains('\\') { "E" } else { "" };
                let text = text.replace('\'', "''").replace('\\', "\\\\");
                let _ = write!(out, "{escape}'{text}'::{}", self.type_name(ty));
            }
        }
    }
}

/// How tightly an arithmetic operator binds; the others are never left without parentheses.
fn rank(symbol: &str) -> Option<u8> {
    match symbol {
        "+" | "-" => Some(1),
        "*" | "/" | "%" => Some(2),
        _ => None,
    }
}

/// Symbol of the operator that a function computes.
fn symbol(function: &Function, operands: usize) -> Option<&'static str> {
    let operator = functions::all_operators()
        .iter()
        .find(|operator| operator.function == function.oid && (operator.left == 0) == (operands == 1))?;
    (operands == 1 || operands == 2).then_some(operator.name)
}

fn is_cast(function: &Function, from: Type, to: Type) -> bool {
    match functions::cast(from.oid, to.oid) {
        Some(cast) => matches!(cast.method, functions::CastMethod::Function(oid) if oid == function.oid),
        // A function that only applies a modifier.
        None => from.oid == to.oid && function.name == crate::types::info(to.oid).map_or("", |info| info.name),
    }
}

fn comparison_symbol(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equal => "=",
        Comparison::NotEqual => "<>",
        Comparison::Less => "<",
        Comparison::LessOrEqual => "<=",
        Comparison::Greater => ">",
        Comparison::GreaterOrEqual => ">=",
    }
}
