//! Contracts from JSON text.

use laban_wire::ServiceName;
use laban_wire::contract::Contract;
use serde::Deserialize;

use super::Member;

/// Contracts that cannot be read, or cannot be joined.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContractError {
    /// The text is no contract.
    #[error("{origin}: not a contract, nor an array of contracts: {reason}")]
    Unreadable {
        /// Where the text is from.
        origin: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Two contracts of one service.
    #[error("service {service} has two contracts, {} and {}: give one of them", told(&origins[0]), told(&origins[1]))]
    Twice {
        /// The service.
        service: ServiceName,
        /// Where they were read.
        origins: [Option<String>; 2],
    },
}

fn told(origin: &Option<String>) -> &str {
    origin.as_deref().unwrap_or("one from elsewhere")
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    Many(Vec<Contract>),
    One(Box<Contract>),
}

/// Reads the text that a service prints as its contract, or an array of such.
///
/// # Errors
/// When the text is neither, or names a handler in a way that no handler can be named.
pub fn read_contracts(text: &str, origin: &str) -> Result<Vec<Member>, ContractError> {
    let unreadable = |reason: String| ContractError::Unreadable { origin: origin.to_owned(), reason };
    let contracts = if text.trim_start().starts_with('[') {
        serde_json::from_str(text).map(OneOrMany::Many)
    } else {
        serde_json::from_str(text).map(OneOrMany::One)
    };
    let contracts = match contracts.map_err(|e| unreadable(e.to_string()))? {
        OneOrMany::Many(many) => many,
        OneOrMany::One(one) => vec![*one],
    };
    let members = contracts.into_iter().map(|contract| {
        check_names(&contract).map_err(unreadable)?;
        Ok(Member::of(contract, Some(origin.to_owned())))
    });
    members.collect()
}

/// A handler's name is letters, digits and `_`: what is drawn from it needs no escapes.
pub(super) fn check_names(contract: &Contract) -> Result<(), String> {
    match contract.handlers.iter().find(|handler| !is_handler_name(&handler.name)) {
        Some(handler) => Err(format!("{:?} is not a handler's name (letters, digits and `_`)", handler.name)),
        None => Ok(()),
    }
}

pub(super) fn is_handler_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
