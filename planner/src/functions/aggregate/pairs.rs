//! Aggregates over pairs (Y, X): correlation, covariance, linear regression.

use storage::Datum;

use super::{at, float};
use crate::SqlResult;
use crate::functions::Accumulator;
use crate::functions::float::overflow;

/// Which relation between the two.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the measures of their names")]
pub enum Relation {
    Count,
    SquaresX,
    SquaresY,
    Products,
    AverageX,
    AverageY,
    Correlation,
    Covariance,
    PopulationCovariance,
    Determination,
    Slope,
    Intercept,
}

/// Sums over pairs, updated as Youngs and Cramer do.
pub struct Pairs {
    count: f64,
    sum_x: f64,
    squares_x: f64,
    sum_y: f64,
    squares_y: f64,
    products: f64,
    relation: Relation,
}

impl Pairs {
    pub fn new(relation: Relation) -> Self {
        Self {
            count: 0.0,
            sum_x: 0.0,
            squares_x: 0.0,
            sum_y: 0.0,
            squares_y: 0.0,
            products: 0.0,
            relation,
        }
    }
}

impl Accumulator for Pairs {
    fn add(&mut self, args: &[Datum]) -> SqlResult<()> {
        let (y, x) = (float(at(args, 0)?)?, float(at(args, 1)?)?);
        let (count, sum_x, sum_y) = (self.count, self.sum_x, self.sum_y);
        self.count += 1.0;
        self.sum_x += x;
        self.sum_y += y;
        if count > 0.0 {
            let from_x = x * self.count - self.sum_x;
            let from_y = y * self.count - self.sum_y;
            let scale = 1.0 / (self.count * count);
            self.squares_x += from_x * from_x * scale;
            self.squares_y += from_y * from_y * scale;
            self.products += from_x * from_y * scale;
            let infinite = |value: f64| value.is_infinite();
            if infinite(self.squares_x) || infinite(self.squares_y) || infinite(self.products) {
                let new_x = infinite(self.squares_x) || infinite(self.products);
                let new_y = infinite(self.squares_y) || infinite(self.products);
                if new_x && !infinite(sum_x) && !infinite(x) || new_y && !infinite(sum_y) && !infinite(y) {
                    return Err(overflow());
                }
                for square in [&mut self.squares_x, &mut self.squares_y, &mut self.products] {
                    if square.is_infinite() {
                        *square = f64::NAN;
                    }
                }
            }
        } else {
            if !x.is_finite() {
                (self.squares_x, self.products) = (f64::NAN, f64::NAN);
            }
            if !y.is_finite() {
                (self.squares_y, self.products) = (f64::NAN, f64::NAN);
            }
        }
        Ok(())
    }

    fn finish(&self) -> SqlResult<Datum> {
        if let Relation::Count = self.relation {
            return Ok(Datum::Int8(self.count as i64));
        }
        let least = if let Relation::Covariance = self.relation {
            2.0
        } else {
            1.0
        };
        if self.count < least {
            return Ok(Datum::Null);
        }
        let is_vertical = self.squares_x == 0.0;
        Ok(Datum::Float8(match self.relation {
            Relation::Count => self.count,
            Relation::SquaresX => self.squares_x,
            Relation::SquaresY => self.squares_y,
            Relation::Products => self.products,
            Relation::AverageX => self.sum_x / self.count,
            Relation::AverageY => self.sum_y / self.count,
            Relation::Correlation if is_vertical || self.squares_y == 0.0 => return Ok(Datum::Null),
            Relation::Correlation => self.products / (self.squares_x * self.squares_y).sqrt(),
            Relation::Covariance => self.products / (self.count - 1.0),
            Relation::PopulationCovariance => self.products / self.count,
            Relation::Determination | Relation::Slope | Relation::Intercept if is_vertical => return Ok(Datum::Null),
            // A horizontal line fits itself.
            Relation::Determination if self.squares_y == 0.0 => 1.0,
            Relation::Determination => self.products * self.products / (self.squares_x * self.squares_y),
            Relation::Slope => self.products / self.squares_x,
            Relation::Intercept => (self.sum_y - self.sum_x * self.products / self.squares_x) / self.count,
        }))
    }
}
