//! The data directory itself: its lock, its format version, and the space left on its device.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::EngineError;

/// Format this version writes, and the newest it reads.
const FORMAT_VERSION: u32 = 2;
/// First word of `VERSION`, so that the file explains itself.
const FORMAT_NAME: &str = "cambium";

/// The right to use a data directory, until dropped. The kernel releases it when the process dies, however it dies.
pub(crate) struct DirectoryLock {
    _file: File,
}

/// Creates the directory if missing, locks it, checks its version, and empties its `tmp`.
pub(crate) fn prepare(path: &Path) -> Result<DirectoryLock, EngineError> {
    fs::create_dir_all(path).map_err(|error| EngineError::file(path, error))?;
    let version_path = path.join("VERSION");
    if !version_path.exists() {
        check_empty(path)?;
    }
    let lock = lock(path)?;
    match fs::read_to_string(&version_path) {
        Ok(text) => {
            // An older format is part of this one; what is written from now on need not be part of the older.
            if check_version(path, &text)? < FORMAT_VERSION {
                write_version(path, &version_path)?;
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => write_version(path, &version_path)?,
        Err(error) => return Err(EngineError::file(&version_path, error)),
    }
    let tmp = path.join("tmp");
    match fs::remove_dir_all(&tmp) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(EngineError::file(&tmp, error)),
        _ => {}
    }
    fs::create_dir(&tmp).map_err(|error| EngineError::file(&tmp, error))?;
    Ok(lock)
}

/// A directory without `VERSION` must not hold anything we could mistake for ours or damage.
fn check_empty(path: &Path) -> Result<(), EngineError> {
    for entry in fs::read_dir(path).map_err(|error| EngineError::file(path, error))? {
        let name = entry.map_err(|error| EngineError::file(path, error))?.file_name();
        // A fresh mount has lost+found; LOCK and VERSION.new are ours, from a first start that was killed.
        if !matches!(name.to_str(), Some("lost+found" | "LOCK" | "VERSION.new")) {
            return Err(EngineError::NotADataDirectory {
                path: path.to_path_buf(),
            });
        }
    }
    Ok(())
}

fn lock(path: &Path) -> Result<DirectoryLock, EngineError> {
    let lock_path = path.join("LOCK");
    let failed = |error| EngineError::file(&lock_path, error);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&lock_path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            // The number is advice for the operator only.
            let _ = file.read_to_string(&mut text);
            return Err(EngineError::InUse {
                path: path.to_path_buf(),
                pid: text.trim().parse().ok(),
            });
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    file.set_len(0).map_err(failed)?;
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    writeln!(file, "{}", std::process::id()).map_err(failed)?;
    Ok(DirectoryLock { _file: file })
}

/// The format of a directory, if it can be read.
fn check_version(path: &Path, text: &str) -> Result<u32, EngineError> {
    let found = text
        .trim()
        .strip_prefix(FORMAT_NAME)
        .and_then(|number| number.trim().parse::<u32>().ok());
    match found {
        Some(found) if found <= FORMAT_VERSION => Ok(found),
        Some(found) => Err(EngineError::NewerFormat {
            path: path.to_path_buf(),
            found,
            supported: FORMAT_VERSION,
        }),
        None => Err(EngineError::NotADataDirectory {
            path: path.to_path_buf(),
        }),
    }
}

/// Written aside, synced and renamed: a directory has a whole version file or none.
fn write_version(path: &Path, version_path: &Path) -> Result<(), EngineError> {
    let new = path.join("VERSION.new");
    let written = (|| {
        let mut file = File::create(&new)?;
        writeln!(file, "{FORMAT_NAME} {FORMAT_VERSION}")?;
        file.sync_all()?;
        fs::rename(&new, version_path)?;
        File::open(path)?.sync_all()
    })();
    written.map_err(|error| EngineError::file(version_path, error))
}

/// Free space of a device, measured at most so often.
pub(crate) struct FreeSpace {
    path: PathBuf,
    started: Instant,
    /// Milliseconds since `started` of the last measurement, plus one; 0 before the first.
    measured_ms: AtomicU64,
    bytes: AtomicU64,
}

impl FreeSpace {
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
            started: Instant::now(),
            measured_ms: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    /// Bytes free for this process, at most `max_age_ms` old.
    pub(crate) fn bytes(&self, max_age_ms: u64) -> Result<u64, EngineError> {
        let now_ms = self.started.elapsed().as_millis() as u64 + 1;
        let measured_ms = self.measured_ms.load(Ordering::Acquire);
        if measured_ms != 0 && now_ms.saturating_sub(measured_ms) < max_age_ms {
            return Ok(self.bytes.load(Ordering::Acquire));
        }
        let bytes = measure(&self.path)?;
        self.bytes.store(bytes, Ordering::Release);
        self.measured_ms.store(now_ms, Ordering::Release);
        Ok(bytes)
    }
}

fn measure(path: &Path) -> Result<u64, EngineError> {
    let c_path = std::ffi::CString::new(path.as_os_str().as_bytes())
        .map_err(|_| EngineError::Io(format!("{} contains a NUL byte", path.display())))?;
    let mut stat = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: `c_path` is NUL-terminated and `stat` is large enough; it is read only if the call succeeded.
    let stat = unsafe {
        if libc::statvfs(c_path.as_ptr(), stat.as_mut_ptr()) != 0 {
            return Err(EngineError::file(path, std::io::Error::last_os_error()));
        }
        stat.assume_init()
    };
    #[allow(clippy::unnecessary_cast, reason = "the field widths differ between platforms")]
    Ok(stat.f_bavail as u64 * stat.f_frsize as u64)
}
