//! `laban replay run`: the shop's history handed to its services again, while it is open.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use demo::orders::{Placed, Plan, place};
use demo::{History, Progress, Service, Settings, program};
use futures_util::StreamExt as _;
use futures_util::future::try_join_all;
use futures_util::stream::FuturesUnordered;
use laban_testkit::wait;
use laban_tests::{Failure, Outcome, Shop, note};
use laban_wire::FlowId;
use serde_json::Value;
use shop::notification::Letter;
use shop::sales::CustomerSales;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

/// Orders a second that go on meanwhile.
const STEADY: u64 = 50;
/// More than are ever placed.
const MOST: usize = 20_000;
const PATIENCE: Duration = Duration::from_secs(120);

/// What a replay said: its totals by handler.
#[derive(Debug)]
struct Said(Value);

impl Said {
    fn sum(&self, what: &str) -> u64 {
        let handlers = self.0["handlers"].as_array();
        handlers.into_iter().flatten().filter_map(|handler| handler[what].as_u64()).sum()
    }

    fn of(&self, handler: &str, what: &str) -> u64 {
        let handlers = self.0["handlers"].as_array();
        let mut handlers = handlers.into_iter().flatten();
        handlers.find(|one| one["handler"] == handler).and_then(|one| one[what].as_u64()).unwrap_or_default()
    }
}

/// Replays, and fails unless all was answered.
async fn replay(shop: &Shop, service: &str, range: &[&str]) -> Outcome<Said> {
    let mut command = tokio::process::Command::new(program("laban", "-p laban-cli")?);
    command.args(["replay", "run", "--server", &shop.mesh.broker().url(), "--service", service, "--json"]);
    let done = command.args(range).stdin(Stdio::null()).kill_on_drop(true).output().await?;
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{service}: {told}");
    assert!(told.contains(&format!("messages to hand to {service}")), "said before it starts: {told}");
    let said = Said(serde_json::from_slice(&done.stdout)?);
    // How many it would be was counted while others wrote: a close guess. That none was lost shows in what became of them.
    let settled = ["absorbed", "emitted", "handled", "awaited", "not_due"].map(|what| said.sum(what));
    let settled: u64 = settled.iter().sum();
    assert!(settled > 0 && said.sum("messages") > 0, "{service}: {said:?}");
    Ok(said)
}

/// The same for all services at once.
async fn replay_all(shop: &Shop, range: &[&str]) -> Outcome<BTreeMap<Service, Said>> {
    let all = Service::ALL
        .map(async |service| Ok::<_, Failure>((service, replay(shop, service.name(), range).await?)));
    Ok(try_join_all(all).await?.into_iter().collect())
}

/// Places orders at a steady rate until told to stop. Says which, and what was answered.
async fn place_steadily(
    shop: &Shop,
    seed: u64,
    mut stop: watch::Receiver<bool>,
) -> Outcome<(Plan, Vec<Placed>)> {
    let (door, mut plan) = (shop.mesh.door(), Plan::plain(MOST, seed));
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / u32::try_from(STEADY)?);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut under_way = FuturesUnordered::new();
    let (mut placed, mut begun) = (Vec::new(), 0);
    while !*stop.borrow() && begun < plan.orders.len() {
        tokio::select! {
            _ = ticks.tick() => {
                let (door, order) = (door.clone(), plan.orders[begun].clone());
                begun += 1;
                under_way.push(async move {
                    place(&door, &[order], 1, &Progress::Silent.stage("", 0)).await
                });
            }
            Some(one) = under_way.next(), if !under_way.is_empty() => placed.extend(one),
            _ = stop.changed() => {}
        }
    }
    while let Some(one) = under_way.next().await {
        placed.extend(one);
    }
    plan.orders.truncate(begun);
    Ok((plan, placed))
}

/// Where each record of each flow is stored.
fn places(history: &History) -> BTreeMap<FlowId, Vec<(String, u64)>> {
    let places = |id: &FlowId| {
        let mut places: Vec<_> =
            history.messages(id).iter().map(|stored| (stored.stream.to_string(), stored.seq)).collect();
        places.sort();
        places
    };
    history.ids().map(|id| (id.clone(), places(id))).collect()
}

/// How many events of these types the streams hold.
fn events(history: &History, types: &[&str]) -> u64 {
    let all = history.ids().flat_map(|id| history.messages(id));
    let of = |subject: &str| types.iter().any(|event| subject.starts_with(&format!("{event}.")));
    all.filter(|stored| of(&stored.subject)).count() as u64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_history_twice_while_orders_go_on_changes_nothing() -> Outcome {
    let shop = Shop::impatient().await?;
    let plan = Plan::with_silent_banks(200, 71);
    let placed = shop.place(&plan).await;
    let before = shop.over(&plan, &placed).await?;
    before.assert_as_planned(&plan);
    let old = places(&before.history);
    let last = before.history.ids().flat_map(|id| before.history.messages(id)).map(|stored| stored.at).max();
    let until = (last.ok_or("no history")? + Duration::from_millis(1))
        .format(&time::format_description::well_known::Rfc3339)?;

    let (stop, stopped) = watch::channel(false);
    let replays = async {
        // The first time what was there before, which can be counted; the second time all there is by then.
        let said = replay_all(&shop, &["--until", &until]).await?;
        let again = replay_all(&shop, &[]).await?;
        for (service, first) in &said {
            assert!(again[service].sum("absorbed") >= first.sum("absorbed"), "{service:?}: {again:?}");
        }
        let absorbed_again: u64 = again.values().map(|said| said.sum("absorbed")).sum();
        let _ = stop.send(true);
        Ok::<_, Failure>((said, absorbed_again))
    };
    let (more, said) = tokio::join!(place_steadily(&shop, 72, stopped), replays);
    let ((more, more_placed), (said, absorbed_again)) = (more?, said?);
    let absorbed: u64 = said.values().map(|said| said.sum("absorbed")).sum();
    note(&format!(
        "absorbed: {absorbed}, then {absorbed_again}; {} orders were placed meanwhile",
        more_placed.len()
    ));

    // Ground truth: each event is one that took effect before, for each handler that reacts to it, but for deadlines that
    // were kept.
    let all = |types: &[&str]| events(&before.history, types);
    for (service, handler, types) in [
        (Service::Payment, "charge", &["order.placed"][..]),
        (Service::Payment, "void", &["order.payment-overdue"]),
        (Service::Payment, "refund", &["inventory.rejected"]),
        (Service::Inventory, "reserve", &["order.placed"]),
        (Service::Inventory, "release", &["payment.declined"]),
        (Service::Inventory, "ship", &["shipping.dispatched"]),
        (Service::Shipping, "dispatch", &["payment.captured", "inventory.reserved"]),
        (Service::Shipping, "call_off", &["order.cancelled"]),
    ] {
        assert_eq!(said[&service].of(handler, "absorbed"), all(types), "{service:?} {handler}");
    }
    // Those that were overdue have been declined since: what the deadline waits for is in every flow.
    assert!(all(&["order.payment-overdue"]) > 0);
    assert_eq!(said[&Service::Order].of("give_up", "awaited"), all(&["order.placed"]));
    for said in said.values() {
        assert_eq!(said.sum("emitted") + said.sum("handled"), 0, "nothing took effect now: {said:?}");
    }

    let plan = plan.and(&more);
    let placed: Vec<Placed> = placed.into_iter().chain(more_placed).collect();
    let over = shop.over(&plan, &placed).await?;
    over.assert_as_planned(&plan);
    let now = places(&over.history);
    for (flow, places) in &old {
        assert_eq!(now.get(flow), Some(places), "nothing was written about a flow that had ended");
    }
    shop.all_alive()?;
    Ok(())
}

/// What the streams say that the report should be.
fn sales_of(history: &History) -> Vec<CustomerSales> {
    let mut sales = BTreeMap::<String, CustomerSales>::new();
    for stored in history.ids().flat_map(|id| history.messages(id)) {
        let Ok(body) = serde_json::from_slice::<Value>(&stored.payload) else { continue };
        let event = stored.subject.rsplit_once('.').map_or("", |(event, _)| event);
        let cents = |member: &str| body[member].as_u64().unwrap_or_default();
        let Some(customer) = body["customer"].as_str().filter(|_| !event.contains("._")) else { continue };
        let of = sales.entry(customer.to_owned()).or_default();
        match event {
            "order.placed" => {
                (of.orders, of.ordered_cents) = (of.orders + 1, of.ordered_cents + cents("total_cents"))
            }
            "payment.captured" => of.captured_cents += cents("amount_cents"),
            "payment.refunded" => of.refunded_cents += cents("amount_cents"),
            "order.completed" => of.completed += 1,
            "order.cancelled" => of.cancelled += 1,
            _ => {}
        }
    }
    sales.into_iter().map(|(customer, of)| CustomerSales { customer, ..of }).collect()
}

/// The report is not traced, for it takes part in no order.
fn start_sales(shop: &mut Shop) -> Outcome {
    let program = program("sales", "-p shop --bins")?;
    Ok(shop.mesh.start_beside("sales", program, &[("OTEL_SDK_DISABLED", "true")])?)
}

/// Waits until the report says what the streams say.
async fn until_reported(shop: &Shop, wanted: &[CustomerSales]) -> Outcome {
    let books = shop.mesh.books();
    let reported = wait::until("the report to say what the streams say", PATIENCE, async || {
        shop::sales::sales(&books).is_ok_and(|found| found == wanted)
    });
    let reported = reported.await;
    reported
        .map(drop)
        .map_err(|error| format!("{error}: {:?} instead of {wanted:?}", shop::sales::sales(&books)).into())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_model_is_built_anew_while_orders_go_on() -> Outcome {
    let mut shop = Shop::with(Settings::default()).await?;
    start_sales(&mut shop)?;
    let plan = Plan::new(100, 73);
    let placed = shop.place(&plan).await;
    let before = shop.over(&plan, &placed).await?;
    let report = sales_of(&before.history);
    until_reported(&shop, &report).await?;
    assert_eq!(shop.mesh.stop_beside("sales").await?.and_then(|status| status.code()), Some(0));

    let (stop, stopped) = watch::channel(false);
    for file in ["sales.db", "sales.db-wal", "sales.db-shm"] {
        match std::fs::remove_file(shop.mesh.books().join(file)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    start_sales(&mut shop)?;
    let replays = async {
        let said = replay(&shop, "sales", &[]).await?;
        let _ = stop.send(true);
        Ok::<_, Failure>(said)
    };
    let (more, said) = tokio::join!(place_steadily(&shop, 74, stopped), replays);
    let ((more, more_placed), said) = (more?, said?);
    assert!(said.of("enter", "handled") >= events(&before.history, &["order.placed"]), "{said:?}");
    note(&format!(
        "rebuilt from {} events while {} orders were placed",
        said.of("enter", "handled"),
        more_placed.len()
    ));

    let plan = plan.and(&more);
    let placed: Vec<Placed> = placed.into_iter().chain(more_placed).collect();
    let over = shop.over(&plan, &placed).await?;
    over.assert_as_planned(&plan);
    let report = sales_of(&over.history);
    until_reported(&shop, &report).await?;
    let kept: u64 = report.iter().map(|of| of.captured_cents - of.refunded_cents).sum();
    assert_eq!(
        kept,
        shop::audit::Audit::read(&shop.mesh.books())?.money_kept_cents(),
        "as the books have it"
    );
    // Again changes nothing: each event has its key.
    replay(&shop, "sales", &[]).await?;
    until_reported(&shop, &report).await?;
    assert_eq!(over.audit.flows as u64, report.iter().map(|of| of.orders).sum::<u64>());
    Ok(())
}

/// Waits until a handler has been asked so many times more.
async fn until_asked(client: &async_nats::Client, handler: &str, times: usize) -> Outcome {
    // A copy of each request: whoever is in the queue group gets it all the same.
    let mut requests = client.subscribe(format!("_replay.{handler}")).await?;
    for _ in 0..times {
        tokio::time::timeout(PATIENCE, requests.next()).await?.ok_or("the subscription ended")?;
    }
    // With a listener there it would never be nobody who is asked.
    requests.unsubscribe().await?;
    Ok(client.flush().await?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_goes_on_after_the_service_was_killed_and_the_broker_was() -> Outcome {
    let mut shop = Shop::open().await?;
    let plan = Plan::plain(100, 75);
    let placed = shop.place(&plan).await;
    let before = shop.over(&plan, &placed).await?;
    before.assert_as_planned(&plan);
    let client = shop.mesh.client().await?;
    let mut command = tokio::process::Command::new(program("laban", "-p laban-cli")?);
    command.args(["replay", "run", "--server", &shop.mesh.broker().url(), "--service", "payment", "--json"]);
    // So slow that what follows comes in the middle of it.
    command.args(["--handler", "charge", "--rate", "20", "--patience", "30s"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let replaying = command.spawn()?;
    until_asked(&client, "payment.charge", 15).await?;
    shop.mesh.kill_service(Service::Payment);
    shop.mesh.start_service(Service::Payment)?;
    until_asked(&client, "payment.charge", 15).await?;
    shop.mesh.broker_mut().kill();
    shop.mesh.broker_mut().start_again().await?;

    let done = tokio::time::timeout(2 * PATIENCE, replaying.wait_with_output()).await??;
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let said = Said(serde_json::from_slice(&done.stdout)?);
    assert_eq!(said.of("charge", "absorbed"), 100, "{said:?}");
    let after = shop.over(&plan, &placed).await?;
    after.assert_as_planned(&plan);
    assert_eq!(places(&after.history), places(&before.history), "not one record more");
    Ok(())
}

/// Has the last letter about each order written again. Says what was asked for, if anything was.
async fn write_again(shop: &Shop, more: &[&str]) -> Outcome<Option<Said>> {
    let mut command = tokio::process::Command::new(program("laban", "-p laban-cli")?);
    command.args(["replay", "run", "--force", "--service", "notification", "--handler", "tell", "--json"]);
    command.args([
        "--event",
        "order.completed,order.cancelled",
        "--why",
        "the post lost them",
        "--by",
        "ann",
    ]);
    command.args(["--yes", "--rate", "1000", "--server", &shop.mesh.broker().url()]).args(more);
    let done = command.stdin(Stdio::null()).kill_on_drop(true).output().await?;
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    match done.status.code() {
        Some(0) => Ok(Some(Said(serde_json::from_slice(&done.stdout)?))),
        Some(1) if told.contains("nothing of what is selected has taken effect") => Ok(None),
        _ => Err(told.into()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_that_were_lost_are_written_again_on_purpose_and_once() -> Outcome {
    let shop = Shop::with(Settings::default()).await?;
    let plan = Plan::plain(40, 75);
    let placed = shop.place(&plan).await;
    let before = shop.over(&plan, &placed).await?;
    before.assert_as_planned(&plan);
    let letters = || shop::notification::letters(&shop.mesh.books());
    let old = letters()?;

    let said = write_again(&shop, &[]).await?.ok_or("nothing to be done again")?;
    let ended = events(&before.history, &["order.completed", "order.cancelled"]);
    assert_eq!((said.sum("again"), said.sum("left_alone"), ended), (40, 0, 40), "{said:?}");
    let flows: Vec<FlowId> = before.history.ids().cloned().collect();
    let history = shop.settled(&flows).await?;
    let new = letters()?;
    let last = |letters: &[Letter]| {
        let mut last: Vec<_> = letters
            .iter()
            .filter(|letter| matches!(letter.subject.as_str(), "completed" | "cancelled"))
            .map(|letter| (letter.order_id.clone(), letter.text.clone()))
            .collect();
        last.sort();
        last
    };
    assert_eq!(new[..old.len()], old[..]);
    assert_eq!(last(&new[old.len()..]), last(&old), "each of these once more, and no other");
    assert_eq!(new.len(), old.len() + 40);
    assert_eq!(events(&history, &["notification._redrive"]), 40);

    // The same decision, made again, is none: what stood then has been done again.
    let standing_at = said.0["standing_at"].to_string();
    assert!(write_again(&shop, &["--standing-at", &standing_at]).await?.is_none());
    shop.settled(&flows).await?;
    assert_eq!(letters()?.len(), new.len());
    shop.all_alive()?;
    Ok(())
}
