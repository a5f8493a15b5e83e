//! Flows: those that are open, and how others ended.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::Client;
use laban_flow::{Flow, Flows, Mesh, Query, State};
use laban_wire::FlowReader;
use time::OffsetDateTime;

use super::page::{self, Page};
use crate::Failure;

/// The states that are counted as they stand. Dead flows are: somebody has to look at each.
const OPEN: [State; 3] = [State::Running, State::Stuck, State::Dead];
/// What ended later than this long ago is of the next look: another broker's clock may be behind, and a replica too.
const SETTLED: Duration = Duration::from_secs(1);

const ENDS: [State; 3] = [State::Completed, State::Compensated, State::Dead];

/// Seconds, from a tenth of one to a week.
const BOUNDS: [f64; 15] =
    [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 3_600.0, 21_600.0, 86_400.0, 604_800.0];

/// One look.
pub(super) struct Looking<'a> {
    pub(super) client: &'a Client,
    pub(super) reader: &'a FlowReader,
    pub(super) mesh: &'a Mesh,
    pub(super) overdue: Duration,
    pub(super) most: usize,
}

/// How flows ended since the first look.
#[derive(Default)]
pub(super) struct Ended {
    /// What ended until then was counted, by the broker's clock.
    until: Option<OffsetDateTime>,
    durations: BTreeMap<&'static str, Durations>,
}

#[derive(Default)]
struct Durations {
    buckets: [u64; BOUNDS.len()],
    count: u64,
    sum: f64,
}

impl Looking<'_> {
    /// Tells of open flows; says whether there were more than may be read.
    pub(super) async fn open(&self, page: &mut Page) -> Result<bool, Failure> {
        let query = Query { states: OPEN.to_vec(), overdue: self.overdue, ..Query::default() };
        let mut counts = OPEN.map(|state| (state, 0_u64, Duration::ZERO));
        let mut overdue: BTreeMap<(String, String, String), u64> = BTreeMap::new();
        let now = self.mesh.now();
        let cut_short = self
            .each(query, |flow| {
                let age = now.map(|now| (now - flow.started_at).unsigned_abs()).unwrap_or_default();
                for (_, count, oldest) in counts.iter_mut().filter(|(state, ..)| *state == flow.state) {
                    *count += 1;
                    *oldest = age.max(*oldest);
                }
                for (awaited, late) in flow.overdue() {
                    let key = (awaited.service.clone(), awaited.handler.clone(), why(late.why));
                    *overdue.entry(key).or_default() += 1;
                }
            })
            .await?;
        for (state, count, oldest) in counts {
            page.add(&page::FLOWS, &[("state", &state.to_string())], count as f64);
            page.add(&page::OLDEST, &[("state", &state.to_string())], oldest.as_secs_f64());
        }
        for ((service, handler, why), count) in overdue {
            let labels = [("laban_service", &*service), ("laban_handler", &*handler), ("why", &*why)];
            page.add(&page::OVERDUE, &labels, count as f64);
        }
        Ok(cut_short)
    }

    /// Counts what has ended since the look before; says whether there was more than may be read.
    pub(super) async fn ended(&self, ended: &mut Ended) -> Result<bool, Failure> {
        // The broker's own time.
        let Some(now) = self.mesh.now().map(|now| now - SETTLED) else { return Ok(false) };
        let Some(until) = ended.until else {
            ended.until = Some(now);
            return Ok(false);
        };
        let query = Query { since: Some(until), ..Query::default() };
        let mut found = Vec::new();
        let cut_short = self
            .each(query, |flow| {
                if let Some(at) = flow.ended_at.filter(|at| (until..now).contains(at)) {
                    found.push((flow.state, (at - flow.started_at).as_seconds_f64()));
                }
            })
            .await?;
        // All or nothing: a look that failed is made up for by the next.
        ended.until = Some(now);
        found.into_iter().for_each(|(state, seconds)| ended.count(state, seconds));
        Ok(cut_short)
    }

    async fn each(&self, query: Query, mut tell: impl FnMut(&Flow)) -> Result<bool, Failure> {
        let mut flows = Flows::find(self.client, self.reader.clone(), self.mesh, query).await?;
        for _ in 0..self.most {
            match flows.next().await? {
                Some(listed) => tell(&listed.flow),
                None => return Ok(false),
            }
        }
        Ok(true)
    }
}

/// The spelling of `laban flow show --json`.
fn why(why: laban_flow::Why) -> String {
    serde_json::to_value(why).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

impl Ended {
    fn count(&mut self, state: State, seconds: f64) {
        for name in ENDS.into_iter().filter(|end| *end == state).map(name) {
            let durations = self.durations.entry(name).or_default();
            for (bucket, _) in durations.buckets.iter_mut().zip(BOUNDS).filter(|(_, bound)| seconds <= *bound)
            {
                *bucket += 1;
            }
            durations.count += 1;
            durations.sum += seconds;
        }
    }

    /// Every end from the start, at 0: a counter that appears with its first increase hides it.
    pub(super) fn tell(&mut self, page: &mut Page) {
        for name in ENDS.map(name) {
            let Durations { buckets, count, sum } = self.durations.entry(name).or_default();
            let buckets = BOUNDS.into_iter().zip(*buckets);
            page.add_histogram(&page::ENDED, &[("state", name)], buckets, (*count, *sum));
        }
    }
}

fn name(state: State) -> &'static str {
    match state {
        State::Compensated => "compensated",
        State::Dead => "dead",
        _ => "completed",
    }
}
