//! Flows as an object-centric event log, OCEL 2.0 in JSON (<https://www.ocel-standard.org>): for process mining.
//!
//! Written as flows are read: events at once, objects aside until the end.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Read, Seek, Write};

use bytes::Bytes;
use laban_wire::EventId;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::{Flow, Step};

/// The bodies of a flow's events.
pub type Bodies = HashMap<EventId, Bytes>;

/// Longer values are no ids.
const LONGEST_ID: usize = 200;
/// What an event may say of itself, and of what type that is.
const ATTRIBUTES: [(&str, &str); 6] = [
    ("event_id", "string"),
    ("handler", "string"),
    ("attempt", "integer"),
    ("queue_ms", "float"),
    ("handle_ms", "float"),
    ("error", "string"),
];

/// A log that is being written.
#[derive(Debug)]
pub struct Ocel<W, A> {
    out: W,
    aside: A,
    event_types: BTreeSet<String>,
    object_types: BTreeSet<String>,
    /// Objects of several flows are written once; hashes, so that a million of them take some megabytes.
    written: HashSet<u64>,
    events: u64,
    objects: u64,
}

impl<W: Write, A: Read + Write + Seek> Ocel<W, A> {
    /// Begins a log. Objects are kept `aside` meanwhile, in an empty file for example.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin(mut out: W, aside: A) -> io::Result<Self> {
        out.write_all(b"{\"events\":[")?;
        let (event_types, object_types) = Default::default();
        Ok(Self { out, aside, event_types, object_types, written: HashSet::new(), events: 0, objects: 0 })
    }

    /// Adds a flow: an event for each of its records; objects for the flow, for its services, and for everything that bodies
    /// name by an id, in a member such as `order_id`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add(&mut self, flow: &Flow, bodies: &Bodies) -> io::Result<()> {
        let own = format!("flow:{}", flow.flow);
        let mut named: BTreeMap<String, String> = BTreeMap::new();
        for step in &flow.steps {
            let ids = bodies.get(&step.id).map(|body| ids(body)).unwrap_or_default();
            self.event(step, &own, &ids)?;
            for (member, id) in ids {
                let kind = member.trim_end_matches("_id").to_owned();
                self.object(&id, &kind, flow.started_at, &[], &BTreeMap::new())?;
                named.insert(id, member);
            }
        }
        for service in flow.steps.iter().map(|step| step.service.as_str()).collect::<BTreeSet<_>>() {
            self.object(&format!("service:{service}"), "service", flow.started_at, &[], &BTreeMap::new())?;
        }
        self.object(&own, "flow", flow.started_at, &[("state", flow.state.to_string())], &named)
    }

    /// Ends the log, and gives back what it was written to.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn end(mut self) -> io::Result<W> {
        self.out.write_all(b"\n],\"objects\":[")?;
        self.aside.rewind()?;
        io::copy(&mut self.aside, &mut self.out)?;
        let attributes = |of: &[(&str, &str)]| -> Value {
            of.iter().map(|(name, kind)| json!({"name": name, "type": kind})).collect()
        };
        let events =
            self.event_types.iter().map(|name| json!({"name": name, "attributes": attributes(&ATTRIBUTES)}));
        let objects = self.object_types.iter().map(|name| {
            let of: &[(&str, &str)] = if name == "flow" { &[("state", "string")] } else { &[] };
            json!({"name": name, "attributes": attributes(of)})
        });
        let (events, objects): (Value, Value) = (events.collect(), objects.collect());
        write!(self.out, "\n],\"eventTypes\":{events},\"objectTypes\":{objects}}}\n")?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn event(&mut self, step: &Step, flow: &str, ids: &BTreeMap<String, String>) -> io::Result<()> {
        let name = step.full_name();
        let values = [
            Some(json!(step.id)),
            step.handler.as_ref().map(|handler| json!(handler)),
            step.attempt.map(|attempt| json!(attempt)),
            step.queue_ms.map(|ms| json!(ms)),
            step.handle_ms.map(|ms| json!(ms)),
            step.error.as_ref().map(|error| json!(error)),
        ];
        let attributes = ATTRIBUTES.iter().zip(values);
        let attributes: Value = attributes
            .filter_map(|((name, _), value)| Some(json!({"name": name, "value": value?})))
            .collect();
        let mut related = vec![
            json!({"objectId": flow, "qualifier": "flow"}),
            json!({"objectId": format!("service:{}", step.service), "qualifier": "service"}),
        ];
        related.extend(ids.iter().map(|(member, id)| json!({"objectId": id, "qualifier": member})));
        let event = json!({
            "id": format!("{}/{}", step.stream, step.seq),
            "type": name,
            "time": stamp(step.at),
            "attributes": attributes,
            "relationships": related,
        });
        let comma = if self.events > 0 { "," } else { "" };
        write!(self.out, "{comma}\n{event}")?;
        self.events += 1;
        self.event_types.insert(name);
        Ok(())
    }

    fn object(
        &mut self,
        id: &str,
        kind: &str,
        at: OffsetDateTime,
        attributes: &[(&str, String)],
        named: &BTreeMap<String, String>,
    ) -> io::Result<()> {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        if !self.written.insert(hasher.finish()) {
            return Ok(());
        }
        let attributes: Value = attributes
            .iter()
            .map(|(name, value)| json!({"name": name, "time": stamp(at), "value": value}))
            .collect();
        let related: Value =
            named.iter().map(|(id, member)| json!({"objectId": id, "qualifier": member})).collect();
        let object = json!({"id": id, "type": kind, "attributes": attributes, "relationships": related});
        let comma = if self.objects > 0 { "," } else { "" };
        write!(self.aside, "{comma}\n{object}")?;
        self.objects += 1;
        self.object_types.insert(kind.to_owned());
        Ok(())
    }
}

/// What a body names by an id: its members such as `order_id`, and for each the object, such as `order:4711`.
fn ids(body: &[u8]) -> BTreeMap<String, String> {
    let Ok(Value::Object(members)) = serde_json::from_slice(body) else { return BTreeMap::new() };
    let named = members.into_iter().filter_map(|(member, value)| {
        let kind = member.strip_suffix("_id").filter(|kind| !kind.is_empty())?;
        let value = match value {
            Value::String(text) if !text.is_empty() && text.len() <= LONGEST_ID => text,
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        let id = format!("{kind}:{value}");
        // A flow and a service are something already.
        (kind != "flow" && kind != "service").then_some((member, id))
    });
    named.collect()
}

fn stamp(at: OffsetDateTime) -> String {
    // The years that RFC 3339 cannot write are none that a broker has seen.
    at.format(&Rfc3339).unwrap_or_default()
}
