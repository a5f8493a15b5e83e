use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;

use laban_wire::{EventId, FlowId, Message, ServiceName};

use crate::{BoxError, FlowState, Record};

/// What a handler can take after its event: [`State`], [`Flow`], [`Cause`].
#[diagnostic::on_unimplemented(
    message = "a handler cannot take `{Self}` here",
    label = "not something a handler can take after its event",
    note = "the event comes first; after it a handler can take `State<T>`, `Flow<T>` (where `T: FlowState`) and `Cause`"
)]
pub trait Extract: Sized + Send + 'static {
    /// Whether a change of the flow's state makes the handler run again.
    #[doc(hidden)]
    const READS_FLOW: bool = false;
    /// The type of state that must have been given to the service.
    #[doc(hidden)]
    fn needs() -> Option<(TypeId, &'static str)> {
        None
    }
    /// Takes it from the call.
    #[doc(hidden)]
    fn extract(call: &Call) -> Result<Self, BoxError>;
}

/// One run of a handler: the input, and all that can be extracted.
#[doc(hidden)]
#[derive(Clone)]
pub struct Call {
    pub(crate) input: Arc<Message>,
    /// What the ids of outputs are derived from.
    pub(crate) ids_from: EventId,
    pub(crate) attempt: u32,
    pub(crate) states: Arc<States>,
    /// The service's own records of the flow, for handlers that read flow state.
    pub(crate) records: Arc<Vec<Record>>,
    pub(crate) service: ServiceName,
    pub(crate) handler: Arc<str>,
}

/// What a service's handlers share, by type.
#[derive(Default)]
pub(crate) struct States(HashMap<TypeId, Box<dyn Any + Send + Sync>>);

impl States {
    pub(crate) fn insert<T: Clone + Send + Sync + 'static>(&mut self, state: T) {
        self.0.insert(TypeId::of::<T>(), Box::new(state));
    }

    pub(crate) fn has(&self, id: TypeId) -> bool {
        self.0.contains_key(&id)
    }

    fn get<T: Clone + 'static>(&self) -> Option<T> {
        self.0.get(&TypeId::of::<T>())?.downcast_ref().cloned()
    }
}

/// A state that is opened when its service starts.
pub(crate) struct Opener {
    pub(crate) id: TypeId,
    pub(crate) name: &'static str,
    open: Box<dyn FnOnce() -> Opening + Send>,
}

type Opening = Pin<Box<dyn Future<Output = Result<Box<dyn Any + Send + Sync>, BoxError>> + Send>>;

impl Opener {
    pub(crate) fn of<T, E, Fut>(open: impl FnOnce() -> Fut + Send + 'static) -> Self
    where
        T: Clone + Send + Sync + 'static,
        E: Into<BoxError>,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
    {
        let open = || -> Opening {
            let opening = open();
            Box::pin(async {
                match opening.await {
                    Ok(state) => Ok(Box::new(state) as Box<dyn Any + Send + Sync>),
                    Err(error) => Err(error.into()),
                }
            })
        };
        Self { id: TypeId::of::<T>(), name: type_name::<T>(), open: Box::new(open) }
    }

    /// Opens it, and puts it with the others.
    pub(crate) async fn open(self, states: &mut States) -> Result<(), BoxError> {
        let state = (self.open)().await?;
        states.0.insert(self.id, state);
        Ok(())
    }
}

/// What the service was given with [`Service::state`](crate::Service::state) or
/// [`Service::state_with`](crate::Service::state_with): a pool, a client, configuration.
#[derive(Clone, Debug)]
pub struct State<T>(pub T);

impl<T> Deref for State<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Clone + Send + Sync + 'static> Extract for State<T> {
    fn needs() -> Option<(TypeId, &'static str)> {
        Some((TypeId::of::<T>(), type_name::<T>()))
    }

    fn extract(call: &Call) -> Result<Self, BoxError> {
        // A missing state stops the service before its first event; this is for completeness.
        call.states.get().map(State).ok_or_else(|| format!("no state of type {}", type_name::<T>()).into())
    }
}

/// What the service itself did about this flow so far, folded into a type of your own: how a join is written.
///
/// The outcome is committed only if this is still true then; otherwise the handler runs again on the newer state.
#[derive(Clone, Debug, Default)]
pub struct Flow<T>(pub T);

impl<T> Deref for Flow<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: FlowState> Extract for Flow<T> {
    const READS_FLOW: bool = true;

    fn extract(call: &Call) -> Result<Self, BoxError> {
        let mut state = T::default();
        for record in call.records.iter() {
            state.apply(record)?;
        }
        Ok(Flow(state))
    }
}

/// The event being reacted to: its ids and the attempt.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Cause {
    /// The event's id.
    pub event_id: EventId,
    /// The flow it belongs to.
    pub flow: FlowId,
    /// Which attempt of this handler at it this is, from 1.
    pub attempt: u32,
    /// The same for every attempt of this handler at this event, and for no other: what to give the outside world as
    /// idempotency key. It is also the id of the (first) event that the handler emits. Where what took effect is done again
    /// on purpose (`laban replay run --force`), it is a new one, the same for every attempt at that.
    pub idempotency_key: EventId,
}

impl Cause {
    /// A cause made up for a unit test of a handler.
    pub fn for_test(flow: FlowId) -> Self {
        let event_id = EventId::root();
        Self { event_id, flow, attempt: 1, idempotency_key: EventId::derived(event_id, "test", "test", 0) }
    }
}

impl Extract for Cause {
    fn extract(call: &Call) -> Result<Self, BoxError> {
        Ok(Self {
            event_id: call.input.meta.id,
            flow: call.input.subject.flow.clone(),
            attempt: call.attempt,
            idempotency_key: EventId::derived(call.ids_from, call.service.as_str(), &call.handler, 0),
        })
    }
}
