//! Flows of the real shop, as patterns for many more.

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use demo::orders::{self, Plan};
use demo::traces::Wanted;
use demo::{History, Mesh, Progress as Silent, Settings, settle};
use laban_wire::EventId;

use super::broker::Profiled;
use crate::driver::Root;
use crate::error::{Doing as _, Error, Result};

/// How long flows may take to end.
const SETTLE: Duration = Duration::from_secs(600);
const AT_ONCE: usize = 16;
const SEED: u64 = 1;

/// What the shop wrote, flow by flow.
#[derive(Default)]
pub(super) struct Flows(Vec<Vec<Record>>);

struct Record {
    /// Up to the flow.
    subject: String,
    /// How long the flow's name is there.
    token: usize,
    headers: HeaderMap,
    payload: Bytes,
}

/// Places so many orders, each of which is completed, and stops the services when they are.
pub(super) async fn place(count: usize) -> Result<(Profiled, Flows)> {
    let broker = Profiled::start().await?;
    let settings = Settings { url: Some(broker.url()), traces: Wanted::Receiver, ..Settings::default() };
    let mesh = Mesh::start(settings).await.doing("open the shop")?;
    let (plan, stage) = (Plan::plain(count, SEED), Silent::Silent.stage("", 0));
    let placed = orders::place(&mesh.door(), &plan.orders, AT_ONCE, &stage).await;
    let flows: Vec<_> = placed.iter().filter_map(|one| one.flow.clone()).collect();
    if flows.len() != count {
        return Err(Error::new(format!("{} of {count} orders were taken", flows.len())));
    }
    let mut history = mesh.history().await.doing("read the shop's history")?;
    let unsettled =
        settle(|| mesh.check(), &mut history, &flows, SETTLE, &stage).await.doing("wait for the orders")?;
    if let Some(first) = unsettled.0.first() {
        return Err(Error::new(format!("{} orders have not ended: {first}", unsettled.0.len())));
    }
    mesh.stop().await.doing("close the shop")?;
    Ok((broker, Flows::of(&history)))
}

/// As long as they are, and without effect: a fence is stored with the record that it was for, and cannot be met again.
fn mute(headers: &HeaderMap) -> HeaderMap {
    let mut muted = HeaderMap::new();
    for (name, values) in headers.iter() {
        let name = name.to_string().replacen("Nats-", "Kept-", 1);
        for value in values {
            muted.append(name.as_str(), value.clone());
        }
    }
    muted
}

impl Flows {
    fn of(history: &History) -> Self {
        let flow = |id| {
            history.messages(id).iter().map(|stored| {
                let token = stored.subject.rsplit('.').next().unwrap_or_default().len();
                let subject = stored.subject[..stored.subject.len() - token].to_owned();
                Record { subject, token, headers: mute(&stored.headers), payload: stored.payload.clone() }
            })
        };
        Self(history.ids().map(|id| flow(id).collect()).collect())
    }

    /// Those that have a home stream.
    pub(super) fn services(&self) -> BTreeSet<&str> {
        self.0.iter().flatten().filter_map(|record| record.subject.split('.').next()).collect()
    }

    /// How many records a flow has at most.
    pub(super) fn longest(&self) -> usize {
        self.0.iter().map(Vec::len).max().unwrap_or_default()
    }

    /// A record of flow number `flow`, which has a name of its own, as long as that of its pattern.
    pub(super) fn record(&self, flow: u64, nth: usize) -> Option<Root> {
        let pattern = self.0.get(usize::try_from(flow).ok()? % self.0.len())?.get(nth)?;
        // A name like those that orders have: numbers in turn would share their beginnings, which the broker keeps once.
        let id = EventId::foreign("sizing", &flow.to_string()).to_string();
        let name = format!("{:0>width$}", &id[..id.len().min(pattern.token)], width = pattern.token);
        Some(Root {
            subject: format!("{}{name}", pattern.subject),
            headers: Some(pattern.headers.clone()),
            payload: pattern.payload.clone(),
        })
    }
}
