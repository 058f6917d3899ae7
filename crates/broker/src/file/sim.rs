//! A disk in memory that forgets, at a power loss, what was not synced, and fails on demand.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::{Disk, DiskFile, LockGuard, Mode};

/// Clones share the disk.
#[derive(Debug, Clone, Default)]
pub(crate) struct SimDisk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Names as the running program sees them.
    names: BTreeMap<PathBuf, Node>,
    /// Names as they would be found after a power loss.
    durable_names: BTreeMap<PathBuf, Node>,
    fail_syncs: bool,
    /// Bytes that can still be written before the disk is full.
    room: Option<u64>,
    syncs: u64,
    /// Calls that are still carried out.
    calls_left: Option<u64>,
}

#[derive(Debug, Clone)]
enum Node {
    Dir,
    File(Arc<Mutex<Content>>),
}

#[derive(Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    durable: Vec<u8>,
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    content: Arc<Mutex<Content>>,
}

impl SimDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// What a machine finds after a power loss: synced bytes under synced names. Of what was not
    /// synced, each file keeps the first `keep` bytes, as a disk may.
    pub(crate) fn after_power_loss(&self, keep: usize) -> SimDisk {
        let state = self.state();
        let survive = |node: &Node| match node {
            Node::Dir => Node::Dir,
            Node::File(content) => {
                let content = content.lock().unwrap();
                let mut bytes = content.durable.clone();
                let more = content.bytes.get(bytes.len()..).unwrap_or_default();
                bytes.extend_from_slice(&more[..keep.min(more.len())]);
                Node::File(Arc::new(Mutex::new(Content {
                    durable: bytes.clone(),
                    bytes,
                })))
            }
        };
        let names: BTreeMap<_, _> = state
            .durable_names
            .iter()
            .map(|(path, node)| (path.clone(), survive(node)))
            .collect();
        SimDisk(Arc::new(Mutex::new(State {
            durable_names: names.clone(),
            names,
            ..State::default()
        })))
    }

    /// What the next process finds after the one that used the disk was killed.
    pub(crate) fn kill(&self) -> SimDisk {
        let state = self.state();
        let survive = |node: &Node| match node {
            Node::Dir => Node::Dir,
            Node::File(content) => {
                let content = content.lock().unwrap();
                Node::File(Arc::new(Mutex::new(Content {
                    bytes: content.bytes.clone(),
                    durable: content.durable.clone(),
                })))
            }
        };
        let names = |names: &BTreeMap<PathBuf, Node>| {
            let names = names.iter();
            names
                .map(|(path, node)| (path.clone(), survive(node)))
                .collect()
        };
        SimDisk(Arc::new(Mutex::new(State {
            durable_names: names(&state.durable_names),
            names: names(&state.names),
            ..State::default()
        })))
    }

    /// Stops everything at the call after `calls` more.
    pub(crate) fn stop_after(&self, calls: Option<u64>) {
        self.state().calls_left = calls.map(|calls| calls + 1);
    }

    pub(crate) fn has_stopped(&self) -> bool {
        self.state().calls_left == Some(0)
    }

    /// The state for a call that is to be carried out.
    fn meet(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        if let Some(left) = &mut state.calls_left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                return Err(io::Error::other("the disk has stopped"));
            }
        }
        Ok(state)
    }

    pub(crate) fn fail_syncs(&self, fail: bool) {
        self.state().fail_syncs = fail;
    }

    pub(crate) fn fill_up_after(&self, bytes: Option<u64>) {
        self.state().room = bytes;
    }

    /// Changes bytes of a file behind everyone's back.
    pub(crate) fn damage(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let state = self.state();
        let Some(Node::File(content)) = state.names.get(path) else {
            panic!("no file {path:?}")
        };
        let mut content = content.lock().unwrap();
        change(&mut content.bytes);
        content.durable = content.bytes.clone();
    }
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Disk for SimDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.meet()?;
        for folder in path.ancestors() {
            state.names.entry(folder.to_owned()).or_insert(Node::Dir);
        }
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let state = self.meet()?;
        if !state.names.contains_key(path) {
            return Err(missing());
        }
        let children = state
            .names
            .keys()
            .filter(|name| name.parent() == Some(path));
        Ok(children
            .map(|name| name.file_name().unwrap().to_string_lossy().into_owned())
            .collect())
    }

    fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.meet()?;
        let content = match state.names.get(path) {
            Some(Node::File(content)) => content.clone(),
            Some(Node::Dir) => return Err(io::ErrorKind::IsADirectory.into()),
            None if mode == Mode::Read || !state.names.contains_key(path.parent().unwrap()) => {
                return Err(missing());
            }
            None => {
                let content = Arc::new(Mutex::new(Content::default()));
                state
                    .names
                    .insert(path.to_owned(), Node::File(content.clone()));
                content
            }
        };
        Ok(Arc::new(SimFile {
            disk: self.clone(),
            content,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.meet()?;
        let moved: Vec<_> = state
            .names
            .keys()
            .filter(|name| name.starts_with(from))
            .cloned()
            .collect();
        if moved.is_empty() {
            return Err(missing());
        }
        for name in moved {
            let node = state.names.remove(&name).unwrap();
            let rest = name.strip_prefix(from).unwrap();
            let target = if rest.as_os_str().is_empty() {
                to.to_owned()
            } else {
                to.join(rest)
            };
            state.names.insert(target, node);
        }
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.meet()?
            .names
            .remove(path)
            .map(|_| ())
            .ok_or_else(missing)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.meet()?.names.retain(|name, _| !name.starts_with(path));
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.meet()?;
        if state.fail_syncs {
            return Err(io::Error::other("sync failed"));
        }
        let State {
            names,
            durable_names,
            ..
        } = &mut *state;
        // The folder's own children, and what stands below a child that was moved here or away.
        let gone: Vec<_> = durable_names
            .keys()
            .filter(|name| name.starts_with(path) && *name != path)
            .filter(|name| {
                let child = path.join(
                    name.strip_prefix(path)
                        .unwrap()
                        .components()
                        .next()
                        .unwrap(),
                );
                !names.contains_key(&child)
            })
            .cloned()
            .collect();
        for name in gone {
            durable_names.remove(&name);
        }
        for folder in path.ancestors() {
            durable_names.insert(folder.to_owned(), Node::Dir);
        }
        let children: Vec<_> = names
            .keys()
            .filter(|name| name.parent() == Some(path))
            .cloned()
            .collect();
        for child in children {
            let moved_here = !durable_names.contains_key(&child);
            durable_names.insert(child.clone(), names[&child].clone());
            if moved_here {
                let below = names.iter().filter(|(name, _)| name.starts_with(&child));
                durable_names.extend(below.map(|(name, node)| (name.clone(), node.clone())));
            }
        }
        Ok(())
    }

    fn lock(&self, _: &Path) -> io::Result<Option<LockGuard>> {
        Ok(Some(Box::new(())))
    }
}

impl SimFile {
    fn take_room(&self, wanted: usize) -> usize {
        let mut state = self.disk.state();
        let Some(room) = &mut state.room else {
            return wanted;
        };
        let taken = (wanted as u64).min(*room);
        *room -= taken;
        taken as usize
    }
}

impl DiskFile for SimFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.content.lock().unwrap().bytes.len() as u64)
    }

    fn read_at(&self, into: &mut [u8], position: u64) -> io::Result<usize> {
        let content = self.content.lock().unwrap();
        let from = content.bytes.get(position as usize..).unwrap_or_default();
        let read = from.len().min(into.len());
        into[..read].copy_from_slice(&from[..read]);
        Ok(read)
    }

    fn append(&self, parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        drop(self.disk.meet()?);
        let wanted = parts.iter().map(|part| part.len()).sum();
        let room = self.take_room(wanted);
        let all: Vec<u8> = parts
            .iter()
            .flat_map(|part| part.iter().copied())
            .take(room)
            .collect();
        self.content.lock().unwrap().bytes.extend_from_slice(&all);
        if room < wanted {
            Err(io::ErrorKind::StorageFull.into())
        } else {
            Ok(())
        }
    }

    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        drop(self.disk.meet()?);
        let size = self.content.lock().unwrap().bytes.len();
        let growth = (position as usize + bytes.len()).saturating_sub(size);
        let room = self.take_room(growth);
        let written = bytes.len() - (growth - room);
        let mut content = self.content.lock().unwrap();
        let end = position as usize + written;
        if content.bytes.len() < end {
            content.bytes.resize(end, 0);
        }
        content.bytes[position as usize..end].copy_from_slice(&bytes[..written]);
        if room < growth {
            Err(io::ErrorKind::StorageFull.into())
        } else {
            Ok(())
        }
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        drop(self.disk.meet()?);
        self.content.lock().unwrap().bytes.resize(size as usize, 0);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.meet()?;
        if state.fail_syncs {
            return Err(io::Error::other("sync failed"));
        }
        state.syncs += 1;
        let mut content = self.content.lock().unwrap();
        content.durable = content.bytes.clone();
        Ok(())
    }
}
