//! `laban dead discard`: writes the records that say that dead letters are not to be handed back.

use std::time::Duration;

use laban_flow::Mesh;
use laban_flow::dead::Letter;
use laban_wire::{DISCARDED, Discarded};

use super::chosen::Chosen;
use super::decide::Decision;
use super::filter::{Filter, OPEN, Target};
use super::text::counted;
use super::write::Writer;
use crate::{Connection, Failure, ask, terminal};

/// Say that dead letters are not to be handed back, and why
///
/// Nothing is deleted: it is one more record about the flow, and the dead letter is open no more. It can be handed back all
/// the same, should somebody think better of it.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// One dead letter, such as `PAYMENT/16`; or a flow's business key, for all that are open in that flow
    #[arg(value_name = "STREAM/SEQ|FLOW", conflicts_with = "flow")]
    target: Option<Target>,
    #[command(flatten)]
    filter: Filter,
    /// Why, for the record
    #[arg(long, value_name = "TEXT", required_unless_present = "dry_run")]
    why: Option<String>,
    /// Who decides, for the record [default: USER]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Say what would be discarded, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask before discarding more than one
    #[arg(long)]
    yes: bool,
    /// Print JSON: one object a line
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, connection: &Connection) -> Result<(), Failure> {
    let client = connection.connect().await?;
    let reader = connection.reader(&client).await?;
    let mesh = Mesh::discover(&client).await?;
    let chosen = Chosen::find(&client, &reader, &mesh, (args.target.clone(), &args.filter), &OPEN).await?;
    let count = chosen.count();
    if count == 0 {
        return Err(Failure::NotDone(
            "no dead letter of those asked for is open; `laban dead list --all`".to_owned(),
        ));
    }
    if args.dry_run {
        chosen.still(&OPEN)?;
        return if args.json {
            chosen.print_json()
        } else {
            terminal::print(&chosen.summary("would discard"))
        };
    }
    let by = ask::somebody(args.by.as_deref())?;
    let why = args.why.clone().unwrap_or_default();
    if why.trim().is_empty() {
        return Err(Failure::Usage(
            "say why, with --why: it is all that whoever looks later will know".to_owned(),
        ));
    }
    if count > 1 {
        if args.yes {
            terminal::say(&format!("laban: discarding {}", counted(count)));
        } else {
            terminal::say(chosen.summary("to be discarded:").trim_end());
            ask::may_go_on(&format!("Discard {}?", counted(count)))?;
        }
    }
    let decision = Decision {
        writer: Writer { client: &client, reader: &reader, record: DISCARDED, from: &OPEN },
        done: "discarded",
        pause: Duration::ZERO,
        json: args.json,
    };
    let body = |letter: &Letter| {
        let body = Discarded { dead_seq: letter.place.seq, by: by.clone(), why: why.clone() };
        serde_json::to_vec(&body).map(Into::into).map_err(|error| Failure::NotDone(error.to_string()))
    };
    decision.carry_out(chosen, body).await?.judged("discarded")
}
