//! From batch to batch through a segment: headers alone, or whole batches.

use std::io;

use crate::batch::{HEADER, Header, SUM_FROM, sum_of};
use crate::file::DiskFile;

const HEADERS_CHUNK: usize = 64 << 10;
const BATCHES_CHUNK: usize = 1 << 20;

/// Reads little more than the headers.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    file: &'a dyn DiskFile,
    position: u64,
    limit: u64,
    step: usize,
    chunk: Vec<u8>,
    chunk_at: u64,
}

impl<'a> Walk<'a> {
    /// Walks the batches between two positions; both are between batches.
    pub(crate) fn new(file: &'a dyn DiskFile, position: u64, limit: u64) -> Self {
        Walk {
            file,
            position,
            limit,
            step: HEADERS_CHUNK,
            chunk: Vec::new(),
            chunk_at: 0,
        }
    }

    /// For a walk that ends soon: reads no more than so many bytes at once.
    pub(crate) fn in_steps_of(mut self, bytes: usize) -> Self {
        self.step = bytes;
        self
    }

    /// The next batch and where it begins; `None` at the limit, or where no batch is.
    pub(crate) fn next(&mut self) -> io::Result<Option<(u64, Header)>> {
        if self.position + HEADER as u64 > self.limit {
            return Ok(None);
        }
        let inside = self.position >= self.chunk_at
            && self.position + HEADER as u64 <= self.chunk_at + self.chunk.len() as u64;
        if !inside {
            let wanted = (self.limit - self.position).min(self.step as u64) as usize;
            self.chunk.resize(wanted, 0);
            let read = self.file.read_at(&mut self.chunk, self.position)?;
            self.chunk.truncate(read);
            self.chunk_at = self.position;
        }
        let at = (self.position - self.chunk_at) as usize;
        let Some(header) = Header::parse(&self.chunk[at..]) else {
            return Ok(None);
        };
        let found = self.position;
        self.position += header.size as u64;
        Ok(Some((found, header)))
    }
}

/// Reads everything, in large pieces.
#[derive(Debug)]
pub(crate) struct Batches<'a> {
    file: &'a dyn DiskFile,
    position: u64,
    pub(super) limit: u64,
    chunk: Vec<u8>,
    /// Where in the chunk the next batch begins.
    at: usize,
}

impl<'a> Batches<'a> {
    /// Reads the first `limit` bytes of a segment.
    pub(crate) fn new(file: &'a dyn DiskFile, limit: u64) -> Self {
        Batches {
            file,
            position: 0,
            limit,
            chunk: Vec::new(),
            at: 0,
        }
    }

    /// The next batch with all its bytes; `None` at the limit, or where no whole batch is. Says
    /// nothing about its sum.
    pub(crate) fn next(&mut self) -> io::Result<Option<(Header, &[u8])>> {
        if !self.fill(HEADER)? {
            return Ok(None);
        }
        let Some(header) = Header::parse(&self.chunk[self.at..]) else {
            return Ok(None);
        };
        if !self.fill(header.size)? {
            return Ok(None);
        }
        let batch = &self.chunk[self.at..self.at + header.size];
        self.at += header.size;
        self.position += header.size as u64;
        Ok(Some((header, batch)))
    }

    /// Behind the last batch that was given.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Has at least so many bytes from the next batch on in the chunk; false when there are fewer.
    fn fill(&mut self, wanted: usize) -> io::Result<bool> {
        if self.chunk.len() - self.at >= wanted {
            return Ok(true);
        }
        let left = self.limit - self.position;
        if left < wanted as u64 {
            return Ok(false);
        }
        let size = left.min(wanted.max(BATCHES_CHUNK) as u64) as usize;
        self.chunk.resize(size, 0);
        self.at = 0;
        let read = self.file.read_at(&mut self.chunk, self.position)?;
        self.chunk.truncate(read);
        Ok(read >= wanted)
    }
}

/// Whether the batch of `size` bytes at `position` has the right sum; however large it says it is,
/// little memory is needed.
pub(super) fn sum_is_right(file: &dyn DiskFile, position: u64, size: usize) -> io::Result<bool> {
    let mut chunk = vec![0; HEADER];
    let mut sum = 0;
    let (mut at, end) = (position + SUM_FROM as u64, position + size as u64);
    file.read_at(&mut chunk, position)?;
    let expected = sum_of(&chunk);
    while at < end {
        chunk.resize(HEADERS_CHUNK.min((end - at) as usize), 0);
        let read = file.read_at(&mut chunk, at)?;
        if read < chunk.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        sum = crc32c::crc32c_append(sum, &chunk);
        at += read as u64;
    }
    Ok(sum == expected)
}
