//! Messages of a stream handed to a handler again, on request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_nats::HeaderMap;
use futures_util::StreamExt as _;
use laban::{Cause, EventId, Failure, Handler as _, Retry, State};
use laban_testkit::wait;
use laban_wire::{ReplayRequest, Replayed};

use crate::bench::*;
use crate::deadlines::{Answered, give_up};

/// How often the handler ran, and whether it works.
#[derive(Clone, Default)]
struct Bank {
    runs: Arc<AtomicUsize>,
    closed: Arc<AtomicBool>,
}

impl Bank {
    fn closed() -> Self {
        let bank = Self::default();
        bank.closed.store(true, Ordering::Relaxed);
        bank
    }

    fn open(&self) {
        self.closed.store(false, Ordering::Relaxed);
    }

    fn runs(&self) -> usize {
        self.runs.load(Ordering::Relaxed)
    }
}

async fn charge(order: OrderPlaced, bank: State<Bank>) -> Result<PaymentCaptured, Failure> {
    bank.runs.fetch_add(1, Ordering::Relaxed);
    if bank.closed.load(Ordering::Relaxed) {
        return Err(Failure::retry("bank closed"));
    }
    Ok(PaymentCaptured { order_id: order.order_id })
}

async fn note(_: OrderPlaced, bank: State<Bank>) -> Result<(), Failure> {
    bank.runs.fetch_add(1, Ordering::Relaxed);
    if bank.closed.load(Ordering::Relaxed) { Err(Failure::retry("no ink")) } else { Ok(()) }
}

async fn refuse(_: OrderPlaced) -> Result<(), Failure> {
    Err(Failure::reject("never"))
}

fn placed(seq: u64) -> ReplayRequest {
    ReplayRequest { stream: "ORDER".to_owned(), seq, attempt: 1 }
}

/// What a handler answers, once somebody does.
pub(crate) async fn ask(bench: &Bench, to: &str, request: &ReplayRequest) -> Replayed {
    ask_raw(bench, to, &serde_json::to_vec(request).unwrap()).await
}

async fn ask_raw(bench: &Bench, to: &str, request: &[u8]) -> Replayed {
    let answered = wait::until_some("an answer", PATIENCE, async || {
        // An instance may not have subscribed yet.
        bench.client.request(format!("_replay.{to}"), request.to_vec().into()).await.ok()
    });
    serde_json::from_slice(&answered.await.unwrap().0.payload).unwrap()
}

#[tokio::test]
async fn what_took_effect_is_absorbed_and_no_position_moves() {
    let bench = Bench::start().await;
    let _order = bench.home::<OrderPlaced>("order").await;
    let bank = Bank::default();
    let payment =
        || bench.service("payment").state(bank.clone()).on(charge).setting("LABAN_REMEMBERED_FLOWS", 1);
    let first = payment().start().await.unwrap();
    for flow in ["a", "b"] {
        bench.place(flow).await;
        bench.until_records("payment", flow, 1).await;
    }
    let before = bench.until_settled("ORDER", "payment_charge_order_placed").await;
    for seq in [1, 2, 1] {
        assert_eq!(ask(&bench, "payment.charge", &placed(seq)).await, Replayed::Absorbed);
    }
    first.stop();
    first.wait().await.unwrap();
    // One that remembers nothing reads what is done.
    let _second = payment().start().await.unwrap();
    assert_eq!(ask(&bench, "payment.charge", &placed(1)).await, Replayed::Absorbed);

    assert_eq!(bank.runs(), 2);
    assert_eq!(bench.stored("payment", "payment.>").await.len(), 2);
    let after = bench.until_settled("ORDER", "payment_charge_order_placed").await;
    let position = |info: &async_nats::jetstream::consumer::Info| {
        (info.delivered.consumer_sequence, info.delivered.stream_sequence, info.ack_floor.stream_sequence)
    };
    assert_eq!(position(&after), position(&before));
}

#[tokio::test]
async fn what_never_took_effect_does_now_and_once() {
    let bench = Bench::start().await;
    let _order = bench.home::<OrderPlaced>("order").await;
    let cause = bench.place("47 11").await;
    let bank = Bank::default();
    // Both were not there then.
    let skip = bench.service("payment").state(bank.clone()).on(charge.skip_history()).on(note.skip_history());
    let _payment = skip.start().await.unwrap();
    assert_eq!(ask(&bench, "payment.charge", &placed(1)).await, Replayed::Emitted);
    assert_eq!(ask(&bench, "payment.note", &placed(1)).await, Replayed::Handled);
    for to in ["payment.charge", "payment.note"] {
        assert_eq!(ask(&bench, to, &placed(1)).await, Replayed::Absorbed);
    }
    let records = bench.records("payment", "47 11").await;
    assert_eq!(names(&records), ["captured", "_handled"]);
    assert_eq!(records[0].meta.id, EventId::derived(cause, "payment", "charge", 0), "as if delivered");
    let reaction = records[0].meta.reaction.as_ref().unwrap();
    assert_eq!((reaction.cause, reaction.attempt, reaction.queue_ms.to_string()), (cause, 1, "0".to_owned()));
}

#[tokio::test]
async fn many_instances_asked_at_once_take_effect_once() {
    let bench = Bench::start().await;
    let _order = bench.home::<OrderPlaced>("order").await;
    bench.place("4711").await;
    let bank = Bank::default();
    let payment = || bench.service("payment").state(bank.clone()).on(charge.skip_history());
    let (_one, _two) = (payment().start().await.unwrap(), payment().start().await.unwrap());
    ask_raw(&bench, "payment.charge", b"nothing").await;
    let request = placed(1);
    let asked = (0..40).map(|_| ask(&bench, "payment.charge", &request));
    let answers = futures_util::future::join_all(asked).await;
    let count = |what: Replayed| answers.iter().filter(|answer| **answer == what).count();
    assert_eq!((count(Replayed::Emitted), count(Replayed::Absorbed)), (1, 39), "{answers:?}");
    assert_eq!(names(&bench.records("payment", "4711").await), ["captured"]);
}

#[tokio::test]
async fn a_failed_attempt_says_when_to_ask_again() {
    let bench = Bench::start().await;
    let _order = bench.home::<OrderPlaced>("order").await;
    bench.place("4711").await;
    let bank = Bank::closed();
    let slow = Retry { first_delay: Duration::from_secs(3600), max_attempts: 3, ..Retry::default() };
    let handler = charge.retry(slow).skip_history();
    let _payment = bench.service("payment").state(bank.clone()).on(handler).start().await.unwrap();
    let Replayed::Retrying { error, again_in_ms } = ask(&bench, "payment.charge", &placed(1)).await else {
        panic!("the bank is closed")
    };
    assert_eq!(error, "bank closed");
    assert!(again_in_ms > 10_000, "{again_in_ms}");
    bank.open();
    assert_eq!(ask(&bench, "payment.charge", &placed(1)).await, Replayed::Emitted);
    let records = bench.records("payment", "4711").await;
    assert_eq!(names(&records), ["_retrying", "captured"]);
    assert_eq!(records[1].meta.reaction.as_ref().unwrap().attempt, 2);
}

#[tokio::test]
async fn what_was_given_up_is_for_a_redrive_to_open() {
    let bench = Bench::start().await;
    let _order = bench.home::<OrderPlaced>("order").await;
    bench.place("then").await;
    let _audit = bench.service("audit").on(refuse.skip_history()).start().await.unwrap();
    let dead = Replayed::Dead { reason: "rejected".into(), error: "never".into() };
    assert_eq!(ask(&bench, "audit.refuse", &placed(1)).await, dead, "now");
    for _ in 0..2 {
        assert_eq!(ask(&bench, "audit.refuse", &placed(1)).await, Replayed::DeadBefore);
    }
    assert_eq!(names(&bench.records("audit", "then").await), ["_dead"]);
}

#[tokio::test]
async fn without_a_fence_it_runs_each_time_and_attempts_are_counted_by_whoever_asks() {
    let bench = Bench::start().await;
    let _order = bench.home::<OrderPlaced>("order").await;
    bench.place("4711").await;
    let bank = Bank::default();
    let twice = Retry { max_attempts: 2, ..Retry::default() };
    let handler = note.at_least_once().retry(twice).skip_history();
    let _sales = bench.service("sales").state(bank.clone()).on(handler).start().await.unwrap();
    for _ in 0..3 {
        assert_eq!(ask(&bench, "sales.note", &placed(1)).await, Replayed::Handled);
    }
    assert_eq!((bank.runs(), bench.stored("sales", "sales.>").await.len()), (3, 0));

    bank.closed.store(true, Ordering::Relaxed);
    let first = ask(&bench, "sales.note", &placed(1)).await;
    assert!(matches!(first, Replayed::Retrying { .. }), "{first:?}");
    let second = ask(&bench, "sales.note", &ReplayRequest { attempt: 2, ..placed(1) }).await;
    assert_eq!(second, Replayed::Dead { reason: "exhausted".into(), error: "no ink".into() });
    assert_eq!(names(&bench.records("sales", "4711").await), ["_dead"]);
}

#[tokio::test]
async fn a_deadline_is_kept() {
    let bench = Bench::start().await;
    let _payment = bench.home::<PaymentCaptured>("payment").await;
    let order = |within| bench.service("order").emits::<OrderPlaced>().on(give_up.unless::<Answered>(within));
    let patient = order(Duration::from_secs(3600)).start().await.unwrap();
    bench.place("open").await;
    bench.place("paid").await;
    bench.until_settled("ORDER", "order_give_up_order_placed").await;
    assert_eq!(ask(&bench, "order.give_up", &placed(1)).await, Replayed::NotDue);
    patient.stop();
    patient.wait().await.unwrap();

    // By this instance's clock its time has passed. Its timer, which is the broker's, still waits.
    let hasty = order(Duration::from_millis(1)).start().await.unwrap();
    assert_eq!(ask(&bench, "order.give_up", &placed(1)).await, Replayed::NotDue);
    bench.jetstream().get_stream("ORDER_TIMERS").await.unwrap().purge().await.unwrap();
    bench.publish(&PaymentCaptured { order_id: "paid".into() }, EventId::root()).await;
    assert_eq!(ask(&bench, "order.give_up", &placed(2)).await, Replayed::Awaited);
    assert_eq!(ask(&bench, "order.give_up", &placed(1)).await, Replayed::Emitted);
    assert_eq!(ask(&bench, "order.give_up", &placed(1)).await, Replayed::Absorbed);
    assert_eq!(names(&bench.records("order", "open").await), ["placed", "payment-overdue"]);
    assert_eq!(names(&bench.records("order", "paid").await), ["placed"]);
    drop(hasty);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_stops_nothing() {
    let bench = Bench::start().await;
    let order = bench.home::<OrderPlaced>("order").await;
    let _others = bench.home::<StockReserved>("inventory").await;
    let bank = Bank::default();
    let _payment = bench.service("payment").state(bank.clone()).on(charge).start().await.unwrap();
    bench.place("4711").await;
    bench.until_records("payment", "4711", 1).await;
    bench.publish_raw("order.cancelled", "4711", HeaderMap::new(), b"{}").await;
    bench.publish_raw("order.placed", "junk", laban_headers("id=junk"), b"{}").await;
    let large = format!(r#"{{"stream":"{}","seq":1}}"#, "X".repeat(ReplayRequest::MAX_BYTES));
    let of = |stream: &str, seq| ReplayRequest { stream: stream.to_owned(), ..placed(seq) };
    let json = |request: ReplayRequest| serde_json::to_vec(&request).unwrap();
    for (request, why) in [
        (b"{".to_vec(), "not a request"),
        (br#"{"stream":"ORDER","seq":-1}"#.to_vec(), "not a request"),
        (large.into_bytes(), "at most 4096 bytes"),
        (json(of("INVENTORY", 1)), "reacts to nothing of INVENTORY"),
        (json(of("KV_secrets", 1)), "reacts to nothing of KV_secrets"),
        (json(placed(2)), "does not react to order.cancelled"),
    ] {
        let answer = ask_raw(&bench, "payment.charge", &request).await;
        assert!(matches!(&answer, Replayed::Refused { error } if error.contains(why)), "{answer:?}: {why}");
    }
    let unreadable = ask(&bench, "payment.charge", &placed(3)).await;
    assert!(matches!(&unreadable, Replayed::Unreadable { .. }), "{unreadable:?}");
    for seq in [0, 99, u64::MAX] {
        assert_eq!(ask(&bench, "payment.charge", &placed(seq)).await, Replayed::Gone);
    }
    let nobody = bench.client.request("_replay.payment.refund", "{}".into()).await.unwrap_err();
    assert_eq!(nobody.kind(), async_nats::client::RequestErrorKind::NoResponders);

    assert_eq!(bank.runs(), 1);
    order.stop();
    order.wait().await.unwrap();
    bench.jetstream().delete_stream("ORDER").await.unwrap();
    assert_eq!(ask(&bench, "payment.charge", &placed(1)).await, Replayed::Gone, "with its stream");
}

fn laban_headers(value: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(laban_wire::HEADER, value);
    headers
}

/// Holds its run until it is let go.
#[derive(Clone)]
struct Gate(Arc<tokio::sync::Semaphore>);

async fn held(order: OrderPlaced, gate: State<Gate>, cause: Cause) -> PaymentCaptured {
    drop((gate.0.0.acquire().await.unwrap(), cause));
    PaymentCaptured { order_id: order.order_id }
}

#[tokio::test]
async fn a_long_run_gives_signs_of_life_and_a_stop_waits_for_it() {
    let bench = Bench::start().await;
    let _order = bench.home::<OrderPlaced>("order").await;
    bench.place("4711").await;
    let gate = Gate(Arc::new(tokio::sync::Semaphore::new(0)));
    let payment = bench.service("payment").state(gate.clone()).on(held.skip_history()).start().await.unwrap();
    ask_raw(&bench, "payment.held", b"nothing").await;
    let inbox = bench.client.new_inbox();
    let mut answers = bench.client.subscribe(inbox.clone()).await.unwrap();
    let request = serde_json::to_vec(&placed(1)).unwrap();
    bench.client.publish_with_reply("_replay.payment.held", inbox, request.into()).await.unwrap();
    let mut next = async || {
        let answer = tokio::time::timeout(PATIENCE, answers.next()).await.unwrap().unwrap();
        serde_json::from_slice::<Replayed>(&answer.payload).unwrap()
    };
    for _ in 0..2 {
        assert_eq!(next().await, Replayed::AtWork);
    }
    payment.stop();
    gate.0.add_permits(1);
    payment.wait().await.unwrap();
    loop {
        let answer = next().await;
        if answer != Replayed::AtWork {
            assert_eq!(answer, Replayed::Emitted, "it was in hand when the service was told to stop");
            break;
        }
    }
    let gone = bench.client.request("_replay.payment.held", "{}".into()).await.unwrap_err();
    assert_eq!(gone.kind(), async_nats::client::RequestErrorKind::NoResponders);
}

#[tokio::test]
async fn an_instance_with_its_hands_full_says_so() {
    let bench = Bench::start().await;
    let _order = bench.home::<OrderPlaced>("order").await;
    bench.place("4711").await;
    let gate = Gate(Arc::new(tokio::sync::Semaphore::new(0)));
    let _payment =
        bench.service("payment").state(gate.clone()).on(held.skip_history()).start().await.unwrap();
    ask_raw(&bench, "payment.held", b"nothing").await;
    let inbox = bench.client.new_inbox();
    let mut answers = bench.client.subscribe(inbox.clone()).await.unwrap();
    let request = serde_json::to_vec(&placed(1)).unwrap();
    for _ in 0..300 {
        let subject = "_replay.payment.held";
        bench.client.publish_with_reply(subject, inbox.clone(), request.clone().into()).await.unwrap();
    }
    let (mut busy, mut settled) = (0, 0);
    while busy + settled < 300 {
        let answer = tokio::time::timeout(PATIENCE, answers.next()).await.unwrap().unwrap();
        match serde_json::from_slice(&answer.payload).unwrap() {
            Replayed::Later { error, again_in_ms } => {
                assert!(error.contains("hands full") && again_in_ms > 0, "{error}");
                busy += 1;
            }
            Replayed::AtWork => {}
            Replayed::Emitted | Replayed::Absorbed => settled += 1,
            other => panic!("{other:?}"),
        }
        // All that there was no room for has been told so.
        if busy == 300 - 256 {
            gate.0.add_permits(1);
        }
    }
    assert_eq!((busy, settled), (44, 256));
    assert_eq!(names(&bench.records("payment", "4711").await), ["captured"]);
}

#[tokio::test]
async fn requests_are_answered_after_the_broker_was_away() {
    let bench = Bench::start().await;
    let order = bench.home::<OrderPlaced>("order").await;
    bench.place("4711").await;
    let bank = Bank::default();
    let _payment = bench.service("payment").state(bank).on(charge).start().await.unwrap();
    bench.until_records("payment", "4711", 1).await;
    let mut bench = bench;
    bench.broker.kill();
    bench.broker.start_again().await.unwrap();
    assert_eq!(ask(&bench, "payment.charge", &placed(1)).await, Replayed::Absorbed);
    drop(order);
}

#[tokio::test]
async fn a_service_that_may_not_subscribe_works_and_is_not_asked() {
    let users = r#"
        authorization { users = [
            {user: boss, password: hush}
            {user: payment, password: hush, permissions: {subscribe: {deny: ["_replay.>"]}}}
        ] }"#;
    let broker = laban_testkit::Broker::builder().config(users).start().await.unwrap();
    let boss = async_nats::ConnectOptions::with_user_and_password("boss".into(), "hush".into());
    let client = boss.connect(broker.url()).await.unwrap();
    let bench = Bench { broker, client };
    let as_user = |service: laban::Service, user: &str| {
        service.setting("NATS_USER", user).setting("NATS_PASSWORD", "hush")
    };
    let _order = as_user(bench.service("order"), "boss").emits::<OrderPlaced>().start().await.unwrap();
    let payment = bench.service("payment").state(Bank::default()).on(charge);
    let payment = as_user(payment, "payment").start().await.unwrap();
    bench.place("4711").await;
    bench.until_records("payment", "4711", 1).await;
    let nobody = bench.client.request("_replay.payment.charge", "{}".into()).await.unwrap_err();
    assert_eq!(nobody.kind(), async_nats::client::RequestErrorKind::NoResponders);
    payment.stop();
    payment.wait().await.unwrap();
}
