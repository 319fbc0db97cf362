//! The language of the golden scripts.
//!
//! ```text
//! begin t1 priority=5 serializable          optional: a transaction begins with its first lock, older with a smaller number
//! t1: lock X orders/7/doc/a S orders/8      a batch; flags nowait, instant
//! t1: add 5 accounts/1/balance min=0 max=20 an A lock
//! t1: savepoint | rollback_to N             the counter before the N-th lock command of t1 is N - 1
//! t1: release | cancel | seal | confirm
//! value accounts/1/balance 10               what the number is now
//! config policy=wound_wait memory=… paths=… rows=…
//! clear | drop_coordinator node=1 start=2
//! locks t1 | edges | entries | stats
//! ```
//!
//! Names: `t/7` a row, `t/7/@key`, `t/7/@data` (printed with `#`, which the script language lacks), `t/7/column/step…`, `t`
//! the table, `t/@all/doc/a` a path class (printed `t/*/doc/a`), `t/@rows` the row set, `t@idx=v` an index value, `t@idx=v/7`
//! one entry, `t@idx=a..b` an interval without b, `t@idx=a..` one without end. After each block the table is printed.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write;

use bytes::Bytes;
use goldenscript::{Argument, Block, Command, Context, Runner};
use storage::{Numeric, Path, Step};
use test_each_file::test_each_path;

use crate::locks::*;
use crate::{AddIncrement, Key, LockName, LockRequest, Mode, RowPart, TableId};

test_each_path! { in "txn/src/testscripts/locks" as scripts => run }

fn run(path: &std::path::Path) {
    goldenscript::run(&mut Script::new(), path).expect("script runs");
}

/// Numbers by printed name, and the words behind table, index and column numbers.
#[derive(Default)]
pub(super) struct Words {
    words: Vec<String>,
    numbers: BTreeMap<String, Numeric>,
}

impl Words {
    fn id(&mut self, word: &str) -> u32 {
        let found = self.words.iter().position(|known| known == word);
        found.unwrap_or_else(|| {
            self.words.push(word.into());
            self.words.len() - 1
        }) as u32
    }

    fn word(&self, id: u32) -> &str {
        self.words.get(id as usize).map_or("?", |word| word)
    }

    fn path(&mut self, text: &[&str]) -> Path {
        let steps = text[1..].iter().map(|step| match step.parse() {
            Ok(position) => Step::Element(position),
            Err(_) => Step::Member((*step).into()),
        });
        let steps = steps.collect();
        Path {
            column: self.id(text[0]) as u16,
            steps,
        }
    }

    fn name(&mut self, text: &str) -> LockName {
        if let Some((table, rest)) = text.split_once('@').filter(|(table, _)| !table.contains('/')) {
            let (index, value) = rest.split_once('=').expect("t@index=value");
            let (table, index, global) = (self.id(table), self.id(index), false);
            if let Some((from, to)) = value.split_once("..") {
                let to = (!to.is_empty()).then(|| key(to));
                return LockName::IndexInterval {
                    table,
                    index,
                    global,
                    from: key(from),
                    to,
                };
            }
            let (value, row) = value
                .split_once('/')
                .map_or((value, None), |(value, row)| (value, Some(key(row))));
            return LockName::IndexValue {
                table,
                index,
                global,
                value: key(value),
                row,
            };
        }
        let parts: Vec<&str> = text.split('/').collect();
        let table = self.id(parts[0]);
        match &parts[1..] {
            [] => LockName::Table(table),
            ["@rows"] => LockName::RowSet { table, row: None },
            ["@all", path @ ..] => LockName::PathClass {
                table,
                path: self.path(path),
            },
            [row] => LockName::Row {
                table,
                key: key(row),
                part: RowPart::Row,
            },
            [row, "@key"] => LockName::Row {
                table,
                key: key(row),
                part: RowPart::Identity,
            },
            [row, "@data"] => LockName::Row {
                table,
                key: key(row),
                part: RowPart::Data,
            },
            [row, path @ ..] => LockName::Row {
                table,
                key: key(row),
                part: RowPart::Path(self.path(path)),
            },
        }
    }

    fn print(&self, name: &LockName) -> String {
        let path = |path: &Path| {
            let mut text = self.word(u32::from(path.column)).to_string();
            for step in &path.steps {
                match step {
                    Step::Member(name) => write!(text, "/{name}").unwrap(),
                    Step::Element(position) => write!(text, "/{position}").unwrap(),
                }
            }
            text
        };
        let table = self.word(name.table());
        match name {
            LockName::Table(_) => table.into(),
            LockName::Row { key, part, .. } => match part {
                RowPart::Row => format!("{table}/{}", text(key)),
                RowPart::Identity => format!("{table}/{}/#key", text(key)),
                RowPart::Data => format!("{table}/{}/#data", text(key)),
                RowPart::Path(steps) => format!("{table}/{}/{}", text(key), path(steps)),
            },
            LockName::IndexValue { index, value, row, .. } => {
                let row = row.as_ref().map_or(String::new(), |row| format!("/{}", text(row)));
                format!("{table}@{}={}{row}", self.word(*index), text(value))
            }
            LockName::IndexInterval { index, from, to, .. } => {
                let to = to.as_ref().map_or(String::new(), text);
                format!("{table}@{}={}..{to}", self.word(*index), text(from))
            }
            LockName::PathClass { path: steps, .. } => format!("{table}/*/{}", path(steps)),
            LockName::RowSet { .. } => format!("{table}/#rows"),
        }
    }
}

impl Values for Words {
    fn number(&self, table: TableId, key: &Key, path: &Path) -> Option<Numeric> {
        let name = LockName::path(table, key.clone(), path.clone());
        self.numbers.get(&self.print(&name)).cloned()
    }
}

fn key(text: &str) -> Key {
    Bytes::copy_from_slice(text.as_bytes())
}

fn text(key: &Key) -> String {
    String::from_utf8_lossy(key).into()
}

fn mode(text: &str) -> Option<Mode> {
    const NAMED: [(&str, Mode); 14] = [
        ("IS", Mode::IntentionShared),
        ("IX", Mode::IntentionExclusive),
        ("S", Mode::Shared),
        ("SIX", Mode::SharedIntentionExclusive),
        ("X", Mode::Exclusive),
        ("A", Mode::Add),
        ("ACCESS_SHARE", Mode::AccessShare),
        ("ROW_SHARE", Mode::RowShare),
        ("ROW_EXCLUSIVE", Mode::RowExclusive),
        ("SHARE_UPDATE_EXCLUSIVE", Mode::ShareUpdateExclusive),
        ("SHARE", Mode::TableShare),
        ("SHARE_ROW_EXCLUSIVE", Mode::ShareRowExclusive),
        ("EXCLUSIVE", Mode::TableExclusive),
        ("ACCESS_EXCLUSIVE", Mode::AccessExclusive),
    ];
    NAMED.iter().find(|(name, _)| *name == text).map(|(_, mode)| *mode)
}

struct Script {
    table: LockTable,
    words: Words,
    owners: BTreeMap<TxnId, Owner>,
    /// Epoch of a transaction's first grant.
    epochs: BTreeMap<TxnId, Epoch>,
    steps: BTreeMap<TxnId, u64>,
    waiting: BTreeMap<TxnId, Vec<Ticket>>,
    config: LockConfig,
    quiet: bool,
}

impl Script {
    fn new() -> Script {
        let config = LockConfig::default();
        let epoch = Epoch { term: 1, generation: 0 };
        Script {
            table: LockTable::new(config, epoch),
            words: Words::default(),
            owners: BTreeMap::new(),
            epochs: BTreeMap::new(),
            steps: BTreeMap::new(),
            waiting: BTreeMap::new(),
            config,
            quiet: false,
        }
    }

    fn owner(&mut self, txn: TxnId) -> Owner {
        let coordinator = Incarnation { node: 1, start: 1 };
        let new = Owner {
            txn,
            coordinator,
            session: txn.0 as u32,
            priority: txn.0,
            serializable: false,
        };
        *self.owners.entry(txn).or_insert(new)
    }

    fn request(&mut self, txn: TxnId, locks: &[LockRequest], wait: WaitMode) -> String {
        let owner = self.owner(txn);
        let step = self.steps.entry(txn).or_default();
        *step += 1;
        let request = Request {
            owner,
            epoch: self.epochs.get(&txn).copied(),
            step: *step,
            locks,
            wait,
        };
        let outcome = self.table.request(request, &self.words);
        if matches!(outcome, Outcome::Granted { .. }) && wait != WaitMode::Instant {
            self.epochs.entry(txn).or_insert(self.table.epoch());
        }
        match outcome {
            Outcome::Granted { exclusive } => format!("granted{}", positions(&exclusive)),
            Outcome::Queued(ticket) => {
                self.waiting.entry(txn).or_default().push(ticket);
                self.describe(ticket)
            }
            Outcome::Refused(Refusal::NotAvailable { name, mode }) => {
                format!("not available: {mode} {}", self.words.print(&name))
            }
            Outcome::Refused(Refusal::Memory) => "out of memory".into(),
            Outcome::Refused(Refusal::Invalid { name, mode }) => format!("invalid: {mode} {}", self.words.print(&name)),
            Outcome::Refused(Refusal::Aborted(reason)) => self.reason(&reason),
        }
    }

    fn describe(&self, ticket: Ticket) -> String {
        let lines: Vec<String> = self.table.waits(ticket).iter().map(|wait| self.wait(wait)).collect();
        lines.join("\n")
    }

    fn wait(&self, wait: &Wait) -> String {
        let how = if wait.passable.is_some() { "behind" } else { "for" };
        let met = wait.met_mode.map_or("W".into(), |mode| mode.to_string());
        let name = self.words.print(&wait.name);
        let at = self.words.print(&wait.met_at);
        format!(
            "t{} waits {how} t{} ({} {name} meets {met} {at})",
            wait.waiter, wait.blocker, wait.mode
        )
    }

    fn reason(&self, reason: &AbortReason) -> String {
        match reason {
            AbortReason::Deadlock(cycle) => {
                let cycle: Vec<String> = cycle.iter().map(|wait| self.wait(wait)).collect();
                format!("deadlock\n  {}", cycle.join("\n  "))
            }
            AbortReason::Wounded { by } => format!("wounded by t{by}"),
            AbortReason::Died { older } => format!("dies for t{older}"),
            AbortReason::Lost => "locks lost".into(),
            AbortReason::AddOutOfRange => "sum out of range".into(),
        }
    }

    fn events(&mut self) -> String {
        let mut output = String::new();
        for event in self.table.take_events() {
            match event {
                Event::Granted { txn, ticket, exclusive } => {
                    self.forget_wait(txn, Some(ticket));
                    self.epochs.entry(txn).or_insert(self.table.epoch());
                    writeln!(output, "→ t{txn} granted{}", positions(&exclusive)).unwrap();
                }
                Event::Aborted { txn, ticket, reason } => {
                    self.forget_wait(txn, ticket);
                    writeln!(output, "→ t{txn} aborted: {}", self.reason(&reason)).unwrap();
                }
                Event::Escalated { txn, name, mode, count } => {
                    let name = self.words.print(&name);
                    writeln!(output, "→ t{txn} escalated {count} locks to {mode} {name}").unwrap();
                }
            }
        }
        output
    }

    fn forget_wait(&mut self, txn: TxnId, ticket: Option<Ticket>) {
        if let Some(waiting) = self.waiting.get_mut(&txn) {
            waiting.retain(|waiting| Some(*waiting) != ticket);
        }
    }

    fn forget(&mut self, txn: TxnId) {
        self.epochs.remove(&txn);
        self.waiting.remove(&txn);
        self.steps.remove(&txn);
    }

    fn lock(&mut self, txn: TxnId, command: &Command) -> Result<String, Box<dyn Error>> {
        let mut wait = WaitMode::Wait;
        let mut locks = Vec::new();
        let mut modes = None;
        for argument in &command.args {
            let word = match argument {
                Argument::Positional(word) => word.clone(),
                // t@index=value looks like key=value to the parser.
                argument => argument.to_string().replace('"', ""),
            };
            match word.as_str() {
                "nowait" => wait = WaitMode::NoWait,
                "instant" => wait = WaitMode::Instant,
                word if mode(word).is_some() => modes = mode(word),
                word => {
                    let mode = modes.ok_or("a mode comes before the names")?;
                    locks.push(LockRequest::new(self.words.name(word), mode));
                }
            }
        }
        Ok(self.request(txn, &locks, wait))
    }

    fn add(&mut self, txn: TxnId, command: &Command) -> Result<String, Box<dyn Error>> {
        let mut arguments = command.consume_args();
        let number = |text: Option<&str>| text.map(|text| text.parse::<Numeric>()).transpose();
        let by = arguments
            .next_pos()
            .ok_or("add N name")?
            .parse()
            .map_err(|_| "a number")?;
        let name = self.words.name(arguments.next_pos().ok_or("add N name")?);
        let min = number(arguments.take_key("min")).map_err(|_| "a number")?;
        let max = number(arguments.take_key("max")).map_err(|_| "a number")?;
        let nowait = arguments.next_pos() == Some("nowait");
        let add = Some(AddIncrement { by, min, max });
        let request = LockRequest {
            name,
            mode: Mode::Add,
            add,
        };
        Ok(self.request(txn, &[request], if nowait { WaitMode::NoWait } else { WaitMode::Wait }))
    }

    fn configure(&mut self, command: &Command) -> Result<(), Box<dyn Error>> {
        let mut arguments = command.consume_args();
        while let Some((key, value)) = arguments.next_key() {
            match key {
                "policy" => {
                    self.config.policy = match value {
                        "detect" => DeadlockPolicy::Detect,
                        "wound_wait" => DeadlockPolicy::WoundWait,
                        _ => DeadlockPolicy::WaitDie,
                    }
                }
                "memory" => self.config.memory_bytes_max = value.parse()?,
                "paths" => self.config.row_paths_max = value.parse()?,
                "rows" => self.config.table_rows_max = value.parse()?,
                "quiet" => self.quiet = value == "true",
                _ => return Err(format!("no setting {key}").into()),
            }
        }
        self.table = LockTable::new(self.config, self.table.epoch());
        Ok(())
    }

    fn run_for(&mut self, txn: TxnId, command: &Command) -> Result<String, Box<dyn Error>> {
        let mut arguments = command.consume_args();
        Ok(match command.name.as_str() {
            "lock" => self.lock(txn, command)?,
            "add" => self.add(txn, command)?,
            "lock_many" => {
                // lock_many X orders/7/doc/ 1000: that many names that begin alike, one request each
                let mode = arguments.next_pos().and_then(mode).ok_or("a mode")?;
                let prefix = arguments.next_pos().ok_or("a prefix")?;
                let count: u32 = arguments.next_pos().ok_or("a count")?.parse()?;
                let mut last = String::new();
                for at in 0..count {
                    let name = self.words.name(&format!("{prefix}m{at}"));
                    let said = self.request(txn, &[LockRequest::new(name, mode)], WaitMode::NoWait);
                    if said != last {
                        last = said.clone();
                        if said != "granted" {
                            return Ok(format!("at {at}: {said}"));
                        }
                    }
                }
                last
            }
            "savepoint" => format!("{}", self.steps.get(&txn).copied().unwrap_or_default()),
            "rollback_to" => {
                let step: u64 = arguments.next_pos().ok_or("a step")?.parse()?;
                self.waiting.remove(&txn);
                self.table.rollback_to(txn, step, &self.words);
                self.steps.insert(txn, step);
                String::new()
            }
            "release" => {
                self.forget(txn);
                if self.table.release(txn, &self.words) {
                    String::new()
                } else {
                    "holds nothing".into()
                }
            }
            "cancel" => {
                for ticket in self.waiting.remove(&txn).unwrap_or_default() {
                    self.table.cancel(ticket, &self.words);
                }
                String::new()
            }
            "abort_waiting" => {
                self.table
                    .abort_waiting(txn, AbortReason::Deadlock(Vec::new()), &self.words);
                String::new()
            }
            "seal" => self.table.seal(txn).to_string(),
            "confirm" => {
                let epoch = self.epochs.get(&txn).copied().unwrap_or(self.table.epoch());
                self.table.confirm(txn, epoch).to_string()
            }
            "blockers" => format!(
                "{:?}",
                self.table.blockers(txn).iter().map(|txn| txn.0).collect::<Vec<_>>()
            ),
            "locks" => {
                let mut output = String::new();
                for lock in self.table.locks_of(txn) {
                    let add = lock.add.map_or(String::new(), |add| format!(" by {}", add.by));
                    writeln!(output, "{} {}{add}", lock.mode, self.words.print(&lock.name))?;
                }
                output
            }
            // Takes the locks of t to a new table, as a new leader does from its prepared records.
            "move" => {
                let locks = self.table.locks_of(txn);
                let epoch = Epoch {
                    term: self.table.epoch().term + 1,
                    generation: 0,
                };
                self.table = LockTable::new(self.config, epoch);
                let owner = self.owner(txn);
                self.table.restore(owner, &locks);
                String::new()
            }
            other => return Err(format!("no command {other}").into()),
        })
    }
}

fn positions(exclusive: &[usize]) -> String {
    if exclusive.is_empty() {
        String::new()
    } else {
        format!(", in X: {exclusive:?}")
    }
}

impl Runner for Script {
    type Command = Command;

    fn run(&mut self, command: &Command, context: &Context) -> Result<String, Box<dyn Error>> {
        let txn = |text: &str| -> Result<TxnId, Box<dyn Error>> {
            Ok(TxnId(
                text.strip_prefix('t').ok_or("a transaction is t1, t2, …")?.parse()?,
            ))
        };
        let mut arguments = command.consume_args();
        let said = match (&context.prefix, command.name.as_str()) {
            (Some(prefix), _) => self.run_for(txn(prefix)?, command)?,
            (None, "begin") => {
                let id = txn(arguments.next_pos().ok_or("begin t1")?)?;
                let mut owner = self.owner(id);
                if let Some(priority) = arguments.take_key("priority") {
                    owner.priority = priority.parse()?;
                }
                if let Some(start) = arguments.take_key("start") {
                    owner.coordinator.start = start.parse()?;
                }
                if let Some(node) = arguments.take_key("node") {
                    owner.coordinator.node = node.parse()?;
                }
                owner.serializable = arguments.next_pos() == Some("serializable");
                self.owners.insert(id, owner);
                String::new()
            }
            (None, "value") => {
                let name = arguments.next_pos().ok_or("a name")?;
                let name = self.words.name(name);
                let number = arguments
                    .next_pos()
                    .ok_or("a number")?
                    .parse()
                    .map_err(|_| "a number")?;
                let name = self.words.print(&name);
                self.words.numbers.insert(name, number);
                String::new()
            }
            (None, "config") => {
                self.configure(command)?;
                String::new()
            }
            (None, "clear") => {
                let next = Epoch {
                    generation: self.table.epoch().generation + 1,
                    ..self.table.epoch()
                };
                let lost = self.table.clear(next, &self.words);
                format!("lost: {:?}", lost.iter().map(|txn| txn.0).collect::<Vec<_>>())
            }
            (None, "drop_coordinator") => {
                let node = arguments.take_key("node").unwrap_or("1").parse()?;
                let start = arguments.take_key("start").unwrap_or("1").parse()?;
                let lost = self.table.drop_coordinator(Incarnation { node, start }, &self.words);
                format!("lost: {:?}", lost.iter().map(|txn| txn.0).collect::<Vec<_>>())
            }
            (None, "edges") => self
                .table
                .edges()
                .iter()
                .map(|wait| self.wait(wait))
                .collect::<Vec<_>>()
                .join("\n"),
            (None, "entries") => {
                let mut lines: Vec<String> = self
                    .table
                    .entries()
                    .into_iter()
                    .map(
                        |Entry {
                             owner,
                             name,
                             mode,
                             granted,
                         }| {
                            let waits = if granted { "" } else { " (waits)" };
                            format!("t{} {mode} {}{waits}", owner.txn, self.words.print(&name))
                        },
                    )
                    .collect();
                lines.sort();
                lines.join("\n")
            }
            (None, "stats") => format!("{:#?}", self.table.stats()).replace("LockStats ", ""),
            (None, "size") => {
                // The exact number belongs to no test; that all of it comes back does.
                if self.table.size() == 0 {
                    "empty".into()
                } else {
                    "in use".into()
                }
            }
            (None, other) => return Err(format!("no command {other}").into()),
        };
        let events = self.events();
        self.table.check_invariants()?;
        assert!(self.table.tickets_are_sound());
        let said = if said.is_empty() || said.ends_with('\n') {
            said
        } else {
            said + "\n"
        };
        Ok(said + &events)
    }

    fn end_block(&mut self, _: &Block) -> Result<String, Box<dyn Error>> {
        if self.quiet {
            return Ok(String::new());
        }
        let words = &self.words;
        let last = |name: &LockName| {
            let text = words.print(name);
            match name {
                LockName::Table(_) => text,
                LockName::IndexValue { .. } | LockName::IndexInterval { .. } if !text.ends_with('/') => {
                    text.split_once('=').map_or(text.clone(), |(_, value)| value.into())
                }
                _ => text.rsplit('/').next().unwrap_or_default().into(),
            }
        };
        Ok(self
            .table
            .dump(&last)
            .lines()
            .map(|line| format!("  {line}\n"))
            .collect())
    }
}
