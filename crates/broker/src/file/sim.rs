//! A disk in memory that forgets, at a power loss, what was not synced, and fails on demand.
//!
//! What it takes for granted of a real one, and what it does not:
//!
//! | | after a power loss |
//! |---|---|
//! | bytes written before a sync that returned | are there |
//! | bytes at the end of a file, not synced | a beginning of them, the last write cut anywhere; then, perhaps, zeros or garbage up to any size that the file had |
//! | bytes rewritten inside a file, not synced | each sector of 512 bytes as one of the writes left it, whatever became of the others |
//! | a file's other writes | say nothing about this file's: each is on its own, however old |
//! | names, folder synced | are there, with all that was renamed into or out of the folder and what happened to those other folders before |
//! | names, not synced | of each folder a beginning of its changes, or of each name in it; each folder on its own |
//! | a rename | has happened or not: the name is never on both sides or on none, and a replaced name stands for the old file or the new one |
//! | the name of a file that was synced in a folder that was not | may be gone |
//! | names in the root | are there: the disk is mounted there |
//!
//! A killed process loses nothing that was written, except that its last write at the end of a
//! file may be cut.
//! A sync that fails leaves some of its bytes on no disk, and the next one does not mend that: it
//! succeeds (as on Linux, where a page is clean after a failed write-back), even if it begins
//! before the first one returns. It takes part in no sound bytes behind unsound ones within one
//! file's unsynced end; a disk that does that, too, makes the broker refuse to open, not lose
//! anything.

mod content;
mod faults;
mod names;

use std::fmt;
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use rand::Rng;

use super::{Disk, DiskFile, LockGuard, Mode};
use content::Content;
pub(crate) use faults::Faults;
use faults::{Call, Fate, gone};
use names::{File, Tree};

/// Clones share the disk.
#[derive(Debug, Clone)]
pub(crate) struct SimDisk(Arc<Mutex<State>>);

type Meanwhile = Box<dyn FnOnce() + Send>;

/// When something else happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Before a write.
    Write,
    /// While a file is synced: behind what that makes durable, and before its caller knows.
    Sync,
    /// Likewise while the names in a folder are.
    SyncNames,
}

struct State {
    tree: Tree,
    fate: Fate,
    fail_syncs: bool,
    /// A sync of a file failed, so that what is written behind may stand behind a hole.
    has_holes: bool,
    /// What happens at such a moment, and how many are before that.
    meanwhile: Option<(Moment, u32, Meanwhile)>,
    locked: Arc<AtomicBool>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("tree", &self.tree)
            .field("fate", &self.fate)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    content: File,
}

impl Default for SimDisk {
    fn default() -> Self {
        SimDisk::seeded(0)
    }
}

impl SimDisk {
    /// An empty disk on which chance is drawn from a seed.
    pub(crate) fn seeded(seed: u64) -> SimDisk {
        SimDisk::holding(Tree::default(), Fate::new(seed))
    }

    fn holding(tree: Tree, fate: Fate) -> SimDisk {
        SimDisk(Arc::new(Mutex::new(State {
            tree,
            fate,
            fail_syncs: false,
            has_holes: false,
            meanwhile: None,
            locked: Arc::default(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// The state for a call that is to be carried out.
    fn meet(&self, call: Call) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        state.fate.meet(call)?;
        Ok(state)
    }

    /// What a machine finds after a power loss: synced bytes under synced names. Of what was not
    /// synced, each file keeps the first `keep` bytes.
    pub(crate) fn after_power_loss(&self, keep: usize) -> SimDisk {
        let tree = self
            .state()
            .tree
            .after_loss(&mut |file| file.with_tail(keep));
        SimDisk::holding(tree, Fate::new(0))
    }

    /// What a machine finds after a power loss, by chance.
    pub(crate) fn lose_power(&self) -> SimDisk {
        let mut state = self.state();
        let State { tree, fate, .. } = &mut *state;
        tree.settle_by_chance(&mut fate.rng);
        let rng = &mut fate.rng;
        let tree = tree.after_loss(&mut |file| file.by_chance(rng));
        state.hand_over(tree)
    }

    /// Another disk that holds the same, synced or not; this one goes on.
    pub(crate) fn copy(&self) -> SimDisk {
        SimDisk::holding(self.state().tree.copy(), Fate::new(0))
    }

    /// What the next process finds after the one that used the disk was killed: a copy.
    pub(crate) fn kill(&self) -> SimDisk {
        let mut state = self.state();
        let tree = state.tree.copy();
        state.hand_over(tree)
    }

    pub(crate) fn fail_syncs(&self, fail: bool) {
        self.state().fail_syncs = fail;
    }

    pub(crate) fn fill_up_after(&self, bytes: Option<u64>) {
        self.state().fate.room = bytes;
    }

    pub(crate) fn set_faults(&self, faults: Faults) {
        self.state().fate.faults = faults;
    }

    /// Stops everything at the call after `calls` more; that one is carried out in part.
    pub(crate) fn stop_after(&self, calls: Option<u64>) {
        self.state().fate.calls_left = calls.map(|calls| calls + 1);
    }

    pub(crate) fn has_stopped(&self) -> bool {
        self.state().fate.is_over()
    }

    /// Whether there was a reason for an error since so many calls had failed.
    pub(crate) fn may_fail(&self, failed_before: u64) -> bool {
        let fate = &self.state().fate;
        fate.failed > failed_before || fate.room.is_some() || fate.is_over()
    }

    /// Whether a sync of a file failed since [`SimDisk::is_whole`] was said: what stands behind
    /// what it did not write may get to the disk all the same.
    pub(crate) fn has_holes(&self) -> bool {
        self.state().has_holes
    }

    pub(crate) fn is_whole(&self) {
        self.state().has_holes = false;
    }

    /// How many calls failed for a fault that was set.
    pub(crate) fn failed_calls(&self) -> u64 {
        self.state().fate.failed
    }

    /// Has something happen at the next such moment after `skipped`.
    pub(crate) fn during(&self, moment: Moment, skipped: u32, meanwhile: Meanwhile) {
        self.state().meanwhile = Some((moment, skipped, meanwhile));
    }

    /// There was no such moment.
    pub(crate) fn forget_meanwhile(&self) {
        self.state().meanwhile = None;
    }

    /// A file as programs see it.
    pub(crate) fn content(&self, path: &Path) -> Vec<u8> {
        let file = self.state().tree.open(path, false);
        let file = file.unwrap_or_else(|_| panic!("no file {path:?}"));
        file.lock().unwrap().bytes().to_vec()
    }

    /// Changes bytes of a file behind everyone's back.
    pub(crate) fn damage(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let file = self.state().tree.open(path, false);
        let file = file.unwrap_or_else(|_| panic!("no file {path:?}"));
        file.lock().unwrap().damage(change);
    }
}

impl State {
    /// What happens at a moment that is come.
    fn take_meanwhile(&mut self, now: Moment) -> Option<Meanwhile> {
        let (_, skipped, _) = self.meanwhile.as_mut().filter(|(at, ..)| *at == now)?;
        if *skipped > 0 {
            *skipped -= 1;
            return None;
        }
        self.meanwhile.take().map(|(.., meanwhile)| meanwhile)
    }

    /// A disk that goes on where this one ends.
    fn hand_over(&mut self, tree: Tree) -> SimDisk {
        let mut fate = Fate::new(self.fate.rng.random());
        fate.room = self.fate.room;
        fate.faults = self.fate.faults;
        fate.failed = self.fate.failed;
        fate.calls = self.fate.calls;
        let next = SimDisk::holding(tree, fate);
        next.state().has_holes = self.has_holes;
        next
    }
}

impl Disk for SimDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.meet(Call::Open)?.tree.create_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.meet(Call::Read)?.tree.list(path)
    }

    fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn DiskFile>> {
        let content = self.meet(Call::Open)?.tree.open(path, mode != Mode::Read)?;
        Ok(Arc::new(SimFile {
            disk: self.clone(),
            content,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.meet(Call::Rename)?.tree.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.meet(Call::Other)?.tree.remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.meet(Call::Other)?.tree.remove_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.meet(Call::Sync)?;
        if state.fail_syncs {
            return Err(io::Error::other("sync failed"));
        }
        state.tree.sync_dir(path)?;
        if let Some(meanwhile) = state.take_meanwhile(Moment::SyncNames) {
            drop(state);
            meanwhile();
            if self.has_stopped() {
                return Err(gone());
            }
        }
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Option<LockGuard>> {
        let mut state = self.meet(Call::Open)?;
        state.tree.open(path, true)?;
        if state.locked.swap(true, Ordering::AcqRel) {
            return Ok(None);
        }
        Ok(Some(Box::new(Held(state.locked.clone()))))
    }
}

#[derive(Debug)]
struct Held(Arc<AtomicBool>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl SimFile {
    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap()
    }

    /// Writes what there is room for, and of a write that is the last one only some.
    fn write(&self, at: Option<u64>, bytes: &[u8]) -> io::Result<()> {
        let meanwhile = self.disk.state().take_meanwhile(Moment::Write);
        if let Some(meanwhile) = meanwhile {
            meanwhile();
        }
        let mut state = self.disk.state();
        let was_over = state.fate.is_over();
        let met = state.fate.meet(Call::Write);
        let mut content = self.content();
        let at = at.map_or(content.bytes().len(), |at| at as usize);
        let is_inside = at + bytes.len() <= content.bytes().len();
        let wanted = match &met {
            Err(_) if was_over || is_inside => 0,
            Err(_) => state.fate.rng.random_range(0..=bytes.len()),
            Ok(()) => bytes.len(),
        };
        let growth = (at + wanted).saturating_sub(content.bytes().len());
        let written = wanted.saturating_sub(growth - state.fate.take_room(growth));
        if written > 0 {
            content.write(at, &bytes[..written]);
        }
        met?;
        if written < wanted {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

impl DiskFile for SimFile {
    fn size(&self) -> io::Result<u64> {
        let _state = self.disk.meet(Call::Other)?;
        Ok(self.content().bytes().len() as u64)
    }

    fn modified_ms(&self) -> io::Result<i64> {
        Ok(self.content().modified_ms())
    }

    fn read_some_at(&self, into: &mut [u8], position: u64) -> io::Result<usize> {
        let mut state = self.disk.meet(Call::Read)?;
        let content = self.content();
        let from = content.bytes().get(position as usize..).unwrap_or_default();
        let read = state.fate.read_size(from.len().min(into.len()));
        into[..read].copy_from_slice(&from[..read]);
        Ok(read)
    }

    fn append(&self, parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        let all: Vec<u8> = parts.iter().flat_map(|part| part.to_vec()).collect();
        self.write(None, &all)
    }

    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.write(Some(position), bytes)
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        let _state = self.disk.meet(Call::Other)?;
        self.content().resize(size as usize);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let (fails, meanwhile, until) = {
            let mut state = self.disk.state();
            if state.fate.is_over() {
                return Err(gone());
            }
            let met = state.fate.meet(Call::Sync);
            let fails = state.fail_syncs || met.is_err();
            let until = self.content().written();
            if fails && !state.fate.is_over() {
                self.content().sync_failed(until, &mut state.fate.rng);
                state.has_holes = true;
            }
            (fails, state.take_meanwhile(Moment::Sync), until)
        };
        if let Some(meanwhile) = meanwhile {
            meanwhile();
        }
        if self.disk.state().fate.is_over() {
            return Err(gone());
        }
        if fails {
            return Err(io::Error::other("sync failed"));
        }
        self.content().synced(until);
        Ok(())
    }
}
