//! Batch by batch through a file that may be damaged anywhere.

use std::io;
use std::ops::Range;

use crate::batch::{self, HEADER, Header, SUM_FROM};
use crate::file::DiskFile;
use crate::log::sound_batch;

const CHUNK: usize = 1 << 20;

/// What stands at a place of a segment.
pub(super) enum Found {
    Batch(Header, Head),
    Bad(&'static str),
    End,
}

/// What the rest of the crate does not ask of a batch's head.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) codec: &'static str,
    pub(super) base_ms: i64,
}

/// Reads a file through a window, so that no batch has to fit into memory.
pub(super) struct Reader<'a> {
    file: &'a dyn DiskFile,
    pub(super) size: u64,
    window: Vec<u8>,
    window_at: u64,
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: &'a dyn DiskFile) -> io::Result<Reader<'a>> {
        Ok(Reader {
            file,
            size: file.size()?,
            window: Vec::new(),
            window_at: 0,
        })
    }

    /// The batch at `position`, which must begin with one of `offsets` and have the right sum.
    pub(super) fn batch_at(&mut self, position: u64, offsets: &Range<i64>) -> io::Result<Found> {
        if position >= self.size {
            return Ok(Found::End);
        }
        let left = self.size - position;
        if left < HEADER as u64 {
            return Ok(Found::Bad("the file ends inside a batch's head"));
        }
        let bytes = self.bytes(position, HEADER)?;
        let Some(header) = Header::parse(bytes) else {
            return Ok(Found::Bad("this is no batch"));
        };
        let attributes = bytes[22];
        let base_ms = i64::from_be_bytes(bytes[27..35].try_into().expect("8 bytes"));
        let sum = u32::from_be_bytes(bytes[17..21].try_into().expect("4 bytes"));
        if header.size as u64 > left {
            return Ok(Found::Bad("the file ends inside a batch"));
        }
        if !offsets.contains(&header.base_offset) || header.next_offset() > offsets.end {
            return Ok(Found::Bad(
                "the batch says that it stands at another offset",
            ));
        }
        if self.sum(position + SUM_FROM as u64, position + header.size as u64)? != sum {
            return Ok(Found::Bad("the batch's sum is wrong"));
        }
        let codec = match attributes & 0x07 {
            0 => "none",
            1 => "gzip",
            2 => "snappy",
            3 => "lz4",
            4 => "zstd",
            _ => "?",
        };
        Ok(Found::Batch(header, Head { codec, base_ms }))
    }

    /// Where, from `position` on, the next sound batch begins.
    pub(super) fn sound_after(
        &self,
        position: u64,
        offsets: &Range<i64>,
    ) -> io::Result<Option<u64>> {
        sound_batch(self.file, position..self.size, offsets)
    }

    fn sum(&mut self, from: u64, to: u64) -> io::Result<u32> {
        let mut sum = 0;
        let mut at = from;
        while at < to {
            let wanted = (to - at).min(CHUNK as u64) as usize;
            let bytes = self.bytes(at, wanted)?;
            if bytes.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            sum = crc32c::crc32c_append(sum, bytes);
            at += bytes.len() as u64;
        }
        Ok(sum)
    }

    /// Up to `count` bytes, at most a window's, and fewer only at the file's end.
    fn bytes(&mut self, at: u64, count: usize) -> io::Result<&[u8]> {
        let end = at + count as u64;
        let inside = at >= self.window_at && end <= self.window_at + self.window.len() as u64;
        if !inside {
            self.window.resize(CHUNK, 0);
            let read = self.file.read_at(&mut self.window, at)?;
            self.window.truncate(read);
            self.window_at = at;
        }
        let from = (at - self.window_at) as usize;
        let to = (from + count).min(self.window.len());
        Ok(&self.window[from..to])
    }
}

/// A batch without records that takes up `offsets`, at most 2³¹ of them: what compaction leaves
/// of a batch whose records are all gone, so every client knows to skip it.
pub(crate) fn empty_batch(offsets: &Range<i64>) -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    let delta = (offsets.end - offsets.start - 1) as i32;
    bytes[0..8].copy_from_slice(&offsets.start.to_be_bytes());
    bytes[8..12].copy_from_slice(&(HEADER as i32 - 12).to_be_bytes());
    bytes[16] = 2;
    bytes[23..27].copy_from_slice(&delta.to_be_bytes());
    // No times, no producer.
    bytes[27..57].fill(0xff);
    let sum = crc32c::crc32c(&bytes[SUM_FROM..]);
    bytes[17..21].copy_from_slice(&sum.to_be_bytes());
    debug_assert!(batch::sum_is_right(&bytes));
    bytes
}
