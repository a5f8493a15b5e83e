//! `kill -9` of a service in the middle, then its restart: the same totals, nothing twice.

use std::time::Duration;

use demo::audit::ends;
use demo::orders::Plan;
use demo::{Service, Settings};
use laban_testkit::wait;
use laban_tests::{Outcome, Shop};
use tokio::sync::Semaphore;

/// How many orders, and after how many ends the service is killed.
const ORDERS: usize = 200;
const DEATHS: [usize; 2] = [40, 90];

/// Handlers wait a little between their entry in the books and their return: there a crash hurts most.
const PAUSE_MS: &str = "20";

async fn survives_the_death_of(service: Service) -> Outcome {
    let env = vec![("SHOP_PAUSE_MS", PAUSE_MS.to_owned())];
    let mut shop = Shop::with(Settings { env, ..Settings::default() }).await?;
    let plan = Plan::new(ORDERS, 10 + service as u64);
    let (placing, gate) = shop.place_in_portions(&plan, DEATHS.len() + 1);
    let (placed, killed) = tokio::join!(placing, kill(&mut shop, service, &gate));
    killed?;
    shop.over(&plan, &placed).await?.assert_as_planned(&plan);
    Ok(())
}

/// Kills the service and starts it again, each time that so many flows have ended and more orders come.
async fn kill(shop: &mut Shop, service: Service, gate: &Semaphore) -> Outcome {
    let mut history = shop.history().await?;
    for death in DEATHS {
        let what = format!("{death} flows to end, to kill {service:?} then");
        wait::until(what, Duration::from_secs(60), async || {
            history.read_on().await.is_ok()
                && history.ids().filter(|id| !ends(&history, id).is_empty()).count() >= death
        })
        .await?;
        gate.add_permits(1);
        shop.mesh.kill_service(service);
        shop.mesh.start_service(service)?;
    }
    Ok(())
}

#[tokio::test]
async fn the_order_service_is_killed() -> Outcome {
    survives_the_death_of(Service::Order).await
}

#[tokio::test]
async fn the_payment_service_is_killed() -> Outcome {
    survives_the_death_of(Service::Payment).await
}

#[tokio::test]
async fn the_inventory_service_is_killed() -> Outcome {
    survives_the_death_of(Service::Inventory).await
}

#[tokio::test]
async fn the_shipping_service_is_killed() -> Outcome {
    survives_the_death_of(Service::Shipping).await
}

#[tokio::test]
async fn the_notification_service_is_killed() -> Outcome {
    survives_the_death_of(Service::Notification).await
}
