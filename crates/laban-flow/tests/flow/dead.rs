//! Dead letters, and what became of them.

use laban_flow::Mesh;
use laban_flow::dead::{Groups, Letter, Letters, Place, Query, Standing, What, at, letters_of};
use laban_wire::{DeadReason, EventId, FlowReader};
use serde_json::json;

use crate::history::{History, declared};
use crate::live::{Live, Outcome};

/// Records of payment's `charge` about one order.
struct Charge {
    history: History,
    placed: EventId,
}

impl Charge {
    fn of(flow: &str) -> Self {
        Self { history: History::new(flow), placed: EventId::root() }
    }

    fn record(&mut self, record: &str, body: &serde_json::Value) -> &mut Self {
        let event = format!("payment.{record}");
        self.history.attempt(&event, self.placed, "order.placed", "charge", 1, &body.to_string());
        self
    }

    fn dies(&mut self, error: &str, fingerprint: &str) -> &mut Self {
        let input = json!({"stream": "ORDER", "seq": 1, "subject": "order.placed.4711", "payload": {"json": {"n": 1}}});
        let body = json!({
            "reason": "exhausted", "error": error, "attempts": 3, "fingerprint": fingerprint, "input": input,
        });
        self.record("_dead", &body)
    }

    fn redriven(&mut self, dead_seq: u64, by: &str) -> &mut Self {
        self.record("_redrive", &json!({"dead_seq": dead_seq, "by": by}))
    }

    fn discarded(&mut self, dead_seq: u64, by: &str) -> &mut Self {
        self.record("_discarded", &json!({"dead_seq": dead_seq, "by": by, "why": "a test order"}))
    }

    fn letter(&self) -> Letter {
        let mut letters = letters_of(self.history.messages.clone());
        assert_eq!(letters.len(), 1);
        letters.remove(0)
    }

    fn state(&self) -> (Standing, u32, u64) {
        let letter = self.letter();
        (letter.state, letter.times, letter.place.seq)
    }
}

#[test]
fn a_letter_tells_what_was_tried_and_decided() {
    let mut charge = Charge::of("4711");
    charge
        .record("_retrying", &json!({"attempt": 1, "error": "closed", "next_at": "2026-10-26T07:33:21.5Z"}));
    charge.dies("closed", "f1");
    assert_eq!(charge.state(), (Standing::Open, 1, 2));
    charge.redriven(2, "ann");
    assert_eq!(charge.state(), (Standing::Redriven, 1, 2));
    charge.dies("no such card", "f2");
    assert_eq!(charge.state(), (Standing::FailedAgain, 2, 4));
    charge.redriven(2, "bob");
    assert_eq!(charge.state(), (Standing::FailedAgain, 2, 4), "2 was tried before");
    charge.record("_redrive", &json!({"dead_seq": 4, "by": "bob", "payload": {"json": {"n": 2}}}));
    charge.record("captured", &json!({}));
    let letter = charge.letter();
    assert_eq!((letter.state, letter.times, letter.last_seq), (Standing::Succeeded, 2, 7));
    assert_eq!((letter.error.as_str(), letter.fingerprint.as_str()), ("no such card", "f2"));
    assert_eq!(letter.reason, DeadReason::Exhausted);
    assert_eq!(letter.decision().as_deref(), Some("handed back with another body by bob"));
    let told: Vec<String> =
        letter.history.iter().map(|entry| format!("{} {}", entry.seq, entry.what)).collect();
    assert_eq!(
        told,
        [
            "1 attempt 1 failed: closed",
            "2 given up after 3 attempts, exhausted: closed",
            "3 handed back by ann",
            "4 given up after 3 attempts, exhausted: no such card",
            "5 handed back by bob; absorbed, for that was settled",
            "6 handed back with another body by bob",
            "7 took effect at attempt 1: payment.captured",
        ]
    );
}

#[test]
fn a_letter_tells_what_was_done_again_on_purpose() {
    let again = json!({"again": {"stream": "ORDER", "seq": 1}, "by": "ann", "why": "the bank lost it"});
    let mut charge = Charge::of("4711");
    charge.dies("closed", "f1");
    charge.record("_redrive", &again).redriven(1, "bob").record("captured", &json!({}));
    charge.record("_redrive", &again).record("_redrive", &again);
    assert_eq!(charge.state(), (Standing::Succeeded, 1, 1), "it has succeeded once");
    charge.dies("no such card", "f2");
    assert_eq!(charge.state(), (Standing::FailedAgain, 2, 7));
    let told: Vec<String> = charge.letter().history.iter().map(|entry| entry.what.to_string()).collect();
    let asked = "to be done again, asked for by ann: the bank lost it";
    assert_eq!(told[1], format!("{asked}; absorbed, for it had not taken effect"));
    assert_eq!(told[4], asked);
    assert_eq!(told[5], format!("{asked}; absorbed, for it had not taken effect"), "somebody was first");
}

#[test]
fn a_discard_counts_while_the_letter_is_open_and_can_be_thought_better_of() {
    let mut charge = Charge::of("4711");
    charge.discarded(1, "ann");
    charge.dies("closed", "f1");
    assert_eq!(charge.state(), (Standing::Open, 1, 2), "what comes before it says nothing");
    charge.discarded(2, "ann").discarded(2, "bob");
    let letter = charge.letter();
    assert_eq!(letter.state, Standing::Discarded);
    assert_eq!(letter.decision().as_deref(), Some("discarded by ann: a test order"));
    assert!(matches!(&letter.history[3].what, What::Discarded { by, absorbed: true, .. } if by == "bob"));
    charge.redriven(2, "bob");
    assert_eq!(charge.state(), (Standing::Redriven, 1, 2));
    charge.discarded(2, "ann");
    assert_eq!(charge.state(), (Standing::Redriven, 1, 2), "it is being tried");
}

#[test]
fn each_reaction_of_a_flow_has_a_letter_of_its_own() {
    let mut charge = Charge::of("4711");
    charge.dies("closed", "f1");
    let (first, second) = (charge.placed, EventId::root());
    charge.history.dead("payment", second, "order.placed", "charge", 1);
    charge.history.dead("payment", first, "order.placed", "refund", 1);
    charge.history.store("payment._dead", &[("Laban", "id=?")], "{}");
    charge.history.reaction("payment._handled", second, "order.placed", "charge");
    let letters = letters_of(charge.history.messages.clone());
    let told: Vec<_> =
        letters.iter().map(|l| (l.place.seq, l.handler.as_str(), l.state, l.last_seq)).collect();
    assert_eq!(
        told,
        [
            (1, "charge", Standing::Open, 5),
            (2, "charge", Standing::Succeeded, 5),
            (3, "refund", Standing::Open, 5)
        ]
    );
}

/// Three hundred orders with one bug and two hundred with another; ten of them succeeded, ten failed again, one is discarded.
async fn poisoned() -> Outcome<(Live, Mesh)> {
    let live = Live::with(&[declared("payment", "charge", "order.placed", &[])]).await?;
    let mut all = Charge::of("0");
    for n in 0..500 {
        all.history.flow = n.to_string().parse()?;
        all.placed = EventId::root();
        let (error, kind) =
            if n % 5 < 3 { (format!("no card {n}"), "cards") } else { ("closed".into(), "bank") };
        all.dies(&error, kind);
    }
    live.write(&all.history).await?;
    // Sequences are the stream's: order n is record n + 1.
    let mut later = Charge::of("0");
    let first: Vec<EventId> =
        letters_of(all.history.messages).into_iter().map(|letter| letter.cause).collect();
    for (n, cause) in (1..).zip(first).take(21) {
        later.history.flow = (n - 1).to_string().parse()?;
        later.placed = cause;
        match n {
            ..=10 => later.redriven(n, "ann").record("captured", &json!({})),
            11..=20 => later.redriven(n, "ann").dies("still no card", "cards"),
            _ => later.discarded(n, "ann"),
        };
    }
    live.write(&later.history).await?;
    let mesh = Mesh::discover(&live.client).await?;
    Ok((live, mesh))
}

async fn found(live: &Live, mesh: &Mesh, query: Query) -> Outcome<Vec<Letter>> {
    let reader = FlowReader::new(live.client.clone());
    let mut letters = Letters::find(&live.client, reader, mesh, query).await?;
    let mut found = Vec::new();
    while let Some(letter) = letters.next().await? {
        found.push(letter);
    }
    letters.rewind();
    let mut again = 0;
    while letters.next().await?.is_some() {
        again += 1;
    }
    assert_eq!(again, found.len(), "the same once more");
    Ok(found)
}

#[tokio::test]
async fn letters_are_found_in_a_stream_by_kind_state_and_place() -> Outcome {
    let (live, mesh) = poisoned().await?;
    let all = found(&live, &mesh, Query::default()).await?;
    assert_eq!(all.len(), 500, "one for each reaction");
    let mut places: Vec<u64> = all.iter().map(|letter| letter.place.seq).collect();
    assert!(places.is_sorted());
    places.dedup();
    assert_eq!(places.len(), 500);

    let open = vec![Standing::Open, Standing::FailedAgain];
    let open = found(&live, &mesh, Query { states: open, ..Query::default() }).await?;
    assert_eq!(open.len(), 489, "ten succeeded, one is discarded");
    let mut groups = Groups::default();
    open.iter().for_each(|letter| groups.add(letter));
    let groups = groups.into_sorted();
    let told: Vec<_> = groups.iter().map(|group| (group.fingerprint.as_str(), group.count)).collect();
    // Of the first ten, six had no card; of the second ten all have none now; the twenty-first had none.
    assert_eq!(told, [("cards", 297), ("bank", 192)]);
    assert_eq!(groups[0].states[&Standing::FailedAgain], 10);
    assert_eq!((groups[0].error.as_str(), groups[0].flows.len()), ("still no card", 3));
    assert!(groups[0].first_at < groups[0].last_at);

    let query = |change: &dyn Fn(&mut Query)| {
        let mut query = Query::default();
        change(&mut query);
        query
    };
    let count = async |change: &dyn Fn(&mut Query)| -> Outcome<usize> {
        Ok(found(&live, &mesh, query(change)).await?.len())
    };
    assert_eq!(count(&|query| query.fingerprint = Some("bank".into())).await?, 196);
    assert_eq!(count(&|query| query.handler = Some("refund".into())).await?, 0);
    assert_eq!(count(&|query| query.service = Some("order".into())).await?, 0);
    assert_eq!(count(&|query| query.reason = Some(DeadReason::Rejected)).await?, 0);
    assert_eq!(count(&|query| query.event = "order.placed".parse().ok()).await?, 500);
    assert_eq!(count(&|query| query.flow = "17".parse().ok()).await?, 1);
    assert_eq!(count(&|query| query.states = vec![Standing::Discarded]).await?, 1);
    let place = |seq| Some(Place { stream: "PAYMENT".into(), seq });
    assert_eq!(count(&|query| query.after = place(400)).await?, 110, "a hundred, and ten that failed again");
    let middle = all[200].last_at;
    let [before, after] = [
        count(&|query| query.until = Some(middle)).await?,
        count(&|query| query.since = Some(middle)).await?,
    ];
    assert_eq!(before + after, 500);
    assert!(before <= 200 && after >= 300, "{before} {after}");
    Ok(())
}

#[tokio::test]
async fn a_letter_is_found_by_any_place_that_it_had() -> Outcome {
    let (live, mesh) = poisoned().await?;
    let reader = FlowReader::new(live.client.clone());
    let place = |seq| Place { stream: "PAYMENT".into(), seq };
    let again = at(&reader, &mesh, &place(11)).await?.ok_or("no letter")?;
    assert_eq!((again.state, again.flow.key().as_str(), again.place.seq), (Standing::FailedAgain, "10", 522));
    assert_eq!(at(&reader, &mesh, &place(522)).await?.ok_or("no letter")?.times, 2);
    for nothing in [place(501), place(9999), Place { stream: "NOWHERE".into(), seq: 1 }] {
        assert!(at(&reader, &mesh, &nothing).await?.is_none(), "{nothing}");
    }
    Ok(())
}
