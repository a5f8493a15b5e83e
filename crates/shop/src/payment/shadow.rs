//! The payment books of a shadow: as they must have been for what is recorded to come of it.

use laban::{BoxError, Recorded};
use rusqlite::Transaction;

use super::Books;
use super::books::create;
use crate::database::{Database, is_told};
use crate::events::{
    DeclineReason, OrderPlaced, PaymentCaptured, PaymentDeclined, PaymentOverdue, PaymentRefunded,
    StockRejected,
};

/// What the books and the bank had to say about one order.
enum Then {
    /// The order was new, and the bank set this limit to its card.
    New { limit_cents: u64 },
    /// The order was in this state.
    Known { state: &'static str, captured_cents: u64 },
}

/// More than any order costs, and no more than SQLite holds.
const ENOUGH_CENTS: u64 = i64::MAX as u64;

impl Books {
    /// Books in memory that know of one order what they must have known for the recorded outcome.
    ///
    /// # Errors
    /// When what is recorded does not tell.
    pub fn in_shadow(recorded: &Recorded) -> Result<Self, BoxError> {
        is_told(recorded)?;
        let (order_id, then) = if let Some(order) = recorded.input::<OrderPlaced>()? {
            (order.order_id, before_charge(recorded, order.total_cents)?)
        } else if let Some(overdue) = recorded.input::<PaymentOverdue>()? {
            let declined = recorded.event::<PaymentDeclined>()?.is_some() || recorded.is_new();
            (overdue.order_id, if declined { new() } else { known("declined") })
        } else if let Some(rejected) = recorded.input::<StockRejected>()? {
            let then = match recorded.event::<PaymentRefunded>()? {
                Some(refunded) => Then::Known { state: "captured", captured_cents: refunded.amount_cents },
                None => new(),
            };
            (rejected.order_id, then)
        } else {
            return Err(format!("`{}` is not known to ask the payment books", recorded.handler()).into());
        };
        let fill = |tx: &Transaction<'_>| {
            create(tx)?;
            tx.execute("DELETE FROM cards", ())?;
            match then {
                Then::New { limit_cents } => tx.execute("INSERT INTO cards VALUES ('', ?)", [limit_cents])?,
                Then::Known { state, captured_cents } => tx.execute(
                    "INSERT INTO payments (order_id, state, captured_cents) VALUES (?, ?, ?)",
                    (order_id.as_str(), state, captured_cents),
                )?,
            };
            Ok(())
        };
        Ok(Self::of(Database::in_memory(fill)?))
    }
}

fn before_charge(recorded: &Recorded, total_cents: u64) -> Result<Then, BoxError> {
    if recorded.event::<PaymentCaptured>()?.is_some() {
        return Ok(new());
    }
    let limit = |limit_cents| Then::New { limit_cents };
    Ok(match recorded.event::<PaymentDeclined>()?.map(|declined| declined.reason) {
        Some(DeclineReason::CardBlocked) => limit(0),
        Some(DeclineReason::OverLimit) => limit(total_cents.saturating_sub(1).max(1)),
        Some(DeclineReason::OutOfStock) => known("voided"),
        // It had been declined as overdue, and the charge said nothing any more.
        Some(DeclineReason::Overdue) => known("overdue"),
        None if recorded.is_nothing() => known("overdue"),
        None => new(),
    })
}

fn new() -> Then {
    Then::New { limit_cents: ENOUGH_CENTS }
}

fn known(state: &'static str) -> Then {
    Then::Known { state, captured_cents: 0 }
}

#[cfg(test)]
mod tests {
    use laban::{Failure, State};

    use super::*;
    use crate::payment::{Rule, charge};
    use crate::samples::{captured, cause, declined, placed};

    /// What is declined under this rule if this came of it then; nothing when it is charged.
    async fn declined_under(rule: Rule, recorded: &Recorded) -> Option<DeclineReason> {
        let books = Books::in_shadow(recorded).unwrap().under(rule);
        match charge(placed(), State(books), cause()).await {
            Ok(charged) => {
                assert_eq!(charged, Some(captured()));
                None
            }
            Err(Failure::Event(declined)) => Some(declined.reason),
            Err(other) => panic!("{other}"),
        }
    }

    #[tokio::test]
    async fn another_rule_is_applied_to_what_the_bank_said() {
        let total_cents = placed().total_cents;
        let (as_it_was, strict) = (Rule { most_cents: total_cents }, Rule { most_cents: total_cents - 1 });
        let then = Recorded::test("charge", &placed(), captured()).unwrap();
        assert_eq!(declined_under(as_it_was, &then).await, None);
        assert_eq!(declined_under(strict, &then).await, Some(DeclineReason::OverLimit));
        // Whatever else it was declined for, it still is.
        use DeclineReason::{CardBlocked, OutOfStock, OverLimit};
        for reason in [CardBlocked, OverLimit, OutOfStock] {
            let then = Recorded::test("charge", &placed(), declined(reason)).unwrap();
            for rule in [as_it_was, strict] {
                assert_eq!(declined_under(rule, &then).await, Some(reason));
            }
        }
    }

    #[test]
    fn a_dead_letter_of_the_books_does_not_tell_what_they_held() {
        let then: Result<PaymentCaptured, Failure> = Err(Failure::reject("it is charged already"));
        let error = Books::in_shadow(&Recorded::test("charge", &placed(), then).unwrap()).unwrap_err();
        assert!(error.to_string().contains("it is charged already"), "{error}");
    }
}
