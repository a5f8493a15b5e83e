//! One reaction, run again.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use laban_wire::shadow::{Answer, Call, Kept, Outcome, Ran, Trouble};
use laban_wire::{DeadReason, InvalidMessage, ServiceName, error_chain};
use tokio::sync::Semaphore;

use super::{Recorded, Stub};
use crate::definition::Definition;
use crate::extract::{self, States};
use crate::handler::panic_text;
use crate::outcome::End;
use crate::runtime::{fingerprint, is_state};
use crate::{BoxError, Record};

/// A service's handlers, and what stands for their outside world.
pub(super) struct Shadow {
    service: ServiceName,
    handlers: HashMap<Arc<str>, Handler>,
    stubs: Vec<Stub>,
}

struct Handler {
    definition: Definition,
    running: Semaphore,
}

impl Shadow {
    /// Refuses when a handler takes a state for which nothing stands.
    pub(super) fn of(
        service: ServiceName,
        definitions: Vec<Definition>,
        stubs: Vec<Stub>,
    ) -> Result<Self, String> {
        for definition in &definitions {
            let missing = definition.needs.iter().find(|(id, _)| !stubs.iter().any(|stub| stub.id == *id));
            if let Some((_, state)) = missing {
                return Err(format!(
                    "handler `{}` takes State<{state}>, its outside world, and nobody has said what stands for it in a \
                     shadow; add `.state_in_shadow(|recorded| Ok(…))` with a {state} that answers as is recorded",
                    definition.name
                ));
            }
        }
        let handlers = definitions.into_iter().map(|definition| {
            let running = Semaphore::new(definition.concurrency);
            (Arc::from(definition.name.as_ref()), Handler { definition, running })
        });
        Ok(Self { service, handlers: handlers.collect(), stubs })
    }

    pub(super) async fn answer(&self, call: Call) -> Answer {
        let id = call.id;
        Answer { id, ran: self.ran(call).await.unwrap_or_else(Ran::Not) }
    }

    /// Runs a handler on what was; not at all if that cannot be had.
    async fn ran(&self, call: Call) -> Result<Ran, String> {
        let Some((name, handler)) = self.handlers.get_key_value(call.handler.as_str()) else {
            return Err(format!("there is no handler `{}`", call.handler));
        };
        let definition = &handler.definition;
        let unreadable = |what: &str, error: InvalidMessage| format!("{what} cannot be read: {error}");
        let input = call.input.into_message().map_err(|error| unreadable("its input", error))?;
        let records = records(call.records).map_err(|error| unreadable("a record of the flow", error))?;
        let recorded = Recorded { handler: Arc::clone(name), input: Arc::new(input), outcome: call.recorded };
        let input = Arc::clone(&recorded.input);
        let undecodable = |error| Ok(self.dead(name, DeadReason::Undecodable, error, Duration::ZERO));
        if let Err(error) = definition.version_known(&input) {
            return undecodable(error);
        }
        let call = extract::Call {
            ids_from: input.meta.id,
            input,
            attempt: call.attempt,
            states: Arc::new(self.states(definition, &recorded)?),
            records: Arc::new(records),
            service: self.service.clone(),
            handler: Arc::clone(name),
        };
        let run = match definition.run.run(call) {
            Ok(run) => run,
            Err(error) => return undecodable(error_chain(error.as_ref())),
        };
        // Never closed.
        let _running = handler.running.acquire().await;
        let (started, limit) = (Instant::now(), definition.timeout);
        let end = match tokio::time::timeout(limit, run).await {
            Ok(end) => end,
            Err(_) => End::Retry(format!("no outcome within {} ms", limit.as_millis()).into()),
        };
        let took = started.elapsed();
        Ok(match end {
            End::Emit(outbox) => match outbox.error {
                None => to(Outcome::Emitted(outbox.into_emitted()), took),
                Some(error) => self.dead(name, DeadReason::Unwritable, error, took),
            },
            End::Retry(error) => to(Outcome::Retry(self.trouble(name, error_chain(error.as_ref()))), took),
            End::Reject(error) => self.dead(name, DeadReason::Rejected, error_chain(error.as_ref()), took),
        })
    }

    /// What the handler takes, each made of what is recorded.
    fn states(&self, definition: &Definition, recorded: &Recorded) -> Result<States, String> {
        let mut states = States::default();
        for (id, _) in &definition.needs {
            for stub in self.stubs.iter().filter(|stub| stub.id == *id) {
                // It is the author's code.
                let made = AssertUnwindSafe(|| stub.make(recorded, &mut states));
                std::panic::catch_unwind(made)
                    .unwrap_or_else(|panic| Err(BoxError::from(panic_text(&*panic))))
                    .map_err(|error| error_chain(error.as_ref()))?;
            }
        }
        Ok(states)
    }

    fn dead(&self, handler: &Arc<str>, reason: DeadReason, error: String, took: Duration) -> Ran {
        to(Outcome::Dead { reason, trouble: self.trouble(handler, error) }, took)
    }

    fn trouble(&self, handler: &Arc<str>, error: String) -> Trouble {
        Trouble { fingerprint: fingerprint(self.service.as_str(), handler, &error), error }
    }
}

fn to(outcome: Outcome, took: Duration) -> Ran {
    Ran::To { outcome, handle_ms: took.into() }
}

/// The records that are flow state, as the runtime has them.
fn records(kept: Vec<Kept>) -> Result<Vec<Record>, InvalidMessage> {
    let messages = kept.into_iter().map(Kept::into_message).collect::<Result<Vec<_>, _>>()?;
    Ok(messages.into_iter().filter(is_state).map(|message| Record::of(Arc::new(message))).collect())
}
