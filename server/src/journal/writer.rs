//! The thread that writes files.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lobbyd_net::journal::{Beginning, Heading, Part};
use tracing::{debug, error, info, warn};

use super::PROGRAM;
use super::folder::Folder;
use super::queue::{Piece, Queue, Work};

/// For so long entries gather before they are written: what is lost when the process is killed.
const GATHER: Duration = Duration::from_millis(10);

pub(super) struct Writer {
    folder: Folder,
    /// Names the server's life.
    run: u64,
    /// After so long a disk that has failed is tried again.
    retry_after: Duration,
    /// The file of the present part.
    file: Option<File>,
    /// The disk did not take the last that was to be written.
    is_failing: bool,
}

/// What the disk does not take.
struct Failure {
    path: PathBuf,
    error: io::Error,
}

impl Writer {
    pub(super) fn new(folder: Folder, run: u64, retry_after: Duration) -> Self {
        Self { folder, run, retry_after, file: None, is_failing: false }
    }

    /// Writes what comes until the end.
    pub(super) fn run(mut self, queue: &Queue) {
        loop {
            let Work { pieces, is_last } = queue.take(GATHER);
            match self.write_all(pieces) {
                Ok(bytes) => queue.wrote(bytes),
                Err(failure) => {
                    queue.break_down();
                    self.tell(&failure);
                    self.file = None;
                    if is_last || queue.rest(self.retry_after) {
                        return;
                    }
                    queue.repair();
                }
            }
            if is_last {
                self.finish();
                return;
            }
        }
    }

    /// Says how many bytes of entries these were.
    fn write_all(&mut self, pieces: Vec<Piece>) -> Result<usize, Failure> {
        let mut bytes = 0;
        for piece in pieces {
            match piece {
                Piece::Beginning(beginning) => self.begin(&beginning)?,
                Piece::Entries(entries) => {
                    self.write(&entries)?;
                    bytes += entries.len();
                }
            }
        }
        Ok(bytes)
    }

    fn write(&mut self, entries: &[u8]) -> Result<(), Failure> {
        // They come behind a beginning, and after a failure behind the next one.
        let Some(file) = &mut self.file else { return Ok(()) };
        let written = file.write_all(&Part::entries_header(entries)).and_then(|()| file.write_all(entries));
        written.map_err(|error| Failure { path: self.folder.path().to_owned(), error })
    }

    fn begin(&mut self, beginning: &Beginning) -> Result<(), Failure> {
        // Closed first, so that what is removed is free for the next one. What the power takes from it is up to the system.
        self.file = None;
        if let Err(error) = self.folder.tidy() {
            warn!(%error, "old files of the journal cannot be removed (journal.files_max)");
        }
        let path = self.folder.file(self.run, beginning.part);
        match self.create(&path, beginning) {
            Ok(file) => self.file = Some(file),
            Err(error) => {
                // Nobody can replay so much of it, and it must not push out a file that one can. It may not be there.
                let _ = fs::remove_file(&path);
                return Err(Failure { path, error });
            }
        }
        let (path, lost) = (path.display(), beginning.lost);
        if self.is_failing {
            self.is_failing = false;
            info!(%path, lost, "the disk takes the journal again, which goes on in another file");
        } else if beginning.part == 0 {
            info!(%path, "the journal begins");
        } else {
            debug!(%path, lost, "the journal goes on in another file");
        }
        Ok(())
    }

    fn create(&self, path: &Path, beginning: &Beginning) -> io::Result<File> {
        let heading = Heading { program: PROGRAM.to_owned(), run: self.run, unix_ms: unix_ms() };
        let mut bytes = Vec::new();
        Part::append_beginning(&heading, beginning, &mut bytes);
        let mut file = Folder::create(path)?;
        file.write_all(&bytes)?;
        Ok(file)
    }

    /// Once, until it works again.
    fn tell(&mut self, Failure { path, error }: &Failure) {
        if !self.is_failing {
            let path = path.display();
            error!(%error, %path, "the journal cannot be written (journal.folder): nothing is recorded until it can be");
        }
        self.is_failing = true;
    }

    /// Has the end of the journal outlive a failure of power, too.
    fn finish(&mut self) {
        if let Some(file) = self.file.take()
            && let Err(error) = file.sync_data()
        {
            error!(%error, "the system does not say that the end of the journal is safe on the disk");
        }
    }
}

/// Milliseconds since 1970.
pub(super) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
