//! `laban dead show`: a dead letter with all that there is to know of it.

use std::fmt::Write as _;

use laban_flow::dead::{self, Letter, Letters, Query, Standing, What};
use laban_flow::{Mesh, words};
use laban_wire::{FlowReader, Payload};

use super::body::readable;
use super::filter::Target;
use super::text::Text;
use crate::{Connection, Failure, terminal};

/// What `--help` says of them.
const EXIT_CODES: &str = "\
Exit codes:
  0  shown, whatever became of it
  1  there is no such dead letter
  2  the command line is wrong
  3  the broker cannot be reached, or did not answer in full";

/// Show a dead letter: its input, what was tried, what was decided, what to do
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// The dead letter, such as `PAYMENT/16`; or a flow's business key, for all of that flow
    #[arg(value_name = "STREAM/SEQ|FLOW")]
    target: Target,
    /// Print JSON: one object a line
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, connection: &Connection) -> Result<(), Failure> {
    let client = connection.connect().await?;
    let reader = connection.reader(&client).await?;
    let mesh = Mesh::discover(&client).await?;
    match args.target.clone().resolved(&mesh)? {
        Target::Letter(place) => {
            let letter = dead::at(&reader, &mesh, &place).await?;
            let letter =
                letter.ok_or_else(|| Failure::NotDone(format!("there is no dead letter at {place}")))?;
            if letter.place != place {
                terminal::say(&format!("laban: given up again since {place}: this is {}", letter.place));
            }
            terminal::print(&written(&args, letter, &reader).await?)
        }
        Target::Flow(flow) => {
            let query = Query { flow: Some(flow.clone()), ..Query::default() };
            let mut letters = Letters::find(&client, reader.clone(), &mesh, query).await?;
            let mut found = 0;
            while let Some(letter) = letters.next().await? {
                let between = if found == 0 || args.json { "" } else { "\n" };
                found += 1;
                if !terminal::print_on(&format!("{between}{}", written(&args, letter, &reader).await?))? {
                    return Ok(());
                }
            }
            if found == 0 {
                return Err(Failure::NotDone(format!("flow {:?} has no dead letter", flow.key())));
            }
            Ok(())
        }
    }
}

async fn written(args: &Args, mut letter: Letter, reader: &FlowReader) -> Result<String, Failure> {
    fetch(&mut letter, reader).await?;
    if args.json {
        let line = serde_json::to_string(&letter).map_err(|error| Failure::NotDone(error.to_string()))?;
        return Ok(line + "\n");
    }
    Ok(page(&letter, Text::for_terminal()))
}

/// An input that was too large to record, from where it was read, if it is still there.
pub(super) async fn fetch(letter: &mut Letter, reader: &FlowReader) -> Result<(), Failure> {
    let input = &mut letter.input;
    if input.payload.is_some() {
        return Ok(());
    }
    let found = match reader.leader_next(&input.stream, &input.subject, input.seq).await {
        Err(error) if error.is_no_stream() => None,
        found => found.map_err(laban_flow::Error::from)?,
    };
    if let Some(found) = found.filter(|found| found.seq == input.seq) {
        input.payload = Some(Payload::of(&found.payload));
        for (name, values) in found.headers.iter() {
            let values = values.iter().map(|value| value.as_str().to_owned()).collect();
            input.headers.insert(name.to_string(), values);
        }
    }
    Ok(())
}

/// Writing to a String does not fail.
macro_rules! line {
    ($text:expr, $($rest:tt)*) => {{ let _ = writeln!($text, $($rest)*); }};
}

fn page(letter: &Letter, text: Text) -> String {
    let mut page = String::new();
    let plain = |foreign: &str| text.plain(foreign);
    let times = match letter.times {
        1 => String::new(),
        times => format!(", given up {times} times"),
    };
    line!(page, "{}  {}{times}", letter.place, letter.state);
    line!(page, "  flow         {}", words::quoted(&letter.flow.key(), text.ascii));
    line!(page, "  handler      {} {}, on {}", letter.service, plain(&letter.handler), letter.event);
    line!(page, "  reason       {}", letter.reason.as_str());
    line!(page, "  error        {}", plain(&letter.error));
    line!(page, "  attempts     {}", letter.attempts);
    line!(page, "  fingerprint  {}", plain(&letter.fingerprint));
    line!(page, "  cause        {}", letter.cause);
    if let Some(trace) = &letter.trace_id {
        line!(page, "  trace        {trace}");
    }
    line!(page, "history");
    for entry in &letter.history {
        let trace = entry.trace_id.as_deref().filter(|_| !matches!(entry.what, What::Failed { .. }));
        let trace = trace.map(|trace| format!("  [trace {trace}]")).unwrap_or_default();
        let (stream, seq) = (&letter.place.stream, entry.seq);
        line!(
            page,
            "  {}  {stream}/{seq}  {}{trace}",
            words::stamp(entry.at),
            plain(&entry.what.to_string())
        );
        if let What::HandedBack { payload: Some(payload), .. } = &entry.what {
            line!(page, "    its body: {}", plain(&readable(payload)));
        }
    }
    let input = &letter.input;
    line!(page, "input  {}/{}  {}", input.stream, input.seq, plain(&input.subject));
    for (name, values) in &input.headers {
        for value in values {
            line!(page, "  {}: {}", plain(name), plain(value));
        }
    }
    match &input.payload {
        None => line!(page, "  its body was too large to record, and is no longer in its stream"),
        Some(payload) => {
            for one in readable(payload).lines() {
                line!(page, "  {}", plain(one));
            }
        }
    }
    next(&mut page, letter);
    page
}

/// What can be typed now.
fn next(page: &mut String, letter: &Letter) {
    let place = &letter.place;
    match letter.state {
        Standing::Open | Standing::FailedAgain => {
            line!(page, "next");
            line!(page, "  laban dead redrive {place} --wait");
            line!(page, "  laban dead redrive {place} --edit --why <WHY> --wait");
            line!(page, "  laban dead discard {place} --why <WHY>");
        }
        Standing::Discarded => {
            line!(page, "next");
            line!(
                page,
                "  laban dead redrive {place} --wait    (it was discarded, and can be handed back all the same)"
            );
        }
        _ => {}
    }
}
