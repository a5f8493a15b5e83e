#![doc = include_str!("../README.md")]

extern crate self as laban;

mod command_line;
mod config;
mod contract;
mod definition;
mod emitter;
mod error;
mod event;
mod extract;
mod flow_state;
mod handler;
mod outcome;
mod retry;
mod runtime;
mod service;
mod shadow;
mod telemetry;

pub use definition::Definition;
pub use emitter::{Begun, Emitter, Receipt};
pub use error::{BoxError, Error, Result};
#[doc(hidden)]
pub use event::derive as __derive;
pub use event::{Event, EventInfo, Input};
pub use extract::{Cause, Extract, Flow, State};
pub use flow_state::{FlowState, Record};
pub use handler::Handler;
pub use laban_macros::Event;
pub use laban_wire::contract::{Contract, DeadlineContract, EventContract, HandlerContract, RetryContract};
pub use laban_wire::{DeadReason, EventId, EventType, FlowId, InvalidFlowId};
pub use outcome::{Emit, Failure, Never, OrRetry, Outbox, Outcome, Undecided};
pub use retry::Retry;
#[cfg(feature = "faults")]
pub use runtime::FaultPoint;
pub use runtime::Running;
pub use service::Service;
pub use shadow::Recorded;
