//! Unsupported: statements and clauses of PostgreSQL that the grammar here does not know. A text that begins like one of them and does not
//! parse is refused by name (0A000) instead of being called a syntax error, which it is not.

use sqlparser::tokenizer::Token;

use super::lexer;

/// How statements begin, words of one space.
const STATEMENTS: &[&str] = &[
    "ALTER AGGREGATE",
    "ALTER COLLATION",
    "ALTER CONVERSION",
    "ALTER DATABASE",
    "ALTER DEFAULT PRIVILEGES",
    "ALTER DOMAIN",
    "ALTER EVENT TRIGGER",
    "ALTER EXTENSION",
    "ALTER FOREIGN DATA WRAPPER",
    "ALTER FOREIGN TABLE",
    "ALTER FUNCTION",
    "ALTER GROUP",
    "ALTER LANGUAGE",
    "ALTER LARGE OBJECT",
    "ALTER MATERIALIZED VIEW",
    "ALTER OPERATOR",
    "ALTER POLICY",
    "ALTER PROCEDURE",
    "ALTER PUBLICATION",
    "ALTER ROUTINE",
    "ALTER RULE",
    "ALTER SERVER",
    "ALTER STATISTICS",
    "ALTER SUBSCRIPTION",
    "ALTER SYSTEM",
    "ALTER TABLESPACE",
    "ALTER TEXT SEARCH",
    "ALTER TRIGGER",
    "ALTER USER MAPPING",
    "CALL",
    "CLUSTER",
    "COMMIT PREPARED",
    "CREATE ACCESS METHOD",
    "CREATE AGGREGATE",
    "CREATE CAST",
    "CREATE COLLATION",
    "CREATE CONSTRAINT TRIGGER",
    "CREATE CONVERSION",
    "CREATE EVENT TRIGGER",
    "CREATE EXTENSION",
    "CREATE FOREIGN DATA WRAPPER",
    "CREATE FOREIGN TABLE",
    "CREATE FUNCTION",
    "CREATE LANGUAGE",
    "CREATE MATERIALIZED VIEW",
    "CREATE OPERATOR",
    "CREATE POLICY",
    "CREATE PROCEDURAL LANGUAGE",
    "CREATE PROCEDURE",
    "CREATE PUBLICATION",
    "CREATE RECURSIVE VIEW",
    "CREATE RULE",
    "CREATE SERVER",
    "CREATE STATISTICS",
    "CREATE SUBSCRIPTION",
    "CREATE TABLESPACE",
    "CREATE TEXT SEARCH",
    "CREATE TRANSFORM",
    "CREATE TRIGGER",
    "CREATE TRUSTED LANGUAGE",
    "CREATE UNLOGGED TABLE",
    "CREATE USER MAPPING",
    "DO",
    "DROP ACCESS METHOD",
    "DROP AGGREGATE",
    "DROP CAST",
    "DROP COLLATION",
    "DROP CONVERSION",
    "DROP EVENT TRIGGER",
    "DROP EXTENSION",
    "DROP FOREIGN DATA WRAPPER",
    "DROP FOREIGN TABLE",
    "DROP FUNCTION",
    "DROP LANGUAGE",
    "DROP MATERIALIZED VIEW",
    "DROP OPERATOR",
    "DROP OWNED",
    "DROP POLICY",
    "DROP PROCEDURAL LANGUAGE",
    "DROP PROCEDURE",
    "DROP PUBLICATION",
    "DROP ROUTINE",
    "DROP RULE",
    "DROP SERVER",
    "DROP STATISTICS",
    "DROP SUBSCRIPTION",
    "DROP TABLESPACE",
    "DROP TEXT SEARCH",
    "DROP TRANSFORM",
    "DROP TRIGGER",
    "DROP USER MAPPING",
    "GRANT",
    "IMPORT FOREIGN SCHEMA",
    "LOAD",
    "PREPARE TRANSACTION",
    "REASSIGN OWNED",
    "REFRESH MATERIALIZED VIEW",
    "REINDEX",
    "REVOKE",
    "ROLLBACK PREPARED",
    "SECURITY LABEL",
];

/// What a text begins like, if it is one of those statements, or the clause in it that the grammar lacks.
pub(super) fn named(text: &str) -> Option<&'static str> {
    let lexemes = lexer::tokenize(text).ok()?;
    let word = |lexeme: &lexer::Lexeme| match &lexeme.token.token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_ascii_uppercase()),
        _ => None,
    };
    let mut words: Vec<String> = lexemes.iter().map_while(word).collect();
    if words.get(1..3).is_some_and(|pair| pair == ["OR", "REPLACE"]) {
        words.drain(1..3);
    }
    let statement = STATEMENTS.iter().copied().find(|statement| {
        let mut written = words.iter();
        statement
            .split(' ')
            .all(|word| written.next().is_some_and(|other| other == word))
    });
    statement.or_else(|| search_or_cycle(&lexemes.iter().map(word).collect::<Vec<_>>()))
}

/// The clause behind a recursive query that numbers its rows or finds its cycles.
fn search_or_cycle(words: &[Option<String>]) -> Option<&'static str> {
    let word = |at: usize| words.get(at).and_then(Option::as_deref);
    (0..words.len()).find_map(|at| match (word(at), word(at + 1), word(at + 2)) {
        (Some("SEARCH"), Some("DEPTH" | "BREADTH"), Some("FIRST")) => Some("SEARCH"),
        // Behind the closing parenthesis of WITH's query.
        (None, Some("CYCLE"), Some(_)) if word(0) == Some("WITH") => Some("CYCLE"),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn statements_are_known_by_their_beginning() {
        for (text, expected) in [
            ("do $$ begin end $$", Some("DO")),
            (
                "create or replace rule r as on insert to t do nothing",
                Some("CREATE RULE"),
            ),
            ("Alter System set work_mem = '1MB'", Some("ALTER SYSTEM")),
            ("reindex (verbose) table t", Some("REINDEX")),
            (
                "with recursive r as (select 1) cycle a set c using p select 1",
                Some("CYCLE"),
            ),
            ("create table do (a int", None),
            ("\"do\"", None),
            ("", None),
        ] {
            assert_eq!(named(text), expected, "{text}");
        }
    }
}
