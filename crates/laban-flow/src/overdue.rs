//! What should have happened by now and did not: stuck flows.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::order::by_id;
use crate::standing::{Standings, Why};
use crate::state::{Work, work};
use crate::{Awaited, Flow, Mesh, State};

/// How long a reaction may take without any sign of life, before it is overdue.
pub const OVERDUE: Duration = Duration::from_secs(30);

/// That a reaction is overdue.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Overdue {
    /// Since when nothing has been heard of it: when its event was stored, its last attempt recorded, its next one due, or
    /// its deadline passed, whichever is the latest; by the broker's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    /// What the broker knows about it.
    pub why: Why,
}

impl Flow {
    /// Says which awaited reactions are overdue, and that the flow is stuck if one is: nothing has been heard of it for this
    /// long, by the broker's clock.
    ///
    /// A reaction is not overdue while its next attempt or its deadline is still to come, nor while the broker has handed its
    /// event to an instance that is alive. Without a broker that tells the time nothing is.
    #[must_use]
    pub fn judged(mut self, mesh: &Mesh, grace: Duration) -> Self {
        if let Some(now) = mesh.now() {
            self.judge(now, grace, &mesh.standings);
        }
        self
    }

    /// The same with a time of one's own, and nothing known of consumers.
    #[must_use]
    pub fn judged_at(mut self, now: OffsetDateTime, grace: Duration) -> Self {
        self.judge(now, grace, &Standings::default());
        self
    }

    fn judge(&mut self, now: OffsetDateTime, grace: Duration, standings: &Standings) {
        let signs: HashMap<Work<'_>, OffsetDateTime> =
            self.steps.iter().filter_map(|step| Some((work(step)?, step.at))).collect();
        let steps = by_id(&self.steps);
        for awaited in &mut self.awaited {
            let Some(cause) = steps.get(&awaited.cause).map(|index| &self.steps[*index]) else { continue };
            let sign = signs.get(&(awaited.cause, awaited.service.as_str(), awaited.handler.as_str()));
            let since = [Some(cause.at), sign.copied(), awaited.next_at, awaited.due_at];
            let since = since.into_iter().flatten().max().unwrap_or(cause.at);
            let is_late = now - since > grace;
            awaited.overdue =
                is_late.then(|| standings.why(awaited, cause).map(|why| Overdue { since, why })).flatten();
        }
        if self.state == State::Running && self.overdue().next().is_some() {
            self.state = State::Stuck;
        }
    }

    /// The awaited reactions that are overdue.
    pub fn overdue(&self) -> impl Iterator<Item = (&Awaited, Overdue)> {
        self.awaited.iter().filter_map(|awaited| Some((awaited, awaited.overdue?)))
    }
}
