//! Seeded smallness: how many bytes a write or a read moves.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Decides how many bytes move. Every stream has its own, with a seed of its own.
///
/// The numbers are SplitMix64's (Steele, Lea, Flood: *Fast splittable pseudorandom number generators*, 2014).
#[derive(Clone, Debug)]
pub struct Chopper {
    most: Option<u32>,
    state: u64,
    is_choked: bool,
}

impl Chopper {
    /// Moves at most a random number of bytes from 1 up to `most`; without it, everything.
    #[must_use]
    pub fn new(most: Option<u32>, seed: u64) -> Self {
        Self { most: most.filter(|most| *most > 0), state: seed, is_choked: false }
    }

    /// How many of `wanted` bytes move.
    pub fn limit(&mut self, wanted: usize) -> usize {
        match self.most {
            Some(most) if wanted > 0 => wanted.min(1 + self.below(u64::from(most)) as usize),
            Some(_) | None => wanted,
        }
    }

    /// Whether the transport takes nothing now, although it could: one time in four, until it has recovered.
    pub(crate) fn chokes(&mut self) -> bool {
        if self.most.is_some() && !self.is_choked {
            self.is_choked = self.below(4) == 0;
        }
        self.is_choked
    }

    /// The transport takes something again.
    pub(crate) fn recover(&mut self) {
        self.is_choked = false;
    }

    /// The next number.
    pub(crate) fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        // The high half of the product: even enough, and below the limit.
        ((u128::from(self.draw()) * u128::from(limit)) >> 64) as u64
    }
}

/// A stream whose writes and reads are chopped.
pub struct Chopped<S> {
    stream: S,
    chopper: Chopper,
}

impl<S> Chopped<S> {
    /// Chops what moves on a stream.
    #[must_use]
    pub fn new(stream: S, chopper: Chopper) -> Self {
        Self { stream, chopper }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Chopped<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { stream, chopper } = self.get_mut();
        let limit = chopper.limit(buffer.remaining());
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(limit));
        let poll = Pin::new(stream).poll_read(context, &mut part);
        let count = part.filled().len();
        buffer.advance(count);
        poll
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Chopped<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Self { stream, chopper } = self.get_mut();
        let limit = chopper.limit(bytes.len());
        Pin::new(stream).poll_write(context, &bytes[..limit])
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::Chopper;

    #[test]
    fn every_number_up_to_the_most_is_drawn_and_none_above() {
        let mut chopper = Chopper::new(Some(7), 1);
        let mut drawn = [false; 8];
        for _ in 0..1_000 {
            drawn[chopper.limit(100)] = true;
        }
        assert_eq!(drawn, [false, true, true, true, true, true, true, true]);
        assert_eq!((chopper.limit(0), Chopper::new(None, 1).limit(100)), (0, 100));
    }

    #[test]
    fn choked_transport_stays_so_until_it_recovers() {
        let mut chopper = Chopper::new(Some(7), 1);
        while !chopper.chokes() {}
        assert!(chopper.chokes() && chopper.chokes());
        chopper.recover();
        assert!((0..100).any(|_| {
            chopper.recover();
            !chopper.chokes()
        }));
        assert!(!Chopper::new(None, 1).chokes());
    }
}
