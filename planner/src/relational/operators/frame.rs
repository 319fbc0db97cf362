//! Window frames: which rows of its partition each row sees.

use std::cmp::Ordering;
use std::ops::Range;

use num_traits::ToPrimitive;
use smallvec::SmallVec;
use storage::Datum;

use crate::bound::{FrameExclusion, FrameUnits};
use crate::eval::order::{compare, integer};
use crate::eval::{EvalContext, Program};
use crate::functions::{Body, CallContext, CallTypes, Function};
use crate::relational::operators::sort::{KeyProgram, compare_keys};
use crate::{SqlError, SqlResult, SqlState, Type};

/// A compiled frame bound.
#[derive(Clone, Debug)]
pub enum BoundProgram {
    /// UNBOUNDED PRECEDING or FOLLOWING, whichever end it is.
    Unbounded,
    /// CURRENT ROW
    CurrentRow,
    /// offset PRECEDING
    Preceding(Program),
    /// offset FOLLOWING
    Following(Program),
}

/// A compiled frame.
#[derive(Clone, Debug)]
pub struct FrameProgram {
    /// ROWS, RANGE or GROUPS.
    pub units: FrameUnits,
    /// Start.
    pub start: BoundProgram,
    /// End.
    pub end: BoundProgram,
    /// EXCLUDE
    pub exclude: FrameExclusion,
    /// How a RANGE offset is added to and subtracted from the sort key.
    pub arithmetic: Option<RangeArithmetic>,
}

/// Addition and subtraction of a RANGE offset.
#[derive(Clone, Debug)]
pub struct RangeArithmetic {
    /// `key + offset`
    pub add: &'static Function,
    /// `key - offset`
    pub subtract: &'static Function,
    /// Types of key and offset.
    pub types: [Type; 2],
}

/// The rows of a frame: up to three runs, in order.
pub type FrameRows = SmallVec<[Range<usize>; 3]>;

/// A frame with the values of its offsets.
#[derive(Debug)]
pub struct ResolvedFrame<'a> {
    program: &'a FrameProgram,
    start: Option<Datum>,
    end: Option<Datum>,
}

/// A partition: its rows' sort keys, and where the peers of each row begin and end.
pub struct Partition<'a> {
    /// Sort keys of each row, in order.
    pub keys: &'a [Vec<Datum>],
    /// What sorted them.
    pub order: &'a [KeyProgram],
    /// Number of the peer group of each row.
    pub group_of: Vec<usize>,
    /// First row of each peer group, and the number of rows at the end.
    pub group_starts: Vec<usize>,
}

impl<'a> Partition<'a> {
    /// Finds the peer groups of sorted rows.
    pub fn new(keys: &'a [Vec<Datum>], order: &'a [KeyProgram]) -> Self {
        let mut group_of = Vec::with_capacity(keys.len());
        let mut group_starts = Vec::new();
        for (row, key) in keys.iter().enumerate() {
            if row == 0 || compare_keys(&keys[row - 1], key, order) != Ordering::Equal {
                group_starts.push(row);
            }
            group_of.push(group_starts.len() - 1);
        }
        group_starts.push(keys.len());
        Self {
            keys,
            order,
            group_of,
            group_starts,
        }
    }

    /// The peers of a row, itself included.
    pub fn peers(&self, row: usize) -> Range<usize> {
        let group = self.group_of[row];
        self.group_starts[group]..self.group_starts[group + 1]
    }
}

impl FrameProgram {
    /// Evaluates the offsets.
    pub fn resolve(&self, context: &EvalContext<'_>) -> SqlResult<ResolvedFrame<'_>> {
        let offset = |bound: &BoundProgram, end: &str| match bound {
            BoundProgram::Unbounded | BoundProgram::CurrentRow => Ok(None),
            BoundProgram::Preceding(program) | BoundProgram::Following(program) => {
                let value = program.eval(&[], context)?;
                if value.is_null() {
                    return Err(SqlError::new(
                        SqlState::NULL_VALUE_NOT_ALLOWED,
                        format!("frame {end} offset must not be null"),
                    ));
                }
                if is_negative(&value) {
                    let text = match self.units {
                        FrameUnits::Range => "invalid preceding or following size in window function".to_owned(),
                        FrameUnits::Rows | FrameUnits::Groups => format!("frame {end} offset must not be negative"),
                    };
                    return Err(SqlError::new(SqlState::INVALID_PRECEDING_OR_FOLLOWING_SIZE, text));
                }
                Ok(Some(value))
            }
        };
        Ok(ResolvedFrame {
            program: self,
            start: offset(&self.start, "starting")?,
            end: offset(&self.end, "ending")?,
        })
    }

    /// Whether the frame of every row begins at the partition's first row and no row is left out.
    pub fn only_grows(&self) -> bool {
        matches!(self.start, BoundProgram::Unbounded) && self.exclude == FrameExclusion::NoOthers
    }
}

fn is_negative(value: &Datum) -> bool {
    match value {
        Datum::Float4(value) => *value < 0.0 || value.is_nan(),
        Datum::Float8(value) => *value < 0.0 || value.is_nan(),
        Datum::Numeric(value) => value.is_negative(),
        Datum::Interval(value) => value.normalized() < 0,
        other => integer(other).is_some_and(|value| value < 0),
    }
}

impl ResolvedFrame<'_> {
    /// The rows that a row sees.
    pub fn rows(&self, partition: &Partition<'_>, row: usize, context: &EvalContext<'_>) -> SqlResult<FrameRows> {
        let start = self.edge(&self.program.start, &self.start, true, partition, row, context)?;
        let end = self.edge(&self.program.end, &self.end, false, partition, row, context)?;
        let frame = start..end.max(start);
        let excluded: FrameRows = match self.program.exclude {
            FrameExclusion::NoOthers => SmallVec::new(),
            FrameExclusion::CurrentRow => std::iter::once(row..row + 1).collect(),
            FrameExclusion::Group => std::iter::once(partition.peers(row)).collect(),
            FrameExclusion::Ties => {
                let peers = partition.peers(row);
                [peers.start..row, row + 1..peers.end].into_iter().collect()
            }
        };
        let mut rows = FrameRows::new();
        let mut from = frame.start;
        for gap in excluded {
            let gap = gap.start.max(from).min(frame.end)..gap.end.max(from).min(frame.end);
            if from < gap.start {
                rows.push(from..gap.start);
            }
            from = from.max(gap.end);
        }
        if from < frame.end {
            rows.push(from..frame.end);
        }
        Ok(rows)
    }

    /// First row of the frame, or the first one beyond it.
    fn edge(
        &self,
        bound: &BoundProgram,
        offset: &Option<Datum>,
        is_start: bool,
        partition: &Partition<'_>,
        row: usize,
        context: &EvalContext<'_>,
    ) -> SqlResult<usize> {
        let count = partition.keys.len();
        let offset = match (bound, offset) {
            (BoundProgram::Unbounded, _) => return Ok(if is_start { 0 } else { count }),
            (BoundProgram::CurrentRow, _) | (_, None) => {
                return Ok(match (self.program.units, is_start) {
                    (FrameUnits::Rows, true) => row,
                    (FrameUnits::Rows, false) => row + 1,
                    (FrameUnits::Range | FrameUnits::Groups, true) => partition.peers(row).start,
                    (FrameUnits::Range | FrameUnits::Groups, false) => partition.peers(row).end,
                });
            }
            (_, Some(offset)) => offset,
        };
        let is_preceding = matches!(bound, BoundProgram::Preceding(_));
        match self.program.units {
            FrameUnits::Rows => {
                let position = shifted(row, offset, is_preceding) + i128::from(!is_start);
                Ok(position.clamp(0, count as i128) as usize)
            }
            FrameUnits::Groups => {
                let groups = partition.group_starts.len() - 1;
                let group = shifted(partition.group_of[row], offset, is_preceding) + i128::from(!is_start);
                Ok(partition.group_starts[group.clamp(0, groups as i128) as usize])
            }
            FrameUnits::Range => self.range_edge(offset, is_preceding, is_start, partition, row, context),
        }
    }

    fn range_edge(
        &self,
        offset: &Datum,
        is_preceding: bool,
        is_start: bool,
        partition: &Partition<'_>,
        row: usize,
        context: &EvalContext<'_>,
    ) -> SqlResult<usize> {
        let Some(order) = partition.order.first() else {
            return Ok(if is_start { 0 } else { partition.keys.len() });
        };
        let key = &partition.keys[row][0];
        // Rows with a NULL key see just each other, whatever the offset.
        if key.is_null() {
            let peers = partition.peers(row);
            return Ok(if is_start { peers.start } else { peers.end });
        }
        let first = partition.keys.iter().position(|keys| !keys[0].is_null()).unwrap_or(0);
        let beyond = first
            + partition.keys[first..]
                .iter()
                .take_while(|keys| !keys[0].is_null())
                .count();
        let edge = self.moved(key, offset, is_preceding != order.descending, context)?;
        let keys = &partition.keys[first..beyond];
        let position = keys.partition_point(|candidate| {
            let ordering = match &edge {
                Edge::Low => Ordering::Greater,
                Edge::High => Ordering::Less,
                Edge::At(edge) => compare(&as_timestamp(&candidate[0]), edge),
            };
            let ordering = if order.descending { ordering.reverse() } else { ordering };
            ordering == Ordering::Less || (!is_start && ordering == Ordering::Equal)
        });
        Ok(first + position)
    }

    /// The key with the offset added or subtracted; overflow ends beyond every key, as in PostgreSQL's in_range functions.
    fn moved(&self, key: &Datum, offset: &Datum, subtract: bool, context: &EvalContext<'_>) -> SqlResult<Edge> {
        if let (Some(key_value), Some(offset)) = (integer(key), integer(offset)) {
            let value = if subtract {
                key_value.checked_sub(offset)
            } else {
                key_value.checked_add(offset)
            };
            return Ok(match value {
                Some(value) => Edge::At(Datum::Int8(value)),
                None if subtract => Edge::Low,
                None => Edge::High,
            });
        }
        let Some(arithmetic) = &self.program.arithmetic else {
            return Err(SqlError::unsupported(
                "RANGE with offset PRECEDING/FOLLOWING for this type",
            ));
        };
        let function = if subtract { arithmetic.subtract } else { arithmetic.add };
        let Body::Scalar(body) = function.body else {
            return Err(SqlError::unsupported(
                "RANGE with offset PRECEDING/FOLLOWING for this type",
            ));
        };
        let types = CallTypes {
            args: &arithmetic.types,
            result: Type::new(function.returns),
        };
        let mut call = CallContext {
            types,
            session: context.session,
        };
        match body(&mut call, &[key.clone(), offset.clone()]) {
            Ok(value) => Ok(Edge::At(as_timestamp(&value))),
            Err(error) if is_overflow(error.code()) => Ok(if subtract { Edge::Low } else { Edge::High }),
            Err(error) => Err(error),
        }
    }
}

enum Edge {
    Low,
    High,
    At(Datum),
}

fn is_overflow(code: SqlState) -> bool {
    code == SqlState::NUMERIC_VALUE_OUT_OF_RANGE || code == SqlState::DATETIME_FIELD_OVERFLOW
}

fn shifted(position: usize, offset: &Datum, is_preceding: bool) -> i128 {
    let offset = integer(offset)
        .map(i128::from)
        .or_else(|| offset.as_f64().and_then(|value| value.to_i128()))
        .unwrap_or(0);
    position as i128 + if is_preceding { -offset } else { offset }
}

/// Dates compare as timestamps here, because `date + interval` is one.
fn as_timestamp(value: &Datum) -> Datum {
    match value {
        Datum::Date(i32::MIN) => Datum::Timestamp(i64::MIN),
        Datum::Date(i32::MAX) => Datum::Timestamp(i64::MAX),
        Datum::Date(days) => Datum::Timestamp(i64::from(*days) * 86_400_000_000),
        other => other.clone(),
    }
}
