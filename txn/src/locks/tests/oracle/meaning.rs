//! What names and modes mean, pair by pair: which two locks conflict, and which lock covers another.

use bytes::Bytes;
use storage::{Path, Step};

use crate::locks::*;
use crate::{Key, LockName, Mode, RowPart};

pub(super) fn path(text: &str) -> Path {
    Path {
        column: 0,
        steps: text
            .split('/')
            .filter(|step| !step.is_empty())
            .map(|step| Step::Member(step.into()))
            .collect(),
    }
}

pub(super) fn names() -> Vec<LockName> {
    let key = |text: &'static str| Bytes::from_static(text.as_bytes());
    let (index, global) = (9, false);
    let mut names = vec![LockName::Table(1), LockName::RowSet { table: 1, row: None }];
    for row in ["r0", "r1"] {
        for part in [RowPart::Row, RowPart::Identity, RowPart::Data] {
            names.push(LockName::Row {
                table: 1,
                key: key(row),
                part,
            });
        }
        for text in ["", "a", "a/x", "b"] {
            names.push(LockName::path(1, key(row), path(text)));
        }
    }
    for text in ["", "a", "a/x", "a/y"] {
        names.push(LockName::PathClass {
            table: 1,
            path: path(text),
        });
    }
    for value in ["u", "v", "w"] {
        for row in [None, Some(key("r0")), Some(key("r1"))] {
            names.push(LockName::IndexValue {
                table: 1,
                index,
                global,
                value: key(value),
                row,
            });
        }
    }
    for (from, to) in [("", None), ("u", Some(key("v"))), ("v", None), ("ua", Some(key("va")))] {
        names.push(LockName::IndexInterval {
            table: 1,
            index,
            global,
            from: key(from),
            to,
        });
    }
    names
}

pub(super) const PATH_MODES: [Mode; 5] = [
    Mode::IntentionShared,
    Mode::IntentionExclusive,
    Mode::Shared,
    Mode::SharedIntentionExclusive,
    Mode::Exclusive,
];
pub(super) const TABLE_MODES: [Mode; 8] = [
    Mode::AccessShare,
    Mode::RowShare,
    Mode::RowExclusive,
    Mode::ShareUpdateExclusive,
    Mode::TableShare,
    Mode::ShareRowExclusive,
    Mode::TableExclusive,
    Mode::AccessExclusive,
];

/// The n-th mode a name may have, S and X most of the time.
pub(super) fn mode(name: &LockName, choice: usize) -> Mode {
    match name {
        LockName::Table(_) => TABLE_MODES[choice % 8],
        LockName::PathClass { .. } => Mode::Shared,
        _ if choice < 8 => PATH_MODES[2 + (choice % 2) * 2],
        _ => PATH_MODES[choice % 5],
    }
}

// What the oracle believes about modes, written apart from the table's own matrix.

pub(super) fn path_modes_meet(one: Mode, other: Mode) -> bool {
    use Mode::{Add, IntentionExclusive as Ix, IntentionShared as Is, Shared, SharedIntentionExclusive as Six};
    matches!(
        (one, other),
        (Is | Ix, Is | Ix) | (Is, Shared | Six) | (Shared | Six, Is) | (Shared, Shared) | (Add, Add)
    )
}

pub(super) fn table_modes_meet(one: Mode, other: Mode) -> bool {
    use Mode::*;
    let weaker = |mode| {
        TABLE_MODES
            .iter()
            .position(|&known| known == mode)
            .expect("a table mode")
    };
    let (low, high) = if weaker(one) <= weaker(other) {
        (one, other)
    } else {
        (other, one)
    };
    match high {
        AccessShare | RowShare | RowExclusive => true,
        ShareUpdateExclusive => matches!(low, AccessShare | RowShare | RowExclusive),
        TableShare => matches!(low, AccessShare | RowShare | TableShare),
        ShareRowExclusive => matches!(low, AccessShare | RowShare),
        TableExclusive => low == AccessShare,
        _ => false,
    }
}

pub(super) fn writes(mode: Mode) -> bool {
    !matches!(mode, Mode::IntentionShared | Mode::Shared)
}

pub(super) fn intention(mode: Mode) -> Mode {
    if writes(mode) {
        Mode::IntentionExclusive
    } else {
        Mode::IntentionShared
    }
}

pub(super) fn table_intention(mode: Mode) -> Mode {
    if writes(mode) {
        Mode::RowExclusive
    } else {
        Mode::RowShare
    }
}

/// The places of a row from its root to a part.
pub(super) fn row_steps(part: &RowPart) -> Vec<String> {
    match part {
        RowPart::Row => vec![],
        RowPart::Identity => vec!["#key".into()],
        RowPart::Data => vec!["#data".into()],
        RowPart::Path(path) => {
            let mut steps = vec!["#data".to_string(), path.column.to_string()];
            steps.extend(path.steps.iter().map(|step| format!("{step:?}")));
            steps
        }
    }
}

pub(super) fn hierarchical(one: &[String], one_mode: Mode, other: &[String], other_mode: Mode) -> bool {
    if one == other {
        !path_modes_meet(one_mode, other_mode)
    } else if other.starts_with(one) {
        !path_modes_meet(one_mode, intention(other_mode))
    } else if one.starts_with(other) {
        !path_modes_meet(intention(one_mode), other_mode)
    } else {
        false
    }
}

pub(super) fn conflict(one: &(LockName, Mode), other: &(LockName, Mode)) -> bool {
    let ((one, one_mode), (other, other_mode)) = (one, other);
    let (one_mode, other_mode) = (*one_mode, *other_mode);
    match (one, other) {
        (LockName::Table(_), LockName::Table(_)) => !table_modes_meet(one_mode, other_mode),
        (LockName::Table(_), _) => !table_modes_meet(one_mode, table_intention(other_mode)),
        (_, LockName::Table(_)) => !table_modes_meet(table_intention(one_mode), other_mode),
        (
            LockName::Row {
                key: one_key,
                part: one,
                ..
            },
            LockName::Row {
                key: other_key,
                part: other,
                ..
            },
        ) => one_key == other_key && hierarchical(&row_steps(one), one_mode, &row_steps(other), other_mode),
        (LockName::PathClass { .. }, LockName::PathClass { .. }) => false,
        (LockName::PathClass { path: class, .. }, LockName::Row { part, .. }) => {
            class_conflict(class, part, other_mode)
        }
        (LockName::Row { part, .. }, LockName::PathClass { path: class, .. }) => class_conflict(class, part, one_mode),
        (LockName::RowSet { .. }, LockName::RowSet { .. }) => !path_modes_meet(one_mode, other_mode),
        (
            LockName::IndexValue {
                value: one_value,
                row: one_row,
                ..
            },
            LockName::IndexValue {
                value: other_value,
                row: other_row,
                ..
            },
        ) => {
            let steps = |row: &Option<Key>| row.iter().map(|row| format!("{row:?}")).collect::<Vec<_>>();
            one_value == other_value && hierarchical(&steps(one_row), one_mode, &steps(other_row), other_mode)
        }
        (LockName::IndexInterval { from, to, .. }, LockName::IndexValue { value, row, .. }) => {
            let mode = if row.is_some() {
                intention(other_mode)
            } else {
                other_mode
            };
            from <= value && to.as_ref().is_none_or(|to| value < to) && !path_modes_meet(one_mode, mode)
        }
        (LockName::IndexValue { .. }, LockName::IndexInterval { .. }) => {
            conflict(&(other.clone(), other_mode), &(one.clone(), one_mode))
        }
        (
            LockName::IndexInterval {
                from: one_from,
                to: one_to,
                ..
            },
            LockName::IndexInterval {
                from: other_from,
                to: other_to,
                ..
            },
        ) => {
            let before = |from: &Key, to: &Option<Key>| to.as_ref().is_none_or(|to| from < to);
            before(one_from, other_to) && before(other_from, one_to) && !path_modes_meet(one_mode, other_mode)
        }
        _ => false,
    }
}

/// A reader of a path of all rows meets whoever changes that path, something around it or something in it.
pub(super) fn class_conflict(class: &Path, part: &RowPart, mode: Mode) -> bool {
    let changed = match part {
        RowPart::Row | RowPart::Data => Some([].as_slice()),
        RowPart::Path(path) => Some(path.steps.as_slice()),
        RowPart::Identity => None,
    };
    matches!(mode, Mode::Exclusive | Mode::Add)
        && changed.is_some_and(|changed| class.steps.starts_with(changed) || changed.starts_with(&class.steps))
}

/// Whether holding one lock gives all that another one gave.
pub(super) fn covers(held: &(LockName, Mode), lost: &(LockName, Mode)) -> bool {
    let (mode, wanted) = (held.1, lost.1);
    let all = matches!(mode, Mode::Exclusive | Mode::TableExclusive | Mode::AccessExclusive);
    let reads = all
        || matches!(
            mode,
            Mode::Shared | Mode::SharedIntentionExclusive | Mode::TableShare | Mode::ShareRowExclusive
        );
    let above = match (&held.0, &lost.0) {
        (LockName::Table(_), LockName::Table(_)) => false,
        (LockName::Table(_), _) => true,
        (
            LockName::Row {
                key: one, part: above, ..
            },
            LockName::Row { key: other, part, .. },
        ) => one == other && row_steps(part).starts_with(&row_steps(above)),
        (LockName::PathClass { path: above, .. }, LockName::PathClass { path, .. }) => {
            path.steps.starts_with(&above.steps)
        }
        (
            LockName::IndexValue {
                value: one, row: None, ..
            },
            LockName::IndexValue { value: other, .. },
        ) => one == other,
        _ => false,
    };
    let same = held.0 == lost.0
        && (mode == wanted
            || (mode == Mode::Exclusive)
            || (mode == Mode::SharedIntentionExclusive && wanted != Mode::Exclusive && wanted != Mode::Add)
            || matches!(
                (mode, wanted),
                (
                    Mode::Shared | Mode::IntentionExclusive | Mode::Add,
                    Mode::IntentionShared
                )
            )
            || matches!((mode, wanted), (Mode::Add, Mode::IntentionExclusive)));
    same || (above && (all || (reads && !writes(wanted))))
}

/// Whether all modes held at the table together keep out whatever a lost one kept out.
pub(super) fn table_covers(held: &[(LockName, Mode)], lost: &(LockName, Mode)) -> bool {
    let modes: Vec<Mode> = held
        .iter()
        .filter(|(name, _)| matches!(name, LockName::Table(_)))
        .map(|(_, mode)| *mode)
        .collect();
    let kept_out = |other| modes.iter().any(|&mode| !table_modes_meet(mode, other));
    matches!(lost.0, LockName::Table(_))
        && TABLE_MODES
            .iter()
            .all(|&other| table_modes_meet(lost.1, other) || kept_out(other))
}
