use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What orders and faults are drawn from. The faults that are drawn follow from it; what they meet, the machine decides.
    pub seed: u64,
    /// Orders that become flows.
    pub flows: usize,
    /// How long faults happen. The orders are placed meanwhile, evenly.
    pub duration: Duration,
    /// What the broker is.
    pub profile: Profile,
    /// Whether commits are fenced.
    pub fence: Fence,
    /// How soon after the last fault everything must have come to its end. `None`: as late as it likes, while it moves.
    pub calm: Option<Duration>,
    /// Where the report and the logs go.
    pub dir: PathBuf,
}

/// How soon everything has to have ended after a run whose figures are told.
pub const CALM: Duration = Duration::from_secs(60);

/// What the broker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Three brokers in a cluster, three copies of each stream.
    Cluster,
    /// One broker.
    Single,
}

impl Profile {
    /// How many brokers there are.
    pub(crate) fn brokers(self) -> usize {
        match self {
            Self::Cluster => 3,
            Self::Single => 1,
        }
    }
}

/// Whether commits are fenced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fence {
    /// As shipped.
    On,
    /// Not: a control. Such a run must be caught.
    Off,
}
