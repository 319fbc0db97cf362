//! Increments: how much held `A` locks may add to a number, so that no subset of them can leave its type (DESIGN L5).
//!
//! The sums of held increases and decreases are kept apart: with value 10, limits 0..20 and held +5 and −8, the number may
//! become anything from 2 to 15, whoever commits. Another +5 fits, another +6 does not and becomes an X request.

use ahash::AHashMap;
use smallvec::SmallVec;
use storage::{Numeric, Path};

use super::hold::HoldId;
use super::tree::NodeId;
use crate::{AddIncrement, Key, TableId};

/// Where the lock table learns the current value of a number it grants `A` on.
pub trait Values {
    /// The newest value at a path, proposed and unapplied writes included; `None` if there is no exact number.
    fn number(&self, table: TableId, key: &Key, path: &Path) -> Option<Numeric>;
}

/// No values: every `A` becomes an X.
impl Values for () {
    fn number(&self, _: TableId, _: &Key, _: &Path) -> Option<Numeric> {
        None
    }
}

/// Increments of all holders.
#[derive(Clone, Default)]
pub(super) struct Adds {
    records: AHashMap<HoldId, Record>,
    /// Sums of the records that are held, not ceded.
    sums: AHashMap<NodeId, Sum>,
}

#[derive(Clone)]
struct Record {
    /// With the savepoint counter of each, in order.
    items: SmallVec<[(u64, Sum); 1]>,
    min: Option<Numeric>,
    max: Option<Numeric>,
    held: bool,
}

/// What increments come to: increases and decreases apart.
#[derive(Clone, Default, Debug)]
pub(super) struct Sum {
    rises: Numeric,
    falls: Numeric,
}

impl Sum {
    fn of(by: &Numeric) -> Sum {
        let zero = Numeric::default;
        if by.is_negative() {
            Sum {
                rises: zero(),
                falls: by.clone(),
            }
        } else {
            Sum {
                rises: by.clone(),
                falls: zero(),
            }
        }
    }

    /// The two together, if numeric can say it.
    fn plus(&self, other: &Sum) -> Option<Sum> {
        Some(Sum {
            rises: self.rises.add(&other.rises).ok()?,
            falls: self.falls.add(&other.falls).ok()?,
        })
    }

    fn minus(&self, other: &Sum) -> Sum {
        let left = |from: &Numeric, take: &Numeric| from.sub(take).unwrap_or_default();
        Sum {
            rises: left(&self.rises, &other.rises),
            falls: left(&self.falls, &other.falls),
        }
    }

    /// Whether a value stays within limits whichever of the increments happen.
    fn fits(&self, value: &Numeric, min: Option<&Numeric>, max: Option<&Numeric>) -> bool {
        let (Ok(high), Ok(low)) = (value.add(&self.rises), value.add(&self.falls)) else {
            return false;
        };
        high.is_finite() && low.is_finite() && max.is_none_or(|max| high <= *max) && min.is_none_or(|min| low >= *min)
    }
}

impl Record {
    fn total(&self) -> Sum {
        self.items
            .iter()
            .fold(Sum::default(), |sum, (_, item)| sum.plus(item).unwrap_or(sum))
    }
}

impl Adds {
    /// Whether more increments may be granted at a node beside those held there.
    pub(super) fn allows<'a>(
        &self,
        node: NodeId,
        wanted: impl IntoIterator<Item = &'a AddIncrement>,
        value: Option<&Numeric>,
    ) -> bool {
        let Some(value) = value else { return false };
        let mut sum = self.sums.get(&node).cloned().unwrap_or_default();
        for add in wanted {
            match sum.plus(&Sum::of(&add.by)) {
                Some(more) if more.fits(value, add.min.as_ref(), add.max.as_ref()) => sum = more,
                _ => return false,
            }
        }
        true
    }

    /// Whether what a hold adds fits the value, all else at the node left out. Asked when a ceded A comes back as X.
    pub(super) fn fits_alone(&self, hold: HoldId, value: Option<&Numeric>) -> bool {
        let Some(record) = self.records.get(&hold) else {
            return true;
        };
        let total = record.total();
        value.is_some_and(|value| total.fits(value, record.min.as_ref(), record.max.as_ref()))
    }

    /// Whether a ceded record may be held again beside what is held at its node.
    pub(super) fn fits_again(&self, hold: HoldId, node: NodeId, value: Option<&Numeric>) -> bool {
        let (Some(record), Some(value)) = (self.records.get(&hold), value) else {
            return false;
        };
        let sum = self.sums.get(&node).cloned().unwrap_or_default().plus(&record.total());
        sum.is_some_and(|sum| sum.fits(value, record.min.as_ref(), record.max.as_ref()))
    }

    /// Records an increment of a hold.
    pub(super) fn push(&mut self, hold: HoldId, node: NodeId, step: u64, add: &AddIncrement) {
        let item = Sum::of(&add.by);
        let record = self.records.entry(hold).or_insert_with(|| Record {
            items: SmallVec::new(),
            min: add.min.clone(),
            max: add.max.clone(),
            held: true,
        });
        let sum = self.sums.entry(node).or_default();
        *sum = sum.plus(&item).expect("checked by allows");
        let at = record
            .items
            .iter()
            .rposition(|(before, _)| *before <= step)
            .map_or(0, |at| at + 1);
        record.items.insert(at, (step, item));
    }

    /// Takes a record out of the sums; it stays known.
    pub(super) fn cede(&mut self, hold: HoldId, node: NodeId) {
        if let Some(record) = self.records.get_mut(&hold).filter(|record| record.held) {
            record.held = false;
            let total = record.total();
            self.subtract(node, &total);
        }
    }

    /// Counts a ceded record again.
    pub(super) fn resume(&mut self, hold: HoldId, node: NodeId) {
        if let Some(record) = self.records.get_mut(&hold).filter(|record| !record.held) {
            record.held = true;
            let sum = self.sums.entry(node).or_default();
            *sum = sum
                .plus(&record.total())
                .expect("checked by fits_again, or counted before");
        }
    }

    /// Forgets the last increment of a hold; tells whether any is left.
    pub(super) fn pop(&mut self, hold: HoldId, node: NodeId) -> bool {
        let Some(record) = self.records.get_mut(&hold) else {
            return false;
        };
        let undone = record.items.pop().map(|(_, item)| item);
        let (held, left) = (record.held, !record.items.is_empty());
        if let Some(undone) = undone.filter(|_| held) {
            self.subtract(node, &undone);
        }
        if !left {
            self.records.remove(&hold);
        }
        left
    }

    /// Forgets a record.
    pub(super) fn remove(&mut self, hold: HoldId, node: NodeId) {
        if let Some(record) = self.records.remove(&hold).filter(|record| record.held) {
            self.subtract(node, &record.total());
        }
    }

    fn subtract(&mut self, node: NodeId, what: &Sum) {
        if let Some(sum) = self.sums.get_mut(&node) {
            *sum = sum.minus(what);
            if sum.rises.is_zero() && sum.falls.is_zero() {
                self.sums.remove(&node);
            }
        }
    }

    /// What a hold adds, as increments that say the same: an increase and a decrease.
    pub(super) fn increments(&self, hold: HoldId) -> SmallVec<[AddIncrement; 2]> {
        let Some(record) = self.records.get(&hold) else {
            return SmallVec::new();
        };
        let Sum { rises, falls } = record.total();
        let add = |by| AddIncrement {
            by,
            min: record.min.clone(),
            max: record.max.clone(),
        };
        let mut increments = SmallVec::new();
        if !falls.is_zero() {
            increments.push(add(falls));
        }
        if !rises.is_zero() || increments.is_empty() {
            increments.push(add(rises));
        }
        increments
    }

    /// Bytes of memory in use, by estimate: numbers of more than 16 bytes are rare.
    pub(super) fn size(&self) -> usize {
        self.records.len() * (size_of::<Record>() + 8) + self.sums.len() * (size_of::<Sum>() + 8)
    }

    /// What the held records at a node come to, and what is kept for it: they must say the same.
    pub(super) fn check(&self, node: NodeId, holds: impl Iterator<Item = HoldId>) -> Result<(), String> {
        let mut expected = Sum::default();
        for record in holds
            .filter_map(|hold| self.records.get(&hold))
            .filter(|record| record.held)
        {
            expected = expected.plus(&record.total()).unwrap_or(expected);
        }
        let kept = self.sums.get(&node).cloned().unwrap_or_default();
        if kept.rises == expected.rises && kept.falls == expected.falls {
            Ok(())
        } else {
            Err(format!("L5: sums {kept:?} are kept where {expected:?} are held"))
        }
    }
}
