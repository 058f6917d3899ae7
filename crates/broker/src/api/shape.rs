//! The shapes of requests, checked before they are decoded.
//!
//! The codec reserves memory for as many array elements as a request claims to have, so a few
//! bytes of nonsense could ask for gigabytes. Nothing gets to it unless the whole body fits the
//! shape that its key and version call for.
//!
//! | in a shape | stands for |
//! |---|---|
//! | `b` `h` `i` `l` `u` | 1, 2, 4, 8, 16 bytes |
//! | `s` `S` | a string; one that may be null |
//! | `B` | bytes |
//! | `[…]` | an array of simple values |
//! | `{…}` | an array of structures, each with tagged fields at its end where there are such |
//! | `(3:…)` `(3-5:…)` | only from version 3 on, or only in 3 to 5 |

/// More than any sane request has; what an element costs in memory times this is what a request
/// can cost beyond its own bytes.
const MOST_ELEMENTS: usize = 200_000;

/// Whether a body has this shape.
pub(super) fn fits(shape: &str, version: i16, flexible: bool, body: &[u8]) -> bool {
    size(shape, version, flexible, body).is_some()
}

/// How many bytes at the beginning of `body` have this shape; `None` if they do not.
pub(super) fn size(shape: &str, version: i16, flexible: bool, body: &[u8]) -> Option<usize> {
    let mut walk = Walk {
        rest: body,
        version,
        flexible,
        elements: 0,
    };
    walk.structure(shape.as_bytes())?;
    Some(body.len() - walk.rest.len())
}

struct Walk<'a> {
    rest: &'a [u8],
    version: i16,
    flexible: bool,
    elements: usize,
}

impl Walk<'_> {
    fn structure(&mut self, shape: &[u8]) -> Option<()> {
        self.fields(shape)?;
        if self.flexible {
            self.tagged_fields()
        } else {
            Some(())
        }
    }

    fn fields(&mut self, mut shape: &[u8]) -> Option<()> {
        while let Some((sign, after)) = shape.split_first() {
            shape = after;
            match sign {
                b'b' => self.skip(1)?,
                b'h' => self.skip(2)?,
                b'i' => self.skip(4)?,
                b'l' => self.skip(8)?,
                b'u' => self.skip(16)?,
                b's' | b'S' => {
                    let length = if self.flexible {
                        self.compact_length()?
                    } else {
                        self.short_length()?
                    };
                    self.skip(length)?;
                }
                b'B' => {
                    let length = if self.flexible {
                        self.compact_length()?
                    } else {
                        self.long_length()?
                    };
                    self.skip(length)?;
                }
                b'[' | b'{' | b'(' => {
                    let inner = &shape[..closing(shape)];
                    shape = &shape[inner.len() + 1..];
                    match sign {
                        b'(' => {
                            let (when, inner) = split_condition(inner);
                            if when.contains(&self.version) {
                                self.fields(inner)?;
                            }
                        }
                        b'[' => self.array(|walk| walk.fields(inner))?,
                        _ => self.array(|walk| walk.structure(inner))?,
                    }
                }
                _ => unreachable!("shapes are constants, and a test walks all of them"),
            }
        }
        Some(())
    }

    fn array(&mut self, mut element: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        let count = if self.flexible {
            self.compact_length()?
        } else {
            self.long_length()?
        };
        self.elements += count;
        if self.elements > MOST_ELEMENTS || count > self.rest.len() {
            return None;
        }
        (0..count).try_for_each(|_| element(self))
    }

    fn tagged_fields(&mut self) -> Option<()> {
        let count = self.varint()?;
        for _ in 0..count {
            self.varint()?;
            let length = self.varint()?;
            self.skip(usize::try_from(length).ok()?)?;
        }
        Some(())
    }

    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.rest = self.rest.get(bytes..)?;
        Some(())
    }

    /// Null counts as nothing.
    fn short_length(&mut self) -> Option<usize> {
        let (length, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        length_of(i64::from(i16::from_be_bytes(*length)))
    }

    fn long_length(&mut self) -> Option<usize> {
        let (length, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        length_of(i64::from(i32::from_be_bytes(*length)))
    }

    fn compact_length(&mut self) -> Option<usize> {
        length_of(i64::from(self.varint()?) - 1)
    }

    fn varint(&mut self) -> Option<u32> {
        let mut value = 0u64;
        for shift in (0..35).step_by(7) {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).ok();
            }
        }
        None
    }
}

fn length_of(length: i64) -> Option<usize> {
    if length == -1 {
        Some(0)
    } else {
        usize::try_from(length).ok()
    }
}

/// Where the bracket that was opened before `shape` is closed.
pub(crate) fn closing(shape: &[u8]) -> usize {
    let mut depth = 0;
    let closes = shape.iter().position(|sign| {
        match sign {
            b'[' | b'{' | b'(' => depth += 1,
            b']' | b'}' | b')' => depth -= 1,
            _ => {}
        }
        depth < 0
    });
    closes.expect("shapes are constants, and a test walks all of them")
}

pub(crate) fn split_condition(inner: &[u8]) -> (std::ops::RangeInclusive<i16>, &[u8]) {
    let number = |digits: &[u8]| {
        digits
            .iter()
            .fold(0, |number, digit| number * 10 + i16::from(digit - b'0'))
    };
    let colon = inner
        .iter()
        .position(|sign| *sign == b':')
        .unwrap_or(inner.len());
    let (when, rest) = (&inner[..colon], inner.get(colon + 1..).unwrap_or_default());
    match when.iter().position(|sign| *sign == b'-') {
        Some(dash) => (number(&when[..dash])..=number(&when[dash + 1..]), rest),
        None => (number(when)..=i16::MAX, rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_and_flexible_forms_are_measured() {
        // A nullable string, an array of {string, int}.
        let old = [
            &[0, 1][..],
            b"x",
            &[0, 0, 0, 1],
            &[0, 2],
            b"ab",
            &[0, 0, 0, 9],
            b"more",
        ]
        .concat();
        assert_eq!(size("S{si}", 0, false, &old), Some(old.len() - 4));
        let new = [&[2][..], b"x", &[2], &[3], b"ab", &[0, 0, 0, 9], &[0], &[0]].concat();
        assert_eq!(size("S{si}", 0, true, &new), Some(new.len()));
        for cut in 0..new.len() {
            assert_eq!(size("S{si}", 0, true, &new[..cut]), None, "cut at {cut}");
        }
    }

    #[test]
    fn fields_come_and_go_with_versions() {
        assert_eq!(size("(2:i)(0-1:h)b", 1, false, &[0; 9]), Some(3));
        assert_eq!(size("(2:i)(0-1:h)b", 2, false, &[0; 9]), Some(5));
    }

    #[test]
    fn claims_beyond_the_bytes_are_refused() {
        assert_eq!(size("{s}", 0, false, &[0x7f, 0xff, 0xff, 0xff, 0, 0]), None);
        assert_eq!(size("s", 0, false, &[0xff, 0xfe]), None);
        assert_eq!(size("B", 0, false, &[0xff, 0xff, 0xff, 0xff]), Some(4));
        assert_eq!(
            size("", 0, true, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
            None
        );
    }
}
