//! `laban stream`: the streams of the mesh, and in how many copies they are kept.

mod change;
mod list;
mod nodes;
mod replicas;
mod settle;
mod text;

use clap::Subcommand;

use crate::Connection;
use crate::failure::{self, Failure};

/// See the streams of the mesh, and change how many replicas they have
#[derive(clap::Args)]
#[command(after_help = failure::EXIT_CODES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    List(list::Args),
    Replicas(replicas::Args),
}

pub(crate) async fn run(args: Args, connection: &Connection) -> Result<(), Failure> {
    match args.command {
        Command::List(args) => list::run(args, connection).await,
        Command::Replicas(args) => replicas::run(args, connection).await,
    }
}
