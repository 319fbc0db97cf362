//! Compilation of bound expressions: columns become slots, functions are looked through once.

use std::sync::Arc;

use storage::Datum;

use crate::bound::{ColumnId, Comparison, Expr, ExprKind, RowPair, Subquery, SubqueryKind, Subscript};
use crate::eval::program::{
    Arithmetic, Binary, Call, Node, PairNode, Program, SubqueryNode, SubqueryUse, SubscriptNode,
};
use crate::eval::subquery::Members;
use crate::eval::{Layout, OuterScope};
use crate::functions::{Body, Function, Volatility};
use crate::types::{element_of, oid};
use crate::{SqlError, SqlResult, SqlState, Type};

/// Elements from which on `x IN (constants)` is looked up in a set instead of compared one by one.
const SET_MEMBERS_MIN: usize = 9;

/// A planned subquery.
#[derive(Clone, Debug)]
pub struct SubqueryPlan {
    /// Its number among the operator's subqueries.
    pub index: usize,
    /// Outer columns it needs, in the order of its frame.
    pub outer: Vec<ColumnId>,
}

/// Plans the subqueries of expressions.
pub trait SubqueryHost {
    /// Plans a subquery. Equal numbers mean equal plans.
    fn add_subquery(&mut self, subquery: &Subquery) -> SqlResult<SubqueryPlan>;
}

/// Turns expressions into programs over one layout.
pub struct Compiler<'a> {
    layout: &'a Layout,
    scope: &'a mut OuterScope,
    host: Option<&'a mut dyn SubqueryHost>,
    /// Columns of the subquery row under test of ANY/ALL.
    inner: Layout,
    has_subquery: bool,
    is_volatile: bool,
    memo_count: usize,
}

impl<'a> Compiler<'a> {
    /// A compiler over a layout; other columns are taken from `scope`. Without a host subqueries are refused.
    pub fn new(layout: &'a Layout, scope: &'a mut OuterScope, host: Option<&'a mut dyn SubqueryHost>) -> Self {
        Self {
            layout,
            scope,
            host,
            inner: Layout::default(),
            has_subquery: false,
            is_volatile: false,
            memo_count: 0,
        }
    }

    /// Compiles an expression.
    pub fn compile(&mut self, expr: &Expr) -> SqlResult<Program> {
        self.has_subquery = false;
        self.is_volatile = false;
        let root = self.node(expr)?;
        Ok(Program {
            root,
            ty: expr.ty,
            has_subquery: self.has_subquery,
            is_volatile: self.is_volatile,
        })
    }

    /// Compiles an expression whose value is only compared and hashed (sort, group and join keys).
    pub fn compile_key(&mut self, expr: &Expr) -> SqlResult<Program> {
        let program = self.compile(expr)?;
        Ok(if expr.ty.oid == oid::BPCHAR {
            program.trimmed()
        } else {
            program
        })
    }

    fn boxed(&mut self, expr: &Expr) -> SqlResult<Box<Node>> {
        Ok(Box::new(self.node(expr)?))
    }

    fn nodes(&mut self, exprs: &[Expr]) -> SqlResult<Box<[Node]>> {
        exprs.iter().map(|expr| self.node(expr)).collect()
    }

    fn node(&mut self, expr: &Expr) -> SqlResult<Node> {
        Ok(match &expr.kind {
            ExprKind::Literal(value) => Node::Literal(value.clone()),
            ExprKind::Parameter(index) => Node::Parameter(*index),
            ExprKind::Column(column) => self.column(*column),
            ExprKind::Call { function, args } => self.call(function, args, expr.ty)?,
            ExprKind::And(operands) => Node::And(self.nodes(operands)?),
            ExprKind::Or(operands) => Node::Or(self.nodes(operands)?),
            ExprKind::Not(operand) => Node::Not(self.boxed(operand)?),
            ExprKind::IsNull(operand) => Node::IsNull {
                operand: self.boxed(operand)?,
                negated: false,
            },
            ExprKind::IsNotNull(operand) => Node::IsNull {
                operand: self.boxed(operand)?,
                negated: true,
            },
            ExprKind::IsTruth {
                operand,
                value,
                negated,
            } => Node::IsTruth {
                operand: self.boxed(operand)?,
                value: *value,
                negated: *negated,
            },
            ExprKind::IsDistinct {
                equal,
                left,
                right,
                negated,
            } => Node::IsDistinct {
                equal: self.binary(equal, left.ty, right.ty)?,
                left: self.boxed(left)?,
                right: self.boxed(right)?,
                negated: *negated,
            },
            ExprKind::Case { branches, otherwise } => {
                let branches = branches
                    .iter()
                    .map(|(condition, result)| Ok((self.node(condition)?, self.node(result)?)));
                let branches = branches.collect::<SqlResult<Box<[_]>>>()?;
                let otherwise = match otherwise {
                    Some(otherwise) => self.boxed(otherwise)?,
                    None => Box::new(Node::Literal(Datum::Null)),
                };
                Node::Case { branches, otherwise }
            }
            ExprKind::Coalesce(args) => Node::Coalesce(self.nodes(args)?),
            ExprKind::NullIf { equal, left, right } => Node::NullIf {
                equal: self.binary(equal, left.ty, right.ty)?,
                left: self.boxed(left)?,
                right: self.boxed(right)?,
            },
            ExprKind::Extreme { greatest, args } => Node::Extreme {
                greatest: *greatest,
                blank_padded: expr.ty.oid == oid::BPCHAR,
                args: self.nodes(args)?,
            },
            ExprKind::ArrayCompare {
                operator,
                all,
                left,
                array,
            } => self.array_compare(operator, *all, left, array)?,
            ExprKind::Array { elements, nested } => {
                let element_type = element_of(expr.ty.oid).unwrap_or(oid::UNKNOWN);
                Node::Array {
                    element_type,
                    elements: self.nodes(elements)?,
                    nested: *nested,
                }
            }
            ExprKind::Row(fields) => Node::Row(self.nodes(fields)?),
            ExprKind::RowCompare { comparison, pairs } => Node::RowCompare {
                comparison: *comparison,
                pairs: pairs.iter().map(|pair| self.pair(pair)).collect::<SqlResult<_>>()?,
            },
            ExprKind::Subscript { base, subscripts } => self.subscript(base, subscripts)?,
            ExprKind::Field { base, index } => Node::Field {
                base: self.boxed(base)?,
                index: *index,
            },
            ExprKind::Subquery(subquery) => self.subquery(subquery, expr.ty)?,
            ExprKind::Grouping(_) => {
                return Err(SqlError::new(
                    SqlState::GROUPING_ERROR,
                    "arguments to GROUPING must be grouping expressions of the associated query level",
                )
                .at(expr.position));
            }
            ExprKind::ConvertIo(base) => Node::ConvertIo {
                from: base.ty,
                to: expr.ty,
                base: self.boxed(base)?,
            },
            ExprKind::ConvertArray { base, element } => Node::ConvertArray {
                base: self.boxed(base)?,
                element_type: element.ty.oid,
                element: self.boxed(element)?,
            },
            ExprKind::Placeholder => Node::Placeholder,
            ExprKind::Coerce { base, explicit } => Node::Coerce {
                base: self.boxed(base)?,
                ty: expr.ty,
                explicit: *explicit,
            },
        })
    }

    fn column(&mut self, column: ColumnId) -> Node {
        if let Some(slot) = self.inner.slot(column) {
            return Node::Inner(slot);
        }
        match self.layout.slot(column) {
            Some(slot) => Node::Slot(slot),
            None => Node::Outer(self.scope.slot(column)),
        }
    }

    fn call(&mut self, function: &'static Function, args: &[Expr], result: Type) -> SqlResult<Node> {
        let Body::Scalar(body) = function.body else {
            return Err(not_scalar(function));
        };
        let nodes = self.nodes(args)?;
        // PostgreSQL folds a strict call of a constant NULL before it runs: what the other arguments would raise is not raised.
        if function.strict && nodes.iter().any(|node| matches!(node, Node::Literal(Datum::Null))) {
            return Ok(Node::Literal(Datum::Null));
        }
        if args.len() == 2 {
            match common_operation(function.name) {
                Some(Common::Compare(comparison)) => {
                    let [left, right] = pair_of(nodes);
                    return Ok(Node::Compare {
                        comparison,
                        left,
                        right,
                    });
                }
                Some(Common::Int4(operation)) => {
                    let [left, right] = pair_of(nodes);
                    return Ok(Node::Int4 { operation, left, right });
                }
                Some(Common::Int8(operation)) => {
                    let [left, right] = pair_of(nodes);
                    return Ok(Node::Int8 { operation, left, right });
                }
                None => {}
            }
        }
        let memo = (function.volatility == Volatility::Volatile).then(|| {
            self.is_volatile = true;
            self.memo_count += 1;
            self.memo_count - 1
        });
        let types = args.iter().map(|arg| arg.ty).collect();
        Ok(Node::Call(Box::new(Call {
            function,
            body,
            strict: function.strict,
            args: nodes,
            types,
            result,
            memo,
        })))
    }

    fn binary(&mut self, function: &'static Function, left: Type, right: Type) -> SqlResult<Binary> {
        let Body::Scalar(body) = function.body else {
            return Err(not_scalar(function));
        };
        Ok(Binary {
            body,
            strict: function.strict,
            types: [left, right],
        })
    }

    fn pair(&mut self, pair: &RowPair) -> SqlResult<PairNode> {
        Ok(PairNode {
            left: self.node(&pair.left)?,
            right: self.node(&pair.right)?,
            equal: self.binary(pair.equal, pair.left.ty, pair.right.ty)?,
            less: self.binary(pair.less, pair.left.ty, pair.right.ty)?,
        })
    }

    fn array_compare(&mut self, operator: &'static Function, all: bool, left: &Expr, array: &Expr) -> SqlResult<Node> {
        let left_node = self.boxed(left)?;
        let array_node = self.boxed(array)?;
        if let (Node::Literal(Datum::Array(values)), false, true) = (&*array_node, all, is_plain_equality(operator))
            && values.elements.len() >= SET_MEMBERS_MIN
        {
            let rows: Vec<Vec<Datum>> = values.elements.iter().map(|element| vec![element.clone()]).collect();
            return Ok(Node::InSet {
                left: left_node,
                members: Arc::new(Members::of(&rows)),
            });
        }
        let element = Type::new(element_of(array.ty.oid).unwrap_or(left.ty.oid));
        let operator = self.binary(operator, left.ty, element)?;
        Ok(Node::ArrayCompare {
            operator,
            all,
            left: left_node,
            array: array_node,
        })
    }

    fn subscript(&mut self, base: &Expr, subscripts: &[Subscript]) -> SqlResult<Node> {
        if base.ty.oid == oid::JSONB {
            let mut steps = Vec::with_capacity(subscripts.len());
            for subscript in subscripts {
                match subscript {
                    Subscript::Index(index) => steps.push(self.node(index)?),
                    Subscript::Slice(..) => {
                        return Err(SqlError::new(
                            SqlState::DATATYPE_MISMATCH,
                            "jsonb subscript does not support slices",
                        ));
                    }
                }
            }
            return Ok(Node::JsonSubscript {
                base: self.boxed(base)?,
                steps: steps.into(),
            });
        }
        let mut nodes = Vec::with_capacity(subscripts.len());
        for subscript in subscripts {
            nodes.push(match subscript {
                Subscript::Index(index) => SubscriptNode::Index(self.node(index)?),
                Subscript::Slice(from, to) => SubscriptNode::Slice(
                    from.as_ref().map(|from| self.node(from)).transpose()?,
                    to.as_ref().map(|to| self.node(to)).transpose()?,
                ),
            });
        }
        Ok(Node::ArraySubscript {
            base: self.boxed(base)?,
            subscripts: nodes.into(),
        })
    }

    fn subquery(&mut self, subquery: &Subquery, ty: Type) -> SqlResult<Node> {
        let Some(host) = self.host.as_mut() else {
            return Err(SqlError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "cannot use subquery in this expression",
            ));
        };
        let plan = host.add_subquery(subquery)?;
        self.has_subquery = true;
        let outer = plan.outer.iter().map(|column| self.column(*column)).collect();
        let kind = match &subquery.kind {
            SubqueryKind::Exists => SubqueryUse::Exists,
            SubqueryKind::Scalar => SubqueryUse::Scalar,
            SubqueryKind::Row => SubqueryUse::Row {
                width: subquery.columns.len(),
            },
            SubqueryKind::Array => SubqueryUse::Array {
                element_type: element_of(ty.oid).unwrap_or(oid::UNKNOWN),
            },
            SubqueryKind::Quantified { all, test } => {
                let enclosing = std::mem::replace(&mut self.inner, Layout::new(subquery.columns.iter().copied()));
                let compiled = self.node(test);
                let operands = if *all {
                    None
                } else {
                    member_operands(test, &subquery.columns)
                };
                self.inner = enclosing;
                let test = compiled?;
                match operands {
                    Some(operands) => {
                        let left = operands
                            .into_iter()
                            .map(|operand| self.node(operand))
                            .collect::<SqlResult<_>>()?;
                        SubqueryUse::Member { left, test }
                    }
                    None => SubqueryUse::Quantified { all: *all, test },
                }
            }
        };
        Ok(Node::Subquery(Box::new(SubqueryNode {
            index: plan.index,
            outer,
            kind,
        })))
    }
}

fn not_scalar(function: &Function) -> SqlError {
    SqlError::new(
        SqlState::INTERNAL_ERROR,
        format!("function {} is not scalar", function.name),
    )
}

fn pair_of(nodes: Box<[Node]>) -> [Box<Node>; 2] {
    let mut nodes = nodes.into_vec().into_iter().map(Box::new);
    match (nodes.next(), nodes.next()) {
        (Some(left), Some(right)) => [left, right],
        _ => unreachable!("checked by the caller: two arguments"),
    }
}

/// Left operands in the order of `columns` if the test is `left = column`, or a conjunction of those over all columns.
fn member_operands<'e>(test: &'e Expr, columns: &[ColumnId]) -> Option<Vec<&'e Expr>> {
    let conjuncts: Vec<&Expr> = match &test.kind {
        ExprKind::And(operands) => operands.iter().collect(),
        _ => vec![test],
    };
    if conjuncts.len() != columns.len() {
        return None;
    }
    let mut operands = vec![None; columns.len()];
    for conjunct in conjuncts {
        let ExprKind::Call { function, args } = &conjunct.kind else {
            return None;
        };
        let [left, right] = args.as_slice() else { return None };
        let ExprKind::Column(column) = right.kind else {
            return None;
        };
        let position = columns.iter().position(|known| *known == column)?;
        if !is_plain_equality(function) || mentions(left, columns) {
            return None;
        }
        operands[position] = Some(left);
    }
    operands.into_iter().collect()
}

fn mentions(expr: &Expr, columns: &[ColumnId]) -> bool {
    let mut found = false;
    crate::bound::columns::for_each_column(expr, &mut |column| found |= columns.contains(&column));
    found
}

/// Whether a function is the equality of values that [`crate::eval::order::KeyValues`] tells apart just as it does: so that
/// it can be replaced by a hash lookup.
pub fn is_plain_equality(function: &Function) -> bool {
    matches!(
        common_operation(function.name),
        Some(Common::Compare(Comparison::Equal))
    ) || matches!(
        function.name,
        "numeric_eq" | "uuid_eq" | "byteaeq" | "interval_eq" | "jsonb_eq" | "timetz_eq"
    )
}

/// A comparison, as it stands between two expressions, if the function is one whose meaning is the btree order.
pub fn plain_comparison(function: &Function) -> Option<Comparison> {
    match common_operation(function.name) {
        Some(Common::Compare(comparison)) => Some(comparison),
        _ => match function.name {
            "numeric_eq" | "uuid_eq" | "byteaeq" | "interval_eq" | "timetz_eq" => Some(Comparison::Equal),
            "numeric_lt" | "uuid_lt" | "bytealt" | "interval_lt" | "timetz_lt" => Some(Comparison::Less),
            "numeric_le" | "uuid_le" | "byteale" | "interval_le" | "timetz_le" => Some(Comparison::LessOrEqual),
            "numeric_gt" | "uuid_gt" | "byteagt" | "interval_gt" | "timetz_gt" => Some(Comparison::Greater),
            "numeric_ge" | "uuid_ge" | "byteage" | "interval_ge" | "timetz_ge" => Some(Comparison::GreaterOrEqual),
            _ => None,
        },
    }
}

/// Operations the evaluator does itself.
pub(crate) enum Common {
    Compare(Comparison),
    Int4(Arithmetic),
    Int8(Arithmetic),
}

/// Recognises functions by their `pg_proc` name. All of them are strict.
pub(crate) fn common_operation(name: &str) -> Option<Common> {
    match name {
        "int4pl" => return Some(Common::Int4(Arithmetic::Add)),
        "int4mi" => return Some(Common::Int4(Arithmetic::Subtract)),
        "int4mul" => return Some(Common::Int4(Arithmetic::Multiply)),
        "int8pl" => return Some(Common::Int8(Arithmetic::Add)),
        "int8mi" => return Some(Common::Int8(Arithmetic::Subtract)),
        "int8mul" => return Some(Common::Int8(Arithmetic::Multiply)),
        _ => {}
    }
    if !name.is_ascii() || name.len() < 4 {
        return None;
    }
    let (stem, suffix) = name.split_at(name.len() - 2);
    let comparison = match suffix {
        "eq" => Comparison::Equal,
        "ne" => Comparison::NotEqual,
        "lt" => Comparison::Less,
        "le" => Comparison::LessOrEqual,
        "gt" => Comparison::Greater,
        "ge" => Comparison::GreaterOrEqual,
        _ => return None,
    };
    let known = matches!(
        stem,
        "int2"
            | "int4"
            | "int8"
            | "int24"
            | "int42"
            | "int28"
            | "int82"
            | "int48"
            | "int84"
            | "float4"
            | "float8"
            | "text"
            | "text_"
            | "bool"
            | "date_"
            | "time_"
            | "timestamp_"
            | "timestamptz_"
            | "oid"
    );
    known.then_some(Common::Compare(comparison))
}
