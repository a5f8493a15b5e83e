//! `laban replay view`: plays history.

use laban_flow::Mesh;
use laban_flow::replay::Plan;
use laban_wire::ServiceName;
use time::OffsetDateTime;

use super::selection::SelectionArgs;
use crate::{Connection, Failure, terminal};

/// Play a range of history in causal order
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    selection: SelectionArgs,
    /// Written by this service; may be repeated, or separated by commas
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "Selection")]
    service: Vec<ServiceName>,
    /// No system records
    #[arg(long, help_heading = "Selection")]
    events_only: bool,
}

pub(crate) async fn run(args: Args, connection: &Connection) -> Result<(), Failure> {
    let client = connection.connect().await?;
    let mesh = Mesh::discover(&client).await?;
    let now = mesh.now().unwrap_or_else(OffsetDateTime::now_utc);
    let mut selection = args.selection.selection(now);
    selection.services = args.service;
    selection.events_only = args.events_only;
    let plan = Plan::make(&client, &mesh, &selection).await?;
    terminal::say(&format!("laban: {} records", plan.records()));
    let mut replay = plan.replay(&client, &connection.connect().await?);
    while let Some(record) = replay.next().await? {
        if !terminal::print_on(&format!("{} {}\n", record.stored.seq, record.stored.subject))? {
            break;
        }
    }
    replay.close().await;
    Ok(())
}
