//! A flow as OTLP in JSON: what Jaeger's upload tab opens, and an OTLP receiver takes at `/v1/traces`.
//!
//! The same spans as services send (`docs/tracing.md`), as far as the streams know them, with the same ids where records
//! have them.

use std::collections::BTreeMap;

use laban_wire::{DEAD, EventId, HANDLED, RETRYING};
use serde_json::{Value, json};

use crate::timeline::Bar;
use crate::{Flow, Step};

/// OTLP's numbers for kinds of spans, and for a status that is an error.
const PRODUCER: u8 = 4;
const CONSUMER: u8 = 5;
const ERROR: u8 = 2;

impl Flow {
    /// The flow as an OTLP export request in JSON: a `process` span a handler's run, a `send` span an event.
    ///
    /// A step is in the trace that its record names, one without in a trace made of the flow's id. A cause in another trace is
    /// linked to.
    pub fn to_otlp(&self) -> Value {
        let timeline = self.timeline();
        let mut services: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for ((step, bar), cause) in self.steps.iter().zip(&timeline.bars).zip(self.causes()) {
            let spans = services.entry(step.service.as_str()).or_default();
            let cause = cause.map(|cause| &self.steps[cause]);
            let process =
                (step.handler.is_some() && !step.is_operators()).then(|| self.process(step, bar, cause));
            let parent = process.as_ref().map(|(id, _)| id.clone());
            // What else came of the same run is below the same span.
            spans.extend(process.filter(|_| !bar.shown_above).map(|(_, span)| span));
            spans.extend((!step.is_system()).then(|| self.send(step, bar, parent)));
        }
        let resources = services.into_iter().map(|(service, spans)| {
            json!({
                "resource": {"attributes": [text("service.name", service), text("service.namespace", "laban")]},
                "scopeSpans": [{"scope": {"name": "laban", "version": env!("CARGO_PKG_VERSION")}, "spans": spans}],
            })
        });
        json!({ "resourceSpans": resources.collect::<Vec<_>>() })
    }

    fn process(&self, step: &Step, bar: &Bar, cause: Option<&Step>) -> (String, Value) {
        let id = process_id(step);
        let on = step.on.as_ref().map_or("", |on| on.as_str());
        let outcome = match step.event.as_str() {
            DEAD => "dead",
            RETRYING => "retrying",
            HANDLED => "handled",
            _ => "emitted",
        };
        let mut attributes = self.attributes("process", on, step.cause, &step.service);
        attributes.extend(step.handler.as_deref().map(|handler| text("laban.handler", handler)));
        attributes.extend(step.attempt.map(|attempt| number("laban.attempt", attempt.into())));
        attributes.extend(
            step.queue_ms.map(|ms| json!({"key": "laban.queue_ms", "value": {"doubleValue": ms.as_f64()}})),
        );
        attributes.push(text("laban.outcome", outcome));
        let mut span = json!({
            "traceId": self.trace_of(step),
            "spanId": id,
            "name": format!("process {on}.{{flow}}"),
            "kind": CONSUMER,
            "startTimeUnixNano": self.nanos(bar.running_ms),
            "endTimeUnixNano": self.nanos(bar.ended_ms),
        });
        if let Some(error) = &step.error {
            attributes.push(text("error.type", outcome));
            span["status"] = json!({"code": ERROR, "message": error});
        }
        span["attributes"] = attributes.into();
        if let Some(cause) = cause {
            let (trace, parent) = (self.trace_of(cause), send_id(cause));
            span["links"] = json!([{"traceId": trace, "spanId": parent}]);
            if trace == self.trace_of(step) {
                span["parentSpanId"] = parent.into();
            }
        }
        (id, span)
    }

    fn send(&self, step: &Step, bar: &Bar, parent: Option<String>) -> Value {
        let name = step.full_name();
        let mut span = json!({
            "traceId": self.trace_of(step),
            "spanId": send_id(step),
            "name": format!("send {name}.{{flow}}"),
            "kind": PRODUCER,
            "startTimeUnixNano": self.nanos(bar.ended_ms),
            "endTimeUnixNano": self.nanos(bar.stored_ms),
            "attributes": self.attributes("send", &name, Some(step.id), &step.service),
        });
        if let Some(parent) = parent {
            span["parentSpanId"] = parent.into();
        }
        span
    }

    fn attributes(&self, operation: &str, event: &str, id: Option<EventId>, service: &str) -> Vec<Value> {
        let mut attributes = vec![
            text("messaging.system", "nats"),
            text("messaging.operation.type", operation),
            text("messaging.operation.name", operation),
            text("messaging.destination.template", &format!("{event}.{{flow}}")),
            text("laban.service", service),
            text("laban.flow", &self.flow),
        ];
        attributes.extend(id.map(|id| text("messaging.message.id", &id.to_string())));
        attributes
    }

    fn trace_of(&self, step: &Step) -> String {
        step.trace_id.clone().unwrap_or_else(|| format!("{:032x}", spread(self.flow.as_bytes()) | 1))
    }

    fn nanos(&self, ms: f64) -> String {
        // What is beyond 200 years was forged.
        (self.started_at.unix_timestamp_nanos() + (ms * 1e6) as i128).clamp(0, i64::MAX.into()).to_string()
    }
}

/// An event's record names the span that sent it, a system record the one that processed its cause.
fn process_id(step: &Step) -> String {
    if step.is_system()
        && let Some(id) = &step.span_id
    {
        return id.clone();
    }
    let cause = step.cause.map(|cause| cause.to_string()).unwrap_or_default();
    let handler = step.handler.as_deref().unwrap_or_default();
    let run = format!("{cause}/{}/{handler}/{}", step.service, step.attempt.unwrap_or(1));
    short(run.as_bytes())
}

fn send_id(step: &Step) -> String {
    step.span_id.clone().unwrap_or_else(|| short(step.id.to_string().as_bytes()))
}

fn short(bytes: &[u8]) -> String {
    format!("{:016x}", (spread(bytes) >> 64) as u64 | 1)
}

/// FNV-1a of 128 bits: ids only have to differ.
fn spread(bytes: &[u8]) -> u128 {
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    bytes.iter().fold(BASIS, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(PRIME))
}

fn text(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

fn number(key: &str, value: u64) -> Value {
    // Protobuf's JSON writes 64-bit numbers as text.
    json!({"key": key, "value": {"intValue": value.to_string()}})
}
