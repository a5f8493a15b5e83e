//! The end of an order: completed or cancelled, once, in whatever order the news comes in.

use laban::{BoxError, Event, Flow, FlowState, Record};

use crate::events::{
    CancelReason, OrderCancelled, OrderCompleted, OrderId, ParcelDispatched, PaymentDeclined,
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
    standing.note(report.fact());
    let verdict = standing.verdict()?;
    let (order_id, customer) = report.order();
    Some(match verdict {
        Verdict::Completed => Ending::Completed(OrderCompleted { order_id, customer }),
        Verdict::Cancelled(reason) => Ending::Cancelled(OrderCancelled { order_id, customer, reason }),
    })
}

impl Report {
    /// What it says, in a word.
    pub fn fact(&self) -> Fact {
        match self {
            Self::Declined(_) => Fact::Declined,
            Self::Refunded(_) => Fact::Refunded,
            Self::Rejected(rejected) => Fact::Rejected(rejected.reason),
            Self::Released(_) => Fact::Released,
            Self::Dispatched(_) => Fact::Dispatched,
        }
    }

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

/// One thing known about an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// No money was taken.
    Declined,
    /// The money was given back.
    Refunded,
    /// No goods were set aside.
    Rejected(RejectReason),
    /// The goods were put back.
    Released,
    /// The goods are on their way.
    Dispatched,
    /// This service said how the order ended.
    Ended,
}

/// Where an order stands: all facts known about it. Their order does not matter.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    declined: bool,
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
    /// Adds a fact.
    pub fn note(&mut self, fact: Fact) {
        match fact {
            Fact::Declined => self.declined = true,
            Fact::Refunded => self.refunded = true,
            Fact::Rejected(reason) => self.rejected = Some(reason),
            Fact::Released => self.released = true,
            Fact::Dispatched => self.dispatched = true,
            Fact::Ended => self.ended = true,
        }
    }

    /// How the order ends, if that is decided now and was not before.
    fn verdict(&self) -> Option<Verdict> {
        let no_money_kept = self.declined || self.refunded;
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

    /// What came first: the goods were missing, or the card was declined.
    fn reason(&self) -> CancelReason {
        match self.rejected {
            Some(RejectReason::OutOfStock) => CancelReason::OutOfStock,
            Some(RejectReason::PaymentDeclined) | None => CancelReason::PaymentDeclined,
        }
    }
}

impl FlowState for Standing {
    fn apply(&mut self, record: &Record) -> Result<(), BoxError> {
        if record.handled::<PaymentDeclined>() {
            self.note(Fact::Declined);
        }
        if record.handled::<PaymentRefunded>() {
            self.note(Fact::Refunded);
        }
        if let Some(rejected) = record.input::<StockRejected>()? {
            self.note(Fact::Rejected(rejected.reason));
        }
        if record.handled::<StockReleased>() {
            self.note(Fact::Released);
        }
        if record.handled::<ParcelDispatched>() {
            self.note(Fact::Dispatched);
        }
        if record.emitted::<OrderCompleted>()?.is_some() || record.emitted::<OrderCancelled>()?.is_some() {
            self.note(Fact::Ended);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::DeclineReason;
    use crate::samples::{cancelled, completed, declined, dispatched, refunded, rejected, released};

    /// All that comes of these reports in this order.
    async fn endings(reports: &[Report]) -> Vec<Ending> {
        let mut standing = Standing::default();
        let mut endings = Vec::new();
        for report in reports {
            let ending = close(report.clone(), Flow(standing.clone())).await;
            standing.note(report.fact());
            if let Some(ending) = ending {
                standing.note(Fact::Ended);
                endings.push(ending);
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
