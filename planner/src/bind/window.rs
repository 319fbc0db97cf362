//! Windows: OVER clauses, named windows, frames.

use sqlparser::ast as sql;

use crate::bound::{Expr, ExprKind, Frame, FrameBound, FrameExclusion, FrameUnits, WindowCall};
use crate::types::{self, oid};
use crate::{SqlError, SqlResult, SqlState, Type};

use super::Binder;
use super::context::Context;
use super::scope::NamedWindow;

/// A window as it is written: a base, and what is added to it.
struct Window<'a> {
    partition: &'a [sql::Expr],
    order: &'a [sql::OrderByExpr],
    frame: Option<&'a sql::WindowFrame>,
    exclude: FrameExclusion,
}

impl Binder<'_> {
    /// `f(…) OVER (…)`
    pub(super) fn bind_window_call(
        &mut self,
        name: &str,
        function: &sql::Function,
        over: &sql::WindowType,
        position: Option<u32>,
    ) -> SqlResult<Expr> {
        let scope = self.scope();
        if scope.in_window {
            return Err(
                SqlError::new(SqlState::WINDOWING_ERROR, "window function calls cannot be nested").at(position),
            );
        }
        if !scope.context.allows_windows() || scope.in_aggregate {
            let message = if scope.in_aggregate {
                "aggregate function calls cannot contain window function calls".to_owned()
            } else {
                format!("window functions are not allowed in {}", scope.context.clause())
            };
            let code = if scope.in_aggregate {
                SqlState::GROUPING_ERROR
            } else {
                SqlState::WINDOWING_ERROR
            };
            return Err(SqlError::new(code, message).at(position));
        }
        let before = (scope.in_window, scope.no_sets);
        scope.in_window = true;
        scope.no_sets = Some("window");
        let result = self.bind_window_parts(name, function, over, position);
        let scope = self.scope();
        scope.in_window = before.0;
        scope.no_sets = before.1;
        let call = result?;
        let ty = call.call.ty;
        let column = self.new_column(name, ty);
        let id = column.id;
        self.scope().windows.push((column, call));
        Ok(Expr {
            kind: ExprKind::Column(id),
            ty,
            position,
        })
    }

    fn bind_window_parts(
        &mut self,
        name: &str,
        function: &sql::Function,
        over: &sql::WindowType,
        position: Option<u32>,
    ) -> SqlResult<WindowCall> {
        let call = self.bind_window_function(name, function, position)?;
        let spec = match over {
            sql::WindowType::WindowSpec(spec) => spec.clone(),
            sql::WindowType::NamedWindow(name) => {
                // OVER w takes the window whole, frame included.
                let window = self.named_window(&name.value, self.at(name.span))?;
                return self.bind_window(call, &window.spec, None);
            }
        };
        let position = spec.window_name.as_ref().and_then(|name| self.at(name.span));
        self.bind_window(call, &spec, position)
    }

    fn named_window(&mut self, name: &str, position: Option<u32>) -> SqlResult<NamedWindow> {
        self.scope()
            .named_windows
            .iter()
            .find(|window| window.name == name)
            .cloned()
            .ok_or_else(|| {
                SqlError::new(SqlState::UNDEFINED_OBJECT, format!("window \"{name}\" does not exist")).at(position)
            })
    }

    fn bind_window(
        &mut self,
        call: crate::bound::AggregateCall,
        spec: &sql::WindowSpec,
        position: Option<u32>,
    ) -> SqlResult<WindowCall> {
        let (base, exclude) = base_and_exclusion(spec);
        let mut inherited: Option<sql::WindowSpec> = None;
        if let Some(base) = base {
            let window = self.named_window(base, position)?;
            let resolved = self.flatten_window(&window.spec)?;
            let cannot = |what: &str| {
                SqlError::new(
                    SqlState::WINDOWING_ERROR,
                    format!("cannot override {what} of window \"{base}\""),
                )
                .at(position)
            };
            if !spec.partition_by.is_empty() {
                return Err(cannot("PARTITION BY clause"));
            }
            if !spec.order_by.is_empty() && !resolved.order_by.is_empty() {
                return Err(cannot("ORDER BY clause"));
            }
            if resolved.window_frame.is_some() {
                return Err(SqlError::new(
                    SqlState::WINDOWING_ERROR,
                    format!("cannot copy window \"{base}\" because it has a frame clause"),
                )
                .hint("Omit the parentheses in this OVER clause.")
                .at(position));
            }
            inherited = Some(resolved);
        }
        let window = Window {
            partition: inherited.as_ref().map_or(&spec.partition_by, |base| &base.partition_by),
            order: match &inherited {
                Some(base) if spec.order_by.is_empty() => &base.order_by,
                _ => &spec.order_by,
            },
            frame: spec.window_frame.as_ref(),
            exclude,
        };
        self.bind_window_clauses(call, window)
    }

    /// A named window with its own base resolved.
    fn flatten_window(&mut self, spec: &sql::WindowSpec) -> SqlResult<sql::WindowSpec> {
        let (base, _) = base_and_exclusion(spec);
        let Some(base) = base else { return Ok(spec.clone()) };
        let window = self.named_window(base, None)?;
        let resolved = self.flatten_window(&window.spec)?;
        let mut flat = spec.clone();
        flat.window_name = None;
        flat.partition_by = resolved.partition_by;
        if flat.order_by.is_empty() {
            flat.order_by = resolved.order_by;
        }
        Ok(flat)
    }

    fn bind_window_clauses(&mut self, call: crate::bound::AggregateCall, window: Window<'_>) -> SqlResult<WindowCall> {
        let mut partition = Vec::with_capacity(window.partition.len());
        for key in window.partition {
            let expr = self.bind_in(Context::WindowPartition, key)?;
            partition.push(self.unknown_to_text(expr)?);
        }
        let mut order = Vec::with_capacity(window.order.len());
        for key in window.order {
            let expr = self.bind_in(Context::WindowOrder, &key.expr)?;
            order.push(self.sort_key(expr, &key.options)?);
        }
        let frame = self.bind_frame(window.frame, window.exclude, &order)?;
        Ok(WindowCall {
            call,
            partition,
            order,
            frame,
        })
    }

    fn bind_frame(
        &mut self,
        frame: Option<&sql::WindowFrame>,
        exclude: FrameExclusion,
        order: &[crate::bound::SortKey],
    ) -> SqlResult<Frame> {
        let Some(frame) = frame else {
            return Ok(Frame {
                units: FrameUnits::Range,
                start: FrameBound::UnboundedPreceding,
                end: FrameBound::CurrentRow,
                exclude,
            });
        };
        let units = match frame.units {
            sql::WindowFrameUnits::Rows => FrameUnits::Rows,
            sql::WindowFrameUnits::Range => FrameUnits::Range,
            sql::WindowFrameUnits::Groups => FrameUnits::Groups,
        };
        let error = |message: &str| SqlError::new(SqlState::WINDOWING_ERROR, message);
        if units == FrameUnits::Groups && order.is_empty() {
            return Err(error("GROUPS mode requires an ORDER BY clause"));
        }
        use sql::WindowFrameBound as B;
        let end = frame.end_bound.as_ref();
        match (&frame.start_bound, end) {
            (B::Following(None), _) => return Err(error("frame start cannot be UNBOUNDED FOLLOWING")),
            (_, Some(B::Preceding(None))) => return Err(error("frame end cannot be UNBOUNDED PRECEDING")),
            (B::CurrentRow, Some(B::Preceding(_))) => {
                return Err(error("frame starting from current row cannot have preceding rows"));
            }
            (B::Following(_), None | Some(B::CurrentRow | B::Preceding(_))) => {
                return Err(error("frame starting from following row cannot have preceding rows"));
            }
            _ => {}
        }
        let start = self.bind_frame_bound(&frame.start_bound, units, order)?;
        let end = match end {
            None => FrameBound::CurrentRow,
            Some(bound) => self.bind_frame_bound(bound, units, order)?,
        };
        Ok(Frame {
            units,
            start,
            end,
            exclude,
        })
    }

    fn bind_frame_bound(
        &mut self,
        bound: &sql::WindowFrameBound,
        units: FrameUnits,
        order: &[crate::bound::SortKey],
    ) -> SqlResult<FrameBound> {
        use sql::WindowFrameBound as B;
        Ok(match bound {
            B::CurrentRow => FrameBound::CurrentRow,
            B::Preceding(None) => FrameBound::UnboundedPreceding,
            B::Following(None) => FrameBound::UnboundedFollowing,
            B::Preceding(Some(offset)) => {
                FrameBound::Preceding(Box::new(self.bind_frame_offset(offset, units, order)?))
            }
            B::Following(Some(offset)) => {
                FrameBound::Following(Box::new(self.bind_frame_offset(offset, units, order)?))
            }
        })
    }

    fn bind_frame_offset(
        &mut self,
        offset: &sql::Expr,
        units: FrameUnits,
        order: &[crate::bound::SortKey],
    ) -> SqlResult<Expr> {
        let expr = self.bind_in(Context::WindowFrame, offset)?;
        let (name, target) = match units {
            FrameUnits::Rows => ("ROWS", Type::INT8),
            FrameUnits::Groups => ("GROUPS", Type::INT8),
            FrameUnits::Range => ("RANGE", self.range_offset_type(order, expr.position)?),
        };
        let mut variable = false;
        crate::bound::visit::walk_expr(&expr, &mut |part| {
            variable |= matches!(part.kind, ExprKind::Column(id) if self.facts(id).level == self.level());
        });
        if variable {
            return Err(SqlError::new(
                SqlState::INVALID_COLUMN_REFERENCE,
                format!("argument of {name} must not contain variables"),
            )
            .at(expr.position));
        }
        if units == FrameUnits::Range {
            let (source, position) = (expr.ty, expr.position);
            return match self.try_coerce(expr, target, crate::functions::CastContext::Implicit)? {
                Some(expr) => Ok(expr),
                None => {
                    let key = order.first().map_or(Type::TEXT, |key| key.expr.ty);
                    Err(SqlError::new(
                        SqlState::FEATURE_NOT_SUPPORTED,
                        format!(
                            "RANGE with offset PRECEDING/FOLLOWING is not supported for column type {} and offset type {}",
                            self.type_name(key),
                            self.type_name(source)
                        ),
                    )
                    .hint("Cast the offset value to an appropriate type.")
                    .at(position))
                }
            };
        }
        self.coerce_to_named(expr, target, name)
    }

    /// The type of a RANGE offset, by the type of the one ORDER BY column.
    fn range_offset_type(&self, order: &[crate::bound::SortKey], position: Option<u32>) -> SqlResult<Type> {
        let [key] = order else {
            return Err(SqlError::new(
                SqlState::WINDOWING_ERROR,
                "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column",
            )
            .at(position));
        };
        Ok(match key.expr.ty.oid {
            oid::INT2 | oid::INT4 | oid::INT8 => Type::INT8,
            oid::FLOAT4 | oid::FLOAT8 => Type::FLOAT8,
            oid::NUMERIC => Type::NUMERIC,
            oid::DATE | oid::TIME | oid::TIMETZ | oid::TIMESTAMP | oid::TIMESTAMPTZ | oid::INTERVAL => Type::INTERVAL,
            other => {
                return Err(SqlError::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    format!(
                        "RANGE with offset PRECEDING/FOLLOWING is not supported for column type {}",
                        types::format_type(Type::new(other))
                    ),
                )
                .at(position));
            }
        })
    }

    /// Reads the WINDOW clause.
    pub(super) fn read_windows(&mut self, definitions: &[sql::NamedWindowDefinition]) -> SqlResult<()> {
        for sql::NamedWindowDefinition(name, definition) in definitions {
            let position = self.at(name.span);
            if self
                .scope()
                .named_windows
                .iter()
                .any(|window| window.name == name.value)
            {
                return Err(SqlError::new(
                    SqlState::WINDOWING_ERROR,
                    format!("window \"{}\" is already defined", name.value),
                )
                .at(position));
            }
            let spec = match definition {
                sql::NamedWindowExpr::WindowSpec(spec) => spec.clone(),
                sql::NamedWindowExpr::NamedWindow(other) => {
                    return Err(SqlError::new(
                        SqlState::SYNTAX_ERROR,
                        format!("syntax error at or near \"{}\"", other.value),
                    )
                    .at(self.at(other.span)));
                }
            };
            self.scope().named_windows.push(NamedWindow {
                name: name.value.clone(),
                spec,
            });
        }
        Ok(())
    }
}

/// The base window's name and the EXCLUDE clause, which the parser keeps in one name (see `parse::forms`).
fn base_and_exclusion(spec: &sql::WindowSpec) -> (Option<&str>, FrameExclusion) {
    let Some(name) = &spec.window_name else {
        return (None, FrameExclusion::NoOthers);
    };
    let Some(rest) = name.value.strip_prefix("\u{1}exclude ") else {
        return (Some(&name.value), FrameExclusion::NoOthers);
    };
    let (what, base) = rest.split_once('\u{1}').unwrap_or((rest, ""));
    let exclude = match what {
        "current row" => FrameExclusion::CurrentRow,
        "group" => FrameExclusion::Group,
        "ties" => FrameExclusion::Ties,
        _ => FrameExclusion::NoOthers,
    };
    ((!base.is_empty()).then_some(base), exclude)
}
