use std::cell::RefCell;
use std::fmt;

use bytes::Bytes;
use laban_wire::{EventType, FlowId, Subject, error_chain};

use crate::{BoxError, Event, EventInfo};

/// What a handler can emit: an event, an enum of events, an `Option`, a `Vec` or a tuple of those, or `()` for nothing.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be emitted",
    label = "not something a handler can emit",
    note = "a handler emits an event (`#[derive(laban::Event)]`), an enum of events, an `Option`, a `Vec` or a tuple of \
            them, or `()`"
)]
pub trait Emit: Send + 'static {
    /// The event types that may be emitted: part of the contract.
    fn event_types() -> Vec<EventInfo>;
    /// Puts the events into the outbox, in order.
    fn emit(self, outbox: &mut Outbox);
}

#[diagnostic::do_not_recommend]
impl<E: Event> Emit for E {
    fn event_types() -> Vec<EventInfo> {
        vec![EventInfo::of::<E>()]
    }
    fn emit(self, outbox: &mut Outbox) {
        outbox.push(&self);
    }
}

impl Emit for () {
    fn event_types() -> Vec<EventInfo> {
        Vec::new()
    }
    fn emit(self, _: &mut Outbox) {}
}

/// No event at all: the failure event of a handler that has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Never {}

impl Emit for Never {
    fn event_types() -> Vec<EventInfo> {
        Vec::new()
    }
    fn emit(self, _: &mut Outbox) {
        match self {}
    }
}

impl<T: Emit> Emit for Option<T> {
    fn event_types() -> Vec<EventInfo> {
        T::event_types()
    }
    fn emit(self, outbox: &mut Outbox) {
        if let Some(events) = self {
            events.emit(outbox);
        }
    }
}

impl<T: Emit> Emit for Vec<T> {
    fn event_types() -> Vec<EventInfo> {
        T::event_types()
    }
    fn emit(self, outbox: &mut Outbox) {
        for events in self {
            events.emit(outbox);
        }
    }
}

macro_rules! emit_tuples {
    ($(($($T:ident),+)),+) => {$(
        impl<$($T: Emit),+> Emit for ($($T,)+) {
            fn event_types() -> Vec<EventInfo> {
                [$($T::event_types()),+].concat()
            }
            fn emit(self, outbox: &mut Outbox) {
                #[allow(non_snake_case, reason = "the macro names values after their types")]
                let ($($T,)+) = self;
                $($T.emit(outbox);)+
            }
        }
    )+};
}
emit_tuples!((A, B), (A, B, C), (A, B, C, D), (A, B, C, D, F));

/// Events on their way out of a handler.
#[derive(Debug, Default)]
pub struct Outbox {
    pub(crate) events: Vec<Outgoing>,
    pub(crate) error: Option<String>,
}

/// One event, encoded.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) subject: Subject,
    pub(crate) version: u32,
    pub(crate) payload: Bytes,
}

impl Outbox {
    /// Adds an event. One that cannot be written makes the whole outcome unwritable.
    pub fn push<E: Event>(&mut self, event: &E) {
        match Outgoing::of(event) {
            Ok(outgoing) => self.events.push(outgoing),
            Err(reason) => self.error = self.error.take().or(Some(reason)),
        }
    }
}

impl Outgoing {
    pub(crate) fn of<E: Event>(event: &E) -> Result<Self, String> {
        let flow = FlowId::new(event.flow_key()).map_err(|e| format!("{}: {e}", E::NAME))?;
        let payload = encode(event).map_err(|e| format!("{} does not serialize: {e}", E::NAME))?;
        let subject = Subject::new(EventType::from_static(E::NAME), flow);
        Ok(Self { subject, version: E::VERSION, payload })
    }
}

/// Serializes into a buffer that is kept, and copies what is in it once, rather than growing a new one in steps.
fn encode(event: &impl serde::Serialize) -> serde_json::Result<Bytes> {
    /// A larger buffer is not kept for the rare event that needed it.
    const KEPT_BYTES: usize = 64 << 10;
    thread_local! {
        static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    BUFFER.with(|buffer| {
        // An event whose serialization serializes another one gets a buffer of its own.
        let Ok(mut buffer) = buffer.try_borrow_mut() else {
            return serde_json::to_vec(event).map(Bytes::from);
        };
        buffer.clear();
        serde_json::to_writer(&mut *buffer, event)?;
        let payload = Bytes::copy_from_slice(&buffer);
        buffer.shrink_to(KEPT_BYTES);
        Ok(payload)
    })
}

/// Why a handler did not come to its success event.
///
/// Which of the three it is must be said: a fact about the business ([`Event`](Self::Event)), an error that may pass
/// ([`Retry`](Self::Retry)), or an input that can never be handled ([`Reject`](Self::Reject)).
#[derive(Debug)]
pub enum Failure<E = Never> {
    /// A failure that is a fact others may react to. Made from the event with `?` or `.into()`.
    Event(E),
    /// An error that may pass: the handler runs again later. See [`OrRetry`].
    Retry(BoxError),
    /// An error that will not: the input becomes a dead letter at once. See [`OrRetry::or_reject`].
    Reject(BoxError),
}

impl<E> Failure<E> {
    /// An error that may pass.
    pub fn retry(error: impl Into<BoxError>) -> Self {
        Self::Retry(error.into())
    }

    /// An error that will not pass.
    pub fn reject(error: impl Into<BoxError>) -> Self {
        Self::Reject(error.into())
    }
}

/// What `?` and `.into()` turn into a [`Failure`]: a failure event, and an error of which was said what it means.
///
/// A trait of its own, because only then can the compiler say what is missing where it was not.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say whether it may pass",
    label = "say what the error means: `.or_retry()?` (it may pass) or `.or_reject()?` (it will not), of `laban::OrRetry`"
)]
#[doc(hidden)]
pub trait IntoFailure<F> {
    fn into_failure(self) -> F;
}

#[diagnostic::do_not_recommend]
impl<E: Emit> IntoFailure<Failure<E>> for E {
    fn into_failure(self) -> Failure<E> {
        Failure::Event(self)
    }
}

#[diagnostic::do_not_recommend]
impl<E> IntoFailure<Failure<E>> for Undecided {
    fn into_failure(self) -> Failure<E> {
        match self {
            Self::Retry(error) => Failure::Retry(error),
            Self::Reject(error) => Failure::Reject(error),
        }
    }
}

impl<T: IntoFailure<Failure<E>>, E> From<T> for Failure<E> {
    fn from(failure: T) -> Self {
        failure.into_failure()
    }
}

impl<E: fmt::Debug> fmt::Display for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(event) => write!(f, "{event:?}"),
            Self::Retry(error) => write!(f, "to be retried: {}", error_chain(error.as_ref())),
            Self::Reject(error) => write!(f, "rejected: {}", error_chain(error.as_ref())),
        }
    }
}

/// A failure of a kind that fits every handler; `?` turns it into the handler's own [`Failure`].
#[derive(Debug)]
pub enum Undecided {
    /// See [`Failure::Retry`].
    Retry(BoxError),
    /// See [`Failure::Reject`].
    Reject(BoxError),
}

/// Says what an error means for the reaction.
///
/// ```
/// use laban::{Failure, OrRetry as _};
///
/// fn port(text: &str) -> Result<u16, Failure> {
///     Ok(text.parse::<u16>().or_reject()?)
/// }
/// assert!(matches!(port("eighty"), Err(Failure::Reject(_))));
/// ```
pub trait OrRetry<T> {
    /// The error may pass: run the handler again later.
    ///
    /// # Errors
    /// The error, as one to retry.
    fn or_retry(self) -> Result<T, Undecided>;
    /// The error will not pass: make the input a dead letter now.
    ///
    /// # Errors
    /// The error, as one that rejects.
    fn or_reject(self) -> Result<T, Undecided>;
}

impl<T, E: Into<BoxError>> OrRetry<T> for Result<T, E> {
    fn or_retry(self) -> Result<T, Undecided> {
        self.map_err(|error| Undecided::Retry(error.into()))
    }
    fn or_reject(self) -> Result<T, Undecided> {
        self.map_err(|error| Undecided::Reject(error.into()))
    }
}

/// How a handler may end: anything it can [`Emit`], or a `Result` of that and a [`Failure`].
#[diagnostic::on_unimplemented(
    message = "a handler cannot return `{Self}`",
    label = "not an outcome",
    note = "a handler returns what it emits (an event, an enum of events, an `Option`, a `Vec`, a tuple, or `()`), or \
            `Result<that, Failure<FailureEvent>>`; turn other errors into a `Failure` with `.or_retry()?` or \
            `.or_reject()?`"
)]
pub trait Outcome {
    /// The event types that may be emitted on success: part of the contract.
    fn event_types() -> Vec<EventInfo>;
    /// The event types that may be emitted on failure.
    fn failure_types() -> Vec<EventInfo> {
        Vec::new()
    }
    /// The handler's end, its types erased.
    #[doc(hidden)]
    fn into_end(self) -> End;
}

/// A handler's end, its types erased.
#[doc(hidden)]
#[derive(Debug)]
pub enum End {
    /// Write these events, perhaps none.
    Emit(Outbox),
    /// Run again later.
    Retry(BoxError),
    /// Give up on the input.
    Reject(BoxError),
}

fn emitted(events: impl Emit) -> End {
    let mut outbox = Outbox::default();
    events.emit(&mut outbox);
    End::Emit(outbox)
}

#[diagnostic::do_not_recommend]
impl<T: Emit> Outcome for T {
    fn event_types() -> Vec<EventInfo> {
        T::event_types()
    }
    fn into_end(self) -> End {
        emitted(self)
    }
}

impl<T: Emit, F: Emit> Outcome for Result<T, Failure<F>> {
    fn event_types() -> Vec<EventInfo> {
        T::event_types()
    }
    fn failure_types() -> Vec<EventInfo> {
        F::event_types()
    }
    fn into_end(self) -> End {
        match self {
            Ok(events) => emitted(events),
            Err(Failure::Event(events)) => emitted(events),
            Err(Failure::Retry(error)) => End::Retry(error),
            Err(Failure::Reject(error)) => End::Reject(error),
        }
    }
}
