//! What a case is about, and the steps that it goes through when nothing fails.

use laban::FaultPoint as Point;
use laban::FaultPoint::{
    AfterAck, AfterAppend, AfterHandler, AfterPurge, AppendFailed, AppendSent, BatchBegin, BatchBetween,
    BeforeAck, BeforeAppend, BeforeHandler, BeforePurge, Begun, Finished, InputRead, Looked, Recalled,
    Received, Remembered,
};

/// A kind of outcome, or of way to come to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Situation {
    /// One event is emitted: one publish.
    OneEvent,
    /// Three are, one of them in another flow: an atomic batch.
    ThreeEvents,
    /// None is: a `_handled` record.
    NoEvent,
    /// Two events are joined by the flow's state.
    Join,
    /// The first attempt fails: a `_retrying` record.
    Retry,
    /// The handler refuses: a `_dead` record.
    DeadLetter,
    /// A dead letter is handed back.
    Redrive,
    /// Somebody died over it before: the record that an attempt vanished.
    AfterACrash,
    /// Another instance was first.
    DoneElsewhere,
    /// A timer is set, and comes: what the handler's deadline waits for has not.
    Overdue,
    /// A timer is set, and comes: what the handler's deadline waits for was there before.
    Answered,
    /// A timer is set, and stopped.
    Stopped,
    /// A flow begins.
    Begin,
    /// An event without a cause joins a flow.
    Emit,
}

/// What a commit writes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writes {
    Outcome,
    /// The timer of a deadline.
    Timer,
    /// That an attempt came to nothing.
    Note,
}

const TAKEN: [Point; 2] = [Received, Recalled];
const RUN: [Point; 2] = [BeforeHandler, AfterHandler];
const BATCH: [Point; 3] = [BatchBegin, BatchBetween, BatchBetween];
const COMMIT: [Point; 4] = [BeforeAppend, AppendSent, AfterAppend, Remembered];
const ANSWERED: [Point; 3] = [BeforeAck, AfterAck, Finished];
const ARM: [Point; 4] = [Received, BeforeAppend, AppendSent, AfterAppend];
const STOP: [Point; 3] = [Received, BeforePurge, AfterPurge];
const DUE: [Point; 2] = [Received, InputRead];

impl Situation {
    pub(crate) const ALL: [Self; 14] = [
        Self::OneEvent,
        Self::ThreeEvents,
        Self::NoEvent,
        Self::Join,
        Self::Retry,
        Self::DeadLetter,
        Self::Redrive,
        Self::AfterACrash,
        Self::DoneElsewhere,
        Self::Overdue,
        Self::Answered,
        Self::Stopped,
        Self::Begin,
        Self::Emit,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OneEvent => "one-event",
            Self::ThreeEvents => "three-events",
            Self::NoEvent => "no-event",
            Self::Join => "join",
            Self::Retry => "retry",
            Self::DeadLetter => "dead-letter",
            Self::Redrive => "redrive",
            Self::AfterACrash => "after-a-crash",
            Self::DoneElsewhere => "done-elsewhere",
            Self::Overdue => "overdue",
            Self::Answered => "answered",
            Self::Stopped => "stopped",
            Self::Begin => "begin",
            Self::Emit => "emit",
        }
    }

    /// How the small service is to react, which is also what its handler is called.
    pub(crate) fn way(self) -> &'static str {
        match self {
            Self::OneEvent | Self::Redrive | Self::AfterACrash | Self::DoneElsewhere => "one",
            Self::ThreeEvents => "three",
            Self::NoEvent => "none",
            Self::Join => "join",
            Self::Retry => "retry",
            Self::DeadLetter => "dead",
            Self::Overdue | Self::Answered => "late",
            Self::Stopped => "patient",
            Self::Begin => "begin",
            Self::Emit => "emit",
        }
    }

    /// The service under test.
    pub(crate) fn service(self) -> &'static str {
        match self {
            Self::Join => "shipping",
            Self::Begin | Self::Emit => "order",
            _ => "payment",
        }
    }

    /// Those whose events it reacts to.
    pub(crate) fn upstream(self) -> &'static [&'static str] {
        match self {
            Self::Join => &["payment", "inventory"],
            Self::Begin | Self::Emit => &[],
            Self::Overdue | Self::Answered | Self::Stopped => &["order", "inventory"],
            _ => &["order"],
        }
    }

    /// Whether there is a cause.
    pub(crate) fn reacts(self) -> bool {
        !matches!(self, Self::Begin | Self::Emit)
    }

    /// Whether its handler has a deadline.
    pub(crate) fn has_deadline(self) -> bool {
        matches!(self, Self::Overdue | Self::Answered | Self::Stopped)
    }

    /// The steps when nothing fails. Not taken from a run, so that a step that is lost, or in the wrong place, shows.
    pub(crate) fn steps(self) -> Vec<Point> {
        let once = [&TAKEN[..], &RUN, &COMMIT, &ANSWERED].concat();
        match self {
            Self::OneEvent | Self::NoEvent | Self::DeadLetter | Self::Redrive => once,
            Self::ThreeEvents => [&TAKEN[..], &RUN, &BATCH, &COMMIT, &ANSWERED].concat(),
            Self::Join | Self::Retry => [once.clone(), once].concat(),
            Self::AfterACrash => [&TAKEN[..], &COMMIT, &RUN, &COMMIT, &ANSWERED].concat(),
            Self::DoneElsewhere => {
                [&TAKEN[..], &RUN, &[BeforeAppend, AppendSent, AppendFailed], &ANSWERED].concat()
            }
            Self::Overdue => {
                let late = [&DUE[..], &[Looked, Recalled], &RUN, &COMMIT, &ANSWERED].concat();
                [&ARM[..], &ANSWERED, &late].concat()
            }
            Self::Answered => [&STOP[..], &ANSWERED, &ARM, &ANSWERED, &DUE, &ANSWERED].concat(),
            Self::Stopped => [&ARM[..], &ANSWERED, &STOP, &ANSWERED].concat(),
            Self::Begin => vec![BeforeAppend, AppendSent, AfterAppend, Begun],
            Self::Emit => [&[Recalled][..], &COMMIT].concat(),
        }
    }

    /// What the appends among them write, in order.
    pub(crate) fn writes(self) -> &'static [Writes] {
        match self {
            Self::DoneElsewhere => &[],
            Self::Overdue => &[Writes::Timer, Writes::Outcome],
            Self::Answered | Self::Stopped => &[Writes::Timer],
            Self::Join => &[Writes::Outcome, Writes::Outcome],
            Self::Retry | Self::AfterACrash => &[Writes::Note, Writes::Outcome],
            _ => &[Writes::Outcome],
        }
    }

    /// How often the event was delivered by the time of its `nth` delivery to the instance under test.
    pub(crate) fn delivered(self, nth: usize) -> usize {
        match self {
            Self::Retry => nth,
            Self::AfterACrash => 2,
            // To its handler it is delivered when the timer has come.
            Self::Overdue => nth - 1,
            Self::Answered | Self::Stopped => 0,
            _ => 1,
        }
    }
}
