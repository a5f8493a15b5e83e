//! Two releases of one service side by side: instances are replaced one by one while orders go on, and taken back again.

use std::collections::BTreeMap;
use std::process::{Command, Output};
use std::time::Duration;

use demo::orders::Plan;
use demo::{History, Service, Settings, program};
use laban_flow::retire::instances;
use laban_testkit::wait;
use laban_tests::{Outcome, Shop};
use laban_wire::{HANDLED, Message};
use serde_json::Value;
use tokio::sync::Semaphore;

/// The releases, as their instances say.
const PRESENT: &str = env!("CARGO_PKG_VERSION");
const NEXT: &str = "0.2.0";
/// In how many portions orders are placed.
const PORTIONS: usize = 4;
/// Longer than anything in the shop takes.
const SOON: Duration = Duration::from_secs(60);

fn laban(shop: &Shop, args: &[&str]) -> Outcome<(Option<i32>, String, String)> {
    let mut command = Command::new(program("laban", "-p laban-cli")?);
    let Output { status, stdout, stderr } =
        command.args(["--server", &shop.mesh.broker().url()]).args(args).output()?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok((status.code(), text(stdout), text(stderr)))
}

/// Waits until just these releases of payment answer.
async fn until_there(shop: &Shop, releases: &[&str]) -> Outcome {
    let (client, service) = (shop.mesh.client().await?, "payment".parse()?);
    let mut last = Vec::new();
    let there = wait::until(format!("payment of {releases:?}"), SOON, async || {
        let found = instances(&client, &service).await.unwrap_or_default();
        last = found.into_iter().map(|one| one.version).collect();
        last == releases
    });
    let there = there.await;
    there.map(drop).map_err(|error| format!("{error}; last seen: {last:?}").into())
}

/// Starts one more instance of payment.
fn start(shop: &mut Shop, name: &str, release: &str) -> Outcome {
    let built = match release {
        NEXT => program("examples/payment-next", "-p shop --examples")?,
        _ => Service::Payment.program()?,
    };
    Ok(shop.mesh.start_beside(name, built, &[])?)
}

/// Asks an instance to end: it finishes what it has in hand.
async fn stop(shop: &mut Shop, name: &str) -> Outcome {
    assert_eq!(shop.mesh.stop_beside(name).await?.and_then(|status| status.code()), Some(0), "{name}");
    Ok(())
}

/// Lets the rest of the orders go when the steps are over, so that none of them is waited for where a step has failed.
async fn all_let_go(gate: &Semaphore, steps: impl Future<Output = Outcome>) -> Outcome {
    let done = steps.await;
    gate.add_permits(PORTIONS);
    done
}

/// How many charges each release has made.
fn charges(history: &History) -> BTreeMap<&'static str, usize> {
    let mut charges = BTreeMap::from([(PRESENT, 0), (NEXT, 0)]);
    let all = history.ids().flat_map(|id| history.messages(id));
    for stored in all.filter(|stored| stored.subject.starts_with("payment.captured.")) {
        let body: Value = serde_json::from_slice(&stored.payload).unwrap_or_default();
        *charges.entry(if body["terminal"] == "next" { NEXT } else { PRESENT }).or_default() += 1;
    }
    charges
}

/// How many receipts have been filed: what only the next release does.
fn filed(history: &History) -> usize {
    let all = history.ids().flat_map(|id| history.messages(id));
    let handled = all.filter(|stored| stored.subject.starts_with(&format!("payment.{HANDLED}.")));
    let reactions = handled.filter_map(|stored| Message::try_from(stored.clone()).ok()?.meta.reaction);
    reactions.filter(|reaction| &*reaction.handler == "file").count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_is_replaced_one_instance_at_a_time_while_orders_go_on_and_taken_back() -> Outcome {
    let mut shop = Shop::with(Settings::default()).await?;
    start(&mut shop, "payment-2", PRESENT)?;
    until_there(&shop, &[PRESENT, PRESENT]).await?;
    let first = Plan::new(60, 95);
    let mut placed = shop.place(&first).await;
    shop.over(&first, &placed).await?.assert_as_planned(&first);

    // Each step in the middle of a portion of orders.
    let while_replaced = Plan::plain(120, 96);
    let (placing, gate) = shop.place_in_portions(&while_replaced, PORTIONS);
    let replacing = async {
        start(&mut shop, "next-1", NEXT)?;
        until_there(&shop, &[PRESENT, PRESENT, NEXT]).await?;
        gate.add_permits(1);
        let ended = shop.mesh.stop_service(Service::Payment).await?;
        assert_eq!(ended.and_then(|status| status.code()), Some(0));
        gate.add_permits(1);
        start(&mut shop, "next-2", NEXT)?;
        until_there(&shop, &[PRESENT, NEXT, NEXT]).await?;
        gate.add_permits(1);
        stop(&mut shop, "payment-2").await?;
        until_there(&shop, &[NEXT, NEXT]).await
    };
    let (portions, replaced) = tokio::join!(placing, all_let_go(&gate, replacing));
    replaced?;
    placed.extend(portions);
    let last = Plan::plain(20, 97);
    placed.extend(shop.place(&last).await);

    let plan = first.and(&while_replaced).and(&last);
    let over = shop.over(&plan, &placed).await?;
    over.assert_as_planned(&plan);
    let by = charges(&over.history);
    assert!(by[PRESENT] >= first.completed() && by[NEXT] >= last.completed(), "{by:?}");
    assert_eq!(
        filed(&over.history),
        over.audit.completed.len(),
        "each receipt once, those of before as well"
    );
    let (code, found, err) = laban(&shop, &["check"])?;
    assert_eq!(code, Some(0), "{found}{err}");

    // And back. The new field goes without a word; the handler that is gone has left its consumer.
    let while_taken_back = Plan::plain(60, 98);
    let (placing, gate) = shop.place_in_portions(&while_taken_back, PORTIONS);
    let taking_back = async {
        shop.mesh.start_service(Service::Payment)?;
        until_there(&shop, &[PRESENT, NEXT, NEXT]).await?;
        gate.add_permits(1);
        stop(&mut shop, "next-1").await?;
        let (code, _, err) = laban(&shop, &["retire", "payment", "file", "--yes"])?;
        assert!(
            code == Some(1) && err.contains("is not gone: 1 instance of it") && err.contains(NEXT),
            "{err}"
        );
        stop(&mut shop, "next-2").await?;
        until_there(&shop, &[PRESENT]).await
    };
    let (portions, taken_back) = tokio::join!(placing, all_let_go(&gate, taking_back));
    taken_back?;
    placed.extend(portions);
    let alone = Plan::plain(10, 99);
    let placed_alone = shop.place(&alone).await;
    let keys: Vec<String> = placed_alone.iter().filter_map(|one| Some(one.flow.as_ref()?.key())).collect();
    until_only_receipts_are_awaited(&shop, &keys).await?;
    placed.extend(placed_alone);

    let log = shop.mesh.process(Service::Payment).ok_or("payment runs")?.log_tail(1000);
    assert!(log.contains("`laban retire payment file`"), "said when it started: {log}");
    let (code, out, err) = laban(&shop, &["retire", "payment", "file", "--yes"])?;
    assert_eq!((code, out.as_str()), (Some(0), "retired: handler `file` of payment\n"), "{err}");
    let plan = plan.and(&while_taken_back).and(&alone);
    let over = shop.over(&plan, &placed).await?;
    over.assert_as_planned(&plan);
    assert!(charges(&over.history)[PRESENT] >= first.completed() + alone.completed());
    shop.mesh.stop().await?;
    Ok(())
}

/// Waits until these flows are stuck for want of the handler that only the next release has, and of nothing else.
async fn until_only_receipts_are_awaited(shop: &Shop, keys: &[String]) -> Outcome {
    let stuck = || -> Outcome<Vec<Value>> {
        let (_, out, _) = laban(shop, &["flow", "list", "--json", "--state", "stuck", "--overdue", "0s"])?;
        out.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    };
    let file = |one: &Value| one["service"] == "payment" && one["handler"] == "file";
    let only = |flow: &Value| flow["awaited"].as_array().is_some_and(|awaited| awaited.iter().all(file));
    let found = wait::until("flows to be stuck for want of `file` alone", SOON, async || {
        let Ok(found) = stuck() else { return false };
        let is_there = |key: &String| found.iter().any(|flow| flow["flow"] == key.as_str() && only(flow));
        keys.iter().all(is_there) && found.iter().all(only)
    });
    found.await.map(drop).map_err(|error| format!("{error}: {:?}", stuck().ok()).into())
}
