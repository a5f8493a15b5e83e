//! History handed to a service, which is played here: it answers as each test has it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use laban_flow::Mesh;
use laban_flow::replay::Selection;
use laban_flow::replay::run::{End, Pace, ResumeAt, Run, Totals};
use laban_wire::{ReplayRequest, Replayed};

use crate::history::{cancelled, declared, dispatched, shop};
use crate::live::{Live, Outcome};

/// What handlers were asked, in order.
type Asked = Arc<Mutex<Vec<(String, ReplayRequest)>>>;

/// Plays all handlers of a service. Each request is answered by what `answers` says to it: several words, or none; it is told the
/// handler, the request, and how often it was made before.
async fn play(
    live: &Live,
    service: &str,
    mut answers: impl FnMut(&str, &ReplayRequest, usize) -> Vec<Replayed> + Send + 'static,
) -> Outcome<Asked> {
    let mut requests = live.client.subscribe(format!("_replay.{service}.*")).await?;
    live.client.flush().await?;
    let (asked, client) = (Asked::default(), live.client.clone());
    let noted = Arc::clone(&asked);
    tokio::spawn(async move {
        let mut before = HashMap::<(String, String, u64), usize>::new();
        while let Some(request) = requests.next().await {
            let handler = request.subject.rsplit('.').next().unwrap_or_default().to_owned();
            let body: ReplayRequest = serde_json::from_slice(&request.payload).unwrap();
            let before = before.entry((handler.clone(), body.stream.clone(), body.seq)).or_default();
            let said = answers(&handler, &body, *before);
            *before += 1;
            noted.lock().unwrap().push((handler, body));
            for answer in said {
                let answer = serde_json::to_vec(&answer).unwrap();
                client.publish(request.reply.clone().unwrap(), answer.into()).await.unwrap();
            }
        }
    });
    Ok(asked)
}

async fn planned(live: &Live, service: &str, handler: Option<&str>, selection: &Selection) -> Outcome<Run> {
    let mesh = Mesh::discover(&live.client).await?;
    Ok(Run::plan(&live.client, &mesh, &service.parse()?, handler, selection).await?)
}

fn strictly() -> Pace {
    Pace { window: 1, ..Pace::default() }
}

async fn run(live: &Live, run: &Run, pace: &Pace) -> Outcome<Totals> {
    Ok(run.run(&live.client, &live.client, pace, std::future::pending(), |_| {}).await?)
}

/// The handler, stream and sequence of each request.
fn places(asked: &Asked) -> Vec<(String, String, u64)> {
    let asked = asked.lock().unwrap();
    asked.iter().map(|(handler, one)| (handler.clone(), one.stream.clone(), one.seq)).collect()
}

async fn placed(live: &Live, flows: usize) -> Outcome {
    for flow in 0..flows {
        let mut history = crate::history::History::new(&flow.to_string());
        history.root("order.placed");
        live.write(&history).await?;
    }
    Ok(())
}

#[tokio::test]
async fn each_handler_is_handed_what_it_reacts_to_in_the_order_of_its_stream() -> Outcome {
    let live = Live::with(&shop()).await?;
    for flow in ["1", "2"] {
        live.write(&dispatched(flow)).await?;
    }
    live.write(&cancelled("3")).await?;
    let before = positions(&live).await?;
    let shipping = planned(&live, "shipping", None, &Selection::default()).await?;
    let touched: Vec<_> = shipping.touched().iter().map(|one| (one.handler.as_str(), one.messages)).collect();
    assert_eq!(touched, [("dispatch", 5)], "two captured, three reserved");
    let asked = play(&live, "shipping", |_, _, _| vec![Replayed::Absorbed]).await?;
    // What comes now is not in the range.
    live.write(&dispatched("4")).await?;
    let totals = run(&live, &shipping, &strictly()).await?;
    let dispatch = |stream: &str, seq| ("dispatch".to_owned(), stream.to_owned(), seq);
    let mut wanted = vec![
        dispatch("PAYMENT", 1),
        dispatch("INVENTORY", 1),
        dispatch("PAYMENT", 2),
        dispatch("INVENTORY", 2),
        dispatch("INVENTORY", 3),
    ];
    let found = places(&asked);
    let of = |stream: &str| found.iter().filter(|one| one.1 == stream).cloned().collect::<Vec<_>>();
    assert_eq!((of("PAYMENT").len(), of("INVENTORY").len()), (2, 3));
    assert!(of("PAYMENT").is_sorted() && of("INVENTORY").is_sorted());
    wanted.sort();
    let mut sorted = found;
    sorted.sort();
    assert_eq!(sorted, wanted);
    assert_eq!((totals.done(), totals.handlers[0].absorbed, totals.is_good()), (5, 5, true));
    assert_eq!((&totals.end, &totals.resume_at), (&End::Complete, &None));

    // Two handlers, of two streams.
    let payment = planned(&live, "payment", None, &Selection::default()).await?;
    let touched: Vec<_> = payment.touched().iter().map(|one| (one.handler.as_str(), one.messages)).collect();
    assert_eq!(touched, [("charge", 4), ("refund", 0)]);
    let one = Selection { flows: vec!["2".parse()?], ..Selection::default() };
    assert_eq!(planned(&live, "order", Some("close"), &one).await?.requests(), 1);
    assert_eq!(positions(&live).await?, before, "no position has moved");
    Ok(())
}

/// The positions of all consumers.
async fn positions(live: &Live) -> Outcome<Vec<(String, u64, u64, u64)>> {
    let mut found = Vec::new();
    for stream in ["ORDER", "PAYMENT", "INVENTORY", "SHIPPING"] {
        let stream = live.js.get_stream(stream).await?;
        let mut names = stream.consumer_names();
        while let Some(name) = names.next().await {
            let info = stream.consumer_info(name?).await?;
            let (delivered, floor) = (info.delivered.consumer_sequence, info.ack_floor.stream_sequence);
            found.push((info.name, delivered, floor, info.num_ack_pending as u64));
        }
    }
    found.sort();
    Ok(found)
}

#[tokio::test]
async fn what_fails_is_handed_over_again_when_it_is_to_be() -> Outcome {
    let live = Live::with(&shop()).await?;
    placed(&live, 3).await?;
    let charge = planned(&live, "payment", Some("charge"), &Selection::default()).await?;
    let again = || Replayed::Retrying { error: "bank closed".into(), again_in_ms: 20 };
    let asked = play(&live, "payment", move |_, request, before| match (request.seq, before) {
        (1, 0 | 1) => vec![again()],
        (2, 0) => vec![Replayed::Later { error: "busy".into(), again_in_ms: 20 }],
        (3, _) => vec![Replayed::AtWork, Replayed::AtWork, Replayed::Handled, Replayed::Emitted],
        _ => vec![Replayed::Emitted],
    })
    .await?;
    let totals = run(&live, &charge, &strictly()).await?;
    let attempts: Vec<_> = asked.lock().unwrap().iter().map(|(_, one)| (one.seq, one.attempt)).collect();
    assert_eq!(attempts, [(1, 1), (1, 2), (1, 3), (2, 1), (2, 1), (3, 1)]);
    let counts = &totals.handlers[0];
    assert_eq!((counts.emitted, counts.handled, counts.failed_attempts), (2, 1, 2), "{counts:?}");
    assert!(totals.is_good());
    Ok(())
}

#[tokio::test]
async fn every_outcome_is_counted_and_what_is_wrong_is_told() -> Outcome {
    let live = Live::with(&shop()).await?;
    let answers = [
        Replayed::Absorbed,
        Replayed::DeadBefore,
        Replayed::Awaited,
        Replayed::NotDue,
        Replayed::Gone,
        Replayed::Unreadable { error: "no header".into() },
        Replayed::Dead { reason: "rejected".into(), error: "no".into() },
        Replayed::Refused { error: "not here".into() },
    ];
    placed(&live, answers.len()).await?;
    let charge = planned(&live, "payment", Some("charge"), &Selection::default()).await?;
    play(&live, "payment", move |_, request, _| vec![answers[request.seq as usize - 1].clone()]).await?;
    let totals = run(&live, &charge, &Pace::default()).await?;
    let counts = &totals.handlers[0];
    assert_eq!((counts.absorbed, counts.skipped(), counts.dead, counts.refused), (1, 5, 1, 1), "{counts:?}");
    let mut problems: Vec<_> = totals.problems.iter().map(|one| (one.seq, one.what.as_str())).collect();
    problems.sort_unstable();
    assert_eq!(problems, [(6, "unreadable: no header"), (7, "dead, rejected: no"), (8, "refused: not here")]);
    assert!(!totals.is_good());
    Ok(())
}

#[tokio::test]
async fn whoever_falls_silent_is_asked_again_but_not_for_ever() -> Outcome {
    let live = Live::with(&shop()).await?;
    placed(&live, 2).await?;
    let charge = planned(&live, "payment", Some("charge"), &Selection::default()).await?;
    let asked = play(&live, "payment", |_, request, before| match (request.seq, before) {
        (1, 0) | (2, _) => vec![],
        _ => vec![Replayed::Absorbed],
    })
    .await?;
    let pace = Pace { patience: Duration::from_millis(300), ..strictly() };
    let totals = run(&live, &charge, &pace).await?;
    let seqs: Vec<u64> = places(&asked).into_iter().map(|(_, _, seq)| seq).collect();
    assert_eq!(seqs, [1, 1, 2, 2, 2, 2]);
    let counts = &totals.handlers[0];
    assert_eq!((counts.absorbed, counts.unanswered, totals.is_good()), (1, 1, false));
    assert_eq!((totals.problems[0].seq, &totals.end), (2, &End::Complete));
    Ok(())
}

#[tokio::test]
async fn a_service_that_nobody_runs_is_named() -> Outcome {
    let live = Live::with(&shop()).await?;
    placed(&live, 3).await?;
    let charge = planned(&live, "payment", Some("charge"), &Selection::default()).await?;
    let pace = Pace { patience: Duration::from_millis(300), ..Pace::default() };
    let totals = run(&live, &charge, &pace).await?;
    assert_eq!(totals.end, End::NobodyServes { handler: "charge".into() });
    assert_eq!((totals.done(), totals.resume_at), (0, Some(ResumeAt::FromSeq(1))));
    Ok(())
}

#[tokio::test]
async fn a_stop_waits_for_what_is_in_flight_and_says_where_to_go_on() -> Outcome {
    let live = Live::with(&shop()).await?;
    placed(&live, 9).await?;
    let charge = planned(&live, "payment", Some("charge"), &Selection::default()).await?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let mut stop = Some(stop);
    let hour = || Replayed::Retrying { error: "bank closed".into(), again_in_ms: 3_600_000 };
    // All have come before the first is answered; then it is stopped.
    let asked = play(&live, "payment", move |_, request, _| match request.seq {
        2 => vec![hour()],
        4 => {
            let _ = stop.take().map(|stop| stop.send(()));
            vec![Replayed::AtWork, Replayed::Absorbed]
        }
        _ => vec![Replayed::Absorbed],
    })
    .await?;
    let pace = Pace { window: 3, ..Pace::default() };
    let ended = charge.run(&live.client, &live.client, &pace, async { drop(stopped.await) }, |_| {});
    let totals = tokio::time::timeout(Duration::from_secs(60), ended).await??;
    assert_eq!((&totals.end, &totals.resume_at), (&End::Stopped, &Some(ResumeAt::FromSeq(2))));
    assert_eq!(totals.handlers[0].failed_attempts, 1);
    // What was in flight at the stop was answered; how much more was begun is a matter of luck.
    let (done, asked) = (totals.done(), asked.lock().unwrap().len() as u64);
    assert!(done == asked - 1 && done >= 3, "{done} of {asked}");
    Ok(())
}

#[tokio::test]
async fn a_rate_is_not_exceeded() -> Outcome {
    let live = Live::with(&shop()).await?;
    placed(&live, 11).await?;
    let charge = planned(&live, "payment", Some("charge"), &Selection::default()).await?;
    play(&live, "payment", |_, _, _| vec![Replayed::Absorbed]).await?;
    let begun = Instant::now();
    let totals = run(&live, &charge, &Pace { rate: Some(20.0), ..Pace::default() }).await?;
    assert_eq!(totals.done(), 11);
    assert!(begun.elapsed() >= Duration::from_millis(500), "ten intervals: {:?}", begun.elapsed());
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_with_what_could() -> Outcome {
    let live = Live::with(&shop()).await?;
    live.reacts(
        &laban_flow::Declared { at_least_once: true, ..declared("sales", "enter", "order.placed", &[]) },
        async_nats::jetstream::consumer::DeliverPolicy::All,
    )
    .await?;
    let refused = async |service: &str, handler: Option<&str>, events: &[&str]| {
        let events = events.iter().map(|event| event.parse().unwrap()).collect();
        let selection = Selection { events, ..Selection::default() };
        planned(&live, service, handler, &selection).await.err().map(|error| error.to_string())
    };
    let said = refused("bank", None, &[]).await.unwrap();
    assert!(said.contains("`bank`") && said.contains("inventory, order, payment, sales, shipping"), "{said}");
    let said = refused("payment", Some("chrage"), &[]).await.unwrap();
    assert!(said.contains("no handler `chrage`; it has: charge, refund"), "{said}");
    let said = refused("payment", Some("charge"), &["payment.captured"]).await.unwrap();
    assert!(said.contains("but to: order.placed"), "{said}");
    let sales = planned(&live, "sales", None, &Selection::default()).await?;
    assert!(sales.touched()[0].at_least_once);
    Ok(())
}
