//! Dependents: what is lost when something is dropped, and how that is said, in PostgreSQL's order.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use txn::Mode;

use super::Ddl;
use super::drop::kind_word;
use crate::catalog::registry::Object;
use crate::catalog::{Constraint, ConstraintKind, Relation, RelationKind};
use crate::system::deparse;
use crate::{Severity, SqlError, SqlResult, SqlState, stored};

/// Most lines of a report, as in PostgreSQL.
const REPORTED_MAX: usize = 100;

/// Something that goes away because another thing does.
#[derive(Clone)]
pub(super) enum Dependent {
    View(Arc<Relation>),
    /// A table that inherits.
    Child(Arc<Relation>),
    /// A partition, which goes with its parent without a word.
    Partition(Arc<Relation>),
    /// What lies in a schema that is dropped.
    Content(Arc<Relation>),
    /// A type in a schema that is dropped.
    Type(u32, String),
    ForeignKey(Arc<Relation>, Constraint),
    Default(Arc<Relation>, u16),
}

impl Dependent {
    /// What tells it from others, and says when it was made.
    pub(super) fn age(&self) -> (u32, u16) {
        match self {
            Dependent::View(relation)
            | Dependent::Child(relation)
            | Dependent::Partition(relation)
            | Dependent::Content(relation) => (relation.id, 0),
            Dependent::Type(id, _) => (*id, 0),
            Dependent::ForeignKey(_, constraint) => (constraint.id, 0),
            Dependent::Default(table, column) => (table.id, column + 1),
        }
    }

    /// The relation it is, if it is one.
    pub(super) fn relation(&self) -> Option<&Arc<Relation>> {
        match self {
            Dependent::View(relation)
            | Dependent::Child(relation)
            | Dependent::Partition(relation)
            | Dependent::Content(relation) => Some(relation),
            Dependent::Type(..) | Dependent::ForeignKey(..) | Dependent::Default(..) => None,
        }
    }
}

/// Something lost, and what it depends on.
pub(super) struct Lost {
    pub(super) what: Dependent,
    pub(super) on: String,
}

impl Ddl<'_> {
    /// Adds what is lost with a relation, each after what is lost with it, the youngest first: PostgreSQL reports from the end.
    pub(super) fn find_lost(
        &self,
        relation: &Arc<Relation>,
        seen: &mut HashSet<(u32, u16)>,
        lost: &mut Vec<Lost>,
    ) -> SqlResult<()> {
        let mut found = self.dependents(relation)?;
        found.sort_by_key(|dependent| std::cmp::Reverse(dependent.age()));
        let on = self.describe_relation(relation);
        for what in found {
            if !seen.insert(what.age()) {
                continue;
            }
            if let Some(relation) = what.relation() {
                self.find_lost(relation, seen, lost)?;
            }
            lost.push(Lost { what, on: on.clone() });
        }
        Ok(())
    }

    /// Refuses to lose anything without CASCADE, or says what is lost. `what` is dropped, if it is one thing.
    pub(super) fn report_lost(
        &self,
        lost: &mut [Lost],
        seen: &HashSet<(u32, u16)>,
        what: Option<&str>,
        cascade: bool,
    ) -> SqlResult<()> {
        lost.reverse();
        let told: Vec<&Lost> = lost.iter().filter(|lost| !is_silent(&lost.what, seen)).collect();
        let shorten = |lines: Vec<String>| {
            let more = lines.len().saturating_sub(REPORTED_MAX);
            let mut text = lines[..lines.len() - more].join("\n");
            if more > 0 {
                let objects = if more == 1 { "object" } else { "objects" };
                text.push_str(&format!("\nand {more} other {objects} (see server log for list)"));
            }
            text
        };
        if !cascade && !told.is_empty() {
            let lines = told
                .iter()
                .map(|lost| format!("{} depends on {}", self.describe(&lost.what), lost.on));
            let message = match what {
                Some(what) => format!("cannot drop {what} because other objects depend on it"),
                None => "cannot drop desired object(s) because other objects depend on them".to_owned(),
            };
            return Err(SqlError::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
                .detail(shorten(lines.collect()))
                .hint("Use DROP ... CASCADE to drop the dependent objects too."));
        }
        let lines: Vec<String> = told
            .iter()
            .map(|lost| format!("drop cascades to {}", self.describe(&lost.what)))
            .collect();
        let notice = match lines.as_slice() {
            [] => return Ok(()),
            [one] => SqlError::new(SqlState::SUCCESSFUL_COMPLETION, one.clone()),
            many => {
                let message = format!("drop cascades to {} other objects", many.len());
                SqlError::new(SqlState::SUCCESSFUL_COMPLETION, message).detail(shorten(lines))
            }
        };
        self.context.session.notice(Severity::Notice, notice);
        Ok(())
    }

    pub(super) fn describe_relation(&self, relation: &Relation) -> String {
        let name = deparse::relation_name(self.catalog(), &*self.context.session, relation);
        format!("{} {name}", kind_word(relation.kind))
    }

    fn describe(&self, dependent: &Dependent) -> String {
        let name_of = |relation| deparse::relation_name(self.catalog(), &*self.context.session, relation);
        match dependent {
            Dependent::View(relation)
            | Dependent::Child(relation)
            | Dependent::Partition(relation)
            | Dependent::Content(relation) => self.describe_relation(relation),
            Dependent::Type(_, name) => format!("type {name}"),
            Dependent::ForeignKey(table, constraint) => {
                let name = deparse::quote_ident(&constraint.name);
                format!("constraint {name} on table {}", name_of(table))
            }
            Dependent::Default(table, column) => {
                let column = deparse::quote_ident(&table.columns[*column as usize].name);
                format!("default value for column {column} of table {}", name_of(table))
            }
        }
    }

    /// Removes relations and what is lost with them.
    pub(super) async fn remove_lost(&self, mut doomed: Vec<Arc<Relation>>, lost: Vec<Lost>) -> SqlResult<()> {
        doomed.extend(lost.iter().filter_map(|lost| lost.what.relation().cloned()));
        // What several losses change is changed once.
        let mut changed: BTreeMap<u32, Relation> = BTreeMap::new();
        for Lost { what, .. } in lost {
            match what {
                Dependent::View(_) | Dependent::Child(_) | Dependent::Partition(_) | Dependent::Content(_) => {}
                Dependent::Type(id, _) => {
                    if let Some(user) = self.catalog().types.get(&id) {
                        self.remove(Object::Type(crate::catalog::UserType::clone(user)))?;
                    }
                }
                Dependent::ForeignKey(table, lost) => {
                    for member in self.catalog().family_of(table.id) {
                        let known = Relation::clone(self.relation_by_id(member)?);
                        let is_lost = |constraint: &Constraint| {
                            constraint.id == lost.id || constraint.origin.parent == Some(lost.id)
                        };
                        if known.constraints.iter().any(is_lost) {
                            let table = changed.entry(member).or_insert(known);
                            table.constraints.retain(|constraint| !is_lost(constraint));
                        }
                    }
                }
                Dependent::Default(table, column) => {
                    let table = changed.entry(table.id).or_insert_with(|| Relation::clone(&table));
                    table.columns[column as usize].default = None;
                }
            }
        }
        for table in changed.values() {
            if !doomed.iter().any(|known| known.id == table.id) {
                self.put_relation(table)?;
            }
        }
        for relation in &doomed {
            self.remove_relation(relation).await?;
        }
        // A parent that stays has a child less.
        let mut told: Vec<u32> = Vec::new();
        for parent in doomed.iter().flat_map(|relation| &relation.family.parents) {
            if !told.contains(parent) && !doomed.iter().any(|known| known.id == *parent) {
                told.push(*parent);
                let parent = self.relation_by_id(*parent)?.clone();
                self.lock_table(&parent, Mode::AccessExclusive).await?;
                self.put_relation(&parent)?;
            }
        }
        Ok(())
    }

    /// What cannot be without a relation.
    fn dependents(&self, relation: &Arc<Relation>) -> SqlResult<Vec<Dependent>> {
        let mut found = Vec::new();
        let database = |relation: &Relation| {
            self.catalog()
                .schemas
                .get(&relation.schema)
                .map(|schema| schema.database)
        };
        let own = database(relation);
        for other in self
            .catalog()
            .relations
            .values()
            .filter(|other| other.id != relation.id)
        {
            // Nothing reaches into another database.
            if other.kind != RelationKind::System && database(other) != own {
                continue;
            }
            match other.kind {
                RelationKind::View if self.view_uses(other, relation)? => found.push(Dependent::View(other.clone())),
                RelationKind::Table => {
                    if other.family.parents.contains(&relation.id) {
                        found.push(match other.is_partition() {
                            true => Dependent::Partition(other.clone()),
                            false => Dependent::Child(other.clone()),
                        });
                        continue;
                    }
                    for constraint in &other.constraints {
                        // What a partition has of its parent's foreign key goes with it.
                        let is_own = constraint.origin.parent.is_none();
                        if matches!(constraint.kind, ConstraintKind::Foreign { table, .. } if table == relation.id && is_own)
                        {
                            found.push(Dependent::ForeignKey(other.clone(), constraint.clone()));
                        }
                    }
                    if relation.kind == RelationKind::Sequence {
                        let call = format!("nextval('{}'::regclass)", relation.id);
                        for (position, column) in other.live_columns() {
                            if column.default.as_deref() == Some(&call) {
                                found.push(Dependent::Default(other.clone(), position));
                            }
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(found)
    }

    /// Whether a view's query names a relation. A view's text is qualified, so parsing it is enough.
    fn view_uses(&self, view: &Relation, relation: &Relation) -> SqlResult<bool> {
        let Some(text) = &view.view else { return Ok(false) };
        // Most views do not even hold the word.
        if !relation.name.contains('"') && !text.contains(&relation.name) {
            return Ok(false);
        }
        Ok(stored::relations_of(self.catalog(), &*self.context.session, text)?.contains(&relation.id))
    }
}

/// Whether something goes without a word: partitions, sequences that a column owns, and parts of a table that goes as well.
fn is_silent(dependent: &Dependent, seen: &HashSet<(u32, u16)>) -> bool {
    let is_owned = |relation: &Relation| {
        let sequence = relation.sequence.as_ref();
        sequence.is_some_and(|sequence| sequence.owned_by.is_some())
    };
    match dependent {
        Dependent::Partition(_) => true,
        Dependent::Content(relation) => is_owned(relation) || relation.is_partition(),
        Dependent::ForeignKey(table, _) | Dependent::Default(table, _) => seen.contains(&(table.id, 0)),
        Dependent::View(_) | Dependent::Child(_) | Dependent::Type(..) => false,
    }
}
