//! A service's contract: what it consumes and emits, as it says of itself.

use serde::{Deserialize, Serialize};

use crate::{EventType, ServiceName};

/// The key-value bucket that holds the contract of each service, under its name.
pub const BUCKET: &str = "laban_contracts";

/// The stream that the bucket is.
pub const STREAM: &str = "KV_laban_contracts";

/// The subject of a service's contract in the [`STREAM`].
pub fn subject_of(service: &ServiceName) -> String {
    format!("$KV.{BUCKET}.{service}")
}

/// What a service consumes and emits, as it says of itself.
///
/// Readers skip members that they do not know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contract {
    /// The service.
    pub service: ServiceName,
    /// The release of the framework that wrote this, for information.
    #[serde(default)]
    pub laban: String,
    /// Its handlers, in the order of their registration.
    pub handlers: Vec<HandlerContract>,
    /// Events that it emits without a cause: where flows begin.
    #[serde(default)]
    pub begins: Vec<EventType>,
    /// Every event type named above, once; those that are only awaited by a deadline may be missing.
    pub events: Vec<EventContract>,
}

/// What one handler consumes and emits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HandlerContract {
    /// The handler.
    pub name: String,
    /// What it reacts to.
    pub consumes: Vec<EventType>,
    /// What may come of it when it succeeds.
    #[serde(default)]
    pub emits: Vec<EventType>,
    /// What may come of it when it fails, as a fact that others may react to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fails_with: Vec<EventType>,
    /// What it undoes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub compensates: Vec<EventType>,
    /// What must follow, for it not to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<DeadlineContract>,
    /// How often and how soon it tries again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryContract>,
    /// How long one run may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// It folds what its service did about the flow into a state, so it may be a join.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reads_flow: bool,
    /// It gave the fence up: it takes effect at least once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub at_least_once: bool,
    /// It reacts only to what happened after it first started.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skips_history: bool,
}

/// A handler's deadline: it runs unless one of these events follows in time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadlineContract {
    /// Any of these.
    pub unless: Vec<EventType>,
    /// Within this time after the event that the handler reacts to.
    pub within_ms: u64,
}

/// Exponential backoff with jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryContract {
    /// After so many failed attempts the input becomes a dead letter.
    pub max_attempts: u32,
    /// The delay after the first attempt, before jitter.
    pub first_delay_ms: u64,
    /// No delay is longer.
    pub max_delay_ms: u64,
}

/// An event type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventContract {
    /// `<service>.<event>`.
    pub event: EventType,
    /// The version of its shape, from 1.
    pub version: u32,
    /// The JSON Schema of its body.
    pub schema: serde_json::Value,
}
