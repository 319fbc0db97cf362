//! bytea: parts, bits and bytes.

use super::range;
use crate::{SqlError, SqlResult, SqlState};

pub fn substring(bytes: &[u8], start: i32, count: Option<i32>) -> SqlResult<Vec<u8>> {
    let (first, end) = range(start, count)?;
    let end = end.min(bytes.len());
    Ok(bytes.get(first..end).unwrap_or_default().to_vec())
}

pub fn overlay(bytes: &[u8], with: &[u8], start: i32, count: i32) -> SqlResult<Vec<u8>> {
    if start <= 0 {
        return Err(super::negative_length());
    }
    let after = start
        .checked_add(count)
        .ok_or_else(|| crate::types::error::out_of_range("integer out of range"))?;
    let mut out = substring(bytes, 1, Some(start - 1))?;
    out.extend(with);
    out.extend(substring(bytes, after, None)?);
    Ok(out)
}

pub fn position(bytes: &[u8], part: &[u8]) -> i32 {
    if part.is_empty() {
        return 1;
    }
    bytes
        .windows(part.len())
        .position(|window| window == part)
        .map_or(0, |at| at as i32 + 1)
}

fn index_out_of_range(index: i64, size: usize) -> SqlError {
    let last = size as i64 - 1;
    SqlError::new(
        SqlState::ARRAY_SUBSCRIPT_ERROR,
        format!("index {index} out of valid range, 0..{last}"),
    )
}

fn checked(bytes: &[u8], index: i32) -> SqlResult<usize> {
    usize::try_from(index)
        .ok()
        .filter(|&index| index < bytes.len())
        .ok_or_else(|| index_out_of_range(i64::from(index), bytes.len()))
}

pub fn get_byte(bytes: &[u8], index: i32) -> SqlResult<i32> {
    Ok(i32::from(bytes[checked(bytes, index)?]))
}

pub fn set_byte(bytes: &[u8], index: i32, value: i32) -> SqlResult<Vec<u8>> {
    let index = checked(bytes, index)?;
    let mut out = bytes.to_vec();
    out[index] = value as u8;
    Ok(out)
}

fn bit(bytes: &[u8], index: i64) -> SqlResult<(usize, u8)> {
    match usize::try_from(index) {
        Ok(position) if position < bytes.len() * 8 => Ok((position / 8, (position % 8) as u8)),
        _ => Err(index_out_of_range(index, bytes.len() * 8)),
    }
}

pub fn get_bit(bytes: &[u8], index: i64) -> SqlResult<i32> {
    let (byte, bit) = bit(bytes, index)?;
    Ok(i32::from(bytes[byte] >> bit & 1))
}

pub fn set_bit(bytes: &[u8], index: i64, value: i32) -> SqlResult<Vec<u8>> {
    let (byte, bit) = bit(bytes, index)?;
    let mut out = bytes.to_vec();
    match value {
        0 => out[byte] &= !(1 << bit),
        1 => out[byte] |= 1 << bit,
        _ => {
            return Err(SqlError::new(
                SqlState::INVALID_PARAMETER_VALUE,
                "new bit must be 0 or 1",
            ));
        }
    }
    Ok(out)
}

pub fn trim(bytes: &[u8], set: &[u8], start: bool, end: bool) -> Vec<u8> {
    let first = if start {
        bytes.iter().position(|byte| !set.contains(byte)).unwrap_or(bytes.len())
    } else {
        0
    };
    let rest = &bytes[first..];
    let last = if end {
        rest.iter().rposition(|byte| !set.contains(byte)).map_or(0, |at| at + 1)
    } else {
        rest.len()
    };
    rest[..last].to_vec()
}
