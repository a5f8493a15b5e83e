//! `laban flow`: one run of a business process, as the streams tell it.

mod show;

use clap::Subcommand;

use crate::Connection;
use crate::failure::{self, Failure};

/// See flows: rebuilt from the streams alone
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[command(after_help = failure::EXIT_CODES)]
    Show(show::Args),
}

pub(crate) async fn run(args: Args, connection: &Connection) -> Result<(), Failure> {
    match args.command {
        Command::Show(args) => show::run(args, connection).await,
    }
}
