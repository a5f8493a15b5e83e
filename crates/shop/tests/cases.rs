//! Orders that were really placed, as tests: each service, given what it was told about them, does what it did then.
//!
//! The files were written by `laban flow export <order> --format case`. Each service runs alone, with new books.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use laban::Service;
use laban_testkit::{Broker, Case, Error};
use shop::settings::Settings;
use shop::{inventory, notification, order, payment, shipping};

/// No payment is overdue in these orders, however slow the machine is.
const DEADLINE: Duration = Duration::from_secs(3600);

/// An order that is paid, reserved, sent and completed: shipping waits for both halves.
#[tokio::test]
async fn an_order_completes() -> Result<(), Error> {
    holds("completed.json").await
}

/// One of the goods is sold out: the money goes back.
#[tokio::test]
async fn an_order_without_stock_is_refunded() -> Result<(), Error> {
    holds("no-stock.json").await
}

/// The card is declined: the goods go back.
#[tokio::test]
async fn a_declined_order_gives_its_goods_back() -> Result<(), Error> {
    holds("declined.json").await
}

/// Whether every service does what it did.
async fn holds(file: &str) -> Result<(), Error> {
    let case = Case::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(file))?;
    assert_eq!(case.services(), ["inventory", "notification", "order", "payment", "shipping"]);
    for name in case.services() {
        let (broker, folder) = (Broker::start().await?, tempfile::tempdir().unwrap());
        let run = case.of(name).on(&broker).await?;
        let service = service(name, folder.path()).setting("NATS_URL", broker.url());
        let _running = service.own_telemetry().own_signals().start().await.unwrap();
        run.check().await?;
    }
    Ok(())
}

/// A service with books that nobody has written in yet.
fn service(name: &str, books_dir: &Path) -> Service {
    let settings = Settings {
        http_addr: (Ipv4Addr::LOCALHOST, 0).into(),
        http_addr_file: None,
        books_dir: books_dir.to_owned(),
        payment_deadline: DEADLINE,
        pause: Duration::ZERO,
    };
    match name {
        "inventory" => inventory::service(inventory::Books::open(&settings).unwrap()),
        "notification" => notification::service(notification::Outbox::open(&settings).unwrap()),
        "order" => order::service(DEADLINE),
        "payment" => payment::service(payment::Books::open(&settings).unwrap()),
        "shipping" => shipping::service(),
        other => panic!("the shop has no service {other}"),
    }
}
