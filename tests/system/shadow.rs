//! `laban replay shadow` on the real shop: the same builds, one with another rule, and some that behave badly.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use async_nats::jetstream;
use demo::orders::{Ending, Plan};
use demo::{Service, program};
use futures_util::TryStreamExt as _;
use laban_flow::replay::shadow::{Judged, Report, Verdict};
use laban_testkit::{Process, Signal, wait};
use laban_tests::{Outcome, Shop};
use shop::payment::accounts;

const SOON: Duration = Duration::from_secs(60);
/// What the strict build allows.
const MOST_CENTS: u64 = 100_000;
const EFFECT_OUTSIDE: &str = env!("CARGO_BIN_EXE_effect-outside");
const BUILD: &str = env!("CARGO_BIN_EXE_shadow-build");

fn shadow(shop: &Shop, service: &str, args: &[&str], build: &[&Path]) -> Outcome<Command> {
    let mut command = Command::new(program("laban", "-p laban-cli")?);
    command.args(["--server", &shop.mesh.broker().url(), "replay", "shadow", "--service", service]);
    command.args(args).arg("--").args(build).env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
    // As the shop runs.
    command.env("SHOP_PAYMENT_DEADLINE_MS", "5000");
    Ok(command)
}

/// Runs it, and reads its report.
fn report(shop: &Shop, service: &str, args: &[&str], build: &[&Path]) -> Outcome<(Option<i32>, Report)> {
    let output = shadow(shop, service, &[args, &["--json"]].concat(), build)?.output()?;
    let report = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("{error}: {} {}", text(&output.stdout), text(&output.stderr)))?;
    Ok((output.status.code(), report))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Where all streams and consumers of the account stand; nothing while anything is on its way.
async fn standing(client: &async_nats::Client) -> Option<Vec<String>> {
    let context = jetstream::new(client.clone());
    let mut all = Vec::new();
    let streams: Vec<_> = context.streams().try_collect().await.ok()?;
    for info in streams {
        let (name, state) = (&info.config.name, &info.state);
        let timers = name.ends_with("_TIMERS") && state.messages > 0;
        all.push(format!(
            "{name}: {} messages, {} bytes, {} to {}",
            state.messages, state.bytes, state.first_sequence, state.last_sequence
        ));
        let stream = context.get_stream(name).await.ok()?;
        let consumers: Vec<_> = stream.consumers().try_collect().await.ok()?;
        for one in consumers {
            if timers || one.num_pending > 0 || one.num_ack_pending > 0 {
                return None;
            }
            let (delivered, floor) = (&one.delivered, &one.ack_floor);
            all.push(format!(
                "{name} {}: delivered {} {}, floor {} {}, {} again",
                one.name,
                delivered.consumer_sequence,
                delivered.stream_sequence,
                floor.consumer_sequence,
                floor.stream_sequence,
                one.num_redelivered
            ));
        }
    }
    all.sort();
    Some(all)
}

async fn at_rest(shop: &Shop) -> Outcome<Vec<String>> {
    let client = shop.mesh.client().await?;
    Ok(wait::until_some("the shop to be at rest", SOON, async || standing(&client).await).await?.0)
}

/// The heart of it: a shadow of what runs finds nothing, one of another rule just what that changes, and the mesh knows nothing
/// of either.
#[tokio::test]
async fn the_same_builds_are_identical_and_another_rule_changes_what_it_must() -> Outcome {
    let shop = Shop::impatient().await?;
    let plan = Plan::with_silent_banks(100, 61);
    let placed = shop.place(&plan).await;
    shop.over(&plan, &placed).await?.assert_as_planned(&plan);
    let before = at_rest(&shop).await?;

    for service in Service::ALL {
        let (code, report) = report(&shop, service.name(), &[], &[&service.program()?])?;
        assert_eq!((code, report.identical), (Some(0), true), "{}: {report:#?}", service.name());
        assert_eq!((report.untold.as_slice(), report.changed_count), ([].as_slice(), 0), "{report:#?}");
        // Each that is declared has reacted, and nothing is left open.
        for handler in &report.handlers {
            assert!(handler.identical > 0 && handler.open == 0, "{}: {handler:#?}", service.name());
        }
        let (then, now) = (report.handlers[0].then.is_some(), report.handlers[0].now.is_some());
        assert!(then && now, "{report:#?}");
    }

    let strict = program("examples/payment-strict", "-p shop --examples")?;
    let (code, report) = report(&shop, "payment", &[], &[&strict])?;
    assert_eq!((code, report.identical), (Some(1), false));
    // The books know who was charged how much; the report has read the streams.
    let books = accounts(&shop.mesh.books())?;
    let dear: BTreeSet<String> = books
        .iter()
        .filter(|account| account.captured_cents > MOST_CENTS)
        .map(|account| account.order_id.clone())
        .collect();
    let changed: BTreeSet<String> = report.changed_flows.iter().cloned().collect();
    assert_eq!(changed, dear, "left: as reported; right: by the books");
    assert_eq!(report.changed_flow_count, dear.len() as u64);
    // And the orders themselves: of those that nothing was wrong with, the dear ones.
    let (mut some, mut others) = (0, 0);
    for one in &placed {
        let Some(flow) = one.flow.as_ref().filter(|_| one.order.ending == Some(Ending::Completed)) else {
            continue;
        };
        let is_dear = one.order.total_cents > MOST_CENTS;
        assert_eq!(changed.contains(&flow.key()), is_dear, "{}: {}", flow.key(), one.order.total_cents);
        *if is_dear { &mut some } else { &mut others } += 1;
    }
    assert!(some > 0 && others > 0, "{some} dear orders, {others} others: nothing is proven");
    for judged in &report.changed {
        assert_declined_now(judged);
    }
    assert_eq!(report.changed.len(), dear.len(), "one reaction in each flow");
    let untouched = report.handlers.iter().filter(|handler| handler.handler != "charge");
    assert!(untouched.clone().count() == 2 && untouched.clone().all(|one| one.identical > 0), "{report:#?}");

    let after = standing(&shop.mesh.client().await?).await;
    assert_eq!(after.as_ref(), Some(&before), "left: after, right: before");
    shop.all_alive()?;
    Ok(())
}

fn assert_declined_now(judged: &Judged) {
    let Judged { about, verdict, changes, .. } = judged;
    assert_eq!((about.handler.as_str(), *verdict), ("charge", Verdict::Different), "{judged:?}");
    let places: Vec<(&str, Option<&str>, Option<&str>)> = changes
        .iter()
        .map(|change| {
            let side = |value: &'_ Option<serde_json::Value>| value.as_ref().map(|_| "some");
            (change.at.as_str(), side(&change.was), side(&change.now))
        })
        .collect();
    let expected = [
        ("/events/0/body/amount_cents", Some("some"), None),
        ("/events/0/body/reason", None, Some("some")),
        ("/events/0/event", Some("some"), Some("some")),
    ];
    assert_eq!(places, expected, "{judged:?}");
    assert_eq!(changes[1].now, Some("over_limit".into()));
    assert_eq!(changes[2].now, Some("payment.declined".into()));
}

/// While orders come in, some reactions are on their way: those are open, and no difference.
#[tokio::test]
async fn live_traffic_is_not_mistaken_for_a_difference() -> Outcome {
    let shop = Shop::open().await?;
    shop.serves(&Plan::plain(4, 65)).await?;
    let all_placed = Cell::new(false);
    let placing = async {
        let placed = shop.place(&Plan::plain(150, 66)).await;
        all_placed.set(true);
        placed
    };
    let looking = async {
        let services = [Service::Payment, Service::Order, Service::Shipping];
        for service in services.iter().cycle() {
            let mut command = shadow(&shop, service.name(), &["--json"], &[&service.program()?])?;
            // As this shop runs.
            command.env_remove("SHOP_PAYMENT_DEADLINE_MS");
            let output = tokio::task::spawn_blocking(move || command.output()).await??;
            let report: Report = serde_json::from_slice(&output.stdout)
                .map_err(|error| format!("{error}: {}", text(&output.stderr)))?;
            assert!(report.identical && report.reactions > 0, "{}: {report:#?}", service.name());
            assert_eq!((output.status.code(), report.untold.len()), (Some(0), 0), "{report:#?}");
            if all_placed.get() {
                break;
            }
        }
        Ok::<_, laban_tests::Failure>(())
    };
    let (placed, looked) = tokio::join!(placing, looking);
    looked?;
    shop.settled(placed.iter().filter_map(|one| one.flow.as_ref())).await?;
    shop.all_alive()?;
    Ok(())
}

#[tokio::test]
async fn the_report_has_forms_for_readers_and_can_be_about_a_few_reactions() -> Outcome {
    let shop = Shop::open().await?;
    let plan = Plan::plain(12, 62);
    let placed = shop.place(&plan).await;
    shop.over(&plan, &placed).await?;
    let strict = program("examples/payment-strict", "-p shop --examples")?;
    let output = shadow(&shop, "payment", &[], &[&strict])?.output()?;
    let (shown, said) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{shown}{said}");
    assert!(said.contains("at most 12 reactions of payment in 12 flows are run again"), "{said}");
    for expected in ["charge", "/events/0/event  \"payment.captured\" → \"payment.declined\"", "different: "]
    {
        assert!(shown.contains(expected), "expected {expected:?} in:\n{shown}");
    }
    assert!(!shown.contains('\x1b'), "{shown}");

    let folder = tempfile::tempdir()?;
    let page = folder.path().join("shadow.html");
    let args = ["--format", "html", "-o", page.to_str().unwrap_or_default()];
    let output = shadow(&shop, "payment", &args, &[&strict])?.output()?;
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), b"".as_slice()));
    assert!(text(&output.stderr).contains("shadow.html"), "{}", text(&output.stderr));
    let page = std::fs::read_to_string(page)?;
    assert!(page.starts_with("<!doctype html>") && page.contains("payment.declined"), "{page}");
    for other in ["<script", "<link", "<img", "http:", "https:", "url("] {
        assert!(!page.contains(other), "a page that needs something else, {other}:\n{page}");
    }

    // By flow and by handler: just that one is run.
    let dear = placed.iter().find(|one| one.order.total_cents > MOST_CENTS).and_then(|one| one.flow.clone());
    let cheap =
        placed.iter().find(|one| one.order.total_cents <= MOST_CENTS).and_then(|one| one.flow.clone());
    for (flow, code) in [(dear, 1), (cheap, 0)] {
        let key = flow.ok_or("no such order")?.key();
        let (found, report) = report(&shop, "payment", &["--flow", &key, "--handler", "charge"], &[&strict])?;
        assert_eq!((found, report.reactions, report.flows), (Some(code), 1, 1), "{report:#?}");
    }
    let output = shadow(&shop, "payment", &["--until", "2020-01-01T00:00:00Z"], &[&strict])?.output()?;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("nothing is chosen"), "{}", text(&output.stderr));
    Ok(())
}

/// Runs a build that is not fit for it, and returns what it is told.
fn refused(shop: &Shop, service: &str, args: &[&str], build: &[&Path]) -> Outcome<String> {
    let Output { status, stdout, stderr } = shadow(shop, service, args, build)?.output()?;
    assert!(!status.success() && stdout.is_empty(), "{status}: {}", text(&stdout));
    Ok(text(&stderr))
}

#[tokio::test]
async fn builds_that_cannot_be_trusted_are_refused_and_leave_nothing_behind() -> Outcome {
    let shop = Shop::open().await?;
    shop.serves(&Plan::plain(6, 63)).await?;
    let before = at_rest(&shop).await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("file");

    // Nobody has said what stands for its outside world.
    let said = refused(&shop, "payment", &[], &[Path::new(EFFECT_OUTSIDE), &file])?;
    for expected in ["handler `charge`", "State<std::path::PathBuf>", ".state_in_shadow(|recorded| Ok(…))"]
    {
        assert!(said.contains(expected), "expected {expected:?} in: {said}");
    }
    // A build of something else, a program that is no service, one that is not there, one that never reports.
    let said = refused(&shop, "payment", &[], &[&Service::Shipping.program()?])?;
    assert!(said.contains("a build of shipping, not of payment"), "{said}");
    let said = refused(&shop, "payment", &[], &["sh", "-c", "echo not a service >&2"].map(Path::new))?;
    assert!(said.contains("has ended") && said.contains("not a service"), "{said}");
    let said = refused(&shop, "payment", &[], &[Path::new("/no/such/build")])?;
    assert!(said.contains("cannot start `/no/such/build`"), "{said}");
    let said = refused(&shop, "payment", &["--start-within", "1s"], &["sleep", "1000"].map(Path::new))?;
    assert!(said.contains("has not reported within 1 s"), "{said}");
    // One that ends in the middle: with its last words.
    let said = refused(&shop, "payment", &[], &[Path::new(BUILD), Path::new("dies"), &file])?;
    assert!(said.contains("stopped answering") && said.contains("the till is on fire"), "{said}");
    assert!(!file.exists(), "a state was opened, or a service started");

    // What would be opened is not, and what would come after the start does not.
    for way in ["opens", "eager"] {
        let (code, report) = report(&shop, "payment", &[], &[Path::new(BUILD), Path::new(way), &file])?;
        assert_eq!((code, report.handlers[0].identical), (Some(0), 6), "{report:#?}");
        assert!(!file.exists(), "{way}: a state was opened, or the program went on");
    }
    assert_eq!(
        standing(&shop.mesh.client().await?).await.as_ref(),
        Some(&before),
        "left: after, right: before"
    );
    Ok(())
}

/// Whether there is such a process, and it has not ended.
fn lives(pid: &str) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    state.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

async fn pid_in(file: &Path) -> Outcome<String> {
    let look = async || std::fs::read_to_string(file).ok().filter(|pid| !pid.is_empty());
    Ok(wait::until_some("the build to be at work", SOON, look).await?.0.trim().to_owned())
}

#[tokio::test]
async fn whoever_ends_it_in_the_middle_ends_its_build_too() -> Outcome {
    let shop = Shop::open().await?;
    shop.serves(&Plan::plain(2, 64)).await?;
    let folder = tempfile::tempdir()?;
    let laban = program("laban", "-p laban-cli")?;
    // By hand, by a supervisor, and as the out-of-memory killer does. The build has a shell around it, and a friend.
    for signal in [Signal::Int, Signal::Term, Signal::Kill] {
        let (own, friend) =
            (folder.path().join(format!("{signal:?}")), folder.path().join(format!("{signal:?}-friend")));
        let script = format!(
            "sleep 1000 & echo $! > '{}'; '{BUILD}' stuck '{}'; wait",
            friend.display(),
            own.display()
        );
        let process = Process::builder(&laban)
            .args(["--server", &shop.mesh.broker().url(), "replay", "shadow", "--service", "payment"])
            .args(["--", "sh", "-c", &script])
            .spawn()?;
        let (build, friend) = (pid_in(&own).await?, pid_in(&friend).await?);
        assert!(lives(&build) && lives(&friend));
        process.signal(signal)?;
        let status = process.wait_timeout(SOON).await?;
        if signal == Signal::Kill {
            // Nobody is left to end the friend; the build finds out by itself.
            wait::until("the build to end", SOON, async || !lives(&build)).await?;
            Command::new("kill").arg(&friend).status()?;
        } else {
            assert_eq!(status.code(), Some(1), "{}", process.log_tail(20));
            assert!(process.log_tail(20).contains("interrupted"), "{}", process.log_tail(20));
            assert!(!lives(&build) && !lives(&friend), "{signal:?}: something is left");
        }
    }
    Ok(())
}
