//! `laban replay`: history read again.

mod pace;
mod player;
mod report;
mod run;
mod selection;
mod shadow;
mod view;

use clap::Subcommand;

use crate::Connection;
use crate::failure::{self, Failure};

/// Read history again: look at it as it went, hand it to a service again, or try a new build against it
#[derive(clap::Args)]
#[command(after_help = failure::EXIT_CODES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    View(view::Args),
    Run(run::Args),
    Shadow(shadow::Args),
}

pub(crate) async fn run(args: Args, connection: &Connection) -> Result<(), Failure> {
    match args.command {
        Command::View(args) => view::run(args, connection).await,
        Command::Run(args) => run::run(args, connection).await,
        Command::Shadow(args) => shadow::run(args, connection).await,
    }
}
