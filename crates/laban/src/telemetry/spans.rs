//! The framework's own spans, through the OpenTelemetry API directly.
//!
//! Names and attributes follow the messaging conventions,
//! <https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/>. No attribute is built for a span that is not
//! recorded.

use std::borrow::Cow;
use std::time::Duration;

use laban_wire::{EventId, FlowId, Message};
use opentelemetry::global::{self, BoxedTracer};
use opentelemetry::trace::{
    Link, Span as _, SpanBuilder, SpanKind, Status, TraceContextExt as _, Tracer as _,
};
use opentelemetry::{Context, KeyValue};

use super::SCOPE;
use crate::outcome::Outgoing;

/// Makes the spans of one handler and one event type.
pub(crate) struct HandlerSpans {
    tracer: BoxedTracer,
    name: Cow<'static, str>,
    /// What is the same for each of them.
    constant: Vec<KeyValue>,
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

impl HandlerSpans {
    pub(crate) fn of(service: &str, handler: &str, event: &str, consumer: &str) -> Self {
        Self {
            tracer: global::tracer(SCOPE),
            name: format!("process {event}.{{flow}}").into(),
            constant: vec![
                KeyValue::new("messaging.system", "nats"),
                KeyValue::new("messaging.operation.type", "process"),
                KeyValue::new("messaging.operation.name", "process"),
                KeyValue::new("messaging.destination.template", format!("{event}.{{flow}}")),
                KeyValue::new("messaging.consumer.group.name", consumer.to_owned()),
                KeyValue::new("laban.service", service.to_owned()),
                KeyValue::new("laban.handler", handler.to_owned()),
            ],
        }
    }

    /// Begins the span of one attempt, linked to the span that published the event.
    pub(crate) fn process(&self, trace: &Trace, received: &Received<'_>) -> Context {
        let (parent, published_in) = match trace {
            Trace::Continued(published_in) => (published_in, published_in),
            Trace::New { parent, published_in } => (parent, published_in),
        };
        let mut builder = SpanBuilder::from_name(self.name.clone()).with_kind(SpanKind::Consumer);
        let published_by = published_in.span().span_context().clone();
        if published_by.is_valid() {
            builder = builder.with_links(vec![Link::with_context(published_by)]);
        }
        let mut span = self.tracer.build_with_context(builder, parent);
        if span.is_recording() {
            let Received { message, attempt, waited } = received;
            let mut attributes = self.constant.clone();
            attributes.extend([
                KeyValue::new("messaging.destination.name", message.subject.to_string()),
                KeyValue::new("messaging.message.id", message.meta.id.to_string()),
                KeyValue::new("messaging.message.body.size", message.payload.len() as i64),
                KeyValue::new("laban.flow", message.subject.flow.key()),
                KeyValue::new("laban.attempt", i64::from(*attempt)),
                KeyValue::new("laban.queue_ms", waited.as_secs_f64() * 1e3),
            ]);
            span.set_attributes(attributes);
        }
        parent.with_span(span)
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

/// Begins the span of publishing one event.
pub(crate) fn send_span(parent: &Context, service: &str, event: &Outgoing, id: EventId) -> Context {
    let tracer = global::tracer(SCOPE);
    let builder =
        SpanBuilder::from_name(format!("send {}.{{flow}}", event.event)).with_kind(SpanKind::Producer);
    let mut span = tracer.build_with_context(builder, parent);
    if span.is_recording() {
        span.set_attributes([
            KeyValue::new("messaging.system", "nats"),
            KeyValue::new("messaging.operation.type", "send"),
            KeyValue::new("messaging.operation.name", "send"),
            KeyValue::new("messaging.destination.template", format!("{}.{{flow}}", event.event)),
            KeyValue::new("messaging.destination.name", subject(event, &event.flow)),
            KeyValue::new("messaging.message.id", id.to_string()),
            KeyValue::new("messaging.message.body.size", event.payload.len() as i64),
            KeyValue::new("laban.service", service.to_owned()),
            KeyValue::new("laban.flow", event.flow.key()),
        ]);
    }
    parent.with_span(span)
}

fn subject(event: &Outgoing, flow: &FlowId) -> String {
    format!("{}.{}", event.event, flow.token())
}

/// Ends the span of publishing; `failed` says why nothing was published.
pub(crate) fn end_send_span(context: &Context, failed: Option<&str>) {
    let span = context.span();
    if let Some(reason) = failed {
        span.set_status(Status::error(reason.to_owned()));
    }
    span.end();
}
