//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use demo::{Progress, Signals};
use laban_chaos::{CALM, Fence, Profile, Settings, Verdict, default_dir, run};

/// Run the shop under fire: faults drawn from a seed, and an audit of everything afterwards
#[derive(Parser, Debug)]
#[command(name = "laban-chaos", version, after_help = EXIT_CODES)]
struct Args {
    /// What orders and faults are drawn from
    #[arg(long, env = "SEED", default_value_t = 1)]
    seed: u64,
    /// Orders that become flows
    #[arg(long, env = "FLOWS", default_value_t = 1000)]
    flows: usize,
    /// How long faults happen; the orders are placed meanwhile
    #[arg(long, env = "MINUTES", default_value_t = 2.0)]
    minutes: f64,
    /// What the broker is
    #[arg(long, env = "PROFILE", value_enum, default_value = "cluster")]
    profile: Profile,
    /// Whether commits are fenced; `off` is a control, which must be caught
    #[arg(long, env = "FENCE", value_enum, default_value = "on")]
    fence: Fence,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// Where report.json and logs go [default: `chaos` in the folder of build results]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

const EXIT_CODES: &str = "\
Exit codes:
  0    nothing is wrong; with --fence off: it was caught
  1    something is wrong, or could not be run (the reason is on standard error); with --fence off: it was not caught
  2    the command line is wrong
  3    void: too little was met to tell
  130  stopped before the end";

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let progress = Progress::detect();
    let minutes = args.minutes;
    if !(minutes.is_finite() && (0.1..=600.0).contains(&minutes)) {
        progress.say("chaos: --minutes (MINUTES) is a number from 0.1 to 600");
        return ExitCode::from(2);
    }
    let settings = Settings {
        seed: args.seed,
        flows: args.flows,
        duration: Duration::from_secs_f64(minutes * 60.0),
        profile: args.profile,
        fence: args.fence,
        calm: Some(CALM),
        dir: args.dir.unwrap_or_else(default_dir),
    };
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => {
            progress.say(&format!("chaos: cannot listen for signals: {error}"));
            return ExitCode::FAILURE;
        }
    };
    // What is dropped when a signal comes takes its processes with it.
    let ran = tokio::select! {
        ran = run(&settings, progress) => ran,
        () = signals.next() => {
            progress.say("chaos: stopped");
            return ExitCode::from(130);
        }
    };
    let told = ran.and_then(|report| {
        print(&if args.json { report.json()? + "\n" } else { report.text() })?;
        progress.say(&format!("report: {}", settings.dir.join("report.json").display()));
        Ok(report.verdict())
    });
    match told {
        Ok(Verdict::Good) => ExitCode::SUCCESS,
        Ok(Verdict::Bad) => ExitCode::FAILURE,
        Ok(Verdict::Void) => ExitCode::from(3),
        Err(error) => {
            progress.say(&format!("chaos: {error:?}"));
            ExitCode::FAILURE
        }
    }
}

/// Writes to standard output. A reader that has seen enough (`| head`) is no failure.
fn print(text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}
