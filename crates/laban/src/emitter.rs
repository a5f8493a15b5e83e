use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use laban_wire::{EventId, EventType, FlowId, Message, ReadError, Stored, Subject};
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Context, KeyValue};

use crate::outcome::Outgoing;
use crate::runtime::faults::point;
use crate::runtime::{AppendError, Commit, Committed, Core, Fence, Identity, Pause, Progress};
use crate::telemetry::{SendSpans, end_send_span, propagation};
use crate::{Error, Event, Result};

/// How long an emission may take while the broker does not answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Emits events that no event of the mesh caused: where flows begin, behind an HTTP endpoint for example.
///
/// Cheap to clone. The span current in OpenTelemetry's context (a `tracing` span, too) becomes the parent.
#[derive(Clone)]
pub struct Emitter {
    core: Arc<Core>,
    declared: Arc<[EventType]>,
    spans: Arc<SendSpans>,
}

/// An event that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// Its id.
    pub event_id: EventId,
    /// The flow it belongs to.
    pub flow: FlowId,
    /// Its sequence in the service's home stream.
    pub seq: u64,
    /// The trace that the flow is, if it is traced: 32 hexadecimal digits.
    pub trace_id: Option<String>,
}

/// What came of [`Emitter::begin`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// The flow begins with this event.
    Now(Receipt),
    /// The flow had begun before.
    Before {
        /// Its first event.
        receipt: Receipt,
        /// That event's body, to see whether it was the same.
        payload: Bytes,
    },
}

impl Emitter {
    pub(crate) fn new(core: Arc<Core>, declared: Vec<EventType>) -> Self {
        let spans = Arc::new(SendSpans::of(core.service.as_str(), &declared));
        Self { core, declared: declared.into(), spans }
    }

    /// Begins a flow with this event, once: if this service has any record of the flow, nothing is written, and the first
    /// one is returned. Safe to repeat after any error, so an idempotency key makes a good flow id.
    ///
    /// # Errors
    /// [`Error::NotTaken`], `transient` when the broker did not answer; the event may have been taken then.
    pub async fn begin<E: Event>(&self, event: &E) -> Result<Begun> {
        let outgoing = self.outgoing(event)?;
        let id = EventId::root();
        let span = self.spans.begin(&Context::current(), &outgoing, id);
        let begun = tokio::time::timeout(PATIENCE, self.append_first::<E>(outgoing, id, &span)).await;
        let begun = begun.unwrap_or_else(|_| Err(not_taken::<E>(too_late(), true)));
        point!(Begun);
        if let Ok(Begun::Before { .. }) = &begun {
            span.span().set_attribute(KeyValue::new("laban.outcome", "duplicate"));
        }
        end_send_span(&span, failure(&begun).as_deref());
        begun
    }

    async fn append_first<E: Event>(&self, outgoing: Outgoing, id: EventId, span: &Context) -> Result<Begun> {
        let committer = &self.core.committer;
        let flow = outgoing.subject.flow.clone();
        let draft = self.core.drafting.event(outgoing, id, None, span);
        let mut pause = Pause::default();
        loop {
            match committer.appender.append(std::slice::from_ref(&draft), Fence::At(0)).await {
                Ok(seq) => {
                    let trace_id = propagation::trace_id(span);
                    return Ok(Begun::Now(Receipt { event_id: id, flow, seq, trace_id }));
                }
                Err(AppendError::Refused(reason)) => return Err(not_taken::<E>(reason, false)),
                Err(AppendError::Unavailable(reason)) => {
                    tracing::warn!(service = %self.core.service, %flow, %reason, "a flow waits to begin");
                    pause.long().await;
                }
                Err(AppendError::FenceLost | AppendError::Unknown(_)) => {
                    point!(AppendFailed);
                    match self.first_event(&flow).await {
                        Ok(First::Event(first)) => return begun_before::<E>(*first, id),
                        Ok(First::NoEvent) => return Err(not_taken::<E>(no_beginning(&flow), false)),
                        Ok(First::Nothing) => pause.short().await,
                        Err(error) => {
                            tracing::warn!(service = %self.core.service, %flow, %error, "a flow waits to begin");
                            pause.long().await;
                        }
                    }
                }
            }
        }
    }

    /// The service's first event of a flow, past any system records.
    async fn first_event(&self, flow: &FlowId) -> Result<First, ReadError> {
        let committer = &self.core.committer;
        let filter = Subject::all_of(self.core.service.as_str(), flow);
        let mut seq = 1;
        while let Some(found) = committer.link.reader().leader_next(&committer.stream, &filter, seq).await? {
            let system = found.subject.parse::<Subject>().is_ok_and(|subject| subject.event_type.is_system());
            if !system {
                return Ok(First::Event(Box::new(found)));
            }
            seq = found.seq + 1;
        }
        Ok(if seq == 1 { First::Nothing } else { First::NoEvent })
    }

    /// Emits this event into a flow that may have begun before.
    ///
    /// Each call is a new event: after a transient error it may be there twice if it is repeated. What must not be is a
    /// case for [`begin`](Self::begin), or for a handler.
    ///
    /// # Errors
    /// [`Error::NotTaken`], `transient` when the broker did not answer; the event may have been taken then.
    pub async fn emit<E: Event>(&self, event: &E) -> Result<Receipt> {
        let outgoing = self.outgoing(event)?;
        let id = EventId::root();
        let span = self.spans.begin(&Context::current(), &outgoing, id);
        let emitted = tokio::time::timeout(PATIENCE, self.append_next::<E>(outgoing, id, &span)).await;
        let emitted = emitted.unwrap_or_else(|_| Err(not_taken::<E>(too_late(), true)));
        end_send_span(&span, failure(&emitted).as_deref());
        emitted
    }

    async fn append_next<E: Event>(
        &self,
        outgoing: Outgoing,
        id: EventId,
        span: &Context,
    ) -> Result<Receipt> {
        let flow = outgoing.subject.flow.clone();
        let mut turn = self.core.turns.line_up(&flow);
        turn.come().await;
        let mut known = self.core.recall(&flow, false, false).await;
        let draft = self.core.drafting.event(outgoing, id, None, span);
        let commit = Commit::of_one(&flow, &Identity::root(id), draft, Progress::Done);
        let committed = self.core.committer.commit(&commit, &mut known).await;
        let seq = match committed {
            Ok(Committed::Now { first_seq }) => first_seq,
            // An acknowledgement was lost, and the event found to be there.
            Ok(Committed::Before | Committed::Stale) => known.last_seq,
            Err(refused) => return Err(not_taken::<E>(refused.to_string(), false)),
        };
        self.core.memory.put(flow.clone(), known);
        Ok(Receipt { event_id: id, flow, seq, trace_id: propagation::trace_id(span) })
    }

    fn outgoing<E: Event>(&self, event: &E) -> Result<Outgoing> {
        if !self.declared.iter().any(|declared| declared.as_str() == E::NAME) {
            let reason = format!(
                "service {} did not declare it; add `.emits::<{}>()` to the service",
                self.core.service,
                std::any::type_name::<E>()
            );
            return Err(not_taken::<E>(reason, false));
        }
        Outgoing::of(event).map_err(|reason| not_taken::<E>(reason, false))
    }
}

/// What a service has of a flow.
enum First {
    Event(Box<Stored>),
    /// System records only: it reacted to the flow, and did not begin it.
    NoEvent,
    Nothing,
}

fn no_beginning(flow: &FlowId) -> String {
    format!("the service has records of flow `{flow}`, which it did not begin; `emit` adds to it")
}

/// The flow's first event. When it is the very event that was being appended, its acknowledgement was lost.
fn begun_before<E: Event>(first: Stored, id: EventId) -> Result<Begun> {
    let first: Message = first.try_into().map_err(|error| {
        not_taken::<E>(format!("the flow began with a message that is not an event: {error}"), false)
    })?;
    let receipt = Receipt {
        event_id: first.meta.id,
        flow: first.subject.flow,
        seq: first.seq,
        trace_id: first.trace.map(|trace| format!("{:032x}", trace.trace_id)),
    };
    if first.meta.id == id {
        Ok(Begun::Now(receipt))
    } else {
        Ok(Begun::Before { receipt, payload: first.payload })
    }
}

fn not_taken<E: Event>(reason: String, transient: bool) -> Error {
    Error::NotTaken { event: E::NAME, reason, transient }
}

fn too_late() -> String {
    format!("the broker did not acknowledge within {} s; it may have taken it", PATIENCE.as_secs())
}

fn failure<T>(result: &Result<T>) -> Option<String> {
    result.as_ref().err().map(ToString::to_string)
}
