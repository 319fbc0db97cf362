//! Deadlock policies: what happens when a wait begins (DESIGN §3).
//!
//! `detect` looks for a cycle through the new waiter. One with a queue edge is broken by letting that waiter overtake; one
//! of holders alone by aborting its youngest. `wound_wait` aborts younger holders that stand against an older waiter;
//! `wait_die` refuses a wait for an older one. Transactions that are prepared or committing wait for nothing: they are in no
//! cycle, are never aborted, and waiting for them is always allowed.

use ahash::AHashSet;

use super::mode::ModeSet;
use super::owner::{OwnerId, Ticket};
use super::queue::{Blocker, Queued};
use super::report::Wait;
use super::table::LockTable;
use super::tree::NodeId;
use super::{AbortReason, DeadlockPolicy, Event, Values};

/// A step of a cycle: a ticket and what stands against it.
#[derive(Clone, Copy)]
struct Link {
    ticket: Ticket,
    blocker: Blocker,
}

impl LockTable {
    /// Applies the policy to a wait that began or whose blockers changed.
    pub(super) fn judge(&mut self, ticket: Ticket, values: &dyn Values) {
        match self.config.policy {
            DeadlockPolicy::Detect => self.break_cycles(ticket, values),
            DeadlockPolicy::WoundWait => self.wound(ticket),
            DeadlockPolicy::WaitDie => self.die(ticket, values),
        }
    }

    fn break_cycles(&mut self, ticket: Ticket, values: &dyn Values) {
        while let Some(cycle) = self.find_cycle(ticket) {
            // A queue edge is only an order of arrival: giving it up costs nobody anything. Who waits longest goes first.
            let queued = cycle.iter().filter(|link| link.blocker.ticket.is_some());
            if let Some(link) = queued.min_by_key(|link| link.ticket) {
                let (waiter, passed) = (link.ticket, link.blocker.ticket.expect("found as a queue edge"));
                self.overtake(waiter, passed, values);
            } else {
                let youngest = cycle.iter().map(|link| self.tickets[&link.ticket].owner);
                let victim = youngest
                    .max_by_key(|&owner| self.owners[owner].owner.age())
                    .expect("a cycle has links");
                let waits = cycle
                    .iter()
                    .map(|link| self.describe(link.ticket, link.blocker))
                    .collect();
                self.stats.deadlocks += 1;
                self.abort_waits(victim, AbortReason::Deadlock(waits), values);
            }
            if !self.tickets.contains_key(&ticket) {
                break;
            }
        }
    }

    /// Lets a waiter go before an earlier one from now on. `false` if one of them does not wait any more.
    pub fn overtake(&mut self, waiter: Ticket, passed: Ticket, values: &dyn Values) -> bool {
        if !self.tickets.contains_key(&passed) {
            return false;
        }
        let Some(waiting) = self.tickets.get_mut(&waiter) else {
            return false;
        };
        if !waiting.passes.contains(&passed) {
            self.passing += usize::from(waiting.passes.is_empty());
            waiting.passes.push(passed);
            self.stats.overtakes += 1;
        }
        if self.is_grantable(waiter, values) {
            self.grant(waiter, values);
        }
        true
    }

    /// Ends the waits of an owner with a reason. Its locks stay until it is released: the statement fails, not yet the
    /// transaction, which may go back to a savepoint.
    pub(super) fn abort_waits(&mut self, owner: OwnerId, reason: AbortReason, values: &dyn Values) {
        let txn = self.owners[owner].owner.txn;
        for ticket in self.owners[owner].tickets.clone() {
            self.events.push(Event::Aborted {
                txn,
                ticket: Some(ticket),
                reason: reason.clone(),
            });
            self.end_wait(ticket, values);
        }
    }

    /// A cycle through the owner of a ticket.
    fn find_cycle(&self, start: Ticket) -> Option<Vec<Link>> {
        let target = self.tickets[&start].owner;
        if !self.is_awaited(target) {
            return None;
        }
        let mut seen: AHashSet<OwnerId> = AHashSet::new();
        let links_of = |owner: OwnerId| -> Vec<Link> {
            self.owners[owner]
                .tickets
                .iter()
                .flat_map(|&ticket| self.links(ticket))
                .collect()
        };
        // All its waits, not the new one alone: holding something it may stand before someone an older wait stands behind.
        let mut stack = vec![(links_of(target), 0)];
        while let Some((links, next)) = stack.last_mut() {
            let Some(&link) = links.get(*next) else {
                stack.pop();
                continue;
            };
            *next += 1;
            let owner = link.blocker.owner;
            if owner == target {
                return Some(stack.iter().map(|(links, next)| links[next - 1]).collect());
            }
            if seen.insert(owner) {
                stack.push((links_of(owner), 0));
            }
        }
        None
    }

    fn links(&self, ticket: Ticket) -> Vec<Link> {
        let mut links = Vec::new();
        self.any_blocker_of(ticket, |blocker| {
            links.push(Link { ticket, blocker });
            false
        });
        links
    }

    /// Whether anybody waits for an owner: without it there is no cycle to search, and most waits end here.
    fn is_awaited(&self, owner: OwnerId) -> bool {
        let state = &self.owners[owner];
        let awaited = |node: NodeId, modes: ModeSet| {
            self.tree[node].queued && {
                let queue = &self.queues[&node];
                let waits = |queued: &Queued| queued.owner != owner && queued.modes.conflicts(modes);
                queue.wanted.conflicts(modes) && queue.entries.iter().any(waits)
            }
        };
        let holds = self.holds.of(state.first_hold).any(|hold| {
            let hold = &self.holds[hold];
            let modes = hold.effective();
            awaited(hold.node, modes) || self.tree.any_overlapping(hold.node, |node| awaited(node, modes))
        });
        // Who waits behind one of its waits. Behind the newest, which came last, is nobody, unless it stands in front.
        let newest = self.tickets.last_key_value().map(|(&ticket, _)| ticket);
        holds
            || state.tickets.iter().any(|&ticket| {
                let wants = &self.tickets[&ticket].plan.wants;
                (Some(ticket) != newest || wants.iter().any(|want| want.front))
                    && wants.iter().any(|want| {
                        awaited(want.node, want.modes)
                            || self.tree.any_overlapping(want.node, |node| awaited(node, want.modes))
                    })
            })
    }

    /// Aborts the younger holders that stand against a ticket. The older waiters before it stay there: in this policy
    /// queues are in order of age, so nobody waits for a younger waiter.
    fn wound(&mut self, ticket: Ticket) {
        let waiter = self.tickets[&ticket].owner;
        let (age, by) = (self.owners[waiter].owner.age(), self.owners[waiter].owner.txn);
        let mut victims = Vec::new();
        self.any_blocker_of(ticket, |blocker| {
            let state = &self.owners[blocker.owner];
            let younger = blocker.ticket.is_none() && state.owner.age() > age;
            if younger && !state.sealed && !state.doomed && !victims.contains(&blocker.owner) {
                victims.push(blocker.owner);
            }
            false
        });
        for victim in victims {
            self.stats.wounds += 1;
            self.doom(victim, AbortReason::Wounded { by });
        }
    }

    /// Ends every wait of an owner; nothing is granted to it any more until it is released.
    pub(super) fn doom(&mut self, owner: OwnerId, reason: AbortReason) {
        self.owners[owner].doomed = true;
        let txn = self.owners[owner].owner.txn;
        let tickets = self.owners[owner].tickets.clone();
        if tickets.is_empty() {
            self.events.push(Event::Aborted {
                txn,
                ticket: None,
                reason,
            });
            return;
        }
        for ticket in tickets {
            self.events.push(Event::Aborted {
                txn,
                ticket: Some(ticket),
                reason: reason.clone(),
            });
            self.withdraw(ticket);
        }
    }

    /// Ends a wait for somebody older.
    fn die(&mut self, ticket: Ticket, values: &dyn Values) {
        let waiter = self.tickets[&ticket].owner;
        let (txn, age) = (self.owners[waiter].owner.txn, self.owners[waiter].owner.age());
        let mut older = None;
        self.any_blocker_of(ticket, |blocker| {
            let state = &self.owners[blocker.owner];
            if state.owner.age() < age && !state.sealed {
                older = Some(state.owner.txn);
            }
            older.is_some()
        });
        if let Some(older) = older {
            self.stats.deaths += 1;
            self.events.push(Event::Aborted {
                txn,
                ticket: Some(ticket),
                reason: AbortReason::Died { older },
            });
            self.end_wait(ticket, values);
        }
    }

    /// What a wait says in `pg_locks`, deadlock details and log lines.
    pub(super) fn describe(&self, ticket: Ticket, blocker: Blocker) -> Wait {
        let waiting = &self.tickets[&ticket];
        let (waiter, holder) = (&self.owners[waiting.owner].owner, &self.owners[blocker.owner].owner);
        let wanted = waiting
            .plan
            .explicit
            .iter()
            .find(|item| self.tree.is_within(item.node, blocker.wanted_at));
        let request = wanted.map_or(0, |item| item.request);
        let request = &waiting.requests[request];
        Wait {
            ticket,
            waiter: waiter.txn,
            waiter_session: waiter.session,
            blocker: holder.txn,
            blocker_session: holder.session,
            passable: blocker.ticket,
            name: request.name.clone(),
            mode: request.mode,
            met_at: self.tree.name(blocker.node),
            met_mode: blocker.modes.modes().first().copied(),
        }
    }
}
