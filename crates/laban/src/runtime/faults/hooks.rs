//! What the runtime asks on its way.

use std::pin::pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use async_nats::client::{RequestError, RequestErrorKind};
use async_nats::{Client, Message, Request};
use rustix::process::{Signal, getpid, kill_process};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use super::Point;
use super::plan::{Action, Plan};
use crate::Error;
use crate::config::bad;
use crate::runtime::Fence;

const VARIABLE: &str = "LABAN_FAULTS";
const TARGET: &str = "laban::faults";

/// The process', like its environment: that of the service which starts first.
static PLAN: OnceLock<Plan> = OnceLock::new();
/// How often each point was reached.
static HITS: [AtomicU64; Point::ALL.len()] = [const { AtomicU64::new(0) }; Point::ALL.len()];
/// Pauses under way.
static PAUSES: AtomicUsize = AtomicUsize::new(0);
/// Tells late requests that another one was answered.
static ANSWERED: Notify = Notify::const_new();

/// Reads what is to go wrong.
pub(crate) fn arm(lookup: impl Fn(&str) -> Option<String>) -> Result<(), Error> {
    let text = lookup(VARIABLE).unwrap_or_default();
    let plan = text.parse().map_err(|reason: String| bad(VARIABLE, &text, &reason))?;
    PLAN.get_or_init(|| plan);
    Ok(())
}

/// Says what kind of build this is.
pub(crate) fn warn() {
    tracing::warn!(target: TARGET, "this build has failpoints; it is for tests only");
}

/// Whether appends are conditional.
pub(crate) fn fence(fence: Fence) -> Fence {
    if PLAN.get().is_some_and(|plan| plan.fence_off) { Fence::Open } else { fence }
}

/// Whether deliveries are acknowledged too early.
pub(crate) fn acks_before_commit() -> bool {
    PLAN.get().is_some_and(|plan| plan.acks_before_commit)
}

/// Whether the process is to seem dead.
pub(crate) fn is_paused() -> bool {
    PAUSES.load(Ordering::Acquire) > 0
}

/// A step was reached.
pub(crate) async fn reach(point: Point) {
    // What is left to the caller is refused at points that have none.
    let _ = carry_out(point).await;
}

/// Lets happen what is to happen here, and returns what is left to the caller.
async fn carry_out(point: Point) -> Option<Action> {
    let hit = HITS[point as usize].fetch_add(1, Ordering::AcqRel) + 1;
    let name = point.name();
    let Some(action) = PLAN.get().and_then(|plan| plan.at(point, hit)) else {
        tracing::debug!(target: TARGET, point = name, hit, "reached");
        return None;
    };
    tracing::warn!(target: TARGET, point = name, hit, %action, "fault");
    match action {
        Action::Abort => abort(),
        Action::Freeze => freeze().await,
        Action::Pause(time) => pause(time).await,
        Action::LoseRequest | Action::LateRequest | Action::LoseAnswer => return Some(action),
    }
    None
}

/// Asks the broker to append, which is where requests and answers get lost.
pub(crate) async fn request(
    client: &Client,
    subject: String,
    request: Request,
) -> Result<Message, RequestError> {
    match carry_out(Point::BeforeAppend).await {
        Some(Action::LoseRequest) => return Err(no_answer()),
        Some(Action::LateRequest) => {
            // From here on, so that the next answer is not missed.
            let (client, answered) = (client.clone(), ANSWERED.notified());
            tokio::spawn(async move {
                answered.await;
                let answer = client.send_request(subject, request).await.map(|answer| answer.payload);
                tracing::warn!(target: TARGET, ?answer, "the late request was answered");
            });
            return Err(no_answer());
        }
        _ => {}
    }
    let mut answer = pin!(client.send_request(subject, request));
    // Until it has left.
    let early = tokio::select! {
        biased;
        answer = &mut answer => Some(answer?),
        _ = client.flush() => None,
    };
    let lost = carry_out(Point::AppendSent).await.is_some();
    let answer = match early {
        Some(answer) => answer,
        None => answer.await?,
    };
    ANSWERED.notify_waiters();
    if lost { Err(no_answer()) } else { Ok(answer) }
}

/// What the client library says when the time for an answer is over.
fn no_answer() -> RequestError {
    RequestError::new(RequestErrorKind::TimedOut)
}

/// Waits, and no sign of life is given meanwhile.
async fn pause(time: Option<Duration>) {
    struct Paused;
    impl Drop for Paused {
        fn drop(&mut self) {
            PAUSES.fetch_sub(1, Ordering::AcqRel);
        }
    }
    PAUSES.fetch_add(1, Ordering::AcqRel);
    let _paused = Paused;
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

/// Stands still until somebody sends SIGCONT. Any thread may take the signal, and on a busy machine not at once: what got
/// here goes no further until the process was thawed.
async fn freeze() {
    let thawed = signal(SignalKind::from_raw(Signal::CONT.as_raw()));
    signal_self(Signal::STOP);
    match thawed {
        Ok(mut thawed) => drop(thawed.recv().await),
        Err(error) => tracing::error!(target: TARGET, %error, "a thaw cannot be heard"),
    }
}

fn abort() -> ! {
    signal_self(Signal::KILL);
    // Not reached: nobody survives the signal.
    std::process::abort()
}

fn signal_self(signal: Signal) {
    if let Err(error) = kill_process(getpid(), signal) {
        tracing::error!(target: TARGET, %error, "no signal to this process");
    }
}
