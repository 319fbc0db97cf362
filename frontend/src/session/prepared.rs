//! Prepared statements: of the protocol and of PREPARE, which share one name space.

use std::sync::Arc;

use parking_lot::Mutex;
use planner::cached::Meaning;
use planner::catalog::Catalog;
use planner::statement::{Prepared, ResultColumn};
use planner::{SqlError, SqlResult, SqlState, Type};
use storage::Datum;

use super::block::Block;
use super::command::Command;
use super::rows::{Answer, Complete};
use super::shared::now;
use super::variables::show_columns;
use super::{Body, Session, Statement, no_statement};

/// A prepared statement.
pub struct PreparedStatement {
    /// The statement.
    pub statement: Statement,
    /// When it was prepared, microseconds since 2000.
    pub prepared_at: i64,
    /// Whether PREPARE made it rather than the protocol.
    pub is_from_sql: bool,
    /// Types the client gave; 0 leaves one open.
    declared: Vec<u32>,
    /// How it was bound first: what the client was told.
    first: Option<Prepared>,
    /// How it is bound now, and for which settings.
    plan: Mutex<Option<(Prepared, Option<Meaning>)>>,
}

impl PreparedStatement {
    /// Types of its parameters.
    pub fn parameters(&self) -> &[Type] {
        self.first.as_ref().map_or(&[], |first| &first.parameters)
    }

    /// Binds anew at the next use.
    pub fn forget_plan(&self) {
        *self.plan.lock() = None;
    }
}

impl Session {
    /// Makes a prepared statement; the caller stores it.
    ///
    /// # Errors
    /// What binding raises.
    pub async fn prepare(
        &mut self,
        statement: Statement,
        declared: Vec<u32>,
        is_from_sql: bool,
    ) -> SqlResult<PreparedStatement> {
        let first = match &statement.body {
            Body::Query(parsed) => {
                let bound = self.bind(parsed, statement.offset, &declared).await?;
                if let Some((meaning, _)) = self.plans_apply() {
                    let planner = &self.services.planner;
                    planner.learn_prepared(meaning, &statement.text, &declared, (parsed, &bound));
                }
                Some(bound)
            }
            Body::Planned(_) => None,
            Body::Command(command) => {
                self.check_not_failed(command)?;
                None
            }
            Body::Empty => None,
        };
        let meaning = self.plans_apply().map(|(meaning, _)| meaning);
        let plan = Mutex::new(first.clone().map(|first| (first, meaning)));
        Ok(PreparedStatement {
            statement,
            prepared_at: now(),
            is_from_sql,
            declared,
            first,
            plan,
        })
    }

    /// What this session's statements mean to the plan cache, and the catalog; `None` if it must do without now.
    fn plans_apply(&self) -> Option<(Meaning, Arc<Catalog>)> {
        if self.has_catalog_changes {
            return None;
        }
        let planner = &self.services.planner;
        let catalog = planner.current_catalog()?;
        Some((self.shared.meaning(&planner.plans, &catalog)?, catalog))
    }

    /// A prepared statement of a text that some session prepared before, without parsing and binding it again.
    pub fn prepare_known(&mut self, text: &str, declared: &[u32]) -> Option<PreparedStatement> {
        if self.block == Block::Failed {
            return None;
        }
        let (meaning, catalog) = self.plans_apply()?;
        let known = self.services.planner.find_prepared(&catalog, meaning, text, declared)?;
        Some(PreparedStatement {
            statement: Statement {
                text: known.parsed.text.clone(),
                offset: 0,
                body: Body::Query(known.parsed.clone()),
            },
            prepared_at: now(),
            is_from_sql: false,
            declared: declared.to_vec(),
            first: Some(known.prepared.clone()),
            plan: Mutex::new(Some((known.prepared.clone(), Some(meaning)))),
        })
    }

    /// Stores a statement under a name; the unnamed one is replaced.
    ///
    /// # Errors
    /// 42P05 if the name is taken.
    pub fn store_statement(&mut self, name: &str, statement: PreparedStatement) -> SqlResult<()> {
        if !name.is_empty() && self.statements.contains_key(name) {
            return Err(taken(name));
        }
        self.statements.insert(name.to_owned(), Arc::new(statement));
        Ok(())
    }

    /// A statement by name.
    ///
    /// # Errors
    /// 26000
    pub fn statement(&self, name: &str) -> SqlResult<Arc<PreparedStatement>> {
        let missing = || match name {
            "" => SqlError::new(
                SqlState::INVALID_SQL_STATEMENT_NAME,
                "unnamed prepared statement does not exist",
            ),
            name => no_statement(name),
        };
        self.statements.get(name).cloned().ok_or_else(missing)
    }

    /// Forgets a statement; a missing one is fine.
    pub fn close_statement(&mut self, name: &str) {
        self.statements.remove(name);
    }

    /// All statements by name, for `pg_prepared_statements`.
    pub fn statements(&self) -> impl Iterator<Item = (&String, &Arc<PreparedStatement>)> {
        self.statements.iter().filter(|(name, _)| !name.is_empty())
    }

    /// The present plan of a statement, bound again if the catalog moved on.
    ///
    /// # Errors
    /// 0A000 if its columns are no longer what the client was told.
    pub(crate) async fn plan(&mut self, prepared: &PreparedStatement) -> SqlResult<Option<Prepared>> {
        let (Body::Query(parsed), Some(first)) = (&prepared.statement.body, &prepared.first) else {
            return Ok(None);
        };
        let known = self.plans_apply();
        if let Some((meaning, catalog)) = &known
            && let Some((plan, bound_for)) = &*prepared.plan.lock()
            && plan.catalog_version == catalog.version
            && *bound_for == Some(*meaning)
        {
            self.see(catalog);
            return Ok(Some(plan.clone()));
        }
        let meaning = known.map(|(meaning, _)| meaning);
        let mut types: Vec<u32> = first.parameters.iter().map(|ty| ty.oid).collect();
        types.extend(prepared.declared.iter().skip(types.len()));
        let plan = self.bind(parsed, prepared.statement.offset, &types).await?;
        if !same_columns(plan.columns.as_deref(), first.columns.as_deref()) {
            return Err(changed_result());
        }
        *prepared.plan.lock() = Some((plan.clone(), meaning));
        Ok(Some(plan))
    }

    /// Columns a statement answers with; `None` if it returns no rows.
    pub fn columns_of(&self, prepared: &PreparedStatement) -> Option<Arc<[ResultColumn]>> {
        match &prepared.statement.body {
            Body::Query(_) => prepared.first.as_ref().and_then(|first| first.columns.clone()),
            Body::Planned(_) => None,
            Body::Command(command) => self.columns_of_command(command),
            Body::Empty => None,
        }
    }

    fn columns_of_command(&self, command: &Command) -> Option<Arc<[ResultColumn]>> {
        match command {
            Command::Show(name) => Some(show_columns(name.as_deref())),
            Command::Execute { name, .. } => self.columns_of(self.statements.get(name)?),
            Command::Fetch {
                cursor, is_move: false, ..
            } => self.portals.get(cursor)?.columns(),
            _ => None,
        }
    }

    /// PREPARE
    pub(super) async fn prepare_by_name(
        &mut self,
        name: &str,
        types: &[String],
        inner: Statement,
    ) -> SqlResult<Answer> {
        if let Body::Command(_) | Body::Empty | Body::Planned(_) = inner.body {
            return Err(
                SqlError::new(SqlState::SYNTAX_ERROR, "utility statements cannot be prepared")
                    .at(Some(inner.offset + 1)),
            );
        }
        if self.statements.contains_key(name) {
            return Err(taken(name));
        }
        let declared = types
            .iter()
            .map(|ty| self.type_oid(ty))
            .collect::<SqlResult<Vec<u32>>>()?;
        let statement = self.prepare(inner, declared, true).await?;
        if let Some(position) = statement
            .parameters()
            .iter()
            .position(|ty| ty.oid == planner::types::oid::UNKNOWN)
        {
            return Err(SqlError::new(
                SqlState::INDETERMINATE_DATATYPE,
                format!("could not determine data type of parameter ${}", position + 1),
            ));
        }
        self.store_statement(name, statement)?;
        Ok(Answer::Done(Complete::Fixed("PREPARE")))
    }

    /// EXECUTE
    pub(super) async fn execute_by_name(&mut self, name: &str, arguments: Option<&Arguments<'_>>) -> SqlResult<Answer> {
        let prepared = self.statements.get(name).cloned().ok_or_else(|| no_statement(name))?;
        let Body::Query(parsed) = &prepared.statement.body else {
            return Err(SqlError::unsupported("EXECUTE of a session command"));
        };
        let Some(plan) = self.plan(&prepared).await? else {
            return Err(no_statement(name));
        };
        let parameters = self.arguments(name, &prepared, arguments).await?;
        self.run(parsed, &plan, parameters).await
    }

    /// DEALLOCATE
    pub(super) fn deallocate(&mut self, name: Option<&str>) -> SqlResult<Answer> {
        match name {
            Some(name) => {
                self.statements.remove(name).ok_or_else(|| no_statement(name))?;
                Ok(Answer::Done(Complete::Fixed("DEALLOCATE")))
            }
            None => {
                self.statements.clear();
                Ok(Answer::Done(Complete::Fixed("DEALLOCATE ALL")))
            }
        }
    }

    /// Evaluates the arguments of EXECUTE: they are expressions, so a query computes them in the parameters' types.
    async fn arguments(
        &mut self,
        name: &str,
        prepared: &PreparedStatement,
        arguments: Option<&Arguments<'_>>,
    ) -> SqlResult<Arc<[Datum]>> {
        let types = prepared.parameters();
        let pieces = arguments
            .map(|arguments| split_arguments(arguments.text))
            .transpose()?
            .unwrap_or_default();
        if pieces.len() != types.len() {
            return Err(SqlError::new(
                SqlState::SYNTAX_ERROR,
                format!("wrong number of parameters for prepared statement \"{name}\""),
            )
            .detail(format!("Expected {} parameters but got {}.", types.len(), pieces.len())));
        }
        if pieces.is_empty() {
            return Ok([].into());
        }
        let mut text = "SELECT ".to_owned();
        let mut places = Vec::with_capacity(pieces.len());
        for (number, (piece, ty)) in pieces.iter().zip(types).enumerate() {
            text.push_str(if number > 0 { ", (" } else { "(" });
            let offset = arguments.map_or(0, |arguments| arguments.offset_of(piece));
            places.push((text.chars().count() as u32, piece.chars().count() as u32, offset));
            text.push_str(piece);
            text.push_str(")::");
            text.push_str(&planner::types::format_type(*ty));
        }
        // Where the client wrote what an error of the query points at.
        let placed = |error: SqlError| {
            let position = error.fields().position;
            let plain = without_position(error);
            let position = position.and_then(|position| {
                let (start, _, offset) = places
                    .iter()
                    .find(|(start, length, _)| (*start..start + length).contains(&(position - 1)))?;
                Some(position - start + offset)
            });
            plain.at(position)
        };
        let query = self.parse_one(&text, 0).map_err(placed)?;
        let Body::Query(parsed) = &query.body else {
            return Err(no_statement(name));
        };
        let plan = self.bind(parsed, 0, &[]).await.map_err(placed)?;
        match self.run(parsed, &plan, [].into()).await.map_err(placed)? {
            Answer::Rows(mut set) => Ok(set.rows.next().await.map_err(placed)?.unwrap_or_default().into()),
            Answer::Done(_) => Ok([].into()),
        }
    }

    fn type_oid(&self, name: &str) -> SqlResult<u32> {
        match planner::types::parse_type(name)? {
            Some(ty) => Ok(ty.oid),
            None => Err(SqlError::new(
                SqlState::UNDEFINED_OBJECT,
                format!("type \"{name}\" does not exist"),
            )),
        }
    }
}

/// The arguments of EXECUTE: their text, and the characters of the client's text before it.
pub(super) struct Arguments<'a> {
    pub(super) text: &'a str,
    pub(super) offset: u32,
}

impl Arguments<'_> {
    /// The characters of the client's text before a part of the arguments.
    fn offset_of(&self, piece: &str) -> u32 {
        let start = piece.as_ptr().addr() - self.text.as_ptr().addr();
        self.offset + self.text[..start].chars().count() as u32
    }
}

fn taken(name: &str) -> SqlError {
    SqlError::new(
        SqlState::DUPLICATE_PREPARED_STATEMENT,
        format!("prepared statement \"{name}\" already exists"),
    )
}

/// 0A000: the client was told of other columns.
pub(crate) fn changed_result() -> SqlError {
    SqlError::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        "cached plan must not change result type",
    )
}

/// Whether two statements answer with the same columns.
pub(crate) fn same_columns(new: Option<&[ResultColumn]>, old: Option<&[ResultColumn]>) -> bool {
    match (new, old) {
        (None, None) => true,
        (Some(new), Some(old)) => {
            new.len() == old.len()
                && new
                    .iter()
                    .zip(old)
                    .all(|(new, old)| new.ty == old.ty && new.name == old.name)
        }
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// The arguments stand in a text of our own making, so a position would point nowhere.
fn without_position(error: SqlError) -> SqlError {
    let fields = error.fields();
    let mut plain = SqlError::new(fields.code, fields.message.clone());
    if let Some(detail) = &fields.detail {
        plain = plain.detail(detail.clone());
    }
    if let Some(hint) = &fields.hint {
        plain = plain.hint(hint.clone());
    }
    plain
}

/// Splits at commas outside of parentheses, brackets and strings.
fn split_arguments(text: &str) -> SqlResult<Vec<&str>> {
    use super::lexer::{Kind, Lexer};
    let mut pieces = Vec::new();
    let mut lexer = Lexer::new(text);
    let (mut depth, mut start) = (0_i32, 0);
    while let Some(token) = lexer.token()? {
        match token.kind {
            Kind::Symbol('(' | '[') => depth += 1,
            Kind::Symbol(')' | ']') => depth -= 1,
            Kind::Symbol(',') if depth == 0 => {
                pieces.push(text[start..token.start].trim());
                start = token.end;
            }
            _ => {}
        }
    }
    pieces.push(text[start..].trim());
    if pieces == [""] {
        pieces.clear();
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_split_at_outer_commas() {
        assert_eq!(
            split_arguments("1, f(2, 3), 'a,b', array[4, 5]").unwrap(),
            ["1", "f(2, 3)", "'a,b'", "array[4, 5]"]
        );
        assert!(split_arguments("").unwrap().is_empty());
    }
}
