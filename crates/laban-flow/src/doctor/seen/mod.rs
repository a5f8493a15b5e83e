//! What is read of a mesh: each question once, within limits, and nothing is changed by it.

mod asking;
mod clocks;
mod instances;
mod left;
mod refusals;
mod servers;
mod streams;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::{account::Account, consumer, stream};
use laban_wire::contract::Contract;
use laban_wire::{FlowReader, contract as wire};
use time::OffsetDateTime;

use self::asking::Asking;
pub(super) use self::asking::No;
use self::clocks::Reference;
pub(super) use self::clocks::Sample;
pub(super) use self::instances::Instance;
pub(super) use self::left::Left;
pub use self::refusals::Refusals;
pub use self::servers::Monitored;
pub(super) use self::servers::Server;
#[cfg(test)]
pub(super) use self::servers::Store;
pub(super) use self::streams::{Role, Silent, Stream, Watched};
use super::{Options, Unseen};
use crate::map::is_deleted;
use crate::{Map, Mesh};

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// By name.
    pub(super) servers: Vec<Server>,
    pub(super) monitored: Vec<Monitored>,
    pub(super) account: Option<Account>,
    /// Why JetStream does not answer at all; nothing when it does.
    pub(super) jetstream: Option<No>,
    pub(super) streams: Vec<Stream>,
    pub(super) consumers: Vec<Watched>,
    /// Streams and consumers that the broker knows of, and that do not answer.
    pub(super) silent: Vec<Silent>,
    /// Nothing when nobody could be asked.
    pub(super) instances: Option<Vec<Instance>>,
    /// What is registered, by service; nothing when that could not be read.
    pub(super) contracts: Option<BTreeMap<String, Registered>>,
    /// The services whose contract was deleted: they have left, and what they left behind is history.
    pub(super) retired: BTreeSet<String>,
    pub(super) map: Option<Map>,
    pub(super) left: Left,
    /// The broker's time, or this host's where the broker does not say.
    pub(super) now: Option<OffsetDateTime>,
    pub(super) unseen: Vec<Unseen>,
}

/// A contract in the bucket.
#[derive(Clone, Debug)]
pub(super) struct Registered {
    pub(super) contract: Contract,
    pub(super) fingerprint: String,
}

impl Seen {
    /// The services that anything tells of.
    pub(super) fn services(&self) -> BTreeSet<&str> {
        let streams = self.streams.iter().filter_map(|stream| stream.role.service());
        let consumers = self.consumers.iter().filter_map(|consumer| consumer.service());
        let instances = self.instances.iter().flatten().map(|instance| instance.service.as_str());
        let contracts = self.contracts.iter().flatten().map(|(service, _)| service.as_str());
        streams.chain(consumers).chain(instances).chain(contracts).collect()
    }

    pub(super) fn instances_of(&self, service: &str) -> impl Iterator<Item = &Instance> {
        self.instances.iter().flatten().filter(move |instance| instance.service == service)
    }

    pub(super) fn consumers_of(&self, service: &str) -> impl Iterator<Item = &Watched> {
        self.consumers.iter().filter(move |consumer| consumer.service() == Some(service))
    }

    pub(super) fn contract_of(&self, service: &str) -> Option<&Registered> {
        self.contracts.as_ref()?.get(service)
    }

    /// The home stream of a service.
    pub(super) fn home_of(&self, service: &str) -> Option<&stream::Info> {
        let home = |stream: &&Stream| matches!(&stream.role, Role::Home(of) if of == service);
        self.streams.iter().find(home).map(|stream| &stream.info)
    }

    /// Whether nothing speaks for an instance of the service. Who may not announce itself is heard of by what it pulls.
    pub(super) fn is_absent(&self, service: &str) -> bool {
        let pulls = |consumer: &Watched| consumer.is_asked_for() || consumer.moves();
        self.instances.is_some()
            && self.instances_of(service).next().is_none()
            && !self.consumers_of(service).any(pulls)
    }

    fn unseen<T>(&mut self, what: &str, answer: Result<T, No>) -> Option<T> {
        answer.map_err(|no| self.unseen.push(no.unseen(what))).ok()
    }
}

/// Reads all there is to read.
pub(super) async fn look(
    client: &Client,
    reader: &FlowReader,
    monitored: Vec<Monitored>,
    refusals: &Refusals,
    options: &Options,
) -> Seen {
    let asking = Asking { client, refusals };
    let reference = Reference::start();
    let mut seen = Seen::default();
    let (account, listed, contracts) = tokio::join!(
        asking.ask::<Account>("$JS.API.INFO", ""),
        streams::list(&asking),
        contracts(&asking, reader)
    );
    // Who may not ask for the one may be allowed the other.
    seen.jetstream = match (&account, &listed) {
        (Err(one), Err(other)) => {
            [one, other].into_iter().find(|no| !matches!(no, No::Refused { .. } | No::Deaf { .. })).cloned()
        }
        _ => None,
    };
    seen.account = seen.unseen("the limits of the account", account);
    let contracts = seen.unseen("contracts", contracts);
    (seen.contracts, seen.retired) = contracts.map_or_else(Default::default, |(all, gone)| (Some(all), gone));
    if let Some(listed) = seen.unseen("streams and consumers", listed) {
        seen.streams = listed.0;
        seen.silent.extend(listed.1);
    }
    let first = streams::consumers(&asking, &seen.streams).await;
    // The second look at consumers comes when the time is up, whatever else is read meanwhile.
    let within = options.watch_for.max(Duration::from_secs(1));
    let is_there = seen.jetstream.is_none();
    let (servers, instances, mesh, then) = tokio::join!(
        servers::ask(&asking, reference, within),
        instances::ask(&asking, reference, within),
        async { if is_there { Some(mesh(&asking, reader, options).await) } else { None } },
        async {
            tokio::time::sleep(options.watch_for).await;
            streams::consumers(&asking, &seen.streams).await
        }
    );
    seen.servers = seen.unseen("the servers' versions, and their clocks", servers).unwrap_or_default();
    servers::add_monitored(&mut seen.servers, &monitored, reference);
    seen.monitored = monitored;
    seen.instances = seen.unseen("instances of services", instances);
    for consumers in first {
        let what = format!("the consumers of stream {}", consumers.stream);
        let Some(listed) = seen.unseen(&what, consumers.answer) else { continue };
        seen.silent
            .extend(listed.silent.into_iter().map(|name| Silent::Consumer(consumers.stream.clone(), name)));
        seen.consumers.extend(listed.items.into_iter().map(Watched::of));
    }
    for listed in then.into_iter().filter_map(|consumers| consumers.answer.ok()) {
        listed.items.into_iter().for_each(|info| seen.again(info));
    }
    if let Some(mesh) = mesh {
        // Now, and not when the first look began.
        seen.now = mesh.clock.and_then(|clock| clock.now());
        seen.map = mesh.map;
        seen.left = mesh.left;
        seen.unseen.extend(mesh.unseen);
    }
    seen
}

impl Seen {
    /// A consumer, looked at a second time.
    fn again(&mut self, info: consumer::Info) {
        let same =
            |one: &&mut Watched| one.first.stream_name == info.stream_name && one.first.name == info.name;
        if let Some(one) = self.consumers.iter_mut().find(same) {
            one.then = Some(info);
        }
    }
}

/// What needs the whole mesh.
#[derive(Default)]
struct Joined {
    /// Who knows the broker's time.
    clock: Option<Mesh>,
    map: Option<Map>,
    left: Left,
    unseen: Vec<Unseen>,
}

async fn mesh(asking: &Asking<'_>, reader: &FlowReader, options: &Options) -> Joined {
    let mut joined = Joined::default();
    let needs = ["$JS.API.STREAM.LIST", "$JS.API.CONSUMER.LIST."];
    let mesh = match asking.unless_refused(&needs, Mesh::discover(asking.client)).await {
        Ok(Ok(mesh)) => mesh,
        Ok(Err(error)) => {
            let remedy = "look again when all streams and consumers answer";
            joined.unseen.push(Unseen::new("the map, flows and dead letters", error.to_string(), remedy));
            return joined;
        }
        Err(no) => {
            joined.unseen.push(no.unseen("the map, flows and dead letters"));
            return joined;
        }
    };
    let needs = ["$JS.API.STREAM.MSG.GET.KV_"];
    match asking.unless_refused(&needs, Map::discover(asking.client, reader)).await {
        Ok(Ok(map)) => joined.map = Some(map),
        Ok(Err(error)) => {
            joined.unseen.push(Unseen::new("the map", error.to_string(), "look again when that is mended"));
        }
        Err(no) => joined.unseen.push(no.unseen("the map")),
    }
    let (left, unseen) = left::look(asking, reader, &mesh, options).await;
    joined.left = left;
    joined.unseen.extend(unseen);
    joined.clock = Some(mesh);
    joined
}

/// The contracts in the bucket, as they are written there, and the services whose contract was deleted.
async fn contracts(
    asking: &Asking<'_>,
    reader: &FlowReader,
) -> Result<(BTreeMap<String, Registered>, BTreeSet<String>), No> {
    let keys = format!("$KV.{}.", wire::BUCKET);
    let filter = format!("{keys}*");
    let reading = reader.leader(wire::STREAM, &filter, 1);
    let subject = format!("$JS.API.STREAM.MSG.GET.{}", wire::STREAM);
    let messages = match asking.unless_refused(&[&subject], reading).await? {
        Ok(messages) => messages,
        // A mesh without one has no contracts.
        Err(error) if error.is_no_stream() => return Ok(Default::default()),
        Err(error) => return Err(No::Other { text: error.to_string() }),
    };
    let mut newest = BTreeMap::new();
    for message in messages {
        newest.insert(message.subject.strip_prefix(&keys).unwrap_or_default().to_owned(), message);
    }
    let (gone, there): (BTreeMap<_, _>, BTreeMap<_, _>) =
        newest.into_iter().partition(|(_, message)| is_deleted(message));
    let read = there.into_iter().filter_map(|(key, message)| {
        let value = serde_json::from_slice(&message.payload).ok()?;
        let fingerprint = laban_wire::contract_fingerprint(&value);
        Some((key, Registered { contract: serde_json::from_value(value).ok()?, fingerprint }))
    });
    Ok((read.collect(), gone.into_keys().collect()))
}
