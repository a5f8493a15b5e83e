//! Shipping sends a parcel when its goods are both paid and reserved.

use laban::{BoxError, Event, Flow, FlowState, Record, Service};

use crate::events::{Item, OrderCancelled, ParcelDispatched, PaymentCaptured, StockReserved};

/// The service. It has no database: what it knows of an order, its own records of the flow say.
pub fn service() -> Service {
    Service::new("shipping").on(dispatch).on(call_off)
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
    let (order_id, customer) = match half {
        Half::Paid(captured) => {
            parcel.paid = true;
            (captured.order_id, captured.customer)
        }
        Half::Reserved(reserved) => {
            parcel.items = Some(reserved.items);
            (reserved.order_id, reserved.customer)
        }
    };
    let items = parcel.ready()?;
    Some(ParcelDispatched { order_id, customer, items })
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
    /// What to send now, if all is there and it was not sent before.
    fn ready(self) -> Option<Vec<Item>> {
        self.items.filter(|_| self.paid && !self.dispatched)
    }
}

impl FlowState for Parcel {
    fn apply(&mut self, record: &Record) -> Result<(), BoxError> {
        self.paid |= record.handled::<PaymentCaptured>();
        if let Some(reserved) = record.input::<StockReserved>()? {
            self.items = Some(reserved.items);
        }
        self.dispatched |= record.emitted::<ParcelDispatched>()?.is_some();
        Ok(())
    }
}

#[cfg(test)]
impl Parcel {
    /// As [`FlowState::apply`] does from the record of this half's handling.
    pub(crate) fn note(&mut self, half: &Half, outcome: Option<&ParcelDispatched>) {
        match half {
            Half::Paid(_) => self.paid = true,
            Half::Reserved(reserved) if outcome.is_none() => self.items = Some(reserved.items.clone()),
            Half::Reserved(_) => {}
        }
        self.dispatched |= outcome.is_some();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::CancelReason;
    use crate::samples::{cancelled, captured, dispatched, reserved};

    #[tokio::test]
    async fn the_second_half_sends_the_parcel_whichever_it_is() {
        let halves = [Half::Paid(captured()), Half::Reserved(reserved())];
        for [first, second] in [halves.clone(), [halves[1].clone(), halves[0].clone()]] {
            let mut parcel = Parcel::default();
            let outcome = dispatch(first.clone(), Flow(parcel.clone())).await;
            assert_eq!(outcome, None);
            parcel.note(&first, None);
            assert_eq!(dispatch(second, Flow(parcel)).await, Some(dispatched()));
        }
    }

    #[tokio::test]
    async fn one_half_twice_is_not_a_whole() {
        for half in [Half::Paid(captured()), Half::Reserved(reserved())] {
            let mut parcel = Parcel::default();
            parcel.note(&half, None);
            assert_eq!(dispatch(half, Flow(parcel)).await, None);
        }
    }

    #[tokio::test]
    async fn a_parcel_is_sent_once() {
        let (first, second) = (Half::Reserved(reserved()), Half::Paid(captured()));
        let mut parcel = Parcel::default();
        parcel.note(&first, None);
        parcel.note(&second, Some(&dispatched()));
        for again in [first, second] {
            assert_eq!(dispatch(again, Flow(parcel.clone())).await, None);
        }
    }

    #[tokio::test]
    async fn calling_off_emits_nothing() {
        call_off(cancelled(CancelReason::OutOfStock), Flow::default()).await;
    }
}
