//! The rules of the protocol, each of which can be taken away.

/// What protocol and design call for, one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Guard {
    /// A batch's checkpoint moves only under the epoch of who claimed it last.
    Epoch,
    /// A batch's checkpoint moves only from where its owner left it.
    NextOffset,
    /// Marks are written in the transaction of the rows.
    MarkInTransaction,
    /// What is remembered about a partition does not outlive a rollback.
    Forgetting,
    /// Who finds the checkpoint elsewhere looks at it and goes on, or claims again.
    Reassign,
    /// An owner without work looks, now and then, whether its checkpoint is where it left it.
    IdleLook,
    /// A claim waits for the disk, though batches do not.
    SyncedClaim,
    /// What is decided stands in the outbox before it is told.
    Outbox,
    /// Numbers have no holes and are committed in their order.
    HoleFreeNumbers,
    /// Whatever an engine tells one output partition has one run of numbers.
    OneProducer,
    /// The relay's appends never time out.
    NoTimeout,
    /// What the log holds is recovered output by output, by id.
    RecoveryById,
    /// No number is drawn from a server that was not looked at, nor one that was drawn before.
    Ledger,
    /// A relay looks into the log before it tells.
    RelayLooks,
    /// An output that was not told takes a new number when the log has given its own to another.
    Renumbering,
    /// No append that was under way lands after a look.
    SettledAppends,
    /// Inputs that meet in an entity lock it, also one that has no row.
    EntityLock,
    /// An entity's state is read after its lock is taken.
    ReadAfterLock,
    /// A redrive holds the checkpoint's row.
    RedriveLock,
    /// A redrive does not ask the mark, which moved when its records were parked.
    RedrivePassesMark,
    /// The mark moves when a record is taken, be it applied or parked.
    MarkOfParked,
    /// The candidate stops at exactly the position that the live rows were taken at.
    StopAtV,
    /// The live rows are taken while the candidate is not beyond them.
    CandidateBehind,
    /// A hold whose comparison is gone is taken away.
    LettingGo,
    /// A promotion holds the live checkpoints until the other generation has reached them.
    HeldCheckpoints,
    /// The old generation goes on being projected.
    OldGoesOn,
    /// Nothing above the synced end is shown.
    SyncedHighWatermark,
    /// The acknowledgement of a duplicate waits for the sync of its first.
    DuplicateWaits,
    /// Producer ids come in blocks that are durable before they are used.
    IdBlocks,
}

/// Which guards hold: all, or all but some.
#[derive(Clone, Copy, Debug, Default)]
pub struct Guards {
    removed: u64,
}

impl Guards {
    pub const ALL: Guards = Guards { removed: 0 };

    #[must_use]
    pub const fn without(self, guard: Guard) -> Self {
        let removed = self.removed | 1 << guard as u64;
        Self { removed }
    }

    pub(crate) const fn hold(self, guard: Guard) -> bool {
        self.removed & 1 << guard as u64 == 0
    }
}
