//! generate_series.

mod table;

use storage::{Datum, Interval, Numeric};

use super::CallContext;
use super::call::argument;
use super::compare::interval_micros;
use super::datetime::{add_interval, add_interval_in_zone};
use super::integer::Integer;
use super::value::{Argument, Return, Timestamp, TimestampTz};
use crate::{SqlError, SqlResult, SqlState};

pub(super) use table::FUNCTIONS;

fn refuse(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

fn zero_step() -> SqlError {
    refuse("step size cannot equal zero")
}

/// `generate_series(start, stop [, step])` of integers; it ends before it overflows.
fn integers<T>(_context: &mut CallContext<'_>, args: &[Datum]) -> SqlResult<Vec<Vec<Datum>>>
where
    T: for<'a> Argument<'a> + Return + Integer + Into<i64>,
{
    let mut current: i64 = argument::<T>(args, 0)?.into();
    let stop: i64 = argument::<T>(args, 1)?.into();
    let step: i64 = argument::<Option<T>>(args, 2)?.map_or(1, Into::into);
    if step == 0 {
        return Err(zero_step());
    }
    let mut rows = Vec::new();
    while if step > 0 { current <= stop } else { current >= stop } {
        let Ok(value) = T::try_from(current) else { break };
        rows.push(vec![value.put()?]);
        match current.checked_add(step) {
            Some(next) => current = next,
            None => break,
        }
    }
    Ok(rows)
}

/// `generate_series` of numerics.
fn numerics(_context: &mut CallContext<'_>, args: &[Datum]) -> SqlResult<Vec<Vec<Datum>>> {
    let one = Numeric::ONE;
    let (start, stop): (&Numeric, &Numeric) = (argument(args, 0)?, argument(args, 1)?);
    let step = argument::<Option<&Numeric>>(args, 2)?.unwrap_or(&one);
    for (value, name) in [(start, "start value"), (stop, "stop value"), (step, "step size")] {
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
    let mut rows = Vec::new();
    let mut current = start.clone();
    while if step.is_negative() {
        current >= *stop
    } else {
        current <= *stop
    } {
        rows.push(vec![Datum::Numeric(current.clone())]);
        current = current.add(step)?;
    }
    Ok(rows)
}

/// Steps from start to stop; the direction is the sign of the interval.
fn times(start: i64, stop: i64, step: Interval, next: impl Fn(i64) -> SqlResult<i64>) -> SqlResult<Vec<i64>> {
    let length = interval_micros(&step);
    if length == 0 {
        return Err(zero_step());
    }
    let mut found = Vec::new();
    let mut current = start;
    while if length > 0 { current <= stop } else { current >= stop } {
        found.push(current);
        let following = next(current)?;
        // An infinite start never gets on.
        if following == current {
            break;
        }
        current = following;
    }
    Ok(found)
}

fn timestamps(_context: &mut CallContext<'_>, args: &[Datum]) -> SqlResult<Vec<Vec<Datum>>> {
    let (start, stop): (Timestamp, Timestamp) = (argument(args, 0)?, argument(args, 1)?);
    let step: Interval = argument(args, 2)?;
    let found = times(start.0, stop.0, step, |micros| {
        add_interval(Timestamp(micros), step).map(|next| next.0)
    })?;
    Ok(found.into_iter().map(|micros| vec![Datum::Timestamp(micros)]).collect())
}

fn moments(context: &mut CallContext<'_>, args: &[Datum]) -> SqlResult<Vec<Vec<Datum>>> {
    let (start, stop): (TimestampTz, TimestampTz) = (argument(args, 0)?, argument(args, 1)?);
    let step: Interval = argument(args, 2)?;
    let style = context.session.style();
    let found = times(start.0, stop.0, step, |micros| {
        add_interval_in_zone(TimestampTz(micros), step, &style.zone).map(|next| next.0)
    })?;
    Ok(found
        .into_iter()
        .map(|micros| vec![Datum::TimestampTz(micros)])
        .collect())
}
