//! The contract that is registered of one service.

use laban_wire::FlowReader;
use laban_wire::contract::{self, Contract};

use super::Target;
use crate::Error;
use crate::map::is_deleted;

/// What is registered of a service.
#[derive(Clone, Debug, PartialEq)]
pub struct Registered {
    /// The sequence of the key's last message in the bucket: who writes under this fence overwrites nothing newer.
    pub revision: u64,
    /// The contract; nothing when it was deleted.
    pub contract: Option<Contract>,
}

/// Asks the bucket's leader; nothing when nothing was ever registered.
pub(super) async fn registered(reader: &FlowReader, target: &Target) -> Result<Option<Registered>, Error> {
    let key = contract::subject_of(&target.service);
    let found = match reader.leader(contract::STREAM, &key, 1).await {
        Ok(found) => found,
        Err(error) if error.is_no_stream() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let Some(last) = found.last() else { return Ok(None) };
    // One that cannot be read is there all the same.
    let empty = || Contract {
        service: target.service.clone(),
        laban: String::new(),
        handlers: Vec::new(),
        begins: Vec::new(),
        events: Vec::new(),
    };
    let contract =
        (!is_deleted(last)).then(|| serde_json::from_slice(&last.payload).unwrap_or_else(|_| empty()));
    Ok(Some(Registered { revision: last.seq, contract }))
}

impl Registered {
    /// Whether the contract still has a reaction or a deadline of what is to leave.
    pub(super) fn declares(&self, target: &Target) -> bool {
        let handlers = self.contract.iter().flat_map(|contract| &contract.handlers);
        let mut handlers = handlers.filter(|handler| target.handler.as_ref() == Some(&handler.name));
        handlers.any(|handler| {
            let awaited = handler.deadline.iter().flat_map(|deadline| &deadline.unless);
            let mut events = handler.consumes.iter().chain(awaited);
            target.event.as_ref().is_none_or(|own| events.any(|event| event == own))
        })
    }
}
