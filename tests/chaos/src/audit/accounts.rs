use std::collections::BTreeSet;

use async_nats::{Client, jetstream};
use demo::{CHOREOGRAPHY, History, Service};
use futures_util::TryStreamExt as _;
use laban_flow::Flow;
use laban_tests::Outcome;
use serde::Serialize;

/// The timers of the shop's one deadline.
const TIMERS: &str = "ORDER_TIMERS";

/// Of every reaction that there should be: inputs are what was handled, given up, or is still to come.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Accounts {
    /// Events, once for each handler that reacts to their type.
    pub(crate) inputs: u64,
    /// Those with an outcome.
    pub(crate) handled: u64,
    /// Those that a handler gave up.
    pub(crate) dead: u64,
    /// Those whose deadline was met, so that nobody had to react.
    pub(crate) spared: u64,
    /// What the brokers' consumers have not delivered, or not heard of again.
    pub(crate) pending: u64,
}

impl Accounts {
    pub(super) fn of(history: &History, pending: u64) -> Self {
        let mut accounts = Self { pending, ..Self::default() };
        for flow in history.ids().filter_map(|id| history.flow(id)) {
            accounts.add(&flow);
        }
        accounts
    }

    fn add(&mut self, flow: &Flow) {
        let settled: BTreeSet<_> = (flow.steps.iter())
            .filter(|step| step.event != laban_wire::RETRYING && step.event != laban_wire::REDRIVE)
            .filter_map(|step| Some((step.cause?, step.service.as_str(), step.handler.as_deref()?)))
            .collect();
        let dead: BTreeSet<_> = (flow.dead_letters())
            .filter_map(|step| Some((step.cause?, step.service.as_str(), step.handler.as_deref()?)))
            .collect();
        let answered = flow
            .steps
            .iter()
            .any(|step| matches!(step.full_name().as_str(), "payment.captured" | "payment.declined"));
        for event in flow.steps.iter().filter(|step| !step.is_system() && !step.duplicate) {
            let name = event.full_name();
            for (service, handler, _) in CHOREOGRAPHY.iter().filter(|(_, _, on)| *on == name) {
                let work = (event.id, *service, *handler);
                self.inputs += 1;
                if dead.contains(&work) {
                    self.dead += 1;
                } else if settled.contains(&work) {
                    self.handled += 1;
                } else if *handler == "give_up" && answered {
                    self.spared += 1;
                }
            }
        }
    }

    pub(super) fn findings(&self) -> Vec<String> {
        let Self { inputs, handled, dead, spared, pending } = self;
        let mut findings = Vec::new();
        if *inputs != handled + dead + spared {
            findings.push(format!(
                "{inputs} inputs, but {handled} handled, {dead} given up, and {spared} that met their deadline"
            ));
        }
        if *pending > 0 {
            findings.push(format!("{pending} deliveries are pending"));
        }
        findings
    }
}

/// What is at the brokers, in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// What all consumers have not delivered yet, or not been told the end of, and timers that wait.
    pub(crate) pending: u64,
    /// Records in all home streams.
    pub(crate) records: u64,
}

pub(crate) async fn standing(client: &Client) -> Outcome<Standing> {
    let context = jetstream::new(client.clone());
    let pending = context.get_stream(TIMERS).await?.cached_info().state.messages;
    let mut standing = Standing { pending, records: 0 };
    for stream in Service::ALL.map(Service::home) {
        let stream = context.get_stream(stream).await?;
        standing.records += stream.cached_info().state.messages;
        let consumers: Vec<_> = stream.consumers().try_collect().await?;
        let open = consumers.iter().map(|info| info.num_pending + info.num_ack_pending as u64);
        standing.pending += open.sum::<u64>();
    }
    Ok(standing)
}
