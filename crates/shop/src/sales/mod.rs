//! Sales keeps a report: what each customer ordered, paid and got back. A read model: it takes part in no order, and all that
//! it knows can be had again from the streams.
//!
//! Its handler gives up the fence. What makes an entry happen once is the event's key, which is written in one transaction
//! with the sums. So the report can be thrown away and built anew by a replay, while orders go on.

mod report;

use laban::{Cause, Event, Failure, Handler as _, Service, State};

use crate::events::{OrderCancelled, OrderCompleted, OrderId, OrderPlaced, PaymentCaptured, PaymentRefunded};
use crate::settings::{OF_BOOKS, Settings, told_of};

pub use report::{CustomerSales, Report, sales};

/// The service.
pub fn service(report: Report) -> Service {
    reacting().state(report)
}

fn reacting() -> Service {
    Service::new("sales").version(env!("CARGO_PKG_VERSION")).on(enter.at_least_once())
}

/// Runs the service until it is told to stop, then drains.
///
/// # Errors
/// When the report cannot be opened, the service does not start, or the drain does not finish in time.
pub async fn run(settings: &Settings) -> laban::Result<()> {
    let settings = settings.clone();
    // Opened when it starts: what is asked on the command line needs none.
    told_of(reacting(), &OF_BOOKS).state_with(async move || Report::open(&settings)).run().await
}

/// What changes the report.
#[derive(Clone, Debug, Event)]
pub enum Sale {
    /// Somebody ordered.
    Placed(OrderPlaced),
    /// Money came in.
    Captured(PaymentCaptured),
    /// Money went back.
    Refunded(PaymentRefunded),
    /// An order ended well.
    Completed(OrderCompleted),
    /// An order came to nothing.
    Cancelled(OrderCancelled),
}

/// Enter it into the report, once, in whatever order it comes.
pub async fn enter(sale: Sale, report: State<Report>, cause: Cause) -> Result<(), Failure> {
    let (order_id, more) = sale.sums();
    Ok(report.add(cause.idempotency_key, &order_id, more).await?)
}

impl Sale {
    /// What is added to the sums of its customer.
    fn sums(self) -> (OrderId, CustomerSales) {
        let of = |customer| CustomerSales { customer, ..CustomerSales::default() };
        match self {
            Self::Placed(OrderPlaced { order_id, customer, total_cents, .. }) => {
                (order_id, CustomerSales { orders: 1, ordered_cents: total_cents, ..of(customer) })
            }
            Self::Captured(PaymentCaptured { order_id, customer, amount_cents }) => {
                (order_id, CustomerSales { captured_cents: amount_cents, ..of(customer) })
            }
            Self::Refunded(PaymentRefunded { order_id, customer, amount_cents }) => {
                (order_id, CustomerSales { refunded_cents: amount_cents, ..of(customer) })
            }
            Self::Completed(OrderCompleted { order_id, customer }) => {
                (order_id, CustomerSales { completed: 1, ..of(customer) })
            }
            Self::Cancelled(OrderCancelled { order_id, customer, .. }) => {
                (order_id, CustomerSales { cancelled: 1, ..of(customer) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::CancelReason;
    use crate::samples;

    /// Each event in whatever order, each as often as a replay may hand it over.
    #[tokio::test]
    async fn the_sums_are_the_same_in_any_order_and_however_often() {
        let story = [
            Sale::Placed(samples::placed()),
            Sale::Captured(samples::captured()),
            Sale::Refunded(samples::refunded()),
            Sale::Cancelled(samples::cancelled(CancelReason::OutOfStock)),
        ];
        let story = story.map(|sale| (sale, samples::cause()));
        for _ in 0..20 {
            let report = Report::in_memory();
            let mut dealt: Vec<_> = story.iter().chain(&story).chain(&story).collect();
            fastrand::shuffle(&mut dealt);
            for (sale, cause) in dealt {
                enter(sale.clone(), State(report.clone()), cause.clone()).await.unwrap();
            }
            let wanted = CustomerSales {
                customer: samples::placed().customer,
                orders: 1,
                ordered_cents: 14_700,
                captured_cents: 14_700,
                refunded_cents: 14_700,
                completed: 0,
                cancelled: 1,
            };
            assert_eq!(report.sales().await, [wanted]);
        }
    }
}
