//! `laban flow list`: which flows there are, newest first.

use laban_flow::{Cursor, Flows, Listed, Mesh, Query, State};
use laban_wire::EventType;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Overdue;
use super::choice::Choice;
use super::columns::{self, Columns};
use crate::{Connection, Failure, terminal};

/// What `--help` says of them.
const EXIT_CODES: &str = "\
Exit codes:
  0  listed; there may be none
  1  the list cannot be written
  2  the command line is wrong
  3  the broker cannot be reached, or did not answer in full";

/// List flows, newest first: by their last record, or by the one that was asked for
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// Only flows in this state; may be repeated, or separated by commas
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    state: Vec<Wanted>,
    /// Only flows of which this service has a record, or in which it is awaited
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Only flows with an event of this type, listed by that event
    #[arg(long, value_name = "SERVICE.EVENT")]
    event: Option<EventType>,
    #[command(flatten)]
    choice: Choice,
    /// At most so many; 0 is all [default: 50; with --json all]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Go on after this place, as the list before ended
    #[arg(long, value_name = "PLACE")]
    after: Option<Cursor>,
    /// Look at every record, even where the broker says that nothing is open; for mended or lost consumers and timers
    #[arg(long)]
    exhaustive: bool,
    /// Print JSON: one object a line, as they are found
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    overdue: Overdue,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Wanted {
    Running,
    Completed,
    Compensated,
    Dead,
    Stuck,
}

impl From<Wanted> for State {
    fn from(wanted: Wanted) -> Self {
        match wanted {
            Wanted::Running => Self::Running,
            Wanted::Completed => Self::Completed,
            Wanted::Compensated => Self::Compensated,
            Wanted::Dead => Self::Dead,
            Wanted::Stuck => Self::Stuck,
        }
    }
}

const SHORT_LIST: usize = 50;

pub(crate) async fn run(args: Args, connection: &Connection) -> Result<(), Failure> {
    let client = connection.connect().await?;
    let mesh = Mesh::discover(&client).await?;
    super::warn(&mesh);
    let now = mesh.now().unwrap_or_else(OffsetDateTime::now_utc);
    let query = Query {
        states: args.state.iter().copied().map(State::from).collect(),
        service: args.service,
        event: args.event,
        after: args.after,
        overdue: args.overdue.grace(),
        exhaustive: args.exhaustive,
        ..args.choice.query(now)
    };
    let limit = match args.limit.unwrap_or(if args.json { 0 } else { SHORT_LIST }) {
        0 => usize::MAX,
        limit => limit,
    };
    let mut flows = Flows::find(&client, connection.reader(&client).await?, &mesh, query).await?;
    let progress = terminal::progress("looking for flows");
    let columns = Columns::new(terminal::has_colours(), !terminal::is_utf8());
    let (mut found, mut last): (usize, Option<Cursor>) = (0, None);
    while found < limit {
        let Some(listed) = flows.next().await? else {
            progress.finish_and_clear();
            if found == 0 {
                terminal::say("laban: no such flow");
            }
            return Ok(());
        };
        let head = (found == 0 && !args.json).then(|| columns.head());
        let line = if args.json { as_json(&listed) } else { columns.line(&listed.flow, listed.cursor.at) };
        found += 1;
        last = Some(listed.cursor);
        let text = head.into_iter().chain([line]).map(|line| line + "\n").collect::<String>();
        if !progress.suspend(|| terminal::print_on(&text))? {
            return Ok(());
        }
        progress.set_message(format!("{found} flows, {} records looked at", flows.records()));
    }
    // There may be more; whoever wants to know has to look.
    let more = flows.next().await?.is_some();
    progress.finish_and_clear();
    if let (true, Some(last)) = (more, last) {
        terminal::say(&format!("laban: there are more: --after {last}"));
    }
    Ok(())
}

fn stamp(at: OffsetDateTime) -> Option<String> {
    at.format(&Rfc3339).ok()
}

fn as_json(listed: &Listed) -> String {
    let Listed { flow, cursor, .. } = listed;
    let last = flow.steps.iter().map(|step| step.at).chain(flow.unreadable.iter().map(|m| m.at)).max();
    json!({
        "flow": flow.flow,
        "state": flow.state,
        "started_at": stamp(flow.started_at),
        "last_at": last.and_then(stamp),
        "ended_at": flow.ended_at.and_then(stamp),
        "steps": flow.steps.len(),
        "services": columns::services(flow),
        "traces": flow.traces(),
        "awaited": flow.awaited,
        "dead_letters": flow.dead_letters().count(),
        "unreadable": flow.unreadable.len(),
        "place": cursor.to_string(),
    })
    .to_string()
}
