//! The programs that have failpoints in them.

use laban_testkit::{Process, ProcessBuilder};
use laban_tests::Outcome;

use crate::account::{Account, Shared};
use crate::instance::{Instance, PATIENCE};

fn shop(service: &str) -> ProcessBuilder {
    Process::builder(env!("CARGO_BIN_EXE_shop-with-faults")).env("SHOP_SERVICE", service)
}

#[tokio::test]
async fn every_service_of_the_shop_starts_with_failpoints() -> Outcome {
    let shared = Shared::open().await?;
    for service in ["order", "payment", "inventory", "shipping", "notification"] {
        let account = Account::open(&shared).await?;
        let books = tempfile::tempdir()?;
        let mut env = Vec::from(account.env());
        env.push(("SHOP_BOOKS_DIR", books.path().display().to_string()));
        env.push(("SHOP_HTTP_ADDR", "127.0.0.1:0".to_owned()));
        let instance = Instance::spawn(shop(service), "fence=off", env)?;
        let says = async || {
            instance.has_said("started")
                && instance.has_said("this build has failpoints; it is for tests only")
        };
        instance.until("it to start", says).await?;
        assert!(instance.process().is_running(), "{service}: {}", instance.process().log_tail(20));
    }
    Ok(())
}

#[tokio::test]
async fn a_value_that_makes_no_sense_stops_the_start() -> Outcome {
    for (faults, hint) in [
        ("after-lunch=abort", "there is no point `after-lunch`; there are received, input-read"),
        ("received=explode", "there is no action `explode`; there are abort, freeze"),
        ("before-append=lose-answer", "goes with `append-sent` only"),
    ] {
        let instance = Instance::spawn(shop("shipping"), faults, [])?;
        let status = instance.process().wait_timeout(PATIENCE).await?;
        let said = instance.process().log_tail(5);
        assert_eq!(status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("LABAN_FAULTS={faults}")) && said.contains(hint), "{said}");
    }
    Ok(())
}

#[tokio::test]
async fn a_service_that_the_shop_does_not_have_is_refused() -> Outcome {
    let instance = Instance::spawn(shop("returns"), "", [])?;
    let status = instance.process().wait_timeout(PATIENCE).await?;
    let said = instance.process().log_tail(5);
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("one of order, payment, inventory, shipping, notification"), "{said}");
    Ok(())
}
