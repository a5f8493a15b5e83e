//! `laban flow show`: one flow, in whatever form it is needed.

use laban_flow::{Flow, Home, Mesh, TreeStyle};
use laban_wire::{FlowId, FlowReader};

use super::jaeger::Jaeger;
use super::traced::{self, TraceId};
use super::{Overdue, watch};
use crate::{Connection, Failure, terminal};

/// What `--help` says of them.
const EXIT_CODES: &str = "\
Exit codes:
  0  the flow was found, whatever its state; with --watch: it has ended, or Ctrl-C
  1  there is no such flow, or none that the trace is of
  2  the command line is wrong
  3  the broker cannot be reached, or did not answer in full";

/// Show a flow: who reacted to what, how long it took, what is still awaited
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// The flow's business key, such as an order id
    #[arg(value_name = "FLOW", required_unless_present = "trace", conflicts_with = "trace")]
    flow: Option<FlowId>,
    /// The flow that this trace is of, instead of its key
    #[arg(long, value_name = "TRACE_ID")]
    trace: Option<TraceId>,
    #[command(flatten)]
    form: Form,
    /// Show it again as often as it changes, until it has ended: drawn anew on a terminal, a line per change elsewhere
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    overdue: Overdue,
    #[command(flatten)]
    jaeger: Jaeger,
}

/// How a flow is written down.
#[derive(clap::Args)]
pub(super) struct Form {
    /// What it is shown as
    #[arg(long, value_enum, default_value_t = Format::Tree, value_name = "FORMAT")]
    format: Format,
    /// Print JSON: the same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Draw with ASCII only, as where the locale is not one of UTF-8
    #[arg(long)]
    ascii: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// Steps below their causes
    Tree,
    /// Bars on an axis of time
    Timeline,
    /// A sequence diagram for Markdown
    Mermaid,
    /// All of it, for programs
    Json,
    /// Spans, for Jaeger's upload tab or an OTLP receiver
    Otlp,
    /// One page that needs nothing else, for a bug report
    Html,
}

impl Form {
    pub(super) fn format(&self) -> Format {
        if self.json { Format::Json } else { self.format }
    }

    pub(super) fn style(&self) -> TreeStyle {
        TreeStyle { ascii: self.ascii || !terminal::is_utf8(), colour: terminal::has_colours() }
    }

    pub(super) fn write(&self, flow: &Flow) -> Result<String, Failure> {
        let unwritable =
            |e: serde_json::Error| Failure::NotDone(format!("cannot write the flow as JSON: {e}"));
        Ok(match self.format() {
            Format::Tree => flow.to_tree(self.style()),
            Format::Timeline => flow.to_timeline(self.style(), terminal::columns()),
            Format::Mermaid => flow.to_mermaid(),
            Format::Json => serde_json::to_string_pretty(flow).map_err(unwritable)? + "\n",
            Format::Otlp => serde_json::to_string(&flow.to_otlp()).map_err(unwritable)? + "\n",
            Format::Html => flow.to_html(),
        })
    }
}

pub(crate) async fn run(args: Args, connection: &Connection) -> Result<(), Failure> {
    let client = connection.connect().await?;
    let reader = connection.reader(&client).await?;
    let mesh = Mesh::discover(&client).await?;
    super::warn(&mesh);
    let id = match (args.flow, args.trace) {
        (Some(flow), _) => flow,
        (None, Some(trace)) => match args.jaeger.flow_of(&trace.to_string()).await {
            Some(flow) => flow,
            None => traced::flow_of(trace, &client, &reader, &mesh).await?,
        },
        (None, None) => return Err(Failure::NotDone("neither a flow nor a trace was given".to_owned())),
    };
    if args.watch {
        return watch::run(&client, &reader, &id, &args.form, args.overdue.grace()).await;
    }
    let mut flow = read(&reader, &mesh, &id).await?.judged(&mesh, args.overdue.grace());
    args.jaeger.add(&mut flow).await;
    terminal::print(&args.form.write(&flow)?)
}

async fn read(reader: &FlowReader, mesh: &Mesh, id: &FlowId) -> Result<Flow, Failure> {
    Flow::read(reader.clone(), mesh, id).await?.ok_or_else(|| not_found(id, &mesh.homes))
}

pub(super) fn not_found(flow: &FlowId, homes: &[Home]) -> Failure {
    let services: Vec<&str> = homes.iter().map(|home| home.service.as_str()).collect();
    Failure::NotDone(match services.as_slice() {
        [] => {
            "no service has a home stream there: is this the right broker, and the right account?".to_owned()
        }
        _ => format!("no flow {:?}: none of {} has a record of it", flow.key(), services.join(", ")),
    })
}
