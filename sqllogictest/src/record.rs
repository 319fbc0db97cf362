//! Recording: runs a script against a PostgreSQL and writes what it answers into the script.
//!
//! A script is an `.slt` file, or one on its way to become one: records separated by empty lines, each with or without its
//! `statement`/`query` line and expected output. Comments stay, and so does `rowsort`; everything else is written anew.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result, bail};
use sqllogictest::{AsyncDB, DBOutput};

use crate::connection::Connection;

/// One record of a script.
#[derive(Debug, Default, PartialEq, Eq)]
struct Record {
    comments: Vec<String>,
    sql: Vec<String>,
    /// `rowsort` or `valuesort`.
    sort: Option<String>,
    /// `hash-threshold`, `skipif` and the like: kept as they are.
    is_control: bool,
}

impl Record {
    fn parse(block: &str) -> Record {
        let mut record = Record::default();
        for line in block.lines() {
            let word = line.split_whitespace().next().unwrap_or_default();
            if line == "----" {
                break;
            } else if line.starts_with('#') && record.sql.is_empty() {
                record.comments.push(line.to_string());
            } else if record.sql.is_empty() && matches!(word, "statement" | "query") && is_header(line) {
                let sorts = ["rowsort", "valuesort"].into_iter();
                record.sort = sorts
                    .map(str::to_string)
                    .find(|sort| line.split_whitespace().any(|word| word == sort));
            } else {
                let controls = ["hash-threshold", "skipif", "onlyif", "halt", "control", "connection"];
                record.is_control |= record.sql.is_empty() && controls.contains(&word);
                record.sql.push(line.to_string());
            }
        }
        record
    }
}

/// Whether a line is the first one of a record rather than SQL.
fn is_header(line: &str) -> bool {
    let mut words = line.split_whitespace();
    match (words.next(), words.next()) {
        (Some("statement"), Some("ok" | "error" | "count")) => true,
        (Some("query"), Some(types)) => types == "error" || types.chars().all(|c| "TIRB?".contains(c)),
        _ => false,
    }
}

/// Rewrites a script with the answers of a database.
///
/// # Errors
/// A file that cannot be read or written, a lost connection, an answer that the format cannot hold.
pub async fn record(connection: &mut Connection, file: &Path) -> Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let mut out = String::new();
    for block in text.split("\n\n").map(str::trim).filter(|block| !block.is_empty()) {
        let record = Record::parse(block);
        for comment in &record.comments {
            writeln!(out, "{comment}")?;
        }
        if record.sql.is_empty() {
            out.push('\n');
            continue;
        }
        let sql = record.sql.join("\n");
        if record.is_control {
            write!(out, "{sql}\n\n")?;
            continue;
        }
        match connection.run(&sql).await {
            Ok(DBOutput::Rows { types, rows }) => {
                let sort = record.sort.map(|sort| format!(" {sort}")).unwrap_or_default();
                writeln!(out, "query {}{sort}\n{sql}\n----", "T".repeat(types.len().max(1)))?;
                let mut lines: Vec<String> = rows.iter().map(|row| row.join(" ")).collect();
                if sort == " rowsort" {
                    lines.sort();
                }
                for line in lines {
                    if line.contains('\n') {
                        bail!(
                            "{}: a value has several lines, which .slt cannot hold:\n{sql}",
                            file.display()
                        );
                    }
                    writeln!(out, "{line}")?;
                }
                out.push('\n');
            }
            Ok(_) => write!(out, "statement ok\n{sql}\n\n")?,
            Err(error) => {
                let state = Connection::error_sql_state(&error);
                let state = state.with_context(|| format!("{}: {error}\n{sql}", file.display()))?;
                write!(out, "statement error ({state})\n{sql}\n\n")?;
            }
        }
    }
    std::fs::write(file, format!("{}\n", out.trim_end()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Record;

    #[test]
    fn a_recorded_record_gives_its_script_back() {
        let record = Record::parse("# why\nquery TT rowsort\nSELECT 1,\n  2\n----\n1 2");
        assert_eq!(record.comments, ["# why"]);
        assert_eq!(record.sql, ["SELECT 1,", "  2"]);
        assert_eq!(record.sort.as_deref(), Some("rowsort"));
    }

    #[test]
    fn sql_without_a_header_is_a_record() {
        let record = Record::parse("SELECT 'query T'");
        assert_eq!(record.sql, ["SELECT 'query T'"]);
        assert!(record.sort.is_none());
    }
}
