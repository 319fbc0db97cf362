//! Runs: rows of an operator that has more of them than it may hold, in temporary files.
//!
//! A file has no name any more once it is open, so that it is gone with the process however that ends. Rows are encoded as
//! in storage, each behind its length.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, ErrorKind, Read, Seek, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use storage::version::{decode_row, encode_row};
use storage::{Datum, Row};

use crate::{SqlError, SqlResult, SqlState};

/// Bytes of rows an operator holds before it writes them out; in unit tests so few that they do.
pub const WORK_BYTES: usize = if cfg!(test) { 64 << 10 } else { 64 << 20 };

/// A file that is being written.
pub struct RunWriter {
    file: BufWriter<File>,
    encoded: Vec<u8>,
    bytes: u64,
}

impl RunWriter {
    /// A new file.
    ///
    /// # Errors
    /// 53100 without space, 58030 for what else the system reports.
    pub fn create() -> SqlResult<RunWriter> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("cambium-{}-{number}.run", std::process::id()));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(|error| failed(&error))?;
        std::fs::remove_file(&path).map_err(|error| failed(&error))?;
        Ok(RunWriter {
            file: BufWriter::new(file),
            encoded: Vec::new(),
            bytes: 0,
        })
    }

    /// Adds a row.
    ///
    /// # Errors
    /// As [`RunWriter::create`].
    pub fn push(&mut self, row: &[Datum]) -> SqlResult<()> {
        self.encoded.clear();
        encode_row(&mut self.encoded, row);
        let length = (self.encoded.len() as u64).to_le_bytes();
        self.file.write_all(&length).map_err(|error| failed(&error))?;
        self.file.write_all(&self.encoded).map_err(|error| failed(&error))?;
        self.bytes += (length.len() + self.encoded.len()) as u64;
        Ok(())
    }

    /// Ends the file; its rows can be read, and how many bytes they take.
    ///
    /// # Errors
    /// As [`RunWriter::create`].
    pub fn finish(self) -> SqlResult<(RunReader, u64)> {
        let mut file = self.file.into_inner().map_err(|error| failed(error.error()))?;
        file.rewind().map_err(|error| failed(&error))?;
        let reader = RunReader {
            file: BufReader::with_capacity(1 << 16, file),
            left: self.bytes,
        };
        Ok((reader, self.bytes))
    }
}

/// A file that is being read.
pub struct RunReader {
    file: BufReader<File>,
    left: u64,
}

impl RunReader {
    /// The next row.
    ///
    /// # Errors
    /// 58030 for what the system reports, XX001 for a file that is not what was written.
    pub fn next_row(&mut self) -> SqlResult<Option<Row>> {
        if self.left == 0 {
            return Ok(None);
        }
        let mut length = [0; 8];
        self.file.read_exact(&mut length).map_err(|error| failed(&error))?;
        let length = u64::from_le_bytes(length);
        let mut encoded = vec![0; usize::try_from(length.min(self.left)).unwrap_or_default()];
        self.file.read_exact(&mut encoded).map_err(|error| failed(&error))?;
        self.left = self.left.saturating_sub(length + 8);
        let row = decode_row(&Bytes::from(encoded));
        row.map(Some)
            .map_err(|error| SqlError::new(SqlState::DATA_CORRUPTED, error.to_string()))
    }
}

fn failed(error: &std::io::Error) -> SqlError {
    let code = match error.kind() {
        ErrorKind::StorageFull => SqlState::DISK_FULL,
        _ => SqlState::IO_ERROR,
    };
    SqlError::new(code, format!("could not use a temporary file: {error}"))
}

#[cfg(test)]
mod tests {
    use storage::Datum;

    use super::RunWriter;
    use crate::SqlResult;

    #[test]
    fn a_run_gives_its_rows_back_in_order() -> SqlResult<()> {
        let rows = [
            vec![Datum::Int4(1), Datum::text("eins"), Datum::Null],
            vec![Datum::Int4(2), Datum::text("x".repeat(100_000)), Datum::Bool(true)],
            vec![],
        ];
        let mut run = RunWriter::create()?;
        for row in &rows {
            run.push(row)?;
        }
        let (mut run, bytes) = run.finish()?;
        assert!(bytes > 100_000);
        for row in &rows {
            assert_eq!(format!("{:?}", run.next_row()?), format!("{:?}", Some(row)));
        }
        assert!(run.next_row()?.is_none());
        Ok(())
    }
}
