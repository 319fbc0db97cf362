//! Rows: what a shard keeps of its documents. The value of a path is the list of transactions that appended to it, so that a
//! value tells its own history.

use txn::commit::Timestamp;

/// A path of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Row.
    pub row: u8,
    /// Path.
    pub path: u8,
}

/// The value of a path: who appended, in order. Transactions are counted from 1.
pub type List = Vec<u8>;

/// A change of one path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Write {
    /// Where.
    pub place: Place,
    /// What is there from then on.
    pub list: List,
    /// Whether the row is to be consolidated.
    pub fold: bool,
}

/// A version of one path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Delta {
    /// Commit timestamp.
    pub at: Timestamp,
    /// Where.
    pub place: Place,
    /// What.
    pub list: List,
}

/// A row in one piece: a cache at the timestamp of the newest delta it contains.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Full {
    at: Timestamp,
    row: u8,
    lists: Vec<(u8, List)>,
}

/// The rows of a shard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rows {
    /// In the order of timestamps.
    pub deltas: Vec<Delta>,
    fulls: Vec<Full>,
}

impl Rows {
    /// Writes versions, and consolidates rows that ask for it.
    pub fn write(&mut self, at: Timestamp, writes: &[Write], may_fold: bool) {
        for write in writes {
            let place = self.deltas.partition_point(|delta| delta.at <= at);
            let delta = Delta {
                at,
                place: write.place,
                list: write.list.clone(),
            };
            self.deltas.insert(place, delta);
        }
        for write in writes.iter().filter(|write| write.fold && may_fold) {
            self.consolidate(write.place.row);
        }
    }

    fn consolidate(&mut self, row: u8) {
        let of_row = |delta: &&Delta| delta.place.row == row;
        let Some(newest) = self.deltas.iter().rfind(of_row).map(|delta| delta.at) else {
            return;
        };
        let mut paths: Vec<u8> = self
            .deltas
            .iter()
            .filter(of_row)
            .map(|delta| delta.place.path)
            .collect();
        paths.sort_unstable();
        paths.dedup();
        let lists = paths
            .into_iter()
            .map(|path| (path, self.read(Place { row, path }, Timestamp::MAX)))
            .collect();
        self.fulls.retain(|full| full.row != row);
        self.fulls.push(Full { at: newest, row, lists });
        self.fulls.sort_by_key(|full| full.row);
    }

    /// The value of a path at a timestamp: the newest full row at or below it, and the deltas above that.
    pub fn read(&self, place: Place, at: Timestamp) -> List {
        let full = self.fulls.iter().find(|full| full.row == place.row && full.at <= at);
        let from = full.map_or(0, |full| full.at);
        let is_above = |delta: &&Delta| delta.place == place && delta.at > from && delta.at <= at;
        if let Some(delta) = self.deltas.iter().rfind(is_above) {
            return delta.list.clone();
        }
        let of_path = |full: &Full| full.lists.iter().find(|(path, _)| *path == place.path).cloned();
        full.and_then(of_path).map(|(_, list)| list).unwrap_or_default()
    }
}
