//! The letters to customers. A table stands for the post office.

use std::path::Path;

use laban::{BoxError, EventId, Recorded};
use rusqlite::{Connection, Transaction};

use crate::database::{BooksError, Database, open_to_read};
use crate::events::OrderId;
use crate::settings::Settings;

const NAME: &str = "notification";

/// The letters to customers.
#[derive(Clone, Debug)]
pub struct Outbox(Database);

/// A letter to a customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Which order it is about.
    pub order_id: String,
    /// To whom.
    pub customer: String,
    /// What happened: `placed`, `dispatched`, `refunded`, `completed` or `cancelled`.
    pub subject: String,
    /// What it says.
    pub text: String,
}

impl Outbox {
    /// Opens `notification.db` in the folder of the books.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(settings: &Settings) -> laban::Result<Self> {
        Database::open(settings, NAME, create).map(Self)
    }

    /// An outbox in memory, for a shadow: its letters go nowhere.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn in_shadow(_: &Recorded) -> Result<Self, BoxError> {
        Ok(Self(Database::in_memory(create)?))
    }

    /// Puts a letter into the outbox, once.
    ///
    /// # Errors
    /// When the outbox cannot be written.
    pub async fn put(&self, key: EventId, order_id: &OrderId, letter: Letter) -> Result<(), BooksError> {
        let put = move |tx: &Transaction<'_>| {
            tx.execute(
                "INSERT INTO letters (idempotency_key, order_id, customer, subject, text) VALUES (?, ?, ?, ?, ?)",
                (key.to_string(), letter.order_id, letter.customer, letter.subject, letter.text),
            )?;
            Ok(())
        };
        self.0.enter(key, "letter", order_id, put).await
    }
}

/// Every letter, oldest first, from the books in this folder.
///
/// # Errors
/// When there is no outbox, or it cannot be read.
pub fn letters(books_dir: &Path) -> Result<Vec<Letter>, BooksError> {
    letters_in(&open_to_read(books_dir, NAME)?)
}

fn letters_in(connection: &Connection) -> Result<Vec<Letter>, BooksError> {
    let mut query = connection.prepare("SELECT * FROM letters ORDER BY number")?;
    let letters = query.query_map((), |row| {
        Ok(Letter {
            order_id: row.get("order_id")?,
            customer: row.get("customer")?,
            subject: row.get("subject")?,
            text: row.get("text")?,
        })
    })?;
    Ok(letters.collect::<Result<_, _>>()?)
}

fn create(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute_batch(include_str!("outbox.sql"))
}

#[cfg(test)]
impl Outbox {
    pub(crate) fn in_memory() -> Self {
        Self(Database::in_memory(create).unwrap())
    }

    pub(crate) async fn letters(&self) -> Vec<Letter> {
        self.0.read(letters_in).await
    }
}
