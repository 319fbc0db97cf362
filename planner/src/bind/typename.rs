//! Type names: from sqlparser's data types to types.

use sqlparser::ast::{ArrayElemTypeDef, CharacterLength, DataType, ExactNumberInfo, ObjectName, TimezoneInfo};

use crate::catalog::UserTypeKind;
use crate::types::{self, oid};
use crate::{SqlError, SqlResult, SqlState, Type};

use super::Binder;

impl Binder<'_> {
    /// The type a name means.
    ///
    /// # Errors
    /// 42704 if there is none, 22023 for a bad modifier, 0A000 for types Cambium lacks.
    pub fn type_of(&self, data_type: &DataType) -> SqlResult<Type> {
        let number = |n: &Option<u64>| n.map(|n| i32::try_from(n).unwrap_or(i32::MAX));
        let plain = match data_type {
            DataType::Int(None) | DataType::Integer(None) | DataType::Int4(None) => Type::INT4,
            DataType::BigInt(None) | DataType::Int8(None) => Type::INT8,
            DataType::SmallInt(None) | DataType::Int2(None) => Type::INT2,
            DataType::Text => Type::TEXT,
            DataType::Bool | DataType::Boolean => Type::BOOL,
            DataType::Date => Type::DATE,
            DataType::JSON => Type::JSON,
            DataType::JSONB => Type::JSONB,
            DataType::Uuid => Type::UUID,
            DataType::Bytea => Type::BYTEA,
            DataType::Real | DataType::Float4 => Type::FLOAT4,
            DataType::DoublePrecision | DataType::Float8 => Type::FLOAT8,
            DataType::Regclass => Type::REGCLASS,
            DataType::Float(ExactNumberInfo::None) => Type::FLOAT8,
            DataType::Float(ExactNumberInfo::Precision(bits)) => return float_of(*bits),
            DataType::Numeric(info) | DataType::Decimal(info) | DataType::Dec(info) => {
                return match info {
                    ExactNumberInfo::None => Ok(Type::NUMERIC),
                    ExactNumberInfo::Precision(precision) => modified(oid::NUMERIC, &[clamp(*precision)]),
                    ExactNumberInfo::PrecisionAndScale(precision, scale) => {
                        let scale = i32::try_from(*scale).unwrap_or(i32::MAX);
                        modified(oid::NUMERIC, &[clamp(*precision), scale])
                    }
                };
            }
            DataType::Varchar(length) | DataType::CharacterVarying(length) | DataType::CharVarying(length) => {
                return character(oid::VARCHAR, length, -1);
            }
            // A bare `char` is char(1).
            DataType::Character(length) | DataType::Char(length) => return character(oid::BPCHAR, length, 5),
            DataType::Timestamp(precision, zone) => {
                let zoned = matches!(zone, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz);
                return optional(if zoned { oid::TIMESTAMPTZ } else { oid::TIMESTAMP }, number(precision));
            }
            DataType::Time(precision, zone) => {
                let zoned = matches!(zone, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz);
                return optional(if zoned { oid::TIMETZ } else { oid::TIME }, number(precision));
            }
            DataType::Interval { fields, precision } => {
                let fields = fields.as_ref().map(ToString::to_string).unwrap_or_default();
                return interval(&fields, number(precision));
            }
            DataType::Array(
                ArrayElemTypeDef::SquareBracket(element, _)
                | ArrayElemTypeDef::AngleBracket(element)
                | ArrayElemTypeDef::Parenthesis(element)
                | ArrayElemTypeDef::Qualified(element, _),
            ) => return self.array_type(element),
            DataType::Custom(name, modifiers) => return self.custom_type(name, modifiers),
            other => return self.spelled_type(&other.to_string().to_ascii_lowercase(), None),
        };
        Ok(plain)
    }

    /// The domain a name means, whose base type [`type_of`](Self::type_of) gives.
    pub fn domain_of(&self, data_type: &DataType) -> Option<u32> {
        let DataType::Custom(name, modifiers) = data_type else {
            return None;
        };
        let parts: Vec<&str> = name
            .0
            .iter()
            .filter_map(|part| part.as_ident())
            .map(|ident| ident.value.as_str())
            .collect();
        let (schema, last) = match parts.as_slice() {
            [last] => (None, *last),
            [schema, last] => (Some(*schema), *last),
            _ => return None,
        };
        if !modifiers.is_empty() || (schema.is_none() && types::lookup_name(last).is_some()) {
            return None;
        }
        let found = self.catalog.user_type(self.session, schema, last)?;
        types::user::is_domain(found.id).then_some(found.id)
    }

    fn array_type(&self, element: &DataType) -> SqlResult<Type> {
        let element = self.type_of(element)?;
        // More brackets mean the same type.
        if types::element_of(element.oid).is_some() {
            return Ok(element);
        }
        match types::array_of(element.oid) {
            Some(array) => Ok(Type::with_modifier(array, element.modifier)),
            None => Err(SqlError::new(
                SqlState::UNDEFINED_OBJECT,
                format!("type \"{}[]\" does not exist", self.type_name(element)),
            )),
        }
    }

    fn custom_type(&self, name: &ObjectName, modifiers: &[String]) -> SqlResult<Type> {
        let parts: Vec<&sqlparser::ast::Ident> = name.0.iter().filter_map(|part| part.as_ident()).collect();
        let position = parts.first().and_then(|part| self.at(part.span));
        let (schema, last) = match parts.as_slice() {
            [last] => (None, *last),
            [schema, last] => (Some(schema.value.as_str()), *last),
            _ => return Err(missing(&name.to_string(), position)),
        };
        if schema.is_none_or(|schema| schema == "pg_catalog") {
            // "char" in quotes is a type of its own; everything else is found by the name alone.
            let found = if last.quote_style.is_none() && last.value == "char" {
                Some(oid::BPCHAR)
            } else {
                types::lookup_name(&last.value)
            };
            if let Some(found) = found {
                if modifiers.is_empty() {
                    return Ok(Type::new(found));
                }
                let numbers: Option<Vec<i32>> = modifiers.iter().map(|m| m.trim().parse().ok()).collect();
                let Some(numbers) = numbers else {
                    return Err(SqlError::new(
                        SqlState::SYNTAX_ERROR,
                        "type modifiers must be simple constants or identifiers",
                    )
                    .at(position));
                };
                return modified(found, &numbers).map_err(|error| error.at(position));
            }
        }
        // Every table is a type of its own.
        if let Some(relation) = self.catalog.relation(self.session, schema, &last.value)
            && modifiers.is_empty()
        {
            return Ok(Type::new(relation.id));
        }
        if let Some(user) = self.catalog.user_type(self.session, schema, &last.value)
            && modifiers.is_empty()
        {
            return Ok(match &user.kind {
                UserTypeKind::Enum { .. } => Type::new(user.id),
                UserTypeKind::Domain(domain) => domain.base,
            });
        }
        // `_name` is the array type over `name`.
        if let Some(element) = last.value.strip_prefix('_')
            && let Some(relation) = self.catalog.relation(self.session, schema, element)
            && let Some(array) = types::array_of(relation.id)
        {
            return Ok(Type::new(array));
        }
        let shown = match schema {
            Some(schema) => format!("{schema}.{}", last.value),
            None => last.value.clone(),
        };
        Err(missing(&shown, position))
    }

    fn spelled_type(&self, text: &str, position: Option<u32>) -> SqlResult<Type> {
        match types::parse_type(text)? {
            Some(ty) => Ok(ty),
            None => {
                let name = text.split('(').next().unwrap_or(text).trim();
                if matches!(name, "bit" | "bit varying" | "varbit" | "xml" | "tsvector" | "tsquery")
                    || matches!(name, "point" | "line" | "lseg" | "box" | "path" | "polygon" | "circle")
                {
                    return Err(SqlError::unsupported(format_args!("type {name}")).at(position));
                }
                Err(missing(name, position))
            }
        }
    }
}

fn missing(name: &str, position: Option<u32>) -> SqlError {
    SqlError::new(SqlState::UNDEFINED_OBJECT, format!("type \"{name}\" does not exist")).at(position)
}

fn clamp(number: u64) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn modified(type_oid: u32, numbers: &[i32]) -> SqlResult<Type> {
    Ok(Type::with_modifier(type_oid, types::modifier_in(type_oid, numbers)?))
}

fn optional(type_oid: u32, precision: Option<i32>) -> SqlResult<Type> {
    precision.map_or(Ok(Type::new(type_oid)), |precision| modified(type_oid, &[precision]))
}

fn character(type_oid: u32, length: &Option<CharacterLength>, bare: i32) -> SqlResult<Type> {
    match length {
        None => Ok(Type::with_modifier(type_oid, bare)),
        Some(CharacterLength::IntegerLength { length, .. }) => modified(type_oid, &[clamp(*length)]),
        Some(CharacterLength::Max) => Err(SqlError::new(
            SqlState::SYNTAX_ERROR,
            "type modifiers must be simple constants or identifiers",
        )),
    }
}

fn float_of(bits: u64) -> SqlResult<Type> {
    let invalid = |message: &str| Err(SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message));
    match bits {
        0 => invalid("precision for type float must be at least 1 bit"),
        1..=24 => Ok(Type::FLOAT4),
        25..=53 => Ok(Type::FLOAT8),
        _ => invalid("precision for type float must be less than 54 bits"),
    }
}

/// `interval`, with fields (`DAY TO SECOND`) and precision.
pub(super) fn interval(fields: &str, precision: Option<i32>) -> SqlResult<Type> {
    if fields.is_empty() && precision.is_none() {
        return Ok(Type::INTERVAL);
    }
    let modifier = if fields.is_empty() {
        // Of one number the modifier would not tell a precision from a range of fields.
        types::modifier_in(
            oid::INTERVAL,
            &[types::datetime::interval::FULL_RANGE as i32, precision.unwrap_or(0)],
        )?
    } else {
        types::datetime::interval::modifier_of(fields, precision)
            .ok_or_else(|| SqlError::unsupported(format_args!("interval with fields {fields}")))?
    };
    Ok(Type::with_modifier(oid::INTERVAL, modifier))
}
