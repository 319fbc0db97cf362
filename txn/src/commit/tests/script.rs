//! The language of the golden scripts.
//!
//! ```text
//! begin t1 written=1/2/3 readers=4 confirm     shard 1 is the anchor
//! deliver Prepare 2 | lose Ack 1 | repeat …    the first message of that kind (to that shard; 0 is the coordinator)
//! apply 2                                      the oldest proposal of shard 2
//! settle                                       everything that can happen, in order
//! crash_shard 2 [1]                            its leader dies; that many of its proposals survive
//! crash_coordinator t1 | time_out t1 | cancel t1 | tick 1000 | horizon 2 5000
//! heal                                         faults end; checks that everything ends
//! ```
//! After each command: what happened, what is on its way, what is proposed, and what is durable.

use std::error::Error;
use std::fmt::Write;

use goldenscript::{Command, Context, Runner};
use test_each_file::test_each_path;

use super::world::{Packet, World};
use crate::commit::*;
use crate::locks::TxnId;

test_each_path! { in "txn/src/testscripts/commit" as scripts => run }

fn run(path: &std::path::Path) {
    goldenscript::run(&mut Script { world: World::new(4) }, path).expect("script runs");
}

struct Script {
    world: World,
}

fn decision(decision: &Decision) -> String {
    match decision {
        Decision::Commit(timestamp) => format!("COMMIT at {timestamp}"),
        Decision::Abort => "ABORT".into(),
    }
}

/// Kind of a packet, where it goes (0 for the coordinator), and how it reads.
fn describe(packet: &Packet) -> (&'static str, ShardId, String) {
    match packet {
        Packet::ToShard(to, message) => {
            let (kind, attempt, more) = match message {
                Message::Prepare(attempt, _) => ("Prepare", attempt, String::new()),
                Message::Mark(attempt, _) => ("Mark", attempt, String::new()),
                Message::Confirm(attempt) => ("Confirm", attempt, String::new()),
                Message::Decide(attempt, timestamp, _) => ("Decide", attempt, format!(" at {timestamp}")),
                Message::Finish(attempt, decided, _) => ("Finish", attempt, format!(" {}", decision(decided))),
                Message::Ask(attempt, _, from) => ("Ask", attempt, format!(" from {from}")),
                Message::Acknowledge(attempt, from) => ("Acknowledge", attempt, format!(" from {from}")),
                Message::Release(attempt) => ("Release", attempt, String::new()),
            };
            (kind, *to, format!("{kind} t{}{more} → {to}", attempt.txn))
        }
        Packet::ToCoordinator(attempt, reply) => {
            let (kind, more) = match reply {
                Reply::Voted(from, vote) => ("Voted", format!(" {} by {from}", if *vote { "yes" } else { "no" })),
                Reply::Marked(from, marked) => ("Marked", format!(" {} by {from}", if *marked { "yes" } else { "no" })),
                Reply::Confirmed(from, stands) => (
                    "Confirmed",
                    format!(" {} by {from}", if *stands { "yes" } else { "no" }),
                ),
                Reply::TooLate => ("TooLate", String::new()),
                Reply::Decided(decided) => ("Decided", format!(" {}", decision(decided))),
            };
            (kind, 0, format!("{kind}{more} → t{}", attempt.txn))
        }
    }
}

fn proposal(command: &Logged) -> String {
    match command {
        Logged::Prepare(attempt, _) => format!("Prepare t{}", attempt.txn),
        Logged::Decide(attempt, decided, _) => format!("Decide t{} {}", attempt.txn, decision(decided)),
        Logged::Finish(attempt, decided) => format!("Finish t{} {}", attempt.txn, decision(decided)),
        Logged::Forget(txns) => format!("Forget {}", list(txns.iter())),
    }
}

fn list<'a>(txns: impl Iterator<Item = &'a TxnId>) -> String {
    txns.map(|txn| format!("t{txn}")).collect::<Vec<_>>().join(" ")
}

impl Script {
    fn find(&self, command: &Command) -> Result<usize, Box<dyn Error>> {
        let mut arguments = command.consume_args();
        let kind = arguments.next_pos().ok_or("a kind of message")?;
        let to = arguments.next_pos().map(str::parse::<ShardId>).transpose()?;
        let from = arguments.take_key("from").map(|from| format!("by {from}"));
        let fits = |packet: &Packet| {
            let (found, found_to, text) = describe(packet);
            let from = from.as_ref().is_none_or(|from| text.contains(from));
            found == kind && to.is_none_or(|to| to == found_to) && from
        };
        let missing = || format!("no {kind} is on its way").into();
        self.world.network.iter().position(fits).ok_or_else(missing)
    }

    fn state(&self) -> String {
        let mut text = String::new();
        for packet in &self.world.network {
            writeln!(text, "  on its way: {}", describe(packet).2).unwrap();
        }
        for (id, shard) in &self.world.shards {
            let durable = &shard.durable;
            let mut parts = Vec::new();
            if !shard.locks.is_empty() {
                parts.push(format!("locks {}", list(shard.locks.iter())));
            }
            if !durable.prepared.is_empty() {
                parts.push(format!("prepared {}", list(durable.prepared.keys())));
            }
            for (txn, (_, decided, _)) in &durable.decisions {
                parts.push(format!("decided t{txn} {}", decision(decided)));
            }
            for (txn, outcome) in durable
                .outcome
                .iter()
                .filter(|(txn, _)| !durable.decisions.contains_key(txn))
            {
                parts.push(format!("finished t{txn} {}", decision(outcome)));
            }
            for (txn, _) in durable.known.iter().filter(|(_, known)| known.tombstone) {
                parts.push(format!("tombstone t{txn}"));
            }
            for command in &shard.log {
                parts.push(format!("[{}]", proposal(command)));
            }
            if !parts.is_empty() {
                writeln!(text, "  shard {id}: {}", parts.join(", ")).unwrap();
            }
        }
        text
    }
}

impl Runner for Script {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &Context) -> Result<String, Box<dyn Error>> {
        let mut arguments = command.consume_args();
        let shards = |text: Option<&str>| -> Result<Vec<ShardId>, Box<dyn Error>> {
            let numbers = text.unwrap_or_default().split('/').filter(|number| !number.is_empty());
            Ok(numbers.map(str::parse).collect::<Result<_, _>>()?)
        };
        let txn = |text: Option<&str>| -> Result<TxnId, Box<dyn Error>> {
            Ok(TxnId(
                text.and_then(|text| text.strip_prefix('t'))
                    .ok_or("a transaction is t1, t2, …")?
                    .parse()?,
            ))
        };
        let world = &mut self.world;
        match command.name.as_str() {
            "begin" => {
                let txn = txn(arguments.next_pos())?;
                let confirm = arguments.next_pos() == Some("confirm");
                let written = shards(arguments.take_key("written"))?;
                let readers = shards(arguments.take_key("readers"))?;
                world.begin(
                    txn,
                    Plan {
                        written,
                        readers,
                        confirm,
                    },
                );
            }
            "deliver" => {
                let at = self.find(command)?;
                let packet = self.world.network.remove(at);
                self.world.deliver(packet);
            }
            "lose" => {
                let at = self.find(command)?;
                self.world.network.remove(at);
            }
            "repeat" => {
                let at = self.find(command)?;
                let packet = self.world.network[at].clone();
                self.world.network.push(packet);
            }
            "apply" => {
                let shard = arguments.next_pos().ok_or("a shard")?.parse()?;
                if !world.apply(shard) {
                    return Err("nothing is proposed there".into());
                }
            }
            "settle" => world.settle(),
            "crash_shard" => {
                let shard = arguments.next_pos().ok_or("a shard")?.parse()?;
                let kept = arguments.next_pos().map_or(Ok(0), str::parse)?;
                world.crash_shard(shard, kept);
            }
            "crash_coordinator" => world.crash_coordinator(txn(arguments.next_pos())?),
            "time_out" => world.time_out(txn(arguments.next_pos())?),
            "cancel" => world.cancel(txn(arguments.next_pos())?),
            "tick" => world.tick(arguments.next_pos().ok_or("milliseconds")?.parse()?),
            "horizon" => {
                let shard = arguments.next_pos().ok_or("a shard")?.parse()?;
                world.move_horizon(shard, arguments.next_pos().ok_or("milliseconds")?.parse()?);
            }
            "heal" => world.heal(),
            other => return Err(format!("no command {other}").into()),
        }
        self.world.check();
        let said: Vec<String> = std::mem::take(&mut self.world.trace);
        let said = said.into_iter().map(|line| format!("  {line}\n")).collect::<String>();
        Ok(format!("{command}\n{said}{}", self.state()))
    }
}
