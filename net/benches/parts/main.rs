//! What single parts cost beside the plain version of the same: `cargo bench -p lobbyd-net --bench parts`. Compare the
//! columns `fastest` of one run; a busy machine only ever adds to the others.

use std::hint::black_box;

use divan::Bencher;
use subtle::ConstantTimeEq;

fn main() {
    divan::main();
}

/// A text that is repeated to a length.
struct Sample {
    name: &'static str,
    words: &'static str,
    bytes: usize,
}

impl std::fmt::Display for Sample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name, self.bytes)
    }
}

impl Sample {
    fn bytes(&self) -> Vec<u8> {
        let letters = self.words.chars().cycle();
        let mut text = String::new();
        for letter in letters {
            if text.len() + letter.len_utf8() > self.bytes {
                break;
            }
            text.push(letter);
        }
        text.into_bytes()
    }
}

const ENGLISH: &str = "who has seen the red knight near the old mill? ";
const GERMAN: &str = "wer hat den roten Ritter an der alten Mühle gesehen, müde und grün? ";
const RUSSIAN: &str = "кто видел красного рыцаря у старой мельницы? ";
const JAPANESE: &str = "古い水車小屋の近くで赤い騎士を見た人はいますか。";

const fn sample(name: &'static str, words: &'static str, bytes: usize) -> Sample {
    Sample { name, words, bytes }
}

/// Texts of messages: up to 63 bytes the standard library does the work in both.
const TEXTS: [Sample; 9] = [
    sample("English", ENGLISH, 32),
    sample("English", ENGLISH, 64),
    sample("English", ENGLISH, 500),
    sample("English", ENGLISH, 2000),
    sample("German", GERMAN, 100),
    sample("Russian", RUSSIAN, 100),
    sample("Russian", RUSSIAN, 500),
    sample("Japanese", JAPANESE, 100),
    sample("Japanese", JAPANESE, 500),
];

/// Validation of text, as every message, title and nickname passes it.
mod utf8 {
    use lobbyd_core::text::{RawText, check_message};

    use super::*;

    #[divan::bench(args = &TEXTS)]
    fn standard_library(bencher: Bencher<'_, '_>, text: &Sample) {
        let bytes = text.bytes();
        bencher.bench(|| std::str::from_utf8(black_box(&bytes)).is_ok());
    }

    #[divan::bench(args = &TEXTS)]
    fn product(bencher: Bencher<'_, '_>, text: &Sample) {
        let bytes = text.bytes();
        bencher.bench(|| RawText(black_box(&bytes)).as_utf8().is_some());
    }

    /// With everything else that a message is checked for.
    #[divan::bench(args = &TEXTS)]
    fn whole_check_of_a_message(bencher: Bencher<'_, '_>, text: &Sample) {
        let bytes = text.bytes();
        bencher.bench(|| check_message(RawText(black_box(&bytes)), 2000).is_ok());
    }
}

/// The comparison of secrets. It is not there to be fast: what is bought is that its time says nothing about where the
/// first difference is, which is what `first` and `last` show.
mod compare {
    use super::*;

    const TOKEN_BYTES: [usize; 2] = [32, 256];

    fn tokens(bytes: usize, different_at: usize) -> (Vec<u8>, Vec<u8>) {
        let stored = vec![b'a'; bytes];
        let mut given = stored.clone();
        given[different_at] = b'b';
        (stored, given)
    }

    #[divan::bench(args = TOKEN_BYTES)]
    fn plain_first_byte_differs(bencher: Bencher<'_, '_>, bytes: usize) {
        let (stored, given) = tokens(bytes, 0);
        bencher.bench(|| black_box(&stored) == black_box(&given));
    }

    #[divan::bench(args = TOKEN_BYTES)]
    fn plain_last_byte_differs(bencher: Bencher<'_, '_>, bytes: usize) {
        let (stored, given) = tokens(bytes, bytes - 1);
        bencher.bench(|| black_box(&stored) == black_box(&given));
    }

    #[divan::bench(args = TOKEN_BYTES)]
    fn product_first_byte_differs(bencher: Bencher<'_, '_>, bytes: usize) {
        let (stored, given) = tokens(bytes, 0);
        bencher.bench(|| bool::from(black_box(stored.as_slice()).ct_eq(black_box(given.as_slice()))));
    }

    #[divan::bench(args = TOKEN_BYTES)]
    fn product_last_byte_differs(bencher: Bencher<'_, '_>, bytes: usize) {
        let (stored, given) = tokens(bytes, bytes - 1);
        bencher.bench(|| bool::from(black_box(stored.as_slice()).ct_eq(black_box(given.as_slice()))));
    }
}

/// Memory for a message that is built and thrown away, from one place at a time.
mod buffer {
    use lobbyd_net::Buffers;

    use super::*;

    const REPLY_BYTES: [usize; 3] = [100, 1_000, 16_000];

    fn build(out: &mut Vec<u8>, bytes: usize) {
        for piece in 0..bytes / 20 {
            out.extend_from_slice(black_box(b"a piece of a reply, "));
            black_box(piece);
        }
    }

    #[divan::bench(args = REPLY_BYTES)]
    fn allocated(bencher: Bencher<'_, '_>, bytes: usize) {
        bencher.bench(|| {
            let mut buffer = Vec::new();
            build(&mut buffer, bytes);
            buffer.len()
        });
    }

    #[divan::bench(args = REPLY_BYTES)]
    fn lent(bencher: Bencher<'_, '_>, bytes: usize) {
        let buffers = Buffers::new();
        bencher.bench(|| {
            let mut buffer = buffers.lend();
            build(&mut buffer, bytes);
            buffer.len()
        });
    }
}

/// The checksum of a journal's blocks.
mod checksum {
    use super::*;

    /// A packet's input by itself, what an I/O thread hands over at once, and what gathers under load.
    const BLOCK_BYTES: [usize; 4] = [64, 1_000, 16_000, 300_000];

    /// CRC-32C with its bits reversed (RFC 3720, appendix B.4).
    const POLYNOMIAL: u32 = 0x82f6_3b78;

    /// What each value of a byte does to the checksum (D. V. Sarwate, "Computation of cyclic redundancy checks via table
    /// look-up", 1988).
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            let mut remainder = byte as u32;
            let mut bit = 0;
            while bit < 8 {
                remainder = remainder >> 1 ^ if remainder & 1 == 1 { POLYNOMIAL } else { 0 };
                bit += 1;
            }
            table[byte] = remainder;
            byte += 1;
        }
        table
    };

    fn plain(bytes: &[u8]) -> u32 {
        let rest = |rest: u32, byte: &u8| TABLE[usize::from(rest as u8 ^ byte)] ^ rest >> 8;
        !bytes.iter().fold(u32::MAX, rest)
    }

    fn block(bytes: usize) -> Vec<u8> {
        let block: Vec<u8> = (0..bytes).map(|at| (at * 31 >> 3) as u8).collect();
        assert_eq!(plain(&block), crc32c::crc32c(&block));
        block
    }

    #[divan::bench(args = BLOCK_BYTES)]
    fn by_table(bencher: Bencher<'_, '_>, bytes: usize) {
        let block = block(bytes);
        bencher.bench(|| plain(black_box(&block)));
    }

    #[divan::bench(args = BLOCK_BYTES)]
    fn product(bencher: Bencher<'_, '_>, bytes: usize) {
        let block = block(bytes);
        bencher.bench(|| crc32c::crc32c(black_box(&block)));
    }
}
