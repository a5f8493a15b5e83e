//! Where a contestant's chain begins and ends on the broker, and what its root events look like.

use std::collections::HashMap;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::stream::{Config, DiscardPolicy, StorageType};
use bytes::Bytes;
use laban_wire::EventId;

use crate::contestants::chain::{HOPS as CHAIN, ROOT, STREAM, extra_headers, traceparent};
use crate::contestants::events::{Order, OrderPlaced};

/// Handlers of the chain, each of which makes one event of one.
pub(crate) const HOPS: u64 = CHAIN.len() as u64;

/// The services of the chain, and the one that its root events belong to.
pub(crate) const SERVICES: [&str; 5] = ["order", "payment", "inventory", "shipping", "invoice"];

/// How a contestant uses the broker.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// The stream that root events go to; the contestant makes its others itself.
    pub(super) root_stream: Config,
    /// What root events look like.
    pub(super) roots: Roots,
    /// The consumer of the first handler.
    pub(super) first_consumer: String,
    /// What tells that a flow has ended.
    pub(super) end: End,
    /// What to subscribe to for last events.
    pub(crate) last_subject: String,
}

/// What root events look like.
#[derive(Clone, Copy, Debug)]
pub(super) enum Roots {
    /// One short subject for all flows.
    Short { traced: bool, headers: usize },
    /// Laban's: a subject per flow, as an emitter begins a flow.
    OfLaban { traced: bool },
}

/// What tells that a flow has ended.
#[derive(Clone, Debug)]
pub(super) enum End {
    /// So many messages per flow are in a stream; on one subject, or all.
    Stored { stream: String, subject: Option<String>, per_flow: u64 },
    /// Its root event is acknowledged.
    Acknowledged,
}

/// A message to publish.
pub(crate) struct Root {
    pub(crate) subject: String,
    /// None at all is cheaper for both ends than an empty set.
    pub(crate) headers: Option<HeaderMap>,
    pub(crate) payload: Bytes,
}

impl Layout {
    /// One stream, and one short subject per event type: the chain by hand.
    pub(crate) fn shared(traced: bool, headers: usize) -> Self {
        let [first, .., last] = CHAIN;
        Self {
            root_stream: Config {
                name: STREAM.to_owned(),
                subjects: vec!["orders.*".to_owned()],
                ..Config::default()
            },
            roots: Roots::Short { traced, headers },
            first_consumer: first.service.to_owned(),
            end: End::Stored { stream: STREAM.to_owned(), subject: Some(last.to.to_owned()), per_flow: 1 },
            last_subject: last.to.to_owned(),
        }
    }

    /// Laban's home streams: a stream per service, a subject per flow.
    pub(crate) fn homes(traced: bool) -> Self {
        Self {
            root_stream: home("order"),
            roots: Roots::OfLaban { traced },
            first_consumer: "payment_capture_order_placed".to_owned(),
            end: End::Stored { stream: "INVOICE".to_owned(), subject: None, per_flow: 1 },
            last_subject: "invoice.issued.*".to_owned(),
        }
    }

    /// Laban with one service, `payment`, whose one handler has this name and emits so many events per flow.
    pub(crate) fn one_home(traced: bool, handler: &str, per_flow: u64) -> Self {
        let end = match per_flow {
            0 => End::Acknowledged,
            _ => End::Stored { stream: "PAYMENT".to_owned(), subject: None, per_flow },
        };
        Self {
            first_consumer: format!("payment_{handler}_order_placed"),
            end,
            last_subject: "payment.captured.*".to_owned(),
            ..Self::homes(traced)
        }
    }

    /// The same, but a flow has ended when its root event is acknowledged.
    #[must_use]
    pub(crate) fn until_acknowledged(self) -> Self {
        Self { end: End::Acknowledged, ..self }
    }

    /// The same, but it is the contestant that publishes root events, and that is all it does.
    #[must_use]
    pub(crate) fn of_publisher(self) -> Self {
        let subject = matches!(self.roots, Roots::Short { .. }).then(|| ROOT.to_owned());
        let end = End::Stored { stream: self.root_stream.name.clone(), subject, per_flow: 1 };
        Self { end, ..self }
    }

    /// The same, kept elsewhere.
    #[must_use]
    pub(crate) fn kept(mut self, storage: StorageType, replicas: usize) -> Self {
        self.root_stream.storage = storage;
        self.root_stream.num_replicas = replicas;
        self
    }

    /// The root event of a flow.
    pub(crate) fn root(&self, flow: &str) -> Root {
        let event = OrderPlaced { order: Order::sample(flow.to_owned()) };
        // It holds nothing that JSON could not.
        let payload = serde_json::to_vec(&event).unwrap_or_default().into();
        match self.roots {
            Roots::Short { traced, headers } => {
                let mut set = extra_headers(headers);
                if traced {
                    set.insert("traceparent", traceparent());
                }
                Root { subject: ROOT.to_owned(), headers: (!set.is_empty()).then_some(set), payload }
            }
            Roots::OfLaban { traced } => {
                let mut headers = HeaderMap::new();
                headers.insert("Laban", format!("id={} v=1", EventId::root()));
                if traced {
                    headers.insert("traceparent", traceparent());
                }
                // The fence of a flow that begins.
                headers.insert("Nats-Expected-Last-Subject-Sequence", "0");
                headers.insert("Nats-Expected-Last-Subject-Sequence-Subject", format!("order.*.{flow}"));
                Root { subject: format!("order.placed.{flow}"), headers: Some(headers), payload }
            }
        }
    }
}

/// The home stream of a service: docs/wire.md, "Home streams".
pub(crate) fn home(service: &str) -> Config {
    Config {
        name: service.to_uppercase(),
        subjects: vec![format!("{service}.*.*")],
        discard: DiscardPolicy::New,
        max_age: Duration::from_secs(30 * 86_400),
        allow_direct: true,
        allow_atomic_publish: true,
        metadata: HashMap::from([
            ("laban.service".to_owned(), service.to_owned()),
            ("laban.wire".to_owned(), "1".to_owned()),
        ]),
        ..Config::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_event_of_laban_is_one_that_laban_reads() {
        let root = Layout::homes(true).root("f-1");
        let subject: laban_wire::Subject = root.subject.parse().unwrap();
        assert_eq!((subject.event_type.as_str(), &*subject.flow.key()), ("order.placed", "f-1"));
        assert_eq!(root.headers.unwrap().len(), 4);
    }

    #[test]
    fn a_plain_root_event_has_no_headers() {
        assert!(Layout::shared(false, 0).root("f-1").headers.is_none());
        assert_eq!(Layout::shared(true, 0).root("f-1").headers.unwrap().len(), 1);
    }
}
