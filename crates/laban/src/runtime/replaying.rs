//! Replays: messages that a stream holds, handed to a handler again because somebody asks for it.
//!
//! Asked over core NATS, so that no consumer's position is touched. A request names a message and its handler; what follows
//! is what follows a delivery, under the same fence and the same limits: what took effect before is absorbed. The answer
//! goes to whoever asks, who asks again when there is none.

use std::sync::Arc;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, HeaderMap, Message, Subscriber};
use futures_util::stream::{SelectAll, StreamExt as _, select_all};
use laban_wire::{ReplayRequest, Replayed, TRACEPARENT};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::commit::Pause;
use super::consumers::home_of;
use super::delivery::{Answers, Delivery, Settled};
use super::handling::{Handling, Task};
use super::link::Link;
use super::not_now::NotNow;
use crate::telemetry::{Trace, propagation};

/// Requests that an instance has in hand at a time. Handlers have limits of their own.
const AT_ONCE: usize = 256;
/// When to ask an instance again that has as many in hand.
const BUSY: Duration = Duration::from_millis(100);
/// How long a stop waits for requests that were on their way.
const GRACE: Duration = Duration::from_secs(2);

/// The handlers that may be handed something again: all of them.
pub(crate) struct Replaying {
    handlings: Vec<Arc<Handling>>,
    room: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl Replaying {
    /// `tasks` are what the drain waits for.
    pub(crate) fn of(handlings: Vec<Arc<Handling>>, tasks: TaskTracker) -> Self {
        Self { handlings, room: Arc::new(Semaphore::new(AT_ONCE)), tasks }
    }

    /// Answers until the service stops. Where it may not subscribe, nobody asks it, and it works.
    pub(crate) async fn answer(self: Arc<Self>, link: Link, stop: CancellationToken) {
        let mut pause = Pause::default();
        loop {
            let client = link.client();
            match self.listen(&client).await {
                Ok(requests) => {
                    if self.serve(requests, &client, &stop).await {
                        return;
                    }
                }
                Err(error) => tracing::debug!(%error, "not to be asked for replays; trying again"),
            }
            // The client library has given up, or is about to.
            let again = async {
                pause.long().await;
                link.revive().await;
            };
            tokio::select! {
                () = again => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// A subscription for each handler, so that only an instance that has it is asked.
    async fn listen(&self, client: &Client) -> Result<SelectAll<Subscriber>, async_nats::SubscribeError> {
        let mut all = Vec::new();
        for (index, one) in self.handlings.iter().enumerate() {
            // A handler of several event types is asked in one place.
            if self.handlings[..index].iter().any(|other| other.handler == one.handler) {
                continue;
            }
            let service = &one.core.service;
            let subject = ReplayRequest::subject(service, &one.handler);
            all.push(client.queue_subscribe(subject, service.to_string()).await?);
        }
        Ok(select_all(all))
    }

    /// Serves until the subscriptions end, or the service stops. Says whether it stops.
    async fn serve(
        self: &Arc<Self>,
        mut requests: SelectAll<Subscriber>,
        client: &Arc<Client>,
        stop: &CancellationToken,
    ) -> bool {
        loop {
            tokio::select! {
                request = requests.next() => match request {
                    Some(request) => self.begin(request, client).await,
                    None => return false,
                },
                () = stop.cancelled() => break,
            }
        }
        if client.connection_state() != State::Connected {
            // Nothing more comes over it.
            return true;
        }
        // What is on its way to this instance is served; what comes after goes to another.
        for subscription in requests.iter_mut() {
            let _ = subscription.drain().await;
        }
        while let Ok(Some(request)) = tokio::time::timeout(GRACE, requests.next()).await {
            self.begin(request, client).await;
        }
        true
    }

    /// Starts work on a request, if it is one and there is room.
    async fn begin(self: &Arc<Self>, request: Message, client: &Arc<Client>) {
        let Some(reply) = request.reply else { return };
        let answers = Answers::to_replay(reply, client);
        let asked = match read(&request.payload) {
            Ok(asked) => asked,
            Err(error) => return answers.say(&Replayed::Refused { error }).await,
        };
        let Ok(room) = Arc::clone(&self.room).try_acquire_owned() else {
            return answers.not_now(BUSY, "this instance has its hands full").await;
        };
        let this = Arc::clone(self);
        let headers = request.headers.unwrap_or_default();
        // Boxed: as in `pull`.
        self.tasks.spawn(Box::pin(async move {
            let handler = request.subject.rsplit('.').next().unwrap_or_default();
            if let Err(replayed) = this.replay(handler, &asked, &headers, &answers).await {
                answers.say(&replayed).await;
            }
            drop(room);
        }));
    }

    /// Hands the message to the handler, unless there is something to say instead.
    async fn replay(
        &self,
        handler: &str,
        asked: &ReplayRequest,
        headers: &HeaderMap,
        answers: &Answers,
    ) -> Result<(), Replayed> {
        let refused = |error: String| Replayed::Refused { error };
        let ReplayRequest { stream, seq, .. } = asked;
        let of = || self.handlings.iter().filter(|one| *one.handler == *handler);
        // Nothing is read for a handler but what it may be delivered.
        let any = of().find(|one| *home_of(&one.event) == **stream);
        let any = any.ok_or_else(|| refused(format!("handler `{handler}` reacts to nothing of {stream}")))?;
        let _alive = any.core.vigil.watch(answers);

        let stored = match any.core.committer.link.reader().leader_at(stream, *seq).await {
            Ok(stored) => stored.ok_or(Replayed::Gone)?,
            Err(error) if error.is_no_stream() => return Err(Replayed::Gone),
            Err(error) => return Err(NotNow::from(error).into()),
        };
        let event = stored.subject.rsplit_once('.').map_or("", |(event, _)| event);
        let handling = of().find(|one| one.event.as_str() == event);
        let handling =
            handling.ok_or_else(|| refused(format!("handler `{handler}` does not react to {event}")))?;
        // Attempts at what is fenced are in its records.
        let attempt = if handling.definition.fenced { 1 } else { asked.attempt };
        let delivery = Delivery::replayed(stored, attempt, answers.clone());
        let message = delivery
            .read(&handling.event)
            .map_err(|invalid| Replayed::Unreadable { error: invalid.to_string() })?;

        let flow = message.subject.flow.clone();
        let mut turn = handling.definition.fenced.then(|| handling.core.turns.line_up(&flow));
        if let Some(turn) = &mut turn {
            turn.come().await;
        }
        if handling.is_not_due(&message).await? {
            answers.ack(Settled::NotDue).await;
            return Ok(());
        }
        if handling.has_come(&flow).await? {
            answers.ack(Settled::Awaited).await;
            return Ok(());
        }
        let asked_in = headers.get(TRACEPARENT).and_then(|value| value.as_str().parse().ok());
        let parent = propagation::extract(asked_in, headers);
        let published_in = propagation::extract(message.trace, &delivery.stored.headers);
        let task = Task::new(&handling.handler, &delivery, message, Trace::New { parent, published_in });
        if handling.definition.fenced {
            handling.react_late(&task).await;
        } else {
            handling.react(&task, false).await;
        }
        Ok(())
    }
}

fn read(request: &[u8]) -> Result<ReplayRequest, String> {
    if request.len() > ReplayRequest::MAX_BYTES {
        return Err(format!("a request has at most {} bytes", ReplayRequest::MAX_BYTES));
    }
    serde_json::from_slice(request).map_err(|error| format!("not a request: {error}"))
}

impl From<NotNow> for Replayed {
    fn from(not_now: NotNow) -> Self {
        match not_now {
            NotNow::Later { reason, wait } => {
                Self::Later { error: reason, again_in_ms: crate::contract::millis(wait) }
            }
            NotNow::Never(error) => Self::Refused { error },
        }
    }
}
