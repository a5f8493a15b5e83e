//! The bench's chain of four handlers by RustStream, untraced and unfenced, as its guides "Streams and consumers" and
//! "Publishing to streams" have it:
//!
//! - a durable pull consumer per handler (`JetStreamSubject::durable`);
//! - `reply` with `JetStreamPublish`: the next event is published, and its acknowledgement awaited, before the input is
//!   acknowledged;
//! - `workers(64)`: as many events at a time as every contestant works on;
//! - each of the four services is an application with a connection of its own, as it would be in a process of its own.
//!
//! All else is as it is by default.

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;

use ruststream_nats::prelude::*;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, BufReader};

/// The body of all events, field for field that of the other contestants.
#[derive(Clone, Serialize, Deserialize)]
pub struct Order {
    id: String,
    customer: String,
    total_cents: u64,
    currency: String,
    placed_at: String,
    lines: Vec<Line>,
    address: Address,
}

#[derive(Clone, Serialize, Deserialize)]
struct Line {
    sku: String,
    quantity: u32,
    price_cents: u64,
}

#[derive(Clone, Serialize, Deserialize)]
struct Address {
    street: String,
    city: String,
    zip: String,
}

/// Where flows begin.
#[derive(Deserialize)]
pub struct OrderPlaced {
    order: Order,
}

macro_rules! event {
    ($type:ident, $subject:literal) => {
        /// An event of the chain.
        #[derive(Serialize, Deserialize, Outgoing)]
        #[outgoing(name = $subject)]
        pub struct $type {
            order: Order,
        }
    };
}

event!(PaymentCaptured, "orders.captured");
event!(StockReserved, "orders.reserved");
event!(ParcelDispatched, "orders.dispatched");
event!(InvoiceIssued, "orders.issued");

// A handler borrows its event, so the order is cloned.

#[subscriber(JetStreamSubject::new("orders.placed", "ORDERS").durable("payment"), reply, workers(64))]
async fn capture(event: &OrderPlaced) -> PaymentCaptured {
    PaymentCaptured { order: event.order.clone() }
}

#[subscriber(JetStreamSubject::new("orders.captured", "ORDERS").durable("inventory"), reply, workers(64))]
async fn reserve(event: &PaymentCaptured) -> StockReserved {
    StockReserved { order: event.order.clone() }
}

#[subscriber(JetStreamSubject::new("orders.reserved", "ORDERS").durable("shipping"), reply, workers(64))]
async fn dispatch(event: &StockReserved) -> ParcelDispatched {
    ParcelDispatched { order: event.order.clone() }
}

#[subscriber(JetStreamSubject::new("orders.dispatched", "ORDERS").durable("invoice"), reply, workers(64))]
async fn issue(event: &ParcelDispatched) -> InvoiceIssued {
    InvoiceIssued { order: event.order.clone() }
}

/// `--url <broker>` and `--runtime multi-thread|current-thread`; the rest is said on standard input, as to every
/// contestant: see the README of the bench.
pub fn main() -> ExitCode {
    let mut url = String::new();
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let mut args = std::env::args().skip(1);
    while let (Some(name), Some(value)) = (args.next(), args.next()) {
        match (name.as_str(), value.as_str()) {
            ("--url", _) => url = value,
            ("--runtime", "current-thread") => builder = tokio::runtime::Builder::new_current_thread(),
            _ => {}
        }
    }
    let ended = builder.enable_all().build().map_err(Into::into).and_then(|runtime| {
        let ended = runtime.block_on(run(&url));
        runtime.shutdown_background();
        ended
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "ruststream-chain: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(url: &str) -> Result<(), Box<dyn Error>> {
    macro_rules! service {
        ($name:literal, $handler:ident) => {
            RustStream::new(AppInfo::new($name, "0.1.0"))
                .with_broker(NatsBroker::new(url), |b| {
                    b.include($handler).out_reply(JetStreamPublish::default());
                })
                .start()
                .await?
        };
    }
    let services = [
        service!("payment", capture),
        service!("inventory", reserve),
        service!("shipping", dispatch),
        service!("invoice", issue),
    ];
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    say(r#"{"ready":true}"#)?;
    match lines.next_line().await? {
        Some(line) if line == "stop" => {}
        other => return Err(format!("the driver said {other:?}, not \"stop\"").into()),
    }
    for service in services {
        service.shutdown().await?;
    }
    say(r#"{"stopped":true}"#)?;
    while lines.next_line().await?.is_some() {}
    Ok(())
}

fn say(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
