//! `laban flow export`: flows for other programs.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use laban_flow::{Flows, Mesh, Ocel, Query};
use time::OffsetDateTime;

use super::choice::Choice;
use crate::{Connection, Failure, terminal};

/// Write flows to a file for process mining tools
#[derive(clap::Args)]
pub(crate) struct Args {
    /// As what
    #[arg(long, value_enum, default_value_t = Format::Ocel2, value_name = "FORMAT")]
    format: Format,
    /// To this file, instead of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    choice: Choice,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    /// An object-centric event log, OCEL 2.0, in JSON
    Ocel2,
}

pub(crate) async fn run(args: Args, connection: &Connection) -> Result<(), Failure> {
    let Format::Ocel2 = args.format;
    let client = connection.connect().await?;
    let mesh = Mesh::discover(&client).await?;
    let now = mesh.now().unwrap_or_else(OffsetDateTime::now_utc);
    let query = Query { bodies: true, ..args.choice.query(now) };
    let flows = Flows::find(&client, connection.reader(&client).await?, &mesh, query).await?;
    match args.output {
        None => match write(flows, io::stdout().lock()).await {
            // A reader that has seen enough is no failure.
            Err(Problem::Io(e)) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written.map(drop).map_err(|problem| problem.at("standard output")),
        },
        Some(path) => {
            // Half a log is none: it gets its name when it is whole.
            let part = beside(&path);
            let unwritten = |e: io::Error| Problem::Io(e).at(&path.display().to_string());
            let file = File::create(&part).map_err(unwritten)?;
            let written = match write(flows, file).await {
                Ok(count) => std::fs::rename(&part, &path).map(|()| count).map_err(Problem::Io),
                Err(problem) => Err(problem),
            };
            if written.is_err() {
                // It is of no use to anybody, and there is nothing more to say about it.
                let _ = std::fs::remove_file(&part);
            }
            let count = written.map_err(|problem| problem.at(&path.display().to_string()))?;
            terminal::say(&format!("laban: {count} flows in {}", path.display()));
            Ok(())
        }
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

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    path.with_file_name(name)
}
