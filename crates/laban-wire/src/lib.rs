#![doc = include_str!("../README.md")]

pub mod compatibility;
mod connect;
pub mod contract;
mod error_chain;
mod escape;
mod event_id;
mod event_type;
mod flow_id;
mod message;
mod meta;
pub mod metadata;
mod millis;
mod read;
mod record;
pub mod shadow;
mod subject;
mod text;
mod timer;
mod trace;

pub use connect::{ConnectError, ConnectSettings};
pub use error_chain::error_chain;
pub use escape::percent_decoded;
pub use event_id::EventId;
pub use event_type::{EventType, InvalidName, ServiceName};
pub use flow_id::{FlowId, InvalidFlowId};
pub use message::{InvalidMessage, Message, Stored};
pub use meta::{HEADER, Meta, Reaction};
pub use millis::Millis;
pub use read::{FlowReader, ReadError};
pub use record::{
    DEAD, Dead, DeadInput, DeadReason, HANDLED, Handled, Payload, REDRIVE, RETRYING, Redrive, Retrying,
    StoredInput,
};
pub use subject::{Subject, home_stream};
pub use timer::Timer;
pub use trace::{BAGGAGE, TRACEPARENT, TRACESTATE, TraceParent};
