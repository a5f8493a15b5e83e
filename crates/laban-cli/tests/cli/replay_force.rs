//! `laban replay run --force`: what is said, asked and written, with no service at hand.

use std::collections::HashSet;

use async_nats::jetstream::{self, consumer::pull};
use laban_testkit::{Broker, Process, Signal, wait};
use laban_wire::{Again, EventId, FlowReader, Message, Meta, REDRIVE, Reaction, metadata};
use serde_json::{Value, json};

use crate::flow_show::{shop, write};
use crate::{LABAN, Outcome, SOON, laban, outcome};

const FORCE: [&str; 5] = ["replay", "run", "--service", "payment", "--force"];
const WHY: [&str; 2] = ["--why", "the bank lost it"];

/// A shop in which payment has charged 4711, and not `long` twice.
struct Forced {
    broker: Broker,
    js: jetstream::Context,
}

impl Forced {
    async fn start() -> Outcome<Self> {
        let broker = shop(2).await?;
        let js = jetstream::new(async_nats::connect(broker.url()).await?);
        let forced = Self { broker, js };
        forced.declare(&[]).await?;
        Ok(forced)
    }

    /// As payment does, when it starts.
    async fn declare(&self, more: &[(&str, &str)]) -> Outcome {
        let handler = [
            (metadata::SERVICE, "payment"),
            (metadata::HANDLER, "charge"),
            (metadata::EVENT, "order.placed"),
        ];
        self.consumer("ORDER", "payment_charge_order_placed", &[&handler, more].concat()).await
    }

    /// Its consumer of redrives, which says that it can be asked; that of an older release does not.
    async fn takes(&self, says_so: bool) -> Outcome {
        let said = [(metadata::REDRIVES, "payment"), (metadata::AGAIN, "true")];
        self.consumer("PAYMENT", "payment__redrive", &said[..1 + usize::from(says_so)]).await
    }

    async fn consumer(&self, stream: &str, name: &str, said: &[(&str, &str)]) -> Outcome {
        let filter = if stream == "ORDER" { "order.placed.*" } else { "payment._redrive.*" };
        let config = pull::Config {
            durable_name: Some(name.to_owned()),
            filter_subject: filter.to_owned(),
            metadata: said.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
            ..Default::default()
        };
        self.js.create_consumer_on_stream(config, stream).await?;
        Ok(())
    }

    fn run(&self, more: &[&str]) -> Outcome<(Option<i32>, String, String)> {
        let mut command = laban(&[&FORCE, more].concat());
        command.env("NATS_URL", self.broker.url()).env("USER", "ann");
        Ok(outcome(&command.stdin(std::process::Stdio::null()).output()?))
    }

    async fn records(&self, name: &str) -> Outcome<Vec<Message>> {
        let reader = FlowReader::new(async_nats::connect(self.broker.url()).await?);
        let found = reader.any_replica("PAYMENT", &format!("payment.{name}.*"), 1).await?;
        Ok(found.into_iter().map(Message::try_from).collect::<Result<_, _>>()?)
    }

    /// What payment makes of a request.
    async fn answer(&self, asked: &Message) -> Outcome {
        let reaction = asked.meta.reaction.clone().ok_or("no reaction")?;
        let reaction = Reaction { attempt: reaction.attempt + 1, ..reaction };
        let id = EventId::derived(asked.meta.id, "payment", "charge", 0);
        let meta = Meta { id, version: Some(1), reaction: Some(reaction) };
        write(&self.js, "payment.captured", "4711", &meta).await
    }
}

#[tokio::test]
async fn what_took_effect_is_asked_for_once_for_each_time_that_somebody_asks() -> Outcome {
    let forced = Forced::start().await?;
    forced.takes(true).await?;
    let planned = "1 reaction of payment to be done again\n  charge: 1; 2 selected have no outcome at PAYMENT/1, and are left alone\n\
                   what they do outside happens again, under new idempotency keys; what they emit is emitted again, under new \
                   ids, and those downstream react to it again\n";
    let (code, out, err) = forced.run(&[&WHY[..], &["--dry-run"]].concat())?;
    assert_eq!((code, out.as_str(), err.as_str()), (Some(0), planned, ""));
    let (code, out, err) = forced.run(&WHY)?;
    assert_eq!((code, out.as_str()), (Some(2), ""), "nobody could answer: {err}");
    assert!(
        err.ends_with("laban: Do 1 reaction again? Say so with --yes; --dry-run does nothing\n"),
        "{err}"
    );
    assert_eq!(forced.records(REDRIVE).await?.len(), 0);

    let yes = [&WHY[..], &["--yes"]].concat();
    let (code, out, err) = forced.run(&yes)?;
    assert_eq!((code, out.as_str()), (Some(0), "charge: 1 asked for, 2 left alone\n"), "{err}");
    assert!(err.starts_with(&format!("laban: {planned}")) && err.contains("`laban flow show`"), "{err}");
    let asked = forced.records(REDRIVE).await?.remove(0);
    let Again { again, by, why } = serde_json::from_slice(&asked.payload)?;
    assert_eq!((again.stream.as_str(), again.seq), ("ORDER", 1));
    assert_eq!((by.as_str(), why.as_str()), ("ann", "the bank lost it"));
    let captured = forced.records("captured").await?.remove(0);
    let of = |record: &Message| record.meta.reaction.clone().map(|one| (one.cause, one.on, one.handler));
    assert_eq!((of(&asked), asked.subject.flow.key()), (of(&captured), "4711".into()));

    // While it is open, and after it was done, for who asks for what stood before.
    let (code, _, err) = forced.run(&yes)?;
    assert_eq!(code, Some(1));
    assert!(err.ends_with("laban: nothing of what is selected has taken effect\n"), "{err}");
    let url = forced.broker.url();
    let show = || outcome(&laban(&["flow", "show", "4711", "--server", &url]).output().unwrap());
    let (_, tree, _) = show();
    assert!(tree.starts_with("flow 4711 · running · "), "{tree}");
    assert!(tree.contains("to be done again, asked for by ann: the bank lost it"), "{tree}");
    forced.answer(&asked).await?;
    let (_, tree, _) = show();
    assert!(tree.starts_with("flow 4711 · completed · "), "{tree}");
    let (code, _, _) = forced.run(&[&yes[..], &["--standing-at", "1"]].concat())?;
    assert_eq!((code, forced.records(REDRIVE).await?.len()), (Some(1), 1));

    let (code, out, _) = forced.run(&[&yes[..], &["--json", "--by", "bob", "--flow", "4711"]].concat())?;
    let one = json!({"handler": "charge", "again": 1, "left_alone": 0});
    let said = json!({"service": "payment", "standing_at": 3, "handlers": [one], "complete": true});
    assert_eq!((code, serde_json::from_str::<Value>(&out)?), (Some(0), said));
    let asked = forced.records(REDRIVE).await?.remove(1);
    assert_eq!(asked.meta.reaction.as_ref().unwrap().attempt, 2, "that of the outcome that stands");
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_done_again_is_said_before_anything_is_written() -> Outcome {
    let forced = Forced::start().await?;
    let yes = [&WHY[..], &["--yes"]].concat();
    for release in ["none", "an older one"] {
        let (code, _, err) = forced.run(&yes)?;
        assert_eq!(code, Some(1), "{release}");
        assert!(err.contains("service payment takes no requests to do something again"), "{err}");
        forced.takes(false).await?;
    }
    forced.js.get_stream("PAYMENT").await?.delete_consumer("payment__redrive").await?;
    forced.takes(true).await?;
    for (args, said) in [
        (&["--yes"][..], "--why <TEXT>"),
        (&["--why", "x", "--window", "2"], "cannot be used with"),
        (&["--why", "x", "--handler", "refund"], "service `payment` has no handler `refund`"),
    ] {
        let (code, out, err) = forced.run(args)?;
        assert_eq!((code, out.as_str()), (Some(2), ""), "{args:?}: {err}");
        assert!(err.contains(said), "{err}");
    }
    forced.js.get_stream("ORDER").await?.delete_consumer("payment_charge_order_placed").await?;
    forced.declare(&[(metadata::AT_LEAST_ONCE, "true")]).await?;
    let (code, _, err) = forced.run(&yes)?;
    assert_eq!(code, Some(2));
    assert!(
        err.contains("handler `charge` takes effect at least once: it runs again without --force"),
        "{err}"
    );
    assert_eq!(forced.records(REDRIVE).await?.len(), 0);
    Ok(())
}

#[tokio::test]
async fn ctrl_c_stops_between_two_of_them_and_the_same_decision_goes_on_with_the_rest() -> Outcome {
    let forced = Forced::start().await?;
    forced.takes(true).await?;
    // It charges the other two as well.
    let reader = FlowReader::new(async_nats::connect(forced.broker.url()).await?);
    let captured = forced.records("captured").await?.remove(0);
    for stored in reader.any_replica("ORDER", "order.placed.long", 1).await? {
        let cause = Message::try_from(stored)?.meta.id;
        let reaction = captured.meta.reaction.clone().map(|reaction| Reaction { cause, ..reaction });
        let meta = Meta { id: EventId::derived(cause, "payment", "charge", 0), version: Some(1), reaction };
        write(&forced.js, "payment.captured", "long", &meta).await?;
    }
    // The next one in a quarter of an hour.
    let args = FORCE.iter().chain(&WHY).copied().chain(["--yes", "--rate", "0.001", "--server"]);
    let command = Process::builder(LABAN).args(args).arg(forced.broker.url()).env("USER", "ann");
    let process = command.env("LC_ALL", "C.UTF-8").spawn()?;
    wait::until("the first to be asked for", SOON, async || {
        forced.records(REDRIVE).await.is_ok_and(|asked| asked.len() == 1)
    })
    .await?;
    process.signal(Signal::Int)?;
    assert_eq!(process.wait_timeout(SOON).await?.code(), Some(1));
    let said = process.log_tail(usize::MAX);
    assert!(said.contains("charge: 1 asked for\n"), "{said}");
    assert!(said.contains("to go on: the same command with --standing-at 3\n"), "{said}");

    let asked = forced.records(REDRIVE).await?.remove(0);
    forced.answer(&asked).await?;
    let rest = [&WHY[..], &["--yes", "--standing-at", "3"]].concat();
    let (code, out, err) = forced.run(&rest)?;
    assert_eq!((code, out.as_str()), (Some(0), "charge: 2 asked for, 1 left alone\n"), "{err}");
    let causes: HashSet<EventId> = forced
        .records(REDRIVE)
        .await?
        .iter()
        .map(|asked| asked.meta.reaction.as_ref().unwrap().cause)
        .collect();
    assert_eq!(causes.len(), 3, "each once");
    Ok(())
}

#[tokio::test]
async fn what_was_done_again_makes_no_case() -> Outcome {
    let forced = Forced::start().await?;
    forced.takes(true).await?;
    forced.run(&[&WHY[..], &["--yes"]].concat())?;
    let asked = forced.records(REDRIVE).await?.remove(0);
    forced.answer(&asked).await?;
    let args = ["flow", "export", "4711", "--format", "case"];
    let (code, out, err) = outcome(&laban(&args).env("NATS_URL", forced.broker.url()).output()?);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains("payment: charge did something again on purpose"), "{err}");
    Ok(())
}
