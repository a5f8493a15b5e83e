//! Where the chain by hand reads and writes, and what extra headers look like.

use async_nats::HeaderMap;
use laban_wire::EventId;

/// The one stream of all events.
pub(crate) const STREAM: &str = "ORDERS";
/// The subject of root events.
pub(crate) const ROOT: &str = "orders.placed";

/// One service of the chain: what it and its handler are called, and where it reads and writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hop {
    pub(crate) service: &'static str,
    pub(crate) from: &'static str,
    pub(crate) to: &'static str,
    /// Its one handler.
    pub(crate) handler: &'static str,
}

/// The chain.
pub(crate) const HOPS: [Hop; 4] = [
    Hop { service: "payment", from: ROOT, to: "orders.captured", handler: "capture" },
    Hop { service: "inventory", from: "orders.captured", to: "orders.reserved", handler: "reserve" },
    Hop { service: "shipping", from: "orders.reserved", to: "orders.dispatched", handler: "dispatch" },
    Hop { service: "invoice", from: "orders.dispatched", to: "orders.issued", handler: "issue" },
];

/// The chain with a stream for each service and a subject for each flow, as Laban has it: event types.
pub(crate) const FENCED_HOPS: [Hop; 4] = [
    Hop { service: "payment", from: "order.placed", to: "payment.captured", handler: "capture" },
    Hop { service: "inventory", from: "payment.captured", to: "inventory.reserved", handler: "reserve" },
    Hop { service: "shipping", from: "inventory.reserved", to: "shipping.dispatched", handler: "dispatch" },
    Hop { service: "invoice", from: "shipping.dispatched", to: "invoice.issued", handler: "issue" },
];

/// A new trace context, sampled.
pub(crate) fn traceparent() -> String {
    // Neither may be zero.
    format!("00-{:032x}-{:016x}-01", fastrand::u128(1..), fastrand::u64(1..))
}

/// So many headers of the content that Laban's have. The broker would act on a real fence: those of another name weigh
/// the same.
pub(crate) fn extra_headers(count: usize) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for header in 0..count {
        match header {
            0 => headers.insert(
                "Laban",
                format!(
                    "id={} v=1 cause={} on=order.placed handler=capture queue_ms=0.412 handle_ms=0.108",
                    EventId::root(),
                    EventId::root()
                ),
            ),
            1 => headers.insert("traceparent", traceparent()),
            2 => headers.insert("Bench-Expected-Last-Subject-Sequence", fastrand::u32(..).to_string()),
            3 => headers.insert(
                "Bench-Expected-Last-Subject-Sequence-Subject",
                format!("payment.*.f-{:016x}", fastrand::u64(..)),
            ),
            more => headers.insert(
                format!("Bench-Header-{more}"),
                format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..)),
            ),
        }
    }
    headers
}
