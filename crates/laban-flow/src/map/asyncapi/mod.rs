//! The map as an AsyncAPI 3.0 document.

mod schemas;

use laban_wire::contract::HandlerContract;
use laban_wire::{EventType, HEADER, TRACEPARENT};
use serde_json::{Map as Object, Value, json};

use super::{Map, Member};
use schemas::hoist;

/// What an AsyncAPI document says beside the map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// The document's title.
    pub title: String,
    /// The broker's address, if the document is to name one: never with credentials.
    pub server: Option<String>,
}

impl Map {
    /// Writes the map as an AsyncAPI 3.0 document: a channel per event type, a message with its schema, and an operation per
    /// handler and event type that it receives or sends.
    pub fn to_asyncapi(&self, about: &About) -> Value {
        let mut schemas = Object::new();
        let mut messages = Object::new();
        let mut channels = Object::new();
        for event in &self.events {
            let name = event.event.as_str();
            let mut message = json!({
                "name": name,
                "title": format!("{name}, version {}", event.version.unwrap_or(1)),
                "contentType": "application/json",
                "headers": { "$ref": "#/components/schemas/headers" },
                "tags": [{ "name": event.event.service() }],
            });
            if let Some(schema) = self.schema(&event.event) {
                message["payload"] = hoist(name, schema, &mut schemas);
                if let Some(words) = schema.get("description").and_then(Value::as_str) {
                    message["summary"] = words.into();
                }
            }
            messages.insert(name.to_owned(), message);
            channels.insert(name.to_owned(), channel(&event.event));
        }
        schemas.insert("headers".to_owned(), headers());
        let mut document = json!({
            "asyncapi": "3.0.0",
            "info": { "title": about.title, "version": "1.0.0", "description": "Written by `laban map` from the services' contracts." },
            "defaultContentType": "application/json",
            "channels": channels,
            "operations": self.operations(),
            "components": { "messages": messages, "schemas": schemas },
        });
        if let Some(server) = about.server.as_deref().and_then(server) {
            document["servers"] = json!({ "broker": server });
        }
        document
    }

    fn operations(&self) -> Object<String, Value> {
        let mut operations = Object::new();
        for member in &self.services {
            for event in &member.contract.begins {
                let mut sends = operation("send", member, event);
                sends["summary"] = format!("{} begins a flow.", member.name()).into();
                operations.insert(format!("{}.begins.{event}", member.name()), sends);
            }
            for handler in &member.contract.handlers {
                for event in &handler.consumes {
                    let key = format!("{}.{}.receives.{event}", member.name(), handler.name);
                    operations.insert(key, receives(member, handler, event));
                }
                let failures = handler.fails_with.iter().map(|event| (event, true));
                for (event, fails) in handler.emits.iter().map(|event| (event, false)).chain(failures) {
                    let mut sends = operation("send", member, event);
                    sends["x-laban-handler"] = handler.name.as_str().into();
                    if fails {
                        sends["x-laban-failure"] = true.into();
                    }
                    operations.insert(format!("{}.{}.sends.{event}", member.name(), handler.name), sends);
                }
            }
        }
        operations
    }
}

fn channel(event: &EventType) -> Value {
    json!({
        "address": format!("{event}.{{flow}}"),
        "messages": { event.as_str(): { "$ref": format!("#/components/messages/{event}") } },
        "parameters": { "flow": { "description": "The flow id: the business key, with bytes other than letters, digits and -_~:@+=, written as %XX." } },
        "tags": [{ "name": event.service() }],
    })
}

fn operation(action: &str, member: &Member, event: &EventType) -> Value {
    json!({
        "action": action,
        "channel": { "$ref": format!("#/channels/{event}") },
        "messages": [{ "$ref": format!("#/channels/{event}/messages/{event}") }],
        "tags": [{ "name": member.name() }],
    })
}

fn receives(member: &Member, handler: &HandlerContract, event: &EventType) -> Value {
    let mut receives = operation("receive", member, event);
    receives["x-laban-handler"] = handler.name.as_str().into();
    if !handler.compensates.is_empty() {
        receives["x-laban-compensates"] = json!(handler.compensates);
    }
    if let Some(deadline) = &handler.deadline {
        receives["x-laban-deadline"] = json!(deadline);
    }
    // The instances of a service share a durable consumer, as they would share a queue group.
    let durable = format!("{}_{}_{}_{}", member.name(), handler.name, event.service(), event.event());
    receives["bindings"] = json!({ "nats": { "queue": durable, "bindingVersion": "0.1.0" } });
    receives
}

fn headers() -> Value {
    json!({
        "type": "object",
        "properties": {
            HEADER: {
                "type": "string",
                "description": "What the event says about itself: fields, separated by spaces.",
                "examples": ["id=0199f3c2-0000-7000-8000-000000000001 v=1"],
            },
            TRACEPARENT: { "type": "string", "description": "W3C Trace Context." },
        },
    })
}

/// `nats://user:password@host:4222` without what is secret. The first address, where there are several.
fn server(url: &str) -> Option<Value> {
    let url = url.split(',').next()?.trim();
    let (protocol, rest) = url.split_once("://").unwrap_or(("nats", url));
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host).trim_end_matches('/');
    (!host.is_empty()).then(|| json!({ "host": host, "protocol": protocol }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_without_credentials() {
        let named = server("nats://ann:hush@a:4222,nats://b:4222").unwrap();
        assert_eq!(named, json!({ "host": "a:4222", "protocol": "nats" }));
        assert_eq!(server("demo:4222/").unwrap()["host"], "demo:4222");
        assert_eq!(server(""), None);
    }
}
