//! VACUUM and ANALYZE.
//!
//! Versions nobody can see are collected all the time, and plans are chosen from the data itself; so these commands have
//! nothing left to do. They check what they are given, because scripts rely on their errors.

use planner::SqlResult;

use super::{Command, Parser};

/// A table named by VACUUM or ANALYZE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Schema, if written.
    pub schema: Option<String>,
    /// Name.
    pub name: String,
    /// Columns, if written.
    pub columns: Vec<String>,
    /// Character position.
    pub position: Option<u32>,
}

/// After VACUUM or ANALYZE.
pub fn maintain(parser: &mut Parser<'_>, tag: &'static str) -> SqlResult<Command> {
    if parser.at_symbol('(') {
        parser.parenthesised()?;
    } else {
        let words: &[&'static str] = if tag == "VACUUM" {
            &["full", "freeze", "verbose", "analyze", "analyse"]
        } else {
            &["verbose"]
        };
        while parser.take_any(words).is_some() {}
    }
    let mut tables = Vec::new();
    while !parser.at_end() {
        tables.push(table(parser)?);
        if !parser.take_symbol(',') {
            break;
        }
    }
    Ok(Command::Maintain { tag, tables })
}

fn table(parser: &mut Parser<'_>) -> SqlResult<Named> {
    let position = parser.position();
    let mut name = parser.name()?;
    let mut schema = None;
    while parser.take_symbol('.') {
        schema = Some(std::mem::replace(&mut name, parser.name()?));
    }
    let mut columns = Vec::new();
    if parser.take_symbol('(') {
        loop {
            columns.push(parser.name()?);
            if !parser.take_symbol(',') {
                break;
            }
        }
        parser.expect_symbol(')')?;
    }
    Ok(Named {
        schema,
        name,
        columns,
        position,
    })
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    #[test]
    fn both_grammars_name_tables() {
        for text in [
            "vacuum analyze s.t (a, b), u",
            "vacuum (full, analyze) s.t(a, b), u",
            "analyze verbose s.t (a,b), u",
        ] {
            let Some(Command::Maintain { tables, .. }) = parse(text).unwrap() else {
                panic!("{text}")
            };
            assert_eq!(
                (tables[0].schema.as_deref(), tables[0].name.as_str(), tables.len()),
                (Some("s"), "t", 2)
            );
            assert_eq!(tables[0].columns, ["a", "b"]);
        }
        assert!(matches!(
            parse("vacuum").unwrap(),
            Some(Command::Maintain { tag: "VACUUM", .. })
        ));
    }
}
