//! The folder that the files of a journal are in: their names, their order, and how many are kept.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// What names of files end with.
const EXTENSION: &str = "journal";
const LOCK: &str = "lock";

/// A folder that one server writes its journal to.
pub(super) struct Folder {
    path: PathBuf,
    files_max: usize,
    /// Held as long as the server writes.
    _lock: File,
}

impl Folder {
    /// Opens the folder, and makes it if it is missing. None if another server writes there.
    ///
    /// # Errors
    /// When the system does not let it.
    pub(super) fn open(path: &Path, files_max: u32) -> io::Result<Option<Self>> {
        fs::create_dir_all(path)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(path.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self { path: path.to_owned(), files_max: files_max as usize, _lock: lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Where the file of a part is.
    pub(super) fn file(&self, run: u64, part: u64) -> PathBuf {
        // Names are in the order of their making as long as the clock goes forward: run is a time in milliseconds.
        self.path.join(format!("{run:014}-{part:06}.{EXTENSION}"))
    }

    /// Removes the oldest files, so that no more than are to be kept are left.
    ///
    /// # Errors
    /// When the system does not let it.
    pub(super) fn tidy(&self) -> io::Result<()> {
        let files = files(&self.path)?;
        let extra = files.len().saturating_sub(self.files_max);
        files[..extra].iter().try_for_each(fs::remove_file)
    }
}

/// The files of journals in a folder, the oldest first.
///
/// # Errors
/// When it cannot be read.
pub(super) fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == EXTENSION) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
