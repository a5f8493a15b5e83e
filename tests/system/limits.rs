//! Messages that a broker does not take, because they are too large.

use demo::audit::ends;
use demo::orders::Plan;
use demo::{Service, Settings};
use laban_testkit::Broker;
use laban_tests::{Outcome, Shop};
use laban_wire::FlowId;

/// Around the broker's limit: whatever its size, an order is refused, or its flow ends; a record that outgrows the limit on the
/// way is a dead letter.
#[tokio::test]
async fn payloads_over_the_limit() -> Outcome {
    const LIMIT: usize = 3072;
    let broker = Broker::builder().max_payload(LIMIT).start().await?;
    let shop = Shop::with(Settings { broker: Some(broker), ..Settings::default() }).await?;
    let url = shop.mesh.door().url().ok_or("expected the shop to be open")?;
    let http = reqwest::Client::new();
    let (mut taken, mut refused) = (Vec::new(), 0);
    for bytes in (800..LIMIT).step_by(20) {
        let id = format!("{bytes} bytes");
        let (status, said) = order_of(&http, &url, &id, bytes).await?;
        match status {
            202 => taken.push(FlowId::new(&id)?),
            422 => {
                refused += 1;
                for expected in ["not_taken", "3072", "max_payload"] {
                    assert!(said.contains(expected), "{id}: expected {expected:?} in: {said}");
                }
            }
            status => return Err(format!("{id}: expected 202 or 422, it was {status}: {said}").into()),
        }
    }
    assert!(refused > 0, "expected some of the orders to be refused");
    let history = shop.settled(&taken).await?;
    let (mut cancelled, mut dead) = (0, 0);
    for id in &taken {
        let flow = history.flow(id).ok_or_else(|| format!("expected flow {id} to be there"))?;
        match flow.dead_letters().next() {
            None => cancelled += ends(&history, id).len(),
            Some(letter) => {
                dead += 1;
                let reason = letter.error.as_deref().unwrap_or_default();
                assert!(reason.contains("3072") && reason.contains("max_payload"), "flow {id}: {reason}");
            }
        }
    }
    assert_eq!(
        cancelled + dead,
        taken.len(),
        "expected each flow to end once, cancelled or with a dead letter"
    );
    let counted = refused_appends(&http, &shop).await?;
    assert!(counted >= dead, "expected {dead} refused appends to be counted, {counted} were");
    assert!(cancelled > 0 && dead > 0, "expected some of each, there are {cancelled} cancelled, {dead} dead");
    let plan = Plan::new(20, 54);
    let placed = shop.place(&plan).await;
    let over = shop.over(&plan, &placed).await?;
    assert_eq!(over.audit.completed.len(), plan.completed(), "expected the shop to go on");
    shop.all_alive()?;
    Ok(())
}

/// How many appends were refused, as the services count them.
async fn refused_appends(http: &reqwest::Client, shop: &Shop) -> Outcome<usize> {
    let mut refused = 0.0;
    for service in Service::ALL {
        let url = format!("http://{}/metrics", shop.metrics_address(service)?);
        let metrics = http.get(url).send().await?.text().await?;
        let of_it = metrics.lines().filter(|line| line.starts_with("laban_appends_failed_total{"));
        let of_it = of_it.filter(|line| line.contains("reason=\"refused\""));
        refused += of_it.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>();
    }
    Ok(refused as usize)
}

/// Places an order of about so many bytes, for goods that are missing.
async fn order_of(http: &reqwest::Client, url: &str, id: &str, bytes: usize) -> Outcome<(u16, String)> {
    const LINE: usize = 110;
    let line = |n| serde_json::json!({ "sku": format!("{n:064}"), "quantity": 1, "unit_price_cents": 900 });
    let lines: Vec<_> = (0..bytes / LINE).map(line).collect();
    let customer = "x".repeat(1 + bytes % LINE);
    let order = serde_json::json!({ "order_id": id, "customer": customer, "card": "visa", "lines": lines });
    let answer = http.post(url).json(&order).send().await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}
