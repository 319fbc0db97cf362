//! SqlError: what a client is told, with PostgreSQL's SQLSTATE, position and fields.

use std::fmt;

use storage::StorageError;
use txn::TxnError;

/// A five-character SQLSTATE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SqlState(pub &'static str);

/// Result of everything that can fail in a statement.
pub type SqlResult<T> = Result<T, SqlError>;

/// An error as the PostgreSQL protocol carries it. Boxed inside, so that a `Result` stays small.
#[derive(Clone, Debug)]
pub struct SqlError(Box<Fields>);

/// The fields of an error. Text follows PostgreSQL: lower case, one line, no full stop; advice goes to the hint.
#[derive(Clone, Debug)]
pub struct Fields {
    /// SQLSTATE.
    pub code: SqlState,
    /// Primary message.
    pub message: String,
    /// Facts.
    pub detail: Option<String>,
    /// Advice.
    pub hint: Option<String>,
    /// One-based character position in the statement's text.
    pub position: Option<u32>,
    /// Schema, table, column, data type and constraint the error is about.
    pub object: ObjectNames,
    /// Where it happened, outermost last (`COPY t, line 3, column a: "x"`).
    pub context: Option<String>,
}

/// How bad a report is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "PostgreSQL's severities")]
pub enum Severity {
    Debug,
    Log,
    Info,
    Notice,
    Warning,
    Error,
    Fatal,
}

/// Names of the object an error is about; clients read `constraint` in particular.
#[derive(Clone, Debug, Default)]
pub struct ObjectNames {
    /// Schema name.
    pub schema: Option<String>,
    /// Table name.
    pub table: Option<String>,
    /// Column name.
    pub column: Option<String>,
    /// Data type name.
    pub data_type: Option<String>,
    /// Constraint name.
    pub constraint: Option<String>,
}

impl SqlError {
    /// An error with a code and a message.
    pub fn new(code: SqlState, message: impl Into<String>) -> Self {
        Self(Box::new(Fields {
            code,
            message: message.into(),
            detail: None,
            hint: None,
            position: None,
            object: ObjectNames::default(),
            context: None,
        }))
    }

    /// 0A000 with a hint: what Cambium does not do yet is said, never ignored.
    pub fn unsupported(what: impl fmt::Display) -> Self {
        Self::new(SqlState::FEATURE_NOT_SUPPORTED, format!("{what} is not supported"))
            .hint("See the compatibility page of the README for what Cambium supports.")
    }

    /// Changes the primary message.
    pub fn with_message(mut self, change: impl FnOnce(&str) -> String) -> Self {
        self.0.message = change(&self.0.message);
        self
    }

    /// Adds the detail line.
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Adds the hint line.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Sets the position unless a more precise one is already there.
    pub fn at(mut self, position: Option<u32>) -> Self {
        self.0.position = self.0.position.or(position);
        self
    }

    /// Moves the position by the characters that stand before the text it was counted in.
    pub fn shifted(mut self, characters: u32) -> Self {
        self.0.position = self.0.position.map(|position| position + characters);
        self
    }

    /// Changes the object names.
    pub fn object(mut self, change: impl FnOnce(&mut ObjectNames)) -> Self {
        change(&mut self.0.object);
        self
    }

    /// Adds a context line unless there is one already.
    pub fn context(mut self, context: impl FnOnce() -> String) -> Self {
        self.0.context.get_or_insert_with(context);
        self
    }

    /// Moves the position, for a statement that is part of a longer text.
    pub fn shift(mut self, characters: u32) -> Self {
        self.0.position = self.0.position.map(|position| position + characters);
        self
    }

    /// The fields, for the protocol.
    pub fn fields(&self) -> &Fields {
        &self.0
    }

    /// The SQLSTATE.
    pub fn code(&self) -> SqlState {
        self.0.code
    }
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.0.message, self.0.code.0)
    }
}

impl std::error::Error for SqlError {}

impl From<storage::numeric::NumericError> for SqlError {
    fn from(error: storage::numeric::NumericError) -> Self {
        let raised = SqlError::new(SqlState(error.sqlstate()), error.to_string());
        match error {
            storage::numeric::NumericError::FieldOverflow { detail } => raised.detail(detail),
            _ => raised,
        }
    }
}

impl From<storage::jsonb::JsonError> for SqlError {
    fn from(error: storage::jsonb::JsonError) -> Self {
        let mut raised = SqlError::new(SqlState(error.kind.sqlstate()), error.message);
        if let Some(detail) = error.detail {
            raised = raised.detail(detail);
        }
        if let Some(hint) = error.hint {
            raised = raised.hint(hint);
        }
        if let Some(context) = error.context {
            raised = raised.context(|| context);
        }
        raised
    }
}

macro_rules! sqlstates {
    ($($name:ident $code:literal),* $(,)?) => {
        impl SqlState {
            $(#[doc = concat!("SQLSTATE ", $code)] pub const $name: SqlState = SqlState($code);)*
        }
    };
}

sqlstates! {
    SUCCESSFUL_COMPLETION "00000", WARNING "01000", NO_DATA "02000",
    CONNECTION_FAILURE "08006", PROTOCOL_VIOLATION "08P01", TRANSACTION_RESOLUTION_UNKNOWN "08007",
    FEATURE_NOT_SUPPORTED "0A000",
    CARDINALITY_VIOLATION "21000",
    DATA_EXCEPTION "22000", STRING_DATA_RIGHT_TRUNCATION "22001", NUMERIC_VALUE_OUT_OF_RANGE "22003",
    NULL_VALUE_NOT_ALLOWED "22004", INVALID_DATETIME_FORMAT "22007", DATETIME_FIELD_OVERFLOW "22008",
    INVALID_TIME_ZONE_DISPLACEMENT "22009", SUBSTRING_ERROR "22011", DIVISION_BY_ZERO "22012",
    INVALID_PRECEDING_OR_FOLLOWING_SIZE "22013", INVALID_ARGUMENT_FOR_NTILE "22014", INTERVAL_FIELD_OVERFLOW "22015",
    INVALID_ARGUMENT_FOR_LOGARITHM "2201E", INVALID_ARGUMENT_FOR_WIDTH_BUCKET "2201G", INVALID_ARGUMENT_FOR_POWER "2201F",
    INVALID_ROW_COUNT_IN_LIMIT "2201W", INVALID_ROW_COUNT_IN_OFFSET "2201X", INVALID_REGULAR_EXPRESSION "2201B",
    CHARACTER_NOT_IN_REPERTOIRE "22021", INVALID_PARAMETER_VALUE "22023", INVALID_ESCAPE_SEQUENCE "22025", INVALID_USE_OF_ESCAPE_CHARACTER "2200C",
    ARRAY_SUBSCRIPT_ERROR "2202E",
    DUPLICATE_JSON_OBJECT_KEY_VALUE "22030", INVALID_JSON_TEXT "22032", INVALID_SQL_JSON_SUBSCRIPT "22033",
    MORE_THAN_ONE_SQL_JSON_ITEM "22034", NO_SQL_JSON_ITEM "22035", NON_NUMERIC_SQL_JSON_ITEM "22036",
    SINGLETON_SQL_JSON_ITEM_REQUIRED "22038", SQL_JSON_ARRAY_NOT_FOUND "22039", SQL_JSON_MEMBER_NOT_FOUND "2203A",
    SQL_JSON_NUMBER_NOT_FOUND "2203B", SQL_JSON_OBJECT_NOT_FOUND "2203C", SQL_JSON_SCALAR_REQUIRED "2203F",
    FLOATING_POINT_EXCEPTION "22P01", INVALID_TEXT_REPRESENTATION "22P02", INVALID_BINARY_REPRESENTATION "22P03",
    BAD_COPY_FILE_FORMAT "22P04", UNTRANSLATABLE_CHARACTER "22P05", NONSTANDARD_USE_OF_ESCAPE_CHARACTER "22P06",
    INTEGRITY_CONSTRAINT_VIOLATION "23000", RESTRICT_VIOLATION "23001", NOT_NULL_VIOLATION "23502",
    FOREIGN_KEY_VIOLATION "23503", UNIQUE_VIOLATION "23505", CHECK_VIOLATION "23514",
    INVALID_CURSOR_STATE "24000",
    INVALID_TRANSACTION_STATE "25000", ACTIVE_SQL_TRANSACTION "25001", READ_ONLY_SQL_TRANSACTION "25006",
    NO_ACTIVE_SQL_TRANSACTION "25P01", IN_FAILED_SQL_TRANSACTION "25P02", IDLE_IN_TRANSACTION_SESSION_TIMEOUT "25P03",
    INVALID_SQL_STATEMENT_NAME "26000", INVALID_AUTHORIZATION_SPECIFICATION "28000", INVALID_PASSWORD "28P01",
    DEPENDENT_OBJECTS_STILL_EXIST "2BP01", SQL_ROUTINE_EXCEPTION "2F000", INVALID_CURSOR_NAME "34000",
    INVALID_SAVEPOINT_SPECIFICATION "3B001", INVALID_CATALOG_NAME "3D000", INVALID_SCHEMA_NAME "3F000",
    SERIALIZATION_FAILURE "40001", STATEMENT_COMPLETION_UNKNOWN "40003", DEADLOCK_DETECTED "40P01",
    INSUFFICIENT_PRIVILEGE "42501", SYNTAX_ERROR "42601", INVALID_NAME "42602", INVALID_COLUMN_DEFINITION "42611",
    NAME_TOO_LONG "42622", DUPLICATE_COLUMN "42701", AMBIGUOUS_COLUMN "42702", UNDEFINED_COLUMN "42703",
    UNDEFINED_OBJECT "42704", DUPLICATE_OBJECT "42710", DUPLICATE_ALIAS "42712", DUPLICATE_FUNCTION "42723",
    AMBIGUOUS_FUNCTION "42725", GROUPING_ERROR "42803", DATATYPE_MISMATCH "42804", WRONG_OBJECT_TYPE "42809",
    INVALID_FOREIGN_KEY "42830", CANNOT_COERCE "42846", UNDEFINED_FUNCTION "42883", RESERVED_NAME "42939",
    UNDEFINED_TABLE "42P01", UNDEFINED_PARAMETER "42P02", DUPLICATE_CURSOR "42P03", DUPLICATE_DATABASE "42P04",
    DUPLICATE_PREPARED_STATEMENT "42P05", DUPLICATE_SCHEMA "42P06", DUPLICATE_TABLE "42P07",
    AMBIGUOUS_PARAMETER "42P08", AMBIGUOUS_ALIAS "42P09", INVALID_COLUMN_REFERENCE "42P10",
    INVALID_CURSOR_DEFINITION "42P11", INVALID_TABLE_DEFINITION "42P16", INVALID_OBJECT_DEFINITION "42P17",
    INDETERMINATE_DATATYPE "42P18", INVALID_RECURSION "42P19", WINDOWING_ERROR "42P20", COLLATION_MISMATCH "42P21",
    INDETERMINATE_COLLATION "42P22", GENERATED_ALWAYS "428C9", WITH_CHECK_OPTION_VIOLATION "44000",
    DISK_FULL "53100", OUT_OF_MEMORY "53200", TOO_MANY_CONNECTIONS "53300", CONFIGURATION_LIMIT_EXCEEDED "53400",
    PROGRAM_LIMIT_EXCEEDED "54000", STATEMENT_TOO_COMPLEX "54001", TOO_MANY_COLUMNS "54011", TOO_MANY_ARGUMENTS "54023",
    OBJECT_NOT_IN_PREREQUISITE_STATE "55000", OBJECT_IN_USE "55006", CANT_CHANGE_RUNTIME_PARAM "55P02",
    LOCK_NOT_AVAILABLE "55P03", QUERY_CANCELED "57014", ADMIN_SHUTDOWN "57P01", CANNOT_CONNECT_NOW "57P03",
    IO_ERROR "58030", SNAPSHOT_TOO_OLD "72000", INTERNAL_ERROR "XX000", DATA_CORRUPTED "XX001",
    INDEX_CORRUPTED "XX002",
}

/// The one table from what stops a transaction to what the client is told.
impl From<TxnError> for SqlError {
    fn from(error: TxnError) -> Self {
        let message = error.to_string();
        match error {
            TxnError::Serialization { detail } => {
                let error = SqlError::new(SqlState::SERIALIZATION_FAILURE, message);
                if detail.is_empty() { error } else { error.detail(detail) }
            }
            TxnError::Deadlock { detail } => SqlError::new(SqlState::DEADLOCK_DETECTED, message)
                .detail(detail)
                .hint("See server log for query details."),
            TxnError::LockNotAvailable { name, timeout: false } => {
                SqlError::new(SqlState::LOCK_NOT_AVAILABLE, message).object(|object| object.table = Some(name))
            }
            TxnError::LockNotAvailable { timeout: true, .. } => {
                SqlError::new(SqlState::LOCK_NOT_AVAILABLE, "canceling statement due to lock timeout")
            }
            TxnError::Cancelled => SqlError::new(SqlState::QUERY_CANCELED, message),
            TxnError::LockMemory => SqlError::new(SqlState::OUT_OF_MEMORY, message)
                .hint("Commit earlier, or lock fewer paths in one transaction."),
            TxnError::DiskFull => SqlError::new(SqlState::DISK_FULL, "could not write: no space left on device")
                .hint("Reads go on; writes are accepted again when space is freed."),
            TxnError::Corrupted(_) => SqlError::new(SqlState::DATA_CORRUPTED, message),
            TxnError::Io(_) => SqlError::new(SqlState::IO_ERROR, message),
            TxnError::SnapshotTooOld => SqlError::new(SqlState::SNAPSHOT_TOO_OLD, message),
            TxnError::Deleted | TxnError::TableVersion(_) => SqlError::new(SqlState::SERIALIZATION_FAILURE, message),
            TxnError::OutcomeUnknown => SqlError::new(SqlState::STATEMENT_COMPLETION_UNKNOWN, message),
            TxnError::Unavailable => SqlError::new(SqlState::ADMIN_SHUTDOWN, message),
            TxnError::NoLeader { .. } => SqlError::new(SqlState::CANNOT_CONNECT_NOW, message)
                .hint("Too many nodes that hold replicas of the shard are down or cannot be reached."),
            TxnError::AddOutOfRange => SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message),
            TxnError::Limit(_) => SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message),
        }
    }
}

/// Storage errors outside of a transaction: encoding keys, reading values.
impl From<StorageError> for SqlError {
    fn from(error: StorageError) -> Self {
        SqlError::new(SqlState(error.sqlstate()), error.to_string())
    }
}
