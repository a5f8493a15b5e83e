//! Notification keeps customers informed. It emits nothing: what it does is write letters.

mod outbox;

use laban::{Cause, Event, Failure, Service, State};

use crate::events::{
    CancelReason, Item, OrderCancelled, OrderCompleted, OrderId, OrderPlaced, ParcelDispatched,
    PaymentRefunded,
};
use crate::settings::{OF_BOOKS, Settings, told_of};

pub use outbox::{Letter, Outbox, letters};

/// The service.
pub fn service(outbox: Outbox) -> Service {
    reacting().state(outbox)
}

fn reacting() -> Service {
    Service::new("notification")
        .version(env!("CARGO_PKG_VERSION"))
        .on(tell)
        .state_in_shadow(Outbox::in_shadow)
}

/// Runs the service until it is told to stop, then drains.
///
/// # Errors
/// When the outbox cannot be opened, the service does not start, or the drain does not finish in time.
pub async fn run(settings: &Settings) -> laban::Result<()> {
    let settings = settings.clone();
    // Opened when it starts: what is asked on the command line needs none.
    told_of(reacting(), &OF_BOOKS).state_with(async move || Outbox::open(&settings)).run().await
}

/// What customers want to know.
#[derive(Clone, Debug, Event)]
pub enum News {
    /// We have the order.
    Placed(OrderPlaced),
    /// The parcel is on its way.
    Dispatched(ParcelDispatched),
    /// The money is on its way back.
    Refunded(PaymentRefunded),
    /// All is done.
    Completed(OrderCompleted),
    /// Nothing comes of it.
    Cancelled(OrderCancelled),
}

/// Write the customer a letter.
pub async fn tell(news: News, outbox: State<Outbox>, cause: Cause) -> Result<(), Failure> {
    let (order_id, letter) = news.letter();
    Ok(outbox.put(cause.idempotency_key, &order_id, letter).await?)
}

impl News {
    fn letter(self) -> (OrderId, Letter) {
        let (order_id, customer, subject, text) = match self {
            Self::Placed(OrderPlaced { order_id, customer, total_cents, .. }) => {
                (order_id, customer, "placed", format!("Thank you for your order of {}.", money(total_cents)))
            }
            Self::Dispatched(ParcelDispatched { order_id, customer, items }) => {
                (order_id, customer, "dispatched", format!("On its way to you: {}.", list(&items)))
            }
            Self::Refunded(PaymentRefunded { order_id, customer, amount_cents }) => (
                order_id,
                customer,
                "refunded",
                format!("You have {} back on your card.", money(amount_cents)),
            ),
            Self::Completed(OrderCompleted { order_id, customer }) => {
                (order_id, customer, "completed", "Your order is complete. Enjoy!".to_owned())
            }
            Self::Cancelled(OrderCancelled { order_id, customer, reason }) => {
                let why = match reason {
                    CancelReason::PaymentDeclined => "your card was declined",
                    CancelReason::PaymentOverdue => "your bank did not answer in time",
                    CancelReason::OutOfStock => "we do not have what you ordered",
                };
                (order_id, customer, "cancelled", format!("We are sorry: {why}."))
            }
        };
        let letter = Letter { order_id: order_id.to_string(), customer, subject: subject.to_owned(), text };
        (order_id, letter)
    }
}

fn money(cents: u64) -> String {
    format!("€{}.{:02}", cents / 100, cents % 100)
}

fn list(items: &[Item]) -> String {
    let items: Vec<_> = items.iter().map(|item| format!("{} × {}", item.quantity, item.sku)).collect();
    items.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{cancelled, cause, completed, dispatched, placed, refunded};

    #[tokio::test]
    async fn each_piece_of_news_is_one_letter() {
        let outbox = Outbox::in_memory();
        for news in [
            News::Placed(placed()),
            News::Dispatched(dispatched()),
            News::Refunded(refunded()),
            News::Completed(completed()),
            News::Cancelled(cancelled(CancelReason::OutOfStock)),
        ] {
            let cause = cause();
            for _ in 0..2 {
                tell(news.clone(), State(outbox.clone()), cause.clone()).await.unwrap();
            }
        }
        let letters = outbox.letters().await;
        assert!(
            letters.iter().all(|letter| letter.customer == placed().customer && letter.order_id == "4711")
        );
        let texts: Vec<_> =
            letters.iter().map(|letter| (letter.subject.as_str(), letter.text.as_str())).collect();
        assert_eq!(
            texts,
            [
                ("placed", "Thank you for your order of €147.00."),
                ("dispatched", "On its way to you: 1 × grinder, 2 × mug."),
                ("refunded", "You have €147.00 back on your card."),
                ("completed", "Your order is complete. Enjoy!"),
                ("cancelled", "We are sorry: we do not have what you ordered."),
            ]
        );
    }
}
