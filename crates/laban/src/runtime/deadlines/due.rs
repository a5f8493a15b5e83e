//! Timers that are due.

use std::sync::Arc;
use std::time::Duration;

use laban_wire::{FlowId, Message, Stored, Subject, Timer};
use opentelemetry::Context;
use time::OffsetDateTime;

use crate::runtime::consumers::home_of;
use crate::runtime::delivery::{Delivery, Settled};
use crate::runtime::faults::point;
use crate::runtime::handling::{Handling, Task};
use crate::runtime::not_now::NotNow;
use crate::runtime::turns::Turn;
use crate::telemetry::{Trace, propagation};

/// A timer of a handler that is unknown here waits so long for an instance that knows it: an older or a newer one.
const FOR_ANOTHER: Duration = Duration::from_secs(30);

/// The handlers with a deadline.
pub(crate) struct Due {
    pub(crate) handlings: Vec<Arc<Handling>>,
}

impl Due {
    /// Hands the event that a timer names to its handler, unless what that waits for has come.
    pub(in crate::runtime) async fn settle(self: Arc<Self>, delivery: Delivery, mut turn: Option<Turn>) {
        let Some(any) = self.handlings.first() else { return };
        let _alive = any.core.vigil.watch(&delivery.answers);
        if let Some(turn) = &mut turn {
            turn.come().await;
        }
        if let Err(not_now) = self.run(&delivery).await {
            not_now.answer("deadline", &any.core.service, &delivery).await;
        }
    }

    async fn run(&self, delivery: &Delivery) -> Result<(), NotNow> {
        let timer: Timer =
            serde_json::from_slice(&delivery.stored.payload).map_err(|error| error.to_string())?;
        let handling = self.handler(delivery, &timer)?;
        let again = delivery.instead(input_of(handling, &timer).await?);
        point!(InputRead);
        let message = match again.read(&handling.event) {
            Ok(message) if message.meta.id == timer.id => message,
            Ok(_) => return Err(format!("another event is at {} {}", timer.stream, timer.seq).into()),
            Err(invalid) => {
                handling.unreadable(&again, &invalid).await;
                return Ok(());
            }
        };
        if handling.has_come(&message.subject.flow).await? {
            again.answers.ack(Settled::Awaited).await;
            return Ok(());
        }
        point!(Looked);
        handling.metrics.received(again.waited);
        let published_in = propagation::extract(message.trace, &again.stored.headers);
        let trace = Trace::New { parent: Context::new(), published_in };
        let task = Task::new(&handling.handler, &again, message, trace);
        handling.react_late(&task).await;
        Ok(())
    }

    fn handler(&self, delivery: &Delivery, timer: &Timer) -> Result<&Arc<Handling>, NotNow> {
        let subject: Subject = timer.subject.parse().map_err(|error| format!("{error}"))?;
        // Whose turn it is follows from the timer's own subject.
        if delivery.flow() != Some(&subject.flow) {
            return Err(format!("it is of another flow than {}", timer.subject).into());
        }
        let handler = Timer::handler_of(&delivery.stored.subject).unwrap_or_default();
        let known =
            self.handlings.iter().find(|one| *one.handler == *handler && one.event == subject.event_type);
        known.ok_or_else(|| NotNow::Later {
            reason: format!("no handler `{handler}` with a deadline reacts to {} here", subject.event_type),
            wait: FOR_ANOTHER,
        })
    }
}

/// The event that the timer was set for.
async fn input_of(handling: &Handling, timer: &Timer) -> Result<Stored, NotNow> {
    let reader = handling.core.committer.link.reader();
    let found = reader.leader_next(&timer.stream, &timer.subject, timer.seq).await?;
    let found = found.filter(|found| found.seq == timer.seq);
    Ok(found.ok_or_else(|| format!("its input is no longer at {} {}", timer.stream, timer.seq))?)
}

impl Handling {
    /// Whether the time of the handler's deadline has not passed for this input. Without a deadline it has.
    ///
    /// For those that no timer has sent. The broker's clock decides, by its timer; this machine's only where there is no
    /// timer: not set yet, or come.
    pub(in crate::runtime) async fn is_not_due(&self, input: &Message) -> Result<bool, NotNow> {
        let Some(deadline) = &self.definition.deadline else { return Ok(false) };
        if OffsetDateTime::now_utc() < input.at + deadline.within {
            return Ok(true);
        }
        let (service, flow) = (&self.core.service, &input.subject.flow);
        let waiting = Timer::waiting(service, &self.handler, flow, input.meta.id);
        let reader = self.core.committer.link.reader();
        Ok(reader.leader_next(&Timer::stream_of(service), &waiting, 1).await?.is_some())
    }

    /// Whether an event is in the flow that the handler's deadline waits for. Without a deadline there is none.
    pub(in crate::runtime) async fn has_come(&self, flow: &FlowId) -> Result<bool, NotNow> {
        let Some(deadline) = &self.definition.deadline else { return Ok(false) };
        let reader = self.core.committer.link.reader();
        for event in &deadline.unless {
            let subject = Subject::new(event.clone(), flow.clone()).to_text();
            match reader.leader_next(&home_of(event), &subject, 1).await {
                Ok(None) => {}
                Ok(Some(_)) => return Ok(true),
                // Its service has never run, so it has not spoken.
                Err(error) if error.is_no_stream() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(false)
    }
}
