//! Which dead letters are meant.

use laban_flow::dead::{Place, Query, Standing};
use laban_flow::{Home, Mesh};
use laban_wire::{DeadReason, EventType, FlowId};
use time::OffsetDateTime;

use crate::Failure;
use crate::flow::moment::Moment;

/// All of these must hold.
#[derive(clap::Args)]
pub(super) struct Filter {
    /// Only dead letters of this service
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Only dead letters of this handler
    #[arg(long, value_name = "NAME")]
    handler: Option<String>,
    /// Only errors of this kind, as the list names it
    #[arg(long, value_name = "FINGERPRINT")]
    fingerprint: Option<String>,
    /// Only this kind of end
    #[arg(long, value_enum, value_name = "REASON")]
    reason: Option<Reason>,
    /// Only reactions to events of this type
    #[arg(long, value_name = "SERVICE.EVENT")]
    event: Option<EventType>,
    /// Only dead letters of this flow
    #[arg(long, value_name = "FLOW")]
    flow: Option<FlowId>,
    /// Given up not longer ago than this time span (`2h`), or not before this time (`2026-11-26T18:00:00Z`)
    #[arg(long, value_name = "WHEN")]
    since: Option<Moment>,
    /// Given up before this
    #[arg(long, value_name = "WHEN")]
    until: Option<Moment>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Reason {
    Unreadable,
    Undecodable,
    Rejected,
    Exhausted,
    Vanishing,
    Unwritable,
}

impl From<Reason> for DeadReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Unreadable => Self::Unreadable,
            Reason::Undecodable => Self::Undecodable,
            Reason::Rejected => Self::Rejected,
            Reason::Exhausted => Self::Exhausted,
            Reason::Vanishing => Self::Vanishing,
            Reason::Unwritable => Self::Unwritable,
        }
    }
}

/// States as they are typed.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(super) enum Wanted {
    Open,
    FailedAgain,
    Redriven,
    Succeeded,
    Discarded,
}

impl From<Wanted> for Standing {
    fn from(wanted: Wanted) -> Self {
        match wanted {
            Wanted::Open => Self::Open,
            Wanted::FailedAgain => Self::FailedAgain,
            Wanted::Redriven => Self::Redriven,
            Wanted::Succeeded => Self::Succeeded,
            Wanted::Discarded => Self::Discarded,
        }
    }
}

/// What waits for a decision.
pub(super) const OPEN: [Standing; 2] = [Standing::Open, Standing::FailedAgain];

impl Filter {
    pub(super) fn is_empty(&self) -> bool {
        self.service.is_none()
            && self.handler.is_none()
            && self.fingerprint.is_none()
            && self.reason.is_none()
            && self.event.is_none()
            && self.flow.is_none()
            && self.since.is_none()
            && self.until.is_none()
    }

    pub(super) fn query(&self, mesh: &Mesh, states: Vec<Standing>) -> Result<Query, Failure> {
        if let Some(service) = &self.service
            && !mesh.homes.iter().any(|home| home.service == *service)
        {
            return Err(Failure::NotDone(no_service(service, &mesh.homes)));
        }
        let now = mesh.now().unwrap_or_else(OffsetDateTime::now_utc);
        Ok(Query {
            states,
            service: self.service.clone(),
            handler: self.handler.clone(),
            fingerprint: self.fingerprint.clone(),
            reason: self.reason.map(DeadReason::from),
            event: self.event.clone(),
            flow: self.flow.clone(),
            since: self.since.map(|moment| moment.before(now)),
            until: self.until.map(|moment| moment.before(now)),
            after: None,
        })
    }
}

fn no_service(service: &str, homes: &[Home]) -> String {
    let known: Vec<&str> = homes.iter().map(|home| home.service.as_str()).collect();
    match known.as_slice() {
        [] => {
            "no service has a home stream there: is this the right broker, and the right account?".to_owned()
        }
        _ => format!("no service {service:?} has a home stream there; there are {}", known.join(", ")),
    }
}

/// One dead letter, or all of a flow.
#[derive(Clone, Debug)]
pub(super) enum Target {
    Letter(Place),
    Flow(FlowId),
}

impl std::str::FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(place) => Ok(Self::Letter(place)),
            Err(_) => {
                text.parse().map(Self::Flow).map_err(|error: laban_wire::InvalidFlowId| error.to_string())
            }
        }
    }
}

impl Target {
    /// A flow whose key looks like a place is meant where there is no such stream.
    pub(super) fn resolved(self, mesh: &Mesh) -> Result<Self, Failure> {
        match self {
            Self::Letter(place) if !mesh.homes.iter().any(|home| home.stream == place.stream) => {
                let flow =
                    FlowId::new(place.to_string()).map_err(|error| Failure::Usage(error.to_string()))?;
                Ok(Self::Flow(flow))
            }
            other => Ok(other),
        }
    }
}
