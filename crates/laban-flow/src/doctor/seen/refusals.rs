use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use async_nats::{Event, ServerError};
use tokio::sync::Notify;

/// What the broker has refused its user. It says so beside the matter, and to the question itself nothing: without this, what
/// may not be asked cannot be told from what is not answered.
///
/// ```no_run
/// # async fn connect() -> Result<(), async_nats::ConnectError> {
/// let refusals = laban_flow::doctor::Refusals::default();
/// let heard = refusals.clone();
/// let options = async_nats::ConnectOptions::new().event_callback(move |event| {
///     heard.note(&event);
///     async {}
/// });
/// let client = options.connect("nats://127.0.0.1:4222").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Refusals(Arc<Heard>);

#[derive(Debug, Default)]
struct Heard {
    refused: Mutex<BTreeSet<Refused>>,
    more: Notify,
}

/// What may not be done.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Refused {
    /// To ask.
    Publish(String),
    /// To hear answers: nothing else is subscribed to.
    Subscribe(String),
}

impl Refusals {
    /// Takes down what a connection's event says.
    pub fn note(&self, event: &Event) {
        let Event::ServerError(ServerError::Other(text)) = event else { return };
        let Some(refused) = refused(text) else { return };
        self.0.refused.lock().unwrap_or_else(PoisonError::into_inner).insert(refused);
        self.0.more.notify_waiters();
    }

    /// Waits until a subject that begins with one of these is refused, or all answers are; for ever, if that does not happen.
    pub(super) async fn of(&self, subjects: &[&str]) -> Refused {
        loop {
            let more = self.0.more.notified();
            tokio::pin!(more);
            // From here on nothing is missed.
            more.as_mut().enable();
            if let Some(refused) = self.find(subjects) {
                return refused;
            }
            more.await;
        }
    }

    fn find(&self, subjects: &[&str]) -> Option<Refused> {
        let all = self.0.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let concerns = |refused: &&Refused| match refused {
            Refused::Publish(one) => subjects.iter().any(|subject| one.starts_with(subject)),
            Refused::Subscribe(_) => true,
        };
        all.iter().find(concerns).cloned()
    }
}

/// `Permissions Violation for Publish to "$JS.API.INFO"`, in whatever case.
fn refused(text: &str) -> Option<Refused> {
    let subject = text.split('"').nth(1)?.to_owned();
    let text = text.to_ascii_lowercase();
    if text.contains("permissions violation for publish") {
        return Some(Refused::Publish(subject));
    }
    text.contains("permissions violation for subscription").then_some(Refused::Subscribe(subject))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_refusal_is_told_to_who_waits_for_it() {
        let refusals = Refusals::default();
        let other = refusals.clone();
        let waiting =
            tokio::spawn(async move { other.of(&["$JS.API.INFO", "$JS.API.CONSUMER.LIST."]).await });
        let event = |text: &str| Event::ServerError(ServerError::Other(text.to_owned()));
        refusals.note(&event("Permissions Violation for Publish to \"$JS.API.STREAM.LIST\""));
        refusals.note(&event("Permissions Violation for Publish to \"$JS.API.CONSUMER.LIST.ORDER\""));
        assert_eq!(waiting.await.unwrap(), Refused::Publish("$JS.API.CONSUMER.LIST.ORDER".to_owned()));
        // Without answers there is nothing to be asked at all.
        refusals.note(&event("Permissions Violation for Subscription to \"_INBOX.a.*\""));
        assert_eq!(refusals.of(&["$SRV.STATS"]).await, Refused::Subscribe("_INBOX.a.*".to_owned()));
    }
}
