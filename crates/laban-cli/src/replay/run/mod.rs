//! `laban replay run`: history handed to a running service again.

mod force;
mod report;

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressStyle};
use laban_flow::Mesh;
use laban_flow::replay::run::{Pace, Run, Totals};
use laban_wire::ServiceName;
use time::OffsetDateTime;

use super::selection::SelectionArgs;
use crate::flow::period::Period;
use crate::signals::Signals;
use crate::{Connection, Failure, terminal};

/// What `--help` says of them.
const EXIT_CODES: &str = "\
Exit codes:
  0  all was handed over and answered
  1  ended early, or something is newly dead, refused or unanswered;
     with --force: nothing selected has taken effect, or not all was asked for
  2  the command line is wrong, or --yes was not said where nobody can be asked
  3  the broker cannot be reached, or did not answer in full";

/// Hand history to a running service again; what took effect before is absorbed
///
/// Each selected event is handed to each handler of the service that reacts to it, as if it were delivered again, in a new
/// trace linked to the old one. What took effect before is absorbed by the fence and counted; what never did takes effect now,
/// once. A handler that takes effect at least once runs again for each event: that is how a read model is rebuilt. Consumers'
/// positions and streams are not touched, so live traffic goes on; --rate leaves it more room.
///
/// Ctrl-C finishes what is in flight and says where to go on.
///
/// With --force it is the other way round: what took effect before is done again on purpose, under new ids and idempotency
/// keys, and nothing else is touched.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// The service that is to react again
    #[arg(long, value_name = "NAME")]
    service: ServiceName,
    /// Only this handler of it
    #[arg(long, value_name = "NAME")]
    handler: Option<String>,
    /// How many requests are in flight at a time; with 1 the order is kept strictly
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    window: u16,
    /// At most so many requests a second [with --force: 50]
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<f64>,
    /// How long an instance may be silent before its message is handed over again
    #[arg(long, value_name = "TIME", default_value = "15s")]
    patience: Period,
    /// Say what would be handed over, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the totals as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    selection: SelectionArgs,
    #[command(flatten)]
    force: force::ForceArgs,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.001..=1e6).contains(&rate) => Ok(rate),
        _ => Err("it is a number from 0.001 to 1000000".to_owned()),
    }
}

pub(crate) async fn run(args: Args, connection: &Connection) -> Result<(), Failure> {
    let client = connection.connect().await?;
    let mesh = Mesh::discover(&client).await?;
    let selection = args.selection.clone().selection(mesh.now().unwrap_or_else(OffsetDateTime::now_utc));
    let run = Run::plan(&client, &mesh, &args.service, args.handler.as_deref(), &selection).await?;
    if args.force.force {
        return force::run(&args, &run, connection, &client, &mesh).await;
    }
    let announced = report::plan(&args.service, &run);
    if args.dry_run {
        let printed = if args.json { report::plan_json(&args.service, &run) } else { announced };
        return terminal::print(&printed);
    }
    terminal::say(&format!("laban: {}", announced.trim_end()));
    let pace = Pace { window: args.window.into(), rate: args.rate, patience: args.patience.0 };
    // What no client library can read takes the connection down over which it comes.
    let bulk = connection.connect().await?;
    let totals = until_done(&run, (&client, &bulk), &pace).await?;
    let printed =
        if args.json { report::totals_json(&args.service, &run, &totals) } else { report::totals(&totals) };
    terminal::print(&printed)?;
    for line in report::problems(&args.service, &totals) {
        terminal::say(&line);
    }
    if totals.is_good() { Ok(()) } else { Err(Failure::Found) }
}

/// Until all is done; Ctrl-C ends it early, once what is in flight is answered.
async fn until_done(
    run: &Run,
    (client, bulk): (&async_nats::Client, &async_nats::Client),
    pace: &Pace,
) -> Result<Totals, Failure> {
    let mut signals = Signals::listen()?;
    let bar = bar(run.requests());
    let (tell, told) = tokio::sync::oneshot::channel::<()>();
    let stop = async {
        if told.await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let mut tell = Some(tell);
    let mut running =
        std::pin::pin!(run.run(client, bulk, pace, stop, |totals| bar.set_position(totals.done())));
    let totals = loop {
        tokio::select! {
            totals = &mut running => break totals?,
            () = signals.next() => match tell.take() {
                Some(tell) => {
                    let _ = tell.send(());
                    bar.suspend(|| terminal::say("laban: finishing what is in flight; Ctrl-C again leaves it"));
                }
                None => {
                    bar.finish_and_clear();
                    let left = "left before what was in flight was answered; it can all be handed over again";
                    return Err(Failure::NotDone(left.to_owned()));
                }
            },
        }
    };
    bar.finish_and_clear();
    Ok(totals)
}

fn bar(of: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("replaying [{bar:30}] {pos}/{len} {per_sec} {eta}");
    ProgressBar::new(of)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "))
}
