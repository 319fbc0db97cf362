//! Trigonometry in degrees, exact at the angles people know: sind(30) is 0.5, tand(45) is 1.

use super::mathematics::RADIANS_PER_DEGREE;
use crate::SqlResult;
use crate::types::error::out_of_range;

/// sin of an angle in 0..=30, scaled so that 30 gives 0.5.
fn sine_0_to_30(degrees: f64) -> f64 {
    let sine_30 = (30.0 * RADIANS_PER_DEGREE).sin();
    (degrees * RADIANS_PER_DEGREE).sin() / sine_30 / 2.0
}

/// cos of an angle in 0..=60, scaled so that 60 gives 0.5.
fn cosine_0_to_60(degrees: f64) -> f64 {
    let one_minus_cosine_60 = 1.0 - (60.0 * RADIANS_PER_DEGREE).cos();
    let one_minus_cosine = 1.0 - (degrees * RADIANS_PER_DEGREE).cos();
    1.0 - (one_minus_cosine / one_minus_cosine_60) / 2.0
}

fn sine_first_quadrant(degrees: f64) -> f64 {
    if degrees <= 30.0 {
        sine_0_to_30(degrees)
    } else {
        cosine_0_to_60(90.0 - degrees)
    }
}

fn cosine_first_quadrant(degrees: f64) -> f64 {
    if degrees <= 60.0 {
        cosine_0_to_60(degrees)
    } else {
        sine_0_to_30(90.0 - degrees)
    }
}

fn reduce(degrees: f64) -> SqlResult<f64> {
    if degrees.is_infinite() {
        Err(out_of_range("input is out of range"))
    } else {
        Ok(degrees % 360.0)
    }
}

/// sind
pub fn sine(degrees: f64) -> SqlResult<f64> {
    let mut angle = reduce(degrees)?;
    let mut sign = 1.0;
    if angle < 0.0 {
        angle = -angle;
        sign = -sign;
    }
    if angle > 180.0 {
        angle = 360.0 - angle;
        sign = -sign;
    }
    if angle > 90.0 {
        angle = 180.0 - angle;
    }
    Ok(sign * sine_first_quadrant(angle))
}

/// cosd
pub fn cosine(degrees: f64) -> SqlResult<f64> {
    let mut angle = reduce(degrees)?.abs();
    let mut sign = 1.0;
    if angle > 180.0 {
        angle = 360.0 - angle;
    }
    if angle > 90.0 {
        angle = 180.0 - angle;
        sign = -sign;
    }
    Ok(sign * cosine_first_quadrant(angle))
}

/// Angle in 0..=90 and the sign of its tangent.
fn fold_for_tangent(degrees: f64) -> SqlResult<(f64, f64)> {
    let mut angle = reduce(degrees)?;
    let mut sign = 1.0;
    if angle < 0.0 {
        angle = -angle;
        sign = -sign;
    }
    if angle > 180.0 {
        angle = 360.0 - angle;
        sign = -sign;
    }
    if angle > 90.0 {
        angle = 180.0 - angle;
        sign = -sign;
    }
    Ok((angle, sign))
}

/// tand
pub fn tangent(degrees: f64) -> SqlResult<f64> {
    let (angle, sign) = fold_for_tangent(degrees)?;
    let tangent_45 = sine_first_quadrant(45.0) / cosine_first_quadrant(45.0);
    let result = sign * ((sine_first_quadrant(angle) / cosine_first_quadrant(angle)) / tangent_45);
    // Not every platform keeps zero from being negative here.
    Ok(if result == 0.0 { 0.0 } else { result })
}

/// cotd
pub fn cotangent(degrees: f64) -> SqlResult<f64> {
    let (angle, sign) = fold_for_tangent(degrees)?;
    let cotangent_45 = cosine_first_quadrant(45.0) / sine_first_quadrant(45.0);
    let result = sign * ((cosine_first_quadrant(angle) / sine_first_quadrant(angle)) / cotangent_45);
    Ok(if result == 0.0 { 0.0 } else { result })
}

fn arc_sine_first(value: f64) -> f64 {
    if value <= 0.5 {
        value.asin() / 0.5f64.asin() * 30.0
    } else {
        90.0 - value.acos() / 0.5f64.acos() * 60.0
    }
}

fn arc_cosine_first(value: f64) -> f64 {
    if value <= 0.5 {
        90.0 - value.asin() / 0.5f64.asin() * 30.0
    } else {
        value.acos() / 0.5f64.acos() * 60.0
    }
}

fn in_unit_range(value: f64) -> SqlResult<()> {
    if value.is_nan() || (-1.0..=1.0).contains(&value) {
        Ok(())
    } else {
        Err(out_of_range("input is out of range"))
    }
}

/// asind
pub fn arc_sine(value: f64) -> SqlResult<f64> {
    in_unit_range(value)?;
    Ok(if value >= 0.0 {
        arc_sine_first(value)
    } else {
        -arc_sine_first(-value)
    })
}

/// acosd
pub fn arc_cosine(value: f64) -> SqlResult<f64> {
    in_unit_range(value)?;
    Ok(if value >= 0.0 {
        arc_cosine_first(value)
    } else {
        90.0 + arc_sine_first(-value)
    })
}

/// atand
pub fn arc_tangent(value: f64) -> f64 {
    value.atan() / 1f64.atan() * 45.0
}

/// atan2d
pub fn arc_tangent2(y: f64, x: f64) -> f64 {
    y.atan2(x) / 1f64.atan() * 45.0
}
