//! The inventory's books: what is in the warehouse, and what became of each order's goods.

use std::collections::BTreeMap;
use std::path::Path;

use laban::EventId;
use rusqlite::types::{FromSql, FromSqlResult, ValueRef};
use rusqlite::{Connection, OptionalExtension as _, Transaction};
use serde::{Deserialize, Serialize};

use super::CATALOGUE;
use crate::database::{BooksError, Database, open_to_read, unknown_state};
use crate::events::{Item, Line, Missing, OrderId, RejectReason};
use crate::settings::Settings;

const NAME: &str = "inventory";

/// The inventory's books.
#[derive(Clone, Debug)]
pub struct Books(pub(super) Database);

/// What came of a reservation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reserve {
    /// All of it was set aside.
    Reserved(Vec<Item>),
    /// Nothing was.
    Rejected {
        /// Why.
        reason: RejectReason,
        /// What there is not enough of.
        missing: Vec<Missing>,
    },
}

impl Books {
    /// Opens `inventory.db` in the folder of the books. A new one holds the [`CATALOGUE`].
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(settings: &Settings) -> laban::Result<Self> {
        Database::open(settings, NAME, create).map(Self)
    }

    /// Sets aside what an order needs, all of it or nothing, once.
    ///
    /// # Errors
    /// When goods were set aside for the order under another key, or the books cannot be written.
    pub async fn reserve(
        &self,
        key: EventId,
        order_id: &OrderId,
        lines: &[Line],
    ) -> Result<Reserve, BooksError> {
        let (order, items) = (order_id.clone(), items_of(lines));
        self.0.enter(key, "reserve", order_id, move |tx| reserve(tx, &order, items)).await
    }

    /// Puts back what was set aside for an order, once; `None` when nothing was. An order for which nothing was set aside yet is
    /// voided.
    ///
    /// # Errors
    /// When the goods are shipped or were put back under another key, or the books cannot be written.
    pub async fn release(&self, key: EventId, order_id: &OrderId) -> Result<Option<Vec<Item>>, BooksError> {
        let order = order_id.clone();
        self.0.enter(key, "release", order_id, move |tx| release(tx, &order)).await
    }

    /// Takes what was set aside for an order off the shelves, once.
    ///
    /// # Errors
    /// When nothing is set aside for the order, or the books cannot be written.
    pub async fn ship(&self, key: EventId, order_id: &OrderId) -> Result<(), BooksError> {
        let order = order_id.clone();
        self.0.enter(key, "ship", order_id, move |tx| ship(tx, &order)).await
    }
}

/// Lines of the same goods are one item.
pub(super) fn items_of(lines: &[Line]) -> Vec<Item> {
    let mut quantities = BTreeMap::<&str, u64>::new();
    for line in lines {
        *quantities.entry(&line.sku).or_default() += u64::from(line.quantity);
    }
    quantities.into_iter().map(|(sku, quantity)| Item { sku: sku.to_owned(), quantity }).collect()
}

fn reserve(tx: &Transaction<'_>, order_id: &OrderId, items: Vec<Item>) -> Result<Reserve, BooksError> {
    let reserve = match state_of(tx, order_id)? {
        None => match missing_of(tx, &items)? {
            missing if missing.is_empty() => Reserve::Reserved(items),
            missing => Reserve::Rejected { reason: RejectReason::OutOfStock, missing },
        },
        Some(ReservationState::Voided) => {
            Reserve::Rejected { reason: RejectReason::PaymentDeclined, missing: Vec::new() }
        }
        Some(state) => return Err(contradiction(order_id, "reserved", state)),
    };
    match &reserve {
        Reserve::Rejected { .. } => set_state(tx, order_id, "rejected")?,
        Reserve::Reserved(items) => {
            set_state(tx, order_id, "reserved")?;
            for Item { sku, quantity } in items {
                tx.execute("UPDATE stock SET reserved = reserved + ? WHERE sku = ?", (quantity, sku))?;
                tx.execute("INSERT INTO reservations VALUES (?, ?, ?)", (order_id.as_str(), sku, quantity))?;
            }
        }
    }
    Ok(reserve)
}

/// What there is not enough of.
fn missing_of(tx: &Transaction<'_>, items: &[Item]) -> rusqlite::Result<Vec<Missing>> {
    let mut missing = Vec::new();
    for Item { sku, quantity } in items {
        let free =
            tx.query_row("SELECT on_hand - reserved FROM stock WHERE sku = ?", [sku], |row| row.get(0));
        let available = free.optional()?.unwrap_or(0);
        if *quantity > available {
            missing.push(Missing { sku: sku.clone(), wanted: *quantity, available });
        }
    }
    Ok(missing)
}

fn release(tx: &Transaction<'_>, order_id: &OrderId) -> Result<Option<Vec<Item>>, BooksError> {
    match state_of(tx, order_id)? {
        None => {
            set_state(tx, order_id, "voided")?;
            Ok(None)
        }
        Some(ReservationState::Rejected) => Ok(None),
        Some(ReservationState::Reserved) => {
            let items = reserved_for(tx, order_id)?;
            for Item { sku, quantity } in &items {
                tx.execute("UPDATE stock SET reserved = reserved - ? WHERE sku = ?", (quantity, sku))?;
            }
            set_state(tx, order_id, "released")?;
            Ok(Some(items))
        }
        Some(state) => Err(contradiction(order_id, "released", state)),
    }
}

fn ship(tx: &Transaction<'_>, order_id: &OrderId) -> Result<(), BooksError> {
    match state_of(tx, order_id)? {
        Some(ReservationState::Reserved) => {
            for Item { sku, quantity } in reserved_for(tx, order_id)? {
                tx.execute(
                    "UPDATE stock SET reserved = reserved - ?1, on_hand = on_hand - ?1, shipped = shipped + ?1 WHERE sku = ?2",
                    (quantity, sku),
                )?;
            }
            Ok(set_state(tx, order_id, "shipped")?)
        }
        Some(state) => Err(contradiction(order_id, "shipped", state)),
        None => {
            Err(BooksError::contradiction(order_id, "to be shipped, but nothing was ever reserved for it"))
        }
    }
}

fn contradiction(order_id: &OrderId, asked: &str, state: ReservationState) -> BooksError {
    BooksError::contradiction(order_id, format!("its goods are to be {asked}, but they are {state:?}"))
}

fn state_of(tx: &Transaction<'_>, order_id: &OrderId) -> rusqlite::Result<Option<ReservationState>> {
    tx.query_row("SELECT state FROM orders WHERE order_id = ?", [order_id.as_str()], |row| row.get(0))
        .optional()
}

pub(super) fn set_state(tx: &Transaction<'_>, order_id: &OrderId, state: &str) -> rusqlite::Result<()> {
    let upsert =
        "INSERT INTO orders VALUES (?, ?) ON CONFLICT (order_id) DO UPDATE SET state = excluded.state";
    tx.execute(upsert, (order_id.as_str(), state)).map(drop)
}

fn reserved_for(tx: &Transaction<'_>, order_id: &OrderId) -> rusqlite::Result<Vec<Item>> {
    let mut query = tx.prepare("SELECT sku, quantity FROM reservations WHERE order_id = ? ORDER BY sku")?;
    let items =
        query.query_map([order_id.as_str()], |row| Ok(Item { sku: row.get(0)?, quantity: row.get(1)? }))?;
    items.collect()
}

/// What became of an order's goods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReservationState {
    /// They are set aside.
    Reserved,
    /// There were not enough, or nobody pays.
    Rejected,
    /// They must not be set aside.
    Voided,
    /// They were set aside and put back.
    Released,
    /// They have left the house.
    Shipped,
}

impl FromSql for ReservationState {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_str()? {
            "reserved" => Ok(Self::Reserved),
            "rejected" => Ok(Self::Rejected),
            "voided" => Ok(Self::Voided),
            "released" => Ok(Self::Released),
            "shipped" => Ok(Self::Shipped),
            other => Err(unknown_state(other)),
        }
    }
}

/// Goods of one kind, for an auditor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StockLevel {
    /// Which goods.
    pub sku: String,
    /// How many there were at first.
    pub seeded: u64,
    /// How many are in the warehouse, the reserved ones among them.
    pub on_hand: u64,
    /// How many are set aside for an order.
    pub reserved: u64,
    /// How many have left.
    pub shipped: u64,
}

/// Goods of one kind that were set aside for one order, for an auditor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// The order.
    pub order_id: String,
    /// Which goods.
    pub sku: String,
    /// How many.
    pub quantity: u64,
    /// What became of them.
    pub state: ReservationState,
}

/// Every kind of goods, from the books in this folder.
///
/// # Errors
/// When there are no books, or they cannot be read.
pub fn stock(books_dir: &Path) -> Result<Vec<StockLevel>, BooksError> {
    stock_in(&open_to_read(books_dir, NAME)?)
}

/// Everything that was ever set aside, from the books in this folder.
///
/// # Errors
/// When there are no books, or they cannot be read.
pub fn reservations(books_dir: &Path) -> Result<Vec<Reservation>, BooksError> {
    reservations_in(&open_to_read(books_dir, NAME)?)
}

fn stock_in(connection: &Connection) -> Result<Vec<StockLevel>, BooksError> {
    let mut query = connection.prepare("SELECT * FROM stock ORDER BY sku")?;
    let levels = query.query_map((), |row| {
        Ok(StockLevel {
            sku: row.get("sku")?,
            seeded: row.get("seeded")?,
            on_hand: row.get("on_hand")?,
            reserved: row.get("reserved")?,
            shipped: row.get("shipped")?,
        })
    })?;
    Ok(levels.collect::<Result<_, _>>()?)
}

fn reservations_in(connection: &Connection) -> Result<Vec<Reservation>, BooksError> {
    let mut query = connection
        .prepare("SELECT * FROM reservations JOIN orders USING (order_id) ORDER BY order_id, sku")?;
    let reservations = query.query_map((), |row| {
        Ok(Reservation {
            order_id: row.get("order_id")?,
            sku: row.get("sku")?,
            quantity: row.get("quantity")?,
            state: row.get("state")?,
        })
    })?;
    Ok(reservations.collect::<Result<_, _>>()?)
}

fn create(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute_batch(include_str!("books.sql"))?;
    for (sku, quantity) in CATALOGUE {
        tx.execute("INSERT INTO stock (sku, seeded, on_hand) VALUES (?1, ?2, ?2)", (sku, quantity))?;
    }
    Ok(())
}

#[cfg(test)]
impl Books {
    pub(crate) fn in_memory() -> Self {
        Self(Database::in_memory(create).unwrap())
    }

    pub(crate) async fn stock(&self) -> Vec<StockLevel> {
        self.0.read(stock_in).await
    }

    pub(crate) async fn reservations(&self) -> Vec<Reservation> {
        self.0.read(reservations_in).await
    }

    pub(crate) async fn level(&self, sku: &str) -> StockLevel {
        self.stock().await.into_iter().find(|level| level.sku == sku).unwrap()
    }
}
