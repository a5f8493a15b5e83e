/// A read that could not be finished.
#[derive(Debug, Clone, thiserror::Error)]
#[error("reading `{filter}` from stream {stream}: {reason}")]
pub struct ReadError {
    stream: String,
    filter: String,
    reason: String,
    /// Whether the leader said that there is no such stream.
    pub(super) no_stream: bool,
}

impl ReadError {
    pub(super) fn new(stream: &str, filter: &str, reason: String) -> Self {
        Self { stream: stream.to_owned(), filter: filter.to_owned(), reason, no_stream: false }
    }

    /// Whether the leader said that there is no such stream, so that there are no messages either.
    pub fn is_no_stream(&self) -> bool {
        self.no_stream
    }
}
