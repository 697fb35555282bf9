//! Bounds on what Redis may answer, kept before the answer reaches the parser of the `redis` crate, which has none: a
//! value of half a gigabyte under somebody's key would be collected whole. And it would be read for as long as there is
//! something to read, while nobody else has a turn.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most bytes in one answer, with all that is nested in it. What this daemon asks for is far below.
pub(super) const REPLY_BYTES_MAX: u64 = 256 * 1024;

/// The most reads in a row, each of some kilobytes at most, before others have their turn.
const READS_PER_TURN: u32 = 32;

/// A stream that fails to read once what comes is no RESP, or an answer that is too long.
pub(super) struct Guarded<S> {
    stream: S,
    scanner: Scanner,
    /// Reads since there was last nothing to read, or others had their turn.
    reads: u32,
}

impl<S> Guarded<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, scanner: Scanner::default(), reads: 0 }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.reads == READS_PER_TURN {
            self.reads = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let old = buffer.filled().len();
        let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, buffer) else {
            self.reads = 0;
            return Poll::Pending;
        };
        read?;
        self.reads += 1;
        let new = buffer.filled().get(old..).unwrap_or_default();
        let fault = self.scanner.feed(new).err();
        Poll::Ready(fault.map_or(Ok(()), |Refused| Err(io::ErrorKind::InvalidData.into())))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Refused;

/// Follows the lengths in a RESP3 stream, without looking at what is in it.
struct Scanner {
    place: Place,
    /// Elements that the answer still needs, itself included.
    missing: u64,
    /// Bytes of the answer so far.
    bytes: u64,
}

#[derive(Clone, Copy)]
enum Place {
    /// Before an element's first byte.
    Start,
    /// In an element that is one line.
    Line { after_cr: bool },
    /// In the length of an element that begins with `kind`.
    Length { kind: u8, digits: u64, negative: bool, seen: bool, after_cr: bool },
    /// In the bytes of a string, of which so many are to come, with the line end.
    Payload { left: u64 },
}

impl Default for Scanner {
    fn default() -> Self {
        Self { place: Place::Start, missing: 1, bytes: 0 }
    }
}

impl Scanner {
    fn feed(&mut self, mut bytes: &[u8]) -> Result<(), Refused> {
        while let Some((&first, rest)) = bytes.split_first() {
            if let Place::Payload { left } = self.place {
                let skipped = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                bytes = bytes.get(skipped..).unwrap_or_default();
                self.skip(left, skipped as u64)?;
            } else {
                self.step(first)?;
                bytes = rest;
            }
        }
        Ok(())
    }

    fn skip(&mut self, left: u64, skipped: u64) -> Result<(), Refused> {
        self.count(skipped)?;
        self.place = Place::Payload { left: left - skipped };
        if left == skipped {
            self.end_element();
        }
        Ok(())
    }

    fn step(&mut self, byte: u8) -> Result<(), Refused> {
        self.count(1)?;
        match self.place {
            Place::Start => self.place = Self::begin(byte)?,
            Place::Line { after_cr: true } if byte == b'\n' => self.end_element(),
            Place::Line { .. } => self.place = Place::Line { after_cr: byte == b'\r' },
            Place::Length { kind, digits, negative, seen: true, after_cr: true } if byte == b'\n' => {
                self.begin_content(kind, digits, negative)?;
            }
            Place::Length { after_cr: true, .. } => return Err(Refused),
            Place::Length { kind, digits, negative, seen, after_cr: false } => {
                self.place = match byte {
                    b'0'..=b'9' => {
                        let digits = digits * 10 + u64::from(byte - b'0');
                        // Checked at each digit, so that it cannot overflow.
                        if digits > REPLY_BYTES_MAX {
                            return Err(Refused);
                        }
                        Place::Length { kind, digits, negative, seen: true, after_cr: false }
                    }
                    b'-' if !negative && !seen => Place::Length { kind, digits, negative: true, seen, after_cr: false },
                    b'\r' => Place::Length { kind, digits, negative, seen, after_cr: true },
                    _ => return Err(Refused),
                }
            }
            Place::Payload { .. } => return Err(Refused),
        }
        Ok(())
    }

    fn begin(kind: u8) -> Result<Place, Refused> {
        match kind {
            b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(' => Ok(Place::Line { after_cr: false }),
            b'$' | b'!' | b'=' | b'*' | b'~' | b'>' | b'%' | b'|' => {
                Ok(Place::Length { kind, digits: 0, negative: false, seen: false, after_cr: false })
            }
            _ => Err(Refused),
        }
    }

    fn begin_content(&mut self, kind: u8, length: u64, negative: bool) -> Result<(), Refused> {
        match kind {
            // A string or an array of length -1 is RESP2's null.
            b'$' | b'*' if negative => self.end_element(),
            _ if negative => return Err(Refused),
            b'$' | b'!' | b'=' => {
                if self.bytes + length > REPLY_BYTES_MAX {
                    return Err(Refused);
                }
                self.place = Place::Payload { left: length + 2 };
            }
            b'%' => self.add_elements(2 * length)?,
            // An attribute comes before the element that it belongs to, and is none itself.
            b'|' => self.add_elements(2 * length + 1)?,
            _ => self.add_elements(length)?,
        }
        Ok(())
    }

    fn add_elements(&mut self, count: u64) -> Result<(), Refused> {
        self.missing += count;
        // No element is shorter than three bytes, so more than this could not fit anyway.
        if self.missing > REPLY_BYTES_MAX / 3 {
            return Err(Refused);
        }
        self.end_element();
        Ok(())
    }

    fn end_element(&mut self) {
        self.place = Place::Start;
        self.missing -= 1;
        if self.missing == 0 {
            *self = Self::default();
        }
    }

    fn count(&mut self, bytes: u64) -> Result<(), Refused> {
        self.bytes += bytes;
        if self.bytes > REPLY_BYTES_MAX { Err(Refused) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Wake, Waker};

    use tokio::io::{AsyncRead, ReadBuf};

    use super::{Guarded, Place, READS_PER_TURN, REPLY_BYTES_MAX, Refused, Scanner};

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn stream_that_never_pauses_gives_others_a_turn() {
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&wakes));
        let mut stream = Guarded::new(tokio::io::repeat(b'+'));
        let mut bytes = [0; 16];
        let mut reads = || {
            let mut context = Context::from_waker(&waker);
            let mut read = || Pin::new(&mut stream).poll_read(&mut context, &mut ReadBuf::new(&mut bytes));
            std::iter::from_fn(|| matches!(read(), Poll::Ready(Ok(()))).then_some(())).take(1_000).count()
        };
        assert_eq!((reads(), reads()), (READS_PER_TURN as usize, READS_PER_TURN as usize));
        assert_eq!(wakes.0.load(Ordering::Relaxed), 2, "it comes back by itself");
    }

    /// Whether the scanner stands between two answers.
    fn at_rest(scanner: &Scanner) -> bool {
        matches!(scanner.place, Place::Start) && scanner.missing == 1 && scanner.bytes == 0
    }

    #[test]
    fn every_kind_of_answer_is_followed_to_its_end() {
        let answers: &[&[u8]] = &[
            b"+OK\r\n",
            b"-ERR a \n lone line feed\r\n",
            b":-12\r\n",
            b"_\r\n",
            b",1.5\r\n",
            b"#t\r\n",
            b"(123456789012345678901234567890\r\n",
            b"$5\r\na\r\n:1\r\n",
            b"$0\r\n\r\n",
            b"$-1\r\n",
            b"!4\r\nERR \r\n",
            b"=7\r\ntxt:abc\r\n",
            b"*0\r\n",
            b"*-1\r\n",
            b"*2\r\n$1\r\na\r\n*1\r\n:1\r\n",
            b"%1\r\n+a\r\n:1\r\n",
            b"~2\r\n:1\r\n:2\r\n",
            b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\np\r\n",
            b"|1\r\n+ttl\r\n:1\r\n$1\r\na\r\n",
        ];
        for answer in answers {
            let shown = String::from_utf8_lossy(answer);
            let mut whole = Scanner::default();
            assert_eq!(whole.feed(answer), Ok(()), "{shown}");
            assert!(at_rest(&whole), "{shown}");
            let mut bytewise = Scanner::default();
            for (place, byte) in answer.iter().enumerate() {
                assert!(place == 0 || !at_rest(&bytewise), "{shown} at {place}");
                assert_eq!(bytewise.feed(&[*byte]), Ok(()), "{shown} at {place}");
            }
            assert!(at_rest(&bytewise), "{shown}");
        }
    }

    #[test]
    fn what_is_no_resp_or_too_long_is_refused_before_it_comes() {
        let refused: &[&[u8]] = &[
            b"HTTP/1.1 400 Bad Request\r\n",
            b"$536870912\r\n",
            b"$99999999999999999999999\r\n",
            b"$\r\n",
            b"$-\r\n",
            b"$1x",
            b"$1\rx",
            b"!-1\r\n",
            b"*1000000\r\n",
            b"%100000\r\n",
        ];
        for bytes in refused {
            assert_eq!(Scanner::default().feed(bytes), Err(Refused), "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn endless_lines_and_endless_nesting_are_refused() {
        let size = usize::try_from(REPLY_BYTES_MAX).expect("fits");
        assert_eq!(Scanner::default().feed(&vec![b'+'; size + 1]), Err(Refused));
        assert_eq!(Scanner::default().feed(&b"*1\r\n".repeat(size / 4 + 1)), Err(Refused));
        // Many answers together may be longer than one.
        assert_eq!(Scanner::default().feed(&b"+OK\r\n".repeat(size)), Ok(()));
    }
}
