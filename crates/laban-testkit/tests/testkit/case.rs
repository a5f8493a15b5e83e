//! A flow as a test, run against services that do as it says, and otherwise.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use laban::{Event, Failure, Handler as _, Retry, Service, State};
use laban_testkit::{Broker, Case, Error};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

#[derive(Event, Serialize, Deserialize, JsonSchema, Clone)]
#[event(name = "order.placed", version = 1, flow = order_id)]
struct Placed {
    order_id: String,
    cents: u64,
}

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "order.overdue", version = 1, flow = order_id)]
struct Overdue {
    order_id: String,
}

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "payment.captured", version = 1, flow = order_id)]
struct Captured {
    order_id: String,
    cents: u64,
    at: u64,
}

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "payment.noted", version = 1, flow = order_id)]
struct Noted {
    order_id: String,
}

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "payment.declined", version = 1, flow = order_id)]
struct Declined {
    order_id: String,
}

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "stock.gone", version = 1, flow = order_id)]
struct Gone {
    order_id: String,
}

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "payment.refunded", version = 1, flow = order_id)]
struct Refunded {
    order_id: String,
}

const PLACED: &str = "0199f3c2-0000-7000-8000-000000000001";
const GONE: &str = "0199f3c2-0000-7000-8000-000000000002";
/// What `payment` makes of them: UUIDv5 of (cause, `payment/<handler>/<output>`).
const CAPTURED: &str = "7e1b32d0-2339-59e6-9f44-6861294b20b1";
const NOTED: &str = "027a0be5-bc52-5642-9e02-7116762e94df";

fn captured(order_id: String, cents: u64) -> Captured {
    let at = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    Captured { order_id, cents, at: at.try_into().unwrap_or_default() }
}

/// Two events of one handler.
async fn charge(order: Placed) -> (Captured, Noted) {
    (captured(order.order_id.clone(), order.cents), Noted { order_id: order.order_id })
}

/// Nothing, or a refusal.
async fn refund(gone: Gone) -> Result<(), Failure> {
    if gone.order_id == "4711" { Ok(()) } else { Err(Failure::reject(format!("no order {}", gone.order_id))) }
}

/// An order is placed and charged, its goods are gone, and nothing is given back.
fn case() -> Value {
    json!({
        "laban_case": 1,
        "flow": "4711",
        "ignore": ["payment.captured:/at"],
        "records": [
            {"event": "order.placed", "version": 1, "id": PLACED, "body": {"order_id": "4711", "cents": 900}},
            {"event": "payment.captured", "version": 1, "id": CAPTURED, "cause": PLACED, "on": "order.placed",
             "handler": "charge", "body": {"order_id": "4711", "cents": 900, "at": 1}},
            {"event": "payment.noted", "version": 1, "id": NOTED, "cause": PLACED, "on": "order.placed",
             "handler": "charge", "body": {"order_id": "4711"}},
            {"event": "stock.gone", "version": 1, "id": GONE, "cause": CAPTURED, "on": "payment.captured",
             "handler": "look", "body": {"order_id": "4711"}},
            {"event": "payment._handled", "cause": GONE, "on": "stock.gone", "handler": "refund"},
        ],
    })
}

/// The case above, changed.
fn changed(change: impl FnOnce(&mut Value)) -> Outcome<Case> {
    let mut case = case();
    change(&mut case);
    Ok(Case::parse(case.to_string())?)
}

fn payment() -> Service {
    Service::new("payment").own_telemetry().own_signals()
}

/// What becomes of the case when this service runs it.
async fn run(case: &Case, service: Service, timeout: Duration) -> Outcome<Result<(), Error>> {
    let broker = Broker::start().await?;
    let name = service.contract()?.service.to_string();
    let run = case.of(name).timeout(timeout).on(&broker).await?;
    let _running = service.setting("NATS_URL", broker.url()).start().await?;
    Ok(run.check().await)
}

/// Long enough for any machine, and never waited for by those who do as they did.
const LONG: Duration = Duration::from_secs(60);

/// The differences that it must find.
async fn differences(case: &Case, service: Service) -> Outcome<String> {
    match run(case, service, LONG).await? {
        Err(error @ Error::NotAsRecorded(_)) => {
            assert!(format!("{error:?}").contains(&error.to_string()), "readable where a test returns it");
            Ok(error.to_string())
        }
        other => Err(format!("expected differences, got {other:?}").into()),
    }
}

fn lines(report: &str) -> Vec<&str> {
    report.lines().collect()
}

const ABOUT: &str = "service payment did not do in flow \"4711\" what the case has (in a text):";

#[tokio::test]
async fn a_service_that_does_as_it_did_passes() -> Outcome {
    let case = changed(|_| ())?;
    assert_eq!((case.flow().as_str(), case.services()), ("4711", vec!["payment", "stock"]));
    run(&case, payment().on(charge).on(refund), LONG).await??;
    Ok(())
}

/// Attempts are no part of a case: a handler may succeed at once, or later.
#[tokio::test]
async fn a_failed_attempt_is_no_difference() -> Outcome {
    #[derive(Clone, Default)]
    struct Bank(Arc<AtomicBool>);

    async fn charge(order: Placed, bank: State<Bank>) -> Result<(Captured, Noted), Failure> {
        if !bank.0.0.swap(true, Ordering::Relaxed) {
            return Err(Failure::retry("bank closed"));
        }
        Ok((captured(order.order_id.clone(), order.cents), Noted { order_id: order.order_id }))
    }

    let bank = Bank::default();
    let case = changed(|_| ())?;
    run(&case, payment().state(bank.clone()).on(charge).on(refund), LONG).await??;
    assert!(bank.0.load(Ordering::Relaxed));
    Ok(())
}

#[tokio::test]
async fn each_field_that_differs_is_named() -> Outcome {
    let case = changed(|case| {
        case["ignore"] = json!([]);
        case["records"][1]["body"] = json!({"order_id": "4711", "cents": 901, "gone": {"a/b": null}});
        case["records"][1]["version"] = json!(2);
        case["records"][2]["id"] = json!(GONE.replace('2', "3"));
    })?;
    let report = differences(&case, payment().on(charge).on(refund)).await?;
    let at = report.lines().find(|line| line.contains("/at:")).ok_or("`at` is not named")?;
    let expected = [
        ABOUT,
        "charge, reacting to order.placed:",
        "  payment.captured (then ≠ now):",
        "    version: 2 ≠ 1",
        "    /cents: 901 ≠ 900",
        "    /gone: {\"a/b\":null} ≠ nothing",
        at,
        "  payment.noted (then ≠ now):",
        "    id: 0199f3c3-0000-7000-8000-000000000003 ≠ 027a0be5-bc52-5642-9e02-7116762e94df",
        "1 of 2 reactions are as they were",
    ];
    assert_eq!(lines(&report), expected);
    Ok(())
}

/// What was only possible because of what did not happen is not given, and not asked for.
#[tokio::test]
async fn another_event_is_named_and_what_depended_on_the_first_is_not_tried() -> Outcome {
    async fn charge(order: Placed) -> Declined {
        Declined { order_id: order.order_id }
    }

    let report = differences(&changed(|_| ())?, payment().on(charge).on(refund)).await?;
    let expected = [
        ABOUT,
        "charge, reacting to order.placed:",
        "  payment.captured was expected, payment.declined came: {\"order_id\":\"4711\"}",
        "  payment.noted was expected, and did not come",
        "not tried, because what it reacts to did not come of it: refund of stock.gone",
        "0 of 2 reactions are as they were",
    ];
    assert_eq!(lines(&report), expected);
    Ok(())
}

/// Neither is waited for: the service has nothing left to do.
#[tokio::test]
async fn what_does_not_come_and_what_comes_besides_is_named() -> Outcome {
    async fn refund(gone: Gone) -> Refunded {
        Refunded { order_id: gone.order_id }
    }
    async fn count(gone: Gone) -> Noted {
        Noted { order_id: gone.order_id }
    }

    let report = differences(&changed(|_| ())?, payment().on(charge).on(refund).on(count)).await?;
    let expected = [
        ABOUT,
        "refund, reacting to stock.gone:",
        "  payment._handled was expected, payment.refunded came: {\"order_id\":\"4711\"}",
        "count, reacting to stock.gone:",
        "  payment.noted came, and was not expected: {\"order_id\":\"4711\"}",
        "1 of 2 reactions are as they were",
    ];
    assert_eq!(lines(&report), expected);

    let report = differences(&changed(|_| ())?, payment().on(charge)).await?;
    let expected = [
        ABOUT,
        "refund, reacting to stock.gone:",
        "  payment._handled was expected, and did not come",
        "1 of 2 reactions are as they were",
    ];
    assert_eq!(lines(&report), expected);
    Ok(())
}

#[tokio::test]
async fn a_dead_letter_is_one_of_the_same_kind() -> Outcome {
    let dead = |order: &str, reason: &str, error: &str, fingerprint: Option<&str>| {
        changed(|case| {
            case["flow"] = json!(order);
            for record in case["records"].as_array_mut().into_iter().flatten() {
                if let Some(body) = record.get_mut("body") {
                    body["order_id"] = json!(order);
                }
            }
            case["records"][4] = json!({
                "event": "payment._dead", "cause": GONE, "on": "stock.gone", "handler": "refund",
                "reason": reason, "error": error,
            });
            if let Some(fingerprint) = fingerprint {
                case["records"][4]["fingerprint"] = json!(fingerprint);
            }
        })
    };
    let service = || payment().on(charge).on(refund);
    let any_error = dead("4712", "rejected", "whatever it is", None)?;
    run(&any_error, service(), LONG).await??;

    let other = dead("4712", "exhausted", "bank closed", Some("a899e79b1c8a"))?;
    let report = differences(&other, service()).await?;
    let expected = [
        "refund, reacting to stock.gone:",
        "  payment._dead (then ≠ now):",
        "    reason: exhausted ≠ rejected",
        "    error: bank closed ≠ no order 4712",
        "1 of 2 reactions are as they were",
    ];
    assert_eq!(lines(&report)[1..], expected);
    Ok(())
}

/// What may still come is waited for, and named when it does not.
#[tokio::test]
async fn a_handler_that_goes_on_failing_is_named_with_its_error() -> Outcome {
    async fn charge(_order: Placed) -> Result<(Captured, Noted), Failure> {
        Err(Failure::retry("bank closed"))
    }

    let retry = Retry { max_attempts: 1_000_000, max_delay: Duration::from_millis(100), ..Retry::default() };
    let timeout = Duration::from_secs(6);
    let checked = run(&changed(|_| ())?, payment().on(charge.retry(retry)).on(refund), timeout).await?;
    let Err(Error::TimedOut { what, .. }) = checked else { return Err(format!("{checked:?}").into()) };
    let begins = "payment: charge to react to order.placed; attempt ";
    assert!(what.starts_with(begins) && what.ends_with(" of charge failed: bank closed"), "{what}");
    Ok(())
}

/// A timer is no consumer's business until it is due, so it is waited for.
#[tokio::test]
async fn a_deadline_passes_in_a_case_as_well() -> Outcome {
    async fn give_up(placed: Placed) -> Overdue {
        Overdue { order_id: placed.order_id }
    }
    let order = |within| {
        let give_up = give_up.unless::<Captured>(Duration::from_millis(within));
        Service::new("order").own_telemetry().own_signals().emits::<Placed>().on(give_up)
    };
    let overdue = "2e0d01c5-0000-5000-8000-000000000000";
    let case = |id: &str| {
        Case::parse(
            json!({
                "laban_case": 1,
                "flow": "4711",
                "records": [
                    {"event": "order.placed", "version": 1, "id": PLACED, "body": {"order_id": "4711", "cents": 9}},
                    {"event": "order.overdue", "version": 1, "id": id, "cause": PLACED, "on": "order.placed",
                     "handler": "give_up", "body": {"order_id": "4711"}},
                ],
            })
            .to_string(),
        )
    };
    let report = differences(&case(overdue)?, order(300)).await?;
    let id = report.lines().find_map(|line| line.trim().strip_prefix("id: ")).ok_or("no id is named")?;
    let (_, now) = id.split_once(" ≠ ").ok_or("it is not told which id it has")?;
    run(&case(now)?, order(300), LONG).await??;

    let checked = run(&case(now)?, order(3_600_000), Duration::from_secs(2)).await?;
    let Err(Error::TimedOut { what, .. }) = checked else { return Err(format!("{checked:?}").into()) };
    assert_eq!(what, "order: give_up, which has a deadline, to react to order.placed");
    Ok(())
}

#[tokio::test]
async fn a_case_that_cannot_be_run_says_why() -> Outcome {
    let case = changed(|_| ())?;
    let broker = Broker::start().await?;
    let refused = case.of("order").on(&broker).await.map(drop).unwrap_err();
    let expected = "case in a text: service `order` does nothing in it; these do: payment, stock";
    assert_eq!(refused.to_string(), expected);

    let waiting = case.of("payment").timeout(Duration::from_millis(200)).on(&broker).await?;
    let Err(Error::TimedOut { what, .. }) = waiting.check().await else { return Err("it started".into()) };
    assert_eq!(what, "service payment to start: it has no stream PAYMENT at this broker");

    let client = async_nats::connect(broker.url()).await?;
    async_nats::jetstream::new(client).publish("order.placed.4711", "{}".into()).await?.await?;
    let refused = case.of("payment").on(&broker).await.map(drop).unwrap_err();
    let expected = "case in a text: the broker has records of order about flow \"4711\" already: each run wants a \
                    broker of its own";
    assert_eq!(refused.to_string(), expected);

    let nowhere = Case::read("no/such/case.json").unwrap_err().to_string();
    assert!(nowhere.starts_with("case no/such/case.json: "), "{nowhere}");
    let broken = Case::parse(r#"{"laban_case": 7}"#).unwrap_err().to_string();
    assert!(broken.starts_with("case in a text: `laban_case` is 7, and 1 is read here"), "{broken}");
    Ok(())
}
