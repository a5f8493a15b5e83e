//! W3C Trace Context and Baggage in message headers.

use std::sync::LazyLock;

use async_nats::{HeaderMap, HeaderName, HeaderValue};
use laban_wire::{BAGGAGE, TRACEPARENT, TRACESTATE, TraceParent};
use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::propagation::{Extractor, Injector, TextMapCompositePropagator, TextMapPropagator as _};
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};

/// The wire format is W3C's whatever propagators the program has set up for its other borders.
static W3C: LazyLock<TextMapCompositePropagator> = LazyLock::new(w3c);

/// The propagators of the wire format, which are also the default of the OpenTelemetry specification.
pub(crate) fn w3c() -> TextMapCompositePropagator {
    TextMapCompositePropagator::new(vec![
        Box::new(TraceContextPropagator::new()),
        Box::new(BaggagePropagator::new()),
    ])
}

/// Writes `traceparent`, and `tracestate` and `baggage` when there is something in them.
pub(crate) fn inject(context: &Context, headers: &mut HeaderMap) {
    let simple = *context.span().span_context().trace_state() == TraceState::NONE;
    // Nearly all messages: the span alone, written without the propagators' detours.
    if simple && context.baggage().is_empty() {
        if let Some(trace) = trace_parent(context) {
            headers.insert(HeaderName::from_static(TRACEPARENT), trace.to_header());
        }
        return;
    }
    W3C.inject_context(context, &mut Headers(headers));
}

/// The span of a context as its header names it.
pub(crate) fn trace_parent(context: &Context) -> Option<TraceParent> {
    let span = context.span();
    let span = span.span_context();
    span.is_valid().then(|| TraceParent {
        trace_id: u128::from_be_bytes(span.trace_id().to_bytes()),
        span_id: u64::from_be_bytes(span.span_id().to_bytes()),
        flags: span.trace_flags().to_u8() & TraceFlags::SAMPLED.to_u8(),
    })
}

/// The context that a message was published in, and nothing of the present one. `trace` is its `traceparent`.
pub(crate) fn extract(trace: Option<TraceParent>, headers: &HeaderMap) -> Context {
    if headers.iter().any(|(name, _)| is_called(name, TRACESTATE) || is_called(name, BAGGAGE)) {
        return W3C.extract_with_context(&Context::new(), &HeadersRef(headers));
    }
    let Some(trace) = trace else { return Context::new() };
    Context::new().with_remote_span_context(SpanContext::new(
        TraceId::from(trace.trace_id),
        SpanId::from(trace.span_id),
        TraceFlags::new(trace.flags) & TraceFlags::SAMPLED,
        true,
        TraceState::NONE,
    ))
}

struct Headers<'a>(&'a mut HeaderMap);

impl Injector for Headers<'_> {
    fn set(&mut self, key: &str, value: String) {
        // The propagator sets an empty tracestate; a value with a line break would be another header.
        if value.is_empty() || value.contains(['\r', '\n']) {
            return;
        }
        if let Ok(value) = value.parse::<HeaderValue>() {
            self.0.insert(key, value);
        }
    }
}

/// Other clients write other cases, or CloudEvents' extension for tracing.
fn is_called(name: &HeaderName, key: &str) -> bool {
    let name: &str = name.as_ref();
    let prefixed = name.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("ce-"));
    name.eq_ignore_ascii_case(key) || (prefixed && name[3..].eq_ignore_ascii_case(key))
}

struct HeadersRef<'a>(&'a HeaderMap);

impl Extractor for HeadersRef<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let exact = self.0.get(key);
        let alike = |(name, _): &(&HeaderName, _)| is_called(name, key);
        exact.or_else(|| self.0.iter().find(alike)?.1.first()).map(HeaderValue::as_str)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_ref()).collect()
    }
}

/// For log lines and receipts: the trace that a context belongs to.
pub(crate) fn trace_id(context: &Context) -> Option<String> {
    let span = context.span().span_context().clone();
    span.is_valid().then(|| span.trace_id().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use laban_wire::Message;
    use opentelemetry::KeyValue;

    fn context(state: TraceState) -> Context {
        let span = SpanContext::new(TraceId::from(7), SpanId::from(9), TraceFlags::SAMPLED, true, state);
        Context::new().with_remote_span_context(span)
    }

    /// As a delivery is read.
    fn read(headers: &HeaderMap) -> Context {
        let at = time::OffsetDateTime::UNIX_EPOCH;
        let subject = "order.placed.4711".parse().unwrap();
        let message = Message::read("ORDER".into(), 1, at, subject, headers, Bytes::new());
        extract(message.unwrap().trace, headers)
    }

    #[test]
    fn a_span_alone_is_the_same_by_the_short_way_and_the_long_one() {
        let context = context(TraceState::default());
        let (mut short, mut long) = (HeaderMap::new(), HeaderMap::new());
        inject(&context, &mut short);
        W3C.inject_context(&context, &mut Headers(&mut long));
        assert_eq!(short, long);
        let long = W3C.extract_with_context(&Context::new(), &HeadersRef(&long));
        assert_eq!(read(&short).span().span_context(), long.span().span_context());
    }

    #[test]
    fn only_what_is_there_is_written() {
        let mut headers = HeaderMap::new();
        inject(&context(TraceState::default()), &mut headers);
        assert_eq!(headers.len(), 1);
        let text = "00-00000000000000000000000000000007-0000000000000009-01";
        assert_eq!(headers.get("traceparent").map(HeaderValue::as_str), Some(text));
    }

    #[test]
    fn all_three_round_trip_in_any_case() {
        let state = TraceState::from_key_value([("shop", "1")]).unwrap();
        let context = context(state).with_baggage([KeyValue::new("tenant", "köln")]);
        let mut headers = HeaderMap::new();
        inject(&context, &mut headers);
        let capitals: HeaderMap = headers
            .iter()
            .map(|(name, values)| {
                let name: HeaderName = AsRef::<str>::as_ref(name).to_uppercase().parse().unwrap();
                (name, values[0].clone())
            })
            .collect();
        let back = read(&capitals);
        assert_eq!(back.span().span_context(), context.span().span_context());
        assert_eq!(back.baggage().get("tenant").map(|v| v.to_string()), Some("köln".into()));
    }

    #[test]
    fn cloud_events_tracing_is_read() {
        let mut headers = HeaderMap::new();
        headers.insert("ce-traceparent", "00-00000000000000000000000000000007-0000000000000009-01");
        assert_eq!(read(&headers).span().span_context().trace_id(), TraceId::from(7));
    }

    #[test]
    fn the_present_context_does_not_leak_in() {
        let _guard = context(TraceState::default()).attach();
        assert!(!extract(None, &HeaderMap::new()).span().span_context().is_valid());
    }
}
