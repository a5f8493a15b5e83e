//! What the broker tells of a message on its way into a stream, as spans of the broker.
//!
//! Each server that a traced message passes through publishes one report of it
//! ([ADR-41](https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-41.md)). Reports of one message come
//! in any order. So a span's id is worked out from what the report says, and the span of the server before can be named as
//! its parent before that one's report has come.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use laban_wire::{Subject, TRACEPARENT, TraceParent};
use opentelemetry::trace::{Event, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks, SpanProcessor as _};
use serde::Deserialize;
use time::OffsetDateTime;

use super::queue::{QueueProcessor, SpanCounts};
use super::transport::Collector;
use super::{FLUSH_TIMEOUT, SCOPE};
use crate::Error;

/// What spans of the broker are filed under.
const BROKER: &str = "nats";
/// Set by a server on what it hands to another: which hop that is, as in `1.2`.
const HOP: &str = "Nats-Trace-Hop";

/// Makes spans of the broker's reports.
pub(crate) struct HopSpans {
    queue: QueueProcessor,
    scope: InstrumentationScope,
}

impl HopSpans {
    /// Spans that leave for the same collector as the service's own, under the broker's name.
    pub(super) fn start(ip: Option<IpAddr>, counts: &Arc<SpanCounts>) -> Result<Self, Error> {
        let mut resource = Resource::builder_empty().with_attribute(KeyValue::new("service.name", BROKER));
        // A broker on this machine has this machine's clock; Jaeger corrects for those of others.
        if let Some(ip) = ip.filter(IpAddr::is_loopback) {
            resource = resource.with_attribute(KeyValue::new("ip", ip.to_string()));
        }
        let queue = QueueProcessor::start(Collector::from_env()?, &resource.build(), Arc::clone(counts));
        Ok(Self { queue, scope: InstrumentationScope::builder(SCOPE).build() })
    }

    /// Makes a span of a report, which is `report` about the publication `publication` of this process.
    ///
    /// # Errors
    /// When the report cannot be read.
    pub(crate) fn take(&self, publication: &str, report: &[u8]) -> Result<(), serde_json::Error> {
        let report: Report = serde_json::from_slice(report)?;
        if let Some(span) = report.span(publication, &self.scope) {
            self.queue.on_end(span);
        }
        Ok(())
    }

    /// Lets the last spans leave. Blocks.
    pub(super) fn shutdown(&self) -> opentelemetry_sdk::error::OTelSdkResult {
        self.queue.shutdown_with_timeout(FLUSH_TIMEOUT)
    }
}

/// What one server says of one message.
#[derive(Deserialize)]
struct Report {
    server: Server,
    request: Request,
    events: Vec<Told>,
}

#[derive(Deserialize)]
struct Server {
    name: String,
    #[serde(default)]
    cluster: Option<String>,
}

#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    header: HashMap<String, Vec<String>>,
    #[serde(default)]
    msgsize: i64,
}

/// One thing that happened to the message in this server. Kinds that are not known are left out.
#[derive(Deserialize)]
struct Told {
    #[serde(rename = "type")]
    what: String,
    #[serde(rename = "ts", with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    /// Of a connection.
    #[serde(default)]
    kind: i64,
    #[serde(default)]
    name: String,
    #[serde(default, rename = "subj")]
    subject: String,
    #[serde(default)]
    stream: String,
    #[serde(default)]
    error: String,
}

impl Told {
    /// The kind of connection, <https://github.com/nats-io/nats-server/blob/main/server/client.go>.
    fn connection(&self) -> &'static str {
        match self.kind {
            0 => "client",
            1 => "route",
            2 => "gateway",
            4 => "leafnode",
            5 => "jetstream",
            _ => "internal",
        }
    }
}

impl Report {
    /// The span of the message's time in this server; none without a span that published it.
    fn span(&self, publication: &str, scope: &InstrumentationScope) -> Option<SpanData> {
        let published = self.header(TRACEPARENT)?.parse::<TraceParent>().ok()?;
        let (first, last) = (self.events.first()?, self.events.last()?);
        let came = self.events.iter().find(|told| told.what == "in")?;
        let stored = self.events.iter().find(|told| told.what == "js");
        let hop = self.header(HOP).unwrap_or_default();
        let id = |hop: &str| hop_id(&published, publication, hop);
        // Whoever handed the message on is one hop before; the first server had it from the span that published it.
        let parent = match hop.rsplit_once('.') {
            Some((before, _)) => id(before),
            None if hop.is_empty() => SpanId::from(published.span_id),
            None => id(""),
        };
        let subject = came.subject.parse::<Subject>().ok();
        let template = subject.as_ref().map_or("?".to_owned(), |one| format!("{}.{{flow}}", one.event_type));
        let mut attributes = vec![
            KeyValue::new("messaging.system", "nats"),
            KeyValue::new("messaging.destination.name", came.subject.clone()),
            KeyValue::new("messaging.destination.template", template.clone()),
            KeyValue::new("messaging.message.envelope.size", self.request.msgsize),
            KeyValue::new("nats.server", self.server.name.clone()),
            KeyValue::new("nats.from", came.connection()),
        ];
        attributes.extend(subject.map(|one| KeyValue::new("laban.flow", one.flow.shared_key())));
        attributes.extend(self.server.cluster.clone().map(|one| KeyValue::new("nats.cluster", one)));
        attributes.extend(stored.map(|told| KeyValue::new("nats.stream", told.stream.clone())));
        let refused = self.events.iter().map(|told| &told.error).find(|error| !error.is_empty());
        let (start, end) = self
            .events
            .iter()
            .fold((first.at, last.at), |(start, end), told| (start.min(told.at), end.max(told.at)));
        let mut events = SpanEvents::default();
        events.events = self.events.iter().filter_map(Told::event).collect();
        Some(SpanData {
            span_context: SpanContext::new(
                TraceId::from(published.trace_id),
                id(hop),
                TraceFlags::new(published.flags) & TraceFlags::SAMPLED,
                false,
                TraceState::NONE,
            ),
            parent_span_id: parent,
            parent_span_is_remote: true,
            span_kind: SpanKind::Internal,
            name: format!("{} {template}", if stored.is_some() { "store" } else { "route" }).into(),
            start_time: SystemTime::from(start),
            end_time: SystemTime::from(end),
            attributes,
            dropped_attributes_count: 0,
            events,
            links: SpanLinks::default(),
            status: refused.map_or(Status::Unset, |error| Status::error(error.clone())),
            instrumentation_scope: scope.clone(),
        })
    }

    fn header(&self, name: &str) -> Option<&str> {
        let (_, values) = self.request.header.iter().find(|(one, _)| one.eq_ignore_ascii_case(name))?;
        values.first().map(String::as_str)
    }
}

impl Told {
    /// What is worth an event in the span: where the message went from here, but for the stream, which is the span's end.
    fn event(&self) -> Option<Event> {
        if self.what != "eg" {
            return None;
        }
        let mut attributes = vec![KeyValue::new("nats.to", self.connection())];
        if !self.name.is_empty() {
            attributes.push(KeyValue::new("nats.server", self.name.clone()));
        }
        Some(Event::new("handed on", self.at.into(), attributes, 0))
    }
}

/// The id of a span: the same for all who know the publication and the hop.
fn hop_id(published: &TraceParent, publication: &str, hop: &str) -> SpanId {
    let name = format!("{published}/{publication}/{hop}");
    let hash = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, name.as_bytes());
    let (high, _) = hash.as_u64_pair();
    // An id of zeros would be none.
    SpanId::from(high | 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLISHED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    /// As a server sends it.
    fn report(server: &str, hop: Option<&str>, events: &str) -> Report {
        let hop = hop.map_or(String::new(), |hop| format!(r#""Nats-Trace-Hop":["{hop}"],"#));
        let text = format!(
            r#"{{"server":{{"name":"{server}","cluster":"c","jetstream":true}},
                "request":{{"header":{{{hop}"Traceparent":["{PUBLISHED}"]}},"msgsize":211}},"hops":1,"events":[{events}]}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn span(report: &Report) -> SpanData {
        report.span("1", &InstrumentationScope::builder("test").build()).unwrap()
    }

    #[test]
    fn hops_follow_each_other_whatever_report_comes_first() {
        let came = |kind: u8, at: u8| {
            format!(
                r#"{{"type":"in","ts":"2026-11-26T20:58:10.00000000{at}Z","kind":{kind},"cid":5,"name":"x","acc":"$G","subj":"payment.captured.4%2E7"}}"#
            )
        };
        let on =
            r#"{"type":"eg","ts":"2026-11-26T20:58:10.000000002Z","kind":1,"cid":9,"name":"n2","hop":"1"}"#;
        let kept = r#"{"type":"js","ts":"2026-11-26T20:58:10.000000008Z","stream":"PAYMENT","subject":"payment.captured.4%2E7"}"#;
        let stored = span(&report("n2", Some("1"), &format!("{},{kept}", came(1, 4))));
        let first = span(&report("n1", None, &format!("{},{on}", came(0, 1))));
        let further = span(&report("n3", Some("1.2"), &format!("{},{kept}", came(1, 5))));

        assert_eq!(first.parent_span_id, SpanId::from(0x00f0_67aa_0ba9_02b7));
        assert_eq!(stored.parent_span_id, first.span_context.span_id());
        assert_eq!(further.parent_span_id, stored.span_context.span_id());
        assert_eq!(
            (first.name.as_ref(), stored.name.as_ref()),
            ("route payment.captured.{flow}", "store payment.captured.{flow}")
        );
        assert_eq!(stored.end_time.duration_since(stored.start_time).unwrap().as_nanos(), 4);
        let has = |span: &SpanData, key: &'static str, value: &'static str| {
            span.attributes.contains(&KeyValue::new(key, value))
        };
        assert!(has(&stored, "laban.flow", "4.7") && has(&stored, "nats.stream", "PAYMENT"));
        assert!(has(&stored, "nats.from", "route") && has(&first, "nats.from", "client"));
        assert_eq!(first.events.events.len(), 1);
    }

    #[test]
    fn a_second_publication_in_the_same_span_has_a_span_of_its_own() {
        let came =
            r#"{"type":"in","ts":"2026-11-26T20:58:10Z","kind":0,"acc":"$G","subj":"payment.captured.1"}"#;
        let lost = r#"{"type":"js","ts":"2026-11-26T20:58:10Z","stream":"PAYMENT","error":"last sequence by subject mismatch: 0 vs 1"}"#;
        let report = report("n1", None, &format!("{came},{lost}"));
        let scope = InstrumentationScope::builder("test").build();
        let [one, two] = ["1", "2"].map(|publication| report.span(publication, &scope).unwrap());
        assert_ne!(one.span_context.span_id(), two.span_context.span_id());
        assert_eq!(one.status, Status::error("last sequence by subject mismatch: 0 vs 1"));
    }

    #[test]
    fn a_report_of_a_message_that_no_span_published_makes_none() {
        let text = r#"{"server":{"name":"n1"},"request":{},"events":[]}"#;
        let report: Report = serde_json::from_str(text).unwrap();
        assert!(report.span("1", &InstrumentationScope::builder("test").build()).is_none());
    }
}
