//! The inventory's books of a shadow: as they must have been for what is recorded to come of it.

use laban::{BoxError, Recorded};
use rusqlite::Transaction;

use super::Books;
use super::books::{items_of, set_state};
use crate::database::{Database, is_told};
use crate::events::{
    Item, OrderId, OrderPlaced, ParcelDispatched, PaymentDeclined, RejectReason, StockRejected, StockReleased,
};

/// What the books held of one order, and of its goods.
#[derive(Default)]
struct Then {
    /// What became of the order's goods before.
    state: Option<&'static str>,
    /// Goods on hand.
    stock: Vec<Item>,
    /// Goods set aside for the order.
    reserved: Vec<Item>,
}

impl Books {
    /// Books in memory that know of one order, and of its goods, what they must have known for the recorded outcome.
    ///
    /// # Errors
    /// When what is recorded does not tell.
    pub fn in_shadow(recorded: &Recorded) -> Result<Self, BoxError> {
        is_told(recorded)?;
        let (order_id, then) = if let Some(order) = recorded.input::<OrderPlaced>()? {
            let then = before_reserve(recorded, items_of(&order.lines))?;
            (order.order_id, then)
        } else if let Some(declined) = recorded.input::<PaymentDeclined>()? {
            let released = recorded.event::<StockReleased>()?;
            (declined.order_id, released.map(|released| reserved(released.items)).unwrap_or_default())
        } else if let Some(dispatched) = recorded.input::<ParcelDispatched>()? {
            (dispatched.order_id, reserved(dispatched.items))
        } else {
            return Err(format!("`{}` is not known to ask the inventory's books", recorded.handler()).into());
        };
        Ok(Self(Database::in_memory(|tx| then.fill(tx, &order_id))?))
    }
}

fn before_reserve(recorded: &Recorded, wanted: Vec<Item>) -> Result<Then, BoxError> {
    let Some(StockRejected { reason, missing, .. }) = recorded.event::<StockRejected>()? else {
        return Ok(Then { stock: wanted, ..Then::default() });
    };
    if reason == RejectReason::PaymentDeclined {
        return Ok(Then { state: Some("voided"), ..Then::default() });
    }
    let short = |item: Item| {
        let missing = missing.iter().find(|missing| missing.sku == item.sku);
        Item { quantity: missing.map_or(item.quantity, |missing| missing.available), ..item }
    };
    Ok(Then { stock: wanted.into_iter().map(short).collect(), ..Then::default() })
}

fn reserved(items: Vec<Item>) -> Then {
    Then { state: Some("reserved"), stock: items.clone(), reserved: items }
}

impl Then {
    fn fill(&self, tx: &Transaction<'_>, order_id: &OrderId) -> rusqlite::Result<()> {
        tx.execute_batch(include_str!("books.sql"))?;
        if let Some(state) = self.state {
            set_state(tx, order_id, state)?;
        }
        for Item { sku, quantity } in &self.stock {
            tx.execute("INSERT INTO stock (sku, seeded, on_hand) VALUES (?1, ?2, ?2)", (sku, quantity))?;
        }
        for Item { sku, quantity } in &self.reserved {
            tx.execute("UPDATE stock SET reserved = reserved + ? WHERE sku = ?", (quantity, sku))?;
            tx.execute("INSERT INTO reservations VALUES (?, ?, ?)", (order_id.as_str(), sku, quantity))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use laban::{Failure, State};

    use super::*;
    use crate::events::Missing;
    use crate::inventory::reserve;
    use crate::samples::{cause, placed, rejected};

    #[tokio::test]
    async fn goods_that_were_short_are_as_short_again() {
        let missing = vec![Missing { sku: "mug".into(), wanted: 2, available: 1 }];
        let then = StockRejected { missing, ..rejected(RejectReason::OutOfStock) };
        let books = Books::in_shadow(&Recorded::test("reserve", &placed(), then.clone()).unwrap()).unwrap();
        let Err(Failure::Event(now)) = reserve(placed(), State(books), cause()).await else {
            panic!("it was reserved");
        };
        assert_eq!(now, then);
    }
}
