//! Pulling: asks the broker for as many deliveries as there is room for, and no more.
//!
//! Spoken at the level of the protocol, because of the drain: when asked to stop it asks for nothing more and waits until
//! every request has been answered or has expired, so that no message is on its way to somebody who has left.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_nats::connection::State;
use async_nats::{Client, StatusCode, Subscriber};
use futures_util::{FutureExt as _, StreamExt as _};
use laban_wire::AckSubject;
use tokio::sync::{Mutex, Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::commit::Pause;
use super::consumers::Position;
use super::deadlines::Due;
use super::delivery::Delivery;
use super::faults::point;
use super::handling::Handling;
use super::link::Link;
use super::redrive::Redriving;
use super::screen::Screen;
use super::turns::Turn;

/// How long the broker keeps a request. Short, because a drain waits that long.
const EXPIRES: Duration = Duration::from_secs(2);
/// A request that is neither answered nor expired by then is lost: the connection broke, or the broker.
const GRACE: Duration = Duration::from_secs(2);

/// Pulls for one handler at one event type.
pub(crate) struct Puller {
    pub(crate) worker: Worker,
    pub(crate) position: Position,
    pub(crate) link: Link,
    pub(crate) screening: Arc<Mutex<()>>,
    /// Deliveries worked on at a time.
    pub(crate) limit: usize,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    pub(crate) epochs: watch::Receiver<u64>,
}

/// Who works on what is pulled.
#[derive(Clone)]
pub(crate) enum Worker {
    /// Events, for a handler.
    Handling(Arc<Handling>),
    /// Redrives, for all of them.
    Redriving(Arc<Redriving>),
    /// Events, for a handler with a deadline: they set its timer.
    Arming(Arc<Handling>),
    /// Events that the deadline of a handler waits for: they stop its timers.
    Cancelling(Arc<Handling>),
    /// Timers that are due, for all handlers with a deadline.
    Due(Arc<Due>),
}

impl Worker {
    /// Takes the delivery's place in its flow's line.
    fn line_up(&self, delivery: &Delivery) -> Option<Turn> {
        let core = match self {
            Self::Handling(handling) => handling.definition.fenced.then_some(&handling.core)?,
            Self::Redriving(redriving) => &redriving.handlings.first()?.core,
            Self::Due(due) => &due.handlings.first()?.core,
            // Neither touches the service's records.
            Self::Arming(_) | Self::Cancelling(_) => return None,
        };
        Some(core.turns.line_up(delivery.flow()?))
    }

    pub(super) async fn settle(self, delivery: Delivery, turn: Option<Turn>) {
        point!(Received);
        match self {
            Self::Handling(handling) => handling.settle(delivery, turn).await,
            Self::Redriving(redriving) => Box::pin(redriving.settle(delivery, turn)).await,
            Self::Arming(handling) => Box::pin(handling.arm(delivery)).await,
            Self::Cancelling(handling) => Box::pin(handling.cancel(delivery)).await,
            Self::Due(due) => Box::pin(due.settle(delivery, turn)).await,
        }
        point!(Finished);
    }
}

/// Why pulling ended.
enum End {
    Stopped,
    /// The consumer or its stream is gone.
    Gone(String),
}

/// Deliveries in hand, and word of each that is finished.
#[derive(Default)]
struct Hands {
    full: AtomicUsize,
    freed: Notify,
    /// How long deliveries are in hand, as a moving average.
    average_us: AtomicU64,
}

/// One delivery in hand.
struct Hand {
    hands: Arc<Hands>,
    since: Instant,
}

/// Deliveries that take no longer than this are asked for before there is anyone to work on them.
const SHORT: Duration = Duration::from_millis(50);

impl Hands {
    fn take(self: &Arc<Self>) -> Hand {
        self.full.fetch_add(1, Ordering::AcqRel);
        Hand { hands: Arc::clone(self), since: Instant::now() }
    }

    /// How many deliveries to have in hand when `limit` are worked on at a time. As many again when they are short: they
    /// are there when the others are done, which would otherwise wait for the broker. Long ones are better left to an
    /// instance that has the time.
    fn wanted(&self, limit: usize) -> usize {
        match self.average_us.load(Ordering::Relaxed) {
            // Nothing is known yet.
            0 => limit,
            average_us if u128::from(average_us) > SHORT.as_micros() => limit,
            _ => limit * 2,
        }
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        let took_us = u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX);
        // Others may do the same at this moment, and one of them be forgotten. It is an estimate.
        let average_us = self.hands.average_us.load(Ordering::Relaxed);
        let moved = average_us - average_us / 8 + took_us / 8;
        self.hands.average_us.store(moved.max(1), Ordering::Relaxed);
        self.hands.full.fetch_sub(1, Ordering::AcqRel);
        self.hands.freed.notify_one();
    }
}

impl Puller {
    /// Pulls until stopped, making the consumer again whenever it is deleted.
    pub(crate) async fn run(mut self) {
        let (mut pause, mut told) = (Pause::default(), None);
        loop {
            if self.position.attach(&self.link, &self.stop).await.is_none() {
                return;
            }
            tracing::debug!(consumer = self.position.name(), "attached");
            let begun = Instant::now();
            let reason = match self.pull().await {
                Ok(End::Stopped) => return,
                Ok(End::Gone(reason)) => format!("consumer gone; making it again: {reason}"),
                Err(error) => format!("cannot pull; trying again: {error}"),
            };
            // Replicas of a consumer that was just made have to elect a leader, and until then nobody answers for it.
            let at_once = begun.elapsed() < EXPIRES;
            if !at_once {
                (pause, told) = (Pause::default(), None);
            }
            if told.as_ref() != Some(&reason) {
                tracing::warn!(consumer = self.position.name(), "{reason}");
                told = Some(reason);
            }
            let again = async {
                self.link.revive().await;
                if at_once {
                    pause.short().await;
                }
            };
            tokio::select! {
                () = again => {}
                () = self.stop.cancelled() => return,
            }
        }
    }

    async fn pull(&mut self) -> Result<End, async_nats::SubscribeError> {
        let client = self.link.client();
        // What cannot be delivered may have been left by a process that it ended.
        tokio::select! {
            () = self.screen().run() => {}
            () = self.stop.cancelled() => return Ok(End::Stopped),
        }
        let inbox = client.new_inbox();
        let mut messages = client.subscribe(inbox.clone()).await?;
        let hands = Arc::new(Hands::default());
        let mut asked = Asked::default();
        self.epochs.mark_unchanged();
        loop {
            let stopping = self.stop.is_cancelled();
            // Over a broken connection nothing more will come; what was on its way is delivered again elsewhere.
            if stopping && (asked.open == 0 || client.connection_state() != State::Connected) {
                return Ok(End::Stopped);
            }
            let wanted = hands.wanted(self.limit);
            let room = wanted.saturating_sub(hands.full.load(Ordering::Acquire) + asked.open);
            if !stopping && room > 0 && (asked.open == 0 || room > wanted / 2) {
                self.ask(&client, &inbox, room).await;
                asked.more(room);
            }
            tokio::select! {
                message = messages.next() => match message {
                    Some(message) => {
                        // All that has come at once: a turn of this loop between two of them costs as much as a delivery's
                        // other bookkeeping.
                        let mut come = Some(message);
                        while let Some(message) = come {
                            if let Some(reason) = self.take(message, &client, &hands, &mut asked) {
                                self.finish(messages, &client, &hands).await;
                                return Ok(End::Gone(reason));
                            }
                            come = messages.next().now_or_never().flatten();
                        }
                    }
                    None => return Ok(End::Gone("the subscription ended".to_owned())),
                },
                () = hands.freed.notified() => {}
                () = asked.overdue() => {
                    let exists = tokio::select! {
                        exists = self.exists() => exists,
                        () = self.stop.cancelled() => return Ok(End::Stopped),
                    };
                    if !exists && client.connection_state() == State::Connected {
                        self.finish(messages, &client, &hands).await;
                        return Ok(End::Gone("the consumer does not exist".to_owned()));
                    }
                    // What was asked for is lost in any case.
                    asked.open = 0;
                    if !exists {
                        // It cannot be found out while the broker is away.
                        tokio::select! {
                            _ = self.epochs.changed() => {}
                            () = self.stop.cancelled() => {}
                        }
                    }
                }
                // The broker forgot what was asked over the old connection.
                changed = self.epochs.changed() => if changed.is_ok() {
                    asked.open = 0;
                    self.tasks.spawn(self.screen().run());
                },
                () = self.stop.cancelled(), if !stopping => {}
            }
        }
    }

    async fn ask(&self, client: &Arc<Client>, inbox: &str, batch: usize) {
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", self.position.stream, self.position.name());
        let request = format!(r#"{{"batch":{batch},"expires":{}}}"#, EXPIRES.as_nanos());
        if let Err(error) = client.publish_with_reply(subject, inbox.to_owned(), request.into()).await {
            tracing::debug!(%error, "a request for deliveries could not be sent; it will be overdue");
        }
    }

    /// Takes one message off the subscription: a delivery, or the broker's word on a request. Returns why the consumer is
    /// gone, if it is.
    fn take(
        &self,
        message: async_nats::Message,
        client: &Arc<Client>,
        hands: &Arc<Hands>,
        asked: &mut Asked,
    ) -> Option<String> {
        // A stored message may carry a status line of its own; what is to be acknowledged is a delivery.
        let delivery = message.reply.as_ref().is_some_and(|reply| AckSubject::is_one(reply));
        let Some(status) = message.status.filter(|status| *status != StatusCode::OK && !delivery) else {
            asked.answered();
            self.begin(message, client, hands);
            return None;
        };
        let said = message.description.as_deref().unwrap_or_default();
        match status.as_u16() {
            // Expired: the header says how much of it was not used.
            408 => asked.expired(pending(&message)),
            100 => {}
            409 if said.contains("Deleted") => return Some(said.to_owned()),
            404 => return Some("the consumer does not exist".to_owned()),
            503 => return Some("nobody answers for the consumer".to_owned()),
            // The leader changed, the server is shutting down, too many requests wait: ask again.
            code => {
                tracing::debug!(consumer = self.position.name(), code, said, "request ended");
                asked.expired(pending(&message));
            }
        }
        None
    }

    /// Starts work on a delivery. Its place in its flow's line is taken here, in the order of arrival.
    fn begin(&self, message: async_nats::Message, client: &Arc<Client>, hands: &Arc<Hands>) {
        let Some(delivery) = Delivery::of(message, &self.position.stream, client) else {
            tracing::warn!(
                consumer = self.position.name(),
                "a message that no consumer delivered was skipped"
            );
            return;
        };
        let hand = hands.take();
        let turn = self.worker.line_up(&delivery);
        let worker = self.worker.clone();
        // Boxed: the runtime moves a task's future about ten times, and this one has some kilobytes.
        self.tasks.spawn(Box::pin(async move {
            worker.settle(delivery, turn).await;
            drop(hand);
        }));
    }

    /// Takes what was already on its way when the consumer went.
    async fn finish(&self, mut messages: Subscriber, client: &Arc<Client>, hands: &Arc<Hands>) {
        if messages.drain().await.is_err() {
            return;
        }
        let mut asked = Asked::default();
        while let Ok(Some(message)) = tokio::time::timeout(GRACE, messages.next()).await {
            self.take(message, client, hands, &mut asked);
        }
    }

    fn screen(&self) -> Screen {
        Screen {
            worker: self.worker.clone(),
            link: self.link.clone(),
            screening: Arc::clone(&self.screening),
            stream: Arc::clone(&self.position.stream),
            consumer: self.position.name().to_owned(),
            filter: self.position.filter().to_owned(),
        }
    }

    async fn exists(&self) -> bool {
        let context = self.link.context();
        let found = context.get_consumer_from_stream::<async_nats::jetstream::consumer::pull::Config, _, _>(
            self.position.name(),
            &*self.position.stream,
        );
        // Whether it is gone or the broker is away: finding or making it again waits for either.
        found.await.is_ok()
    }
}

fn pending(message: &async_nats::Message) -> Option<usize> {
    message.headers.as_ref()?.get("Nats-Pending-Messages")?.as_str().parse().ok()
}

/// What was asked for and has not come.
#[derive(Default)]
struct Asked {
    open: usize,
    last: Option<Instant>,
}

impl Asked {
    fn more(&mut self, batch: usize) {
        self.open += batch;
        self.last = Some(Instant::now());
    }

    fn answered(&mut self) {
        self.open = self.open.saturating_sub(1);
    }

    fn expired(&mut self, unused: Option<usize>) {
        self.open = unused.map_or(0, |unused| self.open.saturating_sub(unused));
    }

    /// Waits until what was asked for last must be lost.
    async fn overdue(&self) {
        match self.last {
            Some(last) if self.open > 0 => tokio::time::sleep_until((last + EXPIRES + GRACE).into()).await,
            _ => std::future::pending().await,
        }
    }
}
