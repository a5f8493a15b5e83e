//! Streams from a backup: what is remembered, what is forgotten, and what mends it.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use async_nats::Client;
use demo::audit::{ends, repeated};
use demo::orders::Plan;
use demo::{History, Service, Settings, program};
use laban_flow::streams::Stream;
use laban_testkit::wait;
use laban_tests::{Outcome, Over, Shop, consumers};
use serde_json::Value;

use crate::backup::{Backup, delete, take_all};

const SOON: Duration = Duration::from_secs(90);

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

/// Waits until so many deadlines wait.
async fn until_timers(shop: &Shop, count: u64) -> Outcome {
    let client = shop.mesh.client().await?;
    let waiting = async || held(&client).await.is_ok_and(|held| held["ORDER_TIMERS"].0 >= count);
    wait::until(format!("{count} timers"), SOON, waiting).await?;
    Ok(())
}

async fn stop_services(shop: &mut Shop) -> Outcome {
    for service in Service::ALL {
        let status = shop.mesh.stop_service(service).await?;
        assert!(status.is_some_and(|status| status.success()), "{service:?}: {status:?}");
    }
    Ok(())
}

/// Takes all of them away and puts them back.
async fn put_back(client: &Client, backups: &[Backup]) -> Outcome {
    for stream in Stream::all(client).await? {
        delete(client, &stream.name).await?;
    }
    assert!(Stream::all(client).await?.is_empty(), "the broker is empty");
    for backup in backups {
        backup.restore(client).await?;
    }
    Ok(())
}

/// What each stream holds, and the end of it.
async fn held(client: &Client) -> Outcome<BTreeMap<String, (u64, u64, u64)>> {
    let streams = Stream::all(client).await?;
    Ok(streams.into_iter().map(|one| (one.name, (one.messages, one.bytes, one.subjects))).collect())
}

/// How far each consumer is, in its stream.
async fn positions(client: &Client) -> Outcome<BTreeMap<String, (u64, u64)>> {
    let all = consumers(client).await?;
    Ok(all.into_iter().map(|one| (one.name, (one.ack_floor.stream_sequence, one.num_pending))).collect())
}

/// Hands the service all that it ever reacted to again, and returns what became of it.
async fn replay(shop: &Shop, service: Service) -> Outcome<Value> {
    let mut command = tokio::process::Command::new(program("laban", "-p laban-cli")?);
    command.args(["replay", "run", "--server", &shop.mesh.url(), "--service", service.name(), "--json"]);
    let done = command.stdin(Stdio::null()).kill_on_drop(true).output().await?;
    assert!(done.status.success(), "{service:?}: {}", String::from_utf8_lossy(&done.stderr));
    Ok(serde_json::from_slice(&done.stdout)?)
}

fn sum(said: &Value, what: &str) -> u64 {
    let handlers = said["handlers"].as_array().into_iter().flatten();
    handlers.filter_map(|handler| handler[what].as_u64()).sum()
}

/// No flow has two beginnings or ends, and no reaction two outcomes.
fn nothing_twice(history: &History) {
    let twice = repeated(history);
    assert!(twice.beginnings.is_empty() && twice.reactions.is_empty(), "{twice:?}");
}

/// A shop with orders done and more to come, stopped and backed up; restored on a broker that has nothing left, it goes on: no
/// order is lost, none is done twice, whatever is handed to it again.
async fn all_streams_come_back(consumers: bool) -> Outcome {
    let env = vec![("SHOP_PAYMENT_DEADLINE_MS", "20000".to_owned())];
    let mut shop = Shop::with(Settings { env, ..Settings::default() }).await?;
    // Some that are done; some that wait for banks that say nothing; some that come later.
    let parts = [Plan::plain(30, 61), Plan::silent(30, 62), Plan::new(30, 63)];
    let plan = Plan {
        contended_completed: parts.iter().map(|part| part.contended_completed).sum(),
        orders: parts.into_iter().flat_map(|part| part.orders).collect(),
    };
    let (placing, gate) = shop.place_in_portions(&plan, 3);
    let troubling = async {
        until_ended(&shop, 30).await?;
        gate.add_permits(1);
        until_timers(&shop, 10).await?;
        stop_services(&mut shop).await?;
        let client = shop.mesh.client().await?;
        let before = (held(&client).await?, positions(&client).await?);
        let backups = take_all(&client, &[], consumers).await?;
        assert!(before.0["ORDER_TIMERS"].0 > 0, "deadlines wait, or are due: {:?}", before.0);

        put_back(&client, &backups).await?;
        assert_eq!(held(&client).await?, before.0, "what the streams hold");
        let expected = if consumers { before.1 } else { BTreeMap::new() };
        assert_eq!(positions(&client).await?, expected, "where consumers are");

        shop.mesh.start_services().await?;
        gate.add_permits(1);
        Outcome::Ok(client)
    };
    let (placed, client) = tokio::try_join!(async { Ok(placing.await) }, troubling)?;
    shop.over(&plan, &placed).await?.assert_as_planned(&plan);

    // Whatever is handed over again: the fence is where it was.
    let before = held(&client).await?;
    for service in [Service::Payment, Service::Inventory, Service::Shipping] {
        let said = replay(&shop, service).await?;
        assert!(sum(&said, "absorbed") > 0 && sum(&said, "emitted") == 0, "{service:?}: {said}");
    }
    assert_eq!(held(&client).await?, before, "a replay adds nothing");
    shop.over(&plan, &placed).await?.assert_as_planned(&plan);
    Ok(())
}

#[tokio::test]
async fn a_shop_from_a_backup_goes_on_where_it_was() -> Outcome {
    all_streams_come_back(true).await
}

/// Without the consumers' positions all history is delivered again, and absorbed.
#[tokio::test]
async fn a_shop_from_a_backup_without_consumers_absorbs_all_its_history() -> Outcome {
    all_streams_come_back(false).await
}

/// One stream is older than the others: what payment answered since is gone, and `order` is not going to ask again. A replay hands
/// payment its input again; the same answers come of it, under the same ids, so neither the bank nor anybody else is told twice.
#[tokio::test]
async fn a_home_stream_older_than_the_others_is_mended_by_a_replay() -> Outcome {
    let mut shop = Shop::open().await?;
    let plan = Plan::new(80, 62);
    let (placing, gate) = shop.place_in_portions(&plan, 2);
    let client = shop.mesh.client().await?;
    let taking = async {
        until_ended(&shop, 35).await?;
        let backup = Backup::take(&client, "PAYMENT", true).await?;
        gate.add_permits(1);
        Outcome::Ok(backup)
    };
    let (placed, backup) = tokio::try_join!(async { Ok(placing.await) }, taking)?;
    shop.over(&plan, &placed).await?.assert_as_planned(&plan);
    stop_services(&mut shop).await?;
    let (full, floors) = (held(&client).await?, positions(&client).await?);
    delete(&client, "PAYMENT").await?;
    backup.restore(&client).await?;

    shop.mesh.start_services().await?;
    let now = positions(&client).await?;
    let older = |consumer: &str| now[consumer].0 < floors[consumer].0;
    // Positions are kept with the stream that they are on: those on PAYMENT are of its moment, payment's own is not.
    assert!(older("shipping_dispatch_payment_captured"), "{now:?}");
    assert_eq!(now["payment_charge_order_placed"], floors["payment_charge_order_placed"]);
    let missing = full["PAYMENT"].0 - held(&client).await?["PAYMENT"].0;
    assert!(missing > 0, "records of payment are gone");

    let said = replay(&shop, Service::Payment).await?;
    assert!(sum(&said, "absorbed") > 0 && sum(&said, "emitted") > 0, "{said}");
    let Over { audit, .. } = shop.over(&plan, &placed).await?;
    // A replay begins a trace of its own; all else is as if nothing had been.
    let others: Vec<_> = audit.findings.iter().filter(|finding| !finding.contains(": trace ")).collect();
    assert!(others.is_empty() && audit.books_balanced, "{others:?}");
    assert_eq!((audit.completed.len(), audit.duplicates, audit.stuck), (plan.completed(), 0, 0));
    let mended = held(&client).await?;
    for service in Service::ALL {
        let home = service.home();
        assert_eq!(mended[&home].0, full[&home].0, "{home} has as many records as before");
    }
    Ok(())
}

/// Streams backed up one after the other while orders flow are of different moments. Those where flows begin come last, so
/// that every event has its cause; what is missing is what a replay makes again.
#[tokio::test]
async fn streams_backed_up_at_work_are_mended_by_a_replay() -> Outcome {
    let mut shop = Shop::open().await?;
    let plan = Plan::new(160, 63);
    let (placing, gate) = shop.place_in_portions(&plan, 4);
    let client = shop.mesh.client().await?;
    let taking = async {
        until_ended(&shop, 20).await?;
        let mut backups = Vec::new();
        // Between one and the next the shop does more.
        for (nth, stream) in ["NOTIFICATION", "SHIPPING", "INVENTORY", "PAYMENT"].into_iter().enumerate() {
            backups.push(Backup::take(&client, stream, true).await?);
            if nth < 3 {
                gate.add_permits(1);
                until_ended(&shop, 20 + 30 * (nth + 1)).await?;
            }
        }
        for stream in ["KV_laban_contracts", "ORDER_TIMERS", "ORDER"] {
            backups.push(Backup::take(&client, stream, true).await?);
        }
        Outcome::Ok(backups)
    };
    let (placed, backups) = tokio::try_join!(async { Ok(placing.await) }, taking)?;
    shop.over(&plan, &placed).await?.assert_as_planned(&plan);
    stop_services(&mut shop).await?;
    put_back(&client, &backups).await?;
    let history = shop.history().await?;
    let begun: Vec<_> = history.ids().cloned().collect();
    let ended = begun.iter().filter(|id| !ends(&history, id).is_empty()).count();
    assert!(begun.len() > 80 && ended > 80, "{ended} of {} flows had ended", begun.len());

    shop.mesh.start_services().await?;
    let mut emitted = 0;
    for service in Service::ALL {
        emitted += sum(&replay(&shop, service).await?, "emitted");
    }
    assert!(emitted > 0, "answers were missing");
    let history = shop.settled(&begun).await?;
    nothing_twice(&history);
    for id in &begun {
        assert_eq!(ends(&history, id).len(), 1, "flow {id} ends once");
    }
    Ok(())
}
