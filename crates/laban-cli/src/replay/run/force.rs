//! `laban replay run --force`: what took effect, done again on purpose.
//!
//! Asked for by records in the service's home stream, like redrives, which outlive this command and the service's instances.
//! What is done again is what stood at one sequence of that stream; so the same request, made again, asks for nothing twice.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use async_nats::{Client, jetstream};
use futures_util::future::try_join_all;
use laban_flow::Mesh;
use laban_flow::replay::run::{Outcome, Reacted, Reactions, Run, Selected};
use laban_wire::{Again, EventId, FlowReader, REDRIVE, ServiceName, metadata};
use serde_json::{Value, json};
use tokio::time::{Interval, MissedTickBehavior};

use crate::fenced::{self, Answer, Record};
use crate::signals::Signals;
use crate::{Connection, Failure, ask, terminal};

#[derive(clap::Args)]
#[command(next_help_heading = "Again on purpose")]
pub(super) struct ForceArgs {
    /// Do again what took effect: effects outside happen again, and events are emitted again, under new ids
    #[arg(long, requires = "why", conflicts_with_all = ["window", "patience"])]
    pub(super) force: bool,
    /// Why, for the record
    #[arg(long, value_name = "TEXT", requires = "force")]
    why: Option<String>,
    /// Who asks, for the record [default: USER]
    #[arg(long, value_name = "NAME", requires = "force")]
    by: Option<String>,
    /// Do not ask
    #[arg(long, requires = "force")]
    yes: bool,
    /// Only outcomes up to this sequence of the service's home stream [default: its last one]
    #[arg(long, value_name = "SEQ", requires = "force")]
    standing_at: Option<u64>,
}

/// Requests a second, unless said otherwise.
const RATE: f64 = 50.0;
/// How many flows are read at once.
const READS: usize = 16;

/// What is known of one handler's reactions.
#[derive(Clone, Default)]
struct Counts {
    /// They are to be done again.
    again: u64,
    /// They have not taken effect, or not by that sequence.
    others: u64,
}

type Totals = BTreeMap<String, Counts>;

struct Force<'a> {
    client: &'a Client,
    reader: &'a FlowReader,
    service: &'a ServiceName,
    stream: String,
    standing_at: u64,
    by: String,
    why: String,
}

pub(super) async fn run(
    args: &super::Args,
    run: &Run,
    connection: &Connection,
    client: &Client,
    mesh: &Mesh,
) -> Result<(), Failure> {
    let service = &args.service;
    if let Some(one) = run.touched().iter().find(|one| one.at_least_once) {
        return Err(Failure::Usage(format!(
            "handler `{}` takes effect at least once: it runs again without --force; name another with --handler",
            one.handler
        )));
    }
    let (stream, last_seq) = home(client, mesh, service).await?;
    let force = Force {
        client,
        reader: &connection.reader(client).await?,
        service,
        stream,
        standing_at: args.force.standing_at.unwrap_or(last_seq),
        by: ask::somebody(args.force.by.as_deref())?,
        why: args.force.why.clone().unwrap_or_default(),
    };
    // What no client library can read takes the connection down over which it comes.
    let bulk = connection.connect().await?;
    let found = force.found(run, &bulk).await?;
    let count: u64 = found.values().map(|counts| counts.again).sum();
    if args.dry_run {
        let printed = match args.json {
            true => force.json(&found, None),
            false => force.announced(&found),
        };
        return terminal::print(&printed);
    }
    terminal::say(&format!("laban: {}", force.announced(&found).trim_end()));
    if count == 0 {
        return Err(Failure::NotDone("nothing of what is selected has taken effect".to_owned()));
    }
    if !args.force.yes {
        ask::may_go_on(&format!("Do {} again?", counted(count)))?;
    }
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / args.rate.unwrap_or(RATE)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut totals = run.touched().iter().map(|one| (one.handler.clone(), Counts::default())).collect();
    let mut reactions = run.reactions(client, &bulk);
    let asked = force.ask_for_all(&mut reactions, ticks, &mut totals, count).await;
    reactions.close().await;
    let stopped = match &asked {
        Ok(stopped) => *stopped,
        Err(_) => true,
    };
    terminal::print(&if args.json { force.json(&totals, Some(stopped)) } else { text(&totals) })?;
    if stopped {
        terminal::say(&format!(
            "laban: not all was asked for; to go on: the same command with --standing-at {}",
            force.standing_at
        ));
    }
    asked?;
    terminal::say(&format!(
        "laban: `laban flow show` shows what becomes of each, `laban dead list --service {service}` what fails"
    ));
    if stopped { Err(Failure::Found) } else { Ok(()) }
}

/// The service's home stream and its last sequence, if the service takes such requests.
async fn home(client: &Client, mesh: &Mesh, service: &ServiceName) -> Result<(String, u64), Failure> {
    let home = mesh.homes.iter().find(|home| home.service == service.as_str());
    let home = home.ok_or_else(|| Failure::NotDone(format!("service {service} has no home stream there")))?;
    let broker = |error: String| Failure::Broker(format!("stream {}: {error}", home.stream));
    let context = jetstream::new(client.clone());
    let stream = context.get_stream(&home.stream).await;
    let stream = stream.map_err(|error| broker(laban_wire::error_chain(&error)))?;
    let consumer = format!("{service}_{REDRIVE}");
    let taken = stream.consumer_info(&consumer).await;
    let taken = taken.is_ok_and(|found| found.config.metadata.contains_key(metadata::AGAIN));
    // What nobody takes would stay open.
    if !taken {
        return Err(Failure::NotDone(format!(
            "service {service} takes no requests to do something again: no consumer `{consumer}` says that it does; \
             start instances of a release that has them, and stop those that have not"
        )));
    }
    Ok((home.stream.clone(), stream.cached_info().state.last_sequence))
}

impl Force<'_> {
    /// How many of the selected reactions are to be done again.
    async fn found(&self, run: &Run, bulk: &Client) -> Result<Totals, Failure> {
        let progress = terminal::progress("reading what took effect");
        let mut totals = run.touched().iter().map(|one| (one.handler.clone(), Counts::default())).collect();
        let mut reactions = run.reactions(self.client, bulk);
        let counted = self.count_all(&mut reactions, &mut totals).await;
        reactions.close().await;
        progress.finish_and_clear();
        counted.map(|()| totals)
    }

    async fn count_all(&self, reactions: &mut Reactions<'_>, totals: &mut Totals) -> Result<(), Failure> {
        loop {
            let mut page = Vec::with_capacity(READS);
            while page.len() < READS
                && let Some(selected) = reactions.next().await?
            {
                page.push(selected);
            }
            if page.is_empty() {
                break;
            }
            let read = page.iter().map(async |selected| {
                let records = self.reader.flow(&self.stream, &selected.records(self.service)).await;
                Ok::<_, laban_flow::Error>(selected.reacted(records?))
            });
            for (selected, reacted) in page.iter().zip(try_join_all(read).await?) {
                let counts = totals.entry(selected.handler.clone()).or_default();
                match self.standing(&reacted) {
                    Some(_) => counts.again += 1,
                    None => counts.others += 1,
                }
            }
        }
        add_unreadable(reactions, totals);
        Ok(())
    }

    /// The outcome that is to be done again.
    fn standing(&self, reacted: &Reacted) -> Option<Outcome> {
        reacted.outcome.filter(|outcome| outcome.seq <= self.standing_at)
    }

    /// Asks for one after another, in causal order, until all are asked for or somebody stops it. Says whether somebody did.
    async fn ask_for_all(
        &self,
        reactions: &mut Reactions<'_>,
        mut ticks: Interval,
        totals: &mut Totals,
        of: u64,
    ) -> Result<bool, Failure> {
        let mut signals = Signals::listen()?;
        let progress = terminal::progress("asking");
        let mut done = 0;
        let ended = loop {
            let selected = tokio::select! {
                biased;
                () = signals.next() => break Ok(true),
                selected = reactions.next() => selected?,
            };
            let Some(selected) = selected else {
                add_unreadable(reactions, totals);
                break Ok(false);
            };
            let written = tokio::select! {
                biased;
                // Between two of them, so that none is left half asked for.
                () = signals.next() => break Ok(true),
                reacted = self.read(&selected) => match reacted {
                    Ok(reacted) if self.standing(&reacted).is_some() => {
                        tokio::select! {
                            biased;
                            () = signals.next() => break Ok(true),
                            _ = ticks.tick() => {}
                        }
                        self.ask_for(&selected, reacted).await
                    }
                    Ok(_) => Ok(false),
                    Err(error) => Err(error),
                },
            };
            let counts = totals.entry(selected.handler).or_default();
            match written {
                Ok(true) => {
                    counts.again += 1;
                    done += 1;
                }
                Ok(false) => counts.others += 1,
                Err(error) => break Err(error),
            }
            progress.set_message(format!("asked for {done} of {of}"));
        };
        progress.finish_and_clear();
        ended
    }

    /// How it stands, by the stream's leader: nothing newer is missing.
    async fn read(&self, selected: &Selected) -> Result<Reacted, Failure> {
        let records = self.reader.leader(&self.stream, &selected.records(self.service), 1).await;
        Ok(selected.reacted(records.map_err(laban_flow::Error::from)?))
    }

    /// Asks for it, unless its outcome stands no more.
    async fn ask_for(&self, selected: &Selected, mut now: Reacted) -> Result<bool, Failure> {
        let id = EventId::root();
        let body = Again { again: selected.input.clone(), by: self.by.clone(), why: self.why.clone() };
        let body = serde_json::to_vec(&body).map_err(|error| Failure::NotDone(error.to_string()))?;
        for tries in 0..fenced::TRIES {
            if now.asked == Some(id) {
                return Ok(true);
            }
            let Some(Outcome { attempt, .. }) = self.standing(&now) else { return Ok(false) };
            let record = Record {
                id,
                service: self.service,
                name: REDRIVE,
                flow: &selected.flow,
                cause: selected.cause,
                on: &selected.event,
                handler: &selected.handler,
                attempt,
                body: body.clone().into(),
            };
            match record.append(self.client, now.last_seq).await {
                Answer::Stored(_) => return Ok(true),
                Answer::FenceLost => fenced::pause(tries).await,
                // It may be there, or not: reading tells.
                Answer::Unknown => {}
                Answer::Failed(reason) => return Err(Failure::Broker(format!("not written: {reason}"))),
            }
            now = self.read(selected).await?;
        }
        let flow = selected.flow.key();
        Err(Failure::Broker(format!("flow {flow:?} moves faster than it can be written to; try again")))
    }

    fn announced(&self, found: &Totals) -> String {
        let count = found.values().map(|counts| counts.again).sum();
        let mut text = format!("{} of {} to be done again\n", counted(count), self.service);
        for (handler, Counts { again, others }) in found {
            let _ = write!(text, "  {handler}: {again}");
            match others {
                0 => text.push('\n'),
                _ => {
                    let (have, are) = if *others == 1 { ("has", "is") } else { ("have", "are") };
                    let at = format!("{}/{}", self.stream, self.standing_at);
                    let _ =
                        writeln!(text, "; {others} selected {have} no outcome at {at}, and {are} left alone");
                }
            }
        }
        text.push_str(
            "what they do outside happens again, under new idempotency keys; what they emit is emitted again, under new \
             ids, and those downstream react to it again\n",
        );
        text
    }

    fn json(&self, totals: &Totals, stopped: Option<bool>) -> String {
        let one = |(handler, Counts { again, others }): (&String, &Counts)| -> Value {
            json!({"handler": handler, "again": again, "left_alone": others})
        };
        let handlers: Vec<Value> = totals.iter().map(one).collect();
        let mut all = json!({"service": self.service, "standing_at": self.standing_at, "handlers": handlers});
        if let Some(stopped) = stopped {
            all["complete"] = json!(!stopped);
        }
        all.to_string() + "\n"
    }
}

/// What is no event has led to nothing that could be done again.
fn add_unreadable(reactions: &Reactions<'_>, totals: &mut Totals) {
    for (handler, counts) in totals {
        counts.others += reactions.unreadable(handler);
    }
}

fn text(totals: &Totals) -> String {
    let line = |(handler, Counts { again, others }): (&String, &Counts)| match others {
        0 => format!("{handler}: {again} asked for\n"),
        _ => format!("{handler}: {again} asked for, {others} left alone\n"),
    };
    totals.iter().map(line).collect()
}

fn counted(reactions: u64) -> String {
    if reactions == 1 { "1 reaction".to_owned() } else { format!("{reactions} reactions") }
}
