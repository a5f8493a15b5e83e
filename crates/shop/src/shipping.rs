//! Shipping sends a parcel when its goods are both paid and reserved.

use laban::{BoxError, Event, Flow, FlowState, Record, Service};

use crate::events::{Item, OrderCancelled, OrderId, ParcelDispatched, PaymentCaptured, StockReserved};

/// The service. It has no database: what it knows of an order, its own records of the flow say.
pub fn service() -> Service {
    Service::new("shipping").version(env!("CARGO_PKG_VERSION")).on(dispatch).on(call_off)
}

/// Runs the service until it is told to stop, then drains.
///
/// # Errors
/// When the service does not start, or the drain does not finish in time.
pub async fn run() -> laban::Result<()> {
    service().run().await
}

/// One half of what a parcel waits for.
#[derive(Clone, Debug, Event)]
pub enum Half {
    /// The money is there.
    Paid(PaymentCaptured),
    /// The goods are there.
    Reserved(StockReserved),
}

/// Send the parcel when the second half comes, whichever that is.
pub async fn dispatch(half: Half, parcel: Flow<Parcel>) -> Option<ParcelDispatched> {
    let mut parcel = parcel.0;
    parcel.add(&half);
    let items = parcel.ready()?;
    let (order_id, customer) = half.order();
    Some(ParcelDispatched { order_id, customer, items })
}

impl Half {
    fn order(self) -> (OrderId, String) {
        match self {
            Self::Paid(event) => (event.order_id, event.customer),
            Self::Reserved(event) => (event.order_id, event.customer),
        }
    }
}

/// The order ended without a parcel: nothing is waited for any more.
pub async fn call_off(cancelled: OrderCancelled, parcel: Flow<Parcel>) {
    let OrderCancelled { order_id, .. } = cancelled;
    let Parcel { paid, items, .. } = &parcel.0;
    tracing::info!(%order_id, paid, reserved = items.is_some(), "parcel called off");
}

/// What shipping knows of a parcel.
#[derive(Clone, Debug, Default)]
pub struct Parcel {
    paid: bool,
    /// What is to go into it, once that is set aside.
    items: Option<Vec<Item>>,
    dispatched: bool,
}

impl Parcel {
    fn add(&mut self, half: &Half) {
        match half {
            Half::Paid(_) => self.paid = true,
            Half::Reserved(reserved) => self.items = Some(reserved.items.clone()),
        }
    }

    /// What to send now, if all is there and it was not sent before.
    fn ready(self) -> Option<Vec<Item>> {
        self.items.filter(|_| self.paid && !self.dispatched)
    }
}

impl FlowState for Parcel {
    fn apply(&mut self, record: &Record) -> Result<(), BoxError> {
        // The half that completes a parcel is not kept; the parcel is, and after it no half matters.
        if let Some(half) = record.input::<Half>()? {
            self.add(&half);
        }
        self.dispatched |= record.has_emitted::<ParcelDispatched>();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::CancelReason;
    use crate::samples::{cancelled, captured, dispatched, emitted, handled, reserved, so_far};

    fn halves() -> [Half; 2] {
        [Half::Paid(captured()), Half::Reserved(reserved())]
    }

    #[tokio::test]
    async fn the_second_half_sends_the_parcel_whichever_it_is() {
        let [paid, reserved] = halves();
        for [first, second] in [[paid.clone(), reserved.clone()], [reserved, paid]] {
            assert_eq!(dispatch(first.clone(), so_far(&[])).await, None);
            assert_eq!(dispatch(second, so_far(&[first.handled()])).await, Some(dispatched()));
        }
    }

    #[tokio::test]
    async fn one_half_twice_is_not_a_whole() {
        for half in halves() {
            assert_eq!(dispatch(half.clone(), so_far(&[half.handled()])).await, None);
        }
    }

    #[tokio::test]
    async fn a_parcel_is_sent_once() {
        for first in halves() {
            let records = [first.handled(), emitted(&dispatched())];
            for again in halves() {
                assert_eq!(dispatch(again, so_far(&records)).await, None);
            }
        }
    }

    #[tokio::test]
    async fn a_parcel_that_was_called_off_still_waits_for_both_halves() {
        let records = [handled(&cancelled(CancelReason::OutOfStock))];
        for half in halves() {
            assert_eq!(dispatch(half, so_far(&records)).await, None);
        }
    }

    #[tokio::test]
    async fn calling_off_emits_nothing() {
        call_off(cancelled(CancelReason::OutOfStock), so_far(&[halves()[0].handled()])).await;
    }
}
