//! `laban replay shadow`: a new build against recorded history, in a sandbox.

mod build;
mod child;
mod output;

use futures_util::{StreamExt as _, stream};
use laban_flow::Mesh;
use laban_flow::replay::shadow::{Case, Chosen, FlowResult, Plan, Report, Scope, cases_of, plan};
use laban_wire::{FlowId, FlowReader, ServiceName};

use super::selection::SelectionArgs;
use crate::flow::period::Period;
use crate::signals::Signals;
use crate::{Connection, Failure, terminal};
use build::Build;
use child::Child;
use output::Output;

/// What `--help` says of them.
const EXIT_CODES: &str = "\
Exit codes:
  0  every outcome is identical
  1  an outcome is another, or nothing could be compared
  2  the command line is wrong, or the command is no build of the service
  3  the broker cannot be reached, or did not answer in full";

/// Run a new build of a service against recorded history, and see which outcomes would be others
///
/// Each reaction that is recorded is run again by the build, on the input and the flow state of then; so is each input that
/// nobody reacted to. The build gets no broker: its events come here, and the streams are only read. What stands for its
/// outside world, its author has said with `state_in_shadow`; a build that has not is refused. A selection is one of inputs. See
/// docs/replay.md.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// The service that the build is of
    #[arg(long, value_name = "NAME")]
    service: ServiceName,
    #[command(flatten)]
    output: Output,
    /// How long the build may take to report, as with `cargo run`, which may have to compile it first
    #[arg(long, value_name = "PERIOD", default_value = "60s")]
    start_within: Period,
    /// The new build: a program of the service, and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
    /// Only reactions of this handler; may be repeated, or separated by commas
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "Selection")]
    handler: Vec<String>,
    #[command(flatten)]
    selection: SelectionArgs,
}

/// How far it has come, on a terminal.
const BAR: &str = "{bar:30} {pos}/{len} flows, {msg} ({elapsed}, {eta} left)";
/// Flows that are read and run at a time.
const AT_ONCE: usize = 32;

pub(crate) async fn run(args: Args, connection: &Connection) -> Result<(), Failure> {
    args.output.check()?;
    let mut signals = Signals::listen()?;
    let mut child = None;
    let report = tokio::select! {
        report = shadow(&args, connection, &mut child) => report,
        () = signals.next() => {
            Err(Failure::NotDone("interrupted: the command was ended, and nothing is left behind".to_owned()))
        }
    };
    if let Some(child) = child {
        child.end().await;
    }
    let report = report?;
    args.output.write(&report)?;
    if report.identical { Ok(()) } else { Err(Failure::Found) }
}

async fn shadow(args: &Args, connection: &Connection, child: &mut Option<Child>) -> Result<Report, Failure> {
    let client = connection.connect().await?;
    let reader = connection.reader(&client).await?;
    let mesh = Mesh::discover(&client).await?;
    let (door, token) = (build::Door::open().await?, build::token());
    let child = child.insert(Child::start(&args.command, door.address(), &token)?);
    let build = door.admit(&token, child, args.start_within.0).await?;
    if build.contract.service != args.service {
        return Err(Failure::Usage(format!(
            "the command is a build of {}, not of {}",
            build.contract.service, args.service
        )));
    }
    let now = mesh.now().unwrap_or_else(time::OffsetDateTime::now_utc);
    let chosen = Chosen { handlers: args.handler.clone(), inputs: args.selection.clone().selection(now) };
    let scope = Scope::of(&mesh, &build.contract, &chosen)?;
    let plan = plan(&reader, &scope).await?;
    if plan.flows.is_empty() {
        return Err(Failure::NotDone(format!(
            "nothing is chosen: no event that {} reacts to, and nothing that it did",
            args.service
        )));
    }
    terminal::say(&format!(
        "laban: at most {} of {} in {} are run again; the streams are only read",
        plural(plan.most_reactions, "reaction"),
        args.service,
        plural(plan.flows.len() as u64, "flow"),
    ));
    let handlers = build.contract.handlers.iter().map(|handler| handler.name.as_str());
    let handlers =
        handlers.filter(|name| chosen.handlers.is_empty() || chosen.handlers.iter().any(|one| one == name));
    let report = Report::new(args.service.as_str(), &args.command, handlers, args.output.kept());
    compared(&reader, &scope, plan, &build, child, report).await
}

/// Runs all of it, and says what came of it.
async fn compared(
    reader: &FlowReader,
    scope: &Scope<'_>,
    plan: Plan,
    build: &Build,
    child: &Child,
    mut report: Report,
) -> Result<Report, Failure> {
    let bar = terminal::bar(plan.flows.len() as u64, BAR);
    let mut flows = stream::iter(plan.flows).map(|flow| one(reader, scope, flow, build)).buffered(AT_ONCE);
    let mut different = 0_u64;
    while let Some(result) = flows.next().await {
        match result {
            Ok(result) => different += u64::from(report.add(result)),
            Err(failure) => {
                bar.finish_and_clear();
                return Err(child.blamed(failure).await);
            }
        }
        bar.inc(1);
        bar.set_message(format!("{} run, {different} flows with another outcome", report.reactions));
    }
    bar.finish_and_clear();
    report.finish();
    if report.reactions == 0 {
        let untold: u64 = report.handlers.iter().map(|handler| handler.untold).sum();
        let open: u64 = report.handlers.iter().map(|handler| handler.open).sum();
        let why = report.untold.first().map(|one| format!(" ({})", one.why)).unwrap_or_default();
        return Err(Failure::NotDone(format!(
            "nothing could be compared: {untold} reactions could not be run{why}, {open} have no outcome yet"
        )));
    }
    Ok(report)
}

async fn one(
    reader: &FlowReader,
    scope: &Scope<'_>,
    flow: FlowId,
    build: &Build,
) -> Result<FlowResult, Failure> {
    let mut result = FlowResult::default();
    for case in cases_of(reader, scope, &flow).await? {
        match case {
            Case::Run(reaction) => result.ran(&reaction, &build.run(&reaction).await?),
            Case::Missing(about, why) => result.missing(about, why),
            Case::Untold(about, why) => result.untold(about, why),
            Case::Open(about) => result.open(&about),
        }
    }
    Ok(result)
}

fn plural(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
