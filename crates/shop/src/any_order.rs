//! The whole choreography without a broker: whatever order events arrive in, every order ends once and the books add up.
//!
//! The handlers, the books and what is made of the services' records are the real ones; only delivery is simulated. A reaction
//! may run twice, as it does after a crash between its effect and its commit. And it is run in a shadow, where the books are made
//! of what came of it, and the same must come of it again.

use std::fmt::Debug;

use laban::{Cause, Failure, Record, Recorded, State};

use crate::audit::Audit;
use crate::events::*;
use crate::inventory::{self, release, reserve, ship};
use crate::notification::{self, News, tell};
use crate::order::{Ending, Report, close, give_up};
use crate::payment::{self, charge, refund, void};
use crate::samples::{cause, emitted, handled, placed, so_far};
use crate::shipping::{Half, call_off, dispatch};
use Deadline::{Anytime, Late};

#[derive(Clone, Debug, PartialEq, laban::Event)]
enum Event {
    Placed(OrderPlaced),
    Overdue(PaymentOverdue),
    Captured(PaymentCaptured),
    Declined(PaymentDeclined),
    Refunded(PaymentRefunded),
    Reserved(StockReserved),
    Rejected(StockRejected),
    Released(StockReleased),
    Dispatched(ParcelDispatched),
    Completed(OrderCompleted),
    Cancelled(OrderCancelled),
}

/// An event on its way to a handler.
#[derive(Clone, Debug)]
enum Reaction {
    Charge(OrderPlaced),
    GiveUp(OrderPlaced),
    Void(PaymentOverdue),
    Refund(StockRejected),
    Reserve(OrderPlaced),
    Release(PaymentDeclined),
    Ship(ParcelDispatched),
    Dispatch(Half),
    CallOff(OrderCancelled),
    Close(Report),
    Tell(News),
}

/// Who reacts to what.
fn reactions_to(event: Event) -> Vec<Reaction> {
    use Reaction::*;
    match event {
        Event::Placed(e) => {
            vec![Charge(e.clone()), GiveUp(e.clone()), Reserve(e.clone()), Tell(News::Placed(e))]
        }
        Event::Overdue(e) => vec![Void(e)],
        Event::Captured(e) => vec![Dispatch(Half::Paid(e))],
        Event::Declined(e) => vec![Release(e.clone()), Close(Report::Declined(e))],
        Event::Refunded(e) => vec![Close(Report::Refunded(e.clone())), Tell(News::Refunded(e))],
        Event::Reserved(e) => vec![Dispatch(Half::Reserved(e))],
        Event::Rejected(e) => vec![Refund(e.clone()), Close(Report::Rejected(e))],
        Event::Released(e) => vec![Close(Report::Released(e))],
        Event::Dispatched(e) => {
            vec![Ship(e.clone()), Close(Report::Dispatched(e.clone())), Tell(News::Dispatched(e))]
        }
        Event::Completed(e) => vec![Tell(News::Completed(e))],
        Event::Cancelled(e) => vec![CallOff(e.clone()), Tell(News::Cancelled(e))],
    }
}

struct Shop {
    payment: payment::Books,
    inventory: inventory::Books,
    outbox: notification::Outbox,
    /// Their records of the order, for those that keep no books.
    shipping: Vec<Record>,
    order: Vec<Record>,
}

impl Shop {
    /// Where this order was just placed.
    fn open(order: &OrderPlaced) -> Self {
        Self {
            payment: payment::Books::in_memory(),
            inventory: inventory::Books::in_memory(),
            outbox: notification::Outbox::in_memory(),
            shipping: Vec::new(),
            order: vec![emitted(order)],
        }
    }

    /// Runs the handler; an error is to be tried again.
    async fn run(&self, reaction: Reaction, cause: Cause) -> Result<Option<Event>, TryAgain> {
        let (payment, inventory) = (State(self.payment.clone()), State(self.inventory.clone()));
        Ok(match reaction {
            Reaction::Charge(order) => match charge(order, payment, cause).await {
                Ok(captured) => captured.map(Event::Captured),
                Err(Failure::Event(declined)) => Some(Event::Declined(declined)),
                Err(Failure::Retry(_)) => return Err(TryAgain),
                Err(failure) => panic!("{failure}"),
            },
            Reaction::GiveUp(order) => Some(Event::Overdue(give_up(order).await)),
            Reaction::Void(overdue) => done(void(overdue, payment, cause).await).map(Event::Declined),
            Reaction::Refund(rejected) => done(refund(rejected, payment, cause).await).map(Event::Refunded),
            Reaction::Reserve(order) => match reserve(order, inventory, cause).await {
                Ok(reserved) => Some(Event::Reserved(reserved)),
                Err(Failure::Event(rejected)) => Some(Event::Rejected(rejected)),
                Err(failure) => panic!("{failure}"),
            },
            Reaction::Release(declined) => {
                done(release(declined, inventory, cause).await).map(Event::Released)
            }
            Reaction::Ship(dispatched) => {
                done(ship(dispatched, inventory, cause).await);
                None
            }
            Reaction::Dispatch(half) => dispatch(half, so_far(&self.shipping)).await.map(Event::Dispatched),
            Reaction::CallOff(cancelled) => {
                call_off(cancelled, so_far(&self.shipping)).await;
                None
            }
            Reaction::Close(report) => match close(report, so_far(&self.order)).await {
                Some(Ending::Completed(completed)) => Some(Event::Completed(completed)),
                Some(Ending::Cancelled(cancelled)) => Some(Event::Cancelled(cancelled)),
                None => None,
            },
            Reaction::Tell(news) => {
                done(tell(news, State(self.outbox.clone()), cause).await);
                None
            }
        })
    }

    /// The shop as it is in a shadow of this reaction: its books are made of what is recorded. Nothing for a reaction that asks
    /// no books.
    fn in_shadow(&self, reaction: &Reaction, outcome: Option<&Event>) -> Option<Self> {
        let outcome = outcome.cloned();
        let recorded = match reaction {
            Reaction::Charge(order) => Recorded::test("charge", order, outcome),
            Reaction::Void(overdue) => Recorded::test("void", overdue, outcome),
            Reaction::Refund(rejected) => Recorded::test("refund", rejected, outcome),
            Reaction::Reserve(order) => Recorded::test("reserve", order, outcome),
            Reaction::Release(declined) => Recorded::test("release", declined, outcome),
            Reaction::Ship(dispatched) => Recorded::test("ship", dispatched, outcome),
            _ => return None,
        };
        let recorded = recorded.unwrap();
        let (payment, inventory) = (payment::Books::in_shadow, inventory::Books::in_shadow);
        let mut shop = Self::open(&placed());
        match reaction {
            Reaction::Charge(_) | Reaction::Void(_) | Reaction::Refund(_) => {
                shop.payment = payment(&recorded).unwrap();
            }
            _ => shop.inventory = inventory(&recorded).unwrap(),
        }
        Some(shop)
    }

    /// Remembers a reaction, as its record in the home stream does.
    fn commit(&mut self, reaction: &Reaction, outcome: Option<&Event>) {
        match (reaction, outcome) {
            (Reaction::Dispatch(half), None) => self.shipping.push(half.handled()),
            (Reaction::Dispatch(_), Some(Event::Dispatched(parcel))) => self.shipping.push(emitted(parcel)),
            (Reaction::CallOff(cancelled), _) => self.shipping.push(handled(cancelled)),
            (Reaction::Close(report), None) => self.order.push(report.handled()),
            (Reaction::Close(_), Some(Event::Completed(end))) => self.order.push(emitted(end)),
            (Reaction::Close(_), Some(Event::Cancelled(end))) => self.order.push(emitted(end)),
            _ => {}
        }
    }

    async fn audit(&self) -> Audit {
        Audit {
            accounts: self.payment.accounts().await,
            stock: self.inventory.stock().await,
            reservations: self.inventory.reservations().await,
            letters: self.outbox.letters().await,
        }
    }
}

/// A handler's error that may pass.
#[derive(Debug, PartialEq)]
struct TryAgain;

/// When the order's deadline passes.
#[derive(Clone, Copy, PartialEq)]
enum Deadline {
    /// After everything else.
    Late,
    /// At any moment, even the one in which the payment answers.
    Anytime,
}

fn done<T>(outcome: Result<T, Failure<impl Debug>>) -> T {
    outcome.unwrap_or_else(|failure| panic!("{failure}"))
}

/// Plays one order to its end, the next reaction drawn from all that are due. Gives all that happened.
async fn play(order: OrderPlaced, deadline: Deadline, random: &mut fastrand::Rng) -> (Vec<Event>, Audit) {
    let mut shop = Shop::open(&order);
    let mut happened = vec![Event::Placed(order.clone())];
    let mut due = reactions_to(Event::Placed(order));
    while !due.is_empty() {
        let late =
            |reaction: &Reaction| deadline == Deadline::Late && matches!(reaction, Reaction::GiveUp(_));
        let next = match random.usize(..due.len()) {
            // Everything else first.
            drawn if late(&due[drawn]) => (drawn + 1) % due.len(),
            drawn => drawn,
        };
        let reaction = due.swap_remove(next);
        let answered = || happened.iter().any(|e| matches!(e, Event::Captured(_) | Event::Declined(_)));
        // Who has just looked does not see the answer that comes now.
        let mut sees = || deadline == Deadline::Late || random.bool();
        if matches!(reaction, Reaction::GiveUp(_)) && answered() && sees() {
            continue;
        }
        let cause = cause();
        let outcome = shop.run(reaction.clone(), cause.clone()).await;
        if random.bool() {
            assert_eq!(
                shop.run(reaction.clone(), cause.clone()).await,
                outcome,
                "a second run of {reaction:?}"
            );
        }
        let Ok(outcome) = outcome else {
            due.push(reaction);
            continue;
        };
        if let Some(shadow) = shop.in_shadow(&reaction, outcome.as_ref()) {
            let again = shadow.run(reaction.clone(), cause.clone()).await;
            assert_eq!(again.as_ref(), Ok(&outcome), "a shadow of {reaction:?}");
        }
        shop.commit(&reaction, outcome.as_ref());
        if let Some(event) = outcome {
            happened.push(event.clone());
            due.extend(reactions_to(event));
        }
    }
    (happened, shop.audit().await)
}

const ROUNDS: u64 = 200;

/// Plays the order in many ways; each ends in `ending`, and with the books in order. Gives what happened in each.
async fn always_ends(order: OrderPlaced, deadline: Deadline, ending: fn(&Event) -> bool) -> Vec<Vec<Event>> {
    let mut histories = Vec::new();
    for seed in 0..ROUNDS {
        let (happened, audit) = play(order.clone(), deadline, &mut fastrand::Rng::with_seed(seed)).await;
        let ends: Vec<_> = happened
            .iter()
            .filter(|event| matches!(event, Event::Completed(_) | Event::Cancelled(_)))
            .collect();
        assert!(ends.len() == 1 && ending(ends[0]), "seed {seed}: {happened:#?}");
        assert_eq!(audit.findings(), Vec::<String>::new(), "seed {seed}: {happened:#?}");
        let sent = happened.iter().any(|event| matches!(event, Event::Dispatched(_)));
        assert_eq!(audit.money_kept_cents(), if sent { order.total_cents } else { 0 }, "seed {seed}");
        histories.push(happened);
    }
    histories
}

/// Whether some histories have such an event and some have not: the race it depends on was seen both ways.
fn varies(histories: &[Vec<Event>], event: fn(&Event) -> bool) -> bool {
    let with = histories.iter().filter(|happened| happened.iter().any(event)).count();
    (1..histories.len()).contains(&with)
}

fn out_of_stock(order: OrderPlaced) -> OrderPlaced {
    let sold_out = Line { sku: "sold-out".into(), quantity: 1, unit_price_cents: 100 };
    OrderPlaced { lines: [order.lines, vec![sold_out]].concat(), ..order }
}

fn with_a_blocked_card(order: OrderPlaced) -> OrderPlaced {
    OrderPlaced { card: "declined".into(), ..order }
}

fn with_a_silent_bank(order: OrderPlaced) -> OrderPlaced {
    OrderPlaced { card: "silent".into(), ..order }
}

fn is_cancelled(end: &Event, why: CancelReason) -> bool {
    matches!(end, Event::Cancelled(cancelled) if cancelled.reason == why)
}

#[tokio::test]
async fn a_good_order_is_completed() {
    always_ends(placed(), Late, |end| matches!(end, Event::Completed(_))).await;
}

#[tokio::test]
async fn an_order_with_a_blocked_card_is_cancelled() {
    let order = with_a_blocked_card(placed());
    let histories = always_ends(order, Late, |end| is_cancelled(end, CancelReason::PaymentDeclined)).await;
    assert!(
        varies(&histories, |event| matches!(event, Event::Released(_))),
        "the decline always came first, or never"
    );
}

#[tokio::test]
async fn an_order_out_of_stock_is_cancelled() {
    let histories =
        always_ends(out_of_stock(placed()), Late, |end| is_cancelled(end, CancelReason::OutOfStock)).await;
    assert!(
        varies(&histories, |event| matches!(event, Event::Refunded(_))),
        "the rejection always came first, or never"
    );
}

#[tokio::test]
async fn an_order_with_both_is_cancelled() {
    let order = with_a_blocked_card(out_of_stock(placed()));
    let histories = always_ends(order, Late, |end| matches!(end, Event::Cancelled(_))).await;
    assert!(
        varies(&histories, |event| is_cancelled(event, CancelReason::OutOfStock)),
        "one reason always won"
    );
}

#[tokio::test]
async fn a_good_order_ends_once_whenever_its_deadline_passes() {
    let histories = always_ends(placed(), Anytime, |end| {
        matches!(end, Event::Completed(_)) || is_cancelled(end, CancelReason::PaymentOverdue)
    })
    .await;
    assert!(varies(&histories, |event| matches!(event, Event::Completed(_))), "one end always won");
    let in_vain = |happened: &Vec<Event>| {
        let overdue = happened.iter().any(|event| matches!(event, Event::Overdue(_)));
        overdue && happened.iter().any(|event| matches!(event, Event::Completed(_)))
    };
    assert!(histories.iter().any(in_vain), "an answer never came at the very moment");
}

#[tokio::test]
async fn a_bad_order_is_cancelled_once_whenever_its_deadline_passes() {
    for order in
        [with_a_blocked_card(placed()), out_of_stock(placed()), with_a_blocked_card(out_of_stock(placed()))]
    {
        always_ends(order, Anytime, |end| matches!(end, Event::Cancelled(_))).await;
    }
}

#[tokio::test]
async fn an_order_whose_bank_does_not_answer_is_cancelled() {
    always_ends(with_a_silent_bank(placed()), Anytime, |end| is_cancelled(end, CancelReason::PaymentOverdue))
        .await;
    let histories = always_ends(with_a_silent_bank(out_of_stock(placed())), Anytime, |end| {
        matches!(end, Event::Cancelled(_))
    })
    .await;
    assert!(
        varies(&histories, |event| matches!(event, Event::Declined(d) if d.reason == DeclineReason::Overdue)),
        "one reason always won"
    );
}
