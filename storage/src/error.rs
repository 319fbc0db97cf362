//! StorageError: why stored or incoming bytes could not be used.

use crate::jsonb::JsonError;
use crate::numeric::NumericError;

/// Result of a storage operation.
pub type StorageResult<T> = Result<T, StorageError>;

/// Why stored or incoming bytes could not be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StorageError {
    /// A stored value fails its checksum or cannot be decoded: the device or a bug damaged it. XX001; never retried.
    #[error("{0}")]
    Corrupted(String),
    /// Text that is not JSON, or JSON that cannot be stored. The client's to mend.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A numeric operation failed. The client's to mend.
    #[error(transparent)]
    Numeric(#[from] NumericError),
    /// A bound was exceeded (document size, path depth, key length). 54000.
    #[error("{0}")]
    Limit(String),
    /// The device failed. 58030; a state machine stops its replica.
    #[error("{0}")]
    Io(String),
    /// The device is full. 53100; reads go on.
    #[error("disk is full")]
    DiskFull,
    /// Something this version of the format does not hold. 0A000.
    #[error("{0}")]
    NotSupported(String),
}

impl StorageError {
    /// Bytes of `what` that cannot be decoded.
    pub fn corrupted(what: impl std::fmt::Display) -> Self {
        Self::Corrupted(format!("corrupted {what}"))
    }

    /// SQLSTATE of the error.
    pub fn sqlstate(&self) -> &'static str {
        match self {
            Self::Corrupted(_) => "XX001",
            Self::Json(error) => error.kind.sqlstate(),
            Self::Numeric(error) => error.sqlstate(),
            Self::Limit(_) => "54000",
            Self::Io(_) => "58030",
            Self::DiskFull => "53100",
            Self::NotSupported(_) => "0A000",
        }
    }

    /// Whether every replica that applies the same command fails alike.
    pub fn is_deterministic(&self) -> bool {
        match self {
            Self::Json(_) | Self::Numeric(_) | Self::Limit(_) | Self::NotSupported(_) => true,
            Self::Corrupted(_) | Self::Io(_) | Self::DiskFull => false,
        }
    }

    /// Whether the client may simply run the transaction again.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::DiskFull => true,
            Self::Json(_)
            | Self::Numeric(_)
            | Self::Limit(_)
            | Self::NotSupported(_)
            | Self::Corrupted(_)
            | Self::Io(_) => false,
        }
    }
}

impl From<crate::engine::EngineError> for StorageError {
    fn from(error: crate::engine::EngineError) -> Self {
        use crate::engine::EngineError;
        match error {
            EngineError::NoSpace(_) => StorageError::DiskFull,
            EngineError::Corrupted(text) => StorageError::Corrupted(text),
            EngineError::Io(text) => StorageError::Io(text),
            error @ (EngineError::InUse { .. }
            | EngineError::NewerFormat { .. }
            | EngineError::NotADataDirectory { .. }) => StorageError::Io(error.to_string()),
        }
    }
}
