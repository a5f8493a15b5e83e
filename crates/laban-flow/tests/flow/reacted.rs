//! Which reactions could be done again.

use laban_flow::replay::run::{Outcome, Selected};
use laban_wire::{EventId, StoredAt};

use crate::history::History;

#[test]
fn the_outcome_that_stands_is_the_last_one_unless_something_is_open() {
    let mut history = History::new("4711");
    let placed = EventId::root();
    let selected = Selected {
        handler: "charge".to_owned(),
        event: "order.placed".parse().unwrap(),
        flow: "4711".parse().unwrap(),
        cause: placed,
        input: StoredAt { stream: "ORDER".to_owned(), seq: 1 },
    };
    let stands = |history: &History| {
        let reacted = selected.reacted(history.messages.clone());
        (reacted.outcome.map(|Outcome { seq, attempt }| (seq, attempt)), reacted.last_seq)
    };
    let again = |history: &mut History| {
        let body = r#"{"again":{"stream":"ORDER","seq":1},"by":"ann","why":"the bank lost it"}"#;
        history.attempt("payment._redrive", placed, "order.placed", "charge", 1, body)
    };
    assert_eq!(stands(&history), (None, 0));
    history.retrying("payment", placed, "order.placed", "charge", 1);
    again(&mut history);
    assert_eq!(stands(&history), (None, 2));
    history.attempt("payment.captured", placed, "order.placed", "charge", 2, "{}");
    history.attempt("payment.captured", EventId::root(), "order.placed", "charge", 1, "{}");
    history.attempt("payment.noted", placed, "order.placed", "note", 7, "{}");
    assert_eq!(stands(&history), (Some((3, 2)), 5), "that of this reaction");
    let asked = again(&mut history);
    assert_eq!(stands(&history), (None, 6), "it is being done again");
    assert_eq!(selected.reacted(history.messages.clone()).asked, Some(asked));
    history.attempt("payment.captured", placed, "order.placed", "charge", 3, "{}");
    assert_eq!(stands(&history), (Some((7, 3)), 7));
    history.dead("payment", placed, "order.placed", "charge", 4);
    again(&mut history);
    assert_eq!(stands(&history), (None, 9), "that is for a redrive");
}
