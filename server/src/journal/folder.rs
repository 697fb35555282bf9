//! The folder that the files of a journal are in: their names, their order, and how much is kept.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What names of files end with.
const EXTENSION: &str = "journal";
const LOCK: &str = "lock";
/// Who was there and what was said is nobody else's.
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// A folder that one server writes its journal to.
pub(super) struct Folder {
    path: PathBuf,
    kept: Kept,
    /// Held as long as the server writes.
    _lock: File,
}

/// How much is kept besides the file that is being written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    /// The most bytes of all files.
    pub(super) bytes_max: u64,
    /// The most files.
    pub(super) files_max: usize,
}

impl Folder {
    /// Opens the folder, and makes it if it is missing. None if another server writes there.
    ///
    /// # Errors
    /// When the system does not let it.
    pub(super) fn open(path: &Path, kept: Kept) -> io::Result<Option<Self>> {
        DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path)?;
        let mut options = OpenOptions::new();
        let lock = options.create(true).truncate(false).write(true).mode(FILE_MODE).open(path.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self { path: path.to_owned(), kept, _lock: lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What the life of a server is called that begins now: the time in milliseconds, but always more than those before,
    /// whatever the clock says, so that names are in the order of their making.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(super) fn next_run(&self, unix_ms: u64) -> io::Result<u64> {
        let last = files(&self.path)?.pop().and_then(|file| run_of(&file));
        Ok(last.map_or(unix_ms, |last| unix_ms.max(last.saturating_add(1))))
    }

    /// Where the file of a part is.
    pub(super) fn file(&self, run: u64, part: u64) -> PathBuf {
        // As many digits as the largest number has.
        self.path.join(format!("{run:020}-{part:020}.{EXTENSION}"))
    }

    /// Makes a file.
    ///
    /// # Errors
    /// When the system does not let it, or there is one of that name.
    pub(super) fn create(path: &Path) -> io::Result<File> {
        OpenOptions::new().create_new(true).append(true).mode(FILE_MODE).open(path)
    }

    /// Removes the oldest files until no more are left than are to be kept.
    ///
    /// # Errors
    /// When the system does not let it.
    pub(super) fn tidy(&self) -> io::Result<()> {
        let files = files(&self.path)?;
        let lengths = files.iter().map(|file| fs::metadata(file).map(|metadata| metadata.len()));
        let lengths = lengths.collect::<io::Result<Vec<u64>>>()?;
        let (mut bytes, mut count) = (lengths.iter().sum::<u64>(), files.len());
        for (file, length) in files.iter().zip(lengths) {
            if bytes <= self.kept.bytes_max && count <= self.kept.files_max {
                break;
            }
            fs::remove_file(file)?;
            (bytes, count) = (bytes - length, count - 1);
        }
        Ok(())
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

fn run_of(file: &Path) -> Option<u64> {
    file.file_name()?.to_str()?.split('-').next()?.parse().ok()
}
