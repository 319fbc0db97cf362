//! DECLARE, FETCH and MOVE.

use planner::SqlResult;

use super::{Command, Parser, Piece};
use crate::session::lexer::Kind;

/// DECLARE … CURSOR
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declare {
    /// Name.
    pub name: String,
    /// BINARY
    pub is_binary: bool,
    /// SCROLL, NO SCROLL, or neither.
    pub scroll: Option<bool>,
    /// WITH HOLD
    pub is_held: bool,
    /// The query.
    pub query: Piece,
}

/// Which rows FETCH wants. Counts of `i64::MAX` mean all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// That many rows forward; 0 fetches the current row again.
    Forward(i64),
    /// That many rows backward.
    Backward(i64),
    /// The n-th row from the start, or from the end if negative.
    Absolute(i64),
    /// The n-th row from here.
    Relative(i64),
}

/// All rows.
pub const ALL: i64 = i64::MAX;

/// After DECLARE.
pub fn declare(parser: &mut Parser<'_>) -> SqlResult<Command> {
    let name = parser.name()?;
    let (mut is_binary, mut scroll) = (false, None);
    loop {
        match parser.take_any(&["binary", "insensitive", "asensitive", "scroll", "no"]) {
            Some("binary") => is_binary = true,
            Some("scroll") => scroll = Some(true),
            Some("no") => {
                parser.expect("scroll")?;
                scroll = Some(false);
            }
            Some(_) => {}
            None => break,
        }
    }
    parser.expect("cursor")?;
    let is_held = match parser.take_any(&["with", "without"]) {
        Some(word) => {
            parser.expect("hold")?;
            word == "with"
        }
        None => false,
    };
    parser.expect("for")?;
    Ok(Command::Declare(Declare {
        name,
        is_binary,
        scroll,
        is_held,
        query: parser.remainder()?,
    }))
}

/// After FETCH or MOVE.
pub fn fetch(parser: &mut Parser<'_>, is_move: bool) -> SqlResult<Command> {
    let direction = direction(parser)?;
    parser.take_any(&["from", "in"]);
    Ok(Command::Fetch {
        cursor: parser.name()?,
        direction,
        is_move,
    })
}

fn direction(parser: &mut Parser<'_>) -> SqlResult<Direction> {
    if matches!(parser.peek(), Some(Kind::Number(_) | Kind::Symbol('-' | '+'))) {
        return Ok(forward(parser.integer()?));
    }
    // The words are not reserved: a lone one is the cursor's name.
    if parser.peek_at(1).is_none() {
        return Ok(Direction::Forward(1));
    }
    let words = [
        "next", "prior", "first", "last", "absolute", "relative", "all", "forward", "backward",
    ];
    Ok(match parser.take_any(&words) {
        Some("next") | None => Direction::Forward(1),
        Some("prior") => Direction::Backward(1),
        Some("first") => Direction::Absolute(1),
        Some("last") => Direction::Absolute(-1),
        Some("absolute") => Direction::Absolute(parser.integer()?),
        Some("relative") => Direction::Relative(parser.integer()?),
        Some("forward") => forward(count(parser)?),
        Some("backward") => match count(parser)? {
            count if count < 0 => Direction::Forward(-count),
            count => Direction::Backward(count),
        },
        Some(_) => Direction::Forward(ALL),
    })
}

fn forward(count: i64) -> Direction {
    if count < 0 {
        Direction::Backward(-count)
    } else {
        Direction::Forward(count)
    }
}

fn count(parser: &mut Parser<'_>) -> SqlResult<i64> {
    if parser.take("all") {
        return Ok(ALL);
    }
    match parser.peek() {
        Some(Kind::Number(_) | Kind::Symbol('-' | '+')) => parser.integer(),
        _ => Ok(1),
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn direction_of(text: &str) -> Direction {
        match parse(text).unwrap().unwrap() {
            Command::Fetch { direction, .. } => direction,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn declare_keeps_its_query() {
        let text = "declare C binary no scroll cursor with hold for select 1";
        let Some(Command::Declare(declare)) = parse(text).unwrap() else {
            panic!()
        };
        assert_eq!(
            (
                declare.name.as_str(),
                declare.is_binary,
                declare.scroll,
                declare.is_held
            ),
            ("c", true, Some(false), true)
        );
        assert_eq!(&text[declare.query], "select 1");
    }

    #[test]
    fn directions() {
        assert_eq!(direction_of("fetch c"), Direction::Forward(1));
        assert_eq!(direction_of("fetch from c"), Direction::Forward(1));
        assert_eq!(direction_of("fetch next"), Direction::Forward(1));
        assert_eq!(direction_of("fetch 5 in c"), Direction::Forward(5));
        assert_eq!(direction_of("move -2 c"), Direction::Backward(2));
        assert_eq!(direction_of("fetch backward all from c"), Direction::Backward(ALL));
        assert_eq!(direction_of("fetch forward c"), Direction::Forward(1));
        assert_eq!(direction_of("fetch last c"), Direction::Absolute(-1));
        assert_eq!(direction_of("fetch relative -3 from c"), Direction::Relative(-3));
        assert_eq!(direction_of("fetch all c"), Direction::Forward(ALL));
    }
}
