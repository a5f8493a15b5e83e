//! `laban dead`: events that a handler gave up on, and what is decided about them.

mod body;
mod chosen;
mod decide;
mod deciding;
mod discard;
mod edit;
mod filter;
mod follow;
mod list;
mod rate;
mod redrive;
mod show;
mod text;
mod write;

use clap::Subcommand;

use crate::Connection;
use crate::failure::{self, Failure};

/// See dead letters, hand them back to the handlers that gave up, or discard them
#[derive(clap::Args)]
#[command(after_help = failure::EXIT_CODES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    List(list::Args),
    Show(show::Args),
    Redrive(redrive::Args),
    Discard(discard::Args),
}

pub(crate) async fn run(args: Args, connection: &Connection) -> Result<(), Failure> {
    match args.command {
        Command::List(args) => list::run(args, connection).await,
        Command::Show(args) => show::run(args, connection).await,
        Command::Redrive(args) => redrive::run(args, connection).await,
        Command::Discard(args) => discard::run(args, connection).await,
    }
}
