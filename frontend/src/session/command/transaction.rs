//! Transaction commands: BEGIN, COMMIT, ROLLBACK and their modes.

use planner::SqlResult;
use txn::Isolation;

use super::{Command, Parser};

/// Transaction modes; `None` leaves the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Modes {
    /// ISOLATION LEVEL
    pub isolation: Option<Isolation>,
    /// ISOLATION LEVEL READ UNCOMMITTED, which SHOW tells from READ COMMITTED.
    pub is_uncommitted: bool,
    /// READ ONLY, READ WRITE
    pub read_only: Option<bool>,
    /// DEFERRABLE
    pub deferrable: Option<bool>,
}

impl Modes {
    /// The isolation level as the setting `transaction_isolation` spells it.
    pub fn isolation_name(&self) -> Option<&'static str> {
        self.isolation.map(|isolation| match isolation {
            Isolation::ReadCommitted if self.is_uncommitted => "read uncommitted",
            Isolation::ReadCommitted => "read committed",
            Isolation::RepeatableRead => "repeatable read",
            Isolation::Serializable => "serializable",
        })
    }
}

/// After BEGIN or START TRANSACTION.
pub fn begin(parser: &mut Parser<'_>, tag: &'static str) -> SqlResult<Command> {
    if tag == "BEGIN" {
        parser.take_any(&["work", "transaction"]);
    }
    Ok(Command::Begin {
        modes: modes(parser, false)?,
        tag,
    })
}

/// After COMMIT or END.
pub fn commit(parser: &mut Parser<'_>, verb: &str) -> SqlResult<Command> {
    if verb == "commit" && parser.take("prepared") {
        parser.text()?;
        return Ok(Command::TwoPhase("COMMIT PREPARED"));
    }
    parser.take_any(&["work", "transaction"]);
    Ok(Command::Commit { chain: chain(parser)? })
}

/// After ROLLBACK or ABORT.
pub fn rollback(parser: &mut Parser<'_>, verb: &str) -> SqlResult<Command> {
    if verb == "rollback" && parser.take("prepared") {
        parser.text()?;
        return Ok(Command::TwoPhase("ROLLBACK PREPARED"));
    }
    parser.take_any(&["work", "transaction"]);
    if verb == "rollback" && parser.take("to") {
        parser.take("savepoint");
        return Ok(Command::RollbackTo(parser.name()?));
    }
    Ok(Command::Rollback { chain: chain(parser)? })
}

/// `AND [NO] CHAIN`
fn chain(parser: &mut Parser<'_>) -> SqlResult<bool> {
    if !parser.take("and") {
        return Ok(false);
    }
    let is_negated = parser.take("no");
    parser.expect("chain")?;
    Ok(!is_negated)
}

/// A list of modes, with or without commas; at least one if `is_required`.
pub fn modes(parser: &mut Parser<'_>, is_required: bool) -> SqlResult<Modes> {
    let mut modes = Modes::default();
    if is_required && parser.at_end() {
        return Err(parser.error());
    }
    while !parser.at_end() {
        if parser.take("isolation") {
            parser.expect("level")?;
            isolation(parser, &mut modes)?;
        } else if parser.take("read") {
            modes.read_only = Some(match parser.take_any(&["only", "write"]) {
                Some("only") => true,
                Some(_) => false,
                None => return Err(parser.error()),
            });
        } else if parser.take("deferrable") {
            modes.deferrable = Some(true);
        } else if parser.take("not") {
            parser.expect("deferrable")?;
            modes.deferrable = Some(false);
        } else {
            return Err(parser.error());
        }
        if parser.take_symbol(',') && parser.at_end() {
            return Err(parser.error());
        }
    }
    Ok(modes)
}

fn isolation(parser: &mut Parser<'_>, modes: &mut Modes) -> SqlResult<()> {
    let (isolation, is_uncommitted) = if parser.take("serializable") {
        (Isolation::Serializable, false)
    } else if parser.take("repeatable") {
        parser.expect("read")?;
        (Isolation::RepeatableRead, false)
    } else {
        parser.expect("read")?;
        match parser.take_any(&["committed", "uncommitted"]) {
            Some(word) => (Isolation::ReadCommitted, word == "uncommitted"),
            None => return Err(parser.error()),
        }
    };
    (modes.isolation, modes.is_uncommitted) = (Some(isolation), is_uncommitted);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    #[test]
    fn modes_are_read_in_any_order() {
        let text = "begin transaction isolation level repeatable read, read only not deferrable";
        let Some(Command::Begin { modes, .. }) = parse(text).unwrap() else {
            panic!()
        };
        assert_eq!(
            modes,
            Modes {
                isolation: Some(Isolation::RepeatableRead),
                is_uncommitted: false,
                read_only: Some(true),
                deferrable: Some(false)
            }
        );
        assert!(parse("begin isolation level chaos").is_err());
        assert!(parse("begin read only,").is_err());
    }

    #[test]
    fn ends_of_transactions() {
        assert_eq!(
            parse("END WORK AND CHAIN").unwrap(),
            Some(Command::Commit { chain: true })
        );
        assert_eq!(
            parse("abort and no chain").unwrap(),
            Some(Command::Rollback { chain: false })
        );
        assert_eq!(
            parse("rollback work to savepoint \"S\"").unwrap(),
            Some(Command::RollbackTo("S".into()))
        );
        assert!(parse("abort to s").is_err());
    }
}
