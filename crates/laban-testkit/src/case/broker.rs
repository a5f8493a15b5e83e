//! What a case does at the broker: home streams of services that are not there, their events, and reading.

use async_nats::jetstream::stream::Config;
use async_nats::jetstream::{self, Context};
use async_nats::{Client, HeaderMap};
use laban_wire::case::{Case, CaseRecord, CaseWhat};
use laban_wire::{
    FlowId, FlowReader, HEADER, Message, Meta, Millis, Reaction, ServiceName, Subject, error_chain,
    home_stream,
};

use crate::{Error, streams};

/// A connection, and the flow that it is about.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) context: Context,
    pub(super) reader: FlowReader,
    flow: FlowId,
}

/// An event that was given, where it is.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) stream: String,
    pub(super) subject: String,
    pub(super) seq: u64,
}

fn failed(what: impl Into<String>) -> impl FnOnce(String) -> Error {
    let what = what.into();
    move |why| Error::Broker { what, why }
}

impl Desk {
    pub(super) async fn open(url: &str, flow: &FlowId) -> Result<Self, Error> {
        let connected = async_nats::connect(url).await;
        let client: Client = connected.map_err(|e| failed(format!("connect to {url}"))(error_chain(&e)))?;
        let reader = FlowReader::new(client.clone());
        Ok(Self { context: jetstream::new(client), reader, flow: flow.clone() })
    }

    /// Finds or makes a home stream, as `docs/wire.md` has it.
    pub(super) async fn ensure_home(&self, service: &ServiceName) -> Result<(), Error> {
        let name = home_stream(service);
        if self.context.get_stream(&name).await.is_ok() {
            return Ok(());
        }
        let config = Config {
            description: Some(format!("what service {service} did, as a case has it")),
            ..streams::home(service.as_str())
        };
        let made = self.context.create_stream(config).await;
        made.map(drop).map_err(|e| failed(format!("make stream {name}"))(error_chain(&e)))
    }

    /// What the service has of the flow from a sequence on; nothing, too, where it has no stream.
    pub(super) async fn records(&self, service: &ServiceName, from_seq: u64) -> Result<Vec<Message>, Error> {
        let (stream, filter) = (home_stream(service), Subject::all_of(service.as_str(), &self.flow));
        let unread = || failed(format!("read {filter} of stream {stream}"));
        let stored = match self.reader.leader(&stream, &filter, from_seq).await {
            Err(e) if e.is_no_stream() => Vec::new(),
            read => read.map_err(|e| unread()(error_chain(&e)))?,
        };
        let read =
            stored.into_iter().map(|stored| Message::try_from(stored).map_err(|e| unread()(e.to_string())));
        read.collect()
    }

    /// Publishes an event as its service did, with the id that it had.
    pub(super) async fn give(&self, record: &CaseRecord) -> Result<Option<Given>, Error> {
        let CaseWhat::Event { id, version, body } = &record.what else { return Ok(None) };
        let reaction = record.work.as_ref().map(|work| Reaction {
            cause: work.cause,
            on: work.on.clone(),
            handler: work.handler.as_str().into(),
            attempt: 1,
            queue_ms: Millis::default(),
            handle_ms: Millis::default(),
        });
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, Meta { id: *id, version: *version, reaction }.to_header());
        let subject = Subject::new(record.event.clone(), self.flow.clone()).to_text();
        let unpublished = || failed(format!("publish {subject}"));
        let sent = self.context.publish_with_headers(subject.clone(), headers, body.to_bytes()).await;
        let sent = sent.map_err(|e| unpublished()(error_chain(&e)))?;
        let ack = sent.await.map_err(|e| unpublished()(error_chain(&e)))?;
        Ok(Some(Given { stream: ack.stream, subject, seq: ack.sequence }))
    }
}

/// The services that a case is about.
pub(super) fn services_of(case: &Case) -> Vec<ServiceName> {
    let names = case.records().iter().flat_map(|record| {
        let on = record.work.as_ref().map(|work| work.on.service());
        std::iter::once(record.event.service()).chain(on)
    });
    let mut services: Vec<ServiceName> = names.filter_map(|name| name.parse().ok()).collect();
    services.sort();
    services.dedup();
    services
}
