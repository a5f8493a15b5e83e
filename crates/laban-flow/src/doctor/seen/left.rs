//! What is left to be settled: dead letters and stuck flows, counted up to a limit.

use std::collections::BTreeMap;
use std::time::Duration;

use laban_wire::FlowReader;

use super::asking::Asking;
use crate::doctor::{Options, Unseen};
use crate::{Error, Flows, Mesh, Query, State, dead};

/// Reading takes no longer.
const PATIENCE: Duration = Duration::from_secs(60);
/// What reading flows needs.
const READS: [&str; 3] = ["$JS.API.DIRECT.GET.", "$JS.API.STREAM.MSG.GET.", "$JS.API.STREAM.INFO."];

/// What waits for somebody.
#[derive(Debug, Default)]
pub(in super::super) struct Left {
    /// Dead letters that nobody has decided about, by service.
    pub(in super::super) letters: BTreeMap<String, u64>,
    /// Whether there may be more.
    pub(in super::super) more_letters: bool,
    /// Flows of which this reaction is overdue, by service and handler.
    pub(in super::super) overdue: BTreeMap<(String, String), u64>,
    /// Whether there may be more.
    pub(in super::super) more_flows: bool,
    /// Open flows that were read.
    pub(in super::super) flows: u64,
}

pub(super) async fn look(
    asking: &Asking<'_>,
    reader: &FlowReader,
    mesh: &Mesh,
    options: &Options,
) -> (Left, Vec<Unseen>) {
    let (mut left, mut unseen) = (Left::default(), Vec::new());
    let counting = letters(asking, reader, mesh, options.most, &mut left);
    unseen.extend(bounded("dead letters", asking, counting).await);
    let counting = flows(asking, reader, mesh, options, &mut left);
    unseen.extend(bounded("flows", asking, counting).await);
    (left, unseen)
}

/// Says why it came to no end.
async fn bounded(
    what: &str,
    asking: &Asking<'_>,
    counting: impl Future<Output = Result<(), Error>>,
) -> Option<Unseen> {
    let counting = tokio::time::timeout(PATIENCE, counting);
    match asking.unless_refused(&READS, counting).await {
        Ok(Ok(Ok(()))) => None,
        Ok(Ok(Err(error))) => Some(Unseen::new(what, error.to_string(), "look again when that is mended")),
        Ok(Err(_)) => {
            let why = format!("reading them took more than {} s", PATIENCE.as_secs());
            Some(Unseen::new(what, why, "a smaller `--most`"))
        }
        Err(no) => Some(no.unseen(what)),
    }
}

async fn letters(
    asking: &Asking<'_>,
    reader: &FlowReader,
    mesh: &Mesh,
    most: u64,
    left: &mut Left,
) -> Result<(), Error> {
    let states = vec![dead::Standing::Open, dead::Standing::FailedAgain];
    let query = dead::Query { states, ..dead::Query::default() };
    let mut letters = dead::Letters::find(asking.client, reader.clone(), mesh, query).await?;
    while let Some(letter) = letters.next().await? {
        *left.letters.entry(letter.service).or_default() += 1;
        if letters.records() >= most {
            left.more_letters = true;
            break;
        }
    }
    Ok(())
}

async fn flows(
    asking: &Asking<'_>,
    reader: &FlowReader,
    mesh: &Mesh,
    options: &Options,
    left: &mut Left,
) -> Result<(), Error> {
    // Those that run are asked for as well: each that is read is counted, and reading ends somewhere.
    let states = vec![State::Running, State::Stuck];
    let most_records = options.most.saturating_mul(100);
    let query = Query { states, overdue: options.overdue, most_records, ..Query::default() };
    let mut flows = Flows::find(asking.client, reader.clone(), mesh, query).await?;
    while let Some(listed) = flows.next().await? {
        if left.flows >= options.most {
            left.more_flows = true;
            return Ok(());
        }
        left.flows += 1;
        let mut named: Vec<_> =
            listed.flow.overdue().map(|(one, _)| (one.service.clone(), one.handler.clone())).collect();
        named.sort();
        named.dedup();
        named.into_iter().for_each(|reaction| *left.overdue.entry(reaction).or_default() += 1);
    }
    left.more_flows = flows.is_cut_short();
    Ok(())
}
