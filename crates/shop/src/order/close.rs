//! The end of an order: completed or cancelled, once, in whatever order the news comes in.

use laban::{BoxError, Event, Flow, FlowState, Record};

use crate::events::{
    CancelReason, DeclineReason, OrderCancelled, OrderCompleted, OrderId, ParcelDispatched, PaymentDeclined,
    PaymentRefunded, RejectReason, StockRejected, StockReleased,
};

/// What the others report about an order.
#[derive(Clone, Debug, Event)]
pub enum Report {
    /// No money was taken.
    Declined(PaymentDeclined),
    /// The money was given back.
    Refunded(PaymentRefunded),
    /// No goods were set aside.
    Rejected(StockRejected),
    /// The goods were put back.
    Released(StockReleased),
    /// The goods are on their way.
    Dispatched(ParcelDispatched),
}

/// How an order ends.
#[derive(Clone, Debug, PartialEq, Eq, Event)]
pub enum Ending {
    /// Well.
    Completed(OrderCompleted),
    /// With everything undone.
    Cancelled(OrderCancelled),
}

/// End the order with the report that decides it.
///
/// A report that does not decide it yet is remembered, as every reaction is: the service's own records are its memory.
pub async fn close(report: Report, so_far: Flow<Standing>) -> Option<Ending> {
    let mut standing = so_far.0;
    standing.note(&report);
    let verdict = standing.verdict()?;
    let (order_id, customer) = report.order();
    Some(match verdict {
        Verdict::Completed => Ending::Completed(OrderCompleted { order_id, customer }),
        Verdict::Cancelled(reason) => Ending::Cancelled(OrderCancelled { order_id, customer, reason }),
    })
}

impl Report {
    fn order(self) -> (OrderId, String) {
        match self {
            Self::Declined(event) => (event.order_id, event.customer),
            Self::Refunded(event) => (event.order_id, event.customer),
            Self::Rejected(event) => (event.order_id, event.customer),
            Self::Released(event) => (event.order_id, event.customer),
            Self::Dispatched(event) => (event.order_id, event.customer),
        }
    }
}

/// Where an order stands: all that was reported about it, in whatever order.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    declined: Option<DeclineReason>,
    refunded: bool,
    rejected: Option<RejectReason>,
    released: bool,
    dispatched: bool,
    ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Completed,
    Cancelled(CancelReason),
}

impl Standing {
    fn note(&mut self, report: &Report) {
        match report {
            Report::Declined(declined) => self.declined = Some(declined.reason),
            Report::Refunded(_) => self.refunded = true,
            Report::Rejected(rejected) => self.rejected = Some(rejected.reason),
            Report::Released(_) => self.released = true,
            Report::Dispatched(_) => self.dispatched = true,
        }
    }

    /// How the order ends, if that is decided now and was not before.
    fn verdict(&self) -> Option<Verdict> {
        let no_money_kept = self.declined.is_some() || self.refunded;
        let no_goods_held = self.rejected.is_some() || self.released;
        if self.ended {
            None
        } else if self.dispatched {
            Some(Verdict::Completed)
        } else if no_money_kept && no_goods_held {
            Some(Verdict::Cancelled(self.reason()))
        } else {
            None
        }
    }

    /// What came first: the goods were missing, or the card was not charged.
    fn reason(&self) -> CancelReason {
        match (self.rejected, self.declined) {
            (Some(RejectReason::OutOfStock), _) => CancelReason::OutOfStock,
            (_, Some(DeclineReason::Overdue)) => CancelReason::PaymentOverdue,
            _ => CancelReason::PaymentDeclined,
        }
    }
}

impl FlowState for Standing {
    fn apply(&mut self, record: &Record) -> Result<(), BoxError> {
        // The report that ends an order is not kept; the ending is, and after it no report matters.
        if let Some(report) = record.input::<Report>()? {
            self.note(&report);
        }
        self.ended |= record.has_emitted::<OrderCompleted>() || record.has_emitted::<OrderCancelled>();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{
        cancelled, completed, declined, dispatched, emitted, placed, refunded, rejected, released, so_far,
    };

    /// All that comes of these reports in this order.
    async fn endings(reports: &[Report]) -> Vec<Ending> {
        let mut records = vec![emitted(&placed())];
        let mut endings = Vec::new();
        for report in reports {
            match close(report.clone(), so_far(&records)).await {
                None => records.push(report.handled()),
                Some(ending) => {
                    records.push(ending.emitted());
                    endings.push(ending);
                }
            }
        }
        endings
    }

    fn permutations(reports: &[Report]) -> Vec<Vec<Report>> {
        if reports.is_empty() {
            return vec![vec![]];
        }
        let mut all = Vec::new();
        for i in 0..reports.len() {
            let mut rest = reports.to_vec();
            let first = rest.remove(i);
            all.extend(permutations(&rest).into_iter().map(|mut tail| {
                tail.insert(0, first.clone());
                tail
            }));
        }
        all
    }

    async fn ends_once(reports: &[Report], ending: Ending) {
        let once = vec![ending];
        for order in permutations(reports) {
            assert_eq!(endings(&order).await, once, "{order:?}");
            // A report told twice is no news.
            let twice: Vec<_> = order.iter().flat_map(|report| [report.clone(), report.clone()]).collect();
            assert_eq!(endings(&twice).await, once, "{twice:?}");
            // And nothing is decided before the last word that is needed.
            assert_eq!(endings(&order[..order.len() - 1]).await, [], "{order:?}");
        }
    }

    #[tokio::test]
    async fn a_dispatched_order_is_completed() {
        ends_once(&[Report::Dispatched(dispatched())], Ending::Completed(completed())).await;
    }

    #[tokio::test]
    async fn a_declined_order_is_cancelled_when_its_goods_are_put_back() {
        let reports = [Report::Declined(declined(DeclineReason::CardBlocked)), Report::Released(released())];
        ends_once(&reports, Ending::Cancelled(cancelled(CancelReason::PaymentDeclined))).await;
    }

    #[tokio::test]
    async fn a_declined_order_is_cancelled_when_its_goods_were_never_set_aside() {
        let reports = [
            Report::Declined(declined(DeclineReason::CardBlocked)),
            Report::Rejected(rejected(RejectReason::PaymentDeclined)),
        ];
        ends_once(&reports, Ending::Cancelled(cancelled(CancelReason::PaymentDeclined))).await;
    }

    #[tokio::test]
    async fn an_order_whose_bank_did_not_answer_is_cancelled_for_that() {
        let reports = [Report::Declined(declined(DeclineReason::Overdue)), Report::Released(released())];
        ends_once(&reports, Ending::Cancelled(cancelled(CancelReason::PaymentOverdue))).await;
    }

    #[tokio::test]
    async fn an_order_out_of_stock_is_cancelled_when_its_money_is_given_back() {
        let reports = [Report::Rejected(rejected(RejectReason::OutOfStock)), Report::Refunded(refunded())];
        ends_once(&reports, Ending::Cancelled(cancelled(CancelReason::OutOfStock))).await;
    }

    #[tokio::test]
    async fn an_order_out_of_stock_is_cancelled_when_its_money_was_never_taken() {
        let reports = [
            Report::Rejected(rejected(RejectReason::OutOfStock)),
            Report::Declined(declined(DeclineReason::OutOfStock)),
        ];
        ends_once(&reports, Ending::Cancelled(cancelled(CancelReason::OutOfStock))).await;
    }

    #[tokio::test]
    async fn an_order_with_both_a_bad_card_and_missing_goods_is_cancelled() {
        let reports = [
            Report::Declined(declined(DeclineReason::CardBlocked)),
            Report::Rejected(rejected(RejectReason::OutOfStock)),
        ];
        ends_once(&reports, Ending::Cancelled(cancelled(CancelReason::OutOfStock))).await;
    }
}
