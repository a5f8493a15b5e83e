//! `laban flow export`: flows for other programs.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use laban_flow::{Flows, Mesh, Ocel, Query};
use laban_wire::FlowId;
use laban_wire::case::Ignore;
use time::OffsetDateTime;

use super::case;
use super::choice::Choice;
use crate::{Connection, Failure, terminal};

/// What `--help` says of them.
const EXIT_CODES: &str = "\
Exit codes:
  0  written
  1  there is no such flow, it makes no test, or the file cannot be written
  2  the command line is wrong
  3  the broker cannot be reached, or did not answer in full";

/// Write flows to a file: for process mining tools, or one of them as a test
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// The flow that is to become a test, with --format case
    #[arg(value_name = "FLOW", conflicts_with_all = ["key", "since", "until"])]
    flow: Option<FlowId>,
    /// As what
    #[arg(long, value_enum, default_value_t = Format::Ocel2, value_name = "FORMAT")]
    format: Format,
    /// To this file, instead of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// With --format case: a place in an event's body that may differ from run to run, such as
    /// payment.captured:/captured_at; may be given several times
    #[arg(long, value_name = "EVENT:POINTER")]
    ignore: Vec<Ignore>,
    #[command(flatten)]
    choice: Choice,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    /// An object-centric event log, OCEL 2.0, in JSON
    Ocel2,
    /// One flow as a test, for laban_testkit::Case; with the bodies of its events
    Case,
}

pub(crate) async fn run(args: Args, connection: &Connection) -> Result<(), Failure> {
    let Args { flow, format, output, ignore, choice } = args;
    let usage = |what: &str| Err(Failure::Usage(format!("{what}; see `laban flow export --help`")));
    match (format, flow) {
        (Format::Case, Some(flow)) => case(&flow, ignore, output.as_deref(), connection).await,
        (Format::Case, None) => usage("a case is of one flow: laban flow export <FLOW> --format case"),
        (Format::Ocel2, None) if ignore.is_empty() => log(&choice, output.as_deref(), connection).await,
        (Format::Ocel2, None) => usage("--ignore is for --format case"),
        (Format::Ocel2, Some(_)) => usage("one flow by its key is for --format case; a log takes --key"),
    }
}

/// One flow as a test.
async fn case(
    flow: &FlowId,
    ignore: Vec<Ignore>,
    output: Option<&Path>,
    connection: &Connection,
) -> Result<(), Failure> {
    let text = case::of(flow, ignore, connection).await?;
    let Some(path) = output else { return terminal::print(&text) };
    let written = Part::begin(path).and_then(|(part, mut file)| {
        file.write_all(text.as_bytes())?;
        part.end()
    });
    written.map_err(|e| Problem::Io(e).at(&path.display().to_string()))?;
    terminal::say(&format!("laban: flow {:?} as a test in {}", flow.key(), path.display()));
    Ok(())
}

/// Many flows as a log.
async fn log(choice: &Choice, output: Option<&Path>, connection: &Connection) -> Result<(), Failure> {
    let client = connection.connect().await?;
    let mesh = Mesh::discover(&client).await?;
    let now = mesh.now().unwrap_or_else(OffsetDateTime::now_utc);
    let query = Query { bodies: true, ..choice.query(now) };
    let flows = Flows::find(&client, connection.reader(&client).await?, &mesh, query).await?;
    let Some(path) = output else {
        return match write(flows, io::stdout().lock()).await {
            // A reader that has seen enough is no failure.
            Err(Problem::Io(e)) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written.map(drop).map_err(|problem| problem.at("standard output")),
        };
    };
    let place = path.display().to_string();
    let (part, file) = Part::begin(path).map_err(|e| Problem::Io(e).at(&place))?;
    let count = write(flows, file).await.map_err(|problem| problem.at(&place))?;
    part.end().map_err(|e| Problem::Io(e).at(&place))?;
    terminal::say(&format!("laban: {count} flows in {place}"));
    Ok(())
}

/// A file that gets its name when it is whole: half a log is none.
struct Part<'p> {
    path: &'p Path,
    part: PathBuf,
}

impl<'p> Part<'p> {
    fn begin(path: &'p Path) -> io::Result<(Self, File)> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".part");
        let part = path.with_file_name(name);
        let file = File::create(&part)?;
        Ok((Self { path, part }, file))
    }

    fn end(self) -> io::Result<()> {
        std::fs::rename(&self.part, self.path)
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        // It is of no use to anybody, and there is nothing more to say about it; a file that has its name is not here.
        let _ = std::fs::remove_file(&self.part);
    }
}

enum Problem {
    Io(io::Error),
    Flow(laban_flow::Error),
}

impl Problem {
    fn at(self, place: &str) -> Failure {
        match self {
            Self::Io(e) => Failure::NotDone(format!("cannot write to {place}: {e}")),
            Self::Flow(e) => e.into(),
        }
    }
}

async fn write(mut flows: Flows<'_>, out: impl io::Write) -> Result<u64, Problem> {
    let progress = terminal::progress("looking for flows");
    let aside = tempfile::tempfile().map_err(Problem::Io)?;
    let mut log = Ocel::begin(BufWriter::new(out), aside).map_err(Problem::Io)?;
    let mut count = 0;
    while let Some(listed) = flows.next().await.map_err(Problem::Flow)? {
        log.add(&listed.flow, &listed.bodies).map_err(Problem::Io)?;
        count += 1;
        if count % 100 == 0 {
            progress.set_message(format!("{count} flows, {} records", flows.records()));
        }
    }
    log.end().and_then(|mut out| out.flush()).map_err(Problem::Io)?;
    progress.finish_and_clear();
    Ok(count)
}
