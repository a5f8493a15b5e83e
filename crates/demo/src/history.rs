use std::collections::BTreeMap;

use async_nats::Client;
use laban_flow::{Flow, Mesh};
use laban_wire::{FlowId, FlowReader, Stored, Subject};

use crate::Error;

/// Everything in all home streams, read in full and further on demand.
#[derive(Debug)]
pub struct History {
    reader: FlowReader,
    mesh: Mesh,
    /// By stream, the first sequence that was not read.
    next: BTreeMap<String, u64>,
    flows: BTreeMap<FlowId, Vec<Stored>>,
    /// Messages whose subject names no flow.
    strangers: Vec<Stored>,
}

impl History {
    /// Reads all there is.
    ///
    /// # Errors
    /// When a stream cannot be read to its end.
    pub async fn read(client: &Client, reader: impl Into<FlowReader>) -> Result<Self, Error> {
        let mut history = Self {
            mesh: Mesh::discover(client).await?,
            reader: reader.into(),
            next: BTreeMap::new(),
            flows: BTreeMap::new(),
            strangers: Vec::new(),
        };
        history.read_on().await?;
        Ok(history)
    }

    /// Reads what came since; says how many messages that were.
    ///
    /// # Errors
    /// When a stream cannot be read to its end.
    pub async fn read_on(&mut self) -> Result<usize, Error> {
        let mut read = 0;
        for home in &self.mesh.homes {
            let next = self.next.entry(home.stream.clone()).or_insert(1);
            for stored in self.reader.any_replica(&home.stream, ">", *next).await? {
                *next = stored.seq + 1;
                read += 1;
                match stored.subject.parse::<Subject>() {
                    Ok(subject) => self.flows.entry(subject.flow).or_default().push(stored),
                    Err(_) => self.strangers.push(stored),
                }
            }
        }
        Ok(read)
    }

    /// Who writes where, and who reacts to what.
    pub fn mesh(&self) -> &Mesh {
        &self.mesh
    }

    /// The ids of all flows.
    pub fn ids(&self) -> impl Iterator<Item = &FlowId> {
        self.flows.keys()
    }

    /// A flow, rebuilt.
    pub fn flow(&self, id: &FlowId) -> Option<Flow> {
        Flow::from_messages(id, self.messages(id).iter().cloned(), &self.mesh.reactions)
    }

    /// All messages of a flow.
    pub fn messages(&self, id: &FlowId) -> &[Stored] {
        self.flows.get(id).map_or(&[], Vec::as_slice)
    }

    /// Messages that belong to no flow.
    pub fn strangers(&self) -> &[Stored] {
        &self.strangers
    }
}
