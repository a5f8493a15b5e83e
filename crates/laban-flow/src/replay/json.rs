//! A record as one line of JSON.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use laban_wire::{EventId, Message, Millis};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use time::{OffsetDateTime, UtcOffset};

use super::Record;

/// The names are those of [`Step`](crate::Step); what a record does not have is left out.
#[derive(Serialize)]
struct Line<'r> {
    at: Rfc3339,
    stream: &'r str,
    seq: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flow: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<EventId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<EventId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    handler: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_ms: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    handle_ms: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<Hex<16>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    span_id: Option<Hex<8>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Body<'r>>,
}

/// A body as [`laban_wire::Payload`] writes it, without a copy.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Body<'r> {
    Json(&'r RawValue),
    Text(&'r str),
    Base64(String),
}

impl Record {
    /// Appends the record as a JSON object without line breaks.
    ///
    /// Members are those of [`Step`](crate::Step), and `flow` and `payload`; those that a record does not have are left out.
    /// `payload` has a member `json`, `text` or `base64`. Of a message that cannot be understood there are `subject`, and
    /// `unreadable` with the reason, instead.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        let stored = &self.stored;
        let one_line = one_line(&stored.payload);
        let mut line = Line {
            at: Rfc3339(stored.at),
            stream: &stored.stream,
            seq: stored.seq,
            service: None,
            event: None,
            flow: None,
            id: None,
            version: None,
            cause: None,
            on: None,
            handler: None,
            attempt: None,
            queue_ms: None,
            handle_ms: None,
            trace_id: None,
            span_id: None,
            subject: None,
            unreadable: None,
            payload: body(&one_line, &stored.payload),
        };
        let key;
        match &self.message {
            Ok(Message { subject, meta, trace, .. }) => {
                key = subject.flow.shared_key();
                line.service = Some(subject.event_type.service());
                line.event = Some(subject.event_type.event());
                line.flow = Some(&key);
                line.id = Some(meta.id);
                line.version = meta.version;
                if let Some(reaction) = &meta.reaction {
                    line.cause = Some(reaction.cause);
                    line.on = Some(reaction.on.as_str());
                    line.handler = Some(&reaction.handler);
                    line.attempt = Some(reaction.attempt);
                    line.queue_ms = Some(reaction.queue_ms);
                    line.handle_ms = Some(reaction.handle_ms);
                }
                line.trace_id = trace.map(|trace| Hex(trace.trace_id.to_be_bytes()));
                line.span_id = trace.map(|trace| Hex(trace.span_id.to_be_bytes()));
            }
            Err(error) => {
                line.subject = Some(&stored.subject);
                line.unreadable = Some(error.to_string());
            }
        }
        // Neither a Vec nor any of these types fails to be written.
        let _ = serde_json::to_writer(out, &line);
    }
}

/// The body with its line breaks as spaces. In valid JSON they stand between tokens and nowhere else.
fn one_line(payload: &[u8]) -> Cow<'_, [u8]> {
    let is_break = |byte: &u8| matches!(byte, b'\n' | b'\r');
    // `contains` looks at many bytes at a time, and nearly no body has any.
    if payload.contains(&b'\n') || payload.contains(&b'\r') {
        Cow::Owned(payload.iter().map(|byte| if is_break(byte) { b' ' } else { *byte }).collect())
    } else {
        Cow::Borrowed(payload)
    }
}

fn body<'r>(one_line: &'r [u8], payload: &'r [u8]) -> Option<Body<'r>> {
    if payload.is_empty() {
        return None;
    }
    Some(match serde_json::from_slice(one_line) {
        Ok(json) => Body::Json(json),
        Err(_) => match std::str::from_utf8(payload) {
            Ok(text) => Body::Text(text),
            Err(_) => Body::Base64(STANDARD.encode(payload)),
        },
    })
}

/// `2026-11-07T10:12:01.123456789Z`, as the `time` crate writes it. Its formatting machinery, and the standard library's, take
/// longer than all the rest of the line.
#[derive(Clone, Copy)]
struct Rfc3339(OffsetDateTime);

impl Serialize for Rfc3339 {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let at = self.0.to_offset(UtcOffset::UTC);
        let (year, month, day) = at.to_calendar_date();
        let (hour, minute, second, nano) = at.to_hms_nano();
        let mut text = Text::default();
        text.number(u32::try_from(year).unwrap_or_default(), 4);
        for (separator, number) in
            [(b'-', u8::from(month)), (b'-', day), (b'T', hour), (b':', minute), (b':', second)]
        {
            text.push(separator);
            text.number(number.into(), 2);
        }
        if nano > 0 {
            text.push(b'.');
            text.number(nano, 9);
            while text.bytes[text.len - 1] == b'0' {
                text.len -= 1;
            }
        }
        text.push(b'Z');
        to.serialize_str(text.as_str())
    }
}

/// A number in as many hexadecimal digits as it has room for.
#[derive(Clone, Copy)]
struct Hex<const BYTES: usize>([u8; BYTES]);

impl<const BYTES: usize> Serialize for Hex<BYTES> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut text = Text::default();
        for byte in self.0 {
            text.push(b"0123456789abcdef"[usize::from(byte >> 4)]);
            text.push(b"0123456789abcdef"[usize::from(byte & 15)]);
        }
        to.serialize_str(text.as_str())
    }
}

/// A short text in the making, without an allocation.
#[derive(Default)]
struct Text {
    bytes: [u8; 32],
    len: usize,
}

impl Text {
    fn push(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    /// A number, with zeros before it.
    fn number(&mut self, mut number: u32, digits: usize) {
        for digit in self.bytes[self.len..self.len + digits].iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
        }
        self.len += digits;
    }

    fn as_str(&self) -> &str {
        // Nothing but ASCII was put in.
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::record;
    use super::*;
    use serde_json::{Value, json};
    use time::format_description::well_known;

    fn line(record: &Record) -> String {
        let mut line = Vec::new();
        record.write_json(&mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn everything_a_record_says_and_its_body() {
        let header = "id=0199f3c2-0000-7000-8000-000000000002 v=1 cause=0199f3c2-0000-7000-8000-000000000001 \
                      on=order.placed handler=charge attempt=2 queue_ms=0.412 handle_ms=3.108";
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let headers = [("Laban", header), ("traceparent", trace)];
        let captured = record("payment.captured.a%2Fb", &headers, b"{\"z\": 1,\n \"a\": 2.50}");
        assert_eq!(
            line(&captured),
            r#"{"at":"2026-10-26T07:33:20.0000012Z","stream":"PAYMENT","seq":7,"service":"payment","event":"captured","#
                .to_owned()
                + r#""flow":"a/b","id":"0199f3c2-0000-7000-8000-000000000002","version":1,"#
                + r#""cause":"0199f3c2-0000-7000-8000-000000000001","on":"order.placed","handler":"charge","attempt":2,"#
                + r#""queue_ms":0.412,"handle_ms":3.108,"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","#
                + r#""span_id":"00f067aa0ba902b7","payload":{"json":{"z": 1,  "a": 2.50}}}"#
        );
    }

    #[test]
    fn what_is_not_there_is_left_out_and_any_body_can_be_written() {
        let members = |payload: &[u8]| -> Value {
            serde_json::from_str(&line(&record("order.placed.1", &[], payload))).unwrap()
        };
        let nothing = members(b"");
        let names: Vec<_> = nothing.as_object().unwrap().keys().collect();
        assert_eq!(names, ["at", "event", "flow", "id", "seq", "service", "stream"]);
        assert_eq!(members(b"a\nb")["payload"], json!({"text": "a\nb"}));
        assert_eq!(members(b"\xff")["payload"], json!({"base64": "/w=="}));
        assert_eq!(members(b"null")["payload"], json!({"json": null}));
    }

    #[test]
    fn what_cannot_be_understood_says_why() {
        let broken: Value =
            serde_json::from_str(&line(&record("order.placed.1", &[("Laban", "x")], b"{}"))).unwrap();
        assert_eq!(broken["subject"], "order.placed.1");
        assert!(broken["unreadable"].as_str().unwrap().contains("field `id`"), "{broken}");
        assert_eq!(broken.get("flow"), None);
    }

    #[test]
    fn times_are_those_of_the_time_crate() {
        for nanos in [0, 1, 1_793_000_000_123_456_789, 1_793_000_000_500_000_000, 951_782_400_000_000_001] {
            let at = OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap();
            assert_eq!(serde_json::to_value(Rfc3339(at)).unwrap(), at.format(&well_known::Rfc3339).unwrap());
        }
    }
}
