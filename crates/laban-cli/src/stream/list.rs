//! `laban stream list`: which streams the mesh has, what they hold and where they are.

use laban_flow::streams::Stream;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use super::text;
use crate::{Connection, Failure, terminal};

/// What `--help` says of them.
const EXIT_CODES: &str = "\
Exit codes:
  0  listed; there may be none
  1  the list could not be written
  2  the command line is wrong
  3  the broker cannot be reached, or did not answer in full";

/// List the streams of the mesh: home streams, timer streams, and the bucket of contracts
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// Print JSON: one object a line
    #[arg(long)]
    json: bool,
}

const HEAD: [&str; 9] =
    ["stream", "service", "what", "messages", "bytes", "subjects", "keeps", "replicas", "leader"];
/// Numbers.
const RIGHT: [usize; 3] = [3, 4, 5];

pub(crate) async fn run(args: Args, connection: &Connection) -> Result<(), Failure> {
    let streams = Stream::all(&connection.connect().await?).await?;
    if args.json {
        let lines: String = streams.iter().map(|stream| format!("{}\n", as_json(stream))).collect();
        return terminal::print(&lines);
    }
    if streams.is_empty() {
        terminal::say(
            "laban: no service has a stream there: is this the right broker, and the right account?",
        );
        return Ok(());
    }
    let rows: Vec<Vec<String>> = streams.iter().map(row).collect();
    terminal::print(&text::table(&HEAD, &RIGHT, &rows, !terminal::is_utf8()))
}

fn row(stream: &Stream) -> Vec<String> {
    let none = || "-".to_owned();
    vec![
        stream.name.clone(),
        stream.service.clone().unwrap_or_else(none),
        stream.kind.to_string(),
        stream.messages.to_string(),
        text::bytes(stream.bytes),
        stream.subjects.to_string(),
        text::age(stream.max_age),
        text::replicas(stream),
        match (&stream.leader, stream.cluster.is_some()) {
            (Some(leader), _) => leader.clone(),
            (None, true) => "none".to_owned(),
            (None, false) => none(),
        },
    ]
}

pub(super) fn as_json(stream: &Stream) -> Value {
    json!({
        "stream": stream.name,
        "service": stream.service,
        "what": stream.kind,
        "messages": stream.messages,
        "bytes": stream.bytes,
        "subjects": stream.subjects,
        "first_at": stream.first_at.and_then(|at| at.format(&Rfc3339).ok()),
        "max_age_ms": stream.max_age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
        "storage": stream.storage,
        "placement": stream.placement,
        "replicas": stream.replicas,
        "missing": stream.missing(),
        "current": stream.is_current(),
        "cluster": stream.cluster,
        "leader": stream.leader,
        "peers": stream.peers,
    })
}
