//! Plan cache: statements that were bound and compiled, shared by all sessions.
//!
//! ```text
//!   text ─ shape ─► key ──┬─► plan           all literals are parameters: their values come with each execution
//!                         └─► fixed literals ─ key + those ─► plan        some decide more than a value
//! ```
//!
//! A key begins with the [`Meaning`] of the session (database, role, search path, settings) and, for statements of the
//! extended protocol, has the declared types of the parameters. A plan knows the catalog version it was bound against and is
//! no plan for any other. The first time a shape is seen only that is noted; the second time `lift` finds out which
//! literals may vary, which costs as much as binding the statement several times.
//!
//! Invariants
//!  K1  A plan found answers exactly as the statement bound anew would, positions of errors included.
//!  K2  A session whose transaction changed the catalog neither looks here nor leaves anything.
//!
//! Limits: [`ENTRY_COUNT_MAX`] entries. When a part is full, what was not used since the last time goes.

mod lift;
mod shape;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ahash::AHashMap;
use parking_lot::RwLock;
use storage::Datum;

use crate::catalog::Catalog;
use crate::eval::SessionView;
use crate::statement::{Parsed, Planner, Prepared};
use crate::{SqlError, types};
use lift::{Fit, Lifter, Positions};
use shape::{Literal, Shape};

/// Entries of the cache.
pub const ENTRY_COUNT_MAX: usize = PART_COUNT * PART_ENTRY_COUNT_MAX;
/// Maps the entries are spread over, so that sessions seldom meet at one lock.
const PART_COUNT: usize = 16;
const PART_ENTRY_COUNT_MAX: usize = 256;
/// Different meanings that are told apart; sessions with yet another one do without the cache.
const MEANING_COUNT_MAX: usize = 4096;

/// Everything outside a statement's text and the catalog that decides what it means, as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning(u32);

/// A statement ready to be executed.
pub struct CachedStatement {
    /// The statement, with parameters in the place of lifted literals.
    pub parsed: Parsed,
    /// As it was bound.
    pub prepared: Prepared,
    /// The whole text it was made of.
    text: Arc<str>,
    /// Which literals of the shape became parameters.
    lifted: Positions,
    fits: Vec<Fit>,
}

impl CachedStatement {
    /// An error of this statement as the client's text of the same shape has it: its place counts there.
    pub fn error_in(&self, error: SqlError, text: &str) -> SqlError {
        match error.fields().position {
            Some(position) if *self.text != *text => {
                let moved = Shape::moved(&self.text, text, position);
                error.at(Some(moved))
            }
            _ => error,
        }
    }

    /// Values of the lifted literals of a text; `None` if one is no value of its type, or does not fit.
    fn values(&self, text: &str, literals: &[Literal], session: &dyn SessionView) -> Option<Arc<[Datum]>> {
        let parameters = &self.prepared.parameters;
        let values = self.lifted.iter().zip(parameters.iter()).map(|(at, ty)| {
            let literal = &literals[usize::from(*at)];
            literal.value(text, *ty, session)
        });
        let values: Arc<[Datum]> = values.collect::<Result<_, _>>().ok()?;
        let fits = |fit: &Fit| types::apply_modifier(values[fit.parameter].clone(), fit.ty, fit.explicit).is_ok();
        self.fits.iter().all(fits).then_some(values)
    }
}

/// What is known of a key.
enum Known {
    /// It came once.
    Seen,
    /// The literals at these positions belong to the key.
    Fixed(Positions),
    Plan(Arc<CachedStatement>),
}

struct Entry {
    known: Known,
    is_used: AtomicBool,
}

/// How often the cache helped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheCounts {
    /// Plans found.
    pub hits: u64,
    /// Statements that were bound anew.
    pub misses: u64,
    /// Entries now.
    pub entries: u64,
}

/// The plans of a node.
#[derive(Default)]
pub struct PlanCache {
    parts: [RwLock<AHashMap<Box<[u8]>, Entry>>; PART_COUNT],
    hasher: ahash::RandomState,
    meanings: RwLock<AHashMap<String, u32>>,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// What looking for a simple query's plan gave.
#[allow(clippy::large_enum_variant, reason = "taken apart where it is returned to")]
pub enum Found {
    /// The plan, and the values of its parameters.
    Plan(Arc<CachedStatement>, Arc<[Datum]>),
    /// None yet; worth [`Planner::learn`]ing if so.
    Nothing(Option<Unknown>),
}

/// A statement that has no plan yet.
pub struct Unknown {
    shape: Shape,
    /// Its shape's key, or with the literals that are known to be part of it.
    key: Vec<u8>,
    /// Whether the key was seen before.
    is_known: bool,
}

impl PlanCache {
    /// The number of a meaning; `None` when too many are known.
    pub fn meaning(&self, text: &str) -> Option<Meaning> {
        if let Some(number) = self.meanings.read().get(text) {
            return Some(Meaning(*number));
        }
        let mut meanings = self.meanings.write();
        let next = meanings.len();
        if next >= MEANING_COUNT_MAX {
            return None;
        }
        Some(Meaning(*meanings.entry(text.to_owned()).or_insert(next as u32)))
    }

    /// How often it helped.
    pub fn counts(&self) -> CacheCounts {
        CacheCounts {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            entries: self.parts.iter().map(|part| part.read().len() as u64).sum(),
        }
    }

    fn part(&self, key: &[u8]) -> &RwLock<AHashMap<Box<[u8]>, Entry>> {
        &self.parts[self.hasher.hash_one(key) as usize % PART_COUNT]
    }

    fn look<T>(&self, key: &[u8], read: impl FnOnce(&Known) -> T) -> Option<T> {
        let part = self.part(key).read();
        let entry = part.get(key)?;
        if !entry.is_used.load(Ordering::Relaxed) {
            entry.is_used.store(true, Ordering::Relaxed);
        }
        Some(read(&entry.known))
    }

    fn put(&self, key: &[u8], known: Known) {
        let mut part = self.part(key).write();
        if part.len() >= PART_ENTRY_COUNT_MAX && !part.contains_key(key) {
            part.retain(|_, entry| entry.is_used.swap(false, Ordering::Relaxed));
            if part.len() >= PART_ENTRY_COUNT_MAX {
                part.clear();
            }
        }
        let is_used = AtomicBool::new(false);
        part.insert(key.into(), Entry { known, is_used });
    }

    fn plan(&self, key: &[u8], catalog: &Catalog) -> Option<Arc<CachedStatement>> {
        self.look(key, |known| match known {
            Known::Plan(plan) => Some(plan.clone()),
            Known::Seen | Known::Fixed(_) => None,
        })
        .flatten()
        .filter(|plan| plan.prepared.catalog_version == catalog.version)
    }

    fn count(&self, is_hit: bool) {
        let counter = if is_hit { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Key of a text together with the literals that are part of it.
fn with_fixed(shape: &Shape, text: &str, fixed: &[u16]) -> Vec<u8> {
    let mut key = shape.key.clone();
    for position in fixed {
        let literal = &shape.literals[usize::from(*position)];
        key.push(0);
        key.extend_from_slice(&text.as_bytes()[literal.start..literal.end]);
    }
    key
}

/// What keys begin with, so that those of simple queries and of prepared statements differ.
fn prefix(meaning: Meaning, is_prepared: bool) -> [u8; 5] {
    let [a, b, c, d] = meaning.0.to_be_bytes();
    [a, b, c, d, u8::from(is_prepared)]
}

fn prepared_key(meaning: Meaning, text: &str, declared: &[u32]) -> Option<Vec<u8>> {
    if text.len() > shape::TEXT_BYTES_MAX {
        return None;
    }
    let mut key = prefix(meaning, true).to_vec();
    declared
        .iter()
        .for_each(|oid| key.extend_from_slice(&oid.to_be_bytes()));
    key.push(declared.len() as u8);
    key.extend_from_slice(text.as_bytes());
    (declared.len() < 256).then_some(key)
}

impl Planner {
    /// Looks for the plan of a simple query.
    pub fn find(&self, catalog: &Catalog, session: &dyn SessionView, meaning: Meaning, text: &str) -> Found {
        let cache = &self.plans;
        let Some(shape) = Shape::of(text, &prefix(meaning, false)) else {
            return Found::Nothing(None);
        };
        let known = |known: &Known| match known {
            Known::Seen => (None, None),
            Known::Fixed(fixed) => (Some(fixed.clone()), None),
            Known::Plan(plan) => (None, Some(plan.clone())),
        };
        let mut found = cache.look(&shape.key, known);
        let mut longer = None;
        if let Some((Some(fixed), _)) = &found {
            let key = with_fixed(&shape, text, fixed);
            found = cache.look(&key, known);
            longer = Some(key);
        }
        let is_known = found.is_some();
        if let Some((_, Some(plan))) = found
            && plan.prepared.catalog_version == catalog.version
            && let Some(values) = plan.values(text, &shape.literals, session)
        {
            cache.count(true);
            return Found::Plan(plan, values);
        }
        cache.count(false);
        let key = longer.unwrap_or_else(|| shape.key.clone());
        Found::Nothing(Some(Unknown { shape, key, is_known }))
    }

    /// Makes a plan of a statement that had none, the second time it is seen. What binding raises is for the statement
    /// itself to tell.
    pub fn learn(&self, catalog: &Catalog, session: &dyn SessionView, text: &str, unknown: &Unknown) {
        let Unknown { shape, key, is_known } = unknown;
        if !is_known {
            return self.plans.put(key, Known::Seen);
        }
        let lifter = Lifter {
            catalog,
            session,
            text,
            shape,
        };
        let Some(lifted) = lifter.lift() else { return };
        let statement = CachedStatement {
            parsed: lifted.parsed,
            prepared: Prepared::of(lifted.bound, catalog),
            text: text.into(),
            lifted: lifted.literals,
            fits: lifted.fits,
        };
        let fixed: Positions = (0..shape.literals.len() as u16)
            .filter(|position| !statement.lifted.contains(position))
            .collect();
        let plan = Known::Plan(Arc::new(statement));
        if fixed.is_empty() {
            self.plans.put(&shape.key, plan);
        } else {
            self.plans.put(&with_fixed(shape, text, &fixed), plan);
            self.plans.put(&shape.key, Known::Fixed(fixed));
        }
    }

    /// Looks for a statement that was prepared before, by any session, from this text with these declared types.
    pub fn find_prepared(
        &self,
        catalog: &Catalog,
        meaning: Meaning,
        text: &str,
        declared: &[u32],
    ) -> Option<Arc<CachedStatement>> {
        let found = self.plans.plan(&prepared_key(meaning, text, declared)?, catalog);
        self.plans.count(found.is_some());
        found
    }

    /// Keeps a prepared statement for [`Self::find_prepared`].
    pub fn learn_prepared(
        &self,
        meaning: Meaning,
        text: &str,
        declared: &[u32],
        (parsed, prepared): (&Parsed, &Prepared),
    ) {
        let Some(key) = prepared_key(meaning, text, declared).filter(|_| prepared.is_cacheable()) else {
            return;
        };
        let statement = CachedStatement {
            parsed: parsed.clone(),
            prepared: prepared.clone(),
            text: text.into(),
            lifted: Positions::new(),
            fits: Vec::new(),
        };
        self.plans.put(&key, Known::Plan(Arc::new(statement)));
    }
}
