//! Places orders, whatever happens to those who take them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use demo::Stage;
use demo::orders::{Answer, Expected, Order, Plan, Request, Taken, send};
use fastrand::Rng;
use futures_util::{StreamExt as _, stream};
use laban_wire::FlowId;
use tokio::time::{Instant, sleep, sleep_until};

use crate::ledger::{Answered, Entry, Ledger};
use crate::world::Doors;

/// Orders under way at a time. Most of the time it is a handful; while nobody answers they pile up.
const AT_ONCE: usize = 256;
/// How long one answer may take. Shorter than the shop's own patience: the client gives up first, and does not know.
const ANSWER: Duration = Duration::from_secs(4);
/// How often a request is sent before the generator gives up on an answer.
const TRIES: u32 = 4;
/// The share of requests that are sent twice at once.
const TWICE: f64 = 0.1;

struct Generator {
    http: reqwest::Client,
    doors: Doors,
    sent_twice: AtomicU64,
    sent_again: AtomicU64,
}

/// Places all orders of the plan, evenly over `duration`, or as fast as they are taken if that is slower.
pub(crate) async fn place(doors: Doors, plan: &Plan, seed: u64, duration: Duration, stage: &Stage) -> Ledger {
    let generator = Arc::new(Generator {
        http: reqwest::Client::new(),
        doors,
        sent_twice: AtomicU64::new(0),
        sent_again: AtomicU64::new(0),
    });
    let begun = Instant::now();
    let step = duration.div_f64(plan.orders.len().max(1) as f64);
    let mut answers = std::pin::pin!(
        stream::iter(plan.orders.iter().cloned().enumerate())
            .then(async |(index, order)| {
                sleep_until(begun + step.mul_f64(index as f64)).await;
                (index, order)
            })
            .map(|(index, order)| {
                let rng = Rng::with_seed(seed ^ index as u64);
                tokio::spawn(Arc::clone(&generator).place(order, rng))
            })
            .buffer_unordered(AT_ONCE)
    );
    let mut ledger = Ledger::default();
    while let Some(entry) = answers.next().await {
        // A task that panicked is a bug here; its order is then missed by the audit.
        ledger.entries.extend(entry);
        stage.at(ledger.entries.len() as u64);
    }
    ledger.sent_twice = generator.sent_twice.load(Ordering::Relaxed);
    ledger.sent_again = generator.sent_again.load(Ordering::Relaxed);
    ledger
}

impl Generator {
    async fn place(self: Arc<Self>, order: Order, mut rng: Rng) -> Entry {
        let flow = order.requests.iter().find_map(Request::flow);
        let answer = if order.ending.is_some() { Answered::Unknown } else { Answered::Refused };
        let mut entry = Entry { flow, answer, refused: 0, problems: Vec::new(), order };
        for request in entry.order.requests.clone() {
            match self.insist(&request, &mut rng).await {
                Some(answer) => entry.note(request.expected, answer),
                // What comes after it depends on whether it was taken.
                None => break,
            }
        }
        entry
    }

    /// Sends a request until it is answered, or until it is given up.
    async fn insist(&self, request: &Request, rng: &mut Rng) -> Option<Answer> {
        for attempt in 0..TRIES {
            if attempt > 0 {
                self.sent_again.fetch_add(1, Ordering::Relaxed);
                sleep(Duration::from_millis(rng.u64(100..800))).await;
            }
            let twin = request.expected == Expected::Taken && rng.f64() < TWICE;
            let answers = if twin {
                self.sent_twice.fetch_add(1, Ordering::Relaxed);
                let (one, other) = (self.doors.any(rng), self.doors.any(rng));
                let (one, other) = tokio::join!(self.send(one, request), self.send(other, request));
                [one, other]
            } else {
                [self.send(self.doors.any(rng), request).await, None]
            };
            // The one of twins that was answered stands for both; that both are one flow, the audit finds out.
            if let Some(answer) = answers.into_iter().flatten().next() {
                return Some(answer);
            }
        }
        None
    }

    async fn send(&self, url: Option<String>, request: &Request) -> Option<Answer> {
        send(&self.http, &url?, request, ANSWER).await.ok()
    }
}

impl Entry {
    fn note(&mut self, expected: Expected, answer: Answer) {
        let problem = match (expected, answer) {
            (Expected::Taken, Answer::Taken(Taken { flow, trace_id, .. })) => {
                let taken = FlowId::new(flow).ok();
                let other = self.flow.is_some() && taken != self.flow;
                let traced = match &self.answer {
                    Answered::Accepted { trace_id: before } if *before != trace_id => {
                        Some(format!("it was in trace {before:?}, and then in {trace_id:?}"))
                    }
                    _ => None,
                };
                let problem = if other { Some(format!("it became flow {taken:?}")) } else { traced };
                self.flow = taken.or(self.flow.take());
                self.answer = Answered::Accepted { trace_id };
                problem
            }
            (Expected::Refused { status, code }, Answer::Refused { status: is, code: said, .. })
                if status == is && code == said =>
            {
                self.refused += 1;
                None
            }
            (expected, answer) => Some(format!("expected {expected:?}, was answered {answer:?}")),
        };
        let what = &self.order.what;
        self.problems.extend(problem.map(|problem| format!("an order ({what}): {problem}")));
    }
}
