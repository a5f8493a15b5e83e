use std::fmt;

/// Why the bench cannot go on: what was being done, and why it failed.
#[derive(Debug)]
pub(crate) struct Error(String);

/// What may fail with an [`Error`].
pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of these words.
    pub(crate) fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl From<laban_testkit::Error> for Error {
    fn from(error: laban_testkit::Error) -> Self {
        Self(laban_wire::error_chain(&error))
    }
}

/// Says what was being done when something failed.
pub(crate) trait Doing<T> {
    /// `what` is an infinitive: "connect to the broker".
    ///
    /// # Errors
    /// The same as before, in words.
    fn doing(self, what: impl fmt::Display) -> Result<T>;
}

impl<T, E: std::error::Error + 'static> Doing<T> for std::result::Result<T, E> {
    fn doing(self, what: impl fmt::Display) -> Result<T> {
        self.map_err(|error| Error(format!("cannot {what}: {}", laban_wire::error_chain(&error))))
    }
}
