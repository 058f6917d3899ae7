//! The next sound batch in bytes that may be anything.
//!
//! Each byte may begin one, and what looks like a batch may say that it is long: to sum up each
//! anew would take for ever on a file that was made for it. The sum of a part follows from those of
//! two beginnings, of which one in [`STEP`] bytes is kept, so none costs more than a few steps.

use std::io;
use std::ops::Range;

use crate::batch::{HEADER, Header, SUM_FROM, sum_of};
use crate::file::DiskFile;

const CHUNK: usize = 1 << 20;
const STEP: u64 = 1 << 10;

/// Where within `part` the first whole batch with the right sum and with `offsets` begins.
pub(crate) fn sound_batch(
    file: &dyn DiskFile,
    part: Range<u64>,
    offsets: &Range<i64>,
) -> io::Result<Option<u64>> {
    let mut sums = Sums {
        file,
        from: part.start,
        kept: vec![0],
    };
    let mut chunk = vec![0; CHUNK];
    let mut at = part.start;
    while at + HEADER as u64 <= part.end {
        chunk.resize(CHUNK.min((part.end - at) as usize), 0);
        let read = file.read_at(&mut chunk, at)?;
        if read < HEADER {
            break;
        }
        for (begin, bytes) in (at..).zip(chunk[..read].windows(HEADER)) {
            let Some(header) = Header::parse(bytes) else {
                continue;
            };
            let end = begin + header.size as u64;
            let fits = end <= part.end
                && offsets.contains(&header.base_offset)
                && header.next_offset() <= offsets.end;
            if fits && sums.between(begin + SUM_FROM as u64, end)? == sum_of(bytes) {
                return Ok(Some(begin));
            }
        }
        at += (read + 1 - HEADER) as u64;
    }
    Ok(None)
}

/// Sums of a file's parts.
struct Sums<'a> {
    file: &'a dyn DiskFile,
    from: u64,
    /// Of what is between `from` and each further step.
    kept: Vec<u32>,
}

impl Sums<'_> {
    fn between(&mut self, from: u64, to: u64) -> io::Result<u32> {
        let (before, all) = (self.until(from)?, self.until(to)?);
        Ok(crc32c::crc32c_combine(before, all, (to - from) as usize))
    }

    fn until(&mut self, to: u64) -> io::Result<u32> {
        let steps = ((to - self.from) / STEP) as usize;
        while self.kept.len() <= steps {
            let wanted = (steps + 1 - self.kept.len()).min(CHUNK / STEP as usize);
            let bytes = self.read(self.kept.len() - 1, wanted * STEP as usize)?;
            for step in bytes.chunks(STEP as usize) {
                let before = self.kept.last().copied().unwrap_or_default();
                self.kept.push(crc32c::crc32c_append(before, step));
            }
        }
        let rest = self.read(steps, ((to - self.from) % STEP) as usize)?;
        Ok(crc32c::crc32c_append(self.kept[steps], &rest))
    }

    /// So many bytes behind a step.
    fn read(&self, step: usize, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        let read = self
            .file
            .read_at(&mut bytes, self.from + step as u64 * STEP)?;
        match read < count {
            true => Err(io::ErrorKind::UnexpectedEof.into()),
            false => Ok(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::batch::{self, NewRecord};

    /// Bytes, and how many of them were read.
    #[derive(Debug)]
    struct Counted(Vec<u8>, AtomicUsize);

    impl DiskFile for Counted {
        fn size(&self) -> io::Result<u64> {
            Ok(self.0.len() as u64)
        }
        fn modified_ms(&self) -> io::Result<i64> {
            Ok(0)
        }
        fn read_some_at(&self, into: &mut [u8], position: u64) -> io::Result<usize> {
            let from = self.0.get(position as usize..).unwrap_or_default();
            let read = from.len().min(into.len());
            into[..read].copy_from_slice(&from[..read]);
            self.1.fetch_add(read, Ordering::Relaxed);
            Ok(read)
        }
        fn append(&self, _: &mut [IoSlice<'_>]) -> io::Result<()> {
            unreachable!("it is only read")
        }
        fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
            unreachable!("it is only read")
        }
        fn truncate(&self, _: u64) -> io::Result<()> {
            unreachable!("it is only read")
        }
        fn sync(&self) -> io::Result<()> {
            unreachable!("it is only read")
        }
    }

    fn search(bytes: &[u8], from: usize) -> (Option<u64>, usize) {
        let file = Counted(bytes.to_vec(), AtomicUsize::default());
        let part = from as u64..bytes.len() as u64;
        let found = sound_batch(&file, part, &(0..1_000)).unwrap();
        (found, file.1.into_inner())
    }

    fn sample(value: usize) -> Vec<u8> {
        let value = vec![7; value];
        let record = NewRecord {
            key: b"k",
            value: Some(&value),
        };
        batch::build(&[record], 0)
    }

    #[test]
    fn a_sound_batch_is_found_wherever_it_stands_and_whatever_its_size() {
        for garbage in [1, 60, 1_023, 1_024, CHUNK - 30, CHUNK + 5_000] {
            for value in [0, 900, 5_000] {
                let mut bytes = vec![2; garbage];
                bytes.extend(sample(value));
                bytes.extend(sample(10));
                let last = bytes.len() as u64;
                assert_eq!(search(&bytes, 1).0, Some(garbage as u64));
                bytes[garbage + 62] ^= 1;
                let second = last - sample(10).len() as u64;
                assert_eq!(search(&bytes, 0).0, Some(second));
                bytes.pop();
                assert_eq!(search(&bytes, 0).0, None);
            }
        }
    }

    #[test]
    fn bytes_that_look_like_many_long_batches_cost_little() {
        let header = sample(0)[..HEADER].to_vec();
        let size = 1 << 20;
        let mut bytes = Vec::with_capacity(size);
        while bytes.len() + HEADER <= size {
            let mut header = header.clone();
            let length = (size - bytes.len() - 12) as i32;
            header[8..12].copy_from_slice(&length.to_be_bytes());
            bytes.extend(header);
        }
        bytes.resize(size, 0);
        let (found, read) = search(&bytes, 0);
        assert_eq!(found, None);
        assert!(read < 64 * size, "{read} bytes were read");
    }
}
