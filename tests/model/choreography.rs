//! What is played: two instances of one service, and the events that they react to.
//!
//! A loyalty service. `credit` writes into the flow of the payment and into that of the customer: one atomic batch over
//! two flows. `gift` is a join: it grants a gift when the order is both paid and delivered, whichever comes last, and
//! knows the other from the flow's state.

/// The instances of the service; two of them are alike.
pub(crate) const INSTANCES: [&str; 2] = ["A", "B"];

/// The flows: an order, and a customer.
pub(crate) const FLOWS: [&str; 2] = ["4711", "ann"];

/// One handler's reaction to one event. Its index in [`REACTIONS`] is its identity: (cause, handler).
pub(crate) struct Reaction {
    pub(crate) handler: &'static str,
    pub(crate) cause: &'static str,
    /// The flow of the cause, as an index into [`FLOWS`].
    pub(crate) flow: usize,
    /// The flows that the messages of its outcome go to, in order; those of its own flow come first.
    pub(crate) writes: &'static [usize],
    /// The reaction whose effect it looks for in the flow's state.
    pub(crate) joins: Option<usize>,
}

/// A scene plays some of these.
pub(crate) const REACTIONS: [Reaction; 4] = [
    Reaction { handler: "credit", cause: "captured.4711", flow: 0, writes: &[0, 1], joins: None },
    Reaction { handler: "gift", cause: "captured.4711", flow: 0, writes: &[0], joins: Some(2) },
    Reaction { handler: "gift", cause: "delivered.4711", flow: 0, writes: &[0], joins: Some(1) },
    Reaction { handler: "greet", cause: "upgraded.ann", flow: 1, writes: &[1], joins: None },
];

impl std::fmt::Display for Reaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}({})", self.handler, self.cause)
    }
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// An instance is frozen past the acknowledgement wait, or what it says does not arrive: the event is delivered again
    /// while it still has it. What the frozen instance does next, it does as a zombie.
    Freeze,
    /// A process is killed.
    Crash,
    /// An append is not answered: it is lost, or its answer is, or it arrives late.
    NoAnswer,
    /// An append is refused because a write is in flight.
    InFlight,
    /// An acknowledgement is lost.
    AckLost,
    /// A consumer is deleted, and made anew.
    Renewal,
}

impl Fault {
    pub(crate) const ALL: &[Self] =
        &[Self::Freeze, Self::Crash, Self::NoAnswer, Self::InFlight, Self::AckLost, Self::Renewal];
}

/// How much of it is played, and how much goes wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene {
    /// Which of [`REACTIONS`].
    pub(crate) reactions: &'static [usize],
    /// So many faults, at any moment,
    pub(crate) faults: u8,
    /// and of these kinds.
    pub(crate) kinds: &'static [Fault],
    /// Whether `gift` reads the flow's state, or is a plain handler.
    pub(crate) joins: bool,
}

impl std::fmt::Display for Scene {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for reaction in self.reactions {
            write!(f, "{}, ", REACTIONS[*reaction])?;
        }
        let plain = if self.joins { "" } else { ", no flow state" };
        write!(f, "faults: {}{plain}", self.faults)
    }
}
