use laban_wire::ReadError;

/// A picture that cannot be drawn in full: better none than one with holes that nobody sees.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The broker did not answer a question about streams or consumers.
    #[error("asking for {what}: {reason}")]
    Broker {
        /// What was asked for.
        what: String,
        /// Why there is no answer.
        reason: String,
    },
    /// The broker knows of streams or consumers that do not answer.
    #[error(
        "asking for {what}: no answer from {}; they may have no leader: try again when the cluster is whole",
        names.join(", ")
    )]
    Silent {
        /// What was asked for.
        what: String,
        /// The names of those that are silent.
        names: Vec<String>,
    },
    /// A home stream is of another wire format.
    #[error(
        "stream {stream} has wire format {found}, this program reads {}: use the release that wrote it, or a later one",
        laban_wire::metadata::WIRE_VERSION
    )]
    WireFormat {
        /// The stream.
        stream: String,
        /// What it says.
        found: String,
    },
    /// There is nothing to read at all.
    #[error("no service has a home stream there: is this the right broker, and the right account?")]
    NoHomes,
    /// What is selected cannot be meant.
    #[error("{reason}")]
    Selection {
        /// Why not, and what could be.
        reason: String,
    },
    /// A home stream could not be read to its end.
    #[error(transparent)]
    Read(#[from] ReadError),
}
