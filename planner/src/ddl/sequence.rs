//! CREATE SEQUENCE, and the parameters shared with serial and identity columns.

use sqlparser::ast::{DataType, Expr, ObjectName, SequenceOptions, UnaryOperator, Value};

use super::Ddl;
use super::names::parts;
use crate::catalog::{Relation, RelationKind, Sequence};
use crate::parse::statements;
use crate::statement::Tag;
use crate::types::oid;
use crate::{SqlError, SqlResult, SqlState, Type};

/// Parameters of a sequence while its clauses are read.
pub(super) struct SequenceBuilder {
    ty: Type,
    start: Option<i64>,
    increment: i64,
    min: Option<i64>,
    max: Option<i64>,
    cycle: bool,
    cache: i64,
}

impl SequenceBuilder {
    /// The defaults for an integer type.
    pub(super) fn of(ty: Type) -> Self {
        Self {
            ty,
            start: None,
            increment: 1,
            min: None,
            max: None,
            cycle: false,
            cache: 1,
        }
    }

    pub(super) fn apply(&mut self, options: &[SequenceOptions]) -> SqlResult<()> {
        for option in options {
            match option {
                SequenceOptions::IncrementBy(value, _) => self.increment = integer(value)?,
                SequenceOptions::MinValue(value) => self.min = value.as_ref().map(integer).transpose()?,
                SequenceOptions::MaxValue(value) => self.max = value.as_ref().map(integer).transpose()?,
                SequenceOptions::StartWith(value, _) => self.start = Some(integer(value)?),
                SequenceOptions::Cache(value) => self.cache = integer(value)?,
                // sqlparser's flag is true for NO CYCLE.
                SequenceOptions::Cycle(no) => self.cycle = !no,
            }
        }
        Ok(())
    }

    /// The parameters of a sequence that is altered. Bounds that are those of its type follow the type.
    pub(super) fn from_existing(sequence: &Sequence, ty: Option<Type>) -> Self {
        let mut builder = Self {
            ty: ty.unwrap_or(sequence.ty),
            start: Some(sequence.start),
            increment: sequence.increment,
            min: Some(sequence.min),
            max: Some(sequence.max),
            cycle: sequence.cycle,
            cache: sequence.cache,
        };
        if let (Some(ty), Some((least, greatest))) = (ty, type_bounds(sequence.ty))
            && ty.oid != sequence.ty.oid
        {
            let ascending = sequence.increment > 0;
            if (ascending && sequence.max == greatest) || (!ascending && sequence.max == -1) {
                builder.max = None;
            }
            if (ascending && sequence.min == 1) || (!ascending && sequence.min == least) {
                builder.min = None;
            }
        }
        builder
    }

    /// Checks the parameters against each other, with PostgreSQL's texts.
    pub(super) fn build(self) -> SqlResult<Sequence> {
        let invalid = |message: String| Err(SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message));
        if self.increment == 0 {
            return invalid("INCREMENT must not be zero".into());
        }
        let Some((least, greatest)) = type_bounds(self.ty) else {
            return invalid("sequence type must be smallint, integer, or bigint".into());
        };
        let ascending = self.increment > 0;
        let max = self.max.unwrap_or(if ascending { greatest } else { -1 });
        let min = self.min.unwrap_or(if ascending { 1 } else { least });
        if max < least || max > greatest {
            let ty = crate::types::format_type(self.ty);
            return invalid(format!("MAXVALUE ({max}) is out of range for sequence data type {ty}"));
        }
        if min < least || min > greatest {
            let ty = crate::types::format_type(self.ty);
            return invalid(format!("MINVALUE ({min}) is out of range for sequence data type {ty}"));
        }
        if min >= max {
            return invalid(format!("MINVALUE ({min}) must be less than MAXVALUE ({max})"));
        }
        let start = self.start.unwrap_or(if ascending { min } else { max });
        if start < min {
            return invalid(format!("START value ({start}) cannot be less than MINVALUE ({min})"));
        }
        if start > max {
            return invalid(format!("START value ({start}) cannot be greater than MAXVALUE ({max})"));
        }
        if self.cache <= 0 {
            return invalid(format!("CACHE ({}) must be greater than zero", self.cache));
        }
        Ok(Sequence {
            ty: self.ty,
            start,
            increment: self.increment,
            min,
            max,
            cycle: self.cycle,
            cache: self.cache,
            owned_by: None,
        })
    }
}

fn type_bounds(ty: Type) -> Option<(i64, i64)> {
    Some(match ty.oid {
        oid::INT2 => (i64::from(i16::MIN), i64::from(i16::MAX)),
        oid::INT4 => (i64::from(i32::MIN), i64::from(i32::MAX)),
        oid::INT8 => (i64::MIN, i64::MAX),
        _ => return None,
    })
}

fn integer(expression: &Expr) -> SqlResult<i64> {
    let text = match expression {
        Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr,
        } => format!("-{expr}"),
        Expr::UnaryOp {
            op: UnaryOperator::Plus,
            expr,
        } => expr.to_string(),
        Expr::Value(value) => match &value.value {
            Value::Number(number, _) => number.to_string(),
            other => other.to_string(),
        },
        other => other.to_string(),
    };
    text.parse().map_err(|_| {
        SqlError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("invalid value for sequence option: {text}"),
        )
    })
}

impl Ddl<'_> {
    pub(super) async fn create_sequence(
        &self,
        temporary: bool,
        if_not_exists: bool,
        name: &ObjectName,
        data_type: Option<&DataType>,
        options: &[SequenceOptions],
        owned_by: Option<&ObjectName>,
    ) -> SqlResult<Tag> {
        const TAG: Tag = Tag::Text("CREATE SEQUENCE");
        let (schema, name) = self.target_of(name, temporary).await?;
        if !self.check_free(schema.id, &name, if_not_exists)? {
            return Ok(TAG);
        }
        let ty = data_type
            .map(|ty| self.column_type(ty))
            .transpose()?
            .unwrap_or(Type::INT8);
        let mut builder = SequenceBuilder::of(ty);
        builder.apply(options)?;
        let mut parameters = builder.build()?;
        if let Some(owner) = owned_by {
            parameters.owned_by = self.owner_column(owner, schema.id)?;
        }
        let mut sequence = self.new_relation(&schema, name, RelationKind::Sequence).await?;
        sequence.sequence = Some(parameters);
        self.put_relation(&sequence)?;
        Ok(TAG)
    }

    /// ALTER SEQUENCE with options. What the sequence has handed out stands, unless RESTART says otherwise.
    pub(super) async fn alter_sequence(
        &self,
        if_exists: bool,
        name: &ObjectName,
        data_type: Option<&DataType>,
        options: &[SequenceOptions],
        owned_by: Option<&ObjectName>,
    ) -> SqlResult<Tag> {
        const TAG: Tag = Tag::Text("ALTER SEQUENCE");
        let found = match self.find(name) {
            Ok(found) => found.clone(),
            Err(error) if if_exists && error.code() == SqlState::UNDEFINED_TABLE => {
                let name = self.split(name)?.1;
                self.notice(
                    SqlState::SUCCESSFUL_COMPLETION,
                    format!("relation \"{name}\" does not exist, skipping"),
                );
                return Ok(TAG);
            }
            Err(error) => return Err(error),
        };
        let Some(old) = &found.sequence else {
            return Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("\"{}\" is not a sequence", found.name),
            ));
        };
        let ty = data_type.map(|ty| self.column_type(ty)).transpose()?;
        let mut builder = SequenceBuilder::from_existing(old, ty);
        let mut restart = None;
        let mut plain = Vec::with_capacity(options.len());
        for option in options {
            match option {
                SequenceOptions::StartWith(value, _) if statements::restart(value).is_some() => {
                    restart = Some(statements::restart(value).flatten().map(integer).transpose()?);
                }
                other => plain.push(other.clone()),
            }
        }
        builder.apply(&plain)?;
        let mut parameters = builder.build()?;
        parameters.owned_by = match owned_by {
            Some(owner) => self.owner_column(owner, found.schema)?,
            None => old.owned_by,
        };
        let sequences = &self.planner.sequences;
        let (last, is_called) = sequences.state(found.id, old).await?;
        let (last, is_called) = match restart {
            Some(value) => (value.unwrap_or(parameters.start), false),
            None => (last, is_called),
        };
        if last < parameters.min {
            return Err(SqlError::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!(
                    "RESTART value ({last}) cannot be less than MINVALUE ({})",
                    parameters.min
                ),
            ));
        }
        if last > parameters.max {
            return Err(SqlError::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!(
                    "RESTART value ({last}) cannot be greater than MAXVALUE ({})",
                    parameters.max
                ),
            ));
        }
        let mut changed = Relation::clone(&found);
        changed.sequence = Some(parameters.clone());
        self.put_relation(&changed)?;
        // As in PostgreSQL the values themselves are not part of the transaction.
        sequences.set(found.id, &parameters, last, is_called).await?;
        Ok(TAG)
    }

    fn owner_column(&self, owner: &ObjectName, schema_of_sequence: u32) -> SqlResult<Option<(u32, u16)>> {
        let mut names = parts(owner)?;
        if names.len() == 1 && names[0] == "none" {
            return Ok(None);
        }
        if names.len() == 1 {
            return Err(SqlError::new(SqlState::SYNTAX_ERROR, "invalid OWNED BY option")
                .hint("Specify OWNED BY table.column or OWNED BY NONE."));
        }
        let column = names.pop().unwrap_or_default();
        let (table, schema) = (names.pop().unwrap_or_default(), names.pop());
        let relation = self
            .catalog()
            .relation(&*self.context.session, schema.as_deref(), &table)
            .ok_or_else(|| {
                SqlError::new(
                    SqlState::UNDEFINED_TABLE,
                    format!("relation \"{table}\" does not exist"),
                )
            })?;
        if relation.schema != schema_of_sequence {
            return Err(SqlError::new(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                "sequence must be in same schema as table it is linked to",
            ));
        }
        let position = relation
            .live_columns()
            .find(|(_, candidate)| candidate.name == column)
            .map(|(position, _)| position);
        let position = position.ok_or_else(|| {
            SqlError::new(
                SqlState::UNDEFINED_COLUMN,
                format!("column \"{column}\" of relation \"{table}\" does not exist"),
            )
        })?;
        Ok(Some((relation.id, position)))
    }
}
