//! Finished spans as OTLP bytes, written when a span ends.
//!
//! The SDK's exporters keep a span as it is until its batch leaves, and then make the protocol's structures of it and bytes
//! of those: some 40 allocations a span, most of them for memory that is cold by then. Written at once, a span is about
//! 400 bytes in one buffer.
//!
//! Field numbers: <https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/trace/v1/trace.proto>.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceState};
use opentelemetry::{Array, InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

/// A repeated field of all messages that hold others here: `ResourceSpans.scope_spans`, `ScopeSpans.spans`.
const PARTS: u32 = 2;

/// Spans that leave together, by the library that made them.
#[derive(Debug, Default)]
pub(super) struct Batch {
    scopes: Vec<(InstrumentationScope, Vec<u8>)>,
    spans: usize,
    /// Room made for the spans of one scope.
    likely_bytes: usize,
}

impl Batch {
    /// An empty one, that will probably be as large as this one.
    pub(super) fn next(&self) -> Self {
        let most = self.scopes.iter().map(|(_, spans)| spans.len()).max().unwrap_or_default();
        Self { likely_bytes: most + most / 8, ..Self::default() }
    }

    /// How many spans there are.
    pub(super) fn len(&self) -> usize {
        self.spans
    }

    /// Adds a span that was written by [`span`].
    pub(super) fn add(&mut self, scope: &InstrumentationScope, span: &[u8]) {
        let at = self.scopes.iter().position(|(one, _)| one == scope).unwrap_or_else(|| {
            self.scopes.push((scope.clone(), Vec::with_capacity(self.likely_bytes)));
            self.scopes.len() - 1
        });
        message(PARTS, span, &mut self.scopes[at].1);
        self.spans += 1;
    }

    /// The request that exports it: `ExportTraceServiceRequest`. `resource` was made by [`resource`].
    pub(super) fn request(&self, resource: &[u8]) -> Vec<u8> {
        let heads: Vec<Vec<u8>> = self.scopes.iter().map(|(scope, _)| head(scope)).collect();
        let sizes = self.scopes.iter().zip(&heads).map(|((_, spans), head)| head.len() + spans.len());
        let size = resource.len() + sizes.map(sized).sum::<usize>();
        // The spans are copied once, behind what is before them.
        let mut request = Vec::with_capacity(sized(size));
        length(1, size, &mut request);
        request.extend_from_slice(resource);
        for ((_, spans), head) in self.scopes.iter().zip(&heads) {
            length(PARTS, head.len() + spans.len(), &mut request);
            request.extend_from_slice(head);
            request.extend_from_slice(spans);
        }
        request
    }
}

/// `ScopeSpans` without its spans.
fn head(scope: &InstrumentationScope) -> Vec<u8> {
    let mut about = Vec::new();
    text(1, scope.name(), &mut about);
    text(2, scope.version().unwrap_or_default(), &mut about);
    attributes(3, scope.attributes(), &mut about);
    let mut head = Vec::new();
    message(1, &about, &mut head);
    text(3, scope.schema_url().unwrap_or_default(), &mut head);
    head
}

/// `ResourceSpans` without its spans.
pub(super) fn resource(resource: &Resource) -> Vec<u8> {
    let mut about = Vec::new();
    for (key, value) in resource.iter() {
        attribute(1, key.as_str(), value, &mut about);
    }
    let mut all = Vec::new();
    message(1, &about, &mut all);
    text(3, resource.schema_url().unwrap_or_default(), &mut all);
    all
}

/// Writes a span at the end of `out`.
pub(super) fn span(span: &SpanData, out: &mut Vec<u8>) {
    ids(&span.span_context, out);
    if span.parent_span_id != SpanId::INVALID {
        bytes(4, &span.parent_span_id.to_bytes(), out);
    }
    text(5, &span.name, out);
    let kind = match span.span_kind {
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
        SpanKind::Producer => 4,
        SpanKind::Consumer => 5,
    };
    number(6, kind, out);
    time(7, span.start_time, out);
    time(8, span.end_time, out);
    attributes(9, &span.attributes, out);
    number(10, span.dropped_attributes_count.into(), out);
    for event in &span.events.events {
        let mut inner = Vec::new();
        time(1, event.timestamp, &mut inner);
        text(2, &event.name, &mut inner);
        attributes(3, &event.attributes, &mut inner);
        number(4, event.dropped_attributes_count.into(), &mut inner);
        message(11, &inner, out);
    }
    number(12, span.events.dropped_count.into(), out);
    for link in &span.links.links {
        let mut inner = Vec::with_capacity(48);
        ids(&link.span_context, &mut inner);
        attributes(4, &link.attributes, &mut inner);
        number(5, link.dropped_attributes_count.into(), &mut inner);
        flags(6, &link.span_context, link.span_context.is_remote(), &mut inner);
        message(13, &inner, out);
    }
    number(14, span.links.dropped_count.into(), out);
    let (description, code) = match &span.status {
        Status::Unset => ("", 0),
        Status::Ok => ("", 1),
        Status::Error { description } => (&**description, 2),
    };
    if code != 0 {
        let mut inner = Vec::new();
        text(2, description, &mut inner);
        number(3, code, &mut inner);
        message(15, &inner, out);
    }
    flags(16, &span.span_context, span.parent_span_is_remote, out);
}

/// The first fields of spans and links.
fn ids(context: &SpanContext, out: &mut Vec<u8>) {
    bytes(1, &context.trace_id().to_bytes(), out);
    bytes(2, &context.span_id().to_bytes(), out);
    if *context.trace_state() != TraceState::NONE {
        text(3, &context.trace_state().header(), out);
    }
}

/// W3C's flags, and whether the parent (of a link: its span) was in another process.
fn flags(tag: u32, context: &SpanContext, remote: bool, out: &mut Vec<u8>) {
    const HAS_IS_REMOTE: u32 = 0x100;
    const IS_REMOTE: u32 = 0x200;
    let remote = if remote { IS_REMOTE } else { 0 };
    let flags = u32::from(context.trace_flags().to_u8()) | HAS_IS_REMOTE | remote;
    encode_key(tag, WireType::ThirtyTwoBit, out);
    out.extend_from_slice(&flags.to_le_bytes());
}

fn time(tag: u32, time: SystemTime, out: &mut Vec<u8>) {
    let nanos = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
    encode_key(tag, WireType::SixtyFourBit, out);
    out.extend_from_slice(&nanos.to_le_bytes());
}

/// A number that is left out when it is 0, as the protocol has it.
fn number(tag: u32, number: u64, out: &mut Vec<u8>) {
    if number != 0 {
        encode_key(tag, WireType::Varint, out);
        encode_varint(number, out);
    }
}

/// A text that is left out when it is empty.
fn text(tag: u32, text: &str, out: &mut Vec<u8>) {
    if !text.is_empty() {
        bytes(tag, text.as_bytes(), out);
    }
}

/// A message in a field: like bytes, and there even when it is empty.
fn message(tag: u32, inner: &[u8], out: &mut Vec<u8>) {
    bytes(tag, inner, out);
}

fn bytes(tag: u32, bytes: &[u8], out: &mut Vec<u8>) {
    length(tag, bytes.len(), out);
    out.extend_from_slice(bytes);
}

/// The key and the length of a field. Nearly all have two bytes, and a span has some thirty of them.
fn length(tag: u32, bytes: usize, out: &mut Vec<u8>) {
    const LENGTH_DELIMITED: u8 = 2;
    if tag < 16 && bytes < 128 {
        out.extend_from_slice(&[(tag as u8) << 3 | LENGTH_DELIMITED, bytes as u8]);
    } else {
        encode_key(tag, WireType::LengthDelimited, out);
        encode_varint(bytes as u64, out);
    }
}

fn attributes<'a>(tag: u32, all: impl IntoIterator<Item = &'a KeyValue>, out: &mut Vec<u8>) {
    for KeyValue { key, value, .. } in all {
        attribute(tag, key.as_str(), value, out);
    }
}

/// `KeyValue { key = 1, value = 2 }`. Sizes are known beforehand for all but lists, so nothing is copied twice.
fn attribute(tag: u32, key: &str, value: &Value, out: &mut Vec<u8>) {
    let value_size = match value {
        Value::Bool(_) => 2,
        Value::I64(number) => 1 + encoded_len_varint(*number as u64),
        Value::F64(_) => 9,
        Value::String(text) => sized(text.as_str().len()),
        list => {
            let mut inner = Vec::new();
            any(list, &mut inner);
            inner.len()
        }
    };
    length(tag, sized(key.len()) + sized(value_size), out);
    bytes(1, key.as_bytes(), out);
    length(2, value_size, out);
    any(value, out);
}

/// The size of a field of so many bytes, with a tag below 16.
fn sized(bytes: usize) -> usize {
    1 + encoded_len_varint(bytes as u64) + bytes
}

/// `AnyValue`. It is a choice, so what is 0 or empty is written too.
fn any(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::String(text) => bytes(1, text.as_str().as_bytes(), out),
        Value::Bool(yes) => {
            encode_key(2, WireType::Varint, out);
            encode_varint((*yes).into(), out);
        }
        Value::I64(number) => {
            encode_key(3, WireType::Varint, out);
            encode_varint(*number as u64, out);
        }
        Value::F64(number) => {
            encode_key(4, WireType::SixtyFourBit, out);
            out.extend_from_slice(&number.to_le_bytes());
        }
        Value::Array(list) => {
            let mut inner = Vec::new();
            let mut one = |value: Value| {
                let mut each = Vec::new();
                any(&value, &mut each);
                message(1, &each, &mut inner);
            };
            match list {
                Array::Bool(list) => list.iter().for_each(|each| one((*each).into())),
                Array::I64(list) => list.iter().for_each(|each| one((*each).into())),
                Array::F64(list) => list.iter().for_each(|each| one((*each).into())),
                Array::String(list) => list.iter().for_each(|each| one(Value::String(each.clone()))),
                _ => {}
            }
            message(5, &inner, out);
        }
        // Kinds that the API may get one day.
        other => bytes(1, other.to_string().as_bytes(), out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use opentelemetry::trace::{Event, Link, TraceFlags, TraceId};
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::trace::v1::Span;
    use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
    use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
    use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};
    use prost::Message as _;

    fn context(state: TraceState, remote: bool) -> SpanContext {
        SpanContext::new(TraceId::from(7_u128 << 80), SpanId::from(9), TraceFlags::SAMPLED, remote, state)
    }

    fn plain() -> SpanData {
        SpanData {
            span_context: context(TraceState::NONE, false),
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: "plain".into(),
            start_time: UNIX_EPOCH + Duration::from_nanos(1),
            end_time: UNIX_EPOCH + Duration::from_secs(1_763_700_000),
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: InstrumentationScope::builder("laban").build(),
        }
    }

    /// A span with everything in it.
    fn full() -> SpanData {
        let attributes = vec![
            KeyValue::new("text", "köln"),
            KeyValue::new("empty", ""),
            KeyValue::new("long", "x".repeat(300)),
            KeyValue::new("yes", true),
            KeyValue::new("no", false),
            KeyValue::new("negative", -4711),
            KeyValue::new("number", 1.5),
            KeyValue::new("list", Value::Array(Array::I64(vec![0, -1, 300]))),
            KeyValue::new("words", Value::Array(Array::String(vec!["a".into(), "".into()]))),
        ];
        let state = TraceState::from_key_value([("shop", "1")]).unwrap();
        let mut events = SpanEvents::default();
        events.events.push(Event::new("said", UNIX_EPOCH, attributes.clone(), 3));
        events.dropped_count = 4;
        let mut links = SpanLinks::default();
        links.links.push(Link::new(context(state.clone(), true), attributes.clone(), 5));
        links.dropped_count = 6;
        SpanData {
            span_context: context(state, false),
            parent_span_id: SpanId::from(11),
            parent_span_is_remote: true,
            span_kind: SpanKind::Consumer,
            attributes,
            dropped_attributes_count: 2,
            events,
            links,
            status: Status::error("no"),
            instrumentation_scope: InstrumentationScope::builder("own")
                .with_version("1")
                .with_schema_url("https://example.org/s")
                .with_attributes([KeyValue::new("a", 1)])
                .build(),
            ..plain()
        }
    }

    #[test]
    fn spans_are_written_as_the_sdk_writes_them() {
        let status = |status| SpanData { status, ..plain() };
        let kind = |span_kind| SpanData { span_kind, ..plain() };
        for data in [
            plain(),
            full(),
            status(Status::Ok),
            kind(SpanKind::Server),
            kind(SpanKind::Client),
            kind(SpanKind::Producer),
        ] {
            let mut written = Vec::new();
            span(&data, &mut written);
            let mut expected = Span::from(data);
            // The SDK writes an empty status for "not set", which means the same.
            expected.status = expected.status.filter(|status| status.code != 0);
            assert_eq!(Span::decode(&*written).unwrap(), expected);
        }
    }

    #[test]
    fn a_request_is_what_the_sdk_would_send() {
        let about = Resource::builder_empty()
            .with_attributes([KeyValue::new("service.name", "payment"), KeyValue::new("process.pid", 7)])
            .build();
        let all = [full(), SpanData { status: Status::Ok, ..plain() }, full()];
        let mut batch = Batch::default();
        for data in &all {
            let mut written = Vec::new();
            span(data, &mut written);
            batch.add(&data.instrumentation_scope, &written);
        }
        assert_eq!(batch.len(), 3);
        let request = batch.request(&resource(&about));
        let request = ExportTraceServiceRequest::decode(&*request).unwrap();
        let about = ResourceAttributesWithSchema::from(&about);
        assert_eq!(request.resource_spans, group_spans_by_resource_and_scope(all.to_vec(), &about));
    }
}
