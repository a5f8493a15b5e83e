//! The services protocol of NATS (ADR-32): who is there, asked of everybody at once. `nats micro ls` shows it.
//!
//! Each instance answers for itself. A service is not asked to do anything this way: its endpoints are the events that it
//! consumes, and those come from streams.

use std::sync::Arc;

use async_nats::{Client, Message, Subject};
use futures_util::stream::{SelectAll, Stream, StreamExt as _, select_all};
use laban_wire::contract::Contract;
use laban_wire::metadata::{EVENT, HANDLER, SERVICE, WIRE, WIRE_VERSION};
use laban_wire::{InstanceData, ServiceName, SpanTotals, contract_fingerprint};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio_util::sync::CancellationToken;

use super::commit::Pause;
use super::consumers::Position;
use super::handling::Handling;
use super::link::Link;
use crate::telemetry::{SpanCounts, Tally};

/// One instance, as it answers.
pub(crate) struct Announcing {
    service: ServiceName,
    version: String,
    /// Of this instance.
    id: String,
    started: String,
    /// The fingerprint of its contract.
    contract: Option<String>,
    spans: Arc<SpanCounts>,
    endpoints: Vec<Listed>,
}

/// One handler at one event type.
pub(crate) struct Listed {
    name: String,
    handler: Arc<str>,
    event: String,
    subject: String,
    queue_group: String,
    tally: Arc<Tally>,
}

impl Listed {
    pub(crate) fn of(handling: &Handling, position: &Position) -> Self {
        // A handler of several event types has one for each.
        let name = match handling.definition.consumes.len() {
            1 => handling.handler.to_string(),
            _ => format!("{}-{}", handling.handler, handling.event.as_str().replace('.', "-")),
        };
        Self {
            name,
            handler: Arc::clone(&handling.handler),
            event: handling.event.to_string(),
            subject: position.filter().to_owned(),
            queue_group: position.name().to_owned(),
            tally: Arc::clone(&handling.metrics.tally),
        }
    }

    fn info(&self) -> Value {
        json!({
            "name": self.name,
            "subject": self.subject,
            "queue_group": self.queue_group,
            "metadata": {HANDLER: &*self.handler, EVENT: self.event},
        })
    }

    fn stats(&self) -> Value {
        let (requests, errors, nanos) = self.tally.read();
        json!({
            "name": self.name,
            "subject": self.subject,
            "queue_group": self.queue_group,
            "num_requests": requests,
            "num_errors": errors,
            "last_error": self.tally.last_error(),
            "processing_time": nanos,
            "average_processing_time": nanos.checked_div(requests).unwrap_or_default(),
        })
    }
}

#[derive(Clone, Copy)]
enum Question {
    Ping,
    Info,
    Stats,
}

impl Question {
    const ALL: [(Self, &'static str); 3] =
        [(Self::Ping, "PING"), (Self::Info, "INFO"), (Self::Stats, "STATS")];
}

impl Announcing {
    pub(crate) fn of(
        contract: &Contract,
        version: &str,
        spans: Arc<SpanCounts>,
        endpoints: Vec<Listed>,
    ) -> Self {
        Self {
            service: contract.service.clone(),
            version: version.to_owned(),
            id: uuid::Uuid::now_v7().simple().to_string(),
            started: OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default(),
            contract: serde_json::to_value(contract).ok().as_ref().map(contract_fingerprint),
            spans,
            endpoints,
        }
    }

    /// Answers until the service stops. Nothing waits for it.
    pub(crate) async fn answer(self, link: Link, stop: CancellationToken) {
        let answering = async {
            let mut pause = Pause::default();
            loop {
                let client = link.client();
                match self.listen(&client).await {
                    Ok(mut questions) => {
                        while let Some((question, message)) = questions.next().await {
                            if let Some(reply) = message.reply {
                                self.reply(&client, reply, question).await;
                            }
                        }
                    }
                    Err(error) => {
                        tracing::debug!(service = %self.service, %error, "not announced; trying again");
                    }
                }
                // The client library has given up, or is about to.
                pause.long().await;
                link.revive().await;
            }
        };
        tokio::select! {
            () = answering => {}
            () = stop.cancelled() => {}
        }
    }

    /// Questions to everybody, to all instances of this service, and to this one.
    async fn listen(
        &self,
        client: &Client,
    ) -> Result<SelectAll<impl Stream<Item = (Question, Message)> + Unpin + use<>>, async_nats::SubscribeError>
    {
        let mut all = Vec::new();
        for (question, verb) in Question::ALL {
            for to in ["".to_owned(), format!(".{}", self.service), format!(".{}.{}", self.service, self.id)]
            {
                let asked = client.subscribe(format!("$SRV.{verb}{to}")).await?;
                all.push(asked.map(move |message| (question, message)));
            }
        }
        Ok(select_all(all))
    }

    async fn reply(&self, client: &Client, to: Subject, question: Question) {
        let answer = self.answer_to(question, client).to_string();
        if let Err(error) = client.publish(to, answer.into()).await {
            tracing::debug!(service = %self.service, %error, "an answer about this service was not sent");
        }
    }

    fn answer_to(&self, question: Question, client: &Client) -> Value {
        let mut answer = json!({
            "name": self.service,
            "id": self.id,
            "version": self.version,
            "metadata": {SERVICE: self.service, WIRE: WIRE_VERSION},
        });
        let endpoints = |of: fn(&Listed) -> Value| self.endpoints.iter().map(of).collect::<Vec<_>>();
        match question {
            Question::Ping => answer["type"] = "io.nats.micro.v1.ping_response".into(),
            Question::Info => {
                answer["type"] = "io.nats.micro.v1.info_response".into();
                answer["description"] =
                    "a Laban service: its endpoints are the events that it reacts to".into();
                answer["endpoints"] = endpoints(Listed::info).into();
            }
            Question::Stats => {
                answer["type"] = "io.nats.micro.v1.stats_response".into();
                answer["started"] = self.started.clone().into();
                answer["endpoints"] = endpoints(Listed::stats).into();
                answer["data"] = json!(self.data(client));
            }
        }
        answer
    }

    fn data(&self, client: &Client) -> InstanceData {
        InstanceData {
            now: Some(OffsetDateTime::now_utc()),
            ip: Some(client.server_info().client_ip).filter(|ip| !ip.is_empty()),
            pid: Some(std::process::id()),
            contract: self.contract.clone(),
            spans: Some(SpanTotals {
                exported: self.spans.exported(),
                queue_full: self.spans.queue_full(),
                export_failed: self.spans.export_failed(),
            }),
        }
    }
}
