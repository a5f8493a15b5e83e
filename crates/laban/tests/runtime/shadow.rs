//! A service in a shadow, with the one who asks played by the test. There is no broker.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use laban::{
    BoxError, Cause, Error, Failure, Flow, FlowState, Handler as _, OrRetry as _, Record, Service, State,
};
use laban_wire::shadow::{
    self, ADDRESS, Answer, Call, Emitted, Hello, Kept, MAX_FRAME_BYTES, Outcome, PROTOCOL, Ran, Ready, TOKEN,
};
use laban_wire::{DeadReason, EventId, HEADER, Payload};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::bench::{OrderPlaced, PATIENCE, PaymentCaptured};

const SECRET: &str = "between the two of us";

/// The one who asks, and a service that answers.
struct Asking {
    hello: Hello,
    connection: TcpStream,
    service: JoinHandle<laban::Result<()>>,
}

impl Asking {
    async fn a(service: Service) -> Self {
        let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = door.local_addr().unwrap();
        let service = service
            .own_arguments()
            .setting(ADDRESS, address)
            .setting(TOKEN, SECRET)
            // Whoever looked for a broker would wait for it.
            .setting("NATS_URL", "nats://127.0.0.1:1");
        let service = tokio::spawn(service.run());
        let (mut connection, _) = tokio::time::timeout(PATIENCE, door.accept()).await.unwrap().unwrap();
        let hello: Hello = shadow::read(&mut connection, MAX_FRAME_BYTES).await.unwrap().unwrap();
        assert_eq!((hello.protocol, hello.token.as_str()), (PROTOCOL, SECRET));
        Self { hello, connection, service }
    }

    async fn ask(&mut self, call: &Call) -> Ran {
        shadow::write(&mut self.connection, call).await.unwrap();
        let answer = shadow::read::<Answer>(&mut self.connection, MAX_FRAME_BYTES);
        let answer = tokio::time::timeout(PATIENCE, answer).await.unwrap().unwrap().unwrap();
        assert_eq!(answer.id, call.id);
        answer.ran
    }

    async fn outcome(&mut self, call: &Call) -> Outcome {
        match self.ask(call).await {
            Ran::To { outcome, .. } => outcome,
            Ran::Not(why) => panic!("not run: {why}"),
        }
    }

    /// What an error is, and what it says.
    async fn trouble(&mut self, call: &Call) -> (Option<DeadReason>, String) {
        match self.outcome(call).await {
            Outcome::Dead { reason, trouble } => (Some(reason), trouble.error),
            Outcome::Retry(trouble) => (None, trouble.error),
            Outcome::Emitted(events) => panic!("{events:?}"),
        }
    }
}

fn kept(subject: &str, seq: u64, header: String, body: &serde_json::Value) -> Kept {
    Kept {
        stream: subject.split('.').next().unwrap().to_uppercase(),
        seq,
        at: time::OffsetDateTime::UNIX_EPOCH,
        subject: subject.to_owned(),
        headers: BTreeMap::from([(HEADER.to_owned(), vec![header])]),
        payload: Payload::of(body.to_string().as_bytes()),
    }
}

/// A call of `handler` for an order.
fn call(handler: &str, version: u32, body: &serde_json::Value) -> Call {
    let header = format!("id={} v={version}", EventId::root());
    Call {
        id: 7,
        handler: handler.to_owned(),
        attempt: 3,
        input: kept("order.placed.4711", 1, header, body),
        records: Vec::new(),
        recorded: None,
    }
}

fn order() -> serde_json::Value {
    order_of(&json!("4711"))
}

fn order_of(id: &serde_json::Value) -> serde_json::Value {
    json!({ "order_id": id, "amount_cents": 1800 })
}

fn recorded(event: &str, body: &serde_json::Value) -> Outcome {
    let payload = Payload::of(body.to_string().as_bytes());
    Outcome::Emitted(vec![Emitted {
        event: event.parse().unwrap(),
        version: Some(1),
        flow: "4711".into(),
        payload,
    }])
}

/// A bank that says yes or no.
#[derive(Clone)]
struct Bank(bool);

async fn charge(order: OrderPlaced, bank: State<Bank>) -> Result<Option<PaymentCaptured>, Failure> {
    Ok(bank.0.0.then_some(PaymentCaptured { order_id: order.order_id }))
}

#[tokio::test]
async fn the_outside_world_is_what_is_recorded_and_is_not_opened() {
    let opened = Arc::new(AtomicBool::new(false));
    let open = Arc::clone(&opened);
    let service = Service::new("payment")
        .on(charge)
        .state_with(async move || {
            open.store(true, Ordering::Relaxed);
            Ok::<_, BoxError>(Bank(true))
        })
        .state_in_shadow(|recorded| match recorded.dead_letter() {
            Some((_, error)) => Err(format!("nobody knows what the bank said: {error}").into()),
            None => Ok(Bank(recorded.event::<PaymentCaptured>()?.is_some())),
        });
    let mut asking = Asking::a(service).await;
    let Ready::Contract(contract) = &asking.hello.ready else { panic!("{:?}", asking.hello) };
    assert_eq!((contract.service.as_str(), contract.handlers[0].name.as_str()), ("payment", "charge"));
    for (then, yes) in [
        (Some(recorded("payment.captured", &order())), true),
        (Some(Outcome::Emitted(Vec::new())), false),
        (None, false),
    ] {
        let call = Call { recorded: then, ..call("charge", 1, &order()) };
        let Outcome::Emitted(events) = asking.outcome(&call).await else { panic!("an error") };
        let events: Vec<_> = events.iter().map(|event| (event.event.as_str(), event.flow.as_str())).collect();
        assert_eq!(events, if yes { vec![("payment.captured", "4711")] } else { vec![] });
    }
    // Where what is recorded does not tell, and where it cannot be read.
    let trouble = shadow::Trouble { error: "bank closed".into(), fingerprint: "f".into() };
    for (then, expected) in [
        (
            Outcome::Dead { reason: DeadReason::Exhausted, trouble },
            "nobody knows what the bank said: bank closed",
        ),
        (recorded("payment.captured", &json!({ "euros": 1 })), "payment.captured, does not decode"),
    ] {
        let call = Call { recorded: Some(then), ..call("charge", 1, &order()) };
        let Ran::Not(why) = asking.ask(&call).await else { panic!("it was run") };
        assert!(why.contains("State<") && why.contains("Bank") && why.contains(expected), "{why}");
    }
    drop(asking.connection);
    asking.service.await.unwrap().unwrap();
    assert!(!opened.load(Ordering::Relaxed));
}

#[tokio::test]
async fn a_service_of_whose_outside_world_nothing_is_said_refuses() {
    let asking = Asking::a(Service::new("payment").state(Bank(true)).on(charge)).await;
    let Ready::Refused(reason) = asking.hello.ready else { panic!("{:?}", asking.hello) };
    for expected in ["payment", "`charge`", "Bank>", ".state_in_shadow(|recorded| Ok(…))"] {
        assert!(reason.contains(expected), "expected {expected:?} in: {reason}");
    }
    let error = asking.service.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Shadow { .. }) && error.to_string() == reason, "{error}");
    // As does one that does not fit together at all.
    let asking = Asking::a(Service::new("payment").on(charge)).await;
    let Ready::Refused(reason) = asking.hello.ready else { panic!("{:?}", asking.hello) };
    assert!(reason.contains("add `.state(…)`"), "{reason}");
    assert!(asking.service.await.unwrap().is_err());
}

#[derive(Default)]
struct SoFar(Vec<String>);

impl FlowState for SoFar {
    fn apply(&mut self, record: &Record) -> Result<(), BoxError> {
        self.0.push(if record.has_emitted::<PaymentCaptured>() { "captured" } else { "other" }.to_owned());
        Ok(())
    }
}

async fn remember(_: OrderPlaced, so_far: Flow<SoFar>, cause: Cause) -> Result<(), Failure> {
    Ok(Err(format!("{:?}, attempt {}, key {}", so_far.0.0, cause.attempt, cause.idempotency_key))
        .or_reject()?)
}

#[tokio::test]
async fn the_flow_state_and_the_attempt_are_those_of_then() {
    let mut asking = Asking::a(Service::new("payment").on(remember)).await;
    let of = |event: &str| {
        let header = format!("id={0} v=1 cause={0} on=order.placed handler=charge", EventId::root());
        kept(&format!("payment.{event}.4711"), 1, header, &order())
    };
    // Failed attempts are no state, here as in a running service.
    let records = vec![of("captured"), of("_retrying"), of("_dead"), of("_redrive")];
    let call = Call { records, ..call("remember", 1, &order()) };
    let cause: EventId = call.input.headers[HEADER][0][3..39].parse::<uuid::Uuid>().unwrap().into();
    let key = EventId::derived(cause, "payment", "remember", 0);
    let expected = format!("[\"captured\"], attempt 3, key {key}");
    assert_eq!(asking.trouble(&call).await, (Some(DeadReason::Rejected), expected));
}

async fn behave(order: OrderPlaced) -> Result<(), Failure> {
    match order.order_id.as_str() {
        "4711" => std::future::pending().await,
        _ => panic!("no such till"),
    }
}

#[tokio::test]
async fn whatever_a_handler_does_is_an_answer() {
    let slow = behave.timeout(Duration::from_millis(50));
    let mut asking = Asking::a(Service::new("payment").on(slow)).await;
    let undecodable = Some(DeadReason::Undecodable);
    let (reason, error) = asking.trouble(&call("behave", 2, &order())).await;
    assert!(reason == undecodable && error.contains("version 2"), "{reason:?} {error}");
    let (reason, error) = asking.trouble(&call("behave", 1, &order_of(&json!(1)))).await;
    assert!(reason == undecodable && error.contains("invalid type"), "{reason:?} {error}");
    let (reason, error) = asking.trouble(&call("behave", 1, &order_of(&json!("other")))).await;
    assert!(reason == undecodable && error.contains("its subject to flow"), "{reason:?} {error}");
    assert_eq!(
        asking.trouble(&call("behave", 1, &order())).await,
        (None, "no outcome within 50 ms".to_owned())
    );
    let other = Call {
        input: Kept { subject: "order.placed.x".into(), ..call("", 1, &order_of(&json!("x"))).input },
        ..call("behave", 1, &order())
    };
    assert_eq!(asking.trouble(&other).await, (None, "panicked: no such till".to_owned()));
    let Ran::Not(why) = asking.ask(&call("unknown", 1, &order())).await else { panic!("it was run") };
    assert_eq!(why, "there is no handler `unknown`");
}

/// One that comes to no end does not keep the service from ending with the conversation, nor others from being answered.
#[tokio::test]
async fn it_ends_with_the_conversation() {
    let mut asking = Asking::a(Service::new("payment").on(behave)).await;
    shadow::write(&mut asking.connection, &call("behave", 1, &order())).await.unwrap();
    let mut other = call("unknown", 1, &order());
    other.id = 8;
    assert!(matches!(asking.ask(&other).await, Ran::Not(_)));
    drop(asking.connection);
    tokio::time::timeout(PATIENCE, asking.service).await.unwrap().unwrap().unwrap();
}
