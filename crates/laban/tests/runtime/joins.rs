//! Flow state: what the service did about a flow so far.

use laban::{BoxError, Event, Flow, FlowState, Record};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bench::*;

#[derive(Event, Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[event(name = "shipping.dispatched", version = 1, flow = order_id)]
struct Dispatched {
    order_id: String,
    other_half: String,
}

#[derive(Event)]
enum Half {
    Paid(PaymentCaptured),
    Reserved(StockReserved),
}

#[derive(Default)]
struct Parcel {
    paid: Option<PaymentCaptured>,
    reserved: Option<StockReserved>,
    dispatched: bool,
}

impl FlowState for Parcel {
    fn apply(&mut self, record: &Record) -> Result<(), BoxError> {
        self.paid = self.paid.take().or(record.input()?);
        self.reserved = self.reserved.take().or(record.input()?);
        self.dispatched |= record.emitted::<Dispatched>()?.is_some();
        Ok(())
    }
}

/// Ship when both paid and reserved; say which half came first.
async fn dispatch(half: Half, parcel: Flow<Parcel>) -> Option<Dispatched> {
    if parcel.dispatched {
        return None;
    }
    match half {
        Half::Paid(PaymentCaptured { order_id }) => {
            parcel.reserved.as_ref().map(|_| Dispatched { order_id, other_half: "reserved".into() })
        }
        Half::Reserved(StockReserved { order_id }) => {
            parcel.paid.as_ref().map(|_| Dispatched { order_id, other_half: "paid".into() })
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_halves_meet_once_whatever_the_order_and_the_instances() {
    let bench = Bench::start().await;
    let _payment = bench.home::<PaymentCaptured>("payment").await;
    let _inventory = bench.home::<StockReserved>("inventory").await;
    let mut instances = Vec::new();
    for _ in 0..3 {
        instances.push(bench.service("shipping").on(dispatch).start().await.unwrap());
    }
    for n in 0..100 {
        let order_id = n.to_string();
        let (paid, reserved) = (PaymentCaptured { order_id: order_id.clone() }, StockReserved { order_id });
        let paid = bench.publish(&paid, laban::EventId::root());
        let reserved = bench.publish(&reserved, laban::EventId::root());
        if n % 3 == 0 {
            tokio::join!(paid, reserved);
        } else if n % 3 == 1 {
            paid.await;
            reserved.await;
        } else {
            reserved.await;
            paid.await;
        }
    }
    bench.until_settled("PAYMENT", "shipping_dispatch_payment_captured").await;
    bench.until_settled("INVENTORY", "shipping_dispatch_inventory_reserved").await;
    for n in 0..100 {
        let records = bench.records("shipping", &n.to_string()).await;
        assert_eq!(names(&records), ["_handled", "dispatched"], "order {n}");
        let dispatched: Dispatched = serde_json::from_slice(&records[1].payload).unwrap();
        let first = records[0].meta.reaction.as_ref().unwrap().on.event();
        assert_eq!(dispatched.other_half, if first == "captured" { "paid" } else { "reserved" }, "order {n}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decision_does_not_rest_on_records_that_are_gone() {
    let bench = Bench::start().await;
    let _payment = bench.home::<PaymentCaptured>("payment").await;
    let _inventory = bench.home::<StockReserved>("inventory").await;
    let _shipping = bench.service("shipping").on(dispatch).start().await.unwrap();
    let order_id = "4711".to_owned();
    bench.publish(&PaymentCaptured { order_id: order_id.clone() }, laban::EventId::root()).await;
    bench.until_record("shipping", &order_id, "_handled").await;
    bench.until_settled("PAYMENT", "shipping_dispatch_payment_captured").await;

    // An operator's slip, or a restored backup: the instance remembers what the stream does not hold any more.
    bench.jetstream().get_stream("SHIPPING").await.unwrap().purge().await.unwrap();
    bench.publish(&StockReserved { order_id: order_id.clone() }, laban::EventId::root()).await;
    bench.until_settled("INVENTORY", "shipping_dispatch_inventory_reserved").await;

    let records = bench.records("shipping", &order_id).await;
    assert_eq!(names(&records), ["_handled"], "of the two halves one is known");
}
