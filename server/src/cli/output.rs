//! Standard output.

use std::io::{self, Write};

use anyhow::Context;

/// Writes `text` to standard output. A reader that has gone (`lobbyd config doc | head`) has read what it wanted: that
/// is no error.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    print_to(&mut io::stdout().lock(), text)
}

fn print_to(writer: &mut impl Write, text: &str) -> anyhow::Result<()> {
    match writer.write_all(text.as_bytes()).and_then(|()| writer.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome.context("cannot write to standard output"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(io::ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_has_gone_is_no_error() {
        print_to(&mut Broken(io::ErrorKind::BrokenPipe), "text").unwrap();
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let error = print_to(&mut Broken(io::ErrorKind::StorageFull), "text").unwrap_err();
        assert!(format!("{error:#}").starts_with("cannot write to standard output: "), "{error:#}");
    }
}
