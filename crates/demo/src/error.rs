use std::path::PathBuf;

/// Why the mesh does not run, or cannot be audited.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The broker, Jaeger or a service could not be started, or ended by itself.
    #[error(transparent)]
    Process(#[from] laban_testkit::Error),
    /// A program of the workspace is not built.
    #[error("{} is not there: build it with `cargo build {hint}`", path.display())]
    NotBuilt {
        /// Where it should be.
        path: PathBuf,
        /// What builds it.
        hint: &'static str,
    },
    /// A Compose file says what cannot be done here.
    #[error("cannot run {}: {why}", file.display())]
    Deployment {
        /// The file.
        file: PathBuf,
        /// What is in the way.
        why: String,
    },
    /// The broker cannot be reached.
    #[error("the broker cannot be reached")]
    Connect(#[from] async_nats::ConnectError),
    /// The streams cannot be read.
    #[error(transparent)]
    Flow(#[from] laban_flow::Error),
    /// A stream cannot be read.
    #[error(transparent)]
    Read(#[from] laban_wire::ReadError),
    /// The shop's books cannot be read.
    #[error(transparent)]
    Books(#[from] shop::database::BooksError),
    /// Jaeger's API did not answer as it should.
    #[error("asking Jaeger for {what}: {reason}")]
    Jaeger {
        /// What was asked for.
        what: String,
        /// Why there is no answer.
        reason: String,
    },
    /// A file, a folder or a socket could not be used.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried, in the infinitive.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
}

impl Error {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
