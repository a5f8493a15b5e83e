//! The contracts of all services, joined: nothing is wrong with the choreography.

use std::time::Duration;

use laban::{Contract, Service};
use laban_flow::check::check;
use laban_flow::{Map, map::read_contracts};

use crate::{inventory, notification, order, payment, sales, shipping};

fn services() -> [Service; 5] {
    [
        order::service(Duration::from_secs(30)),
        payment::service(payment::Books::in_memory()),
        inventory::service(inventory::Books::in_memory()),
        shipping::service(),
        notification::service(notification::Outbox::in_memory()),
    ]
}

/// What the services print as their contracts.
fn contracts() -> Vec<Contract> {
    services().iter().map(|service| service.contract().unwrap()).collect()
}

/// By way of what they print, as any reader has it.
fn map() -> Map {
    Map::join(read_contracts(&serde_json::to_string(&contracts()).unwrap(), "the shop").unwrap()).unwrap()
}

#[test]
fn nothing_is_wrong_with_it() {
    assert_eq!(check(&map(), &[]), []);
}

/// A reader beside the five: it takes part in no order.
#[test]
fn a_read_model_beside_it_changes_nothing() {
    let sales = sales::service(sales::Report::in_memory()).contract().unwrap();
    assert!(sales.handlers.iter().all(|handler| handler.at_least_once && handler.emits.is_empty()));
    let with_sales = [contracts(), vec![sales]].concat();
    let read = read_contracts(&serde_json::to_string(&with_sales).unwrap(), "the shop").unwrap();
    assert_eq!(check(&Map::join(read).unwrap(), &[]), []);
}

#[test]
fn it_is_five_services_that_share_eleven_events() {
    let map = map();
    assert_eq!((map.services.len(), map.handlers().count(), map.events.len()), (5, 11, 11));
    let beginnings: Vec<_> = map.events.iter().filter(|event| event.begins()).collect();
    assert_eq!(beginnings.len(), 1);
    assert_eq!(beginnings[0].event.as_str(), "order.placed");
}

/// The reading side's tests are about the shop as it is. `LABAN_GOLDEN=overwrite` writes the file anew.
#[test]
fn the_contracts_that_others_are_tested_with_are_these() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../laban-flow/tests/fixtures/shop.json");
    if std::env::var_os("LABAN_GOLDEN").is_some_and(|how| how == "overwrite") {
        std::fs::write(file, serde_json::to_string_pretty(&contracts()).unwrap() + "\n").unwrap();
    }
    let kept: Vec<Contract> = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!(kept, contracts(), "LABAN_GOLDEN=overwrite writes it anew");
}
