use std::path::PathBuf;
use std::time::Duration;

use laban_testkit::Broker;

use crate::traces::Wanted;

/// How the mesh is to be.
#[derive(Debug)]
pub struct Settings {
    /// The broker; one of its own otherwise.
    pub broker: Option<Broker>,
    /// Addresses of brokers that somebody else has started, such as a cluster's: where everybody connects to then, instead
    /// of to `broker`.
    pub url: Option<String>,
    /// Where spans go.
    pub traces: Wanted,
    /// The folder of the services' logs; a temporary one otherwise.
    pub logs: Option<PathBuf>,
    /// How long the broker waits for an acknowledgement: how soon the work of a service that was killed is taken up.
    pub ack_wait: Duration,
    /// More variables for the services' environment.
    pub env: Vec<(&'static str, String)>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            broker: None,
            url: None,
            traces: Wanted::IfAtHand,
            logs: None,
            ack_wait: Duration::from_secs(3),
            env: Vec::new(),
        }
    }
}
