//! `laban retire`: what is said, refused and deleted, with no service at hand.

use async_nats::jetstream::{self, consumer::pull, stream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use laban_testkit::{Broker, wait};
use laban_wire::{EventId, FlowReader, HEADER, Meta, Millis, Reaction, metadata};
use serde_json::{Value, json};

use crate::flow_show::write;
use crate::mesh::{fixture, registered};
use crate::{Outcome, SOON, laban, outcome};

/// A mesh in which payment has left all that a service can leave, and order reacts to it.
struct Left {
    broker: Broker,
    client: async_nats::Client,
    js: jetstream::Context,
}

impl Left {
    async fn start() -> Outcome<Self> {
        let broker = registered(&fixture("shop.json")).await?;
        let client = async_nats::connect(broker.url()).await?;
        let left = Self { js: jetstream::new(client.clone()), client, broker };
        left.reaction("payment", "charge", "order.placed").await?;
        left.reaction("payment", "void", "order.placed").await?;
        left.reaction("payment", "refund", "inventory.rejected").await?;
        left.reaction("order", "close", "payment.captured").await?;
        let cancels = [(metadata::CANCELS, "payment/charge")];
        left.consumer(
            "INVENTORY",
            "payment_charge-unless_inventory_reserved",
            "inventory.reserved.*",
            &cancels,
        )
        .await?;
        let redrives = [(metadata::REDRIVES, "payment"), (metadata::AGAIN, "true")];
        left.consumer("PAYMENT", "payment__redrive", "payment._redrive.*", &redrives).await?;
        left.timers().await?;
        let meta = Meta::root;
        for flow in ["4711", "4712"] {
            write(&left.js, "order.placed", flow, &meta(EventId::root(), 1)).await?;
        }
        write(&left.js, "payment.captured", "4711", &meta(EventId::root(), 1)).await?;
        left.letter().await?;
        Ok(left)
    }

    /// A dead letter of charge.
    async fn letter(&self) -> Outcome {
        let cause = EventId::root();
        let reaction = Reaction {
            cause,
            on: "order.placed".parse()?,
            handler: "charge".into(),
            attempt: 3,
            queue_ms: Millis::default(),
            handle_ms: Millis::default(),
        };
        let meta = Meta { id: EventId::root(), version: None, reaction: Some(reaction) };
        let mut headers = async_nats::HeaderMap::new();
        headers.insert(HEADER, meta.to_header());
        let input = json!({
            "stream": "ORDER", "seq": 1, "subject": "order.placed.4712", "headers": {HEADER: [format!("id={cause} v=1")]},
            "payload": {"json": {}},
        });
        let body = json!({
            "reason": "rejected", "error": "no such card", "attempts": 3, "fingerprint": "f", "input": input,
        });
        let sent =
            self.js.publish_with_headers("payment._dead.4712", headers, body.to_string().into()).await?;
        sent.await?;
        Ok(())
    }

    async fn reaction(&self, service: &str, handler: &str, event: &str) -> Outcome {
        let said = [(metadata::SERVICE, service), (metadata::HANDLER, handler), (metadata::EVENT, event)];
        let name = format!("{service}_{handler}_{}", event.replace('.', "_"));
        let (of, _) = event.split_once('.').unwrap();
        self.consumer(&of.to_uppercase(), &name, &format!("{event}.*"), &said).await
    }

    async fn consumer(&self, stream: &str, name: &str, filter: &str, said: &[(&str, &str)]) -> Outcome {
        let config = pull::Config {
            durable_name: Some(name.to_owned()),
            filter_subject: filter.to_owned(),
            metadata: said.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
            ..Default::default()
        };
        self.js.create_consumer_on_stream(config, stream).await?;
        Ok(())
    }

    /// Three of charge, of which one is due, and one of refund.
    async fn timers(&self) -> Outcome {
        self.js
            .create_stream(stream::Config {
                name: "PAYMENT_TIMERS".to_owned(),
                subjects: vec!["_timers.payment.*.*.*".to_owned(), "_due.payment.*.*".to_owned()],
                retention: stream::RetentionPolicy::WorkQueue,
                metadata: [(metadata::TIMERS.to_owned(), "payment".to_owned())].into(),
                ..Default::default()
            })
            .await?;
        let due = [(metadata::DUE, "payment")];
        self.consumer("PAYMENT_TIMERS", "payment__due", "_due.payment.*.*", &due).await?;
        for subject in [
            "_timers.payment.charge.4711.a",
            "_timers.payment.charge.4712.b",
            "_due.payment.charge.4713",
            "_timers.payment.refund.4711.c",
        ] {
            self.js.publish(subject, "{}".into()).await?.await?;
        }
        Ok(())
    }

    fn run(&self, args: &[&str]) -> Outcome<(Option<i32>, String, String)> {
        let mut command = laban(&[&["retire"], args].concat());
        command.env("NATS_URL", self.broker.url());
        Ok(outcome(&command.stdin(std::process::Stdio::null()).output()?))
    }

    /// Runs, and fails unless it is refused with this in what it says.
    fn refused(&self, args: &[&str], said: &str) -> Outcome {
        for more in [&["--yes"][..], &["--dry-run"]] {
            let (code, _, err) = self.run(&[args, more].concat())?;
            assert_eq!(code, Some(1), "{args:?} {more:?}: {err}");
            assert!(err.contains(said), "{said:?} in {err}");
        }
        Ok(())
    }

    /// All streams and their consumers.
    async fn there(&self) -> Outcome<Vec<String>> {
        let mut found = Vec::new();
        for name in self.js.stream_names().try_collect::<Vec<_>>().await? {
            let names: Vec<_> = self.js.get_stream(&name).await?.consumer_names().try_collect().await?;
            found.extend(names.iter().map(|consumer| format!("{name}/{consumer}")));
            found.push(name);
        }
        found.sort();
        Ok(found)
    }

    /// An instance of payment that answers, with these reactions; until it is dropped.
    async fn instance(&self, reactions: &[(&str, &str)]) -> Outcome<tokio::task::JoinHandle<()>> {
        let endpoint = |(handler, event): &(&str, &str)| json!({"name": handler, "metadata": {metadata::HANDLER: handler, metadata::EVENT: event}});
        let endpoints: Vec<Value> = reactions.iter().map(endpoint).collect();
        let info = json!({
            "name": "payment", "id": "01ab", "version": "1.2.3", "metadata": {metadata::SERVICE: "payment"},
            "endpoints": endpoints,
        });
        let mut asked = self.client.subscribe("$SRV.INFO.payment").await?;
        self.client.flush().await?;
        let client = self.client.clone();
        Ok(tokio::spawn(async move {
            while let Some(message) = asked.next().await {
                let reply = message.reply.unwrap();
                client.publish(reply, info.to_string().into()).await.unwrap();
            }
        }))
    }
}

const PLAN: &str = "\
to be deleted of service payment:
  consumer payment_charge-unless_inventory_reserved of INVENTORY: charge waits for inventory.reserved.*
  consumer payment_refund_inventory_rejected of INVENTORY: refund on inventory.rejected
  consumer payment_charge_order_placed of ORDER: charge on order.placed; 2 wait
  consumer payment_void_order_placed of ORDER: void on order.placed; 2 wait
  consumer payment__redrive of PAYMENT: dead letters handed back
  timer stream PAYMENT_TIMERS: 4 timers
  its registered contract
";

#[tokio::test]
async fn all_that_a_service_has_left_goes_but_its_history() -> Outcome {
    let left = Left::start().await?;
    let before = left.there().await?;
    let (code, out, err) = left.run(&["payment", "--dry-run"])?;
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.starts_with(PLAN), "{out}");
    assert!(out.contains("stays: home stream PAYMENT: 2 records, "), "{out}");
    let waits = "4 events wait for it, and will have no reaction\n\
                 1 dead letter is open, and nobody will take it back: `laban dead discard --service payment` settles it\n";
    assert!(out.ends_with(waits), "{out}");
    let (code, out, err) = left.run(&["payment"])?;
    assert_eq!((code, out.as_str()), (Some(2), ""), "nobody could answer: {err}");
    assert!(
        err.ends_with("laban: Retire service payment? Say so with --yes; --dry-run does nothing\n"),
        "{err}"
    );
    assert_eq!(left.there().await?, before, "nothing was done so far");

    let (code, out, err) = left.run(&["payment", "--yes", "--json"])?;
    assert_eq!((code, err.starts_with(&format!("laban: {PLAN}"))), (Some(0), true), "{err}");
    let said: Value = serde_json::from_str(&out)?;
    let charge = json!({
        "stream": "ORDER", "consumer": "payment_charge_order_placed", "is": "reaction", "handler": "charge",
        "event": "order.placed", "pending": 2, "unacknowledged": 0, "is_asked": false,
    });
    assert_eq!(
        (&said["retired"], &said["contract"], &said["consumers"][2]),
        (&json!(true), &json!(true), &charge)
    );
    assert_eq!(said["read_by"], json!([{"service": "order", "consumer": "order_close_payment_captured"}]));
    let gone = |name: &&String| !name.contains("/payment_") && !name.starts_with("PAYMENT_TIMERS");
    let wanted: Vec<String> = before.iter().filter(gone).cloned().collect();
    assert_eq!(left.there().await?, wanted, "what is others', and the history");
    assert!(wanted.contains(&"PAYMENT".to_owned()), "{wanted:?}");

    let (_, map, _) = outcome(&laban(&["map"]).env("NATS_URL", left.broker.url()).output()?);
    assert!(map.starts_with("map · 4 services · ") && !map.contains("\npayment\n"), "{map}");
    let reader = FlowReader::new(left.client.clone());
    let key = reader.leader("KV_laban_contracts", "$KV.laban_contracts.payment", 1).await?;
    let marks: Vec<bool> = key.iter().map(|one| one.headers.get("KV-Operation").is_some()).collect();
    assert_eq!(marks, [false, true], "the contract before it can still be looked up");

    for args in [&["payment"][..], &["payment", "--yes"]] {
        let (code, out, err) = left.run(args)?;
        assert_eq!((code, out.as_str()), (Some(0), ""));
        assert_eq!(err, "laban: nothing is left of service payment but its history: PAYMENT, 2 records\n");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_there_is_not_gone() -> Outcome {
    let left = Left::start().await?;
    let before = left.there().await?;
    let instance = left.instance(&[("charge", "order.placed")]).await?;
    left.refused(
        &["payment"],
        "service payment is not gone: 1 instance of it: 01ab (1.2.3); stop them first\n",
    )?;
    left.refused(
        &["payment", "charge"],
        "handler `charge` of payment is not gone: 1 instance of it: 01ab (1.2.3)",
    )?;
    let (_, out, _) = left.run(&["payment", "--dry-run", "--json"])?;
    let instances = serde_json::from_str::<Value>(&out)?["instances"].clone();
    assert_eq!(
        instances,
        json!([{"id": "01ab", "version": "1.2.3", "reactions": [["charge", "order.placed"]]}])
    );
    instance.abort();
    let _ = instance.await;

    // One that does not answer, and asks for events all the same.
    let asking = left.client.new_inbox();
    let _waits = left.client.subscribe(asking.clone()).await?;
    let next = "$JS.API.CONSUMER.MSG.NEXT.INVENTORY.payment_refund_inventory_rejected";
    left.client.publish_with_reply(next, asking, r#"{"batch":1,"expires":60000000000}"#.into()).await?;
    let consumer = left.js.get_stream("INVENTORY").await?;
    wait::until("the broker to have the request", SOON, async || {
        let info = consumer.consumer_info("payment_refund_inventory_rejected").await;
        info.is_ok_and(|info| info.num_waiting == 1)
    })
    .await?;
    let said = "somebody asks for events at consumer payment_refund_inventory_rejected of stream INVENTORY";
    left.refused(&["payment"], said)?;
    assert_eq!(left.there().await?, before);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_goes_alone_when_its_service_has_it_no_more() -> Outcome {
    let left = Left::start().await?;
    let before = left.there().await?;
    let still =
        "the registered contract of payment still has `charge`: its next start would make the consumer again";
    left.refused(&["payment", "charge"], still)?;
    // The present release has no charge; and its refund reacts to what it did.
    let _instance = left.instance(&[("refund", "inventory.rejected")]).await?;
    let contract = json!({
        "service": "payment", "events": [], "handlers": [{"name": "refund", "consumes": ["inventory.rejected"]}],
    });
    left.js.publish("$KV.laban_contracts.payment", contract.to_string().into()).await?.await?;
    left.refused(&["payment"], "service payment is not gone")?;
    left.refused(&["payment", "refund"], "handler `refund` of payment is not gone")?;

    let (code, out, err) = left.run(&["payment", "charge", "--yes"])?;
    assert_eq!((code, out.as_str()), (Some(0), "retired: handler `charge` of payment\n"), "{err}");
    assert!(err.contains("  3 timers of timer stream PAYMENT_TIMERS\n"), "{err}");
    assert!(err.contains("2 events wait for it, and will have no reaction\n1 dead letter is open"), "{err}");
    let gone = |name: &&String| !name.contains("/payment_charge");
    let wanted: Vec<String> = before.iter().filter(gone).cloned().collect();
    assert_eq!(left.there().await?, wanted, "what other handlers have stays");
    let timers = left.js.get_stream("PAYMENT_TIMERS").await?.cached_info().state.messages;
    assert_eq!(timers, 1, "that of refund");
    let (code, _, err) = left.run(&["payment", "charge", "--yes"])?;
    assert_eq!((code, err.as_str()), (Some(0), "laban: nothing is left of handler `charge` of payment\n"));

    // One event of a handler that is still there.
    left.reaction("payment", "refund", "order.placed").await?;
    left.refused(&["payment", "refund", "--event", "inventory.rejected"], "is not gone")?;
    let (code, out, err) = left.run(&["payment", "refund", "--event", "order.placed", "--yes"])?;
    assert_eq!(
        (code, out.as_str()),
        (Some(0), "retired: handler `refund` of payment on order.placed\n"),
        "{err}"
    );
    assert_eq!(left.there().await?, wanted);
    Ok(())
}

#[tokio::test]
async fn history_goes_only_when_it_is_asked_for_and_nobody_reads_it() -> Outcome {
    let left = Left::start().await?;
    let history = ["payment", "--delete-history"];
    let read = "the history of payment is read by order (consumer order_close_payment_captured): retire them first, or say --force\n";
    left.refused(&history, read)?;
    let forced = [&history[..], &["--force"]].concat();
    let (code, out, _) = left.run(&[&forced[..], &["--dry-run"]].concat())?;
    assert_eq!(code, Some(0));
    assert!(out.contains("  home stream PAYMENT: 2 records, ") && out.contains("its fence forgets"), "{out}");
    assert!(left.there().await?.contains(&"PAYMENT".to_owned()));
    let (code, out, err) = left.run(&[&forced[..], &["--yes"]].concat())?;
    assert_eq!((code, out.as_str()), (Some(0), "retired: service payment\n"), "{err}");
    assert!(!left.there().await?.iter().any(|name| name.starts_with("PAYMENT")));
    let (code, _, err) = left.run(&[&forced[..], &["--yes"]].concat())?;
    assert_eq!((code, err.as_str()), (Some(0), "laban: nothing is left of service payment\n"));

    let (code, _, err) = left.run(&["paymnet", "--yes"])?;
    assert_eq!(code, Some(1));
    assert_eq!(
        err,
        "laban: no service paymnet is known there; there are inventory, notification, order, shipping\n"
    );
    for wrong in [&["Payment"][..], &["payment", "--force"], &["payment", "--event", "order.placed"], &[]] {
        let (code, _, err) = left.run(wrong)?;
        assert_eq!(code, Some(2), "{wrong:?}: {err}");
    }
    Ok(())
}
