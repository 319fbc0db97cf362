//! Conditions: three-valued logic, comparisons over sequences, starts with, like_regex.

use std::cmp::Ordering;

use storage::jsonb::JsonKind;

use super::datetime;
use super::evaluate::{Evaluator, Fault};
use super::item::{Item, Kind};
use super::syntax::{Comparison, Condition, Expr};

/// An outcome; `None` is unknown.
type Truth = Result<Option<bool>, Fault>;

impl<'a> Evaluator<'a> {
    pub(super) fn truth(&mut self, condition: &Condition, item: &Item<'a>) -> Truth {
        match condition {
            Condition::And(..) | Condition::Or(..) => self.connective(condition, item),
            Condition::Not(inner) => Ok(self.condition(inner, item)?.map(|truth| !truth)),
            Condition::IsUnknown(inner) => Ok(Some(self.condition(inner, item)?.is_none())),
            Condition::Exists(expr) => self.exists_value(expr, item),
            Condition::Compare(comparison, left, right) => {
                let Some(left) = forgive(self.unwrapped(left, item))? else {
                    return Ok(None);
                };
                let Some(right) = forgive(self.unwrapped(right, item))? else {
                    return Ok(None);
                };
                self.any_pair(&left, &right, |evaluator, a, b| evaluator.compare(*comparison, a, b))
            }
            Condition::StartsWith(whole, prefix) => {
                let Some(wholes) = forgive(self.unwrapped(whole, item))? else {
                    return Ok(None);
                };
                let mut prefixes = Vec::new();
                if forgive(self.expr(prefix, item, Some(&mut prefixes)))?.is_none() {
                    return Ok(None);
                }
                self.any_pair(&wholes, &prefixes, |_, whole, prefix| {
                    Ok(whole
                        .as_str()
                        .zip(prefix.as_str())
                        .map(|(whole, prefix)| whole.starts_with(prefix)))
                })
            }
            Condition::LikeRegex(whole, pattern) => {
                let Some(wholes) = forgive(self.unwrapped(whole, item))? else {
                    return Ok(None);
                };
                let once = [Item::bool(None)];
                self.any_pair(&wholes, &once, |_, whole, _| {
                    whole
                        .as_str()
                        .map(|text| pattern.is_match(text))
                        .transpose()
                        .map_err(Fault::Hard)
                })
            }
        }
    }

    /// AND and OR. Chains nest on the left, so that side is followed in a loop.
    fn connective(&mut self, condition: &Condition, item: &Item<'a>) -> Truth {
        let is_and = matches!(condition, Condition::And(..));
        let mut rights = Vec::new();
        let mut leftmost = condition;
        loop {
            match leftmost {
                Condition::And(left, right) if is_and => {
                    rights.push(&**right);
                    leftmost = left;
                }
                Condition::Or(left, right) if !is_and => {
                    rights.push(&**right);
                    leftmost = left;
                }
                _ => break,
            }
        }
        let mut truth = self.condition(leftmost, item)?;
        for right in rights.into_iter().rev() {
            if truth == Some(!is_and) {
                return Ok(truth);
            }
            let second = self.condition(right, item)?;
            if second != Some(is_and) {
                truth = match (truth, second) {
                    (_, Some(decided)) => Some(decided),
                    (_, None) => None,
                };
            }
        }
        Ok(truth)
    }

    fn exists_value(&mut self, expr: &Expr, item: &Item<'a>) -> Truth {
        if self.lax {
            return forgive(self.expr(expr, item, None));
        }
        let mut values = Vec::new();
        let outcome = forgive(self.expr(expr, item, Some(&mut values)))?;
        Ok(outcome.map(|_| !values.is_empty()))
    }

    /// Whether a predicate holds for some pair. Lax mode stops at the first that does; strict mode looks at all, and an
    /// unknown among them makes the whole unknown.
    fn any_pair(
        &mut self,
        lefts: &[Item<'a>],
        rights: &[Item<'a>],
        predicate: impl Fn(&mut Self, &Item<'a>, &Item<'a>) -> Truth,
    ) -> Truth {
        let (mut holds, mut unknown) = (false, false);
        for left in lefts {
            for right in rights {
                match predicate(self, left, right)? {
                    None if !self.lax => return Ok(None),
                    None => unknown = true,
                    Some(true) if self.lax => return Ok(Some(true)),
                    Some(truth) => holds |= truth,
                }
            }
        }
        Ok(if holds {
            Some(true)
        } else if unknown {
            None
        } else {
            Some(false)
        })
    }

    fn compare(&mut self, comparison: Comparison, left: &Item<'a>, right: &Item<'a>) -> Truth {
        let order = match (left.kind(), right.kind()) {
            (Kind::DateTime, Kind::DateTime) => match datetime::compare(self, left, right)? {
                Some(order) => order,
                None => return Ok(None),
            },
            (Kind::Json(a), Kind::Json(b)) if a == b => match a {
                JsonKind::Null => Ordering::Equal,
                JsonKind::Bool => {
                    let bool_of = |item: &Item<'a>| item.view().and_then(|value| value.as_bool());
                    bool_of(left).cmp(&bool_of(right))
                }
                JsonKind::Number => left.as_number().cmp(&right.as_number()),
                JsonKind::String => left.as_str().cmp(&right.as_str()),
                JsonKind::Array | JsonKind::Object => return Ok(None),
            },
            // Null differs from everything and orders with nothing; other types do not compare.
            (Kind::Json(JsonKind::Null), _) | (_, Kind::Json(JsonKind::Null)) => {
                return Ok(Some(comparison == Comparison::NotEqual));
            }
            _ => return Ok(None),
        };
        Ok(Some(match comparison {
            Comparison::Equal => order.is_eq(),
            Comparison::NotEqual => order.is_ne(),
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterOrEqual => order.is_ge(),
        }))
    }
}

/// Inside a predicate a soft error is unknown.
fn forgive<T>(result: Result<T, Fault>) -> Result<Option<T>, Fault> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Fault::Soft(_)) => Ok(None),
        Err(hard) => Err(hard),
    }
}
