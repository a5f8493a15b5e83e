//! Stopping the timers of a handler's deadline.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::response::Response;
use laban_wire::{FlowId, Timer, error_chain};
use serde::{Deserialize, Serialize};

use crate::runtime::delivery::{Delivery, Settled};
use crate::runtime::faults::point;
use crate::runtime::handling::Handling;

impl Handling {
    /// An event has come that the handler's deadline waits for: its timers in the flow are not needed any more.
    ///
    /// This is thrift. A timer that is set later, or not stopped, finds the event when it is due.
    pub(in crate::runtime) async fn cancel(self: Arc<Self>, delivery: Delivery) {
        let _alive = self.core.vigil.watch(&delivery.answers);
        let Some(flow) = delivery.flow() else {
            // In no flow, so no timer waits for it.
            return delivery.answers.ack(Settled::Handled).await;
        };
        match self.stop_timers(flow).await {
            Ok(()) => delivery.answers.ack(Settled::Handled).await,
            Err(reason) => {
                tracing::warn!(
                    service = %self.core.service, handler = %self.handler, %flow, reason,
                    "deadline not stopped; trying again"
                );
                delivery.answers.not_now(Duration::from_secs(1), &reason).await;
            }
        }
    }

    async fn stop_timers(&self, flow: &FlowId) -> Result<(), String> {
        let service = &self.core.service;
        let purge = format!("STREAM.PURGE.{}", Timer::stream_of(service));
        let filter = Timer::all_waiting(service, &self.handler, flow);
        point!(BeforePurge);
        let answer = self.core.committer.link.context().request(purge, &Purge { filter }).await;
        point!(AfterPurge);
        match answer {
            Ok(Response::Ok(Purged { success: true })) => Ok(()),
            Ok(Response::Ok(_)) => Err("the broker says neither yes nor why not".to_owned()),
            Ok(Response::Err { error }) => Err(error_chain(&error)),
            Err(error) => Err(error_chain(&error)),
        }
    }
}

#[derive(Serialize)]
struct Purge {
    filter: String,
}

#[derive(Deserialize)]
struct Purged {
    success: bool,
}
