//! A service that nobody has reckoned with joins the running shop, and leaves it again. The other five are neither changed nor
//! restarted.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Output};
use std::time::Duration;

use async_nats::jetstream;
use demo::audit::audit_spans;
use demo::orders::{Placed, Plan};
use demo::{History, Mesh, Progress, Service, program};
use futures_util::TryStreamExt as _;
use laban_testkit::wait;
use laban_tests::{Outcome, Over, Shop, note};
use laban_wire::FlowId;
use serde_json::Value;

const SIXTH: &str = "loyalty";
const EARNED: &str = "loyalty.points-earned";
/// That nobody reacts to the points is meant.
const MEANT: [&str; 2] = ["--allow", "unconsumed-event:loyalty.points-earned"];
/// Longer than anything in the shop takes.
const SOON: Duration = Duration::from_secs(60);

fn run(shop: &Shop, args: &[&str]) -> Outcome<Output> {
    let mut command = Command::new(program("laban", "-p laban-cli")?);
    Ok(command.args(["--server", &shop.mesh.broker().url()]).args(args).output()?)
}

/// What `laban` prints when all is well.
fn laban(shop: &Shop, args: &[&str]) -> Outcome<String> {
    let Output { status, stdout, stderr } = run(shop, args)?;
    let (out, err) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    if status.success() { Ok(out.into_owned()) } else { Err(format!("laban {args:?}: {out}{err}").into()) }
}

fn json(shop: &Shop, args: &[&str]) -> Outcome<Value> {
    Ok(serde_json::from_str(&laban(shop, args)?)?)
}

fn list(shop: &Shop, args: &[&str]) -> Outcome<Vec<Value>> {
    let args: Vec<&str> = ["flow", "list", "--json"].iter().chain(args).copied().collect();
    laban(shop, &args)?.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

fn nothing_is_open(shop: &Shop) -> Outcome {
    for state in ["running", "stuck", "dead"] {
        assert_eq!(list(shop, &["--state", state, "--overdue", "0s"])?, [Value::Null; 0], "{state}");
    }
    Ok(())
}

fn pids(mesh: &Mesh) -> Vec<Option<u32>> {
    Service::ALL.map(|service| mesh.process(service).map(laban_testkit::Process::pid)).to_vec()
}

/// Starts it, and waits until the broker knows what it reacts to.
async fn start(shop: &mut Shop) -> Outcome {
    shop.mesh.start_beside(SIXTH, program(SIXTH, "-p loyalty")?, &[])?;
    let client = shop.mesh.client().await?;
    let declared = wait::until("loyalty to have its consumers", SOON, async || {
        let mesh = laban_flow::Mesh::discover(&client).await;
        mesh.is_ok_and(|mesh| mesh.reactions.iter().filter(|one| one.service == SIXTH).count() == 2)
    });
    declared.await?;
    Ok(())
}

/// The points that the streams hold, by flow.
fn points(history: &History) -> BTreeMap<FlowId, Vec<u64>> {
    let mut points = BTreeMap::<FlowId, Vec<u64>>::new();
    for flow in history.ids() {
        for stored in history.messages(flow).iter().filter(|one| one.subject.starts_with(EARNED)) {
            let body: Value = serde_json::from_slice(&stored.payload).unwrap_or_default();
            points.entry(flow.clone()).or_default().push(body["points"].as_u64().unwrap_or_default());
        }
    }
    points
}

/// The points that there should be: for each order that ended well, once.
fn due(over: &Over, placed: &[Placed]) -> BTreeMap<FlowId, Vec<u64>> {
    let of = |one: &Placed| Some((one.flow.clone()?, vec![one.order.total_cents / 100]));
    let well = |(flow, points): &(FlowId, Vec<u64>)| over.audit.completed.contains(flow) && points[0] > 0;
    placed.iter().filter_map(of).filter(well).collect()
}

/// Where each record of these services is stored, by flow.
fn places(history: &History, is_meant: impl Fn(&str) -> bool) -> BTreeMap<FlowId, BTreeSet<(String, u64)>> {
    let mut places = BTreeMap::<FlowId, BTreeSet<(String, u64)>>::new();
    for flow in history.ids() {
        let meant = history.messages(flow).iter().filter(|stored| is_meant(&stored.stream));
        let meant = meant.map(|stored| (stored.stream.to_string(), stored.seq));
        places.entry(flow.clone()).or_default().extend(meant);
    }
    places
}

/// The consumers of the sixth service on all streams, each with how many events it has delivered.
async fn consumers(shop: &Shop) -> Outcome<BTreeMap<String, u64>> {
    let context = jetstream::new(shop.mesh.client().await?);
    let mut found = BTreeMap::new();
    for name in context.stream_names().try_collect::<Vec<_>>().await? {
        let all: Vec<_> = context.get_stream(&name).await?.consumers().try_collect().await?;
        let own = |said: &str| said == SIXTH || said.starts_with("loyalty/");
        let is_own = |info: &jetstream::consumer::Info| info.config.metadata.values().any(|said| own(said));
        let own = all.into_iter().filter(is_own);
        found.extend(own.map(|info| (info.name, info.delivered.consumer_sequence)));
    }
    Ok(found)
}

fn is_sixth(stream: &str) -> bool {
    stream == "LOYALTY"
}

#[tokio::test]
async fn a_sixth_service_joins_the_running_shop_leaves_it_and_comes_back() -> Outcome {
    let mut shop = Shop::with_jaeger().await?;
    let (mut plan, others) = (Plan::with_silent_banks(60, 91), pids(&shop.mesh));
    let mut placed = shop.place(&plan).await;
    let before = shop.over(&plan, &placed).await?;
    before.assert_as_planned(&plan);

    looked_at_before_it_is_deployed(&shop)?;
    start(&mut shop).await?;
    let flows: Vec<FlowId> = before.history.ids().cloned().collect();
    let history = shop.settled(&flows).await?;
    assert_eq!(
        points(&history),
        due(&before, &placed),
        "left: points for history; right: orders that ended well"
    );
    assert!(points(&history).len() > 30, "enough of them");
    assert_eq!(
        places(&history, |stream| !is_sixth(stream)),
        places(&before.history, |_| true),
        "the others have written nothing"
    );

    let live = Plan::plain(20, 92);
    placed.extend(shop.place(&live).await);
    plan = plan.and(&live);
    let over = shop.over(&plan, &placed).await?;
    over.assert_as_planned(&plan);
    assert_eq!(points(&over.history), due(&over, &placed), "left: points; right: orders that ended well");
    it_is_part_of_the_mesh(&shop, &over).await?;

    // It leaves without a word.
    let refused = run(&shop, &["retire", SIXTH, "--yes"])?;
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(1) && told.contains("is not gone: 1 instance of it"), "{told}");
    assert_eq!(shop.mesh.stop_beside(SIXTH).await?.and_then(|status| status.code()), Some(0));
    let missed = Plan::plain(10, 93);
    let missed_placed = shop.place(&missed).await;
    let stuck = until_only_it_is_awaited(&shop, missed.flows()).await?;
    assert_eq!(stuck, missed_placed.iter().filter_map(|one| one.flow.as_ref().map(FlowId::key)).collect());
    placed.extend(missed_placed);
    plan = plan.and(&missed);

    // It leaves for good.
    let gone = json(&shop, &["retire", SIXTH, "--dry-run", "--json"])?;
    assert_eq!(consumers(&shop).await?.len(), 3, "two reactions, and redrives");
    assert_eq!(gone["consumers"].as_array().map(Vec::len), Some(3), "{gone}");
    let pending: u64 =
        gone["consumers"].as_array().into_iter().flatten().filter_map(|one| one["pending"].as_u64()).sum();
    assert_eq!((pending, &gone["contract"]), (20, &Value::Bool(true)), "two events of each order: {gone}");
    assert_eq!(laban(&shop, &["retire", SIXTH, "--yes"])?, "retired: service loyalty\n");
    assert_eq!(consumers(&shop).await?, BTreeMap::new());
    nothing_is_open(&shop)?;
    let away = shop.over(&plan, &placed).await?;
    away.assert_as_planned(&plan);
    let map = json(&shop, &["map", "--format", "json"])?;
    assert!(!map.to_string().contains(SIXTH), "{map}");
    laban(&shop, &["check"])?;
    let earned = points(&away.history);
    assert_eq!(earned, points(&over.history), "what it did stays");
    let first = earned.keys().find(|flow| !flow.key().contains('\0')).ok_or("points")?;
    assert!(laban(&shop, &["flow", "show", "--", &first.key()])?.contains(EARNED));
    // Twice is once.
    let again = run(&shop, &["retire", SIXTH, "--yes"])?;
    let told = String::from_utf8_lossy(&again.stderr);
    assert!(
        again.status.success() && told.contains("nothing is left of service loyalty but its history"),
        "{told}"
    );

    // It comes back: all of history is delivered to it again, and it does only what it has not done.
    start(&mut shop).await?;
    let back = shop.over(&plan, &placed).await?;
    back.assert_as_planned(&plan);
    assert_eq!(points(&back.history), due(&back, &placed), "left: points; right: orders that ended well");
    let (old, new) = (places(&away.history, is_sixth), places(&back.history, is_sixth));
    let changed: Vec<_> =
        old.iter().filter(|(flow, old)| !old.is_empty() && new.get(*flow) != Some(old)).collect();
    assert!(changed.is_empty(), "written again: {changed:?}");
    let delivered = consumers(&shop).await?;
    let read = delivered.get("loyalty_earn_order_placed").copied().unwrap_or_default();
    assert!(read >= plan.flows() as u64, "history was read again: {delivered:?}");
    assert!(json(&shop, &["map", "--format", "json"])?.to_string().contains(EARNED));
    nothing_is_open(&shop)?;

    assert_eq!(pids(&shop.mesh), others, "nobody was restarted");
    shop.mesh.stop().await?;
    Ok(())
}

/// By its own program and the contracts that are registered, with nothing started.
fn looked_at_before_it_is_deployed(shop: &Shop) -> Outcome {
    let printed = Command::new(program(SIXTH, "-p loyalty")?).arg("contract").output()?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("loyalty.json");
    std::fs::write(&file, printed.stdout)?;
    let check = ["check", &file.to_string_lossy(), "--against-registered", "--json"].map(str::to_owned);
    let check: Vec<&str> = check.iter().map(String::as_str).collect();
    let found: Value = serde_json::from_slice(&run(shop, &check)?.stdout)?;
    let findings = found["findings"].as_array().ok_or("findings")?;
    assert_eq!((findings.len(), &findings[0]["subject"]), (1, &Value::from(EARNED)), "{found}");
    laban(shop, &[&check[..], &MEANT].concat())?;
    Ok(())
}

/// On the map, in the list of flows, and in each flow's trace.
async fn it_is_part_of_the_mesh(shop: &Shop, over: &Over) -> Outcome {
    let map = json(shop, &["map", "--format", "json"])?;
    let services = map["services"].as_array().ok_or("services")?;
    let known: BTreeMap<_, _> =
        services.iter().filter_map(|one| Some((one["service"].as_str()?, one["known"].as_str()?))).collect();
    assert_eq!((known.len(), known.get(SIXTH)), (6, Some(&"contract")), "{known:?}");
    let text = laban(shop, &["map"])?;
    assert!(text.contains("\nloyalty\n  earn "), "{text}");
    laban(shop, &[&["check"][..], &MEANT].concat())?;
    nothing_is_open(shop)?;
    let listed = list(shop, &[])?;
    let ended = |flow: &&Value| ["completed", "compensated"].contains(&flow["state"].as_str().unwrap_or(""));
    assert_eq!((listed.len(), listed.iter().filter(ended).count()), (over.audit.flows, over.audit.flows));

    let traces = shop.mesh.traces();
    let spans = audit_spans(traces, &over.history, &over.audit, &Progress::Silent.stage("", 0)).await?;
    assert!(spans.findings.is_empty(), "expected no difference, found:\n  {}", spans.findings.join("\n  "));
    assert_eq!((spans.orphan_spans, spans.services_per_trace), (0, Some(6)), "all six in one trace");
    match traces.api() {
        Some(api) => assert!(api.services().await?.contains(SIXTH)),
        // The same was checked on what the own receiver got.
        None => note("no Jaeger at hand: its own API was not asked"),
    }
    Ok(())
}

/// Waits until so many flows are stuck for want of the sixth service and of nobody else; says which.
async fn until_only_it_is_awaited(shop: &Shop, flows: usize) -> Outcome<BTreeSet<String>> {
    let stuck = || list(shop, &["--state", "stuck", "--overdue", "0s"]);
    let only = |flow: &Value| {
        let awaited = flow["awaited"].as_array();
        let mut awaited = awaited.into_iter().flatten();
        awaited.clone().count() == 2
            && awaited.all(|one| one["service"] == SIXTH && one["overdue"]["why"] == "nobody_asks")
    };
    let found = wait::until_some("flows to be stuck for want of loyalty alone", SOON, async || {
        stuck().ok().filter(|all| all.len() == flows && all.iter().all(only))
    });
    let found = found.await.map_err(|error| format!("{error}: {:?}", stuck().ok()))?;
    let key = |flow: &Value| flow["flow"].as_str().map(str::to_owned);
    Ok(found.0.iter().filter_map(key).collect())
}
