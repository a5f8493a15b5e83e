//! Payment charges for an order, and gives the money back when there are no goods.
//!
//! Whatever comes first, an order's payment is captured or declined, once: the books decide.

mod books;
mod shadow;

use laban::{Cause, Failure, Handler as _, Service, State};

use crate::events::{
    DeclineReason, OrderPlaced, PaymentCaptured, PaymentDeclined, PaymentOverdue, PaymentRefunded,
    StockRejected,
};
use crate::settings::{OF_BOOKS, Settings, told_of};

pub use books::{Account, Books, Charge, PaymentState, Rule, accounts};

/// The service.
pub fn service(books: Books) -> Service {
    reacting(Rule::default()).state(books)
}

fn reacting(rule: Rule) -> Service {
    Service::new("payment")
        .version(env!("CARGO_PKG_VERSION"))
        .on(charge)
        .on(void)
        .on(refund.compensates::<PaymentCaptured>())
        .state_in_shadow(move |recorded| Ok(Books::in_shadow(recorded)?.under(rule)))
}

/// Runs the service until it is told to stop, then drains.
///
/// # Errors
/// When the books cannot be opened, the service does not start, or the drain does not finish in time.
pub async fn run(settings: &Settings) -> laban::Result<()> {
    run_under(settings, Rule::default()).await
}

/// The same, by another rule.
///
/// # Errors
/// As [`run`].
pub async fn run_under(settings: &Settings, rule: Rule) -> laban::Result<()> {
    let settings = settings.clone();
    // Opened when it starts: what is asked on the command line needs none.
    told_of(reacting(rule), &OF_BOOKS)
        .state_with(async move || Ok::<_, laban::Error>(Books::open(&settings)?.under(rule)))
        .run()
        .await
}

/// Charge for what was ordered, or say why not.
///
/// When the goods turn out to be missing before this is reached, the card is left alone. When the order is declined as
/// overdue before the bank answers, all is said.
pub async fn charge(
    order: OrderPlaced,
    books: State<Books>,
    cause: Cause,
) -> Result<Option<PaymentCaptured>, Failure<PaymentDeclined>> {
    let OrderPlaced { order_id, customer, card, total_cents, .. } = order;
    match books.charge(cause.idempotency_key, &order_id, card, total_cents).await? {
        Charge::Captured { amount_cents } => Ok(Some(PaymentCaptured { order_id, customer, amount_cents })),
        Charge::Declined(reason) => Err(PaymentDeclined { order_id, customer, reason }.into()),
        Charge::TooLate => Ok(None),
    }
}

/// The order has waited long enough: if the card was not charged yet, it is not charged any more.
pub async fn void(
    overdue: PaymentOverdue,
    books: State<Books>,
    cause: Cause,
) -> Result<Option<PaymentDeclined>, Failure> {
    let PaymentOverdue { order_id, customer } = overdue;
    let declined = books.decline_overdue(cause.idempotency_key, &order_id).await?;
    Ok(declined.then_some(PaymentDeclined { order_id, customer, reason: DeclineReason::Overdue }))
}

/// There are no goods: give the money back, or see to it that it is never taken.
pub async fn refund(
    rejected: StockRejected,
    books: State<Books>,
    cause: Cause,
) -> Result<Option<PaymentRefunded>, Failure> {
    let StockRejected { order_id, customer, .. } = rejected;
    let refunded = books.refund(cause.idempotency_key, &order_id).await?;
    Ok(refunded.map(|amount_cents| PaymentRefunded { order_id, customer, amount_cents }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::RejectReason;
    use crate::samples::{captured, cause, declined, overdue, placed, rejected};

    async fn charged(
        order: &OrderPlaced,
        books: &Books,
        cause: &Cause,
    ) -> Result<PaymentCaptured, PaymentDeclined> {
        match charge(order.clone(), State(books.clone()), cause.clone()).await {
            Ok(charged) => Ok(charged.expect("an order that was not overdue")),
            Err(Failure::Event(declined)) => Err(declined),
            Err(other) => panic!("{other}"),
        }
    }

    async fn voided(books: &Books, cause: &Cause) -> Option<PaymentDeclined> {
        let outcome = void(overdue(), State(books.clone()), cause.clone()).await;
        outcome.unwrap_or_else(|failure| panic!("{failure}"))
    }

    async fn refunded(books: &Books, cause: &Cause) -> Option<u64> {
        let outcome = refund(rejected(RejectReason::OutOfStock), State(books.clone()), cause.clone()).await;
        outcome.unwrap_or_else(|failure| panic!("{failure}")).map(|refunded| refunded.amount_cents)
    }

    #[tokio::test]
    async fn a_card_is_charged_what_the_order_costs() {
        let books = Books::in_memory();
        assert_eq!(charged(&placed(), &books, &cause()).await, Ok(captured()));
        assert_eq!(books.account().await.captured_cents, placed().total_cents);
    }

    #[tokio::test]
    async fn a_blocked_card_and_one_over_its_limit_are_declined() {
        for (card, total_cents, reason) in [
            ("declined", 100, DeclineReason::CardBlocked),
            ("declined-visa", 100, DeclineReason::CardBlocked),
            ("visa", 5_000_001, DeclineReason::OverLimit),
            ("visa", u64::MAX, DeclineReason::OverLimit),
        ] {
            let books = Books::in_memory();
            let order = OrderPlaced { card: card.into(), total_cents, ..placed() };
            assert_eq!(charged(&order, &books, &cause()).await, Err(declined(reason)));
            assert_eq!(books.account().await.captured_cents, 0);
        }
    }

    #[tokio::test]
    async fn money_is_given_back_when_there_are_no_goods() {
        let books = Books::in_memory();
        let order = OrderPlaced { total_cents: 700, ..placed() };
        assert!(charged(&order, &books, &cause()).await.is_ok());
        assert_eq!(refunded(&books, &cause()).await, Some(700));
        assert_eq!(books.account().await.refunded_cents, 700);
    }

    #[tokio::test]
    async fn nothing_is_given_back_when_nothing_was_taken() {
        let books = Books::in_memory();
        let order = OrderPlaced { card: "declined".into(), ..placed() };
        assert!(charged(&order, &books, &cause()).await.is_err());
        assert_eq!(refunded(&books, &cause()).await, None);
        assert_eq!(books.account().await.state, PaymentState::Declined);
    }

    #[tokio::test]
    async fn a_refund_before_its_charge_keeps_the_card_from_being_charged() {
        let books = Books::in_memory();
        assert_eq!(refunded(&books, &cause()).await, None);
        assert_eq!(charged(&placed(), &books, &cause()).await, Err(declined(DeclineReason::OutOfStock)));
        assert_eq!(books.account().await.captured_cents, 0);
    }

    #[tokio::test]
    async fn an_overdue_order_is_declined_and_its_card_left_alone() {
        let books = Books::in_memory();
        let (voiding, charging) = (cause(), cause());
        for _ in 0..2 {
            assert_eq!(voided(&books, &voiding).await, Some(declined(DeclineReason::Overdue)));
            assert_eq!(charge(placed(), State(books.clone()), charging.clone()).await.unwrap(), None);
        }
        assert_eq!(refunded(&books, &cause()).await, None);
        let account = books.account().await;
        assert_eq!((account.state, account.captured_cents), (PaymentState::Overdue, 0));
    }

    #[tokio::test]
    async fn what_is_decided_when_the_order_is_overdue_stays_so() {
        for card in ["visa", "declined"] {
            let books = Books::in_memory();
            let order = OrderPlaced { card: card.into(), ..placed() };
            let charging = cause();
            let charge = charged(&order, &books, &charging).await;
            assert_eq!(voided(&books, &cause()).await, None);
            assert_eq!(charged(&order, &books, &charging).await, charge);
        }
        let books = Books::in_memory();
        assert!(charged(&placed(), &books, &cause()).await.is_ok());
        assert_eq!(refunded(&books, &cause()).await, Some(placed().total_cents));
        assert_eq!(voided(&books, &cause()).await, None);
        assert_eq!(books.account().await.state, PaymentState::Refunded);
    }

    #[tokio::test]
    async fn an_order_without_goods_is_declined_by_its_charge_however_overdue() {
        for card in ["visa", "silent"] {
            let books = Books::in_memory();
            let order = OrderPlaced { card: card.into(), ..placed() };
            assert_eq!(refunded(&books, &cause()).await, None);
            assert_eq!(voided(&books, &cause()).await, None);
            assert_eq!(charged(&order, &books, &cause()).await, Err(declined(DeclineReason::OutOfStock)));
            assert_eq!(books.account().await.captured_cents, 0);
        }
    }

    #[tokio::test]
    async fn a_bank_that_does_not_answer_is_asked_again_until_the_order_is_overdue() {
        let books = Books::in_memory();
        let order = OrderPlaced { card: "silent-visa".into(), ..placed() };
        let charging = cause();
        for _ in 0..2 {
            let silence = charge(order.clone(), State(books.clone()), charging.clone()).await;
            assert!(matches!(silence, Err(Failure::Retry(_))), "{silence:?}");
        }
        assert_eq!(books.accounts().await, [], "nothing was entered");
        assert_eq!(voided(&books, &cause()).await, Some(declined(DeclineReason::Overdue)));
        assert_eq!(charge(order, State(books), charging).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_second_run_gives_the_first_result_and_changes_nothing() {
        let books = Books::in_memory();
        let (charging, refunding) = (cause(), cause());
        for _ in 0..2 {
            assert_eq!(charged(&placed(), &books, &charging).await, Ok(captured()));
        }
        for _ in 0..2 {
            assert_eq!(refunded(&books, &refunding).await, Some(placed().total_cents));
        }
        // Even a run that comes back late, when the books have moved on.
        assert_eq!(charged(&placed(), &books, &charging).await, Ok(captured()));
        let account = books.account().await;
        assert_eq!(account.captured_cents, account.refunded_cents);

        let books = Books::in_memory();
        assert_eq!(refunded(&books, &refunding).await, None);
        for _ in 0..2 {
            assert_eq!(charged(&placed(), &books, &charging).await, Err(declined(DeclineReason::OutOfStock)));
            assert_eq!(refunded(&books, &refunding).await, None);
        }
    }

    #[tokio::test]
    async fn a_second_order_of_the_same_id_is_refused_for_good() {
        let books = Books::in_memory();
        assert!(charged(&placed(), &books, &cause()).await.is_ok());
        let again = charge(placed(), State(books.clone()), cause()).await;
        assert!(matches!(again, Err(Failure::Reject(_))), "{again:?}");
        assert_eq!(books.account().await.captured_cents, placed().total_cents);
    }

    #[test]
    fn the_contract_follows_from_the_signatures() {
        let contract = service(Books::in_memory()).contract().unwrap();
        let names = |events: &[laban::EventType]| {
            events.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        let handlers: Vec<_> = contract.handlers.iter().collect();
        let [charge, void, refund] = handlers[..] else { panic!("{handlers:?}") };
        for (handler, [name, consumes, emits, fails_with, compensates]) in [
            (charge, ["charge", "order.placed", "payment.captured", "payment.declined", ""]),
            (void, ["void", "order.payment-overdue", "payment.declined", "", ""]),
            (refund, ["refund", "inventory.rejected", "payment.refunded", "", "payment.captured"]),
        ] {
            assert_eq!(handler.name, name);
            assert_eq!(names(&handler.consumes), consumes);
            assert_eq!(names(&handler.emits), emits);
            assert_eq!(names(&handler.fails_with), fails_with);
            assert_eq!(names(&handler.compensates), compensates);
        }
    }
}
