//! The payment books: what each card may be charged, and what became of each order's payment.

use std::path::Path;
use std::time::Duration;

use laban::EventId;
use rusqlite::types::{FromSql, FromSqlResult, ValueRef};
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction};
use serde::{Deserialize, Serialize};

use crate::database::{BooksError, Database, open_to_read, unknown_state};
use crate::events::{DeclineReason, OrderId};
use crate::settings::Settings;

const NAME: &str = "payment";

/// How long one waits for a bank.
const PATIENCE: Duration = Duration::from_millis(200);

/// The payment books.
#[derive(Clone, Debug)]
pub struct Books {
    database: Database,
    patience: Duration,
    rule: Rule,
}

/// What the shop itself has to say about a charge, whatever the bank would allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// No order is charged more.
    pub most_cents: u64,
}

impl Default for Rule {
    /// The bank alone decides.
    fn default() -> Self {
        Self { most_cents: u64::MAX }
    }
}

/// What came of a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Charge {
    /// The money was taken.
    Captured {
        /// How much.
        amount_cents: u64,
    },
    /// It was not.
    Declined(DeclineReason),
    /// It was not: the order was declined as [overdue](PaymentState::Overdue) before.
    TooLate,
}

impl Books {
    /// Opens `payment.db` in the folder of the books.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(settings: &Settings) -> laban::Result<Self> {
        Ok(Self {
            database: Database::open(settings, NAME, create)?,
            patience: PATIENCE,
            rule: Rule::default(),
        })
    }

    /// Books for which nobody waits.
    pub(super) fn of(database: Database) -> Self {
        Self { database, patience: Duration::ZERO, rule: Rule::default() }
    }

    /// The same books, kept by this rule.
    #[must_use]
    pub fn under(self, rule: Rule) -> Self {
        Self { rule, ..self }
    }

    /// Charges `card` for an order, once.
    ///
    /// # Errors
    /// When the order was charged under another key, the bank does not answer, or the books cannot be written.
    pub async fn charge(
        &self,
        key: EventId,
        order_id: &OrderId,
        card: String,
        total_cents: u64,
    ) -> Result<Charge, BooksError> {
        let (order, rule) = (order_id.clone(), self.rule);
        let work = move |tx: &Transaction<'_>| charge(tx, rule, &order, &card, total_cents);
        let charged = self.database.enter(key, "charge", order_id, work).await;
        if matches!(charged, Err(BooksError::Unanswered(_))) {
            tokio::time::sleep(self.patience).await;
        }
        charged
    }

    /// Declines the payment of an order that was not charged yet, once. Says whether it did: an order that was charged or
    /// declined is left alone, and so is one that is voided, whose charge will say so.
    ///
    /// # Errors
    /// When the order was overdue under another key, or the books cannot be written.
    pub async fn decline_overdue(&self, key: EventId, order_id: &OrderId) -> Result<bool, BooksError> {
        let order = order_id.clone();
        self.database.enter(key, "overdue", order_id, move |tx| decline_overdue(tx, &order)).await
    }

    /// Gives back what an order was charged, once; `None` when there is nothing to give back. An order that was not charged yet
    /// is voided.
    ///
    /// # Errors
    /// When the order was refunded under another key, or the books cannot be written.
    pub async fn refund(&self, key: EventId, order_id: &OrderId) -> Result<Option<u64>, BooksError> {
        let order = order_id.clone();
        self.database.enter(key, "refund", order_id, move |tx| refund(tx, &order)).await
    }
}

fn charge(
    tx: &Transaction<'_>,
    rule: Rule,
    order_id: &OrderId,
    card: &str,
    total_cents: u64,
) -> Result<Charge, BooksError> {
    let charge = match account_of(tx, order_id)?.map(|account| account.state) {
        None => match limit_of(tx, card)? {
            Some(limit_cents) => rule.decide(limit_cents, total_cents),
            None => return Err(BooksError::Unanswered("the bank")),
        },
        Some(PaymentState::Voided) => Charge::Declined(DeclineReason::OutOfStock),
        Some(PaymentState::Overdue) => Charge::TooLate,
        Some(state) => {
            return Err(BooksError::contradiction(order_id, format!("to be charged, but it is {state:?}")));
        }
    };
    let (state, captured_cents) = match charge {
        Charge::Captured { amount_cents } => ("captured", amount_cents),
        Charge::Declined(_) => ("declined", 0),
        Charge::TooLate => return Ok(charge),
    };
    tx.execute(
        "INSERT OR REPLACE INTO payments (order_id, state, captured_cents) VALUES (?, ?, ?)",
        (order_id.as_str(), state, captured_cents),
    )?;
    Ok(charge)
}

impl Rule {
    /// Within the card's limit, and the shop's.
    fn decide(self, limit_cents: u64, total_cents: u64) -> Charge {
        match limit_cents {
            0 => Charge::Declined(DeclineReason::CardBlocked),
            limit if total_cents > limit.min(self.most_cents) => Charge::Declined(DeclineReason::OverLimit),
            _ => Charge::Captured { amount_cents: total_cents },
        }
    }
}

/// What the bank says about a card, if it says anything.
fn limit_of(tx: &Transaction<'_>, card: &str) -> rusqlite::Result<Option<u64>> {
    tx.query_row(
        "SELECT limit_cents FROM cards WHERE substr(?, 1, length(prefix)) = prefix ORDER BY length(prefix) DESC LIMIT 1",
        [card],
        |row| row.get(0),
    )
}

fn decline_overdue(tx: &Transaction<'_>, order_id: &OrderId) -> Result<bool, BooksError> {
    match account_of(tx, order_id)?.map(|account| account.state) {
        None => {
            tx.execute("INSERT INTO payments (order_id, state) VALUES (?, 'overdue')", [order_id.as_str()])?;
            Ok(true)
        }
        Some(PaymentState::Overdue) => Err(BooksError::contradiction(order_id, "overdue for a second time")),
        Some(_) => Ok(false),
    }
}

fn refund(tx: &Transaction<'_>, order_id: &OrderId) -> Result<Option<u64>, BooksError> {
    let Some(account) = account_of(tx, order_id)? else {
        tx.execute("INSERT INTO payments (order_id, state) VALUES (?, 'voided')", [order_id.as_str()])?;
        return Ok(None);
    };
    match account.state {
        PaymentState::Declined | PaymentState::Overdue => Ok(None),
        PaymentState::Captured => {
            tx.execute(
                "UPDATE payments SET state = 'refunded', refunded_cents = captured_cents WHERE order_id = ?",
                [order_id.as_str()],
            )?;
            Ok(Some(account.captured_cents))
        }
        state @ (PaymentState::Voided | PaymentState::Refunded) => {
            Err(BooksError::contradiction(order_id, format!("to be refunded, but it is {state:?}")))
        }
    }
}

/// What became of an order's payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaymentState {
    /// The money was taken.
    Captured,
    /// The money was not taken.
    Declined,
    /// The money must not be taken, and whoever is about to has to say so.
    Voided,
    /// The money was not taken in time, and must not be any more.
    Overdue,
    /// The money was taken and given back.
    Refunded,
}

impl FromSql for PaymentState {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_str()? {
            "captured" => Ok(Self::Captured),
            "declined" => Ok(Self::Declined),
            "voided" => Ok(Self::Voided),
            "overdue" => Ok(Self::Overdue),
            "refunded" => Ok(Self::Refunded),
            other => Err(unknown_state(other)),
        }
    }
}

/// One order's payment, for an auditor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The order.
    pub order_id: String,
    /// What became of its payment.
    pub state: PaymentState,
    /// Money taken.
    pub captured_cents: u64,
    /// Money given back.
    pub refunded_cents: u64,
}

impl Account {
    /// Money taken and not given back.
    pub fn kept_cents(&self) -> u64 {
        self.captured_cents.saturating_sub(self.refunded_cents)
    }

    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            order_id: row.get("order_id")?,
            state: row.get("state")?,
            captured_cents: row.get("captured_cents")?,
            refunded_cents: row.get("refunded_cents")?,
        })
    }
}

/// Every order's payment, from the books in this folder.
///
/// # Errors
/// When there are no books, or they cannot be read.
pub fn accounts(books_dir: &Path) -> Result<Vec<Account>, BooksError> {
    accounts_in(&open_to_read(books_dir, NAME)?)
}

fn accounts_in(connection: &Connection) -> Result<Vec<Account>, BooksError> {
    let mut query = connection.prepare("SELECT * FROM payments ORDER BY order_id")?;
    let accounts = query.query_map((), Account::of)?.collect::<Result<_, _>>()?;
    Ok(accounts)
}

fn account_of(tx: &Transaction<'_>, order_id: &OrderId) -> rusqlite::Result<Option<Account>> {
    tx.query_row("SELECT * FROM payments WHERE order_id = ?", [order_id.as_str()], Account::of).optional()
}

pub(super) fn create(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute_batch(include_str!("books.sql"))
}

#[cfg(test)]
impl Books {
    pub(crate) fn in_memory() -> Self {
        Self::of(Database::in_memory(create).unwrap())
    }

    pub(crate) async fn accounts(&self) -> Vec<Account> {
        self.database.read(accounts_in).await
    }

    /// The payment of the only order.
    pub(crate) async fn account(&self) -> Account {
        let [account] = self.accounts().await.try_into().unwrap();
        account
    }
}
