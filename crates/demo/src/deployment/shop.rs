//! What the demo needs of a deployment: a shop where orders are placed, and what is audited afterwards.

use std::path::PathBuf;
use std::time::Duration;

use laban_wire::FlowReader;

use super::Deployment;
use super::images::repository;
use super::places::Ports;
use crate::traces::{JaegerApi, Traces};
use crate::{Door, Error, History};

/// Where the file has what is looked for here.
const ORDERS: (&str, u16) = ("order", 8080);
const JAEGER: &str = "jaeger";
const JAEGER_API: u16 = 16686;
const SPANS: u16 = 4317;
const BOOKS: &str = "books";
const CLIENTS: u16 = 4222;
const BROKER: &str = "nats";

/// What takes the spans.
pub(super) fn traces(ports: &Ports) -> Result<Traces, String> {
    let url = |port| Ok::<_, String>(format!("http://{}", ports.address(JAEGER, port)?));
    Ok(Traces::Elsewhere { api: JaegerApi::new(url(JAEGER_API)?), endpoint: url(SPANS)? })
}

impl Deployment {
    /// Where orders are placed: at each instance of the order service in turn.
    ///
    /// # Errors
    /// When they have no addresses.
    pub fn door(&self) -> Result<Door, Error> {
        let all = self.instances_of(ORDERS.0).iter().map(|instance| self.address(instance, ORDERS.1));
        Ok(Door::of(all.collect::<Result<_, _>>()?))
    }

    /// What is worth a look, and where it is.
    ///
    /// # Errors
    /// When something has no address.
    pub fn shown(&self) -> Result<Vec<(String, String)>, Error> {
        let mut shown = vec![("brokers".to_owned(), self.broker_url()?)];
        for instance in self.instances_of(ORDERS.0) {
            shown.push((
                instance.clone(),
                format!("POST http://{}/orders", self.address(instance, ORDERS.1)?),
            ));
        }
        // What is published besides is for a browser.
        for one in
            self.instances.iter().filter(|one| !one.own && !self.brokers().contains(&one.name.as_str()))
        {
            let container = self.compose.containers.get(&one.service);
            for published in container.into_iter().flat_map(|container| &container.ports) {
                let url = format!("http://{}", self.address(&one.name, published.container)?);
                shown.push((one.name.clone(), url));
            }
        }
        Ok(shown)
    }

    /// The folder of the shop's books.
    pub fn books(&self) -> PathBuf {
        self.folder.path().join("volumes").join(BOOKS)
    }

    /// What takes the spans.
    pub fn traces(&self) -> &Traces {
        &self.traces
    }

    /// The names of the brokers.
    pub fn brokers(&self) -> Vec<&str> {
        let images = |service: &str| self.compose.containers.get(service).map(|one| repository(&one.image));
        let brokers = self.instances.iter().filter(|one| images(&one.service) == Some(BROKER));
        brokers.map(|one| one.name.as_str()).collect()
    }

    /// The addresses of all brokers, separated by commas, as `NATS_URL` takes them.
    ///
    /// # Errors
    /// When they have none.
    pub fn broker_url(&self) -> Result<String, Error> {
        Ok(self.broker_urls()?.join(","))
    }

    fn broker_urls(&self) -> Result<Vec<String>, Error> {
        let url = |broker: &str| Ok(format!("nats://{}", self.address(broker, CLIENTS)?));
        self.brokers().into_iter().map(url).collect()
    }

    /// A connection to the brokers.
    ///
    /// # Errors
    /// When none can be reached.
    pub async fn client(&self) -> Result<async_nats::Client, Error> {
        let connecting = async_nats::ConnectOptions::new()
            .reconnect_delay_callback(|_| Duration::from_millis(50))
            .connect(self.broker_urls()?);
        Ok(connecting.await?)
    }

    /// All that the streams hold now.
    ///
    /// # Errors
    /// When the brokers cannot be reached, or a stream not be read to its end.
    pub async fn history(&self) -> Result<History, Error> {
        let client = self.client().await?;
        let reader = FlowReader::new(client.clone()).with_direct(self.client().await?);
        History::read(&client, reader).await
    }
}
