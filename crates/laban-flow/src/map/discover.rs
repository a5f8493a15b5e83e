//! The map of a live mesh: the contracts that services have registered, and the consumers of those that have not.

use std::collections::{BTreeMap, BTreeSet};

use async_nats::Client;
use laban_wire::contract::{BUCKET, Contract, DeadlineContract, HandlerContract, STREAM};
use laban_wire::{FlowReader, ServiceName, Stored};

use super::sources::{check_names, is_handler_name};
use super::{Known, Map, Member, read_contracts};
use crate::{Declared, Error, Mesh};

/// What a key-value bucket says of a key that is gone.
const OPERATION: &str = "KV-Operation";

/// The contracts that services have registered, in the order of the services' names, and what is wrong with others.
struct Registered {
    members: Vec<Member>,
    /// The services whose contract was deleted.
    deleted: BTreeSet<String>,
    problems: Vec<String>,
}

/// Whether a message of the bucket says that its key is gone.
pub(crate) fn is_deleted(message: &Stored) -> bool {
    message.headers.get(OPERATION).is_some() || message.payload.is_empty()
}

impl Map {
    /// The map of the account's services: those that registered a contract, and as far as their consumers tell, the others.
    ///
    /// # Errors
    /// When the broker does not answer in full.
    pub async fn discover(client: &Client, reader: &FlowReader) -> Result<Self, Error> {
        let mesh = Mesh::discover(client).await?;
        let Registered { mut members, deleted, mut problems } = registered(reader).await?;
        problems.extend(mesh.problems.iter().cloned());
        for (name, contract) in by_consumers(&mesh, &mut problems) {
            // It has left: its home stream is history.
            if contract.handlers.is_empty() && deleted.contains(&name) {
                continue;
            }
            if !members.iter().any(|member| member.name() == name) {
                members.push(Member { known: Known::Consumers, origin: None, contract });
            }
        }
        // Keys are names and consumers were grouped by name, so none is there twice.
        let map = Self::join(members).unwrap_or_default();
        Ok(Self { problems, ..map })
    }
}

/// Reads the bucket to its end. A mesh without one has no contracts.
async fn registered(reader: &FlowReader) -> Result<Registered, Error> {
    let mut newest = BTreeMap::new();
    let keys = format!("$KV.{BUCKET}.");
    match reader.leader(STREAM, &format!("{keys}*"), 1).await {
        Ok(messages) => {
            for message in messages {
                newest.insert(message.subject.clone(), message);
            }
        }
        Err(error) if error.is_no_stream() => {}
        Err(error) => return Err(error.into()),
    }
    let mut found = Registered { members: Vec::new(), deleted: BTreeSet::new(), problems: Vec::new() };
    for (subject, message) in newest {
        let key = subject.strip_prefix(&keys).unwrap_or(&subject);
        if is_deleted(&message) {
            found.deleted.insert(key.to_owned());
            continue;
        }
        let origin = format!("the contract registered as {key}");
        match read_contracts(&String::from_utf8_lossy(&message.payload), &origin) {
            Ok(mut members) if members.len() == 1 && members[0].name() == key => {
                found.members.append(&mut members);
            }
            Ok(_) => found.problems.push(format!("{origin} is not that of service {key}")),
            Err(error) => found.problems.push(error.to_string()),
        }
    }
    Ok(found)
}

/// What consumers and home streams tell about services.
fn by_consumers(mesh: &Mesh, problems: &mut Vec<String>) -> BTreeMap<String, Contract> {
    let mut services = BTreeMap::<String, Contract>::new();
    let mut named = |name: &str| match name.parse::<ServiceName>() {
        Ok(_) => true,
        Err(error) => {
            problems.push(error.to_string());
            false
        }
    };
    let homes = mesh.homes.iter().map(|home| (home.service.as_str(), None));
    let declared = mesh.reactions.iter().map(|declared| (declared.service.as_str(), Some(declared)));
    for (service, declared) in homes.chain(declared) {
        if !services.contains_key(service) && !named(service) {
            continue;
        }
        let Ok(name) = service.parse() else { continue };
        let contract = services.entry(service.to_owned()).or_insert_with(|| Contract {
            service: name,
            laban: String::new(),
            handlers: Vec::new(),
            begins: Vec::new(),
            events: Vec::new(),
        });
        if let Some(declared) = declared.filter(|declared| is_handler_name(&declared.handler)) {
            add(contract, declared);
        }
    }
    debug_assert!(services.values().all(|contract| check_names(contract).is_ok()));
    services
}

/// One consumer is one event type of a handler.
fn add(contract: &mut Contract, declared: &Declared) {
    let known = contract.handlers.iter_mut().find(|handler| handler.name == declared.handler);
    if let Some(handler) = known {
        handler.consumes.push(declared.on.clone());
        return;
    }
    contract.handlers.push(HandlerContract {
        name: declared.handler.clone(),
        consumes: vec![declared.on.clone()],
        emits: declared.emits.clone(),
        fails_with: Vec::new(),
        compensates: declared.compensates.clone(),
        deadline: declared.deadline.as_ref().map(|deadline| DeadlineContract {
            unless: deadline.unless.clone(),
            within_ms: u64::try_from(deadline.within.as_millis()).unwrap_or(u64::MAX),
        }),
        retry: None,
        timeout_ms: None,
        reads_flow: false,
        at_least_once: declared.at_least_once,
        skips_history: false,
    });
}
