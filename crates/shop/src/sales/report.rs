//! The sales report: a row of sums for each customer.

use std::path::Path;

use laban::EventId;
use rusqlite::{Connection, Transaction};

use crate::database::{BooksError, Database, open_to_read};
use crate::events::OrderId;
use crate::settings::Settings;

const NAME: &str = "sales";

/// The sales report.
#[derive(Clone, Debug)]
pub struct Report(Database);

/// What one customer did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CustomerSales {
    /// Whom it is about.
    pub customer: String,
    /// How many orders were placed.
    pub orders: u64,
    /// What they cost.
    pub ordered_cents: u64,
    /// Money taken.
    pub captured_cents: u64,
    /// Money given back.
    pub refunded_cents: u64,
    /// Orders that ended well.
    pub completed: u64,
    /// Orders that came to nothing.
    pub cancelled: u64,
}

impl Report {
    /// Opens `sales.db` in the folder of the books.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(settings: &Settings) -> laban::Result<Self> {
        Database::open(settings, NAME, create).map(Self)
    }

    /// Adds to the sums of a customer, once for each key.
    ///
    /// # Errors
    /// When the report cannot be written.
    pub async fn add(&self, key: EventId, order_id: &OrderId, more: CustomerSales) -> Result<(), BooksError> {
        let add = move |tx: &Transaction<'_>| {
            tx.execute(
                include_str!("add.sql"),
                (
                    more.customer,
                    more.orders,
                    more.ordered_cents,
                    more.captured_cents,
                    more.refunded_cents,
                    more.completed,
                    more.cancelled,
                ),
            )?;
            Ok(())
        };
        self.0.enter(key, "sale", order_id, add).await
    }
}

/// Every customer's sums, by name, from the books in this folder.
///
/// # Errors
/// When there is no report, or it cannot be read.
pub fn sales(books_dir: &Path) -> Result<Vec<CustomerSales>, BooksError> {
    sales_in(&open_to_read(books_dir, NAME)?)
}

fn sales_in(connection: &Connection) -> Result<Vec<CustomerSales>, BooksError> {
    let mut query = connection.prepare("SELECT * FROM sales ORDER BY customer")?;
    let sales = query.query_map((), |row| {
        Ok(CustomerSales {
            customer: row.get("customer")?,
            orders: row.get("orders")?,
            ordered_cents: row.get("ordered_cents")?,
            captured_cents: row.get("captured_cents")?,
            refunded_cents: row.get("refunded_cents")?,
            completed: row.get("completed")?,
            cancelled: row.get("cancelled")?,
        })
    })?;
    Ok(sales.collect::<Result<_, _>>()?)
}

fn create(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute_batch(include_str!("report.sql"))
}

#[cfg(test)]
impl Report {
    pub(crate) fn in_memory() -> Self {
        Self(Database::in_memory(create).unwrap())
    }

    pub(crate) async fn sales(&self) -> Vec<CustomerSales> {
        self.0.read(sales_in).await
    }
}
