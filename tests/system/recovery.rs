//! What goes away comes back, and nothing is lost or done twice meanwhile.

use std::time::Duration;

use async_nats::jetstream;
use demo::audit::ends;
use demo::orders::Plan;
use demo::{Service, Settings};
use laban_testkit::wait;
use laban_tests::{Outcome, Shop, redeliveries};

const SOON: Duration = Duration::from_secs(60);

/// Waits until so many flows have ended.
async fn until_ended(shop: &Shop, ended: usize) -> Outcome {
    let mut history = shop.history().await?;
    wait::until(format!("{ended} flows to end"), SOON, async || {
        history.read_on().await.is_ok()
            && history.ids().filter(|id| !ends(&history, id).is_empty()).count() >= ended
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn the_broker_dies_in_the_middle() -> Outcome {
    let mut shop = Shop::open().await?;
    let plan = Plan::new(120, 30);
    let (placing, gate) = shop.place_in_portions(&plan, 3);
    let troubling = async {
        for death in [20, 60] {
            until_ended(&shop, death).await?;
            gate.add_permits(1);
            shop.mesh.broker_mut().kill();
            shop.mesh.broker_mut().start_again().await?;
        }
        Outcome::Ok(())
    };
    let (placed, troubled) = tokio::join!(placing, troubling);
    troubled?;
    shop.over(&plan, &placed).await?.assert_as_planned(&plan);
    shop.all_alive()?;
    Ok(())
}

#[tokio::test]
async fn consumers_are_deleted_in_the_middle() -> Outcome {
    let shop = Shop::open().await?;
    let plan = Plan::new(80, 31);
    let placing = shop.place(&plan);
    let troubling = async {
        until_ended(&shop, 20).await?;
        let context = jetstream::new(shop.mesh.client().await?);
        for (consumer, stream) in [
            ("payment_charge_order_placed", "ORDER"),
            ("shipping_dispatch_payment_captured", "PAYMENT"),
            ("order_close_shipping_dispatched", "SHIPPING"),
        ] {
            context.delete_consumer_from_stream(consumer, stream).await?;
        }
        Outcome::Ok(())
    };
    let (placed, troubled) = tokio::join!(placing, troubling);
    troubled?;
    // They are made again, and read their streams from the beginning: the fence absorbs what was done before.
    shop.mesh.ready().await?;
    shop.over(&plan, &placed).await?.assert_as_planned(&plan);
    Ok(())
}

/// SIGTERM strands nothing: had one delivery been left without an answer, the broker would deliver it again.
#[tokio::test]
async fn a_rolling_restart_strands_nothing() -> Outcome {
    let env = vec![("SHOP_PAUSE_MS", "20".to_owned())];
    let mut shop = Shop::with(Settings { env, ..Settings::default() }).await?;
    let plan = Plan::new(200, 32);
    let placing = shop.place(&plan);
    let troubling = async {
        until_ended(&shop, 10).await?;
        for service in Service::ALL {
            let status = shop.mesh.stop_service(service).await?;
            assert!(
                status.is_some_and(|status| status.success()),
                "expected {service:?} to drain and exit with 0, it was {status:?}"
            );
            shop.mesh.start_service(service)?;
        }
        Outcome::Ok(())
    };
    let (placed, troubled) = tokio::join!(placing, troubling);
    troubled?;
    shop.over(&plan, &placed).await?.assert_as_planned(&plan);
    let again = redeliveries(&shop.mesh.client().await?).await?;
    assert!(again.len() >= 20, "expected a consumer for each reaction, there are {}", again.len());
    let again: Vec<_> = again.into_iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(again, [], "expected every message to be delivered once");
    Ok(())
}

/// A stop while the broker is away must not hang.
#[tokio::test]
async fn services_stop_without_a_broker() -> Outcome {
    let mut shop = Shop::open().await?;
    shop.mesh.broker_mut().kill();
    for service in Service::ALL {
        let begun = std::time::Instant::now();
        let status = shop.mesh.stop_service(service).await?;
        assert!(status.is_some(), "expected {service:?} to be running");
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(20), "expected {service:?} to stop soon, it took {took:?}");
    }
    Ok(())
}
