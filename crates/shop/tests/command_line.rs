//! What the services say on the command line, with no broker there and no books made.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Command, Output};

const SERVICES: [(&str, &str); 5] = [
    ("inventory", env!("CARGO_BIN_EXE_inventory")),
    ("notification", env!("CARGO_BIN_EXE_notification")),
    ("order", env!("CARGO_BIN_EXE_order")),
    ("payment", env!("CARGO_BIN_EXE_payment")),
    ("shipping", env!("CARGO_BIN_EXE_shipping")),
];

fn ask(binary: &str, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(binary);
    // Nobody is there, and a service that started would wait for the broker.
    command.args(arguments).env("NATS_URL", "nats://127.0.0.1:1").env("LABAN_CONNECT_TIMEOUT_MS", "60000");
    command.env("SHOP_HTTP_ADDR", "127.0.0.1:0").current_dir(folder.path());
    let output = command.output().unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{binary} made something");
    output
}

#[test]
fn every_service_prints_its_contract() {
    for (name, binary) in SERVICES {
        let output = ask(binary, &["contract"]);
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        let contract: laban::Contract = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(contract.service.as_str(), name);
        assert!(!contract.handlers.is_empty() && !contract.events.is_empty());
    }
}

#[test]
fn every_service_says_what_it_can_be_asked() {
    for (name, binary) in SERVICES {
        let output = ask(binary, &["--help"]);
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{help}");
        let own = match name {
            "order" => "SHOP_HTTP_ADDR",
            "shipping" => "LABAN_HTTP_ADDR",
            _ => "SHOP_BOOKS_DIR",
        };
        for hint in [name, "contract", "health", "docs/settings.md", "NATS_URL", own] {
            assert!(help.contains(hint), "{hint:?} is not in: {help}");
        }
        let output = ask(binary, &["contracts"]);
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), b"".as_slice()));
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains("`contracts`") && told.contains("--help"), "{told}");
    }
}

/// What a service without anybody at its address is: not ready, and that is all.
#[test]
fn every_service_is_asked_for_its_health_without_being_started() {
    for (_, binary) in SERVICES {
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let asked = Command::new(binary).arg("health").env("LABAN_HTTP_ADDR", gone.to_string()).output();
        let asked = asked.unwrap();
        let told = String::from_utf8(asked.stderr).unwrap();
        assert_eq!(asked.status.code(), Some(1), "{told}");
        assert!(told.starts_with("not ready: ") && told.contains(&gone.to_string()), "{told}");
        let asked = Command::new(binary).arg("health").env_remove("LABAN_HTTP_ADDR").output().unwrap();
        let told = String::from_utf8(asked.stderr).unwrap();
        assert_eq!(asked.status.code(), Some(2), "{told}");
        assert!(told.contains("LABAN_HTTP_ADDR is not set"), "{told}");
    }
}
