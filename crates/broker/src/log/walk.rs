//! From batch to batch through a segment, reading little more than their headers.

use std::io;

use crate::batch::{HEADER, Header};
use crate::file::DiskFile;

const CHUNK: usize = 64 << 10;

#[derive(Debug)]
pub(crate) struct Walk<'a> {
    file: &'a dyn DiskFile,
    position: u64,
    limit: u64,
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
            chunk: Vec::new(),
            chunk_at: 0,
        }
    }

    /// The next batch and where it begins; `None` at the limit, or where no batch is.
    pub(crate) fn next(&mut self) -> io::Result<Option<(u64, Header)>> {
        if self.position + HEADER as u64 > self.limit {
            return Ok(None);
        }
        let inside = self.position >= self.chunk_at
            && self.position + HEADER as u64 <= self.chunk_at + self.chunk.len() as u64;
        if !inside {
            let wanted = (self.limit - self.position).min(CHUNK as u64) as usize;
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
