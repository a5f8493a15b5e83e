//! W3C Trace Context and Baggage in message headers.

use std::sync::LazyLock;

use async_nats::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapCompositePropagator, TextMapPropagator as _};
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
    W3C.inject_context(context, &mut Headers(headers));
}

/// The context that a message was published in, and nothing of the present one.
pub(crate) fn extract(headers: Option<&HeaderMap>) -> Context {
    match headers {
        Some(headers) => W3C.extract_with_context(&Context::new(), &HeadersRef(headers)),
        None => Context::new(),
    }
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

struct HeadersRef<'a>(&'a HeaderMap);

impl Extractor for HeadersRef<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let exact = self.0.get(key);
        // Other clients write other cases, or CloudEvents' extension for tracing.
        let alike = |(name, _): &(&HeaderName, _)| {
            let name: &str = (*name).as_ref();
            let prefixed = name.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("ce-"));
            name.eq_ignore_ascii_case(key) || (prefixed && name[3..].eq_ignore_ascii_case(key))
        };
        exact.or_else(|| self.0.iter().find(alike)?.1.first()).map(HeaderValue::as_str)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_ref()).collect()
    }
}

/// For log lines and receipts: the trace that a context belongs to.
pub(crate) fn trace_id(context: &Context) -> Option<String> {
    use opentelemetry::trace::TraceContextExt as _;
    let span = context.span().span_context().clone();
    span.is_valid().then(|| span.trace_id().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::KeyValue;
    use opentelemetry::baggage::BaggageExt as _;
    use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};

    fn context(state: TraceState) -> Context {
        let span = SpanContext::new(TraceId::from(7), SpanId::from(9), TraceFlags::SAMPLED, true, state);
        Context::new().with_remote_span_context(span)
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
        let back = extract(Some(&capitals));
        assert_eq!(back.span().span_context(), context.span().span_context());
        assert_eq!(back.baggage().get("tenant").map(|v| v.to_string()), Some("köln".into()));
    }

    #[test]
    fn cloud_events_tracing_is_read() {
        let mut headers = HeaderMap::new();
        headers.insert("ce-traceparent", "00-00000000000000000000000000000007-0000000000000009-01");
        assert_eq!(extract(Some(&headers)).span().span_context().trace_id(), TraceId::from(7));
    }

    #[test]
    fn the_present_context_does_not_leak_in() {
        let _guard = context(TraceState::default()).attach();
        assert!(!extract(None).span().span_context().is_valid());
    }
}
