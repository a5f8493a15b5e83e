use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use laban_testkit::wait;
use laban_wire::FlowId;

use crate::{Error, History, Stage};

/// How many flows are told about when some have not ended.
const MOST_TOLD: usize = 10;

/// Flows that have not ended, and what each waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unsettled(pub Vec<String>);

impl fmt::Display for Unsettled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} flows have not ended", self.0.len())?;
        for missing in self.0.iter().take(MOST_TOLD) {
            write!(f, "\n  {missing}")?;
        }
        if let Some(more) = self.0.len().checked_sub(MOST_TOLD + 1) {
            write!(f, "\n  and {} more", more + 1)?;
        }
        Ok(())
    }
}

/// Waits until each of these flows has ended, as the streams tell it: nothing is awaited any more. Returns those that have
/// not by the deadline.
///
/// # Errors
/// When the streams cannot be read, or `check` fails: when a service ends by itself, for example.
pub async fn settle(
    check: impl Fn() -> Result<(), Error>,
    history: &mut History,
    flows: impl IntoIterator<Item = &FlowId>,
    deadline: Duration,
    stage: &Stage,
) -> Result<Unsettled, Error> {
    let mut open: BTreeSet<&FlowId> = flows.into_iter().collect();
    let all = open.len();
    let mut failed = None;
    let settled = wait::until("all flows to end", deadline, async || {
        let looked = async {
            check()?;
            history.read_on().await
        };
        if let Err(error) = looked.await {
            failed = Some(error);
            return true;
        }
        open.retain(|flow| missing(history, flow).is_some());
        stage.at((all - open.len()) as u64);
        open.is_empty()
    });
    let settled = settled.await;
    match (failed, settled) {
        (Some(error), _) => Err(error),
        (None, Ok(_)) => Ok(Unsettled::default()),
        (None, Err(_)) => Ok(Unsettled(open.into_iter().filter_map(|flow| missing(history, flow)).collect())),
    }
}

/// What a flow waits for, if it has not ended.
fn missing(history: &History, id: &FlowId) -> Option<String> {
    let Some(flow) = history.flow(id) else {
        return Some(format!("flow {id}: no stream has a record of it"));
    };
    if flow.ended_at.is_some() {
        return None;
    }
    let awaited = flow.awaited.iter().map(|one| format!("{} {} on {}", one.service, one.handler, one.event));
    Some(format!("flow {id}: awaits {}", awaited.collect::<Vec<_>>().join(", ")))
}
