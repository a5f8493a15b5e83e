//! What all handlers of a running service share.

use std::sync::Arc;

use laban_wire::{FlowId, ServiceName};
use tokio::sync::Semaphore;

use super::commit::Committer;
use super::drafts::Drafting;
use super::faults::point;
use super::known::Known;
use super::memory::Memory;
use super::turns::Turns;
use super::vigil::Vigil;
use crate::config::Config;
use crate::extract::States;
use crate::telemetry::Metrics;

pub(crate) struct Core {
    pub(crate) service: ServiceName,
    pub(crate) committer: Committer,
    pub(crate) drafting: Drafting,
    pub(crate) memory: Memory,
    pub(crate) turns: Arc<Turns>,
    pub(crate) vigil: Arc<Vigil>,
    pub(crate) states: Arc<States>,
    /// Whether any handler reads flow state, so that records are worth keeping in memory.
    pub(crate) keep_records: bool,
    pub(crate) config: Config,
    pub(crate) metrics: Metrics,
    /// Events whose attempts keep vanishing run one at a time, so that the one at fault is found.
    pub(crate) suspects: Semaphore,
}

impl Core {
    /// What is known of a flow, brought up to date when `unsure`. Whoever calls has the flow's turn, and gives it back
    /// with [`Memory::put`].
    pub(crate) async fn recall(&self, flow: &FlowId, redelivered: bool, reads_flow: bool) -> Known {
        let remembered = self.memory.take(flow);
        let unsure = redelivered || (remembered.is_none() && reads_flow);
        let mut known = remembered.unwrap_or_else(|| Known::nothing(self.keep_records));
        if unsure {
            Box::pin(self.committer.refresh(flow, &mut known)).await;
        }
        point!(Recalled);
        known
    }
}
