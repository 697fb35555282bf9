//! Direct messages: each reaches every session of its user once, and nobody else.

use std::collections::VecDeque;

use lobbyd_core::id::RequestId;
use lobbyd_core::name::UserName;

/// How many direct messages are remembered; with more of them a run is judged by the last ones.
const WHISPERS_MAX: usize = 4096;

#[derive(Default)]
pub(super) struct Whispers {
    said: VecDeque<Whisper>,
    has_forgotten: bool,
}

pub(super) struct Whisper {
    /// On which connection it was said.
    pub(super) from: usize,
    pub(super) request: RequestId,
    pub(super) to: UserName,
    pub(super) text: Vec<u8>,
    /// On which connections it was heard.
    pub(super) heard_on: Vec<usize>,
    pub(super) is_refused: bool,
}

impl Whispers {
    pub(super) fn say(&mut self, from: usize, request: RequestId, to: UserName, text: &[u8]) {
        if self.said.len() >= WHISPERS_MAX {
            self.said.pop_front();
            self.has_forgotten = true;
        }
        let (text, heard_on) = (text.to_vec(), Vec::new());
        self.said.push_back(Whisper { from, request, to, text, heard_on, is_refused: false });
    }

    /// Whether some are no longer known.
    pub(super) fn have_forgotten(&self) -> bool {
        self.has_forgotten
    }

    pub(super) fn find(&mut self, is_it: impl Fn(&Whisper) -> bool) -> Option<&mut Whisper> {
        self.said.iter_mut().find(|whisper| is_it(whisper))
    }
}
