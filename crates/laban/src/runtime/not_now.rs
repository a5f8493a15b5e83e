//! Deliveries that ask for something else to be read first, and what is answered when that does not come to an attempt.

use std::time::Duration;

use laban_wire::{ReadError, ServiceName};

use super::delivery::Delivery;

/// Why a redrive, or a timer, did not come to an attempt.
pub(super) enum NotNow {
    /// It can later.
    Later { reason: String, wait: Duration },
    /// It asks for what is not there.
    Never(String),
}

impl From<String> for NotNow {
    fn from(reason: String) -> Self {
        Self::Never(reason)
    }
}

impl From<ReadError> for NotNow {
    fn from(error: ReadError) -> Self {
        Self::Later { reason: error.to_string(), wait: Duration::from_secs(1) }
    }
}

impl NotNow {
    /// Says so, and answers the delivery.
    pub(super) async fn answer(self, what: &str, service: &ServiceName, delivery: &Delivery) {
        let (subject, seq) = (&delivery.stored.subject, delivery.stored.seq);
        match self {
            Self::Later { reason, wait } => {
                tracing::warn!(%service, subject, seq, %reason, "{what} waits");
                delivery.answers.not_now(wait, &reason).await;
            }
            Self::Never(reason) => {
                tracing::error!(%service, subject, seq, %reason, "{what} refused");
                delivery.answers.give_up(&reason, &reason).await;
            }
        }
    }
}
