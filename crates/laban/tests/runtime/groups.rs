//! Outcomes of several messages are committed many at a time, and each is still its own.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_nats::HeaderMap;
use laban::{EventId, State};
use tokio::sync::Semaphore;

use crate::bench::*;

const FLOWS: usize = 40;

/// Holds handlers back until all of them are there.
#[derive(Clone)]
struct Gate {
    arrived: Arc<AtomicUsize>,
    open: Arc<Semaphore>,
}

impl Gate {
    fn closed() -> Self {
        Self { arrived: Arc::default(), open: Arc::new(Semaphore::new(0)) }
    }

    async fn pass(&self) {
        self.arrived.fetch_add(1, Ordering::SeqCst);
        self.open.acquire().await.unwrap().forget();
    }
}

async fn thrice(order: OrderPlaced, gate: State<Gate>) -> Vec<PaymentDeclined> {
    gate.pass().await;
    let reason = |n: usize| PaymentDeclined { order_id: order.order_id.clone(), reason: n.to_string() };
    (0..3).map(reason).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_fence_is_the_loss_of_one_outcome_and_not_of_its_group() {
    let bench = Bench::start().await;
    let _order = bench.home::<OrderPlaced>("order").await;
    let gate = Gate::closed();
    let _payment = bench.service("payment").state(gate.clone()).on(thrice).start().await.unwrap();
    let mut causes = Vec::new();
    for n in 0..FLOWS {
        causes.push(bench.place(&n.to_string()).await);
    }
    let all = async || gate.arrived.load(Ordering::SeqCst) == FLOWS;
    laban_testkit::wait::until("all handlers at the gate", PATIENCE, all).await.unwrap();
    // Somebody else's record moves the fence of three flows, after their handlers began.
    let moved = ["7", "20", "33"];
    for flow in moved {
        let headers = HeaderMap::new();
        bench.publish_raw("payment.noise", flow, headers, b"{}").await;
    }
    gate.open.add_permits(FLOWS);
    bench.until_settled("ORDER", "payment_thrice_order_placed").await;

    let stored = bench.stored("payment", "payment.declined.*").await;
    assert_eq!(stored.len(), FLOWS * 3, "each outcome once");
    for (n, cause) in causes.iter().enumerate() {
        let mut records = bench.records("payment", &n.to_string()).await;
        records.retain(|record| record.subject.event_type.event() == "declined");
        let ids: Vec<_> = records.iter().map(|record| record.meta.id).collect();
        let expected: Vec<_> =
            (0..3).map(|index| EventId::derived(*cause, "payment", "thrice", index)).collect();
        assert_eq!(ids, expected, "order {n}");
        assert_eq!(records[2].seq, records[0].seq + 2, "order {n}: one after the other");
    }
    // The broker says which batch a message came in: there were far fewer than outcomes.
    let batch = |headers: &HeaderMap| headers.get("Nats-Batch-Id").map(ToString::to_string);
    let batches: BTreeSet<_> = stored.iter().map(|one| batch(&one.headers)).collect();
    assert!(!batches.contains(&None), "the broker no longer keeps the header that this test goes by");
    assert!(batches.len() < FLOWS / 2, "{} batches for {FLOWS} outcomes", batches.len());
}
