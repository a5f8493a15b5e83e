//! What services say of themselves, in one key-value bucket that they share.
//!
//! It is for readers: a service works without it. What it keeps a service from is to break those who read its events: a
//! contract that breaks what is registered ends the start.

use std::time::Duration;

use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config as StreamConfig, DiscardPolicy, Info};
use async_nats::jetstream::{Context, ErrorCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use laban_wire::compatibility::{BrokenEvent, broken_events};
use laban_wire::contract::{self, Contract};
use laban_wire::metadata::{WIRE, WIRE_VERSION};
use laban_wire::{EventType, error_chain};
use serde::{Deserialize, Serialize};

use super::patience::{Patience, Trouble, ask};
use crate::Error;
use crate::config::{AllowBreaking, Config};

/// How long a start waits for the bucket. Less than for what the service cannot do without; and a request that is not
/// permitted looks like one that is not answered.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long an answer to a write is waited for.
const ANSWER: Duration = Duration::from_secs(3);
/// So many others may come first.
const ROUNDS: usize = 16;
/// Contracts that are kept of each service.
const HISTORY: i64 = 8;

/// Registers the contract, if it is not the one that is registered.
///
/// # Errors
/// When it breaks readers of the one that is registered. Whatever else goes wrong is told, and no reason not to start.
pub(crate) async fn register(contract: &Contract, context: &Context, config: &Config) -> Result<(), Error> {
    let patience = Patience::of(PATIENCE.min(config.connect_timeout));
    match patience.until("the bucket of contracts", || compare_and_set(contract, context, config)).await {
        Err(broken @ Error::Breaking { .. }) => Err(broken),
        Err(error) => {
            tracing::warn!(service = %contract.service, %error, "contract neither checked nor registered; starting without");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// Reads, compares and writes; instances that start at once may all come by. Who is late reads again.
async fn compare_and_set(contract: &Contract, context: &Context, config: &Config) -> Result<(), Trouble> {
    let service = &contract.service;
    for _ in 0..ROUNDS {
        let Some(found) = find(contract, context, config).await? else { continue };
        if let Some(registered) = &found.contract {
            if same(registered, contract) {
                return Ok(());
            }
            check(registered, contract, &config.allow_breaking)?;
        }
        let body = serde_json::to_vec(contract).map_err(|error| lasting(contract, &error))?;
        let message = PublishMessage::build().payload(body.into());
        let message = message.expected_last_subject_sequence(found.revision);
        let mut context = context.clone();
        context.set_timeout(ANSWER);
        let sent = context.send_publish(contract::subject_of(service), message).await;
        let written = match sent {
            Ok(ack) => ack.await,
            Err(error) => Err(error),
        };
        match written {
            Ok(ack) => {
                tracing::info!(%service, revision = ack.sequence, "contract registered");
                found.contract.iter().for_each(|before| tell_of_left(before, contract));
                return Ok(());
            }
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => {}
            Err(error) if error.kind() == PublishErrorKind::MaxPayloadExceeded => {
                return Err(lasting(contract, &error));
            }
            // It may have been written, or may be later: whoever reads again finds out.
            Err(error) => return Err(Trouble::Passing(not_registered(contract, &error))),
        }
    }
    Err(Trouble::Passing(not_registered(contract, &"others write it all the time")))
}

/// What is registered of a service.
struct Found {
    /// The sequence of the key's last message; 0 for none.
    revision: u64,
    /// Nothing when there is none, or when it was deleted.
    contract: Option<Contract>,
}

#[derive(Serialize)]
struct Last {
    last_by_subj: String,
}

#[derive(Deserialize)]
struct Answer {
    message: Encoded,
}

#[derive(Deserialize)]
struct Encoded {
    seq: u64,
    #[serde(default)]
    data: String,
}

/// Asks the bucket's leader. Nothing when there was no bucket: it has been made.
async fn find(contract: &Contract, context: &Context, config: &Config) -> Result<Option<Found>, Trouble> {
    let subject = format!("STREAM.MSG.GET.{}", contract::STREAM);
    let last = Last { last_by_subj: contract::subject_of(&contract.service) };
    match ask::<Answer>(context.clone(), &subject, &last).await {
        Ok(Answer { message: Encoded { seq, data } }) => {
            let body = STANDARD.decode(data).unwrap_or_default();
            let registered = (!body.is_empty()).then(|| serde_json::from_slice(&body));
            let registered = registered.transpose().unwrap_or_else(|error| {
                tracing::warn!(service = %contract.service, %error, "the registered contract cannot be read; replacing it");
                None
            });
            Ok(Some(Found { revision: seq, contract: registered }))
        }
        Err(error) if error.code == Some(ErrorCode::NO_MESSAGE_FOUND) => {
            Ok(Some(Found { revision: 0, contract: None }))
        }
        Err(error) if error.code == Some(ErrorCode::STREAM_NOT_FOUND) => {
            make(contract, context, config).await?;
            Ok(None)
        }
        Err(error) => Err(error.told(not_registered(contract, &error.reason))),
    }
}

async fn make(contract: &Contract, context: &Context, config: &Config) -> Result<(), Trouble> {
    let subject = format!("STREAM.CREATE.{}", contract::STREAM);
    match ask::<Info>(context.clone(), &subject, &bucket(config)).await {
        Ok(_) => {
            tracing::info!(service = %contract.service, bucket = contract::BUCKET, "bucket of contracts made");
            Ok(())
        }
        // Another service was first, with other settings.
        Err(error) if error.code == Some(ErrorCode::STREAM_NAME_EXIST) => Ok(()),
        Err(error) => {
            let reason = format!("the bucket {} cannot be made: {}", contract::BUCKET, error.reason);
            Err(error.told(not_registered(contract, &reason)))
        }
    }
}

/// A bucket as any client makes it.
fn bucket(config: &Config) -> StreamConfig {
    StreamConfig {
        name: contract::STREAM.to_owned(),
        subjects: vec![format!("$KV.{}.>", contract::BUCKET)],
        description: Some("what services consume and emit".to_owned()),
        max_messages_per_subject: HISTORY,
        discard: DiscardPolicy::New,
        storage: config.storage,
        num_replicas: config.replicas,
        placement: config.placement.clone(),
        allow_rollup: true,
        allow_direct: true,
        deny_delete: true,
        metadata: [(WIRE.to_owned(), WIRE_VERSION.to_owned())].into(),
        ..StreamConfig::default()
    }
}

/// The release that wrote it tells readers something, and is no reason to write.
fn same(registered: &Contract, contract: &Contract) -> bool {
    let laban = contract.laban.clone();
    Contract { laban, ..registered.clone() } == *contract
}

/// A consumer outlives its handler, for an older release may still be at work; then somebody has to take it away.
fn tell_of_left(before: &Contract, contract: &Contract) {
    for (handler, event) in left(before, contract) {
        let service = &contract.service;
        let event = event.map(|event| format!(" --event {event}")).unwrap_or_default();
        tracing::warn!(
            %service, handler,
            "a reaction of the contract before is gone; its consumer stays, and flows wait for it. Once no instance of that \
             release runs: `laban retire {service} {handler}{event}`"
        );
    }
}

/// What only the contract before has: handlers, and events of handlers that are still there.
fn left<'b>(before: &'b Contract, contract: &Contract) -> Vec<(&'b str, Option<&'b EventType>)> {
    let mut left = Vec::new();
    for handler in &before.handlers {
        let name = handler.name.as_str();
        match contract.handlers.iter().find(|now| now.name == name) {
            None => left.push((name, None)),
            Some(now) => {
                let gone = handler.consumes.iter().filter(|event| !now.consumes.contains(event));
                left.extend(gone.map(|event| (name, Some(event))));
            }
        }
    }
    left
}

fn check(registered: &Contract, contract: &Contract, allowed: &AllowBreaking) -> Result<(), Trouble> {
    let (allowed, refused): (Vec<_>, Vec<_>) =
        broken_events(registered, contract).into_iter().partition(|broken| allowed.allows(&broken.event));
    for broken in allowed {
        tracing::warn!(service = %contract.service, %broken, "a breaking change, which LABAN_ALLOW_BREAKING allows");
    }
    if refused.is_empty() {
        return Ok(());
    }
    let events = refused.iter().map(|broken| broken.event.as_str()).collect::<Vec<_>>().join(",");
    let told = refused.iter().map(BrokenEvent::to_string).collect::<Vec<_>>().join(". ");
    Err(Trouble::Lasting(Error::Breaking {
        service: contract.service.to_string(),
        reason: format!(
            "{told}. Where nobody reads what was written so far, LABAN_ALLOW_BREAKING={events} lets it start"
        ),
        broken: refused,
    }))
}

fn not_registered(contract: &Contract, reason: &impl ToString) -> Error {
    Error::Broker {
        service: contract.service.to_string(),
        reason: format!("its contract cannot be registered: {}", reason.to_string()),
    }
}

fn lasting(contract: &Contract, error: &(dyn std::error::Error + 'static)) -> Trouble {
    Trouble::Lasting(not_registered(contract, &error_chain(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_release_of_the_framework_is_no_other_contract() {
        let json = r#"{"service": "payment", "handlers": [], "events": [], "begins": []}"#;
        let contract: Contract = serde_json::from_str(json).unwrap();
        let newer = Contract { laban: "99".to_owned(), ..contract.clone() };
        assert!(same(&contract, &newer));
        let other = Contract { begins: vec!["payment.made".parse().unwrap()], ..newer.clone() };
        assert!(!same(&newer, &other));
    }

    #[test]
    fn handlers_that_are_gone_are_named_and_events_of_those_that_are_not() {
        let contract = |handlers: &str| -> Contract {
            let json = format!(r#"{{"service": "payment", "events": [], "handlers": [{handlers}]}}"#);
            serde_json::from_str(&json).unwrap()
        };
        let charge = r#"{"name": "charge", "consumes": ["order.placed", "order.amended"]}"#;
        let file = r#"{"name": "file", "consumes": ["order.completed", "order.cancelled"]}"#;
        let before = contract(&format!("{charge}, {file}"));
        assert_eq!(left(&before, &before), []);
        let after = contract(r#"{"name": "charge", "consumes": ["order.placed", "order.revoked"]}"#);
        let amended = "order.amended".parse().unwrap();
        assert_eq!(left(&before, &after), [("charge", Some(&amended)), ("file", None)]);
    }
}
