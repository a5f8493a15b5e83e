//! A case, run.

use std::collections::HashSet;
use std::time::Duration;

use laban_wire::case::{CaseRecord, CaseWork};
use laban_wire::{EventId, Message, REDRIVE, RETRYING, Retrying, ServiceName, home_stream};

use super::Case;
use super::broker::{Desk, Given, services_of};
use super::compare::{Actual, compare};
use super::plan::{Act, Plan};
use super::service::{Consumers, missing};
use crate::{Error, wait};

/// A case on a broker, ready for its service: see [`CaseOf::on`](super::CaseOf::on).
#[derive(Debug)]
pub struct CaseRun {
    case: Case,
    service: ServiceName,
    services: Vec<ServiceName>,
    timeout: Duration,
    plan: Plan,
    desk: Desk,
    /// Events that were given, and where they are.
    given: Vec<Given>,
    /// What the service has of the flow.
    own: Vec<Message>,
    /// Events that were not given, because what they came of did not happen.
    withheld: HashSet<EventId>,
}

/// What has come of a look: what was looked for, or what is still awaited.
type Look<T> = Result<T, String>;

impl CaseRun {
    pub(super) async fn prepare(
        case: Case,
        service: String,
        timeout: Duration,
        url: &str,
    ) -> Result<Self, Error> {
        let refused = |why: String| Error::Case { case: case.name.to_string(), why };
        let plan = Plan::of(&case.case, &service);
        if plan.expected.is_empty() {
            let services = case.services().join(", ");
            return Err(refused(format!("service `{service}` does nothing in it; these do: {services}")));
        }
        // It wrote a record, so its name is one.
        let service: ServiceName = service.parse().map_err(|e| refused(format!("{e}")))?;
        let desk = Desk::open(url, case.case.flow()).await?;
        let services = services_of(&case.case);
        for one in &services {
            if !desk.records(one, 1).await?.is_empty() {
                return Err(refused(format!(
                    "the broker has records of {one} about flow {:?} already: each run wants a broker of its own",
                    case.flow()
                )));
            }
            if *one != service {
                desk.ensure_home(one).await?;
            }
        }
        let (given, own, withheld) = (Vec::new(), Vec::new(), HashSet::new());
        Ok(Self { case, service, services, timeout, plan, desk, given, own, withheld })
    }

    /// Waits until the service is there, gives it what it was told, each event when its turn has come, waits until it has
    /// nothing left to do, and compares what it did in this flow with what it did then.
    ///
    /// What must be the same: which handler reacted to which event; how many events it emitted, their order, types,
    /// versions, ids and bodies, but for what the case ignores; that it emitted nothing; that it gave up, with which reason,
    /// and with an error that differs in numbers, ids and quoted values only. How often it tried does not matter. What it
    /// emits into other flows is not looked at.
    ///
    /// # Errors
    /// [`Error::NotAsRecorded`] with all differences. [`Error::TimedOut`] with what was awaited when the service does not
    /// start, or something may still come when the time is up. [`Error::Broker`] when the broker does not do what is
    /// needed.
    pub async fn check(mut self) -> Result<(), Error> {
        self.until_ready().await?;
        for act in std::mem::take(&mut self.plan.acts) {
            match act {
                Act::Give(place) => self.give(place).await?,
                Act::Await(reaction) => self.until_settled(reaction).await?,
            }
        }
        self.until_idle().await?;
        let actual = self.actual();
        let told = |work: &CaseWork| self.is_told(work.cause);
        match compare(&self.case.case, &self.plan.expected, &actual, told) {
            None => Ok(()),
            Some(differences) => {
                let (service, case, flow) = (&self.service, &self.case.name, self.case.flow());
                let about =
                    format!("service {service} did not do in flow {flow:?} what the case has ({case}):");
                Err(Error::NotAsRecorded(differences.about(&about)))
            }
        }
    }

    async fn until_ready(&self) -> Result<(), Error> {
        let expected: Vec<&CaseWork> = self.plan.expected.iter().map(|expected| &expected.work).collect();
        until(self.timeout, async || {
            let missing = missing(&self.service, &self.services, &expected, &self.desk).await?;
            Ok(missing.map_or(Ok(()), Err))
        })
        .await
    }

    /// Gives an event to the service, if what it came of has happened.
    async fn give(&mut self, place: usize) -> Result<(), Error> {
        let record = &self.case.case.records()[place];
        if !record.work.as_ref().is_none_or(|work| self.is_told(work.cause)) {
            self.withheld.extend(record.id());
            return Ok(());
        }
        self.given.extend(self.desk.give(record).await?);
        Ok(())
    }

    /// Whether an event is there for the service to react to: it was given, or the service emitted it as it did then. One that
    /// is not in the case is none of our business.
    fn is_told(&self, event: EventId) -> bool {
        let outcome = self.plan.expected.iter().flat_map(|expected| &expected.outcome);
        let records: Vec<&CaseRecord> = outcome.map(|place| &self.case.case.records()[*place]).collect();
        match records.iter().find(|record| record.id() == Some(event)) {
            None => !self.withheld.contains(&event),
            Some(record) => self
                .own
                .iter()
                .any(|message| message.meta.id == event && message.subject.event_type == record.event),
        }
    }

    /// Waits for a reaction: until it has come, or cannot come any more.
    async fn until_settled(&mut self, reaction: usize) -> Result<(), Error> {
        let work = self.plan.expected[reaction].work.clone();
        if !self.is_told(work.cause) {
            return Ok(());
        }
        let timeout = self.timeout;
        until(timeout, async || {
            self.read_on().await?;
            if self.own.iter().any(|message| settles(message, &work)) {
                return Ok(Ok(()));
            }
            let consumers = Consumers::of(&self.service, &self.desk).await?;
            let deadline = consumers.has_deadline(&work);
            if !deadline && self.busy(&consumers).await?.is_none() {
                // Everything was settled before this last look.
                return Ok(Ok(()));
            }
            let (service, CaseWork { on, handler, .. }) = (&self.service, &work);
            let late = if deadline { ", which has a deadline," } else { "" };
            let trouble = self.trouble(&work).unwrap_or_default();
            Ok(Err(format!("{service}: {handler}{late} to react to {on}{trouble}")))
        })
        .await
    }

    /// Waits until the service has nothing left to do.
    async fn until_idle(&mut self) -> Result<(), Error> {
        let timeout = self.timeout;
        until(timeout, async || {
            self.read_on().await?;
            let consumers = Consumers::of(&self.service, &self.desk).await?;
            let Some(busy) = self.busy(&consumers).await? else { return Ok(Ok(())) };
            let failing =
                self.own.iter().rev().find(|message| message.subject.event_type.event() == RETRYING);
            let trouble = failing.and_then(work_of).and_then(|work| self.trouble(&work)).unwrap_or_default();
            Ok(Err(format!("{busy}{trouble}")))
        })
        .await
    }

    /// What is left to do for the service, by its consumers as they were after all that is known was read.
    ///
    /// A consumer that was idle may have got something from one that was looked at later; then the service has a record that
    /// it had not before.
    async fn busy(&mut self, consumers: &Consumers) -> Result<Option<String>, Error> {
        let own = self.own.iter().map(|message| Given {
            stream: message.stream.to_string(),
            subject: message.subject.to_text(),
            seq: message.seq,
        });
        let known: Vec<Given> = own.chain(self.given.iter().cloned()).collect();
        if let Some(busy) = consumers.busy(&known) {
            return Ok(Some(busy));
        }
        let came = self.read_on().await?;
        Ok(came.then(|| format!("{} to come to rest", self.service)))
    }

    /// Reads what the service has written since. Says whether there was anything.
    async fn read_on(&mut self) -> Result<bool, Error> {
        let from = self.own.last().map_or(1, |last| last.seq + 1);
        let came = self.desk.records(&self.service, from).await?;
        let any = !came.is_empty();
        self.own.extend(came);
        Ok(any)
    }

    /// Why a reaction has not come to an end, as far as the service said.
    fn trouble(&self, work: &CaseWork) -> Option<String> {
        let attempts = self.own.iter().rev().filter(|message| work_of(message).as_ref() == Some(work));
        let last = attempts.into_iter().next()?;
        let failed: Retrying = serde_json::from_slice(&last.payload).ok()?;
        Some(format!("; attempt {} of {} failed: {}", failed.attempt, work.handler, failed.error))
    }

    /// What the service did in this flow, but for attempts, and what was given to it as its own.
    fn actual(&self) -> Actual<'_> {
        let home = home_stream(&self.service);
        let given: HashSet<u64> =
            self.given.iter().filter(|given| given.stream == home).map(|given| given.seq).collect();
        let mut seen = HashSet::new();
        let done = self.own.iter().filter(|message| {
            let event = &message.subject.event_type;
            // A handler that takes effect at least once may have said it more than once.
            let again = !event.is_system() && !seen.insert((message.meta.id, event));
            !again && !given.contains(&message.seq) && !matches!(event.event(), RETRYING | REDRIVE)
        });
        Actual::of(done)
    }
}

fn work_of(message: &Message) -> Option<CaseWork> {
    let reaction = message.meta.reaction.as_ref()?;
    let (cause, on) = (reaction.cause, reaction.on.clone());
    Some(CaseWork { cause, on, handler: reaction.handler.to_string() })
}

fn settles(message: &Message, work: &CaseWork) -> bool {
    let reaction = message.meta.reaction.as_ref();
    let is_of = reaction.is_some_and(|one| one.cause == work.cause && *one.handler == *work.handler);
    is_of && !matches!(message.subject.event_type.event(), RETRYING | REDRIVE)
}

/// Looks until something is there, and tells what was awaited if it is not in time.
async fn until<T>(
    timeout: Duration,
    mut look: impl AsyncFnMut() -> Result<Look<T>, Error>,
) -> Result<T, Error> {
    let mut awaited = "an answer of the broker".to_owned();
    let found = wait::until_some("", timeout, async || match look().await {
        Ok(Ok(found)) => Some(Ok(found)),
        Ok(Err(what)) => {
            awaited = what;
            None
        }
        Err(error) => Some(Err(error)),
    });
    match found.await {
        Ok((found, _)) => found,
        Err(_) => Err(Error::TimedOut { what: awaited, waited: timeout }),
    }
}
