//! `laban replay`: history read again.

mod run;

use clap::Subcommand;

use crate::Connection;
use crate::failure::{self, Failure};

/// Look at history again, or run it again
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[command(after_help = failure::EXIT_CODES)]
    Run(run::Args),
}

pub(crate) async fn run(args: Args, connection: &Connection) -> Result<(), Failure> {
    match args.command {
        Command::Run(args) => run::run(args, connection).await,
    }
}
