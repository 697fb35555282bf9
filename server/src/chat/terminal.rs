//! The terminal's modes.

use std::io::{self, Write};

use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};

/// Puts the terminal back as it was when this was made, when it is dropped.
///
/// Reading a line or a password changes the modes of the terminal and puts them back when the line is complete. But a
/// program may have to end before that, when the connection is lost, and a shell without echo would stay behind.
pub(super) struct SavedModes(Termios);

impl SavedModes {
    /// The modes of the terminal on standard input; nothing where there is none.
    pub(super) fn save() -> Option<Self> {
        tcgetattr(io::stdin()).ok().map(Self)
    }

    /// Puts the terminal back and goes to a line of its own, past the one that was being typed.
    pub(super) fn abandon_line(&self) {
        self.restore();
        // The second mode that line editing changes, bracketed paste, is the terminal's own and not among these. The
        // terminal may be gone altogether, which is nothing to complain about.
        let mut output = io::stdout();
        let _ = output.write_all(b"\x1b[?2004l\n").and_then(|()| output.flush());
    }

    fn restore(&self) {
        let _ = tcsetattr(io::stdin(), SetArg::TCSADRAIN, &self.0);
    }
}

impl Drop for SavedModes {
    fn drop(&mut self) {
        self.restore();
    }
}
