//! A journal whose parts are files: the engine's thread leaves what is to be written in a queue and never waits for the
//! disk; another thread writes it.
//!
//! When too much waits, or the disk fails, entries are lost until it has caught up. Then a new file begins with the state
//! at that time, so that whatever is in the files can be replayed.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use lobbyd_net::journal::{Appetite, Beginning, JournalSink};
use tracing::{error, warn};

use super::folder::{Folder, Kept};
use super::queue::{Queue, Refusal};
use super::writer::{Writer, unix_ms};
use crate::config::JournalSettings;

/// How long the end of a server waits for its journal.
const END_MAX: Duration = Duration::from_secs(10);
/// The most files, however short they are.
const FILES_MAX: usize = 10_000;
/// After so long a disk that has failed is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Why there can be no journal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// A folder is for one server.
    #[error("another server writes its journal to {}: give this one a folder of its own (journal.folder)", .folder.display())]
    Taken {
        /// The folder.
        folder: PathBuf,
    },
    /// The system does not let it.
    #[error("the journal cannot be written to {} (journal.folder)", .folder.display())]
    System {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// The engine's side of it.
pub(crate) struct JournalFiles {
    queue: Arc<Queue>,
    file_bytes_max: usize,
    buffer_bytes_max: usize,
    /// What the present part has got.
    part_bytes: usize,
    /// Something was lost since the last part began.
    is_behind: bool,
}

/// A journal that is being written. Dropped, it waits until everything is.
pub(crate) struct Recording {
    /// Nothing is sent by it: it is dropped when the writer has ended.
    writing: mpsc::Receiver<()>,
}

impl JournalFiles {
    /// Begins to write. The first is to be dropped behind the second, for whose end it waits.
    ///
    /// # Errors
    /// When the folder is another server's, or the system does not let it.
    pub(crate) fn start(settings: &JournalSettings) -> Result<(Recording, Self), JournalError> {
        Self::start_trying_again(settings, RETRY_AFTER)
    }

    /// The same with another time after which a disk that has failed is tried again.
    pub(super) fn start_trying_again(
        settings: &JournalSettings,
        retry_after: Duration,
    ) -> Result<(Recording, Self), JournalError> {
        let path = settings.folder.as_path();
        let failed = |source| JournalError::System { folder: path.to_owned(), source };
        let file_bytes_max = settings.file_bytes_max.as_bytes();
        let bytes_max = u64::from(settings.files_max) * u64::from(file_bytes_max);
        let kept = Kept { bytes_max, files_max: FILES_MAX };
        let folder = Folder::open(path, kept).map_err(failed)?;
        let folder = folder.ok_or_else(|| JournalError::Taken { folder: path.to_owned() })?;
        let run = folder.next_run(unix_ms()).map_err(failed)?;
        let queue = Arc::new(Queue::default());
        let (alive, writing) = mpsc::channel();
        let writer = Writer::new(folder, run, retry_after);
        let work = Arc::clone(&queue);
        let write = move || {
            // A copy of an extension is dropped there, which may be anything.
            if catch_unwind(AssertUnwindSafe(|| writer.run(&work))).is_err() {
                work.break_down();
                error!("the thread of the journal panicked: nothing more is recorded");
            }
            drop(alive);
        };
        thread::Builder::new().name("lobbyd-journal".to_owned()).spawn(write).map_err(failed)?;
        let files = Self {
            queue,
            file_bytes_max: file_bytes_max as usize,
            buffer_bytes_max: settings.buffer_bytes_max.as_bytes() as usize,
            part_bytes: 0,
            is_behind: false,
        };
        Ok((Recording { writing }, files))
    }
}

impl JournalSink for JournalFiles {
    fn begin(&mut self, beginning: Beginning) {
        self.is_behind = false;
        self.part_bytes = 0;
        self.queue.begin(beginning);
    }

    fn append(&mut self, entries: &[u8]) -> Appetite {
        if self.is_behind {
            return if self.queue.is_clear() { Appetite::Part } else { Appetite::Nothing };
        }
        if let Err(refusal) = self.queue.put(entries, self.buffer_bytes_max) {
            // What is broken the writer tells.
            if refusal == Refusal::Full {
                warn!("the disk is too slow for the journal: nothing is recorded until it has caught up");
            }
            self.is_behind = true;
            return Appetite::Nothing;
        }
        self.part_bytes += entries.len();
        // The state at the beginning of a part may be large: only one of them waits for the disk.
        let is_long = self.part_bytes >= self.file_bytes_max;
        if is_long && !self.queue.has_beginning() { Appetite::Part } else { Appetite::Entries }
    }
}

impl Drop for JournalFiles {
    fn drop(&mut self) {
        self.queue.end();
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if self.writing.recv_timeout(END_MAX) == Err(mpsc::RecvTimeoutError::Timeout) {
            error!("the disk does not take the end of the journal: it is cut off");
        }
    }
}
