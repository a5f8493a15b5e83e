//! `laban retire`: takes a service, or one of its handlers, out of the mesh for good.

mod carry_out;
mod text;

use laban_flow::retire::{Instance, Plan, Target, instances};
use laban_wire::{EventType, ServiceName};
use serde_json::json;

use crate::{Connection, Failure, ask, terminal};

/// What `--help` says of them.
const EXIT_CODES: &str = "\
Exit codes:
  0  it is out of the mesh, or was before
  1  it is not gone, others still read its history, or it is not known; with --dry-run: it would be refused
  2  the command line is wrong
  3  the broker cannot be reached, or did not answer in full";

/// Take a service that is gone for good out of the mesh, or one handler of it
///
/// Its consumers, its timers and its contract are deleted, so that no flow waits for it any more. Its home stream stays: what
/// it did is still shown, and should it start again, nothing takes effect twice. Events that wait for it get no reaction.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// The service
    service: ServiceName,
    /// One handler that its present release has no more; the whole service otherwise
    handler: Option<String>,
    /// One event that this handler reacts to no more, such as payment.captured
    #[arg(long, value_name = "EVENT", requires = "handler")]
    event: Option<EventType>,
    /// Delete its home stream as well: flows lose what it did, and should it start again, all takes effect anew
    #[arg(long, conflicts_with = "handler")]
    delete_history: bool,
    /// Delete the history even though others react to it
    #[arg(long, requires = "delete_history")]
    force: bool,
    /// Say what would be deleted and what waits, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, connection: &Connection) -> Result<(), Failure> {
    let client = connection.connect().await?;
    let reader = connection.reader(&client).await?;
    let Args { service, handler, event, .. } = &args;
    let target = Target { service: service.clone(), handler: handler.clone(), event: event.clone() };
    let look = async || {
        let found = instances(&client, &target.service).await?;
        let plan = Plan::make(&client, &reader, &target).await?;
        Ok::<_, Failure>((plan, found.into_iter().filter(|one| one.has(&target)).collect::<Vec<_>>()))
    };
    let (plan, found) = look().await?;
    if !plan.is_known() && found.is_empty() {
        return Err(unknown(&plan));
    }
    let hindered = hindrance(&args, &plan, &found);
    if args.dry_run {
        terminal::print(&said(&args, &plan, &found, None))?;
        return hindered;
    }
    hindered?;
    if plan.is_done() && !deletes_history(&args, &plan) {
        terminal::say(&format!("laban: {}", text::nothing_left(&plan)));
        return if args.json { terminal::print(&said(&args, &plan, &found, Some(true))) } else { Ok(()) };
    }
    terminal::say(&format!("laban: {}", text::plan(&plan, args.delete_history).trim_end()));
    if !args.yes {
        ask::may_go_on(&format!("Retire {target}?"))?;
        // An answer takes its time.
        let (now, found) = look().await?;
        hindrance(&args, &now, &found)?;
    }
    carry_out::carry_out(&client, &plan, args.delete_history).await?;
    terminal::print(&said(&args, &plan, &found, Some(true)))
}

fn deletes_history(args: &Args, plan: &Plan) -> bool {
    args.delete_history && plan.home.is_some()
}

/// The plan, or what was done, as it is asked for.
fn said(args: &Args, plan: &Plan, found: &[Instance], done: Option<bool>) -> String {
    if !args.json {
        return match done {
            Some(_) => format!("retired: {}\n", plan.target),
            None => text::plan(plan, args.delete_history),
        };
    }
    let mut all = json!(plan);
    all["instances"] = json!(found);
    all["contract"] = json!(plan.has_contract());
    all["deletes_history"] = json!(deletes_history(args, plan));
    if let Some(done) = done {
        all["retired"] = json!(done);
    }
    all.to_string() + "\n"
}

fn unknown(plan: &Plan) -> Failure {
    let known = match &plan.services[..] {
        [] => "none is there".to_owned(),
        services => format!("there are {}", services.join(", ")),
    };
    Failure::NotDone(format!("no service {} is known there; {known}", plan.target.service))
}

/// Why it must not be done now, and what would have to be done before.
fn hindrance(args: &Args, plan: &Plan, found: &[Instance]) -> Result<(), Failure> {
    let target = &plan.target;
    let refused = |reason: String| Err(Failure::NotDone(reason));
    if !found.is_empty() {
        let named: Vec<String> = found.iter().map(|one| format!("{} ({})", one.id, one.version)).collect();
        let first = if target.is_whole() {
            "stop them first"
        } else {
            "stop them first, or start a release in their place that has it no more"
        };
        return refused(format!(
            "{target} is not gone: {} of it: {}; {first}",
            text::counted(found.len() as u64, "instance"),
            named.join(", ")
        ));
    }
    if plan.is_declared() {
        return refused(format!(
            "the registered contract of {} still has {}: its next start would make the consumer again; start a release that \
             has it no more, or retire the service",
            target.service,
            text::short(target)
        ));
    }
    if let Some(asked) = plan.consumers.iter().find(|one| one.is_asked) {
        return refused(format!(
            "{target} is not gone: somebody asks for events at consumer {} of stream {}; stop the instance that does not \
             answer (of one that was cut off the broker learns within minutes)",
            asked.consumer, asked.stream
        ));
    }
    if deletes_history(args, plan) && !args.force && !plan.read_by.is_empty() {
        let readers: Vec<String> = plan.read_by.iter().map(text::reader).collect();
        return refused(format!(
            "the history of {} is read by {}: retire them first, or say --force",
            target.service,
            readers.join(", ")
        ));
    }
    Ok(())
}
