#![doc = include_str!("../README.md")]

mod ack;
pub mod case;
pub mod compatibility;
mod connect;
pub mod contract;
mod error_chain;
mod escape;
mod event_id;
mod event_type;
mod fingerprint;
mod flow_id;
mod layout;
mod message;
mod meta;
pub mod metadata;
mod millis;
mod presence;
mod read;
mod record;
mod replay;
pub mod shadow;
mod subject;
mod text;
mod timer;
mod trace;

pub use ack::AckSubject;
pub use connect::{ConnectError, ConnectSettings};
pub use error_chain::error_chain;
pub use escape::percent_decoded;
pub use event_id::EventId;
pub use event_type::{EventType, InvalidName, ServiceName};
pub use fingerprint::contract_fingerprint;
pub use flow_id::{FlowId, InvalidFlowId};
pub use layout::indented;
pub use message::{InvalidMessage, Message, Stored};
pub use meta::{HEADER, Meta, Reaction};
pub use millis::Millis;
pub use presence::{InstanceData, SpanTotals};
pub use read::{FlowReader, ReadError};
pub use record::{
    Again, Asked, DEAD, DISCARDED, Dead, DeadInput, DeadReason, Discarded, HANDLED, Handled, Payload,
    REDRIVE, RETRYING, Redrive, Retrying, SYSTEM_RECORDS, StoredAt, StoredInput,
};
pub use replay::{ReplayRequest, Replayed};
pub use subject::{Subject, home_stream};
pub use timer::Timer;
pub use trace::{BAGGAGE, TRACEPARENT, TRACESTATE, TraceParent};
