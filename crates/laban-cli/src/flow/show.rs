//! `laban flow show`: a flow as a tree by cause, or as JSON.

use laban_flow::{Flow, Home, Mesh, TreeStyle};
use laban_wire::FlowId;

use super::Overdue;
use crate::{Connection, Failure, terminal};

/// Show a flow: who reacted to what, how long it took, what is still awaited
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The flow's business key, such as an order id
    #[arg(value_name = "FLOW")]
    flow: FlowId,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Draw with ASCII only, as where the locale is not one of UTF-8
    #[arg(long, conflicts_with = "json")]
    ascii: bool,
    #[command(flatten)]
    overdue: Overdue,
}

pub(crate) async fn run(args: Args, connection: &Connection) -> Result<(), Failure> {
    let client = connection.connect().await?;
    let mesh = Mesh::discover(&client).await?;
    super::warn(&mesh);
    let Some(flow) = Flow::read(connection.reader(&client).await?, &mesh, &args.flow).await? else {
        return Err(not_found(&args.flow, &mesh.homes));
    };
    let flow = flow.judged(&mesh, args.overdue.grace());
    if args.json {
        let json = serde_json::to_string_pretty(&flow)
            .map_err(|e| Failure::NotDone(format!("cannot write the flow as JSON: {e}")))?;
        return terminal::print(&(json + "\n"));
    }
    let style = TreeStyle { ascii: args.ascii || !terminal::is_utf8(), colour: terminal::has_colours() };
    terminal::print(&flow.to_tree(style))
}

fn not_found(flow: &FlowId, homes: &[Home]) -> Failure {
    let services: Vec<&str> = homes.iter().map(|home| home.service.as_str()).collect();
    Failure::NotDone(match services.as_slice() {
        [] => {
            "no service has a home stream there: is this the right broker, and the right account?".to_owned()
        }
        _ => format!("no flow {:?}: none of {} has a record of it", flow.key(), services.join(", ")),
    })
}
