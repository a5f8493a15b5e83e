//! `laban replay view`: plays history.

use std::io::{self, IsTerminal as _};

use laban_flow::replay::{Plan, Replay};
use laban_flow::{Mesh, TreeStyle};
use laban_wire::ServiceName;
use time::OffsetDateTime;

use super::pace::{Pace, Speed};
use super::player::{Form, Player, Shown};
use super::report;
use super::selection::SelectionArgs;
use crate::flow::period::Period;
use crate::signals::Signals;
use crate::{Connection, Failure, terminal};

/// What `--help` says of them.
const EXIT_CODES: &str = "\
Exit codes:
  0  played, to the end or until Ctrl-C; there may be no such record
  1  no service has a home stream there
  2  the command line is wrong
  3  the broker cannot be reached, or did not answer in full";

/// Play a range of history in causal order, to look at
///
/// Each record comes after what its stream held before it, and after its cause. The range ends where the streams end when the
/// command begins. Nothing is written, and no service's consumer is touched.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// So many times as fast as it went, or `max` [default: 1 on a terminal, max elsewhere]
    #[arg(long, value_name = "N|max")]
    speed: Option<Speed>,
    /// Wait no longer than this where nothing happened
    #[arg(long, value_name = "PERIOD", default_value = "2s")]
    max_gap: Period,
    /// Show the bodies of records as well; JSON has them in any case
    #[arg(long)]
    payload: bool,
    /// Print JSON: one object a line
    #[arg(long)]
    json: bool,
    /// Draw with ASCII only, as where the locale is not one of UTF-8
    #[arg(long)]
    ascii: bool,
    /// Written by this service; may be repeated, or separated by commas
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "Selection")]
    service: Vec<ServiceName>,
    /// No system records
    #[arg(long, help_heading = "Selection")]
    events_only: bool,
    #[command(flatten)]
    selection: SelectionArgs,
}

pub(crate) async fn run(args: Args, connection: &Connection) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    let begun = tokio::select! {
        begun = begin(args, connection) => begun?,
        // A consumer that was just made to count is forgotten by itself.
        () = signals.next() => return Ok(()),
    };
    let Some((mut player, mut replay)) = begun else { return Ok(()) };
    let end = player.play(&mut replay, &mut signals).await;
    replay.close().await;
    player.finish(end)
}

/// Finds out what there is to play, and says so; nothing when there is nothing.
async fn begin(args: Args, connection: &Connection) -> Result<Option<(Player, Replay<Shown>)>, Failure> {
    let client = connection.connect().await?;
    let mesh = Mesh::discover(&client).await?;
    let now = mesh.now().unwrap_or_else(OffsetDateTime::now_utc);
    let mut selection = args.selection.selection(now);
    selection.services = args.service;
    selection.events_only = args.events_only;
    let plan = Plan::make(&client, &mesh, &selection).await?;
    if plan.records() == 0 {
        terminal::say("laban: no such record");
        return Ok(None);
    }
    let on_terminal = io::stdout().is_terminal();
    let speed = args.speed.unwrap_or(if on_terminal { Speed::Times(1.0) } else { Speed::Max });
    terminal::say(&format!("laban: {}", report::beginning(&plan, speed)));
    let style = TreeStyle { ascii: args.ascii || !terminal::is_utf8(), colour: terminal::has_colours() };
    let form = if args.json { Form::Json } else { Form::Lines { style, with_body: args.payload } };
    let replay = plan.replay_as(form.show(), &client, &connection.connect().await?);
    Ok(Some((Player::new(plan.records(), form, Pace::new(speed, args.max_gap.0)), replay)))
}
