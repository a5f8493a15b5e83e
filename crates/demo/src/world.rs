//! What is run: the shop on one broker, or all that a Compose file says.

use std::path::PathBuf;

use demo::deployment::Deployment;
use demo::traces::Traces;
use demo::{Door, Error, History, Mesh};

/// What is run.
pub(crate) enum World {
    /// The shop on one broker.
    Mesh(Box<Mesh>),
    /// All that a Compose file says.
    Deployment(Box<Deployment>),
}

impl World {
    pub(crate) fn door(&self) -> Result<Door, Error> {
        match self {
            Self::Mesh(mesh) => Ok(mesh.door()),
            Self::Deployment(deployment) => deployment.door(),
        }
    }

    pub(crate) async fn history(&self) -> Result<History, Error> {
        match self {
            Self::Mesh(mesh) => mesh.history().await,
            Self::Deployment(deployment) => deployment.history().await,
        }
    }

    pub(crate) fn books(&self) -> PathBuf {
        match self {
            Self::Mesh(mesh) => mesh.books(),
            Self::Deployment(deployment) => deployment.books(),
        }
    }

    pub(crate) fn traces(&self) -> &Traces {
        match self {
            Self::Mesh(mesh) => mesh.traces(),
            Self::Deployment(deployment) => deployment.traces(),
        }
    }

    pub(crate) async fn client(&self) -> Result<async_nats::Client, Error> {
        match self {
            Self::Mesh(mesh) => mesh.client().await,
            Self::Deployment(deployment) => deployment.client().await,
        }
    }

    pub(crate) fn broker_url(&self) -> Result<String, Error> {
        match self {
            Self::Mesh(mesh) => Ok(mesh.broker().url()),
            Self::Deployment(deployment) => deployment.broker_url(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        match self {
            Self::Mesh(mesh) => mesh.check(),
            Self::Deployment(deployment) => deployment.check(),
        }
    }

    pub(crate) async fn stop(self) -> Result<(), Error> {
        match self {
            Self::Mesh(mesh) => mesh.stop().await,
            Self::Deployment(deployment) => deployment.stop().await,
        }
    }
}
