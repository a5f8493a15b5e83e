//! The framework's own spans, through the OpenTelemetry API directly.
//!
//! Names and attributes follow the messaging conventions,
//! <https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/>. No attribute is built for a span that is not
//! recorded.

use std::sync::Arc;
use std::time::Duration;

use laban_wire::{EventId, EventType, Message};
use opentelemetry::global::{self, BoxedTracer};
use opentelemetry::trace::{
    Link, Span as _, SpanBuilder, SpanKind, Status, TraceContextExt as _, Tracer as _,
};
use opentelemetry::{Context, KeyValue};

use super::SCOPE;
use super::exemplars::{Exemplars, RAN, WAITED};
use crate::outcome::Outgoing;

/// Makes the spans of one handler and one event type.
pub(crate) struct HandlerSpans {
    process: Template,
    send: SendSpans,
    waits: Arc<Exemplars>,
    runs: Arc<Exemplars>,
}

/// Makes the spans of publishing events of some types.
pub(crate) struct SendSpans(Vec<(EventType, Template)>);

/// What is the same for all spans of one kind, made once.
struct Template {
    tracer: Arc<BoxedTracer>,
    name: &'static str,
    kind: SpanKind,
    attributes: Vec<KeyValue>,
}

/// What a `process` span tells of a delivery.
pub(crate) struct Received<'a> {
    pub(crate) message: &'a Message,
    pub(crate) attempt: u32,
    pub(crate) waited: Duration,
}

/// Which trace a reaction belongs to.
pub(crate) enum Trace {
    /// The one that its event was published in.
    Continued(Context),
    /// Another: that of whoever asked for a redrive, or a new one. A link leads to the old one.
    New { parent: Context, published_in: Context },
}

/// How a reaction ended, for its span.
pub(crate) enum Ending<'a> {
    Emitted,
    Handled,
    Duplicate,
    Retrying(&'a str),
    Dead(&'a str),
    Left(&'a str),
}

impl Template {
    /// The attributes that all of the framework's spans have, and `more`.
    fn of(
        tracer: &Arc<BoxedTracer>,
        (kind, operation): (SpanKind, &'static str),
        (service, event): (&str, &EventType),
        more: impl IntoIterator<Item = KeyValue>,
    ) -> Self {
        let destination = format!("{event}.{{flow}}");
        let mut attributes = vec![
            KeyValue::new("messaging.system", "nats"),
            KeyValue::new("messaging.operation.type", operation),
            KeyValue::new("messaging.operation.name", operation),
            // Shared text: a span takes its own copy of the list, not of what is in it.
            KeyValue::new("messaging.destination.template", shared(&destination)),
            KeyValue::new("laban.service", shared(service)),
        ];
        attributes.extend(more);
        // The API takes a static name or a new allocation for each span. There are as many as handlers and events.
        let name = format!("{operation} {destination}").leak();
        Self { tracer: Arc::clone(tracer), name, kind, attributes }
    }

    /// Begins a span. The attributes are made only if somebody is going to see them.
    fn begin<const N: usize>(
        &self,
        parent: &Context,
        links: Option<Vec<Link>>,
        own: impl FnOnce() -> [KeyValue; N],
    ) -> Context {
        let all = || {
            let mut attributes = Vec::with_capacity(self.attributes.len() + N + 1);
            attributes.extend_from_slice(&self.attributes);
            attributes.extend(own());
            attributes
        };
        let mut builder = SpanBuilder::from_name(self.name).with_kind(self.kind.clone());
        builder.links = links;
        // Samplers see the attributes, but for spans whose parent was not sampled: those are rarely recorded.
        let outer = parent.span();
        let unlikely = outer.span_context().is_valid() && !outer.span_context().is_sampled();
        if !unlikely {
            builder.attributes = Some(all());
            return parent.with_span(self.tracer.build_with_context(builder, parent));
        }
        let mut span = self.tracer.build_with_context(builder, parent);
        if span.is_recording() {
            span.set_attributes(all());
        }
        parent.with_span(span)
    }
}

fn shared(text: &str) -> Arc<str> {
    text.into()
}

impl HandlerSpans {
    pub(crate) fn of<'a>(
        service: &str,
        handler: &Arc<str>,
        event: &EventType,
        consumer: &str,
        emits: impl IntoIterator<Item = &'a EventType>,
    ) -> Self {
        let tracer = Arc::new(global::tracer(SCOPE));
        let own = [
            KeyValue::new("messaging.consumer.group.name", shared(consumer)),
            KeyValue::new("laban.handler", Arc::clone(handler)),
        ];
        let kind = (SpanKind::Consumer, "process");
        Self {
            process: Template::of(&tracer, kind, (service, event), own),
            send: SendSpans::with(&tracer, service, emits),
            waits: WAITED.of(&[service, handler]),
            runs: RAN.of(&[consumer]),
        }
    }

    /// Begins the span of one attempt, linked to the span that published the event.
    pub(crate) fn process(&self, trace: &Trace, received: &Received<'_>) -> Context {
        let (parent, published_in) = match trace {
            Trace::Continued(published_in) => (published_in, published_in),
            Trace::New { parent, published_in } => (parent, published_in),
        };
        let published_by = published_in.span().span_context().clone();
        let links = published_by.is_valid().then(|| vec![Link::with_context(published_by)]);
        let context = self.process.begin(parent, links, || {
            let Received { message, attempt, waited } = received;
            [
                KeyValue::new("messaging.destination.name", message.subject.to_text()),
                KeyValue::new("messaging.message.id", message.meta.id.to_text()),
                KeyValue::new("messaging.message.body.size", message.payload.len() as i64),
                KeyValue::new("laban.flow", message.subject.flow.shared_key()),
                KeyValue::new("laban.attempt", i64::from(*attempt)),
                KeyValue::new("laban.queue_ms", waited.as_secs_f64() * 1e3),
            ]
        });
        // The same wait as in the histogram `laban.queue.duration`.
        self.waits.offer(received.waited, context.span().span_context());
        context
    }

    /// The handler has run in the span of an attempt, for as long as `messaging.process.duration` says.
    pub(crate) fn ran(&self, took: Duration, context: &Context) {
        self.runs.offer(took, context.span().span_context());
    }

    /// Begins the span of publishing one event.
    pub(crate) fn send(&self, parent: &Context, event: &Outgoing, id: EventId) -> Context {
        self.send.begin(parent, event, id)
    }
}

impl SendSpans {
    pub(crate) fn of<'a>(service: &str, events: impl IntoIterator<Item = &'a EventType>) -> Self {
        Self::with(&Arc::new(global::tracer(SCOPE)), service, events)
    }

    fn with<'a>(
        tracer: &Arc<BoxedTracer>,
        service: &str,
        events: impl IntoIterator<Item = &'a EventType>,
    ) -> Self {
        let template = |event| Template::of(tracer, (SpanKind::Producer, "send"), (service, event), []);
        Self(events.into_iter().map(|event| (event.clone(), template(event))).collect())
    }

    /// Begins the span of publishing one event. An event of another type is published without one; the contract allows
    /// none.
    pub(crate) fn begin(&self, parent: &Context, event: &Outgoing, id: EventId) -> Context {
        let Some((_, template)) = self.0.iter().find(|(one, _)| *one == event.subject.event_type) else {
            return parent.clone();
        };
        template.begin(parent, None, || {
            [
                KeyValue::new("messaging.destination.name", event.subject.to_text()),
                KeyValue::new("messaging.message.id", id.to_text()),
                KeyValue::new("messaging.message.body.size", event.payload.len() as i64),
                KeyValue::new("laban.flow", event.subject.flow.shared_key()),
            ]
        })
    }
}

impl Ending<'_> {
    /// Says it in the span, and ends it.
    pub(crate) fn end(&self, context: &Context) {
        let span = context.span();
        if span.is_recording() {
            let (outcome, error) = match self {
                Self::Emitted => ("emitted", None),
                Self::Handled => ("handled", None),
                Self::Duplicate => ("duplicate", None),
                Self::Retrying(error) => ("retrying", Some(*error)),
                Self::Dead(error) => ("dead", Some(*error)),
                Self::Left(reason) => ("left", Some(*reason)),
            };
            span.set_attribute(KeyValue::new("laban.outcome", outcome));
            if let Some(error) = error {
                span.set_attribute(KeyValue::new("error.type", outcome));
                span.set_status(Status::error(error.to_owned()));
            }
        }
        span.end();
    }
}

/// Ends the span of publishing; `failed` says why nothing was published.
pub(crate) fn end_send_span(context: &Context, failed: Option<&str>) {
    let span = context.span();
    if let Some(reason) = failed {
        span.set_status(Status::error(reason.to_owned()));
    }
    span.end();
}
