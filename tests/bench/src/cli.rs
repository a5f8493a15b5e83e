//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

use crate::contestants::{self, Counter, Runtime};
use crate::driver::{self, Allocator, Bench, Kind};
use crate::error::{Doing as _, Error, Result};
use crate::progress::Progress;
use crate::report::{self, Machine, Report};
use crate::scenarios::{self, Name, Plan};

/// Measure what Laban costs: the same chain by Laban, by hand, and by its peers
#[derive(Parser, Debug)]
#[command(name = "laban-bench", version, after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// Which scenarios [default: all]
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Name>,
    /// Who takes part [default: all]
    #[arg(long, value_enum, value_delimiter = ',')]
    contestants: Vec<Kind>,
    /// What memory comes from
    #[arg(long, value_enum, default_value = "both")]
    allocator: Allocators,
    /// Which of tokio's runtimes contestants use
    #[arg(long, value_enum, default_value = "multi-thread")]
    runtime: Runtime,
    /// Rounds of each scenario [default: its own]
    #[arg(long)]
    rounds: Option<usize>,
    /// Flows of each run of `chain` [default: 20000]
    #[arg(long)]
    flows: Option<u64>,
    /// Tiny sizes: whether the bench itself works, not how fast anything is
    #[arg(long, env = "QUICK", value_parser = clap::builder::FalseyValueParser::new())]
    quick: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// Exit with 1 if a target is missed
    #[arg(long)]
    strict: bool,
    /// Measure the binaries that are there
    #[arg(long)]
    no_build: bool,
    /// Where report.json and logs go [default: `bench` in the folder of build results]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Allocators {
    System,
    Mimalloc,
    Both,
}

#[derive(Subcommand, Debug)]
enum Part {
    /// The receiver of spans; started by the bench
    #[command(hide = true)]
    Receiver,
    /// A contestant; started by the bench
    #[command(hide = true)]
    Contestant(contestants::Args),
}

const EXIT_CODES: &str = "\
Exit codes:
  0    measured; with --strict: and all targets are met
  1    could not be measured (the reason is on standard error), or --strict and a target is missed
  2    the command line is wrong
  130  stopped before the end";

/// The `main` of the bench, and of all its processes.
pub fn main(counter: Option<Counter>) -> ExitCode {
    let args = Args::parse();
    let progress = Progress::detect();
    if let Some(Part::Contestant(args)) = &args.part {
        return contestants::main(args, counter);
    }
    let runtime = match tokio::runtime::Runtime::new().doing("start tokio") {
        Ok(runtime) => runtime,
        Err(error) => {
            progress.say(&format!("bench: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(async {
        if matches!(args.part, Some(Part::Receiver)) {
            return driver::receiver::serve().await.map(|()| Some(true));
        }
        // What is dropped when a signal comes takes its processes with it.
        tokio::select! {
            measured = measure(&args, progress) => measured.map(Some),
            stopped = asked_to_stop() => stopped.map(|()| None),
        }
    });
    runtime.shutdown_background();
    match ended {
        Ok(Some(true)) => ExitCode::SUCCESS,
        Ok(Some(false)) => ExitCode::FAILURE,
        Ok(None) => {
            progress.say("bench: stopped");
            ExitCode::from(130)
        }
        Err(error) => {
            progress.say(&format!("bench: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn asked_to_stop() -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).doing("listen for signals")?;
    let mut terminate = signal(SignalKind::terminate()).doing("listen for signals")?;
    let mut hangup = signal(SignalKind::hangup()).doing("listen for signals")?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    Ok(())
}

/// Measures, reports, and says whether that is good enough for the exit code.
async fn measure(args: &Args, progress: Progress) -> Result<bool> {
    let dir = match &args.dir {
        Some(dir) => dir.clone(),
        None => driver::build::target_dir()?.join("bench"),
    };
    let names = or_all(&args.only);
    let logs = dir.join("logs");
    std::fs::create_dir_all(&logs).doing(format_args!("make {}", logs.display()))?;
    let allocators = match args.allocator {
        Allocators::System => vec![Allocator::System],
        Allocators::Mimalloc => vec![Allocator::Mimalloc],
        Allocators::Both => vec![Allocator::System, Allocator::Mimalloc],
    };
    if !args.no_build {
        progress.say("building the contestants ...");
        let mut wanted = allocators.clone();
        if names.contains(&Name::Allocations) {
            wanted.push(Allocator::Counting);
        }
        driver::build::contestants(&wanted).await?;
    }
    let plan = Plan {
        bench: Bench { logs, runtime: args.runtime },
        kinds: or_all(&args.contestants),
        kinds_named: !args.contestants.is_empty(),
        allocators,
        quick: args.quick,
        rounds: args.rounds,
        flows: args.flows,
    };
    let mut measured = Vec::new();
    for name in names {
        measured.push(scenarios::run(name, &plan, progress).await?);
    }
    let report = Report {
        schema: 1,
        machine: Machine::detect(),
        options: std::env::args().skip(1).collect(),
        targets: report::judge(&measured),
        scenarios: measured,
        notes: Vec::new(),
    };
    let path = dir.join("report.json");
    report.write(&path)?;
    let shown = if args.json { report.json()? + "\n" } else { report::text(&report) };
    print(&shown)?;
    progress.say(&format!("report: {}", path.display()));
    Ok(!args.strict || report.targets.iter().all(|target| target.met))
}

fn or_all<T: ValueEnum + Copy>(wanted: &[T]) -> Vec<T> {
    if wanted.is_empty() { T::value_variants().to_vec() } else { wanted.to_vec() }
}

/// Writes to standard output. A reader that has seen enough (`| head`) is no failure.
fn print(text: &str) -> Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::new(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
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
