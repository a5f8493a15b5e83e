//! `laban check`: what is wrong with a choreography.

mod report;
mod sarif;

use std::path::PathBuf;

use laban_flow::Map;
use laban_flow::check::{Finding, Kind, check, sample, sort};
use laban_flow::map::{Known, Member};

use crate::allow::Allow;
use crate::{Connection, Failure, contracts, terminal};

/// What `--help` says of them.
const EXIT_CODES: &str = "\
Exit codes:
  0  nothing was found but what --allow covers
  1  something was found
  2  the command line is wrong, or a contract file
  3  the broker cannot be reached, did not answer in full, or has no service";

/// Find what is wrong with a choreography
///
/// Of the mesh at the broker, its newest messages included; or of contract files, with no broker. What is found, why it
/// matters and what mends it: docs/checks.md. Exit code 1 when something is found.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// Contract files (what a service's binary prints with `contract`), folders of them, or `-`
    files: Vec<PathBuf>,
    /// Contracts that the files must be compatible with: files or folders. They complete the map as well
    #[arg(long, value_name = "PATH", requires = "files")]
    against: Vec<PathBuf>,
    /// The same with the contracts that are registered at the broker
    #[arg(long, requires = "files", conflicts_with = "against")]
    against_registered: bool,
    /// Accept a finding: its name, or its name and what it is about, such as unconsumed-event:order.archived
    #[arg(long, value_name = "NAME[:SUBJECT]")]
    allow: Vec<Allow<Kind>>,
    /// Print JSON
    #[arg(long, conflicts_with = "sarif")]
    json: bool,
    /// Print SARIF 2.1.0, for code hosts
    #[arg(long)]
    sarif: bool,
    /// How many of the newest messages of each home stream to look at
    #[arg(long, value_name = "NUMBER", default_value_t = 200, conflicts_with = "files")]
    sample: u64,
}

/// What was looked at, and what was found.
struct Outcome {
    map: Map,
    found: Vec<Finding>,
    allowed: Vec<Finding>,
}

pub(crate) async fn run(args: Args, connection: &Connection) -> Result<(), Failure> {
    let (map, found) = look(&args, connection).await?;
    for problem in &map.problems {
        terminal::say(&format!("laban: warning: {problem}; it was not looked at"));
    }
    let covers = |allow: &Allow<Kind>, finding: &Finding| allow.covers(&finding.kind, &finding.subject);
    for unused in args.allow.iter().filter(|allow| !found.iter().any(|finding| covers(allow, finding))) {
        terminal::say(&format!("laban: warning: --allow {unused} covers nothing that was found"));
    }
    let (allowed, found) =
        found.into_iter().partition(|finding| args.allow.iter().any(|allow| covers(allow, finding)));
    let outcome = Outcome { map, found, allowed };
    terminal::print(&if args.json {
        report::json(&outcome)?
    } else if args.sarif {
        sarif::write(&outcome)?
    } else {
        report::text(&outcome, terminal::has_colours())
    })?;
    if outcome.found.is_empty() { Ok(()) } else { Err(Failure::Found) }
}

async fn look(args: &Args, connection: &Connection) -> Result<(Map, Vec<Finding>), Failure> {
    if args.files.is_empty() {
        let client = connection.connect().await?;
        let reader = connection.reader(&client).await?;
        let map = Map::discover(&client, &reader).await?;
        if map.services.is_empty() {
            return Err(Failure::Broker("no service has a contract or a home stream there".to_owned()));
        }
        let mut found = check(&map, &[]);
        found.extend(sample(&client, &reader, args.sample).await?);
        sort(&mut found);
        return Ok((map, found));
    }
    let own = contracts::read(&args.files)?;
    let (registered, problems) = registered(args, connection).await?;
    let is_own = |other: &Member| own.iter().any(|member| member.name() == other.name());
    let others: Vec<_> = registered.iter().filter(|other| !is_own(other)).cloned().collect();
    let names: Vec<String> = own.iter().map(|member| member.name().to_owned()).collect();
    let map = Map { problems, ..Map::join(own.into_iter().chain(others))? };
    let before: Vec<_> = registered.into_iter().filter(|other| other.known == Known::Contract).collect();
    let before: Vec<_> = before.into_iter().map(|member| member.contract).collect();
    // What is wrong among others is for them to mend.
    let concerns = |finding: &Finding| finding.services.iter().any(|service| names.contains(service));
    let found = check(&map, &before).into_iter().filter(concerns).collect();
    Ok((map, found))
}

/// What the files must be compatible with, and what of that could not be read.
async fn registered(args: &Args, connection: &Connection) -> Result<(Vec<Member>, Vec<String>), Failure> {
    if !args.against_registered {
        return Ok((contracts::read(&args.against)?, Vec::new()));
    }
    let client = connection.connect().await?;
    let reader = connection.reader(&client).await?;
    let map = Map::discover(&client, &reader).await?;
    Ok((map.services, map.problems))
}
