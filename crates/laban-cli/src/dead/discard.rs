//! `laban dead discard`: writes the records that say that dead letters are not to be handed back.

use std::time::Duration;

use laban_flow::Mesh;
use laban_flow::dead::Letter;
use laban_wire::{DISCARDED, Discarded};

use super::decide::Decision;
use super::deciding::{Deciding, Words};
use super::filter::OPEN;
use super::text::counted;
use super::write::Writer;
use crate::{Connection, Failure, ask};

/// What `--help` says of them.
const EXIT_CODES: &str = "\
Exit codes:
  0  all were discarded
  1  there is no such dead letter, or one was settled before, or it was stopped
  2  the command line is wrong, or --yes was not said where nobody can be asked
  3  the broker cannot be reached, or did not answer in full";

/// Say that dead letters are not to be handed back, and why
///
/// Nothing is deleted: it is one more record about the flow, and the dead letter is open no more. It can be handed back all
/// the same, should somebody think better of it.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES, mut_arg("why", |why| why.required_unless_present("dry_run")))]
pub(crate) struct Args {
    #[command(flatten)]
    deciding: Deciding,
}

pub(crate) async fn run(Args { deciding }: Args, connection: &Connection) -> Result<(), Failure> {
    let client = connection.connect().await?;
    let reader = connection.reader(&client).await?;
    let mesh = Mesh::discover(&client).await?;
    let chosen = deciding.chosen(&client, &reader, &mesh, &OPEN).await?;
    if deciding.dry_run {
        return deciding.rehearse(&chosen, &OPEN, "would discard");
    }
    let by = ask::somebody(deciding.by.as_deref())?;
    let why = deciding.why.clone().unwrap_or_default();
    if why.trim().is_empty() {
        return Err(Failure::Usage(
            "say why, with --why: it is all that whoever looks later will know".to_owned(),
        ));
    }
    let so_many = counted(chosen.count());
    let words = Words {
        doing: format!("discarding {so_many}"),
        each: "to be discarded:",
        question: format!("Discard {so_many}?"),
    };
    deciding.confirm(&chosen, &words)?;
    let decision = Decision {
        writer: Writer { client: &client, reader: &reader, record: DISCARDED, from: &OPEN },
        done: "discarded",
        pause: Duration::ZERO,
        json: deciding.json,
    };
    let body = |letter: &Letter| {
        let body = Discarded { dead_seq: letter.place.seq, by: by.clone(), why: why.clone() };
        serde_json::to_vec(&body).map(Into::into).map_err(|error| Failure::NotDone(error.to_string()))
    };
    decision.carry_out(chosen, body).await?.judged("discarded")
}
