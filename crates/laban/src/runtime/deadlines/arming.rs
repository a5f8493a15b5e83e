//! Setting the timer of a handler's deadline.

use std::sync::Arc;

use async_nats::HeaderMap;
use async_nats::header::{NATS_SCHEDULE, NATS_SCHEDULE_TARGET};
use laban_wire::{Message, TRACEPARENT, Timer};
use time::format_description::well_known::Rfc3339;

use crate::definition::Deadline;
use crate::runtime::append::{AppendError, publish};
use crate::runtime::commit::Pause;
use crate::runtime::delivery::{Delivery, Settled};
use crate::runtime::handling::Handling;

impl Handling {
    /// Has the broker hand the event back when the handler's time has passed. Whoever does so again sets the same timer.
    pub(in crate::runtime) async fn arm(self: Arc<Self>, delivery: Delivery) {
        self.metrics.received(delivery.waited);
        let _alive = self.core.vigil.watch(&delivery.answers);
        let message = match delivery.read(&self.event) {
            Ok(message) => message,
            Err(invalid) => {
                // Its dead letter is a record of the flow, whose turn has to come first.
                let mut turn = delivery.flow().map(|flow| self.core.turns.line_up(flow));
                if let Some(turn) = &mut turn {
                    turn.come().await;
                }
                return self.unreadable(&delivery, &invalid).await;
            }
        };
        match self.set_timer(&message).await {
            Ok(()) => delivery.answers.ack(Settled::NotDue).await,
            Err(reason) => {
                tracing::error!(
                    service = %self.core.service, handler = %self.handler, flow = %message.subject.flow, reason,
                    "deadline not set; trying again in a minute"
                );
                delivery.answers.not_now(std::time::Duration::from_secs(60), &reason).await;
            }
        }
    }

    /// Sets the timer, however long the broker is away. The broker alone knows what time it is: a timer whose time has
    /// passed is due at once.
    async fn set_timer(&self, input: &Message) -> Result<(), String> {
        let Some(deadline) = &self.definition.deadline else { return Ok(()) };
        let (service, flow) = (&self.core.service, &input.subject.flow);
        let headers = headers(deadline, input, Timer::due(service, &self.handler, flow))?;
        let timer = Timer {
            stream: input.stream.to_string(),
            seq: input.seq,
            subject: input.subject.to_text(),
            id: input.meta.id,
        };
        let body = serde_json::to_vec(&timer).map_err(|error| error.to_string())?;
        let subject = Timer::waiting(service, &self.handler, flow, input.meta.id);
        let mut pause = Pause::default();
        loop {
            let client = self.core.committer.link.client();
            match publish(&client, subject.clone(), headers.clone(), body.clone().into()).await {
                Ok(_) => return Ok(()),
                Err(AppendError::Refused(reason)) => return Err(reason),
                Err(AppendError::FenceLost) => pause.short().await,
                Err(AppendError::Unknown(reason) | AppendError::Unavailable(reason)) => {
                    tracing::warn!(%service, handler = %self.handler, %flow, reason, "setting a deadline; trying again");
                    pause.long().await;
                }
            }
        }
    }
}

fn headers(deadline: &Deadline, input: &Message, due: String) -> Result<HeaderMap, String> {
    let at = input.at.checked_add(deadline.within.try_into().map_err(|_| "no such time".to_owned())?);
    let at = at.ok_or("no such time")?.format(&Rfc3339).map_err(|error| error.to_string())?;
    let mut headers = HeaderMap::new();
    headers.insert(NATS_SCHEDULE, format!("@at {at}"));
    headers.insert(NATS_SCHEDULE_TARGET, due);
    if let Some(trace) = input.trace {
        headers.insert(TRACEPARENT, trace.to_header());
    }
    Ok(headers)
}
