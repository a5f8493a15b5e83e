//! `laban dev`: a broker and Jaeger on this machine, until Ctrl-C.

mod parts;
mod place;

use std::path::PathBuf;

use crate::signals::Signals;
use crate::{Failure, terminal};
use parts::Parts;
use place::Place;

/// What `--help` says of them.
const EXIT_CODES: &str = "\
Exit codes:
  0  ended by Ctrl-C or SIGTERM
  1  not started, or the broker or Jaeger ended by itself
  2  the command line is wrong";

/// Start a local broker and Jaeger, and print their addresses until Ctrl-C
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// The broker's port; 0 takes free ports for the broker and Jaeger
    #[arg(long, default_value_t = 4222)]
    port: u16,
    /// Keep the streams in this folder [default: ${XDG_DATA_HOME:-~/.local/share}/laban/dev]
    #[arg(long, value_name = "DIR", conflicts_with = "temporary")]
    store: Option<PathBuf>,
    /// Keep the streams in a temporary folder that goes away at the end
    #[arg(long)]
    temporary: bool,
    /// Start the broker only
    #[arg(long)]
    no_jaeger: bool,
}

pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    // Held to the end: no second broker may use the same streams.
    let place = Place::take(&args)?;
    let mut parts = tokio::select! {
        started = Parts::start(&args, &place) => started?,
        () = signals.next() => return Ok(()),
    };
    parts.announce(&place)?;
    let died = tokio::select! {
        died = parts.died() => {
            // Ctrl-C on a terminal reaches them too, and they may be faster.
            if signals.came_meanwhile().await { None } else { Some(died) }
        }
        () = signals.next() => None,
    };
    if died.is_none() {
        terminal::say("stopping");
    }
    tokio::select! {
        stopped = parts.stop() => stopped?,
        // Once more: at once. What still runs is killed on drop.
        () = signals.next() => {}
    }
    match died {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}
