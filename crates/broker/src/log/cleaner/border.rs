//! How far a log is compacted, in the file `compaction` beside its segments.

use std::path::Path;

use super::super::scan::Holes;
use crate::Error;
use crate::file::{self, Disk};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Border {
    /// Before this offset each key stands once.
    pub(super) clean_to: i64,
    /// In segments that begin before this offset records may be missing: a pass began on them.
    holes_to: i64,
}

impl Border {
    /// A log that was never compacted has no such file.
    pub(in super::super) fn load(disk: &dyn Disk, folder: &Path) -> Result<Border, Error> {
        let path = folder.join("compaction");
        let Some(bytes) = file::read_whole(disk, &path)? else {
            return Ok(Border::default());
        };
        parse(&String::from_utf8_lossy(&bytes))
            .ok_or_else(|| Error::corrupt(&path, 0, "this does not say how far a log is compacted"))
    }

    pub(super) fn save(&self, disk: &dyn Disk, folder: &Path) -> Result<(), Error> {
        let text = format!("clean_to={}\nholes_to={}\n", self.clean_to, self.holes_to);
        file::replace(disk, &folder.join("compaction"), text.as_bytes())
    }

    pub(super) fn with_holes_to(self, offset: i64) -> Border {
        Border {
            holes_to: self.holes_to.max(offset),
            ..self
        }
    }

    /// Whether the segment that begins at `base` may lack records.
    pub(in super::super) fn holes_at(&self, base: i64) -> Holes {
        if base < self.holes_to {
            Holes::Allowed
        } else {
            Holes::Refused
        }
    }
}

fn parse(text: &str) -> Option<Border> {
    let mut lines = text.lines();
    let clean_to = lines.next()?.strip_prefix("clean_to=")?.parse().ok()?;
    let holes_to = lines.next()?.strip_prefix("holes_to=")?.parse().ok()?;
    lines
        .next()
        .is_none()
        .then_some(Border { clean_to, holes_to })
}
