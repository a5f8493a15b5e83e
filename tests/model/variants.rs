//! The protocol as it is shipped, and with one thing done differently.

/// What is done differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    /// Nothing: the protocol of `docs/wire.md`, "The commit".
    Shipped,

    // The fence.
    /// Outcomes are appended without a condition.
    NoFence,
    /// Instead of the fence the broker remembers message ids, for a while.
    DedupWindow,
    /// Several messages are published one by one; the first has the fence.
    MessageByMessage,
    /// The home stream evicts its oldest records, among them those that a reaction may still be looked for in.
    EvictsOldest,

    // A lost fence.
    /// It is taken to mean that the reaction is done.
    LostMeansDone,
    /// The append is repeated on the sequence that the broker's error names.
    LostMeansAgain,
    /// The records are read and the append repeated, but a handler that read the flow's state does not run again.
    NoRerun,
    /// The same, but only when what was known was given up and read anew.
    KeptWhenForgotten,

    // An unknown answer.
    /// It is taken to mean that the append took effect.
    UnknownMeansDone,
    /// It is taken to mean that the append did not take effect: repeated under the same fence, nothing read before.
    UnknownMeansAgain,

    // What is known, and when the input is acknowledged.
    /// The input is acknowledged when work on it begins.
    AckFirst,
    /// What is sent is taken as known before the broker has acknowledged it.
    KnownWhenSent,
    /// Records are read from any replica, which may lag behind.
    StaleReads,
}

impl Variant {
    pub(crate) const ALL: [Self; 14] = [
        Self::Shipped,
        Self::NoFence,
        Self::DedupWindow,
        Self::MessageByMessage,
        Self::EvictsOldest,
        Self::LostMeansDone,
        Self::LostMeansAgain,
        Self::NoRerun,
        Self::KeptWhenForgotten,
        Self::UnknownMeansDone,
        Self::UnknownMeansAgain,
        Self::AckFirst,
        Self::KnownWhenSent,
        Self::StaleReads,
    ];
}
