//! The language of the golden scripts.
//!
//! ```text
//! cluster shards=2 [replicas=3] [moves=4] [dead=60000]    a new cluster of one node
//! add [rack=a] | crash 2 | start 2 | drain 2 | activate 2 | decommission 2 | replicas 1
//! tick 1000                                                time passes; replicas catch up, leaders are elected
//! plan                                                     one round: what is planned is carried out
//! half 2                                                   one round, but a change of that group's voters is left half done
//! lose                                                     one round, but nothing of it happens
//! settle                                                   rounds until there is nothing to do; the steps that matter
//! ```
//! After each command: the steps, and after settle also the cluster.

use std::error::Error;
use std::fmt::Write;

use goldenscript::{Command, Context, Runner};
use test_each_file::test_each_path;

use super::world::World;
use crate::reconcile::{Limits, NodeState, Step, plan};
use crate::types::GroupId;

test_each_path! { in "consensus/src/testscripts/reconcile" as scripts => run }

fn run(path: &std::path::Path) {
    let world = World::new(1, Limits::default());
    goldenscript::run(&mut Script { world }, path).expect("script runs");
}

struct Script {
    world: World,
}

impl Runner for Script {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &Context) -> Result<String, Box<dyn Error>> {
        let mut arguments = command.consume_args();
        let mut text = format!("{command}\n");
        let world = &mut self.world;
        let number = |text: Option<&str>| -> Result<u64, Box<dyn Error>> { Ok(text.ok_or("a number")?.parse()?) };
        match command.name.as_str() {
            "cluster" => {
                let mut limits = Limits {
                    dead_ms: 60_000,
                    ..Limits::default()
                };
                let shards = arguments.take_key("shards").map_or(Ok(1), str::parse)?;
                limits.replicas = arguments.take_key("replicas").map_or(Ok(3), str::parse)?;
                limits.moves_max = arguments.take_key("moves").map_or(Ok(4), str::parse)?;
                limits.dead_ms = arguments.take_key("dead").map_or(Ok(60_000), str::parse)?;
                *world = World::new(shards, limits);
            }
            "add" => drop(world.add(arguments.take_key("rack").map(str::to_owned))),
            "crash" => world.crash(number(arguments.next_pos())?),
            "start" => world.start(number(arguments.next_pos())?),
            "drain" => world.set_state(number(arguments.next_pos())?, NodeState::Draining),
            "activate" => world.set_state(number(arguments.next_pos())?, NodeState::Active),
            "decommission" => world.set_state(number(arguments.next_pos())?, NodeState::Leaving),
            "replicas" => world.cluster.limits.replicas = number(arguments.next_pos())? as usize,
            "tick" => world.tick(number(arguments.next_pos())?),
            "plan" | "half" | "lose" => {
                let half = match command.name.as_str() {
                    "half" => Some(GroupId(number(arguments.next_pos())?)),
                    _ => None,
                };
                let steps = plan(&world.cluster);
                world.check(&steps);
                for step in &steps {
                    writeln!(text, "  {step}")?;
                    match step {
                        Step::ChangeVoters(id, voters) if half == Some(*id) => world.change_voters(*id, voters, false),
                        _ if command.name == "lose" => {}
                        step => world.carry_out(step),
                    }
                }
                world.tick(1000);
                text.push_str(&world.describe());
            }
            "settle" => {
                for _ in 0..200 {
                    let steps = plan(&world.cluster);
                    world.check(&steps);
                    for step in &steps {
                        if !matches!(step, Step::Open(..) | Step::AddLearner(..)) {
                            writeln!(text, "  {step}")?;
                        }
                        world.carry_out(step);
                    }
                    world.tick(1000);
                }
                let left = plan(&world.cluster);
                if !left.is_empty() {
                    return Err(format!("it does not settle: {left:?}").into());
                }
                text.push_str(&world.describe());
            }
            other => return Err(format!("no command {other}").into()),
        }
        Ok(text)
    }
}
