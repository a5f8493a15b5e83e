#![doc = include_str!("../README.md")]

mod allow;
mod ask;
mod check;
mod connection;
mod contracts;
mod dead;
mod dev;
mod doctor;
mod failure;
mod fenced;
mod flow;
mod http;
mod map;
mod metrics;
mod replay;
mod retire;
mod signals;
mod stream;
mod terminal;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, Subcommand};

use connection::Connection;
use failure::Failure;

/// Choreographed services over NATS JetStream: start them a broker, see their flows, map and check them.
#[derive(Parser)]
#[command(name = "laban", version, after_help = failure::EXIT_CODES, subcommand_required = true)]
struct Cli {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Dev(dev::Args),
    Flow(flow::Args),
    Map(map::Args),
    Check(check::Args),
    Doctor(doctor::Args),
    Dead(dead::Args),
    Replay(replay::Args),
    Retire(retire::Args),
    Stream(stream::Args),
    Metrics(metrics::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if matches!(cli.command, Command::Dev(_)) && cli.connection.is_given() {
        let message = "`dev` starts a broker of its own: --server, --context and --creds have no use there";
        Cli::command().error(ErrorKind::ArgumentConflict, message).exit();
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(e) => return Failure::NotDone(format!("cannot start: {e}")).report(),
    };
    let outcome = runtime.block_on(async {
        match cli.command {
            Command::Dev(args) => dev::run(args).await,
            Command::Flow(args) => flow::run(args, &cli.connection).await,
            Command::Map(args) => map::run(args, &cli.connection).await,
            Command::Check(args) => check::run(args, &cli.connection).await,
            Command::Doctor(args) => doctor::run(args, &cli.connection).await,
            Command::Dead(args) => dead::run(args, &cli.connection).await,
            Command::Replay(args) => replay::run(args, &cli.connection).await,
            Command::Retire(args) => retire::run(args, &cli.connection).await,
            Command::Stream(args) => stream::run(args, &cli.connection).await,
            Command::Metrics(args) => metrics::run(args, &cli.connection).await,
        }
    });
    // A download that was given up must not be waited for.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }

    #[test]
    fn every_command_says_what_its_exit_codes_mean_there() {
        let mut left = vec![super::Cli::command()];
        let mut said = Vec::new();
        while let Some(command) = left.pop() {
            let (name, codes) = (command.get_name().to_owned(), command.get_after_help());
            let codes = codes.map(ToString::to_string).unwrap_or_default();
            for code in ["Exit codes:\n  0  ", "\n  1  ", "\n  2  the command line is wrong"] {
                assert!(codes.contains(code), "{name}: {codes:?} has no {code:?}");
            }
            if command.is_subcommand_required_set() {
                assert_eq!(codes, super::failure::EXIT_CODES, "{name}: those of all commands");
            } else {
                said.push(codes);
            }
            left.extend(command.get_subcommands().cloned());
        }
        assert!(said.len() >= 14, "{} commands", said.len());
        assert!(
            !said.iter().any(|codes| codes == super::failure::EXIT_CODES),
            "those of all, at one of them"
        );
    }
}
