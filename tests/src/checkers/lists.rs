//! Lists: transactions append values to lists and read them; the lists tell in which order.
//!
//! ```text
//!   key a: 1 3 4      every list read is a beginning of the longest: one order a key, which is the order of its versions
//!          │ │ └─ t4      ww   who appended a value comes before who appended the next
//!          │ └─── t3      wr   who appended the last value read comes before the reader
//!          └───── t1      rw   the reader comes before who appended the next value
//!                         time who was answered comes before who began later
//! ```
//! What is strictly serializable has no cycle in this (Elle, Kingsbury and Alvaro 2020). Values are never appended twice.

use std::collections::BTreeMap;

use super::graph::Graph;

/// What a client was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It committed.
    Committed,
    /// It did not.
    Aborted,
    /// It cannot be learned.
    Unknown,
}

/// A step of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A value was appended to a list.
    Append(String, u64),
    /// A list was read.
    Read(String, Vec<u64>),
}

/// A transaction as its client saw it. Times are of one clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// When it was begun.
    pub began: u64,
    /// When it was answered.
    pub ended: u64,
    /// With what.
    pub outcome: Outcome,
    /// What it did, in order.
    pub steps: Vec<Step>,
}

/// Why one transaction comes before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// It appended the value before.
    WriteWrite,
    /// It appended what the other read.
    WriteRead,
    /// It read what the other appended to.
    ReadWrite,
    /// It had been answered before the other began.
    Time,
}

/// What no database that keeps its promises shows. Transactions are positions in the history.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "what the fields are is said where the variant is")]
pub enum Anomaly {
    /// A value twice in one list.
    Doubled { key: String, value: u64 },
    /// A value nobody appended there, or that was appended twice.
    Invented { key: String, value: u64 },
    /// A value of a transaction that aborted.
    Aborted { key: String, value: u64, reader: usize },
    /// Two lists of which neither is a beginning of the other.
    TwoOrders {
        key: String,
        one: Vec<u64>,
        other: Vec<u64>,
    },
    /// Acknowledged, and not in the list that was read in the end.
    Lost { key: String, value: u64 },
    /// A reader saw a part of what a transaction appended to one list.
    Torn { key: String, reader: usize, writer: usize },
    /// An order that goes round in a circle.
    Cycle(Vec<(usize, Order)>),
}

/// Checks a history. `last` has each list as it was read when all had ended; keys that are not there are not checked for losses.
///
/// # Errors
/// The first anomaly found.
pub fn check(history: &[Transaction], last: &BTreeMap<String, Vec<u64>>) -> Result<(), Anomaly> {
    let writers = writers(history)?;
    let versions = versions(history, last, &writers)?;
    check_readers(history, &writers)?;
    check_lost(history, last)?;
    let mut graph = Graph::new(history.len());
    for (key, order) in &versions {
        let of = |value: &u64| writers.get(&(*key, *value)).copied();
        for (one, next) in order.iter().zip(order.iter().skip(1)) {
            if let (Some(one), Some(next)) = (of(one), of(next)) {
                graph.order(one, next, Order::WriteWrite);
            }
        }
    }
    for (reader, transaction) in history.iter().enumerate() {
        // An aborted transaction has no place in the order; one nobody knows of may have none.
        if transaction.outcome != Outcome::Committed {
            continue;
        }
        for step in &transaction.steps {
            let Step::Read(key, list) = step else { continue };
            let of = |value: &u64| writers.get(&(key.as_str(), *value)).copied();
            let foreign = list
                .iter()
                .rev()
                .find_map(|value| of(value).filter(|&writer| writer != reader));
            if let Some(writer) = foreign {
                graph.order(writer, reader, Order::WriteRead);
            }
            let behind = versions
                .get(key.as_str())
                .copied()
                .unwrap_or_default()
                .iter()
                .skip(list.len());
            if let Some(next) = behind.filter_map(of).find(|&writer| writer != reader) {
                graph.order(reader, next, Order::ReadWrite);
            }
        }
    }
    order_by_time(history, &mut graph);
    match graph.cycle() {
        None => Ok(()),
        Some(cycle) => Err(Anomaly::Cycle(
            cycle.into_iter().filter(|(node, _)| *node < history.len()).collect(),
        )),
    }
}

type Writers<'a> = BTreeMap<(&'a str, u64), usize>;

/// Who appended which value, aborted or not.
fn writers(history: &[Transaction]) -> Result<Writers<'_>, Anomaly> {
    let mut writers = BTreeMap::new();
    for (at, transaction) in history.iter().enumerate() {
        for step in &transaction.steps {
            if let Step::Append(key, value) = step
                && writers.insert((key.as_str(), *value), at).is_some()
            {
                return Err(Anomaly::Invented {
                    key: key.clone(),
                    value: *value,
                });
            }
        }
    }
    Ok(writers)
}

/// The order of values of each key: the longest list anybody read who committed.
fn versions<'a>(
    history: &'a [Transaction],
    last: &'a BTreeMap<String, Vec<u64>>,
    writers: &Writers<'_>,
) -> Result<BTreeMap<&'a str, &'a [u64]>, Anomaly> {
    let committed = history
        .iter()
        .filter(|transaction| transaction.outcome == Outcome::Committed);
    let reads = committed
        .flat_map(|transaction| &transaction.steps)
        .filter_map(|step| match step {
            Step::Read(key, list) => Some((key, list)),
            Step::Append(..) => None,
        });
    let mut versions: BTreeMap<&str, &[u64]> = BTreeMap::new();
    for (key, list) in reads.chain(last) {
        let mut seen = std::collections::BTreeSet::new();
        for &value in list {
            let key = key.clone();
            if !seen.insert(value) {
                return Err(Anomaly::Doubled { key, value });
            }
            if !writers.contains_key(&(key.as_str(), value)) {
                return Err(Anomaly::Invented { key, value });
            }
        }
        let longest = versions.entry(key.as_str()).or_default();
        let (short, long) = if list.len() > longest.len() {
            (*longest, list.as_slice())
        } else {
            (list.as_slice(), *longest)
        };
        if !long.starts_with(short) {
            return Err(Anomaly::TwoOrders {
                key: key.clone(),
                one: short.to_vec(),
                other: long.to_vec(),
            });
        }
        *longest = long;
    }
    Ok(versions)
}

/// Nobody who committed saw what was aborted, or a part of what one transaction appended to one list.
fn check_readers(history: &[Transaction], writers: &Writers<'_>) -> Result<(), Anomaly> {
    for (reader, transaction) in history.iter().enumerate() {
        if transaction.outcome != Outcome::Committed {
            continue;
        }
        for step in &transaction.steps {
            let Step::Read(key, list) = step else { continue };
            for &value in list {
                let writer = writers.get(&(key.as_str(), value)).copied().unwrap_or(reader);
                if history[writer].outcome == Outcome::Aborted {
                    return Err(Anomaly::Aborted {
                        key: key.clone(),
                        value,
                        reader,
                    });
                }
                let appended =
                    |step: &Step| matches!(step, Step::Append(of, value) if of == key && !list.contains(value));
                if writer != reader && history[writer].steps.iter().any(appended) {
                    let key = key.clone();
                    return Err(Anomaly::Torn { key, reader, writer });
                }
            }
        }
    }
    Ok(())
}

/// What was acknowledged is there in the end, and what was aborted is not.
fn check_lost(history: &[Transaction], last: &BTreeMap<String, Vec<u64>>) -> Result<(), Anomaly> {
    for (at, transaction) in history.iter().enumerate() {
        for step in &transaction.steps {
            let Step::Append(key, value) = step else { continue };
            let Some(list) = last.get(key) else { continue };
            let key = key.clone();
            match (transaction.outcome, list.contains(value)) {
                (Outcome::Committed, false) => return Err(Anomaly::Lost { key, value: *value }),
                (Outcome::Aborted, true) => {
                    return Err(Anomaly::Aborted {
                        key,
                        value: *value,
                        reader: at,
                    });
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Who was answered comes before who began later. The answers are a chain of nodes of their own, so that the edges are few.
fn order_by_time(history: &[Transaction], graph: &mut Graph<Order>) {
    let committed = |at: &usize| history[*at].outcome == Outcome::Committed;
    let mut answers: Vec<usize> = (0..history.len()).filter(committed).collect();
    answers.sort_by_key(|&at| history[at].ended);
    let links: Vec<usize> = answers.iter().map(|_| graph.add()).collect();
    for (place, (&at, &link)) in answers.iter().zip(&links).enumerate() {
        graph.order(at, link, Order::Time);
        if let Some(&next) = links.get(place + 1) {
            graph.order(link, next, Order::Time);
        }
    }
    for (at, transaction) in history.iter().enumerate() {
        if transaction.outcome == Outcome::Aborted {
            continue;
        }
        let before = answers.partition_point(|&other| history[other].ended < transaction.began);
        if let Some(&link) = before.checked_sub(1).and_then(|place| links.get(place)) {
            graph.order(link, at, Order::Time);
        }
    }
}

#[cfg(test)]
mod tests;
