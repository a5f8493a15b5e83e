//! One SQLite file per service that keeps books, and the rule that an entry is made once.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use laban::{BoxError, DeadReason, Error, EventId, Failure, Recorded};
use rusqlite::types::FromSqlError;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _, Transaction, TransactionBehavior};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

use crate::events::OrderId;
use crate::settings::Settings;

/// How long one process waits for another that is writing.
const BUSY: Duration = Duration::from_secs(10);

/// Every entry ever made, in each of the books.
const ENTRIES: &str = "
    CREATE TABLE entries (
        idempotency_key TEXT PRIMARY KEY,
        order_id        TEXT NOT NULL,
        kind            TEXT NOT NULL,
        result          TEXT NOT NULL,
        at              TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
    ) STRICT;
    CREATE INDEX entries_of_order ON entries (order_id);
";

/// A service's database. Clones share one connection; other processes may have the same file open.
#[derive(Clone, Debug)]
pub struct Database {
    connection: Arc<Mutex<Connection>>,
    pause: Duration,
}

impl Database {
    /// Opens `<books folder>/<name>.db`. A new file is filled by `create`.
    ///
    /// # Errors
    /// When the file cannot be opened or made.
    pub fn open(settings: &Settings, name: &str, create: Create) -> laban::Result<Self> {
        let path = path_of(&settings.books_dir, name);
        let open = || -> Result<Connection, BoxError> {
            std::fs::create_dir_all(&settings.books_dir)?;
            Ok(prepare(Connection::open(&path)?, create)?)
        };
        let connection = open().map_err(|e| Error::Config {
            name: "SHOP_BOOKS_DIR",
            value: settings.books_dir.display().to_string(),
            reason: format!("{name}.db cannot be opened there: {e}"),
        })?;
        Ok(Self { connection: Arc::new(Mutex::new(connection)), pause: settings.pause })
    }

    /// Makes an entry, once for each key: `work` and the note that it was done are one transaction. A second time, the first
    /// result is given again and nothing is changed.
    ///
    /// # Errors
    /// When the file cannot be read or written, or `work` refuses.
    pub async fn enter<T>(
        &self,
        key: EventId,
        kind: &'static str,
        order_id: &OrderId,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, BooksError> + Send + 'static,
    ) -> Result<T, BooksError>
    where
        T: Serialize + DeserializeOwned + Send + 'static,
    {
        let order_id = order_id.clone();
        // Waiting for the connection costs no thread; only its present user blocks one.
        let mut connection = self.connection.clone().lock_owned().await;
        let entered = tokio::task::spawn_blocking(move || {
            let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            if let Some(result) = result_of(&tx, key)? {
                return Ok(serde_json::from_str(&result)?);
            }
            let result = work(&tx)?;
            tx.execute(
                "INSERT INTO entries (idempotency_key, order_id, kind, result) VALUES (?, ?, ?, ?)",
                (key.to_string(), order_id.as_str(), kind, serde_json::to_string(&result)?),
            )?;
            tx.commit()?;
            Ok(result)
        });
        let result = entered.await.map_err(BooksError::Interrupted)?;
        if !self.pause.is_zero() {
            tokio::time::sleep(self.pause).await;
        }
        result
    }

    /// Books that leave nothing behind, filled by `create`: for tests, and for a shadow.
    ///
    /// # Errors
    /// When they cannot be filled.
    pub(crate) fn in_memory(
        create: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<Self> {
        let connection = prepare(Connection::open_in_memory()?, create)?;
        Ok(Self { connection: Arc::new(Mutex::new(connection)), pause: Duration::ZERO })
    }

    /// Looks into the books of a test.
    #[cfg(test)]
    pub(crate) async fn read<T>(&self, query: impl FnOnce(&Connection) -> Result<T, BooksError>) -> T {
        query(&*self.connection.lock().await).unwrap()
    }
}

/// Makes the tables of new books, and what they hold from the start.
pub type Create = fn(&Transaction<'_>) -> rusqlite::Result<()>;

/// Opens books of someone else's to look into them.
///
/// # Errors
/// When they are not there, or are not books.
pub(crate) fn open_to_read(dir: &Path, name: &str) -> Result<Connection, BooksError> {
    let path = path_of(dir, name);
    let connection = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .map_err(|e| BooksError::Open { path, reason: e.to_string() })?;
    connection.busy_timeout(BUSY)?;
    Ok(connection)
}

fn path_of(dir: &Path, name: &str) -> PathBuf {
    dir.join(name).with_extension("db")
}

fn prepare(
    mut connection: Connection,
    create: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<Connection> {
    connection.busy_timeout(BUSY)?;
    // With a write-ahead log readers and the writer do not wait for each other; FULL keeps an entry through a power cut.
    write_ahead(&connection)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // Of several processes that open a new file, one creates.
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let is_new = tx.query_one("SELECT count(*) = 0 FROM sqlite_schema", (), |row| row.get(0))?;
    if is_new {
        tx.execute_batch(ENTRIES)?;
        create(&tx)?;
    }
    tx.commit()?;
    Ok(connection)
}

/// SQLite refuses to change the mode, instead of waiting, while another process opens the same new file.
fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    let deadline = Instant::now() + BUSY;
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && Instant::now() < deadline =>
            {
                std::thread::sleep(Duration::from_millis(10));
            }
            changed => return changed,
        }
    }
}

fn result_of(tx: &Transaction<'_>, key: EventId) -> rusqlite::Result<Option<String>> {
    tx.query_one("SELECT result FROM entries WHERE idempotency_key = ?", [key.to_string()], |row| row.get(0))
        .optional()
}

/// Whether what is recorded of a reaction tells what the books must have held.
///
/// # Errors
/// When it became a dead letter for a reason that was theirs. One whose event could not be read has asked nobody, so what comes
/// of it in a shadow is what would if all went well.
pub(crate) fn is_told(recorded: &Recorded) -> Result<(), BoxError> {
    match recorded.dead_letter() {
        Some((DeadReason::Rejected | DeadReason::Exhausted, error)) => {
            Err(format!("it was given up, and what the books held then is not recorded: {error}").into())
        }
        _ => Ok(()),
    }
}

/// For a state that this version of the shop does not know.
pub(crate) fn unknown_state(state: &str) -> FromSqlError {
    FromSqlError::Other(format!("`{state}` is not a state").into())
}

/// Why an entry was not made.
#[derive(Debug, thiserror::Error)]
pub enum BooksError {
    /// The file cannot be opened.
    #[error("the books at {} cannot be opened: {reason}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// What is asked contradicts what was entered before.
    #[error("order {order_id}: {reason}")]
    Contradiction {
        /// The order it is about.
        order_id: OrderId,
        /// What contradicts what.
        reason: String,
    },
    /// Whoever has to be asked before an entry can be made does not answer.
    #[error("{0} does not answer")]
    Unanswered(&'static str),
    /// SQLite failed: a full disk, a lock held too long.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// A result that was entered cannot be read again.
    #[error(transparent)]
    Result(#[from] serde_json::Error),
    /// The process is ending, or the entry panicked.
    #[error(transparent)]
    Interrupted(tokio::task::JoinError),
}

impl BooksError {
    pub(crate) fn contradiction(order_id: &OrderId, reason: impl Into<String>) -> Self {
        Self::Contradiction { order_id: order_id.clone(), reason: reason.into() }
    }
}

/// What an error of the books means for a reaction, said once for all handlers: what the books forbid stays forbidden however
/// often it is tried, everything else may pass.
impl<E> From<BooksError> for Failure<E> {
    fn from(error: BooksError) -> Self {
        match &error {
            BooksError::Contradiction { .. } => Self::reject(error),
            BooksError::Sqlite(e) if e.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                Self::reject(error)
            }
            _ => Self::retry(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::order_id;

    fn settings(books_dir: &Path) -> Settings {
        Settings { books_dir: books_dir.to_owned(), ..Settings::for_test() }
    }

    fn counter(tx: &Transaction<'_>) -> rusqlite::Result<()> {
        tx.execute_batch(
            "CREATE TABLE counter (n INTEGER NOT NULL CHECK (n < 1000)); INSERT INTO counter VALUES (0)",
        )
    }

    async fn count(database: &Database, key: EventId) -> Result<u64, BooksError> {
        let up = |tx: &Transaction<'_>| {
            Ok(tx.query_row("UPDATE counter SET n = n + 1 RETURNING n", (), |row| row.get(0))?)
        };
        database.enter(key, "count", &order_id(), up).await
    }

    async fn counted(database: &Database) -> u64 {
        database
            .read(|connection| Ok(connection.query_row("SELECT n FROM counter", (), |row| row.get(0))?))
            .await
    }

    /// As several processes would: each with a connection of its own, opened at one instant on a file that is not there yet.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn many_connections_to_one_file_enter_each_key_once() {
        let dir = tempfile::tempdir().unwrap();
        let keys: Vec<EventId> = (0..20).map(|_| EventId::root()).collect();
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let (settings, keys) = (settings(dir.path()), keys.clone());
                tokio::task::spawn(async move {
                    let database = Database::open(&settings, "test", counter).unwrap();
                    let mut results = Vec::new();
                    for key in keys {
                        results.push(count(&database, key).await.unwrap());
                    }
                    results
                })
            })
            .collect();
        let mut results = Vec::new();
        for task in tasks {
            results.push(task.await.unwrap());
        }
        assert!(results.iter().all(|same| *same == results[0]), "{results:?}");
        let database = Database::open(&settings(dir.path()), "test", counter).unwrap();
        assert_eq!(counted(&database).await, 20);
    }

    #[tokio::test]
    async fn what_is_refused_leaves_no_trace() {
        let database = Database::in_memory(counter).unwrap();
        let refuse = |tx: &Transaction<'_>| -> Result<u64, BooksError> {
            tx.execute("UPDATE counter SET n = 500", ())?;
            Err(BooksError::contradiction(&order_id(), "no"))
        };
        let key = EventId::root();
        let refused = database.enter(key, "count", &order_id(), refuse).await.unwrap_err();
        assert!(matches!(Failure::<()>::from(refused), Failure::Reject(_)));
        assert_eq!(count(&database, key).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_panic_is_an_error_that_may_pass_and_the_books_stay_usable() {
        let database = Database::in_memory(counter).unwrap();
        let spill = |tx: &Transaction<'_>| -> Result<u64, BooksError> {
            tx.execute("UPDATE counter SET n = 500", ())?;
            panic!("ink spilled");
        };
        let key = EventId::root();
        let panicked = database.enter(key, "count", &order_id(), spill).await.unwrap_err();
        assert!(matches!(Failure::<()>::from(panicked), Failure::Retry(_)));
        assert_eq!(count(&database, key).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn what_the_tables_forbid_is_not_tried_again() {
        let database = Database::in_memory(counter).unwrap();
        let overflow = |tx: &Transaction<'_>| Ok(tx.execute("UPDATE counter SET n = 1000", ())?);
        let forbidden = database.enter(EventId::root(), "count", &order_id(), overflow).await.unwrap_err();
        assert!(matches!(Failure::<()>::from(forbidden), Failure::Reject(_)));
    }

    #[test]
    fn books_that_cannot_be_opened_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = open_to_read(dir.path(), "payment").unwrap_err().to_string();
        assert!(error.contains("payment.db"), "{error}");
        std::fs::write(dir.path().join("payment.db"), "this is not a database, whatever its name says")
            .unwrap();
        let error = Database::open(&settings(dir.path()), "payment", counter).unwrap_err().to_string();
        assert!(error.contains("payment.db") && error.contains("not a database"), "{error}");
    }
}
