//! `laban dead redrive`: writes the records that open dead letters again.

use std::path::PathBuf;
use std::time::Duration;

use laban_flow::Mesh;
use laban_flow::dead::{Letter, Standing};
use laban_wire::{FlowReader, Payload, REDRIVE, Redrive};

use super::chosen::Chosen;
use super::decide::Decision;
use super::deciding::{Deciding, Words};
use super::filter::{OPEN, Target};
use super::follow::Follow;
use super::rate::Rate;
use super::text::counted;
use super::write::Writer;
use super::{body, edit, show};
use crate::flow::period::Period;
use crate::{Connection, Failure, ask, terminal};

/// What `--help` says of them.
const EXIT_CODES: &str = "\
Exit codes:
  0  all were handed back; with --wait: all have succeeded, or were discarded since
  1  there is no such dead letter, or one was settled before, or it was stopped;
     with --wait: one has failed again, or is still being tried
  2  the command line is wrong, or --yes was not said where nobody can be asked
  3  the broker cannot be reached, or did not answer in full";

/// Hand dead letters back, each to the one handler that gave up
///
/// The handler runs again on the input as it was recorded, in a new trace linked to the old one. What took effect meanwhile
/// is not done again.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Args {
    #[command(flatten)]
    deciding: Deciding,
    /// Also what was discarded; one that is named by its place may have been
    #[arg(long)]
    discarded: bool,
    /// Hand back at most so many a second (`50/s`), minute or hour
    #[arg(long, value_name = "RATE", default_value = "50/s")]
    rate: Rate,
    /// Give the handler this body instead, from a file, or from standard input with `-`; for one dead letter
    #[arg(long, value_name = "FILE", requires = "why", conflicts_with = "edit")]
    payload: Option<PathBuf>,
    /// Edit the body in $VISUAL or $EDITOR, and give the handler that; for one dead letter
    #[arg(long, requires = "why")]
    edit: bool,
    /// Wait for what becomes of them: exit code 1 if any fails again
    #[arg(long)]
    wait: bool,
    /// With --wait: no longer than this [default: 10m]
    #[arg(long, value_name = "PERIOD", requires = "wait")]
    timeout: Option<Period>,
}

const PATIENCE: Duration = Duration::from_secs(600);
/// What a record takes beside the body that it carries.
const AROUND_BYTES: usize = 4096;

pub(crate) async fn run(args: Args, connection: &Connection) -> Result<(), Failure> {
    let client = connection.connect().await?;
    let reader = connection.reader(&client).await?;
    let mesh = Mesh::discover(&client).await?;
    let deciding = &args.deciding;
    let mut states = OPEN.to_vec();
    if args.discarded || matches!(deciding.target, Some(Target::Letter(_))) {
        states.push(Standing::Discarded);
    }
    let chosen = deciding.chosen(&client, &reader, &mesh, &states).await?;
    let count = chosen.count();
    if (args.payload.is_some() || args.edit) && count != 1 {
        let message = format!(
            "another body is for one dead letter, and these are {count}: name one, such as `PAYMENT/16`"
        );
        return Err(Failure::Usage(message));
    }
    if deciding.dry_run {
        return deciding.rehearse(&chosen, &states, "would hand back");
    }
    let lasts = Period::text(args.rate.pause().saturating_mul(u32::try_from(count).unwrap_or(u32::MAX)));
    let words = Words {
        doing: format!("handing back {}, which takes {lasts} or more", counted(count)),
        each: "to be handed back:",
        question: format!("Hand back {}, which takes {lasts} or more?", counted(count)),
    };
    deciding.confirm(&chosen, &words)?;
    let by = match args.payload.is_some() || args.edit {
        true => Some(ask::somebody(deciding.by.as_deref())?),
        false => ask::who(deciding.by.as_deref()),
    };
    let payload = other_body(&args, &chosen, &client, &reader).await?;
    let decision = Decision {
        writer: Writer { client: &client, reader: &reader, record: REDRIVE, from: &states },
        done: "handed back",
        pause: args.rate.pause(),
        json: deciding.json,
    };
    let body = |letter: &Letter| {
        let (by, why, payload) = (by.clone(), deciding.why.clone(), payload.clone());
        let body = Redrive { dead_seq: letter.place.seq, by, why, payload };
        serde_json::to_vec(&body).map(Into::into).map_err(|error| Failure::NotDone(error.to_string()))
    };
    let done = decision.carry_out(chosen, body).await?;
    let judged = done.judged("handed back");
    if args.wait && !done.stopped && !done.letters.is_empty() {
        if done.count > done.letters.len() as u64 {
            terminal::say(&format!("laban: waiting for the first {} of them", done.letters.len()));
        }
        let timeout = args.timeout.map_or(PATIENCE, |period| period.0);
        let follow = Follow { client: &client, reader: &reader, timeout, json: deciding.json };
        follow.all(done.letters).await?;
    }
    judged
}

/// What the handler is to get instead.
async fn other_body(
    args: &Args,
    chosen: &Chosen,
    client: &async_nats::Client,
    reader: &FlowReader,
) -> Result<Option<Payload>, Failure> {
    let limit = client.server_info().max_payload.saturating_sub(AROUND_BYTES);
    if let Some(path) = &args.payload {
        return edit::from_file(path, limit).map(Some);
    }
    let (true, Some(letter)) = (args.edit, chosen.first.first()) else { return Ok(None) };
    let mut letter = letter.clone();
    show::fetch(&mut letter, reader).await?;
    let before = letter.input.payload.as_ref().map(body::readable).unwrap_or_default();
    edit::in_editor(&before, limit).await.map(Some)
}
