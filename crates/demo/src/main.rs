//! `demo`: places orders at the shop, and audits what came of them.

mod run;
mod terminal;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use clap::builder::FalseyValueParser;

use run::Failure;

/// Place orders at a shop of five services, and audit what came of them: streams, books, traces
#[derive(Parser)]
#[command(name = "demo", version, after_help = EXIT_CODES)]
struct Args {
    /// How many orders are to become flows; some that are refused come on top
    #[arg(long, default_value_t = 200)]
    orders: usize,
    /// Which orders: the same for the same number
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Verify and exit, as where there is no terminal
    #[arg(long, env = "ONCE", value_parser = FalseyValueParser::new())]
    once: bool,
    /// Send spans to the demo's own receiver, even if a Jaeger is at hand
    #[arg(long)]
    no_jaeger: bool,
    /// Start what this Compose file says, as processes of this machine, instead of one broker and five services
    #[arg(long, value_name = "FILE", conflicts_with = "no_jaeger")]
    compose: Option<PathBuf>,
    /// Where summary.json and the services' logs go [default: `demo` in the folder of build results]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

const EXIT_CODES: &str = "\
Exit codes:
  0    all is as it should be
  1    something is not, or could not be started; the reason is on standard error
  2    the command line is wrong
  130  stopped before the end";

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return report(&Failure::Broken(format!("cannot start: {error}"))),
    };
    let outcome = runtime.block_on(run::run(&args));
    // A download that was given up must not be waited for.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => report(&failure),
    }
}

fn report(failure: &Failure) -> ExitCode {
    match failure {
        Failure::Stopped => {
            terminal::say("demo: stopped");
            ExitCode::from(130)
        }
        Failure::Broken(reason) => {
            terminal::say(&format!("demo: {reason}"));
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Args::command().debug_assert();
    }
}
