//! A journal whose parts are files: the engine's thread leaves what is to be written in a queue and never waits for the
//! disk; another thread writes it.
//!
//! When too much waits, or the disk fails, entries are lost until it has caught up. Then a new file begins with the state
//! at that time, so that whatever is in the files can be replayed.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use lobbyd_net::journal::{Appetite, Beginning, JournalSink};
use tracing::{error, info, warn};

use super::folder::Folder;
use super::queue::Queue;
use super::writer::{Writer, unix_ms};
use crate::config::JournalSettings;

/// How long the end of a server waits for its journal.
const END_MAX: Duration = Duration::from_secs(10);
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
    /// Whether something was lost since the last part began.
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
        let folder = Folder::open(path, settings.files_max).map_err(failed)?;
        let folder = folder.ok_or_else(|| JournalError::Taken { folder: path.to_owned() })?;
        let run = free_run(&folder);
        let queue = Arc::new(Queue::default());
        let (alive, writing) = mpsc::channel();
        let writer = Writer { folder, run, file: None, retry_after, bytes: Vec::new() };
        let work = Arc::clone(&queue);
        let write = move || {
            writer.run(&work);
            drop(alive);
        };
        thread::Builder::new().name("lobbyd-journal".to_owned()).spawn(write).map_err(failed)?;
        let files = Self {
            queue,
            file_bytes_max: settings.file_bytes_max.as_bytes() as usize,
            buffer_bytes_max: settings.buffer_bytes_max.as_bytes() as usize,
            part_bytes: 0,
            is_behind: false,
        };
        Ok((Recording { writing }, files))
    }
}

/// The time, or a little later if a journal began at that moment.
fn free_run(folder: &Folder) -> u64 {
    let mut run = unix_ms();
    while folder.file(run, 0).exists() {
        run += 1;
    }
    run
}

impl JournalSink for JournalFiles {
    fn begin(&mut self, beginning: Beginning) {
        if self.is_behind {
            info!(lost = beginning.lost, "the journal has caught up and goes on in another file");
        }
        self.is_behind = false;
        self.part_bytes = 0;
        self.queue.begin(beginning);
    }

    fn append(&mut self, entries: &[u8]) -> Appetite {
        if self.is_behind {
            return if self.queue.is_clear() { Appetite::Part } else { Appetite::Nothing };
        }
        if !self.queue.put(entries, self.buffer_bytes_max) {
            warn!(
                "the disk does not take the journal fast enough: what happens until it has caught up is not recorded"
            );
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
