//! Graph: who comes before whom, and whether that goes round in a circle.

use std::collections::VecDeque;

/// A directed graph whose edges have labels.
#[derive(Clone, Debug, Default)]
pub struct Graph<L> {
    edges: Vec<Vec<(usize, L)>>,
}

impl<L: Clone> Graph<L> {
    /// With so many nodes and no edges.
    pub fn new(nodes: usize) -> Graph<L> {
        Graph {
            edges: vec![Vec::new(); nodes],
        }
    }

    /// Adds a node: its number.
    pub fn add(&mut self) -> usize {
        self.edges.push(Vec::new());
        self.edges.len() - 1
    }

    /// `from` comes before `to`.
    pub fn order(&mut self, from: usize, to: usize, label: L) {
        if from != to {
            self.edges[from].push((to, label));
        }
    }

    /// A cycle, if there is one: each node with the label of the edge that leaves it. The shortest through one of its nodes.
    pub fn cycle(&self) -> Option<Vec<(usize, L)>> {
        let left = self.knotted();
        let start = left.iter().position(|left| *left)?;
        // Everybody left has somebody left before and behind it; whoever lies on a cycle is found from there.
        (start..left.len())
            .filter(|&node| left[node])
            .find_map(|node| self.cycle_through(node, &left))
    }

    /// Nodes that are neither before all cycles nor behind them.
    fn knotted(&self) -> Vec<bool> {
        let mut left = vec![true; self.edges.len()];
        let mut backwards: Vec<Vec<usize>> = vec![Vec::new(); self.edges.len()];
        for (from, edges) in self.edges.iter().enumerate() {
            for (to, _) in edges {
                backwards[*to].push(from);
            }
        }
        let forwards: Vec<Vec<usize>> = self
            .edges
            .iter()
            .map(|edges| edges.iter().map(|(to, _)| *to).collect())
            .collect();
        for (next, before) in [(&forwards, &backwards), (&backwards, &forwards)] {
            let alive = |node: usize, left: &[bool]| before[node].iter().filter(|&&other| left[other]).count();
            let mut count: Vec<usize> = (0..left.len()).map(|node| alive(node, &left)).collect();
            let mut work: Vec<usize> = (0..left.len()).filter(|&node| left[node] && count[node] == 0).collect();
            while let Some(node) = work.pop() {
                left[node] = false;
                for &then in next[node].iter().filter(|&&then| left[then]).collect::<Vec<_>>() {
                    count[then] -= 1;
                    if count[then] == 0 {
                        work.push(then);
                    }
                }
            }
        }
        left
    }

    fn cycle_through(&self, start: usize, left: &[bool]) -> Option<Vec<(usize, L)>> {
        let mut from: Vec<Option<(usize, L)>> = vec![None; self.edges.len()];
        let mut work = VecDeque::from([start]);
        while let Some(node) = work.pop_front() {
            for (to, label) in self.edges[node].iter().filter(|(to, _)| left[*to]) {
                if *to == start {
                    let mut cycle = vec![(node, label.clone())];
                    let mut at = node;
                    while let Some((before, label)) = from[at].clone().filter(|_| at != start) {
                        cycle.push((before, label));
                        at = before;
                    }
                    cycle.reverse();
                    return Some(cycle);
                }
                if from[*to].is_none() {
                    from[*to] = Some((node, label.clone()));
                    work.push_back(*to);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cycle_is_found_among_what_hangs_on_it() {
        let mut graph = Graph::new(6);
        for (from, to) in [(0, 1), (1, 2), (2, 3), (3, 1), (3, 4), (4, 5)] {
            graph.order(from, to, (from, to));
        }
        let cycle = graph
            .cycle()
            .map(|cycle| cycle.into_iter().map(|(node, _)| node).collect::<Vec<_>>());
        assert_eq!(cycle, Some(vec![1, 2, 3]));
        let mut line = Graph::new(3);
        line.order(0, 1, ());
        line.order(0, 2, ());
        line.order(1, 2, ());
        assert_eq!(line.cycle(), None);
    }
}
