//! Table: every setting of the server, with PostgreSQL's name, kind, bounds and default.
//!
//! Settings that advise PostgreSQL's planner (`enable_*`, costs, parallelism) are accepted because every tool sends them;
//! they change no result. Names of parts Cambium does not have (write-ahead log, archiving, replication slots) are unknown.

use std::collections::HashMap;
use std::sync::LazyLock;

/// Who may change a setting, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// Any session, any time.
    User,
    /// Superusers.
    Superuser,
    /// Only at server start.
    Start,
    /// Never.
    Fixed,
}

/// What values a setting takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// on and off.
    Bool,
    /// An integer in a range, of a unit.
    Integer(i64, i64, Unit),
    /// A float in a range, of a unit.
    Real(f64, f64, Unit),
    /// One of these words.
    Enum(&'static [&'static str]),
    /// Any text.
    Text,
    /// A comma-separated list of words (DateStyle).
    List,
    /// A comma-separated list of identifiers (search_path).
    Names,
}

/// Base unit of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the units of their names")]
pub enum Unit {
    None,
    Bytes,
    Kilobytes,
    /// 8 kB
    Blocks,
    Megabytes,
    Milliseconds,
    Seconds,
    Minutes,
}

/// A setting.
#[derive(Debug)]
pub struct Setting {
    /// Name as SHOW spells it.
    pub name: &'static str,
    /// Values.
    pub kind: Kind,
    /// Default.
    pub default: &'static str,
    /// Who may change it.
    pub context: Context,
    /// Whether the client is told of changes (ParameterStatus).
    pub is_reported: bool,
}

impl Setting {
    const fn reported(mut self) -> Self {
        self.is_reported = true;
        self
    }
}

const fn user(name: &'static str, kind: Kind, default: &'static str) -> Setting {
    Setting {
        name,
        kind,
        default,
        context: Context::User,
        is_reported: false,
    }
}

const fn superuser(name: &'static str, kind: Kind, default: &'static str) -> Setting {
    Setting {
        name,
        kind,
        default,
        context: Context::Superuser,
        is_reported: false,
    }
}

const fn start(name: &'static str, kind: Kind, default: &'static str) -> Setting {
    Setting {
        name,
        kind,
        default,
        context: Context::Start,
        is_reported: false,
    }
}

const fn fixed(name: &'static str, kind: Kind, default: &'static str) -> Setting {
    Setting {
        name,
        kind,
        default,
        context: Context::Fixed,
        is_reported: false,
    }
}

/// Position of a setting in [`SETTINGS`]; settings are looked up by name once and by position afterwards.
pub type Position = usize;

/// Finds a setting by name in any case; `TIME ZONE` and friends are resolved by the parser.
pub fn find(name: &str) -> Option<Position> {
    static BY_NAME: LazyLock<HashMap<String, Position>> = LazyLock::new(|| {
        SETTINGS
            .iter()
            .enumerate()
            .map(|(position, s)| (s.name.to_lowercase(), position))
            .collect()
    });
    BY_NAME
        .get(name)
        .copied()
        .or_else(|| BY_NAME.get(&name.to_lowercase()).copied())
}

/// All settings, sorted by name as SHOW ALL lists them.
pub static SETTINGS: &[Setting] = &[
    user("application_name", Kind::Text, "").reported(),
    user("array_nulls", Kind::Bool, "on"),
    start("authentication_timeout", Kind::Integer(1, 600, Unit::Seconds), "60"),
    user(
        "backslash_quote",
        Kind::Enum(&["safe_encoding", "on", "off"]),
        "safe_encoding",
    ),
    fixed("block_size", Kind::Integer(8192, 8192, Unit::None), "8192"),
    user("bytea_output", Kind::Enum(&["escape", "hex"]), "hex"),
    user("check_function_bodies", Kind::Bool, "on"),
    user(
        "client_connection_check_interval",
        Kind::Integer(0, 2147483647, Unit::Milliseconds),
        "0",
    ),
    user("client_encoding", Kind::Text, "UTF8").reported(),
    user(
        "client_min_messages",
        Kind::Enum(&[
            "debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error",
        ]),
        "notice",
    ),
    superuser(
        "compute_query_id",
        Kind::Enum(&["auto", "regress", "on", "off"]),
        "auto",
    ),
    user(
        "constraint_exclusion",
        Kind::Enum(&["partition", "on", "off"]),
        "partition",
    ),
    user("cpu_index_tuple_cost", Kind::Real(0.0, f64::MAX, Unit::None), "0.005"),
    user("cpu_operator_cost", Kind::Real(0.0, f64::MAX, Unit::None), "0.0025"),
    user("cpu_tuple_cost", Kind::Real(0.0, f64::MAX, Unit::None), "0.01"),
    user("cursor_tuple_fraction", Kind::Real(0.0, 1.0, Unit::None), "0.1"),
    fixed("data_checksums", Kind::Bool, "off"),
    user("DateStyle", Kind::List, "ISO, MDY").reported(),
    superuser(
        "deadlock_timeout",
        Kind::Integer(1, 2147483647, Unit::Milliseconds),
        "1000",
    ),
    user("debug_pretty_print", Kind::Bool, "on"),
    user("debug_print_parse", Kind::Bool, "off"),
    user("debug_print_plan", Kind::Bool, "off"),
    user("debug_print_rewritten", Kind::Bool, "off"),
    user("default_statistics_target", Kind::Integer(1, 10000, Unit::None), "100"),
    user("default_table_access_method", Kind::Text, "heap"),
    user("default_tablespace", Kind::Text, ""),
    user("default_text_search_config", Kind::Text, "pg_catalog.simple"),
    user("default_toast_compression", Kind::Enum(&["pglz", "lz4"]), "pglz"),
    user("default_transaction_deferrable", Kind::Bool, "off"),
    user(
        "default_transaction_isolation",
        Kind::Enum(&["serializable", "repeatable read", "read committed", "read uncommitted"]),
        "read committed",
    ),
    user("default_transaction_read_only", Kind::Bool, "off").reported(),
    user(
        "effective_cache_size",
        Kind::Integer(1, 2147483647, Unit::Blocks),
        "524288",
    ),
    user("effective_io_concurrency", Kind::Integer(0, 1000, Unit::None), "1"),
    user("enable_async_append", Kind::Bool, "on"),
    user("enable_bitmapscan", Kind::Bool, "on"),
    user("enable_gathermerge", Kind::Bool, "on"),
    user("enable_hashagg", Kind::Bool, "on"),
    user("enable_hashjoin", Kind::Bool, "on"),
    user("enable_incremental_sort", Kind::Bool, "on"),
    user("enable_indexonlyscan", Kind::Bool, "on"),
    user("enable_indexscan", Kind::Bool, "on"),
    user("enable_material", Kind::Bool, "on"),
    user("enable_memoize", Kind::Bool, "on"),
    user("enable_mergejoin", Kind::Bool, "on"),
    user("enable_nestloop", Kind::Bool, "on"),
    user("enable_parallel_append", Kind::Bool, "on"),
    user("enable_parallel_hash", Kind::Bool, "on"),
    user("enable_partition_pruning", Kind::Bool, "on"),
    user("enable_partitionwise_aggregate", Kind::Bool, "off"),
    user("enable_partitionwise_join", Kind::Bool, "off"),
    user("enable_seqscan", Kind::Bool, "on"),
    user("enable_sort", Kind::Bool, "on"),
    user("enable_tidscan", Kind::Bool, "on"),
    user("escape_string_warning", Kind::Bool, "on"),
    user("extra_float_digits", Kind::Integer(-15, 3, Unit::None), "1"),
    user("force_parallel_mode", Kind::Enum(&["off", "on", "regress"]), "off"),
    user("from_collapse_limit", Kind::Integer(1, 2147483647, Unit::None), "8"),
    user("geqo", Kind::Bool, "on"),
    user("geqo_effort", Kind::Integer(1, 10, Unit::None), "5"),
    user("geqo_generations", Kind::Integer(0, 2147483647, Unit::None), "0"),
    user("geqo_pool_size", Kind::Integer(0, 2147483647, Unit::None), "0"),
    user("geqo_seed", Kind::Real(0.0, 1.0, Unit::None), "0"),
    user("geqo_selection_bias", Kind::Real(1.5, 2.0, Unit::None), "2"),
    user("geqo_threshold", Kind::Integer(2, 2147483647, Unit::None), "12"),
    user(
        "gin_pending_list_limit",
        Kind::Integer(64, 2147483647, Unit::Kilobytes),
        "4096",
    ),
    user("hash_mem_multiplier", Kind::Real(1.0, 1000.0, Unit::None), "2"),
    user(
        "idle_in_transaction_session_timeout",
        Kind::Integer(0, 2147483647, Unit::Milliseconds),
        "0",
    ),
    user(
        "idle_session_timeout",
        Kind::Integer(0, 2147483647, Unit::Milliseconds),
        "0",
    ),
    fixed("in_hot_standby", Kind::Bool, "off").reported(),
    fixed("integer_datetimes", Kind::Bool, "on").reported(),
    user(
        "IntervalStyle",
        Kind::Enum(&["postgres", "postgres_verbose", "sql_standard", "iso_8601"]),
        "postgres",
    )
    .reported(),
    fixed("is_superuser", Kind::Bool, "on").reported(),
    user("jit", Kind::Bool, "on"),
    user("jit_above_cost", Kind::Real(-1.0, f64::MAX, Unit::None), "100000"),
    user("jit_expressions", Kind::Bool, "on"),
    user(
        "jit_inline_above_cost",
        Kind::Real(-1.0, f64::MAX, Unit::None),
        "500000",
    ),
    user(
        "jit_optimize_above_cost",
        Kind::Real(-1.0, f64::MAX, Unit::None),
        "500000",
    ),
    user("jit_tuple_deforming", Kind::Bool, "on"),
    user("join_collapse_limit", Kind::Integer(1, 2147483647, Unit::None), "8"),
    fixed("lc_collate", Kind::Text, "C"),
    fixed("lc_ctype", Kind::Text, "C"),
    superuser("lc_messages", Kind::Text, "C"),
    user("lc_monetary", Kind::Text, "C"),
    user("lc_numeric", Kind::Text, "C"),
    user("lc_time", Kind::Text, "C"),
    user("local_preload_libraries", Kind::Names, ""),
    user("lock_timeout", Kind::Integer(0, 2147483647, Unit::Milliseconds), "0"),
    superuser("log_duration", Kind::Bool, "off"),
    superuser(
        "log_error_verbosity",
        Kind::Enum(&["terse", "default", "verbose"]),
        "default",
    ),
    superuser("log_lock_waits", Kind::Bool, "off"),
    superuser(
        "log_min_duration_statement",
        Kind::Integer(-1, 2147483647, Unit::Milliseconds),
        "-1",
    ),
    superuser(
        "log_min_error_statement",
        Kind::Enum(&[
            "debug5", "debug4", "debug3", "debug2", "debug1", "info", "notice", "warning", "error", "log", "fatal",
            "panic",
        ]),
        "error",
    ),
    superuser(
        "log_min_messages",
        Kind::Enum(&[
            "debug5", "debug4", "debug3", "debug2", "debug1", "info", "notice", "warning", "error", "log", "fatal",
            "panic",
        ]),
        "warning",
    ),
    superuser(
        "log_parameter_max_length",
        Kind::Integer(-1, 1073741823, Unit::Bytes),
        "-1",
    ),
    user(
        "log_parameter_max_length_on_error",
        Kind::Integer(-1, 1073741823, Unit::Bytes),
        "0",
    ),
    superuser("log_statement", Kind::Enum(&["none", "ddl", "mod", "all"]), "none"),
    user("maintenance_io_concurrency", Kind::Integer(0, 1000, Unit::None), "10"),
    user(
        "maintenance_work_mem",
        Kind::Integer(1024, 2147483647, Unit::Kilobytes),
        "65536",
    ),
    start("max_connections", Kind::Integer(1, 262143, Unit::None), "100"),
    fixed("max_function_args", Kind::Integer(100, 100, Unit::None), "100"),
    fixed("max_identifier_length", Kind::Integer(63, 63, Unit::None), "63"),
    fixed("max_index_keys", Kind::Integer(32, 32, Unit::None), "32"),
    user(
        "max_parallel_maintenance_workers",
        Kind::Integer(0, 1024, Unit::None),
        "2",
    ),
    user("max_parallel_workers", Kind::Integer(0, 1024, Unit::None), "8"),
    user(
        "max_parallel_workers_per_gather",
        Kind::Integer(0, 1024, Unit::None),
        "2",
    ),
    start("max_prepared_transactions", Kind::Integer(0, 262143, Unit::None), "0"),
    superuser(
        "max_stack_depth",
        Kind::Integer(100, 2147483647, Unit::Kilobytes),
        "2048",
    ),
    user(
        "min_parallel_index_scan_size",
        Kind::Integer(0, 715827882, Unit::Blocks),
        "64",
    ),
    user(
        "min_parallel_table_scan_size",
        Kind::Integer(0, 715827882, Unit::Blocks),
        "1024",
    ),
    user("parallel_leader_participation", Kind::Bool, "on"),
    user("parallel_setup_cost", Kind::Real(0.0, f64::MAX, Unit::None), "1000"),
    user("parallel_tuple_cost", Kind::Real(0.0, f64::MAX, Unit::None), "0.1"),
    user(
        "password_encryption",
        Kind::Enum(&["md5", "scram-sha-256"]),
        "scram-sha-256",
    ),
    user(
        "plan_cache_mode",
        Kind::Enum(&["auto", "force_generic_plan", "force_custom_plan"]),
        "auto",
    ),
    user("quote_all_identifiers", Kind::Bool, "off"),
    user("random_page_cost", Kind::Real(0.0, f64::MAX, Unit::None), "4"),
    user("role", Kind::Text, "none"),
    user("row_security", Kind::Bool, "on"),
    user("search_path", Kind::Names, "\"$user\", public"),
    user("seed", Kind::Real(-1.0, 1.0, Unit::None), "0"),
    user("seq_page_cost", Kind::Real(0.0, f64::MAX, Unit::None), "1"),
    fixed("server_encoding", Kind::Text, "UTF8").reported(),
    fixed("server_version", Kind::Text, "15.18").reported(),
    fixed(
        "server_version_num",
        Kind::Integer(150018, 150018, Unit::None),
        "150018",
    ),
    user("session_authorization", Kind::Text, "").reported(),
    superuser("session_preload_libraries", Kind::Names, ""),
    superuser(
        "session_replication_role",
        Kind::Enum(&["origin", "replica", "local"]),
        "origin",
    ),
    user("standard_conforming_strings", Kind::Bool, "on").reported(),
    user(
        "statement_timeout",
        Kind::Integer(0, 2147483647, Unit::Milliseconds),
        "0",
    ),
    user("synchronize_seqscans", Kind::Bool, "on"),
    user(
        "synchronous_commit",
        Kind::Enum(&["local", "remote_write", "remote_apply", "on", "off"]),
        "on",
    ),
    user("tcp_keepalives_count", Kind::Integer(0, 2147483647, Unit::None), "0"),
    user("tcp_keepalives_idle", Kind::Integer(0, 2147483647, Unit::Seconds), "0"),
    user(
        "tcp_keepalives_interval",
        Kind::Integer(0, 2147483647, Unit::Seconds),
        "0",
    ),
    user(
        "tcp_user_timeout",
        Kind::Integer(0, 2147483647, Unit::Milliseconds),
        "0",
    ),
    user("temp_buffers", Kind::Integer(100, 1073741823, Unit::Blocks), "1024"),
    superuser("temp_file_limit", Kind::Integer(-1, 2147483647, Unit::Kilobytes), "-1"),
    user("temp_tablespaces", Kind::Names, ""),
    user("TimeZone", Kind::Text, "UTC").reported(),
    user("timezone_abbreviations", Kind::Text, "Default"),
    superuser("track_activities", Kind::Bool, "on"),
    superuser("track_counts", Kind::Bool, "on"),
    superuser("track_functions", Kind::Enum(&["none", "pl", "all"]), "none"),
    superuser("track_io_timing", Kind::Bool, "off"),
    user("transaction_deferrable", Kind::Bool, "off"),
    user(
        "transaction_isolation",
        Kind::Enum(&["serializable", "repeatable read", "read committed", "read uncommitted"]),
        "read committed",
    ),
    user("transaction_read_only", Kind::Bool, "off"),
    user("transform_null_equals", Kind::Bool, "off"),
    user("vacuum_cost_delay", Kind::Real(0.0, 100.0, Unit::Milliseconds), "0"),
    user("vacuum_cost_limit", Kind::Integer(1, 10000, Unit::None), "200"),
    user("vacuum_cost_page_dirty", Kind::Integer(0, 10000, Unit::None), "20"),
    user("vacuum_cost_page_hit", Kind::Integer(0, 10000, Unit::None), "1"),
    user("vacuum_cost_page_miss", Kind::Integer(0, 10000, Unit::None), "2"),
    user(
        "vacuum_freeze_min_age",
        Kind::Integer(0, 1000000000, Unit::None),
        "50000000",
    ),
    user(
        "vacuum_freeze_table_age",
        Kind::Integer(0, 2000000000, Unit::None),
        "150000000",
    ),
    user("work_mem", Kind::Integer(64, 2147483647, Unit::Kilobytes), "4096"),
    user("xmlbinary", Kind::Enum(&["base64", "hex"]), "base64"),
    user("xmloption", Kind::Enum(&["content", "document"]), "content"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::settings::value;

    #[test]
    fn names_are_sorted_unique_and_found_in_any_case() {
        for pair in SETTINGS.windows(2) {
            assert!(
                pair[0].name.to_lowercase() < pair[1].name.to_lowercase(),
                "{} before {}",
                pair[0].name,
                pair[1].name
            );
        }
        assert_eq!(
            find("timezone").map(|position| SETTINGS[position].name),
            Some("TimeZone")
        );
        assert_eq!(find("no_such_setting"), None);
    }

    #[test]
    fn every_default_is_a_valid_value() {
        for setting in SETTINGS {
            assert_eq!(
                value::canonical(setting, setting.default).as_deref().ok(),
                Some(setting.default),
                "{}",
                setting.name
            );
        }
    }
}
