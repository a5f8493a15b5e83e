use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use laban_wire::FlowId;
use serde::Deserialize;
use tokio::time::{Instant, sleep};

use super::{Expected, Order, Request};
use crate::{Door, Stage};

/// How long an order is sent again and again while nobody takes it.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long one answer may take; longer than the shop waits for its broker.
const ANSWER: Duration = Duration::from_secs(20);

/// An order that was placed, and what was answered.
#[derive(Clone, Debug)]
pub struct Placed {
    /// The order.
    pub order: Order,
    /// The flow that it began.
    pub flow: Option<FlowId>,
    /// That flow's trace, as the answer names it.
    pub trace_id: Option<String>,
    /// How many of its requests were refused, as they should.
    pub refused: usize,
    /// What was not answered as it should.
    pub problems: Vec<String>,
}

/// Places all orders, so many at a time, each until somebody has answered. They come back in the order of the answers.
pub async fn place(door: &Door, orders: &[Order], at_once: usize, stage: &Stage) -> Vec<Placed> {
    let http = reqwest::Client::new();
    let mut answers = stream::iter(orders)
        .map(async |order| place_one(&http, door, order.clone()).await)
        .buffer_unordered(at_once);
    let mut placed = Vec::with_capacity(orders.len());
    while let Some(one) = answers.next().await {
        placed.push(one);
        stage.at(placed.len() as u64);
    }
    placed
}

async fn place_one(http: &reqwest::Client, door: &Door, order: Order) -> Placed {
    let mut placed = Placed { order, flow: None, trace_id: None, refused: 0, problems: Vec::new() };
    for request in placed.order.requests.clone() {
        match insist(http, door, &request).await {
            Ok(answer) => placed.note(request.expected, answer),
            Err(problem) => placed.problems.push(problem),
        }
    }
    placed
}

impl Placed {
    fn note(&mut self, expected: Expected, answer: Answer) {
        let problem = match (expected, &answer) {
            (Expected::Taken, Answer::Taken(Taken { order_id, flow, trace_id })) => {
                let again = FlowId::new(flow);
                let same = self.flow.is_none()
                    || (again.as_ref().ok() == self.flow.as_ref() && self.trace_id == *trace_id);
                self.flow = again.ok();
                self.trace_id.clone_from(trace_id);
                (!same || order_id != flow)
                    .then(|| format!("sent again, it was answered otherwise: {answer:?}"))
            }
            (Expected::Refused { status, code }, Answer::Refused { status: is, code: said, .. })
                if status == *is && code == said =>
            {
                self.refused += 1;
                None
            }
            _ => Some(format!("expected {expected:?}, was answered {answer:?}")),
        };
        self.problems.extend(problem.map(|problem| format!("an order ({}): {problem}", self.order.what)));
    }
}

/// What the shop answered.
#[derive(Clone, Debug)]
pub enum Answer {
    /// 202: the order is taken, or was before.
    Taken(Taken),
    /// The order is refused.
    Refused {
        /// The HTTP status.
        status: u16,
        /// The `code` of the error.
        code: String,
        /// Its text, for whoever reads it in a failure.
        message: String,
    },
}

/// The body of a 202.
#[derive(Clone, Debug, Deserialize)]
pub struct Taken {
    /// The order.
    pub order_id: String,
    /// Its flow's key.
    pub flow: String,
    /// Its flow's trace, when it is traced.
    pub trace_id: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    error: RefusalContent,
}

#[derive(Deserialize)]
struct RefusalContent {
    code: String,
    message: String,
}

/// Sends a request until it is answered with something else than "not now".
async fn insist(http: &reqwest::Client, door: &Door, request: &Request) -> Result<Answer, String> {
    let deadline = Instant::now() + PATIENCE;
    let mut pause = Duration::from_millis(20);
    loop {
        let answer = async {
            let url = door.url().ok_or("the order service has not said where it listens")?;
            send(http, &url, request, ANSWER).await
        };
        let why = match answer.await {
            Ok(answer) => return Ok(answer),
            Err(why) => why,
        };
        if Instant::now() > deadline {
            return Err(format!("nobody took the order within {PATIENCE:?}: {why}"));
        }
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(500));
    }
}

/// Sends a request once, and waits at most `patience` for the answer.
///
/// # Errors
/// When there was none, or it was "not now": worth another try. The order may have been taken.
pub async fn send(
    http: &reqwest::Client,
    url: &str,
    request: &Request,
    patience: Duration,
) -> Result<Answer, String> {
    let mut post = http
        .post(url)
        .timeout(patience)
        .header("content-type", request.content_type)
        .body(request.body.clone());
    if let Some(key) = &request.idempotency_key {
        post = post.header("idempotency-key", key);
    }
    let answer = post.send().await.map_err(|e| laban_wire::error_chain(&e))?;
    let status = answer.status();
    let body = answer.bytes().await.map_err(|e| laban_wire::error_chain(&e))?;
    match status.as_u16() {
        503 => Err(format!("{status} {}", String::from_utf8_lossy(&body))),
        202 => serde_json::from_slice(&body).map(Answer::Taken).map_err(|e| format!("{status}: {e}")),
        status => {
            let refusal = serde_json::from_slice::<Refusal>(&body);
            let (code, message) = refusal.map_or_else(
                |_| (String::new(), String::from_utf8_lossy(&body).into_owned()),
                |refusal| (refusal.error.code, refusal.error.message),
            );
            Ok(Answer::Refused { status, code, message })
        }
    }
}
