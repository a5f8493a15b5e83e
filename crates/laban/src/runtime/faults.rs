//! Failpoints: the steps that a delivery goes through, and what a test makes go wrong there.
//!
//! For tests only. With the feature `faults`, `LABAN_FAULTS` says what happens; without it a step is not even a call.
//!
//! ```text
//! LABAN_FAULTS='after-append=abort@3'                 the third time that the process gets there
//! LABAN_FAULTS='before-append=pause(2000)@every(50)'  each fiftieth time
//! LABAN_FAULTS='fence=off, before-append=freeze'      the first time; and no append is conditional
//! ```
//!
//! A list of `<point>=<action>`, separated by commas. The points are those of [`Point`], and the actions:
//!
//! | action | what happens |
//! |---|---|
//! | `abort` | the process is gone, as by `kill -9` |
//! | `freeze` | the process stands still, as by `SIGSTOP`, until somebody sends it `SIGCONT` |
//! | `pause(<ms>)`, `pause` | what gets there waits so long, or for ever; meanwhile the process gives no signs of life |
//! | `lose-request` | at `before-append`: the append never leaves, and nobody says so |
//! | `late-request` | at `before-append`: the append leaves only after the next one was answered, and nobody says so |
//! | `lose-answer` | at `append-sent`: the append is made, and its answer never comes |
//!
//! After the last three the commit is told at once what it is otherwise told when the time for an answer is over.
//! Two switches take the protocol itself away, to show that a test would see it:
//!
//! | switch | what happens |
//! |---|---|
//! | `fence=off` | appends are made without the condition; what is remembered or read still counts |
//! | `ack=before-commit` | an outcome's delivery is acknowledged before the outcome is committed, too |
//!
//! Every step is a log line of target `laban::faults`, with the point and how often it was reached: `debug`, and `warn`
//! where something was made to go wrong.

#[cfg(feature = "faults")]
mod hooks;
#[cfg(feature = "faults")]
mod plan;

#[cfg(feature = "faults")]
pub(crate) use hooks::{acks_before_commit, arm, fence, is_paused, reach, request, warn};

/// A step: `point!(Received)`. With a client, `point!(AfterAck, client)`, what it was given to send has left by then.
#[cfg(feature = "faults")]
macro_rules! point {
    ($point:ident) => {
        $crate::runtime::faults::reach($crate::runtime::faults::Point::$point).await
    };
    ($point:ident, $client:expr) => {{
        // A connection that is gone takes nothing along any more.
        let _ = $client.flush().await;
        $crate::runtime::faults::reach($crate::runtime::faults::Point::$point).await
    }};
}

/// A step, at which nothing goes wrong in this build.
#[cfg(not(feature = "faults"))]
macro_rules! point {
    ($($point:tt)*) => {};
}

pub(crate) use point;

#[cfg(feature = "faults")]
macro_rules! points {
    ($($(#[doc = $doc:literal])+ $point:ident = $name:literal,)+) => {
        /// A step that a delivery, or an event without a cause, goes through: where a test may make something go wrong.
        ///
        /// For tests only: there with the feature `faults`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Point {
            $($(#[doc = $doc])+ $point,)+
        }

        impl Point {
            /// All of them.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$point),+];

            /// What `LABAN_FAULTS` calls it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$point => $name,)+
                }
            }
        }
    };
}

#[cfg(feature = "faults")]
points! {
    /// A delivery has come.
    Received = "received",
    /// The event that a due timer was set for was read.
    InputRead = "input-read",
    /// A handler's deadline has passed, and what it waits for has not come.
    Looked = "looked",
    /// What is known of its flow was recalled, or read.
    Recalled = "recalled",
    /// The handler is about to run.
    BeforeHandler = "before-handler",
    /// The handler has run; its outcome is in memory only.
    AfterHandler = "after-handler",
    /// The first message of a batch is about to leave.
    BatchBegin = "batch-begin",
    /// A message of a batch, but not the last, is with the broker.
    BatchBetween = "batch-between",
    /// The append is about to leave: the one message, or the one that commits a batch.
    BeforeAppend = "before-append",
    /// The append is on its way, and not answered.
    AppendSent = "append-sent",
    /// The broker has answered that the append took place.
    AfterAppend = "after-append",
    /// The append did not take place, or may not have; what is there was not read yet.
    AppendFailed = "append-failed",
    /// What was appended is taken into what is known of the flow.
    Remembered = "remembered",
    /// It is known whether a flow has begun; whoever asked has not heard.
    Begun = "begun",
    /// Timers are about to be stopped.
    BeforePurge = "before-purge",
    /// Timers were stopped, or may have been.
    AfterPurge = "after-purge",
    /// The delivery is about to be answered: done, again later, or never again.
    BeforeAck = "before-ack",
    /// That answer is with the broker.
    AfterAck = "after-ack",
    /// The delivery is out of hand.
    Finished = "finished",
}
