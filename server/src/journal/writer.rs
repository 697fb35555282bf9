//! The thread that writes files.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lobbyd_net::journal::{Beginning, Heading, Part};
use tracing::{debug, error, info, warn};

use super::PROGRAM;
use super::folder::Folder;
use super::queue::{Piece, Queue, Work};

/// For so long entries gather before they are written: what is lost when the process is killed.
const GATHER: Duration = Duration::from_millis(10);

pub(super) struct Writer {
    pub(super) folder: Folder,
    /// The server's life, by the time at which it began.
    pub(super) run: u64,
    /// The file of the present part.
    pub(super) file: Option<File>,
    /// After so long a disk that has failed is tried again.
    pub(super) retry_after: Duration,
    /// Where blocks are made. Kept for its allocation.
    pub(super) bytes: Vec<u8>,
}

impl Writer {
    /// Writes what comes until the end.
    pub(super) fn run(mut self, queue: &Queue) {
        loop {
            let Work { pieces, is_last } = queue.take(GATHER);
            if let Err(error) = pieces.into_iter().try_for_each(|piece| self.write(piece)) {
                error!(%error, "the journal cannot be written: nothing is recorded until the disk takes it again");
                self.file = None;
                queue.set_broken(true);
                if is_last || queue.rest(self.retry_after) {
                    return;
                }
                queue.set_broken(false);
            } else if is_last {
                self.close();
                return;
            }
        }
    }

    fn write(&mut self, piece: Piece) -> io::Result<()> {
        match piece {
            Piece::Beginning(beginning) => self.begin(*beginning),
            Piece::Entries(entries) => {
                // They come behind a beginning, and after a failure behind the next one.
                let Some(file) = &mut self.file else { return Ok(()) };
                self.bytes.clear();
                Part::append_entries(&entries, &mut self.bytes);
                file.write_all(&self.bytes)
            }
        }
    }

    fn begin(&mut self, beginning: Beginning) -> io::Result<()> {
        self.close();
        let (part, lost) = (beginning.part, beginning.lost);
        let heading = Heading { program: PROGRAM.to_owned(), run: self.run, unix_ms: unix_ms(), beginning };
        self.bytes.clear();
        Part::append_heading(&heading, &mut self.bytes);
        let path = self.folder.file(self.run, part);
        let mut file = OpenOptions::new().create_new(true).append(true).open(&path)?;
        file.write_all(&self.bytes)?;
        self.file = Some(file);
        // Large with many sessions, and for nothing else.
        self.bytes = Vec::new();
        let path = path.display();
        if part == 0 {
            info!(%path, "the journal begins");
        } else {
            debug!(%path, lost, "the journal goes on in another file");
        }
        if let Err(error) = self.folder.tidy() {
            warn!(%error, "old files of the journal cannot be removed (journal.files_max)");
        }
        Ok(())
    }

    /// Sees to it that a file outlives a failure of power. One that does not is whole all the same in every other case.
    fn close(&mut self) {
        if let Some(file) = self.file.take()
            && let Err(error) = file.sync_data()
        {
            error!(%error, "the system does not say that a file of the journal is safe on the disk");
        }
    }
}

/// Milliseconds since 1970.
pub(super) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
