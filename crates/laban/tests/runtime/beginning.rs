//! Where flows begin.

use laban::{Begun, Error};

use crate::bench::*;

fn order(order_id: &str, amount_cents: u64) -> OrderPlaced {
    OrderPlaced { order_id: order_id.into(), amount_cents }
}

#[tokio::test]
async fn a_flow_begins_once() {
    let bench = Bench::start().await;
    let running = bench.home::<OrderPlaced>("order").await;
    let emitter = running.emitter();
    let Begun::Now(receipt) = emitter.begin(&order("a.b *>🦀", 1)).await.unwrap() else {
        panic!("it is new")
    };
    assert_eq!((receipt.seq, receipt.flow.key().as_str()), (1, "a.b *>🦀"));
    match emitter.begin(&order("a.b *>🦀", 2)).await.unwrap() {
        Begun::Before { receipt: first, payload } => {
            assert_eq!((first.event_id, first.seq), (receipt.event_id, 1));
            assert_eq!(serde_json::from_slice::<OrderPlaced>(&payload).unwrap().amount_cents, 1);
        }
        Begun::Now(_) => panic!("it began before"),
    }
    let next = emitter.emit(&order("a.b *>🦀", 3)).await.unwrap();
    assert_eq!(next.seq, 2);
    assert_eq!(names(&bench.records("order", "a.b *>🦀").await), ["placed", "placed"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_beginnings_at_once_one_is_first() {
    let bench = Bench::start().await;
    let running = bench.home::<OrderPlaced>("order").await;
    let begins = (0..20).map(|n| {
        let emitter = running.emitter();
        tokio::spawn(async move { emitter.begin(&order("4711", n)).await.unwrap() })
    });
    let mut firsts = 0;
    for begin in begins.collect::<Vec<_>>() {
        firsts += usize::from(matches!(begin.await.unwrap(), Begun::Now(_)));
    }
    assert_eq!(firsts, 1);
    assert_eq!(bench.records("order", "4711").await.len(), 1);
}

#[tokio::test]
async fn what_cannot_be_taken_is_said_to_the_caller() {
    let bench = Bench::start().await;
    let running = bench.home::<OrderPlaced>("order").await;
    let emitter = running.emitter();
    let undeclared = emitter.begin(&PaymentCaptured { order_id: "1".into() }).await.unwrap_err();
    assert!(undeclared.to_string().contains(".emits::<"), "{undeclared}");
    let nameless = emitter.begin(&order("", 1)).await.unwrap_err();
    assert_eq!(nameless.to_string(), "order.placed not taken: order.placed: a flow id must not be empty");
    let too_long = emitter.begin(&order(&"x".repeat(300), 1)).await.unwrap_err();
    assert!(matches!(too_long, Error::NotTaken { transient: false, .. }), "{too_long}");
}

#[tokio::test]
async fn a_broker_that_is_away_is_a_transient_error() {
    let mut bench = Bench::start().await;
    let running = bench.home::<OrderPlaced>("order").await;
    bench.broker.kill();
    let error = running.emitter().begin(&order("1", 1)).await.unwrap_err();
    assert!(matches!(error, Error::NotTaken { transient: true, .. }), "{error}");
}
