//! A transaction: its fence, what it writes, and what is left in memory when it failed.

use super::{Batch, Hold, Owner, Projector, Row, World};
use crate::guard::Guard;

impl Projector {
    fn fence_holds(&self, row: &Row, owner: Owner, from: usize) -> bool {
        let moved = self.guards.hold(Guard::NextOffset) && row.next != from;
        let fenced = self.guards.hold(Guard::Epoch) && row.epoch_of != Some(owner);
        !moved && !fenced
    }

    /// The transaction's first statement. Of a shared one whose fences do not all hold nothing
    /// comes, and each batch is tried alone.
    pub(super) fn begin(&self, world: &mut World, owner: Owner, batches: Vec<Batch>) -> Option<()> {
        let tables = self.tables(world).clone();
        let memory = &mut world.owners[owner as usize];
        let holds = |it: &Batch| self.fence_holds(&tables[it.partition], owner, it.from);
        if batches.iter().all(holds) {
            memory.transaction = Some(batches);
            return Some(());
        }
        let [batch] = batches[..] else {
            return None;
        };
        memory.holds[batch.partition] = match self.guards.hold(Guard::Reassign) {
            true => self.look_again(&tables[batch.partition], owner),
            false => Hold::No,
        };
        Some(())
    }

    /// The table of `readmodel::checkpoint`.
    pub(super) fn look_again(&self, row: &Row, owner: Owner) -> Hold {
        match row.epoch_of == Some(owner) || !self.guards.hold(Guard::Epoch) {
            true => Hold::At(row.next),
            false => Hold::Claiming,
        }
    }

    /// Writes rows, mark and checkpoint of each batch; gives the marks as they are then.
    pub(super) fn write(&self, world: &mut World, owner: Owner, batches: &[Batch]) {
        let mut tables = self.tables(world).clone();
        let memory = &mut world.owners[owner as usize];
        for Batch {
            partition,
            from,
            to,
        } in batches
        {
            let row = &mut tables[*partition];
            let remembered = memory.kept[*partition];
            let mut mark = remembered.or(row.mark);
            let records = &self.log[*partition][*from..*to];
            row.applied.extend(sift(records, &mut mark));
            row.next = *to;
            if self.guards.hold(Guard::MarkInTransaction) {
                row.mark = mark;
            } else {
                memory.unwritten[*partition] = mark;
            }
            if !self.guards.hold(Guard::Forgetting) {
                memory.kept[*partition] = mark;
            }
            world.zombie_wrote |= world.claimed[*partition] != Some(owner);
        }
        world.postgres.push(tables);
    }

    /// What a rollback leaves in memory: nothing of a batch that was alone.
    pub(super) fn forget(&self, world: &mut World, owner: Owner, batches: &[Batch]) {
        let tables = self.tables(world).clone();
        let memory = &mut world.owners[owner as usize];
        for Batch {
            partition,
            from,
            to,
        } in batches
        {
            if batches.len() == 1 {
                memory.holds[*partition] = Hold::Claiming;
            }
            if !self.guards.hold(Guard::Forgetting) {
                let mut mark = memory.kept[*partition].or(tables[*partition].mark);
                sift(&self.log[*partition][*from..*to], &mut mark);
                memory.kept[*partition] = mark;
            }
        }
    }
}

/// `readmodel::mark`: what is taken; the mark moves with it.
pub(super) fn sift(records: &[u8], mark: &mut Option<u8>) -> Vec<u8> {
    let mut taken = Vec::new();
    for number in records {
        if mark.is_none_or(|mark| *number > mark) {
            *mark = Some(*number);
            taken.push(*number);
        }
    }
    taken
}
