//! History handed to a live service again, message by message.
//!
//! Nothing on the broker changes for it: no position, no stream, no consumer. The service is asked over core NATS, and what it
//! does is under its fence, so that it may be asked any number of times. Whoever asks is what a consumer is otherwise: it
//! keeps so much in flight, and asks again what failed or was not answered.

mod asking;
mod feed;
mod hand;
mod reacted;
mod totals;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use async_nats::Client;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use laban_wire::{EventType, ServiceName};
use tokio::sync::watch;

use super::{Plan, Selection};
use crate::{Error, Mesh};
use asking::Asking;
use feed::Feed;
use hand::{Asked, Hands};

pub use reacted::{Outcome, Reacted, Reactions, Selected};
pub use totals::{Counts, End, Problem, ResumeAt, Totals};

/// What is to be handed over to whom. Its range is fixed: what is stored from now on is not in it.
#[derive(Clone, Debug)]
pub struct Run {
    service: ServiceName,
    plan: Plan,
    touched: Vec<Touched>,
    /// The handlers that react to an event type, as indices.
    reacting: HashMap<EventType, Vec<usize>>,
}

/// A handler, and what it will be handed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touched {
    /// The handler.
    pub handler: String,
    /// The selected event types that it reacts to.
    pub events: Vec<EventType>,
    /// How many messages.
    pub messages: u64,
    /// Whether it has no fence, so that it runs again for each.
    pub at_least_once: bool,
}

/// How fast it goes.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How many requests are in flight at a time.
    pub window: usize,
    /// At most so many requests a second.
    pub rate: Option<f64>,
    /// How long an instance may be silent before it is asked again, or another; a service, before the run ends.
    pub patience: Duration,
}

impl Default for Pace {
    /// 64 in flight, as fast as that goes; silent for longer than an instance at work ever is with its default settings.
    fn default() -> Self {
        Self { window: 64, rate: None, patience: Duration::from_secs(15) }
    }
}

impl Run {
    /// Finds out what is to be handed over: the selected events that the service, or the one handler, reacts to.
    ///
    /// # Errors
    /// When the broker does not answer, and [`Error::Selection`] when nothing can be meant.
    pub async fn plan(
        client: &Client,
        mesh: &Mesh,
        service: &ServiceName,
        handler: Option<&str>,
        selection: &Selection,
    ) -> Result<Self, Error> {
        let mut touched = touched(mesh, service, handler, selection)?;
        let mut events: Vec<EventType> = touched.iter().flat_map(|one| one.events.clone()).collect();
        events.sort();
        events.dedup();
        let all = Selection { events: events.clone(), events_only: true, ..selection.clone() };
        let plan = Plan::make(client, mesh, &all).await?;
        let counts = counts(client, mesh, &all, &plan).await?;
        for one in &mut touched {
            one.messages = one.events.iter().filter_map(|event| counts.get(event)).sum();
        }
        let mut reacting = HashMap::<EventType, Vec<usize>>::new();
        for (index, one) in touched.iter().enumerate() {
            for event in &one.events {
                reacting.entry(event.clone()).or_default().push(index);
            }
        }
        Ok(Self { service: service.clone(), plan, touched, reacting })
    }

    /// The handlers, by name.
    pub fn touched(&self) -> &[Touched] {
        &self.touched
    }

    /// How many requests it takes: a message is handed to each handler that reacts to it.
    pub fn requests(&self) -> u64 {
        self.touched.iter().map(|one| one.messages).sum()
    }

    /// Hands it all over, in causal order, so much in flight that order is kept no more strictly than by live consumers; with
    /// a window of one it is kept. `progress` hears how much is done.
    ///
    /// Ends early when `stop` completes, once what is in flight is answered; and when nobody serves, or history cannot be read
    /// on. The totals say so. History is read over `bulk`.
    ///
    /// # Errors
    /// When the broker takes no subscription.
    pub async fn run(
        &self,
        client: &Client,
        bulk: &Client,
        pace: &Pace,
        stop: impl Future<Output = ()>,
        mut progress: impl FnMut(&Totals),
    ) -> Result<Totals, Error> {
        let asking = Asking::start(client).await?;
        let (stopping, stopped) = watch::channel(false);
        let hands = Hands::new(&self.service, &self.touched, &asking, pace.patience, stopped);
        let mut feed = Feed::new(self.plan.replay(client, bulk), &self.reacting, pace.rate);
        let mut totals = Totals::of(&self.touched);
        let mut in_flight = FuturesUnordered::new();
        let mut stop = std::pin::pin!(stop);
        let mut end = None;
        while end.is_none() || !in_flight.is_empty() {
            let room = end.is_none() && in_flight.len() < pace.window.max(1);
            tokio::select! {
                () = &mut stop, if end.is_none() => end = Some(End::Stopped),
                Some(handed) = in_flight.next(), if !in_flight.is_empty() => {
                    let handed: hand::Handed = handed;
                    if matches!(handed.asked, Asked::Nobody) && matches!(end, None | Some(End::Complete)) {
                        let handler = self.touched[handed.job.handler].handler.clone();
                        end = Some(End::NobodyServes { handler });
                    }
                    totals.note(&handed);
                    progress(&totals);
                }
                job = feed.next(), if room => match job {
                    Ok(Some(job)) => in_flight.push(hands.hand(job)),
                    Ok(None) => end = Some(End::Complete),
                    Err(error) => end = Some(End::CutShort { reason: error.to_string() }),
                },
            }
            if end.as_ref().is_some_and(|end| *end != End::Complete) {
                // What waits to be asked again waits no longer.
                let _ = stopping.send(true);
            }
        }
        totals.end = end.unwrap_or(End::Complete);
        totals.resume_at =
            totals.unfinished(&feed, self.plan.parts().iter().filter(|part| part.records > 0).count());
        feed.close().await;
        Ok(totals)
    }
}

/// The handlers that are meant, and the events that they are to be handed.
fn touched(
    mesh: &Mesh,
    service: &ServiceName,
    handler: Option<&str>,
    selection: &Selection,
) -> Result<Vec<Touched>, Error> {
    let wrong = |reason: String| Err(Error::Selection { reason });
    let mut handlers = BTreeMap::<&str, Touched>::new();
    for one in mesh.reactions.iter().filter(|one| one.service == service.as_str()) {
        let touched = handlers.entry(&one.handler).or_insert_with(|| Touched {
            handler: one.handler.clone(),
            events: Vec::new(),
            messages: 0,
            at_least_once: one.at_least_once,
        });
        touched.events.push(one.on.clone());
    }
    if handlers.is_empty() {
        let mut known: Vec<&str> = mesh.reactions.iter().map(|one| one.service.as_str()).collect();
        known.sort_unstable();
        known.dedup();
        let known = if known.is_empty() { "nobody".to_owned() } else { known.join(", ") };
        return wrong(format!(
            "no handler of a service `{service}` reacts to anything there; those of {known} do"
        ));
    }
    if let Some(handler) = handler.filter(|handler| !handlers.contains_key(handler)) {
        let known: Vec<&str> = handlers.into_keys().collect();
        return wrong(format!(
            "service `{service}` has no handler `{handler}`; it has: {}",
            known.join(", ")
        ));
    }
    handlers.retain(|name, _| handler.is_none_or(|handler| handler == *name));
    let reacted_to: Vec<String> =
        handlers.values().flat_map(|one| &one.events).map(EventType::to_string).collect();
    for one in handlers.values_mut() {
        one.events.retain(|event| selection.events.is_empty() || selection.events.contains(event));
        one.events.sort();
    }
    handlers.retain(|_, one| !one.events.is_empty());
    if handlers.is_empty() {
        return wrong(format!("it reacts to none of those events, but to: {}", reacted_to.join(", ")));
    }
    Ok(handlers.into_values().collect())
}

/// How many messages there are of each type, within the range of the plan.
async fn counts(
    client: &Client,
    mesh: &Mesh,
    all: &Selection,
    plan: &Plan,
) -> Result<HashMap<EventType, u64>, Error> {
    let mut counts = HashMap::new();
    for event in &all.events {
        let Some(part) = plan.parts().iter().find(|part| part.service == event.service()) else { continue };
        let records = if all.events.len() == 1 {
            part.records
        } else {
            let (from_seq, to_seq) = (Some(part.first), Some(part.last.max(part.first)));
            let one = Selection { events: vec![event.clone()], from_seq, to_seq, ..all.clone() };
            if part.records == 0 { 0 } else { Plan::make(client, mesh, &one).await?.records() }
        };
        counts.insert(event.clone(), records);
    }
    Ok(counts)
}
