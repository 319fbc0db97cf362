//! generate_series, a row at a time.

mod table;

use storage::{Datum, Interval, Numeric};

use super::call::argument;
use super::compare::interval_micros;
use super::datetime::{add_interval, add_interval_in_zone};
use super::integer::Integer;
use super::value::{Argument, Return, Timestamp, TimestampTz};
use super::{CallContext, RowIterator};
use crate::{SqlError, SqlResult, SqlState};

pub(super) use table::FUNCTIONS;

fn refuse(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

fn zero_step() -> SqlError {
    refuse("step size cannot equal zero")
}

/// Values as rows of one column.
fn rows<T: Return>(values: impl Iterator<Item = SqlResult<T>> + Send + 'static) -> RowIterator {
    Box::new(values.map(|value| value?.put().map(|datum| vec![datum])))
}

/// `generate_series(start, stop [, step])` of integers; it ends before it overflows.
fn integers<T>(_context: &mut CallContext<'_>, args: &[Datum]) -> SqlResult<RowIterator>
where
    T: for<'a> Argument<'a> + Return + Integer + Into<i64> + Send + 'static,
{
    let start: i64 = argument::<T>(args, 0)?.into();
    let stop: i64 = argument::<T>(args, 1)?.into();
    let step: i64 = argument::<Option<T>>(args, 2)?.map_or(1, Into::into);
    if step == 0 {
        return Err(zero_step());
    }
    let values = std::iter::successors(Some(start), move |current| current.checked_add(step))
        .take_while(move |&current| if step > 0 { current <= stop } else { current >= stop })
        .map_while(|current| T::try_from(current).ok());
    Ok(rows(values.map(Ok)))
}

/// `generate_series` of numerics.
fn numerics(_context: &mut CallContext<'_>, args: &[Datum]) -> SqlResult<RowIterator> {
    let one = Numeric::ONE;
    let (start, stop): (&Numeric, &Numeric) = (argument(args, 0)?, argument(args, 1)?);
    let step = argument::<Option<&Numeric>>(args, 2)?.unwrap_or(&one).clone();
    for (value, name) in [(start, "start value"), (stop, "stop value"), (&step, "step size")] {
        if value.is_nan() {
            return Err(refuse(format!("{name} cannot be NaN")));
        }
        if value.is_infinite() {
            return Err(refuse(format!("{name} cannot be infinity")));
        }
    }
    if step.is_zero() {
        return Err(zero_step());
    }
    let (stop, is_down) = (stop.clone(), step.is_negative());
    // A sum that overflows lies beyond every stop.
    let values = std::iter::successors(Some(start.clone()), move |current| current.add(&step).ok())
        .take_while(move |current| if is_down { *current >= stop } else { *current <= stop });
    Ok(rows(values.map(Ok)))
}

/// Steps from start to stop; the direction is the sign of the interval.
fn times<T: Return + 'static>(
    start: i64,
    stop: i64,
    step: Interval,
    wrap: fn(i64) -> T,
    next: impl Fn(i64) -> SqlResult<i64> + Send + 'static,
) -> SqlResult<RowIterator> {
    let length = interval_micros(&step);
    if length == 0 {
        return Err(zero_step());
    }
    let mut following = Some(Ok(start));
    Ok(rows(std::iter::from_fn(move || {
        let current = match following.take()? {
            Ok(current) => current,
            Err(error) => return Some(Err(error)),
        };
        let is_within = if length > 0 { current <= stop } else { current >= stop };
        if !is_within {
            return None;
        }
        // An infinite start never gets on.
        following = Some(next(current)).filter(|next| !matches!(next, Ok(next) if *next == current));
        Some(Ok(wrap(current)))
    })))
}

fn timestamps(_context: &mut CallContext<'_>, args: &[Datum]) -> SqlResult<RowIterator> {
    let (start, stop): (Timestamp, Timestamp) = (argument(args, 0)?, argument(args, 1)?);
    let step: Interval = argument(args, 2)?;
    times(start.0, stop.0, step, Timestamp, move |micros| {
        add_interval(Timestamp(micros), step).map(|next| next.0)
    })
}

fn moments(context: &mut CallContext<'_>, args: &[Datum]) -> SqlResult<RowIterator> {
    let (start, stop): (TimestampTz, TimestampTz) = (argument(args, 0)?, argument(args, 1)?);
    let step: Interval = argument(args, 2)?;
    let style = context.session.style();
    times(start.0, stop.0, step, TimestampTz, move |micros| {
        add_interval_in_zone(TimestampTz(micros), step, &style.zone).map(|next| next.0)
    })
}
