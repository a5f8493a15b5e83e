//! `laban dead`: what is printed and what is written, with no service at hand.

use std::process::Output;

use async_nats::HeaderMap;
use async_nats::jetstream;
use laban_testkit::{Broker, streams};
use laban_wire::{EventId, FlowReader, HEADER, Message, Meta, Millis, REDRIVE, Reaction, Redrive, Subject};
use serde_json::{Value, json};

use crate::{Outcome, laban, outcome, text};

/// A broker with dead letters of payment: two of flow 4711 (the second by another handler), three more of one kind.
struct Dead {
    broker: Broker,
    js: jetstream::Context,
    reader: FlowReader,
    causes: Vec<EventId>,
}

impl Dead {
    async fn start() -> Outcome<Self> {
        let broker = Broker::start().await?;
        let client = async_nats::connect(broker.url()).await?;
        let js = jetstream::new(client.clone());
        for service in ["order", "payment"] {
            js.create_stream(streams::home(service)).await?;
        }
        let causes = (0..5).map(|_| EventId::root()).collect();
        let dead = Self { broker, js, reader: FlowReader::new(client), causes };
        for (n, flow, handler, error) in [
            (0, "4711", "charge", "bank closed"),
            (1, "4711", "refund", "no such card"),
            (2, "till 1", "charge", "bank closed"),
            (3, "4713", "charge", "bank \u{1b}[2Jclosed"),
            (4, "4714", "charge", "bank closed"),
        ] {
            dead.letter(dead.causes[n], flow, handler, error).await?;
        }
        Ok(dead)
    }

    async fn letter(&self, cause: EventId, flow: &str, handler: &str, error: &str) -> Outcome<u64> {
        let input = json!({
            "stream": "ORDER", "seq": 1, "subject": format!("order.placed.{flow}"),
            "headers": {"Laban": [format!("id={cause} v=1")]},
            "payload": {"json": {"order_id": flow, "amount_cents": 1800}},
        });
        let body = json!({
            "reason": "exhausted", "error": error, "attempts": 3, "fingerprint": format!("{handler}-f"), "input": input,
        });
        self.write("_dead", flow, (cause, handler), &body).await
    }

    async fn write(
        &self,
        record: &str,
        flow: &str,
        (cause, handler): (EventId, &str),
        body: &Value,
    ) -> Outcome<u64> {
        let reaction = Reaction {
            cause,
            on: "order.placed".parse()?,
            handler: handler.into(),
            attempt: 3,
            queue_ms: Millis::default(),
            handle_ms: Millis::default(),
        };
        let meta = Meta { id: EventId::root(), version: None, reaction: Some(reaction) };
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, meta.to_header());
        headers.insert("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        let subject = Subject::new(format!("payment.{record}").parse()?, flow.parse()?).to_string();
        let ack = self.js.publish_with_headers(subject, headers, body.to_string().into()).await?;
        Ok(ack.await?.sequence)
    }

    fn run(&self, args: &[&str]) -> Outcome<(Option<i32>, String, String)> {
        Ok(outcome(&self.output(args)?))
    }

    fn output(&self, args: &[&str]) -> Outcome<Output> {
        let mut command = laban(&[&["dead"], args].concat());
        command
            .env("NATS_URL", self.broker.url())
            .env("USER", "ann")
            .env_remove("VISUAL")
            .env_remove("EDITOR");
        Ok(command.stdin(std::process::Stdio::null()).output()?)
    }

    /// All records of a name in payment's stream.
    async fn written(&self, record: &str) -> Outcome<Vec<Message>> {
        let found = self.reader.any_replica("PAYMENT", &format!("payment.{record}.*"), 1).await?;
        Ok(found.into_iter().map(Message::try_from).collect::<Result<_, _>>()?)
    }

    async fn last_seq(&self) -> Outcome<u64> {
        Ok(self.js.get_stream("PAYMENT").await?.cached_info().state.last_sequence)
    }
}

fn lines(json: &str) -> Vec<Value> {
    json.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn letters_are_listed_by_kind_and_one_by_one() -> Outcome {
    let dead = Dead::start().await?;
    let (code, out, err) = dead.run(&["list"])?;
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let listed: Vec<&str> = out.lines().collect();
    assert_eq!(listed[0], "      4  payment charge  exhausted  charge-f");
    assert_eq!(listed[1], "         bank closed");
    assert!(listed[2].contains("first 20") && listed[2].ends_with("PAYMENT/5"), "{out}");
    assert_eq!(listed[3], "         flows 4711, \"till 1\", 4713, ...");
    assert_eq!(listed[4], "      1  payment refund  exhausted  refund-f");
    assert_eq!(*listed.last().unwrap(), "5 dead letters, 2 groups");

    let (_, out, _) = dead.run(&["list", "--json"])?;
    let groups = lines(&out);
    assert_eq!((&groups[0]["count"], &groups[0]["letter"]), (&json!(4), &json!("PAYMENT/5")));
    assert_eq!(groups[0]["states"], json!({"open": 4}));

    let (_, out, _) = dead.run(&["list", "--each"])?;
    let each: Vec<&str> = out.lines().collect();
    assert!(each[0].starts_with("PAYMENT/1 ") && each[0].contains("payment charge  4711  charge-f"), "{out}");
    assert!(each[3].ends_with("bank \\u{1b}[2Jclosed"), "no control characters: {out}");
    let (_, out, err) = dead.run(&["list", "--each", "--limit", "2", "--json"])?;
    assert_eq!((lines(&out).len(), err.as_str()), (2, "laban: there are more: --after PAYMENT/2\n"));
    let (_, out, _) = dead.run(&["list", "--each", "--after", "PAYMENT/2", "--json"])?;
    let rest = lines(&out);
    assert_eq!(
        (rest.len(), &rest[0]["letter"], &rest[0]["flow"]),
        (3, &json!("PAYMENT/3"), &json!("till 1"))
    );
    assert!(rest[0]["history"].is_null() && rest[0]["input"]["payload"].is_null(), "{out}");

    for (filter, count) in [
        (&["--handler", "refund"][..], 1),
        (&["--flow", "4711"], 2),
        (&["--fingerprint", "charge-f", "--flow", "4711"], 1),
        (&["--reason", "rejected"], 0),
        (&["--event", "order.placed"], 5),
        (&["--since", "1h"], 5),
        (&["--until", "1h"], 0),
        (&["--state", "succeeded,discarded"], 0),
    ] {
        let (code, out, _) = dead.run(&[&["list", "--each", "--json"], filter].concat())?;
        assert_eq!((code, lines(&out).len()), (Some(0), count), "{filter:?}");
    }
    let (_, _, err) = dead.run(&["list", "--handler", "nobody"])?;
    assert_eq!(err, "laban: no such dead letter; --all shows what was handed back or discarded\n");
    let (code, _, err) = dead.run(&["list", "--service", "paiment"])?;
    assert_eq!(code, Some(1));
    assert_eq!(err, "laban: no service \"paiment\" has a home stream there; there are order, payment\n");
    Ok(())
}

#[tokio::test]
async fn a_letter_is_shown_with_its_input_its_history_and_what_can_be_done() -> Outcome {
    let dead = Dead::start().await?;
    let charge = (dead.causes[0], "charge");
    dead.write("_redrive", "4711", charge, &json!({"dead_seq": 1, "by": "bob", "why": "the bank is back"}))
        .await?;
    let again = dead.letter(dead.causes[0], "4711", "charge", "still closed").await?;
    let (code, out, err) = dead.run(&["show", "PAYMENT/1"])?;
    assert_eq!(code, Some(0));
    assert_eq!(err, format!("laban: given up again since PAYMENT/1: this is PAYMENT/{again}\n"));
    for part in [
        "PAYMENT/7  failed again, given up 2 times\n",
        "payment charge, on order.placed\n",
        "error        still closed\n",
        "PAYMENT/6  handed back by bob: the bank is back",
        "trace        4bf92f3577b34da6a3ce929d0e0e4736\n",
        "input  ORDER/1  order.placed.4711\n",
        "  Laban: id=",
        "\"amount_cents\": 1800",
        "laban dead discard PAYMENT/7 --why <WHY>\n",
    ] {
        assert!(out.contains(part), "{part:?} in {out}");
    }
    let (_, out, _) = dead.run(&["show", "4711", "--json"])?;
    let letters = lines(&out);
    assert_eq!(letters.len(), 2, "all of the flow");
    assert_eq!((&letters[0]["letter"], &letters[1]["letter"]), (&json!("PAYMENT/2"), &json!("PAYMENT/7")));
    assert_eq!(letters[1]["input"]["payload"]["json"]["amount_cents"], 1800);
    assert_eq!(
        letters[1]["history"][1],
        json!({
            "seq": 6, "id": letters[1]["history"][1]["id"], "at": letters[1]["history"][1]["at"],
            "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "what": "handed_back",
            "dead_seq": 1, "by": "bob", "why": "the bank is back", "payload": null, "absorbed": false,
        })
    );
    for nothing in ["PAYMENT/6", "PAYMENT/99", "4799", "NOWHERE/1"] {
        assert_eq!(dead.run(&["show", nothing])?.0, Some(1), "{nothing}");
    }
    Ok(())
}

#[tokio::test]
async fn a_dry_run_writes_nothing_and_more_than_one_is_asked_for() -> Outcome {
    let dead = Dead::start().await?;
    let before = dead.last_seq().await?;
    let (code, out, _) = dead.run(&["redrive", "--fingerprint", "charge-f", "--dry-run"])?;
    assert_eq!(code, Some(0));
    assert_eq!(out.lines().count(), 4, "{out}");
    assert_eq!(out.lines().nth(1), Some("would hand back PAYMENT/3 (payment charge, flow \"till 1\")"));
    let (code, _, err) = dead.run(&["redrive", "--fingerprint", "charge-f"])?;
    assert_eq!(code, Some(2));
    assert!(
        err.contains("Hand back 4 dead letters, which takes 80.0 ms or more? Say so with --yes"),
        "{err}"
    );
    let (code, _, err) = dead.run(&["discard", "--fingerprint", "charge-f", "--why", "tests"])?;
    assert_eq!((code, err.contains("Discard 4 dead letters? Say so with --yes")), (Some(2), true), "{err}");
    let (code, out, _) = dead.run(&["discard", "4711", "--dry-run"])?;
    assert_eq!((code, out.lines().count()), (Some(0), 2), "{out}");
    for (args, what) in [
        (&["redrive"][..], "say which"),
        (&["discard", "PAYMENT/1"], "--why"),
        (&["redrive", "--rate", "0/s", "PAYMENT/1"], "no rate"),
        (&["redrive", "PAYMENT/1", "--edit"], "--why"),
        (&["redrive", "PAYMENT/1", "--service", "order"], "nothing to be filtered"),
        (&["redrive", "--handler", "charge", "--payload", "/nowhere", "--why", "x"], "for one dead letter"),
        (&["redrive", "PAYMENT/1", "--payload", "/nowhere", "--why", "x"], "/nowhere"),
        (&["redrive", "PAYMENT/1", "--edit", "--why", "x"], "EDITOR"),
        (&["discard", "PAYMENT/1", "--why", " "], "say why"),
    ] {
        let (code, out, err) = dead.run(args)?;
        assert_eq!((code, out.as_str(), err.contains(what)), (Some(2), "", true), "{args:?}: {err}");
    }
    assert_eq!(dead.last_seq().await?, before, "nothing was written");
    Ok(())
}

#[tokio::test]
async fn a_group_is_handed_back_once() -> Outcome {
    let dead = Dead::start().await?;
    let args =
        ["redrive", "--fingerprint", "charge-f", "--why", "the bank is back", "--rate", "1000/s", "--yes"];
    let (code, out, err) = dead.run(&args)?;
    assert_eq!((code, out.lines().count()), (Some(0), 4), "{out}{err}");
    let written = dead.written(REDRIVE).await?;
    let bodies: Vec<Redrive> =
        written.iter().map(|one| serde_json::from_slice(&one.payload).unwrap()).collect();
    let told: Vec<_> = bodies.iter().map(|body| (body.dead_seq, body.by.as_deref())).collect();
    assert_eq!(told, [(1, Some("ann")), (3, Some("ann")), (4, Some("ann")), (5, Some("ann"))]);
    assert_eq!(bodies[0].why.as_deref(), Some("the bank is back"));
    let causes: Vec<EventId> = written.iter().map(|one| one.meta.reaction.as_ref().unwrap().cause).collect();
    assert_eq!(causes, [0, 2, 3, 4].map(|n| dead.causes[n]), "each the reaction that failed");

    let (code, _, err) = dead.run(&args)?;
    assert_eq!((code, err.contains("no dead letter of those asked for is open")), (Some(1), true), "{err}");
    let (code, _, err) = dead.run(&["redrive", "PAYMENT/1"])?;
    assert_eq!(code, Some(1));
    assert!(err.contains("not handed back: PAYMENT/1 (payment charge, flow 4711): handed back by ann: the bank is back at 20"), "{err}");
    let (code, _, err) = dead.run(&["redrive", "PAYMENT/1", "--dry-run"])?;
    assert_eq!((code, err.contains("PAYMENT/1 is not open: handed back by ann")), (Some(1), true), "{err}");
    assert_eq!(dead.written(REDRIVE).await?.len(), 4);
    let (_, out, _) = dead.run(&["list", "--all", "--json"])?;
    assert_eq!(lines(&out)[0]["states"], json!({"redriven": 4}));
    Ok(())
}

#[tokio::test]
async fn a_discarded_letter_is_a_fact_of_its_flow_and_can_be_handed_back_by_name() -> Outcome {
    let dead = Dead::start().await?;
    let (code, out, err) = dead.run(&["discard", "PAYMENT/3", "--why", "a test order", "--by", "bob"])?;
    assert_eq!(
        (code, out.as_str(), err.as_str()),
        (Some(0), "discarded PAYMENT/3 (payment charge, flow \"till 1\")\n", "")
    );
    let state = |args: &[&str]| -> Outcome<Value> {
        let out = laban(args).env("NATS_URL", dead.broker.url()).output()?;
        Ok(serde_json::from_slice(&out.stdout)?)
    };
    let flow = state(&["flow", "show", "till 1", "--json"])?;
    assert_eq!((&flow["state"], &flow["steps"][1]["by"]), (&json!("completed"), &json!("bob")), "{flow}");
    let shown = laban(&["flow", "show", "till 1"]).env("NATS_URL", dead.broker.url()).output()?;
    assert!(text(&shown.stdout).contains("discarded by bob: a test order"), "{}", text(&shown.stdout));
    let listed =
        laban(&["flow", "list", "--state", "dead", "--json"]).env("NATS_URL", dead.broker.url()).output()?;
    assert_eq!(text(&listed.stdout).lines().count(), 3, "{}", text(&listed.stdout));

    let (_, out, _) = dead.run(&["list", "--state", "discarded", "--each", "--json"])?;
    assert_eq!(lines(&out)[0]["decision"], "discarded by bob: a test order");
    let (code, _, err) = dead.run(&["discard", "PAYMENT/3", "--why", "once more"])?;
    assert_eq!((code, err.contains("discarded by bob: a test order at 20")), (Some(1), true), "{err}");
    let (code, _, _) = dead.run(&["redrive", "--flow", "till 1"])?;
    assert_eq!(code, Some(1), "a filter does not reach what was discarded");
    let (code, _, err) = dead.run(&["redrive", "PAYMENT/3", "--why", "it was none"])?;
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(state(&["dead", "show", "PAYMENT/3", "--json"])?["state"], "redriven");
    Ok(())
}

#[tokio::test]
async fn another_body_is_part_of_the_record() -> Outcome {
    let dead = Dead::start().await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("body.json");
    std::fs::write(&file, "{\"order_id\":\"till 1\",")?;
    let file_name = file.to_str().unwrap();
    let args = ["redrive", "PAYMENT/3", "--payload", file_name, "--why", "a typing error"];
    let (code, _, err) = dead.run(&args)?;
    assert_eq!((code, err.contains("this is not: EOF")), (Some(2), true), "{err}");
    std::fs::write(&file, "{\"order_id\": \"till 1\", \"amount_cents\": 18.0}\n")?;
    assert_eq!(dead.run(&args)?.0, Some(0));
    let body = |record: &Message| -> Redrive { serde_json::from_slice(&record.payload).unwrap() };
    let first = body(&dead.written(REDRIVE).await?[0]);
    assert_eq!(first.payload.unwrap().to_bytes(), "{\"order_id\": \"till 1\", \"amount_cents\": 18.0}");
    assert_eq!((first.by.as_deref(), first.why.as_deref()), (Some("ann"), Some("a typing error")));

    // An editor, with arguments, that leaves its file where it is.
    let edit = |editor: &str, letter: &str| {
        let mut command = laban(&["dead", "redrive", letter, "--edit", "--why", "less"]);
        command.env("NATS_URL", dead.broker.url()).env("USER", "ann").env("VISUAL", "").env("EDITOR", editor);
        command.env("TMPDIR", folder.path()).output().map(|output| outcome(&output))
    };
    let (code, _, err) = edit("true", "PAYMENT/5")?;
    assert_eq!((code, err.contains("nothing was changed")), (Some(1), true), "{err}");
    let (code, _, err) = edit("false", "PAYMENT/5")?;
    assert_eq!((code, err.contains("the editor ended with exit status: 1")), (Some(1), true), "{err}");
    let (code, _, err) = edit("sed -i s/1800/18/", "PAYMENT/5")?;
    assert_eq!(code, Some(0), "{err}");
    let edited = body(&dead.written(REDRIVE).await?[1]).payload.unwrap().to_bytes();
    let edited: Value = serde_json::from_slice(&edited)?;
    assert_eq!(edited, json!({"order_id": "4714", "amount_cents": 18}));
    assert_eq!(std::fs::read_dir(folder.path())?.count(), 1, "nothing is left behind");
    let (_, out, _) = dead.run(&["show", "PAYMENT/5"])?;
    assert!(out.contains("handed back with another body by ann: less"), "{out}");
    Ok(())
}

#[tokio::test]
async fn of_two_operators_one_is_first() -> Outcome {
    let dead = Dead::start().await?;
    let run = |n: usize| {
        let by = format!("operator{n}");
        let mut command = if n.is_multiple_of(2) {
            laban(&["dead", "redrive", "PAYMENT/4", "--by", &by])
        } else {
            laban(&["dead", "discard", "PAYMENT/4", "--by", &by, "--why", "why not"])
        };
        command.env("NATS_URL", dead.broker.url());
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn()
    };
    let running: Vec<_> = (0..8).map(run).collect::<Result<_, _>>()?;
    let mut done = 0;
    for one in running {
        let (code, _, err) = outcome(&one.wait_with_output()?);
        match code {
            Some(0) => done += 1,
            _ => assert!(code == Some(1) && err.contains("by operator"), "told who was first: {err}"),
        }
    }
    let written = dead.written(REDRIVE).await?.len() + dead.written("_discarded").await?.len();
    // A redrive after a discard is allowed, by name: then it is two, in that order.
    let (_, out, _) = dead.run(&["show", "PAYMENT/4", "--json"])?;
    let history = lines(&out)[0]["history"].clone();
    let absorbed = history.as_array().unwrap().iter().filter(|entry| entry["absorbed"] == true).count();
    assert_eq!((written, absorbed), (done, 0), "none was written in vain: {history}");
    assert!(done == 1 || done == 2, "{history}");
    Ok(())
}

#[tokio::test]
async fn ctrl_c_stops_between_two_letters_and_what_is_not_decided_is_said() -> Outcome {
    let dead = Dead::start().await?;
    let mut command = laban(&["dead", "redrive", "--handler", "charge", "--rate", "1/h", "--yes"]);
    command.env("NATS_URL", dead.broker.url());
    let child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn()?;
    laban_testkit::wait::until("the first to be written", crate::SOON, async || {
        dead.written(REDRIVE).await.is_ok_and(|written| written.len() == 1)
    })
    .await?;
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status()?.success());
    let (code, out, err) = outcome(&child.wait_with_output()?);
    assert_eq!((code, out.as_str()), (Some(1), "handed back PAYMENT/1 (payment charge, flow 4711)\n"));
    assert!(err.contains("stopped: handed back 1 of 4 dead letters; the same command goes on"), "{err}");
    assert_eq!(dead.written(REDRIVE).await?.len(), 1);

    // Nobody is there to take it.
    let args = ["redrive", "PAYMENT/3", "--wait", "--timeout", "1ms"];
    let (code, _, err) = dead.run(&args)?;
    assert_eq!(
        (code, err.contains("1 still being tried; `laban dead list --state redriven`")),
        (Some(1), true),
        "{err}"
    );
    Ok(())
}

#[tokio::test]
async fn what_somebody_decides_while_another_still_edits_is_not_overruled() -> Outcome {
    let dead = Dead::start().await?;
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("editor");
    let decides =
        format!("'{}' dead discard PAYMENT/4 --by bob --why 'a test order' >/dev/null", crate::LABAN);
    std::fs::write(&script, format!("{decides} && echo '{{\"order_id\":\"4713\"}}' >\"$1\"\n"))?;
    let mut command = laban(&["dead", "redrive", "PAYMENT/4", "--edit", "--by", "ann", "--why", "less"]);
    command.env("NATS_URL", dead.broker.url()).env("VISUAL", format!("sh '{}'", script.display()));
    let (code, out, err) = outcome(&command.output()?);
    assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
    let first =
        "laban: not handed back: PAYMENT/4 (payment charge, flow 4713): discarded by bob: a test order at 20";
    assert!(err.starts_with(first), "{err}");
    assert_eq!(dead.written(REDRIVE).await?.len(), 0);
    // What is added to the flow and is not about this letter is in nobody's way.
    let elsewhere = format!(
        "printf '{{}}' | '{}' dead redrive PAYMENT/2 --payload - --by bob --why less >/dev/null",
        crate::LABAN
    );
    std::fs::write(&script, format!("{elsewhere} && echo '{{\"order_id\":\"4711\"}}' >\"$1\"\n"))?;
    let mut command = laban(&["dead", "redrive", "PAYMENT/1", "--edit", "--by", "ann", "--why", "less"]);
    command.env("NATS_URL", dead.broker.url()).env("VISUAL", format!("sh '{}'", script.display()));
    let (code, _, err) = outcome(&command.output()?);
    assert_eq!((code, dead.written(REDRIVE).await?.len()), (Some(0), 2), "{err}");
    Ok(())
}
