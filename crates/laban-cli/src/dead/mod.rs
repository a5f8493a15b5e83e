//! `laban dead`: events that a handler gave up on.

mod redrive;

use clap::Subcommand;

use crate::Connection;
use crate::failure::{self, Failure};

/// Hand dead letters back to the handlers that gave up
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[command(after_help = failure::EXIT_CODES)]
    Redrive(redrive::Args),
}

pub(crate) async fn run(args: Args, connection: &Connection) -> Result<(), Failure> {
    match args.command {
        Command::Redrive(args) => redrive::run(args, connection).await,
    }
}
