//! A deadline passes although nobody is there: every process is killed, the broker too, and started again.

use std::time::Duration;

use async_nats::jetstream;
use demo::orders::Plan;
use demo::{Service, Settings};
use laban_testkit::wait;
use laban_tests::{Outcome, Shop};

/// Long enough to be set and not to pass before all is killed.
const DEADLINE: Duration = Duration::from_secs(6);
const ORDERS: usize = 20;

/// How many timers the order service has, waiting or due.
async fn timers(shop: &Shop) -> Outcome<u64> {
    let context = jetstream::new(shop.mesh.client().await?);
    Ok(context.get_stream("ORDER_TIMERS").await?.cached_info().state.messages)
}

async fn until_timers(shop: &Shop, count: u64) -> Outcome {
    wait::until(format!("{count} timers"), Duration::from_secs(60), async || {
        timers(shop).await.is_ok_and(|timers| timers == count)
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_deadline_survives_the_death_of_everything() -> Outcome {
    let env = vec![("SHOP_PAYMENT_DEADLINE_MS", DEADLINE.as_millis().to_string())];
    let mut shop = Shop::with(Settings { env, ..Settings::default() }).await?;
    let plan = Plan::silent(ORDERS, 60);
    let placed = shop.place(&plan).await;
    until_timers(&shop, ORDERS as u64).await?;
    for service in Service::ALL {
        shop.mesh.kill_service(service);
    }
    shop.mesh.broker_mut().kill();
    tokio::time::sleep(DEADLINE).await; // why: the deadline is to pass while nobody is there
    shop.mesh.broker_mut().start_again().await?;
    shop.mesh.start_services().await?;
    let over = shop.over(&plan, &placed).await?;
    over.assert_as_planned(&plan);
    assert_eq!(over.audit.overdue, ORDERS, "expected the deadline of each order to have passed");
    until_timers(&shop, 0).await
}

#[tokio::test]
async fn a_payment_that_answers_leaves_no_timer() -> Outcome {
    // Half a minute, as the shop has it.
    let shop = Shop::open().await?;
    let plan = Plan::plain(20, 61);
    let over = shop.serves(&plan).await?;
    over.assert_as_planned(&plan);
    assert_eq!(over.audit.overdue, 0, "expected no deadline to have passed");
    until_timers(&shop, 0).await
}
