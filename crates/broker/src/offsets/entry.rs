//! How a committed offset is written: fields in order, strings with their length before them.

/// Whose offset, and of what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) group: String,
    pub(crate) topic: String,
    pub(crate) partition: i32,
}

/// The next offset that a group wants to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) offset: i64,
    pub(crate) leader_epoch: i32,
    pub(crate) metadata: String,
}

/// Raised when keys change their form.
const VERSION: u8 = 1;

impl Key {
    /// Orders before every key of the group.
    pub(super) fn first_of(group: &str) -> Key {
        Key {
            group: group.to_owned(),
            topic: String::new(),
            partition: i32::MIN,
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        put(&mut bytes, &self.group);
        put(&mut bytes, &self.topic);
        bytes.extend(self.partition.to_be_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Key> {
        let mut rest = bytes.strip_prefix(&[VERSION])?;
        let group = take(&mut rest)?;
        let topic = take(&mut rest)?;
        let partition = i32::from_be_bytes(rest.try_into().ok()?);
        Some(Key {
            group,
            topic,
            partition,
        })
    }
}

impl Committed {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.metadata.len() + 16);
        bytes.extend(self.offset.to_be_bytes());
        bytes.extend(self.leader_epoch.to_be_bytes());
        put(&mut bytes, &self.metadata);
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Committed> {
        let (offset, rest) = bytes.split_first_chunk()?;
        let (leader_epoch, mut rest) = rest.split_first_chunk()?;
        let metadata = take(&mut rest)?;
        let (offset, leader_epoch) = (
            i64::from_be_bytes(*offset),
            i32::from_be_bytes(*leader_epoch),
        );
        Some(Committed {
            offset,
            leader_epoch,
            metadata,
        })
    }
}

fn put(into: &mut Vec<u8>, text: &str) {
    into.extend((text.len() as u32).to_be_bytes());
    into.extend(text.as_bytes());
}

fn take(from: &mut &[u8]) -> Option<String> {
    let (length, rest) = from.split_first_chunk()?;
    let (text, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    *from = rest;
    String::from_utf8(text.to_vec()).ok()
}
