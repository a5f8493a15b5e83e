//! A real broker with home streams and consumers as services would make them.

use std::collections::HashMap;

use async_nats::jetstream::{self, consumer};
use laban_flow::{Declared, Flow, Mesh};
use laban_testkit::{Broker, streams};
use laban_wire::{FlowId, metadata};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::history::History;

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

pub(crate) struct Live {
    pub(crate) client: async_nats::Client,
    pub(crate) js: jetstream::Context,
    /// Last: the client goes first.
    broker: Broker,
}

impl Live {
    pub(crate) async fn start() -> Outcome<Self> {
        let broker = Broker::start().await?;
        let client = async_nats::connect(broker.url()).await?;
        Ok(Self { js: jetstream::new(client.clone()), client, broker })
    }

    /// One more connection.
    pub(crate) async fn connect(&self) -> Outcome<async_nats::Client> {
        Ok(async_nats::connect(self.broker.url()).await?)
    }

    /// The broker is killed and comes back with what was on disk.
    pub(crate) async fn restart(&mut self) -> Outcome {
        self.broker.kill();
        Ok(self.broker.start_again().await?)
    }

    /// A broker with the home streams and consumers of these reactions.
    pub(crate) async fn with(reactions: &[Declared]) -> Outcome<Self> {
        let live = Self::start().await?;
        for declared in reactions {
            live.home(&declared.service).await?;
            live.home(declared.on.service()).await?;
            live.reacts(declared, consumer::DeliverPolicy::All).await?;
        }
        Ok(live)
    }

    pub(crate) async fn home(&self, service: &str) -> Outcome {
        self.js.get_or_create_stream(streams::home(service)).await?;
        Ok(())
    }

    pub(crate) async fn reacts(&self, declared: &Declared, from: consumer::DeliverPolicy) -> Outcome {
        let names: Vec<&str> = declared.compensates.iter().map(|event| event.as_str()).collect();
        let mut said = HashMap::from([
            (metadata::SERVICE.to_owned(), declared.service.clone()),
            (metadata::HANDLER.to_owned(), declared.handler.clone()),
            (metadata::EVENT.to_owned(), declared.on.to_string()),
        ]);
        if !names.is_empty() {
            said.insert(metadata::COMPENSATES.to_owned(), names.join(" "));
        }
        if let Some(deadline) = &declared.deadline {
            let unless: Vec<_> = deadline.unless.iter().map(|event| event.as_str()).collect();
            said.insert(metadata::UNLESS.to_owned(), unless.join(" "));
            said.insert(metadata::WITHIN_MS.to_owned(), deadline.within.as_millis().to_string());
        }
        if declared.at_least_once {
            said.insert(metadata::AT_LEAST_ONCE.to_owned(), "true".to_owned());
        }
        let config = consumer::pull::Config {
            durable_name: Some(format!(
                "{}-{}-{}",
                declared.service,
                declared.handler,
                declared.on.as_str().replace('.', "-")
            )),
            filter_subject: format!("{}.*", declared.on),
            deliver_policy: from,
            metadata: said,
            ..Default::default()
        };
        let stream = declared.on.service().to_uppercase();
        self.js.create_consumer_on_stream(config, stream).await?;
        Ok(())
    }

    /// Publishes in order, without waiting for each.
    pub(crate) async fn write(&self, history: &History) -> Outcome {
        let mut acks = Vec::new();
        for message in &history.messages {
            let (subject, headers) = (message.subject.clone(), message.headers.clone());
            acks.push(if headers.is_empty() {
                self.js.publish(subject, message.payload.clone()).await?
            } else {
                self.js.publish_with_headers(subject, headers, message.payload.clone()).await?
            });
        }
        for ack in acks {
            ack.await?;
        }
        Ok(())
    }

    /// Publishes with a header block that no client library would write.
    pub(crate) async fn write_raw(&self, subject: &str, headers: &str, body: &str) -> Outcome {
        let mut raw =
            BufReader::new(TcpStream::connect(self.broker.url().trim_start_matches("nats://")).await?);
        let (head, all) = (headers.len(), headers.len() + body.len());
        let hpub = format!("HPUB {subject} {head} {all}\r\n{headers}{body}\r\n");
        let text = format!("CONNECT {{\"verbose\":false,\"headers\":true}}\r\n{hpub}PING\r\n");
        raw.get_mut().write_all(text.as_bytes()).await?;
        let mut line = String::new();
        while !line.starts_with("PONG") {
            line.clear();
            if raw.read_line(&mut line).await? == 0 {
                return Err("the broker hung up".into());
            }
        }
        Ok(())
    }

    pub(crate) async fn read(&self, flow: &FlowId) -> Outcome<Option<Flow>> {
        let mesh = Mesh::discover(&self.client).await?;
        assert_eq!(mesh.problems, [""; 0]);
        Ok(Flow::read(&self.client, &mesh, flow).await?)
    }
}
