//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::contestants::{self, Counter, Runtime};
use crate::driver::{self, Allocator, Bench, Kind};
use crate::error::{Doing as _, Error, Result};
use crate::guard;
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
    /// Count the instructions of a hop under valgrind, and compare them with the budget
    Guard {
        /// Write a new budget instead
        #[arg(long, env = "RENEW", value_parser = clap::builder::FalseyValueParser::new())]
        renew: bool,
    },
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

/// Cores that are busy before it begins, and worth a note.
const BUSY: f64 = 0.3;
/// How much later than a child this process may learn of the same Ctrl-C.
const LATER: Duration = Duration::from_millis(300);

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
        let mut signals = Signals::listen()?;
        // What is dropped when a signal comes takes its processes with it.
        let measured = tokio::select! {
            measured = async {
                match args.part {
                    Some(Part::Guard { renew }) => guard::run(&logs(&args)?, renew, progress).await,
                    _ => measure(&args, progress).await,
                }
            } => measured,
            () = signals.next() => return Ok(None),
        };
        match measured {
            Ok(good) => Ok(Some(good)),
            // Ctrl-C on a terminal reaches the contestants too, and they may be faster.
            Err(error) => match tokio::time::timeout(LATER, signals.next()).await {
                Ok(()) => Ok(None),
                Err(_) => Err(error),
            },
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

/// The ways to be asked to end.
struct Signals([Signal; 3]);

impl Signals {
    fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).doing("listen for signals");
        Ok(Self([
            listen(SignalKind::interrupt())?,
            listen(SignalKind::terminate())?,
            listen(SignalKind::hangup())?,
        ]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// Where the report goes.
fn dir(args: &Args) -> Result<PathBuf> {
    match &args.dir {
        Some(dir) => Ok(dir.clone()),
        None => Ok(driver::build::target_dir()?.join("bench")),
    }
}

/// Where logs go.
fn logs(args: &Args) -> Result<PathBuf> {
    let logs = dir(args)?.join("logs");
    std::fs::create_dir_all(&logs).doing(format_args!("make {}", logs.display()))?;
    Ok(logs)
}

/// Measures, reports, and says whether that is good enough for the exit code.
async fn measure(args: &Args, progress: Progress) -> Result<bool> {
    let dir = dir(args)?;
    let names = or_all(&args.only);
    let logs = logs(args)?;
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
        if names.contains(&Name::Sizing) {
            driver::build::shop().await?;
        }
    }
    let mut kinds = or_all(&args.contestants);
    let mut notes = Vec::new();
    if !args.no_build {
        for kind in kinds.clone() {
            let Err(reason) = driver::build::peer(kind).await? else { continue };
            let missing = format!("{} takes no part, since it cannot be built: {reason}", kind.name());
            if !args.contestants.is_empty() {
                return Err(Error::new(missing));
            }
            progress.say(&missing);
            notes.push(missing);
            kinds.retain(|other| *other != kind);
        }
    }
    let plan = Plan {
        bench: Bench { logs, runtime: args.runtime },
        kinds,
        kinds_named: !args.contestants.is_empty(),
        allocators,
        quick: args.quick,
        rounds: args.rounds,
        flows: args.flows,
    };
    let machine = Machine::detect();
    if machine.busy_cores > BUSY {
        let note = format!(
            "{:.1} cores were busy with something else before it began: figures, and to some extent ratios, suffer",
            machine.busy_cores
        );
        progress.say(&note);
        notes.push(note);
    }
    let mut measured = Vec::new();
    for name in names {
        measured.push(scenarios::run(name, &plan, progress).await?);
    }
    notes.extend(report::lost_spans(&measured));
    let report = Report {
        schema: 1,
        machine,
        options: std::env::args().skip(1).collect(),
        targets: report::judge(&measured),
        scenarios: measured,
        notes,
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
