//! Modes: which locks may be held side by side, as one table (DESIGN L1, L2).
//!
//! A holder has a *set* of modes at a node: SIX is S and IX together, and PostgreSQL lets one transaction hold several
//! table modes. Two sets conflict when any of their members do; one set covers a mode when it already conflicts with all
//! that mode conflicts with.

use std::fmt;

use crate::Mode;

/// A set of modes held or wanted at one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct ModeSet(u16);

/// Number of members; see [`CONFLICTS`] for their order.
const MODE_COUNT: usize = 14;

/// The compatibility table: row conflicts with each column marked `x`. Path modes stand at every node but a table's,
/// table modes only there, so the two blocks never meet. `W` is the mark of a writer on a path class (see `class`): it
/// says that something below here, or all of it, is being written in some row; other rows' writers do not mind.
#[rustfmt::skip]
const CONFLICTS: [(&str, &str); MODE_COUNT] = [
    //                          IS IX S  A  X  W   AS RS RX SU SH SR EX AX
    ("IS",                      ". . . x x x  . . . . . . . ."),
    ("IX",                      ". . x x x .  . . . . . . . ."),
    ("S",                       ". x . x x x  . . . . . . . ."),
    ("A",                       "x x x . x x  . . . . . . . ."),
    ("X",                       "x x x x x x  . . . . . . . ."),
    ("W",                       "x . x x x .  . . . . . . . ."),
    ("AccessShareLock",         ". . . . . .  . . . . . . . x"),
    ("RowShareLock",            ". . . . . .  . . . . . . x x"),
    ("RowExclusiveLock",        ". . . . . .  . . . . x x x x"),
    ("ShareUpdateExclusiveLock",". . . . . .  . . . x x x x x"),
    ("ShareLock",               ". . . . . .  . . x x . x x x"),
    ("ShareRowExclusiveLock",   ". . . . . .  . . x x x x x x"),
    ("ExclusiveLock",           ". . . . . .  . x x x x x x x"),
    ("AccessExclusiveLock",     ". . . . . .  x x x x x x x x"),
];

const MASKS: [u16; MODE_COUNT] = masks();

const fn masks() -> [u16; MODE_COUNT] {
    let mut masks = [0u16; MODE_COUNT];
    let mut row = 0;
    while row < MODE_COUNT {
        let cells = CONFLICTS[row].1.as_bytes();
        let (mut column, mut at) = (0, 0);
        while at < cells.len() {
            if cells[at] == b'x' {
                masks[row] |= 1 << column;
            }
            if cells[at] != b' ' {
                column += 1;
            }
            at += 1;
        }
        assert!(column == MODE_COUNT, "a cell for every pair");
        row += 1;
    }
    masks
}

impl ModeSet {
    pub(super) const NONE: ModeSet = ModeSet(0);
    pub(super) const IS: ModeSet = ModeSet(1);
    pub(super) const IX: ModeSet = ModeSet(1 << 1);
    pub(super) const S: ModeSet = ModeSet(1 << 2);
    pub(super) const A: ModeSet = ModeSet(1 << 3);
    pub(super) const X: ModeSet = ModeSet(1 << 4);
    /// A writer's mark on a path class.
    pub(super) const W: ModeSet = ModeSet(1 << 5);
    const ACCESS_SHARE: ModeSet = ModeSet(1 << 6);
    pub(super) const ROW_SHARE: ModeSet = ModeSet(1 << 7);
    pub(super) const ROW_EXCLUSIVE: ModeSet = ModeSet(1 << 8);
    const SHARE_UPDATE_EXCLUSIVE: ModeSet = ModeSet(1 << 9);
    pub(super) const TABLE_SHARE: ModeSet = ModeSet(1 << 10);
    const SHARE_ROW_EXCLUSIVE: ModeSet = ModeSet(1 << 11);
    pub(super) const TABLE_EXCLUSIVE: ModeSet = ModeSet(1 << 12);
    const ACCESS_EXCLUSIVE: ModeSet = ModeSet(1 << 13);

    /// Members that cover reading and writing of everything below their node.
    const EXCLUSIVE_BELOW: ModeSet = ModeSet(ModeSet::X.0 | ModeSet::TABLE_EXCLUSIVE.0 | ModeSet::ACCESS_EXCLUSIVE.0);
    /// Members that cover reading of everything below their node.
    const SHARED_BELOW: ModeSet =
        ModeSet(ModeSet::EXCLUSIVE_BELOW.0 | ModeSet::S.0 | ModeSet::TABLE_SHARE.0 | ModeSet::SHARE_ROW_EXCLUSIVE.0);
    const READS: ModeSet = ModeSet(ModeSet::IS.0 | ModeSet::S.0);
    const WRITES: ModeSet = ModeSet(ModeSet::IX.0 | ModeSet::A.0 | ModeSet::X.0 | ModeSet::W.0);

    /// The set a requested mode means at a node; at a table node path modes become the table modes that do the same.
    pub(super) fn of(mode: Mode, at_table: bool) -> Option<ModeSet> {
        Some(match (mode, at_table) {
            (Mode::IntentionShared, false) => ModeSet::IS,
            (Mode::IntentionExclusive, false) => ModeSet::IX,
            (Mode::Shared, false) => ModeSet::S,
            (Mode::SharedIntentionExclusive, false) => ModeSet::S | ModeSet::IX,
            (Mode::Exclusive, false) => ModeSet::X,
            (Mode::Add, false) => ModeSet::A,
            (Mode::IntentionShared | Mode::RowShare, true) => ModeSet::ROW_SHARE,
            (Mode::IntentionExclusive | Mode::RowExclusive, true) => ModeSet::ROW_EXCLUSIVE,
            (Mode::Shared | Mode::TableShare, true) => ModeSet::TABLE_SHARE,
            (Mode::SharedIntentionExclusive, true) => ModeSet::TABLE_SHARE | ModeSet::ROW_EXCLUSIVE,
            // Lock-free reads go on beside it: they wait for ACCESS EXCLUSIVE only.
            (Mode::Exclusive | Mode::Add | Mode::TableExclusive, true) => ModeSet::TABLE_EXCLUSIVE,
            (Mode::AccessShare, true) => ModeSet::ACCESS_SHARE,
            (Mode::ShareUpdateExclusive, true) => ModeSet::SHARE_UPDATE_EXCLUSIVE,
            (Mode::ShareRowExclusive, true) => ModeSet::SHARE_ROW_EXCLUSIVE,
            (Mode::AccessExclusive, true) => ModeSet::ACCESS_EXCLUSIVE,
            (
                Mode::AccessShare
                | Mode::RowShare
                | Mode::RowExclusive
                | Mode::ShareUpdateExclusive
                | Mode::TableShare
                | Mode::ShareRowExclusive
                | Mode::TableExclusive
                | Mode::AccessExclusive,
                false,
            ) => return None,
        })
    }

    /// The modes to show for a set, strongest first, without those another member makes redundant.
    pub(super) fn modes(self) -> Vec<Mode> {
        const NAMED: [(ModeSet, Mode); 14] = [
            (ModeSet::X, Mode::Exclusive),
            (ModeSet::A, Mode::Add),
            (ModeSet(ModeSet::S.0 | ModeSet::IX.0), Mode::SharedIntentionExclusive),
            (ModeSet::S, Mode::Shared),
            (ModeSet::IX, Mode::IntentionExclusive),
            (ModeSet::IS, Mode::IntentionShared),
            (ModeSet::ACCESS_EXCLUSIVE, Mode::AccessExclusive),
            (ModeSet::TABLE_EXCLUSIVE, Mode::TableExclusive),
            (ModeSet::SHARE_ROW_EXCLUSIVE, Mode::ShareRowExclusive),
            (ModeSet::TABLE_SHARE, Mode::TableShare),
            (ModeSet::SHARE_UPDATE_EXCLUSIVE, Mode::ShareUpdateExclusive),
            (ModeSet::ROW_EXCLUSIVE, Mode::RowExclusive),
            (ModeSet::ROW_SHARE, Mode::RowShare),
            (ModeSet::ACCESS_SHARE, Mode::AccessShare),
        ];
        let mut shown = ModeSet::NONE;
        let mut modes = Vec::new();
        for (set, mode) in NAMED {
            let hidden = shown.contains(ModeSet::X) || shown.contains(set) || (set == ModeSet::IS && !shown.is_empty());
            if self.contains(set) && !hidden {
                modes.push(mode);
                shown |= set;
            }
        }
        modes
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn contains(self, other: ModeSet) -> bool {
        self.0 & other.0 == other.0
    }

    pub(super) fn intersects(self, other: ModeSet) -> bool {
        self.0 & other.0 != 0
    }

    /// Everything that conflicts with a member.
    fn enemies(self) -> u16 {
        let (mut rest, mut mask) = (self.0, 0);
        while rest != 0 {
            mask |= MASKS[rest.trailing_zeros() as usize];
            rest &= rest - 1;
        }
        mask
    }

    /// Whether two holders may not have these at one node.
    pub(super) fn conflicts(self, other: ModeSet) -> bool {
        self.enemies() & other.0 != 0
    }

    /// Whether holding this makes holding `wanted` at the same node redundant.
    pub(super) fn covers(self, wanted: ModeSet) -> bool {
        self.contains(wanted) || wanted.enemies() & !self.enemies() == 0
    }

    /// Whether holding this at an ancestor makes `wanted` below redundant.
    pub(super) fn covers_below(self, wanted: ModeSet) -> bool {
        self.intersects(ModeSet::EXCLUSIVE_BELOW)
            || (self.intersects(ModeSet::SHARED_BELOW) && !wanted.writes() && wanted != ModeSet::NONE)
    }

    /// Whether a member reads, so that ancestors need IS.
    pub(super) fn reads(self) -> bool {
        self.intersects(ModeSet::READS)
    }

    /// Whether a member writes, so that ancestors need IX.
    pub(super) fn writes(self) -> bool {
        self.intersects(ModeSet::WRITES)
    }

    /// Whether a member changes what is at this very node (an intention does not).
    pub(super) fn changes_here(self) -> bool {
        self.intersects(ModeSet::X | ModeSet::A)
    }

    /// Whether a member reads everything below.
    pub(super) fn is_shared(self) -> bool {
        self.intersects(ModeSet::SHARED_BELOW)
    }

    /// The intentions ancestors need for this.
    pub(super) fn intention(self, at_table: bool) -> ModeSet {
        let (read, write) = if at_table {
            (ModeSet::ROW_SHARE, ModeSet::ROW_EXCLUSIVE)
        } else {
            (ModeSet::IS, ModeSet::IX)
        };
        let mut intention = ModeSet::NONE;
        if self.reads() {
            intention |= read;
        }
        if self.writes() {
            intention |= write;
        }
        intention
    }
}

impl std::ops::BitOr for ModeSet {
    type Output = ModeSet;
    fn bitor(self, other: ModeSet) -> ModeSet {
        ModeSet(self.0 | other.0)
    }
}

impl std::ops::BitOrAssign for ModeSet {
    fn bitor_assign(&mut self, other: ModeSet) {
        self.0 |= other.0;
    }
}

impl std::ops::Sub for ModeSet {
    type Output = ModeSet;
    fn sub(self, other: ModeSet) -> ModeSet {
        ModeSet(self.0 & !other.0)
    }
}

impl fmt::Display for ModeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<String> = self.modes().iter().map(Mode::to_string).collect();
        if self.contains(ModeSet::W) {
            names.push("W".into());
        }
        f.write_str(&if names.is_empty() { "-".into() } else { names.join("+") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Mode; 14] = [
        Mode::IntentionShared,
        Mode::IntentionExclusive,
        Mode::Shared,
        Mode::SharedIntentionExclusive,
        Mode::Exclusive,
        Mode::Add,
        Mode::AccessShare,
        Mode::RowShare,
        Mode::RowExclusive,
        Mode::ShareUpdateExclusive,
        Mode::TableShare,
        Mode::ShareRowExclusive,
        Mode::TableExclusive,
        Mode::AccessExclusive,
    ];

    #[test]
    fn conflicts_are_symmetric() {
        for (one, (one_name, _)) in CONFLICTS.iter().enumerate() {
            for (other, (other_name, _)) in CONFLICTS.iter().enumerate() {
                let (a, b) = (ModeSet(1 << one), ModeSet(1 << other));
                assert_eq!(a.conflicts(b), b.conflicts(a), "{one_name} and {other_name}");
            }
        }
    }

    /// The textbook table, cell by cell, written a second time in the words of DESIGN L1: intentions meet intentions,
    /// S and SIX meet IS, S meets S, A meets A, nothing else.
    #[test]
    fn path_modes_meet_as_the_textbook_says() {
        let path = &ALL[..6];
        for &one in path {
            for &other in path {
                use Mode::{
                    Add, IntentionExclusive as Ix, IntentionShared as Is, Shared, SharedIntentionExclusive as Six,
                };
                let meets = |a: Mode, b: Mode| {
                    let intentions = matches!((a, b), (Is | Ix, Is | Ix));
                    intentions || matches!((a, b), (Shared | Six, Is) | (Shared, Shared) | (Add, Add))
                };
                let (a, b) = (ModeSet::of(one, false).unwrap(), ModeSet::of(other, false).unwrap());
                assert_eq!(
                    !a.conflicts(b),
                    meets(one, other) || meets(other, one),
                    "{one} and {other}"
                );
            }
        }
    }

    /// PostgreSQL 15 chapter 13.3, table 13.2.
    #[test]
    fn table_modes_meet_as_postgresql_says() {
        let manual = [
            (Mode::AccessShare, ".......x"),
            (Mode::RowShare, "......xx"),
            (Mode::RowExclusive, "....xxxx"),
            (Mode::ShareUpdateExclusive, "...xxxxx"),
            (Mode::TableShare, "..xx.xxx"),
            (Mode::ShareRowExclusive, "..xxxxxx"),
            (Mode::TableExclusive, ".xxxxxxx"),
            (Mode::AccessExclusive, "xxxxxxxx"),
        ];
        for (one, cells) in manual {
            for (cell, (other, _)) in cells.chars().zip(manual) {
                let (a, b) = (ModeSet::of(one, true).unwrap(), ModeSet::of(other, true).unwrap());
                assert_eq!(a.conflicts(b), cell == 'x', "{one} and {other}");
            }
        }
    }

    #[test]
    fn every_set_shows_as_modes_that_mean_the_same() {
        for mode in ALL {
            for at_table in [false, true] {
                let Some(set) = ModeSet::of(mode, at_table) else {
                    continue;
                };
                let mut again = ModeSet::NONE;
                for shown in set.modes() {
                    again |= ModeSet::of(shown, at_table).unwrap();
                }
                assert_eq!(again, set, "{mode}");
            }
        }
        assert_eq!((ModeSet::X | ModeSet::S | ModeSet::IS).to_string(), "X");
        assert_eq!((ModeSet::S | ModeSet::IX).to_string(), "SIX");
        assert_eq!((ModeSet::IS | ModeSet::IX).to_string(), "IX");
    }
}
