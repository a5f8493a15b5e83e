//! `laban doctor`: what is wrong with a live mesh, or will be.

mod brokers;
mod report;

use laban_flow::doctor::{Examination, Finding, Kind, Options, Refusals, Severity, examine};
use laban_wire::FlowReader;

use crate::allow::Allow;
use crate::flow::Overdue;
use crate::flow::period::Period;
use crate::{Connection, Failure, http, terminal};

/// What `--help` says of them.
const EXIT_CODES: &str = "\
Exit codes:
  0  nothing is wrong; there may be notes
  1  an error or a warning was found
  2  the command line is wrong
  3  the broker cannot be reached";

/// Find what is wrong with a live mesh, or will be, and what mends it
///
/// Servers, streams, consumers, services, clocks, spans, dead letters and stuck flows are looked at; nothing is changed. What
/// each finding means: docs/doctor.md. What this user may
/// not see is listed as not looked at.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// Monitoring addresses of the brokers, separated by commas, such as http://127.0.0.1:8222: only they tell of
    /// `sync_interval`, storage and health
    #[arg(long, value_name = "URL", value_delimiter = ',', value_parser = http::address)]
    brokers: Vec<String>,
    /// How long after the first look at consumers the second one comes, and how long servers and instances may take to
    /// answer
    #[arg(long, value_name = "PERIOD", default_value = "5s")]
    watch_for: Period,
    #[command(flatten)]
    overdue: Overdue,
    /// Read at most so many open flows, and so many dead letters
    #[arg(long, value_name = "N", default_value_t = Options::default().most)]
    most: u64,
    /// Accept a finding: its name, or its name and what it is about, such as few-replicas:ORDER
    #[arg(long, value_name = "NAME[:SUBJECT]")]
    allow: Vec<Allow<Kind>>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What was examined, and what of it is accepted.
struct Outcome {
    examined: Examination,
    allowed: Vec<Finding>,
}

pub(crate) async fn run(args: Args, connection: &Connection) -> Result<(), Failure> {
    let refusals = Refusals::default();
    let client = connection.connect_noting(&refusals).await?;
    let reader = FlowReader::new(client.clone()).with_direct(connection.connect_noting(&refusals).await?);
    let options =
        Options { watch_for: args.watch_for.0, overdue: args.overdue.grace(), most: args.most.max(1) };
    let progress = terminal::progress("examining");
    let monitored = brokers::ask(&args.brokers).await;
    let mut examined = examine(&client, &reader, monitored, &refusals, &options).await;
    progress.finish_and_clear();
    if examined.looked_at.services == 0 && examined.findings.is_empty() {
        terminal::say(
            "laban: warning: no service is known there: is this the right broker, and the right account?",
        );
    }
    let covers = |allow: &Allow<Kind>, finding: &Finding| allow.covers(&finding.kind, &finding.subject);
    let unused = |allow: &&Allow<Kind>| !examined.findings.iter().any(|finding| covers(allow, finding));
    for unused in args.allow.iter().filter(unused) {
        terminal::say(&format!("laban: warning: --allow {unused} covers nothing that was found"));
    }
    let (allowed, found) = std::mem::take(&mut examined.findings)
        .into_iter()
        .partition(|finding| args.allow.iter().any(|allow| covers(allow, finding)));
    examined.findings = found;
    let is_well = examined.findings.iter().all(|finding| finding.severity == Severity::Note);
    let outcome = Outcome { examined, allowed };
    terminal::print(&match args.json {
        true => report::json(&outcome, is_well),
        false => report::text(&outcome, terminal::has_colours()),
    })?;
    if is_well { Ok(()) } else { Err(Failure::Found) }
}
