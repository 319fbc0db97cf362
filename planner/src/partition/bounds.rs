//! Bounds of the partitions of one table: comparison, overlap, the partition of a row, and those a condition leaves.

use std::cmp::Ordering;

use storage::Datum;

use super::hash::row_hash;
use crate::Type;
use crate::bound::Comparison;
use crate::relational::access::key_value;

/// One value of a range's edge.
#[derive(Clone, Debug)]
pub enum Edge {
    /// Below every value.
    Min,
    /// A value.
    Value(Datum),
    /// Above every value.
    Max,
}

/// FOR VALUES.
#[derive(Clone, Debug)]
pub enum Bound {
    /// From an edge, to before another.
    Range {
        /// First.
        from: Vec<Edge>,
        /// Behind the last.
        to: Vec<Edge>,
    },
    /// One of these values, of which NULL may be one.
    List(Vec<Datum>),
    /// A remainder of the key's hash.
    Hash {
        /// Modulus.
        modulus: u32,
        /// Remainder.
        remainder: u32,
    },
    /// Whatever no other takes.
    Default,
}

/// A condition on one part of a partition key that the rows wanted meet.
#[derive(Clone, Debug)]
pub struct Condition {
    /// Which part.
    pub part: usize,
    /// What it demands.
    pub demand: Demand,
}

/// What a condition demands. Comparisons are never true of NULL.
#[derive(Clone, Debug)]
pub enum Demand {
    /// `part op value`; `<>` says nothing about ranges.
    Compare(Comparison, Datum),
    /// `part = ANY (values)`
    AnyOf(Vec<Datum>),
    /// IS NULL
    IsNull,
    /// IS NOT NULL
    NotNull,
}

impl Demand {
    fn is_met_by(&self, value: &Datum) -> bool {
        let is = |comparison: &Comparison, other: &Datum| {
            let order = value.compare(other);
            match comparison {
                Comparison::Equal => order == Ordering::Equal,
                Comparison::NotEqual => order != Ordering::Equal,
                Comparison::Less => order == Ordering::Less,
                Comparison::LessOrEqual => order != Ordering::Greater,
                Comparison::Greater => order == Ordering::Greater,
                Comparison::GreaterOrEqual => order != Ordering::Less,
            }
        };
        match self {
            Demand::Compare(comparison, other) => !value.is_null() && !other.is_null() && is(comparison, other),
            Demand::AnyOf(values) => {
                !value.is_null()
                    && values
                        .iter()
                        .any(|other| !other.is_null() && is(&Comparison::Equal, other))
            }
            Demand::IsNull => value.is_null(),
            Demand::NotNull => !value.is_null(),
        }
    }

    /// The values that alone meet it, if it names them.
    fn values(&self) -> Option<Vec<Datum>> {
        match self {
            Demand::Compare(Comparison::Equal, value) => Some(vec![value.clone()]),
            Demand::AnyOf(values) => Some(values.clone()),
            Demand::IsNull => Some(vec![Datum::Null]),
            Demand::Compare(..) | Demand::NotNull => None,
        }
    }
}

/// Compares two edges. Behind MINVALUE and MAXVALUE nothing counts.
pub fn compare_edges(left: &[Edge], right: &[Edge]) -> Ordering {
    for (left, right) in left.iter().zip(right) {
        let order = match (left, right) {
            (Edge::Min, Edge::Min) | (Edge::Max, Edge::Max) => return Ordering::Equal,
            (Edge::Min, _) | (_, Edge::Max) => Ordering::Less,
            (_, Edge::Min) | (Edge::Max, _) => Ordering::Greater,
            (Edge::Value(left), Edge::Value(right)) => left.compare(right),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

/// Where a key lies of an edge.
fn compare_to_edge(values: &[Datum], edge: &[Edge]) -> Ordering {
    for (value, edge) in values.iter().zip(edge) {
        let order = match edge {
            Edge::Min => Ordering::Greater,
            Edge::Max => Ordering::Less,
            Edge::Value(edge) => value.compare(edge),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

impl Bound {
    /// The order in which PostgreSQL scans partitions: by their values, the default one last.
    pub fn order(&self, other: &Bound) -> Ordering {
        match (self, other) {
            (Bound::Default, Bound::Default) => Ordering::Equal,
            (Bound::Default, _) => Ordering::Greater,
            (_, Bound::Default) => Ordering::Less,
            (Bound::Range { from: left, .. }, Bound::Range { from: right, .. }) => compare_edges(left, right),
            (Bound::List(left), Bound::List(right)) => {
                let least = |values: &[Datum]| values.iter().min_by(|a, b| a.compare(b)).cloned();
                match (least(left), least(right)) {
                    (Some(left), Some(right)) => left.compare(&right),
                    (left, right) => left.is_some().cmp(&right.is_some()),
                }
            }
            (
                Bound::Hash { modulus, remainder },
                Bound::Hash {
                    modulus: other_modulus,
                    remainder: other_remainder,
                },
            ) => (modulus, remainder).cmp(&(other_modulus, other_remainder)),
            _ => Ordering::Equal,
        }
    }

    /// Whether a range holds nothing.
    pub fn is_empty_range(&self) -> bool {
        matches!(self, Bound::Range { from, to } if compare_edges(from, to) != Ordering::Less)
    }

    /// Whether some key belongs to both.
    pub fn overlaps(&self, other: &Bound) -> bool {
        match (self, other) {
            (
                Bound::Range { from, to },
                Bound::Range {
                    from: other_from,
                    to: other_to,
                },
            ) => compare_edges(from, other_to) == Ordering::Less && compare_edges(other_from, to) == Ordering::Less,
            (Bound::List(values), Bound::List(others)) => values
                .iter()
                .any(|value| others.iter().any(|other| value.compare(other) == Ordering::Equal)),
            (
                Bound::Hash { modulus, remainder },
                Bound::Hash {
                    modulus: other_modulus,
                    remainder: other_remainder,
                },
            ) => {
                let least = (*modulus).min(*other_modulus);
                remainder % least == other_remainder % least
            }
            (Bound::Default, Bound::Default) => true,
            _ => false,
        }
    }

    fn holds(&self, values: &[Datum], hash: impl Fn() -> u64) -> bool {
        match self {
            Bound::Range { from, to } => {
                !values.iter().any(Datum::is_null)
                    && compare_to_edge(values, from) != Ordering::Less
                    && compare_to_edge(values, to) == Ordering::Less
            }
            Bound::List(listed) => values
                .first()
                .is_some_and(|value| listed.iter().any(|listed| value.compare(listed) == Ordering::Equal)),
            Bound::Hash { modulus, remainder } => hash() % u64::from(*modulus) == u64::from(*remainder),
            Bound::Default => false,
        }
    }
}

/// The bounds of all partitions of a table, in scan order.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    bounds: Vec<Bound>,
    /// Types of the key's parts.
    types: Vec<Type>,
    /// Position of the default partition.
    default: Option<usize>,
    /// List values in order, each with its partition.
    listed: Vec<(Datum, usize)>,
}

impl Bounds {
    /// Bounds in [`Bound::order`].
    pub fn new(bounds: Vec<Bound>, types: Vec<Type>) -> Self {
        let default = bounds.iter().position(|bound| matches!(bound, Bound::Default));
        let mut listed: Vec<(Datum, usize)> = Vec::new();
        for (at, bound) in bounds.iter().enumerate() {
            if let Bound::List(values) = bound {
                listed.extend(values.iter().map(|value| (value.clone(), at)));
            }
        }
        listed.sort_by(|(left, _), (right, _)| left.compare(right));
        Self {
            bounds,
            types,
            default,
            listed,
        }
    }

    /// Position of the default partition.
    pub fn default_position(&self) -> Option<usize> {
        self.default
    }

    /// The bounds.
    pub fn bounds(&self) -> &[Bound] {
        &self.bounds
    }

    /// The partition a key belongs to.
    pub fn find(&self, values: &[Datum]) -> Option<usize> {
        let ranged = matches!(self.bounds.first(), Some(Bound::Range { .. }));
        let found = if ranged {
            // Ranges do not overlap: only the last one that begins at or before the key can hold it.
            let ranges = self.bounds.len() - usize::from(self.default.is_some());
            let behind = self.bounds[..ranges].partition_point(
                |bound| matches!(bound, Bound::Range { from, .. } if compare_to_edge(values, from) != Ordering::Less),
            );
            behind.checked_sub(1).filter(|at| self.bounds[*at].holds(values, || 0))
        } else if !self.listed.is_empty() {
            let value = values.first()?;
            let at = self.listed.binary_search_by(|(listed, _)| listed.compare(value));
            at.ok().map(|at| self.listed[at].1)
        } else {
            let hash = row_hash(values.iter().zip(self.types.iter().copied()));
            self.bounds.iter().position(|bound| bound.holds(values, || hash))
        };
        found.or(self.default)
    }

    /// The first partition whose keys a new one would also take.
    pub fn overlap(&self, new: &Bound) -> Option<usize> {
        self.bounds.iter().position(|bound| bound.overlaps(new))
    }

    /// For each partition, whether a row that meets all conditions may be in it.
    pub fn survivors(&self, conditions: &[Condition]) -> Vec<bool> {
        let any = |kept: bool| vec![kept; self.bounds.len()];
        // A comparison with NULL is never true.
        let is_never = |condition: &Condition| match &condition.demand {
            Demand::Compare(_, value) => value.is_null(),
            Demand::AnyOf(values) => values.iter().all(Datum::is_null),
            Demand::IsNull | Demand::NotNull => false,
        };
        if conditions.iter().any(is_never) {
            return any(false);
        }
        match self.bounds.first() {
            None => Vec::new(),
            Some(Bound::Range { .. }) => self.ranges_left(conditions),
            Some(Bound::List(_)) => self.lists_left(conditions),
            Some(Bound::Hash { .. }) => self.hashes_left(conditions),
            // Nothing but a default partition.
            Some(Bound::Default) => any(true),
        }
    }

    fn lists_left(&self, conditions: &[Condition]) -> Vec<bool> {
        let meets = |value: &Datum| conditions.iter().all(|condition| condition.demand.is_met_by(value));
        let mut left: Vec<bool> = self
            .bounds
            .iter()
            .map(|bound| matches!(bound, Bound::List(values) if values.iter().any(meets)))
            .collect();
        if let Some(default) = self.default {
            let named = conditions.iter().find_map(|condition| condition.demand.values());
            left[default] = match named {
                Some(values) => values
                    .iter()
                    .filter(|value| meets(value))
                    .any(|value| self.find(std::slice::from_ref(value)) == Some(default)),
                None => true,
            };
        }
        left
    }

    fn hashes_left(&self, conditions: &[Condition]) -> Vec<bool> {
        let all = vec![true; self.bounds.len()];
        let mut keys: Vec<Vec<Datum>> = vec![Vec::new()];
        for (part, ty) in self.types.iter().enumerate() {
            let named = conditions
                .iter()
                .filter(|condition| condition.part == part)
                .find_map(|condition| condition.demand.values());
            let Some(values) = named else { return all };
            // The product of long lists is not worth its while.
            if keys.len() * values.len() > 1024 {
                return all;
            }
            let typed = |value: Datum| match value {
                Datum::Null => Some(Datum::Null),
                value => key_value(value, *ty),
            };
            let values: Vec<Datum> = values.into_iter().filter_map(typed).collect();
            keys = keys
                .iter()
                .flat_map(|key| {
                    values
                        .iter()
                        .map(|value| [key.as_slice(), std::slice::from_ref(value)].concat())
                })
                .collect();
        }
        let mut left = vec![false; self.bounds.len()];
        for at in keys.iter().filter_map(|key| self.find(key)) {
            left[at] = true;
        }
        left
    }

    fn ranges_left(&self, conditions: &[Condition]) -> Vec<bool> {
        let mut left = vec![false; self.bounds.len()];
        if conditions
            .iter()
            .any(|condition| matches!(condition.demand, Demand::IsNull))
        {
            // A key with a NULL is in no range.
            if let Some(default) = self.default {
                left[default] = true;
            }
            return left;
        }
        for region in self.regions(conditions) {
            self.mark(&region, &mut left);
        }
        left
    }

    /// What the conditions say of the leading parts of the key: one region, or one for each value of a list.
    fn regions(&self, conditions: &[Condition]) -> Vec<Region> {
        let of = |part: usize| conditions.iter().filter(move |condition| condition.part == part);
        let mut regions = vec![Region::default()];
        for part in 0..self.types.len() {
            let named = of(part).find_map(|condition| condition.demand.values());
            if let Some(values) = named
                && regions.len() * values.len() <= 1024
            {
                let meets = |value: &&Datum| of(part).all(|condition| condition.demand.is_met_by(value));
                let values: Vec<&Datum> = values.iter().filter(meets).collect();
                regions = regions
                    .iter()
                    .flat_map(|region| values.iter().map(|value| region.with_value(value)))
                    .collect();
                continue;
            }
            let (mut lower, mut upper) = (None::<(Datum, bool)>, None::<(Datum, bool)>);
            let mut is_not_null = false;
            for condition in of(part) {
                match &condition.demand {
                    Demand::Compare(comparison @ (Comparison::Greater | Comparison::GreaterOrEqual), value) => {
                        is_not_null = true;
                        let is_inclusive = *comparison == Comparison::GreaterOrEqual;
                        if lower
                            .as_ref()
                            .is_none_or(|(known, _)| value.compare(known) == Ordering::Greater)
                        {
                            lower = Some((value.clone(), is_inclusive));
                        }
                    }
                    Demand::Compare(comparison @ (Comparison::Less | Comparison::LessOrEqual), value) => {
                        is_not_null = true;
                        let is_inclusive = *comparison == Comparison::LessOrEqual;
                        if upper
                            .as_ref()
                            .is_none_or(|(known, _)| value.compare(known) == Ordering::Less)
                        {
                            upper = Some((value.clone(), is_inclusive));
                        }
                    }
                    _ => is_not_null = true,
                }
            }
            for region in &mut regions {
                region.close(&lower, &upper, is_not_null && part + 1 == self.types.len());
            }
            break;
        }
        regions
    }

    fn mark(&self, region: &Region, left: &mut [bool]) {
        let mut covered_to: Option<&[Edge]> = None;
        let (mut is_first, mut has_gap) = (true, false);
        for (at, bound) in self.bounds.iter().enumerate() {
            let Bound::Range { from, to } = bound else { continue };
            if !region.meets(from, to) {
                continue;
            }
            left[at] = true;
            has_gap |= match (is_first, covered_to) {
                (true, _) => !region.begins_in(from),
                (false, Some(end)) => compare_edges(end, from) != Ordering::Equal,
                (false, None) => true,
            };
            is_first = false;
            covered_to = Some(to);
        }
        let is_covered = !has_gap && region.is_total && covered_to.is_some_and(|to| region.ends_in(to));
        if let (Some(default), false) = (self.default, is_covered) {
            left[default] = true;
        }
    }
}

/// Keys between two edges of which only the leading parts are known.
#[derive(Clone, Debug, Default)]
struct Region {
    lower: Vec<Datum>,
    is_lower_inclusive: bool,
    upper: Vec<Datum>,
    is_upper_inclusive: bool,
    /// Whether something is known of every part, so that none is NULL.
    is_total: bool,
    is_closed: bool,
}

impl Region {
    fn with_value(&self, value: &Datum) -> Region {
        let mut region = self.clone();
        region.lower.push(value.clone());
        region.upper.push(value.clone());
        (region.is_lower_inclusive, region.is_upper_inclusive, region.is_total) = (true, true, true);
        region
    }

    fn close(&mut self, lower: &Option<(Datum, bool)>, upper: &Option<(Datum, bool)>, is_total: bool) {
        (self.is_lower_inclusive, self.is_upper_inclusive) = (true, true);
        if let Some((value, is_inclusive)) = lower {
            self.lower.push(value.clone());
            self.is_lower_inclusive = *is_inclusive;
        }
        if let Some((value, is_inclusive)) = upper {
            self.upper.push(value.clone());
            self.is_upper_inclusive = *is_inclusive;
        }
        self.is_total = is_total;
        self.is_closed = true;
    }

    /// Whether a range may hold a key of the region.
    fn meets(&self, from: &[Edge], to: &[Edge]) -> bool {
        let starts_behind = match compare_to_edge(&self.upper, &from[..self.upper.len()]) {
            Ordering::Less => true,
            Ordering::Equal => !self.is_upper_inclusive,
            Ordering::Greater => false,
        };
        let ends_before = match compare_to_edge(&self.lower, &to[..self.lower.len()]) {
            Ordering::Greater => true,
            Ordering::Equal => !self.lower.is_empty() && (self.lower.len() == to.len() || !self.is_lower_inclusive),
            Ordering::Less => false,
        };
        !starts_behind && !ends_before
    }

    /// Whether no key of the region lies before an edge.
    fn begins_in(&self, from: &[Edge]) -> bool {
        match self.lower.len() == from.len() {
            true => compare_to_edge(&self.lower, from) != Ordering::Less,
            false => {
                matches!(from.get(self.lower.len()), Some(Edge::Min))
                    && compare_to_edge(&self.lower, &from[..self.lower.len()]) != Ordering::Less
            }
        }
    }

    /// Whether every key of the region lies before an edge.
    fn ends_in(&self, to: &[Edge]) -> bool {
        match self.upper.len() == to.len() {
            true => match compare_to_edge(&self.upper, to) {
                Ordering::Less => true,
                Ordering::Equal => !self.is_upper_inclusive,
                Ordering::Greater => false,
            },
            false => {
                matches!(to.get(self.upper.len()), Some(Edge::Max))
                    && compare_to_edge(&self.upper, &to[..self.upper.len()]) != Ordering::Greater
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn edge() -> impl Strategy<Value = Edge> {
        prop_oneof![
            1 => Just(Edge::Min),
            6 => (0i32..6).prop_map(|value| Edge::Value(Datum::Int4(value))),
            1 => Just(Edge::Max),
        ]
    }

    fn value() -> impl Strategy<Value = Datum> {
        prop_oneof![1 => Just(Datum::Null), 6 => (-1i32..7).prop_map(Datum::Int4)]
    }

    fn range(width: usize) -> impl Strategy<Value = Bound> {
        let edges = || proptest::collection::vec(edge(), width);
        (edges(), edges()).prop_map(|(from, to)| Bound::Range { from, to })
    }

    /// Bounds that do not overlap, made of candidates of which those that clash are left out.
    fn fitting(candidates: Vec<Bound>, has_default: bool, width: usize) -> Bounds {
        let mut bounds: Vec<Bound> = Vec::new();
        for bound in candidates {
            if !bound.is_empty_range() && !bounds.iter().any(|known| known.overlaps(&bound)) {
                bounds.push(bound);
            }
        }
        if has_default {
            bounds.push(Bound::Default);
        }
        bounds.sort_by(Bound::order);
        Bounds::new(bounds, vec![Type::INT4; width])
    }

    fn ranges(width: usize) -> impl Strategy<Value = Bounds> {
        (proptest::collection::vec(range(width), 1..5), any::<bool>())
            .prop_map(move |(candidates, has_default)| fitting(candidates, has_default, width))
    }

    fn lists() -> impl Strategy<Value = Bounds> {
        let list = proptest::collection::vec(value(), 1..3).prop_map(Bound::List);
        (proptest::collection::vec(list, 1..4), any::<bool>())
            .prop_map(|(candidates, has_default)| fitting(candidates, has_default, 1))
    }

    fn hashes() -> impl Strategy<Value = Bounds> {
        (1u32..5, 1usize..3).prop_map(|(modulus, width)| {
            let bounds = (0..modulus).map(|remainder| Bound::Hash { modulus, remainder });
            Bounds::new(bounds.collect(), vec![Type::INT4; width])
        })
    }

    fn condition(width: usize) -> impl Strategy<Value = Condition> {
        let comparison = prop_oneof![
            3 => Just(Comparison::Equal),
            1 => Just(Comparison::NotEqual),
            1 => Just(Comparison::Less),
            1 => Just(Comparison::LessOrEqual),
            1 => Just(Comparison::Greater),
            1 => Just(Comparison::GreaterOrEqual),
        ];
        let demand = prop_oneof![
            6 => (comparison, value()).prop_map(|(comparison, value)| Demand::Compare(comparison, value)),
            2 => proptest::collection::vec(value(), 0..3).prop_map(Demand::AnyOf),
            1 => Just(Demand::IsNull),
            1 => Just(Demand::NotNull),
        ];
        (0..width, demand).prop_map(|(part, demand)| Condition { part, demand })
    }

    fn check_pruning(bounds: &Bounds, conditions: &[Condition], values: &[Datum]) -> Result<(), TestCaseError> {
        let meets = |condition: &Condition| condition.demand.is_met_by(&values[condition.part]);
        if conditions.iter().all(meets)
            && let Some(at) = bounds.find(values)
        {
            prop_assert!(
                bounds.survivors(conditions)[at],
                "{values:?} is in {at} of {bounds:?}, which {conditions:?} left out"
            );
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn a_key_is_found_where_a_bound_holds_it(
            bounds in (1usize..3).prop_flat_map(|width| (ranges(width), proptest::collection::vec(value(), width))),
        ) {
            let (bounds, values) = bounds;
            let slow = bounds.bounds().iter().position(|bound| bound.holds(&values, || 0));
            prop_assert_eq!(bounds.find(&values), slow.or(bounds.default_position()));
        }

        #[test]
        fn a_listed_key_is_found(bounds in lists(), value in value()) {
            let values = [value];
            let slow = bounds.bounds().iter().position(|bound| bound.holds(&values, || 0));
            prop_assert_eq!(bounds.find(&values), slow.or(bounds.default_position()));
        }

        #[test]
        fn ranges_overlap_if_a_key_is_in_both(left in range(1), right in range(1), key in 0i32..6) {
            let values = [Datum::Int4(key)];
            if left.holds(&values, || 0) && right.holds(&values, || 0) {
                prop_assert!(left.overlaps(&right) && right.overlaps(&left));
            }
            prop_assert_eq!(left.overlaps(&right), right.overlaps(&left));
        }

        #[test]
        fn pruning_keeps_the_partition_of_a_row(
            (bounds, conditions, values) in (1usize..3).prop_flat_map(|width| (
                ranges(width),
                proptest::collection::vec(condition(width), 0..4),
                proptest::collection::vec(value(), width),
            )),
        ) {
            check_pruning(&bounds, &conditions, &values)?;
        }

        #[test]
        fn pruning_keeps_the_list_of_a_row(
            bounds in lists(),
            conditions in proptest::collection::vec(condition(1), 0..4),
            value in value(),
        ) {
            check_pruning(&bounds, &conditions, &[value])?;
        }

        #[test]
        fn pruning_keeps_the_remainder_of_a_row(
            bounds in hashes(),
            conditions in proptest::collection::vec(condition(1), 0..4),
            values in proptest::collection::vec(value(), 2),
        ) {
            check_pruning(&bounds, &conditions, &values[..bounds.types.len()])?;
        }
    }

    #[test]
    fn an_equality_leaves_one_partition() {
        let value = |value: i32| Edge::Value(Datum::Int4(value));
        let range = |from: Edge, to: Edge| Bound::Range {
            from: vec![from],
            to: vec![to],
        };
        let bounds = Bounds::new(
            vec![range(value(0), value(10)), range(value(10), value(20)), Bound::Default],
            vec![Type::INT4],
        );
        let condition = |comparison, value| Condition {
            part: 0,
            demand: Demand::Compare(comparison, Datum::Int4(value)),
        };
        assert_eq!(
            bounds.survivors(&[condition(Comparison::Equal, 10)]),
            [false, true, false]
        );
        assert_eq!(
            bounds.survivors(&[condition(Comparison::Equal, 20)]),
            [false, false, true]
        );
        assert_eq!(
            bounds.survivors(&[
                condition(Comparison::GreaterOrEqual, 5),
                condition(Comparison::Less, 20)
            ]),
            [true, true, false]
        );
        assert_eq!(
            bounds.survivors(&[condition(Comparison::Less, 10)]),
            [true, false, true]
        );
    }
}
