//! Polymorphic: what anyelement, anyarray and anycompatible mean at a call site (parse_coerce.c).

use crate::types::{self, oid};
use crate::{SqlError, SqlResult, SqlState, Type};

use super::Binder;
use super::coerce::can_coerce;
use crate::functions::CastContext;

/// Whether a declared type is polymorphic.
pub(super) fn is_polymorphic(type_oid: u32) -> bool {
    matches!(
        type_oid,
        oid::ANYELEMENT
            | oid::ANYARRAY
            | oid::ANYNONARRAY
            | oid::ANYENUM
            | oid::ANYRANGE
            | oid::ANYCOMPATIBLE
            | oid::ANYCOMPATIBLEARRAY
            | oid::ANYCOMPATIBLENONARRAY
    )
}

/// The element type an array-like type gives polymorphism: `int2vector` and `oidvector` count.
fn element(type_oid: u32) -> Option<u32> {
    match type_oid {
        oid::INT2VECTOR => Some(oid::INT2),
        oid::OIDVECTOR => Some(oid::OID),
        // pg_stats and the like; also rows' arrays.
        oid::ANYARRAY => None,
        other => types::element_of(other),
    }
}

/// Picks the common type of anycompatible arguments; `None` if there is none.
fn common(types: &[u32]) -> Option<u32> {
    let mut best: Option<u32> = None;
    for &ty in types.iter().filter(|&&ty| ty != oid::UNKNOWN) {
        let Some(current) = best else {
            best = Some(ty);
            continue;
        };
        if ty == current {
            continue;
        }
        if types::category(ty) != types::category(current) {
            return None;
        }
        if !types::is_preferred(current)
            && can_coerce(current, ty, CastContext::Implicit)
            && !can_coerce(ty, current, CastContext::Implicit)
        {
            best = Some(ty);
        }
    }
    let best = best?;
    let fits = types.iter().all(|&ty| can_coerce(ty, best, CastContext::Implicit));
    fits.then_some(best)
}

/// Whether actual argument types fit polymorphic declarations together.
pub(super) fn is_consistent(actual: &[u32], declared: &[u32]) -> bool {
    let mut element_type: Option<u32> = None;
    let mut array_type: Option<u32> = None;
    let mut compatible = Vec::new();
    let mut non_array = false;
    for (&actual, &declared) in actual.iter().zip(declared) {
        match declared {
            oid::ANYELEMENT | oid::ANYNONARRAY | oid::ANYENUM => {
                non_array |= declared == oid::ANYNONARRAY;
                if declared == oid::ANYENUM && actual != oid::UNKNOWN && !types::user::is_enum(actual) {
                    return false;
                }
                if actual != oid::UNKNOWN && *element_type.get_or_insert(actual) != actual {
                    return false;
                }
            }
            oid::ANYARRAY if actual != oid::UNKNOWN && *array_type.get_or_insert(actual) != actual => {
                return false;
            }
            oid::ANYRANGE => return false,
            oid::ANYCOMPATIBLE | oid::ANYCOMPATIBLENONARRAY => {
                if declared == oid::ANYCOMPATIBLENONARRAY && element(actual).is_some() {
                    return false;
                }
                if actual != oid::UNKNOWN {
                    compatible.push(actual);
                }
            }
            oid::ANYCOMPATIBLEARRAY if actual != oid::UNKNOWN => match element(actual) {
                Some(element) => compatible.push(element),
                None => return false,
            },
            _ => {}
        }
    }
    if let Some(array) = array_type {
        let Some(found) = element(array) else {
            return array == oid::ANYARRAY;
        };
        if *element_type.get_or_insert(found) != found {
            return false;
        }
    }
    if non_array && element_type.is_some_and(|ty| element(ty).is_some()) {
        return false;
    }
    compatible.is_empty() || common(&compatible).is_some()
}

impl Binder<'_> {
    /// Replaces polymorphic types in a function's signature by what the arguments make of them: argument types, result type.
    pub(super) fn resolve_polymorphic(
        &self,
        actual: &[Type],
        declared: &[u32],
        returns: u32,
    ) -> SqlResult<(Vec<u32>, u32)> {
        if !is_polymorphic(returns) && !declared.iter().any(|&ty| is_polymorphic(ty)) {
            return Ok((declared.to_vec(), returns));
        }
        let mut element_type: Option<u32> = None;
        let mut array_type: Option<u32> = None;
        let mut compatible = Vec::new();
        let mut has_compatible = false;
        for (&actual, &declared) in actual.iter().zip(declared) {
            let actual = actual.oid;
            match declared {
                oid::ANYELEMENT | oid::ANYNONARRAY | oid::ANYENUM if actual != oid::UNKNOWN => {
                    let known = *element_type.get_or_insert(actual);
                    self.check_alike("anyelement", known, actual)?;
                }
                oid::ANYARRAY if actual != oid::UNKNOWN => {
                    let known = *array_type.get_or_insert(actual);
                    self.check_alike("anyarray", known, actual)?;
                }
                oid::ANYCOMPATIBLE | oid::ANYCOMPATIBLENONARRAY => {
                    has_compatible = true;
                    compatible.push(actual);
                }
                oid::ANYCOMPATIBLEARRAY => {
                    has_compatible = true;
                    compatible.push(element(actual).unwrap_or(oid::UNKNOWN));
                }
                _ => {}
            }
        }
        if let Some(array) = array_type {
            match element(array) {
                Some(found) => {
                    let known = *element_type.get_or_insert(found);
                    if known != found {
                        return Err(mismatch(
                            "argument declared anyarray is not consistent with argument declared anyelement",
                        )
                        .detail(format!(
                            "{} versus {}",
                            self.type_name(Type::new(array)),
                            self.type_name(Type::new(known))
                        )));
                    }
                }
                None if array == oid::ANYARRAY => {}
                None => {
                    return Err(mismatch(format!(
                        "argument declared anyarray is not an array but type {}",
                        self.type_name(Type::new(array))
                    )));
                }
            }
        }
        let generic = |ty: u32| matches!(ty, oid::ANYELEMENT | oid::ANYARRAY | oid::ANYNONARRAY | oid::ANYENUM);
        if element_type.is_none()
            && array_type.is_none()
            && (generic(returns) || declared.iter().any(|&ty| generic(ty)))
        {
            return Err(mismatch(
                "could not determine polymorphic type because input has type unknown",
            ));
        }
        let compatible_type = if has_compatible {
            Some(common(&compatible).unwrap_or(oid::TEXT))
        } else {
            None
        };
        let array_of = |element: u32| {
            types::array_of(element)
                .or_else(|| super::coerce::is_row(element).then_some(oid::RECORD_ARRAY))
                .ok_or_else(|| {
                    SqlError::new(
                        SqlState::UNDEFINED_OBJECT,
                        format!(
                            "could not find array type for data type {}",
                            self.type_name(Type::new(element))
                        ),
                    )
                })
        };
        let resolve = |ty: u32| -> SqlResult<u32> {
            Ok(match ty {
                oid::ANYELEMENT | oid::ANYNONARRAY | oid::ANYENUM => element_type.unwrap_or(oid::TEXT),
                oid::ANYARRAY => match (array_type, element_type) {
                    (Some(array), _) => array,
                    (None, Some(element)) => array_of(element)?,
                    (None, None) => oid::TEXT_ARRAY,
                },
                oid::ANYCOMPATIBLE | oid::ANYCOMPATIBLENONARRAY => compatible_type.unwrap_or(oid::TEXT),
                oid::ANYCOMPATIBLEARRAY => array_of(compatible_type.unwrap_or(oid::TEXT))?,
                other => other,
            })
        };
        let resolved = declared
            .iter()
            .map(|&ty| resolve(ty))
            .collect::<SqlResult<Vec<u32>>>()?;
        Ok((resolved, resolve(returns)?))
    }

    fn check_alike(&self, declared: &str, first: u32, second: u32) -> SqlResult<()> {
        if first == second {
            return Ok(());
        }
        Err(
            mismatch(format!("arguments declared \"{declared}\" are not all alike")).detail(format!(
                "{} versus {}",
                self.type_name(Type::new(first)),
                self.type_name(Type::new(second))
            )),
        )
    }
}

fn mismatch(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::DATATYPE_MISMATCH, message)
}
