//! Kafka's compression codecs: what is in a batch's packed records, and how to pack the rest of
//! a batch that lost some.

use std::borrow::Cow;
use std::io::{self, BufRead, BufReader, Read, Write};

use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

/// The most that the records of one batch may be when they are unpacked. It is what protects
/// memory from a small batch that unpacks to a very large one.
const MOST_UNPACKED: u64 = 128 << 20;
/// A byte of raw snappy stands for fewer bytes than this.
const SNAPPY_MOST_RATIO: usize = 64;
/// What the Java library writes before blocks of raw snappy: a name and two versions.
const SNAPPY_JAVA: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const SNAPPY_JAVA_HEADER: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl Codec {
    /// By the number that batches carry.
    pub(crate) fn from_number(number: i16) -> Option<Codec> {
        Some(match number {
            0 => Codec::None,
            1 => Codec::Gzip,
            2 => Codec::Snappy,
            3 => Codec::Lz4,
            4 => Codec::Zstd,
            _ => return None,
        })
    }

    pub(super) fn number(self) -> i16 {
        self as i16
    }

    /// Unpacks while it is read, so that it takes no memory of the records' size. Ends early
    /// where there is more than a batch may hold.
    pub(super) fn reader<'a>(self, packed: &'a [u8]) -> io::Result<Box<dyn BufRead + 'a>> {
        fn buffered<'a>(reader: impl Read + 'a) -> Box<dyn BufRead + 'a> {
            Box::new(BufReader::new(reader.take(MOST_UNPACKED)))
        }
        Ok(match self {
            Codec::None => Box::new(packed),
            Codec::Gzip => buffered(MultiGzDecoder::new(packed)),
            Codec::Snappy => Box::new(Snappy::new(packed)),
            Codec::Lz4 => buffered(FrameDecoder::new(packed)),
            Codec::Zstd => buffered(zstd::stream::read::Decoder::with_buffer(packed)?),
        })
    }

    /// Unpacks as a whole.
    pub(super) fn unpack(self, packed: &[u8]) -> io::Result<Cow<'_, [u8]>> {
        if self == Codec::None {
            return Ok(Cow::Borrowed(packed));
        }
        let mut records = Vec::new();
        let read = self
            .reader(packed)?
            .take(MOST_UNPACKED + 1)
            .read_to_end(&mut records)?;
        if read as u64 >= MOST_UNPACKED {
            return Err(invalid("a batch that unpacks to more than 128 MiB"));
        }
        Ok(Cow::Owned(records))
    }

    /// Packs what every client can read.
    pub(super) fn pack(self, records: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Codec::None => Ok(records.to_vec()),
            Codec::Gzip => {
                let mut packed = GzEncoder::new(Vec::new(), flate2::Compression::default());
                packed.write_all(records)?;
                packed.finish()
            }
            Codec::Snappy => Ok(snap::raw::Encoder::new().compress_vec(records)?),
            Codec::Lz4 => {
                // Java's reader takes only blocks that stand for themselves.
                let form = FrameInfo::new()
                    .block_mode(BlockMode::Independent)
                    .block_size(BlockSize::Max64KB);
                let mut packed = FrameEncoder::with_frame_info(form, Vec::new());
                packed.write_all(records)?;
                Ok(packed.finish()?)
            }
            Codec::Zstd => zstd::stream::encode_all(records, zstd::DEFAULT_COMPRESSION_LEVEL),
        }
    }
}

/// Snappy in either of its forms: one raw block, or Java's, which is a header and any number of
/// raw blocks with their lengths before them.
struct Snappy<'a> {
    packed: &'a [u8],
    framed: bool,
    block: Vec<u8>,
    at: usize,
    left: u64,
}

impl<'a> Snappy<'a> {
    fn new(packed: &'a [u8]) -> Snappy<'a> {
        let framed = packed.starts_with(&SNAPPY_JAVA) && packed.len() >= SNAPPY_JAVA_HEADER;
        Snappy {
            packed: if framed {
                &packed[SNAPPY_JAVA_HEADER..]
            } else {
                packed
            },
            framed,
            block: Vec::new(),
            at: 0,
            left: MOST_UNPACKED,
        }
    }

    fn next_block(&mut self) -> io::Result<()> {
        let block = if self.framed {
            let (length, rest) = self
                .packed
                .split_first_chunk::<4>()
                .ok_or_else(|| invalid("a snappy block without a length"))?;
            let (block, rest) = rest
                .split_at_checked(u32::from_be_bytes(*length) as usize)
                .ok_or_else(|| invalid("a snappy block that is cut short"))?;
            self.packed = rest;
            block
        } else {
            std::mem::take(&mut self.packed)
        };
        let size = snap::raw::decompress_len(block)?;
        if size > block.len().saturating_mul(SNAPPY_MOST_RATIO) || size as u64 > self.left {
            return Err(invalid(
                "a snappy block that says it is larger than it can be",
            ));
        }
        self.left -= size as u64;
        self.block = snap::raw::Decoder::new().decompress_vec(block)?;
        self.at = 0;
        Ok(())
    }
}

impl Read for Snappy<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut from = self.fill_buf()?;
        let read = from.read(into)?;
        self.consume(read);
        Ok(read)
    }
}

impl BufRead for Snappy<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.at == self.block.len() && !self.packed.is_empty() {
            self.next_block()?;
        }
        Ok(&self.block[self.at..])
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const ALL: [Codec; 5] = [
        Codec::None,
        Codec::Gzip,
        Codec::Snappy,
        Codec::Lz4,
        Codec::Zstd,
    ];

    #[test]
    fn what_was_packed_is_unpacked_and_what_is_cut_is_an_error() {
        let records: Vec<u8> = (0..300_000u32).map(|i| (i / 7 % 251) as u8).collect();
        for codec in ALL {
            let packed = codec.pack(&records).unwrap();
            assert_eq!(codec.unpack(&packed).unwrap(), records, "{codec:?}");
            assert_eq!(codec == Codec::None, packed.len() == records.len());
            if codec != Codec::None {
                let cut = codec.unpack(&packed[..packed.len() / 2]);
                assert!(cut.is_err(), "{codec:?}");
            }
        }
    }

    #[test]
    fn java_snappy_is_read() {
        let mut packed = SNAPPY_JAVA.to_vec();
        packed.extend([0, 0, 0, 1, 0, 0, 0, 1]);
        for block in [&b"hello, "[..], b"", b"world"] {
            let raw = snap::raw::Encoder::new().compress_vec(block).unwrap();
            packed.extend((raw.len() as u32).to_be_bytes());
            packed.extend(raw);
        }
        assert_eq!(&*Codec::Snappy.unpack(&packed).unwrap(), b"hello, world");
        packed.pop();
        assert!(Codec::Snappy.unpack(&packed).is_err());
    }

    #[test]
    fn a_batch_that_unpacks_to_very_much_is_refused_in_bounded_memory() {
        let huge = vec![0; MOST_UNPACKED as usize + 1];
        for codec in [Codec::Gzip, Codec::Zstd, Codec::Lz4] {
            let packed = codec.pack(&huge).unwrap();
            assert!(packed.len() < 2 << 20);
            assert!(codec.unpack(&packed).is_err(), "{codec:?}");
        }
        // A snappy block that promises more than it can hold is refused before memory is taken.
        let mut packed = snap::raw::Encoder::new().compress_vec(b"x").unwrap();
        packed.splice(..1, [0xff, 0xff, 0xff, 0x3f]);
        assert!(Codec::Snappy.unpack(&packed).is_err());
    }
}
