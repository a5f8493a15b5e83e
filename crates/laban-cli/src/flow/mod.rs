//! `laban flow`: one run of a business process, as the streams tell it.

mod case;
mod choice;
mod columns;
mod export;
mod jaeger;
mod list;
pub(crate) mod moment;
pub(crate) mod period;
mod show;
mod traced;
mod watch;

use std::time::Duration;

use clap::Subcommand;
use laban_flow::Mesh;

use period::Period;

use crate::failure::{self, Failure};
use crate::{Connection, terminal};

/// See flows: rebuilt from the streams alone
#[derive(clap::Args)]
#[command(after_help = failure::EXIT_CODES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

/// When a reaction is overdue.
#[derive(clap::Args)]
pub(crate) struct Overdue {
    /// A reaction without a sign of life for this long is overdue, and its flow stuck [default: 30s]
    #[arg(long, value_name = "PERIOD")]
    overdue: Option<Period>,
}

impl Overdue {
    pub(crate) fn grace(&self) -> Duration {
        self.overdue.map_or(laban_flow::OVERDUE, |period| period.0)
    }
}

#[derive(Subcommand)]
enum Command {
    List(list::Args),
    Show(show::Args),
    Export(export::Args),
}

pub(crate) async fn run(args: Args, connection: &Connection) -> Result<(), Failure> {
    match args.command {
        Command::List(args) => list::run(args, connection).await,
        Command::Show(args) => show::run(args, connection).await,
        Command::Export(args) => export::run(args, connection).await,
    }
}

/// What is not shown, and why.
fn warn(mesh: &Mesh) {
    for problem in &mesh.problems {
        terminal::say(&format!("laban: warning: {problem}; what it awaits is not shown"));
    }
}
