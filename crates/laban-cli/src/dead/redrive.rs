//! `laban dead redrive`: writes the record that opens a dead letter again.

use async_nats::jetstream;
use async_nats::{Client, HeaderMap};
use laban_flow::{Flow, Mesh, Step};
use laban_wire::{EventType, FlowId, HEADER, Meta, Millis, REDRIVE, Reaction, Redrive, Subject, error_chain};

use crate::{Connection, Failure, terminal};

/// Hand the dead letters of a flow back, each to the one handler that gave up
///
/// The handler runs again on the input as it was recorded, in a new trace linked to the old one. What took effect meanwhile
/// is not done again.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The flow's business key, such as an order id
    #[arg(value_name = "FLOW")]
    flow: FlowId,
    /// Only this service's dead letters
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Only this handler's dead letters
    #[arg(long, value_name = "NAME")]
    handler: Option<String>,
    /// Who asks, for the record
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
    /// Say what would be handed back, and do nothing
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn run(args: Args, connection: &Connection) -> Result<(), Failure> {
    let client = connection.connect().await?;
    let mesh = Mesh::discover(&client).await?;
    let flow = Flow::read(connection.reader(&client).await?, &mesh, &args.flow).await?;
    let flow = flow.ok_or_else(|| Failure::NotDone(format!("no flow {:?}", args.flow.key())))?;
    let asked = |wanted: &Option<String>, found: Option<&str>| wanted.is_none() || wanted.as_deref() == found;
    let letters: Vec<&Step> = flow
        .dead_letters()
        .filter(|step| {
            asked(&args.service, Some(&step.service)) && asked(&args.handler, step.handler.as_deref())
        })
        .collect();
    if letters.is_empty() {
        let which = if args.service.is_some() || args.handler.is_some() { " of those asked for" } else { "" };
        return Err(Failure::NotDone(format!("flow {:?} has no dead letter{which}", flow.flow)));
    }
    for letter in letters {
        let handler = letter.handler.as_deref().unwrap_or("?");
        let what = format!("{} {handler}, {} {}", letter.service, letter.stream, letter.seq);
        if args.dry_run {
            terminal::print(&format!("would hand back to {what}\n"))?;
        } else {
            write(&client, letter, &args).await?;
            terminal::print(&format!("handed back to {what}\n"))?;
        }
    }
    Ok(())
}

/// Appends the redrive to the home stream of the service that gave up.
async fn write(client: &Client, letter: &Step, args: &Args) -> Result<(), Failure> {
    let incomplete = || {
        let place = format!("{} {}", letter.stream, letter.seq);
        Failure::NotDone(format!("the dead letter at {place} does not say which handler gave up on what"))
    };
    let reaction = Reaction {
        cause: letter.cause.ok_or_else(incomplete)?,
        on: letter.on.clone().ok_or_else(incomplete)?,
        handler: letter.handler.as_deref().ok_or_else(incomplete)?.into(),
        attempt: 1,
        queue_ms: Millis::default(),
        handle_ms: Millis::default(),
    };
    let service = letter.service.parse().map_err(|_| incomplete())?;
    let subject = Subject::new(EventType::system(&service, REDRIVE), args.flow.clone());
    let body = Redrive { dead_seq: letter.seq, by: args.by.clone(), why: args.why.clone() };
    let body = serde_json::to_vec(&body).map_err(|error| Failure::NotDone(error.to_string()))?;
    let mut headers = HeaderMap::new();
    let meta = Meta { id: laban_wire::EventId::root(), version: None, reaction: Some(reaction) };
    headers.insert(HEADER, meta.to_header());
    let context = jetstream::new(client.clone());
    let not_written = |error| Failure::Broker(format!("not written: {}", error_chain(&error)));
    let written = context.publish_with_headers(subject.to_string(), headers, body.into()).await;
    written.map_err(not_written)?.await.map_err(not_written)?;
    Ok(())
}
