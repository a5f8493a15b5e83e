//! The map and its checks: from contract files, and from a real broker.

#![allow(clippy::unwrap_used, reason = "a test's helpers may fail as loudly as the test")]

mod check;
mod discovery;
mod drawing;
mod traffic;

use laban_flow::Map;
use laban_flow::map::read_contracts;
use laban_wire::contract::{Contract, HandlerContract};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

const SHOP: &str = include_str!("../fixtures/shop.json");

fn map(text: &str) -> Map {
    Map::join(read_contracts(text, "a test").unwrap()).unwrap()
}

fn shop() -> Map {
    map(SHOP)
}

/// A contract of these handlers; `begins` names events, separated by spaces.
fn contract(service: &str, begins: &str, handlers: Vec<HandlerContract>) -> Contract {
    Contract {
        service: service.parse().unwrap(),
        laban: String::new(),
        handlers,
        begins: events(begins),
        events: Vec::new(),
    }
}

/// A handler of these events, separated by spaces.
fn handler(name: &str, consumes: &str, emits: &str) -> HandlerContract {
    HandlerContract {
        name: name.to_owned(),
        consumes: events(consumes),
        emits: events(emits),
        fails_with: Vec::new(),
        compensates: Vec::new(),
        deadline: None,
        retry: None,
        timeout_ms: None,
        reads_flow: false,
        at_least_once: false,
        skips_history: false,
    }
}

fn events(names: &str) -> Vec<laban_wire::EventType> {
    names.split_ascii_whitespace().map(|name| name.parse().unwrap()).collect()
}
