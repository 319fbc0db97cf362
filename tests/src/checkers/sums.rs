//! Sums: transfers between accounts neither make money nor lose it.

/// A reading that does not add up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongSum {
    /// Which reading, from 0.
    pub reading: usize,
    /// What it came to.
    pub sum: i128,
}

/// Checks that each reading of all balances comes to the same sum.
///
/// # Errors
/// The first reading that does not.
pub fn check<'a>(expected: i128, readings: impl IntoIterator<Item = &'a [i64]>) -> Result<usize, WrongSum> {
    let mut count = 0;
    for (reading, balances) in readings.into_iter().enumerate() {
        let sum = balances.iter().map(|&balance| i128::from(balance)).sum();
        if sum != expected {
            return Err(WrongSum { reading, sum });
        }
        count += 1;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_transfer_is_found() {
        let (whole, half): (&[i64], &[i64]) = (&[40, 60], &[40, 50]);
        assert_eq!(check(100, [whole, whole]), Ok(2));
        assert_eq!(check(100, [whole, half]), Err(WrongSum { reading: 1, sum: 90 }));
    }
}
