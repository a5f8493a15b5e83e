//! `laban stream replicas`: the streams of the mesh, in more copies or in fewer.

use std::time::Duration;

use async_nats::Client;
use laban_flow::streams::Stream;
use serde_json::json;

use super::{change, nodes, settle};
use crate::flow::period::Period;
use crate::signals::Signals;
use crate::{Connection, Failure, ask, terminal};

/// What `--help` says of them.
const EXIT_CODES: &str = "\
Exit codes:
  0  all have that many, and are current
  1  there are too few nodes, the broker refused, not all were current in time, or there is no such stream
  2  the command line is wrong
  3  the broker cannot be reached, or did not answer in full";

/// Give streams of the mesh more replicas, or fewer, one after the other while services are at work
///
/// Nothing else about them changes, and what has that many already is left alone. Consumers follow their stream. With 3
/// replicas a stream takes records while any one node is away, with 5 while any two are; an even number survives no more
/// than the one below it. Streams that services make later have what LABAN_REPLICAS says: set it, too.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// How many: 1 to 5
    #[arg(value_name = "N", value_parser = clap::value_parser!(u8).range(1..=5))]
    replicas: u8,
    /// Only these streams; otherwise all of the mesh
    #[arg(value_name = "STREAM")]
    streams: Vec<String>,
    /// Say what would be changed, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Do not wait until the replicas have all that the leader has, nor for one stream before the next
    #[arg(long)]
    no_wait: bool,
    /// Wait no longer than this for each stream [default: 10m]
    #[arg(long, value_name = "PERIOD", conflicts_with = "no_wait")]
    timeout: Option<Period>,
    /// Print JSON: one object a line
    #[arg(long)]
    json: bool,
}

const PATIENCE: Duration = Duration::from_secs(600);

pub(crate) async fn run(args: Args, connection: &Connection) -> Result<(), Failure> {
    let client = connection.connect().await?;
    let replicas = usize::from(args.replicas);
    let chosen = chosen(Stream::all(&client).await?, &args.streams)?;
    let todo: Vec<&Stream> = chosen.iter().filter(|stream| stream.replicas != replicas).collect();
    let raised: Vec<&Stream> = todo.iter().copied().filter(|stream| stream.replicas < replicas).collect();
    if let Some(alone) = raised.iter().find(|stream| stream.cluster.is_none()) {
        return Err(Failure::NotDone(format!(
            "the broker of {} stands alone: {replicas} replicas take a cluster of {replicas} nodes",
            alone.name
        )));
    }
    if !raised.is_empty() && !nodes::suffice(&client, &raised, replicas).await? {
        terminal::say(
            "laban: no node said that it is there; should there be too few, the broker will refuse",
        );
    }
    if args.dry_run {
        for stream in &chosen {
            let would = if stream.replicas == replicas { "is left alone" } else { "would be changed" };
            line(&args, stream, would, None)?;
        }
        return Ok(());
    }
    if !todo.is_empty() && !args.yes {
        terminal::say(&question(&todo, replicas));
        ask::may_go_on("Change them?")?;
    }
    // Who does not wait has nothing to say when it is stopped.
    let mut signals = (!args.no_wait).then(Signals::listen).transpose()?;
    for stream in &chosen {
        carry_out(&client, stream, &args, signals.as_mut()).await?;
    }
    Ok(())
}

/// Those named, or all.
fn chosen(all: Vec<Stream>, names: &[String]) -> Result<Vec<Stream>, Failure> {
    if all.is_empty() {
        return Err(laban_flow::Error::NoHomes.into());
    }
    let is_there = |name: &&String| all.iter().any(|stream| stream.name == **name);
    if let Some(unknown) = names.iter().find(|name| !is_there(name)) {
        let there: Vec<&str> = all.iter().map(|stream| stream.name.as_str()).collect();
        return Err(Failure::Usage(format!("the mesh has no stream {unknown}; it has {}", there.join(", "))));
    }
    Ok(all.into_iter().filter(|stream| names.is_empty() || names.contains(&stream.name)).collect())
}

fn question(todo: &[&Stream], replicas: usize) -> String {
    let each: Vec<String> =
        todo.iter().map(|stream| format!("{} ({})", stream.name, stream.replicas)).collect();
    let mut text = format!("laban: to have {replicas} replicas: {}", each.join(", "));
    if todo.iter().any(|stream| stream.replicas > replicas) {
        text += "\nlaban: a service whose LABAN_REPLICAS is more than that will not start again";
    }
    text
}

async fn carry_out(
    client: &Client,
    stream: &Stream,
    args: &Args,
    signals: Option<&mut Signals>,
) -> Result<(), Failure> {
    let replicas = usize::from(args.replicas);
    let is_so = stream.replicas == replicas;
    if !is_so {
        change::set_replicas(client, stream, replicas).await?;
    }
    let done = if is_so { "was left alone" } else { "was changed" };
    let timeout = args.timeout.map_or(PATIENCE, |period| period.0);
    let waited = match signals {
        None => None,
        Some(signals) => Some(settle::until_current(client, stream, replicas, timeout, signals).await?),
    };
    line(args, stream, done, waited)
}

fn line(args: &Args, stream: &Stream, done: &str, waited: Option<Duration>) -> Result<(), Failure> {
    let (from, to) = (stream.replicas, args.replicas);
    if args.json {
        let waited = waited.map(|waited| u64::try_from(waited.as_millis()).unwrap_or(u64::MAX));
        let value = json!({
            "stream": stream.name,
            "from": from,
            "to": to,
            "changed": done == "was changed",
            "current": waited.is_some(),
            "waited_ms": waited,
        });
        return terminal::print(&format!("{value}\n"));
    }
    let what = match from == usize::from(to) {
        true => format!("{} {done}: it has {to}", stream.name),
        false => format!("{} {done}: from {from} to {to}", stream.name),
    };
    let current = waited.map(|waited| format!(", all current after {}", Period::text(waited)));
    terminal::print(&format!("{what}{}\n", current.unwrap_or_default()))
}
