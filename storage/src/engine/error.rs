//! EngineError: why the data directory could not be read or written.

use std::path::PathBuf;

/// Why the data directory could not be read or written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EngineError {
    /// Another process has the directory open. Stop it, or choose another directory.
    #[error("data directory {path:?} is in use by another process{}", .pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The other process, if it left its number.
        pid: Option<u32>,
    },
    /// The directory was written by a newer version. Run that version.
    #[error("data directory {path:?} has format {found} of a newer version; this one reads up to format {supported}")]
    NewerFormat {
        /// The directory.
        path: PathBuf,
        /// Format of the directory.
        found: u32,
        /// Newest format this version reads.
        supported: u32,
    },
    /// The directory holds something else. Choose another directory.
    #[error("{path:?} is not empty and not a data directory")]
    NotADataDirectory {
        /// The directory.
        path: PathBuf,
    },
    /// The device is full. Retry after space was freed; nothing was lost.
    #[error("no space left on device: {0}")]
    NoSpace(String),
    /// The device or the file system failed. Nothing written since the last successful sync may be relied on.
    #[error("{0}")]
    Io(String),
    /// What was read is not what was written.
    #[error("{0}")]
    Corrupted(String),
}

impl EngineError {
    /// Whether trying again can succeed without anybody repairing anything but freeing space.
    pub fn is_retryable(&self) -> bool {
        match self {
            EngineError::NoSpace(_) => true,
            EngineError::InUse { .. }
            | EngineError::NewerFormat { .. }
            | EngineError::NotADataDirectory { .. }
            | EngineError::Io(_)
            | EngineError::Corrupted(_) => false,
        }
    }
}

impl From<rocksdb::Error> for EngineError {
    fn from(error: rocksdb::Error) -> Self {
        let kind = error.kind();
        let text = error.into_string();
        // RocksDB's status has a sub-code for a full device, but its C interface hands out only the text.
        if text.contains("No space left on device") || text.contains("NoSpace") || text.contains("Max allowed space") {
            return EngineError::NoSpace(text);
        }
        match kind {
            rocksdb::ErrorKind::Corruption => EngineError::Corrupted(text),
            _ => EngineError::Io(text),
        }
    }
}

impl EngineError {
    /// Wraps an error of the file system with the path it concerns.
    pub(crate) fn file(path: &std::path::Path, error: std::io::Error) -> Self {
        let text = format!("{}: {error}", path.display());
        if error.kind() == std::io::ErrorKind::StorageFull {
            EngineError::NoSpace(text)
        } else {
            EngineError::Io(text)
        }
    }
}
