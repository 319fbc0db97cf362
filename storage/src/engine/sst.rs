//! Export and import of a family as files: how a snapshot reaches a follower.

use std::path::{Path, PathBuf};

use rocksdb::{IngestExternalFileOptions, SstFileWriter};

use super::{Engine, EngineError, Family, View, options};

impl Engine {
    /// Directory for files on their way in or out; emptied when the data directory is opened. On the same device as the
    /// families, so that files are moved and not copied.
    pub fn tmp(&self) -> PathBuf {
        self.path.join("tmp")
    }

    /// Writes all keys of a view into files of about `file_bytes_max` in `directory`, in key order, and returns them.
    /// An empty view gives no file.
    pub fn export(&self, view: &View, directory: &Path, file_bytes_max: u64) -> Result<Vec<PathBuf>, EngineError> {
        std::fs::create_dir_all(directory).map_err(|error| EngineError::file(directory, error))?;
        let file_options = options::exported_file();
        let mut cursor = view.bulk_cursor(None, None)?;
        cursor.seek_to_first();
        let mut files = Vec::new();
        while cursor.valid() {
            let path = directory.join(format!("{:06}.sst", files.len()));
            let mut writer = SstFileWriter::create(&file_options);
            writer.open(&path)?;
            let mut bytes = 0;
            while let Some((key, value)) = cursor.item() {
                writer.put(key, value)?;
                bytes += (key.len() + value.len()) as u64;
                cursor.next();
                if bytes >= file_bytes_max {
                    break;
                }
            }
            writer.finish()?;
            files.push(path);
        }
        cursor.status()?;
        Ok(files)
    }

    /// Moves exported files into a family that was just staged. On return their contents are durable.
    pub fn ingest(&self, family: &Family, files: Vec<PathBuf>) -> Result<(), EngineError> {
        if files.is_empty() {
            return Ok(());
        }
        let mut ingest = IngestExternalFileOptions::default();
        ingest.set_move_files(true);
        self.db.ingest_external_file_cf_opts(family.handle(), &ingest, files)?;
        Ok(())
    }
}
