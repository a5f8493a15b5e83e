//! One case, from beginning to end.

use std::sync::Arc;

use laban::FaultPoint as Point;
use laban_testkit::wait;
use laban_tests::Outcome;
use tokio::sync::Semaphore;

use crate::account::{Account, Awaited, Given, Shared};
use crate::beside;
use crate::case::{Case, Trouble};
use crate::check::Check;
use crate::instance::{Instance, PATIENCE};
use crate::script::Script;
use crate::situation::Situation;

/// The flow that is troubled.
pub(crate) const FLOW: &str = "4711";

/// Cases at a time, over all tests. Most of the time they wait for the broker to deliver again.
static AT_ONCE: Semaphore = Semaphore::const_new(16);

/// A case on its stage.
pub(crate) struct Run {
    pub(crate) account: Account,
    pub(crate) case: Case,
    /// What else `LABAN_FAULTS` says, to all instances.
    pub(crate) switches: &'static str,
}

/// Runs a case, and returns what is wrong with what came of it.
pub(crate) async fn findings(
    shared: &Arc<Shared>,
    case: Case,
    switches: &'static str,
) -> Outcome<Vec<String>> {
    let _turn = AT_ONCE.acquire().await?;
    let run = Run { account: Account::open(shared).await?, case, switches };
    for upstream in case.situation.upstream() {
        run.account.make_home(upstream).await?;
    }
    match case.trouble {
        Trouble::AbortBeside => beside::findings(&run).await,
        _ if case.situation.reacts() => run.reaction().await,
        _ => run.emission().await,
    }
}

impl Run {
    async fn reaction(&self) -> Outcome<Vec<String>> {
        let Script { groups, expected } = Script::of(self.case.situation, FLOW)?;
        let (first, awaited) = self.begin(&self.case.faults(), &groups).await?;
        first.until_fault().await?;
        self.is_as_told(&first)?;
        match self.case.trouble {
            Trouble::Abort | Trouble::AbortBeside => {
                first.until_killed().await?;
                let second = self.start(self.switches)?;
                self.account
                    .until_acked(&awaited)
                    .await
                    .map_err(|error| second.told(&format!("{error:?}")))?;
                self.until_timers().await.map_err(|error| second.told(&format!("{error:?}")))?;
                self.account.until_asked(&awaited).await?;
                second.until_idle().await?;
            }
            Trouble::Freeze => {
                let second = self.start(self.switches)?;
                self.account
                    .until_acked(&awaited)
                    .await
                    .map_err(|error| second.told(&format!("{error:?}")))?;
                self.until_timers().await.map_err(|error| second.told(&format!("{error:?}")))?;
                first.thaw()?;
                self.until_over(&[&first, &second], &awaited).await?;
            }
            Trouble::Pause => {
                let second = self.start(self.switches)?;
                self.until_over(&[&first, &second], &awaited).await?;
            }
            Trouble::LoseRequest | Trouble::LateRequest | Trouble::LoseAnswer => {
                self.until_over(&[&first], &awaited).await?;
                self.until_late(&first).await?;
            }
        }
        self.until_timers().await?;
        let records = self.account.records(self.case.situation.service()).await?;
        let check = Check {
            service: self.case.situation.service(),
            expected: &expected,
            notes: self.case.notes(),
            roots: self.case.roots(),
        };
        Ok(check.findings(&records))
    }

    /// Starts the first instance, and gives it all there is: each group when the one before is done with, or never will be.
    pub(crate) async fn begin(
        &self,
        faults: &str,
        groups: &[Vec<Given>],
    ) -> Outcome<(Instance, Vec<Awaited>)> {
        let mut awaited = Vec::new();
        let dead_before = self.case.situation == Situation::AfterACrash;
        if dead_before {
            for given in groups.iter().flatten() {
                awaited.extend(self.account.give_and_take(given).await?);
            }
        }
        let first = self.start(&self.with_switches(faults))?;
        self.account.until_home(self.case.situation.service()).await?;
        for (index, group) in groups.iter().enumerate() {
            for given in group.iter().filter(|_| !dead_before) {
                awaited.extend(self.account.give(given).await?);
            }
            let done = async || first.fault().is_some() || first.count(Point::Finished) > index;
            first.until("what it was given to be done with", done).await?;
        }
        if self.case.situation.has_deadline() {
            awaited.push(Awaited::of_timers(self.case.situation.service()));
        }
        Ok((first, awaited))
    }

    /// Waits until no timer is left that will come.
    async fn until_timers(&self) -> Outcome {
        if !self.case.situation.has_deadline() {
            return Ok(());
        }
        let service = self.case.situation.service();
        let what = format!("{:?} timers to be left", self.case.timers());
        let few = async || {
            let timers = self.account.timers(service).await;
            timers.is_some_and(|timers| self.case.timers().contains(&timers))
        };
        wait::until(what, PATIENCE, few).await?;
        Ok(())
    }

    async fn emission(&self) -> Outcome<Vec<String>> {
        let first = self.start(&self.with_switches(&self.case.faults()))?;
        first.until_fault().await?;
        self.is_as_told(&first)?;
        match self.case.trouble {
            Trouble::Abort | Trouble::AbortBeside => {
                first.until_killed().await?;
                // What begins a flow is asked to begin it again; who emits does not know that it should.
                if self.case.situation == Situation::Begin {
                    self.until_done(&self.start(self.switches)?).await?;
                }
            }
            Trouble::Freeze | Trouble::Pause => {
                self.until_done(&self.start(self.switches)?).await?;
                first.thaw()?;
                self.until_done(&first).await?;
            }
            Trouble::LoseRequest | Trouble::LateRequest | Trouble::LoseAnswer => {
                self.until_done(&first).await?;
                self.until_late(&first).await?;
            }
        }
        let records = self.account.records(self.case.situation.service()).await?;
        let (notes, roots) = (0..=0, self.case.roots());
        let check = Check { service: self.case.situation.service(), expected: &[], notes, roots };
        Ok(check.findings(&records))
    }

    pub(crate) fn start(&self, faults: &str) -> Outcome<Instance> {
        let way = self.case.situation.way();
        let arguments = if self.case.situation.reacts() { vec![way] } else { vec![way, FLOW] };
        Instance::start(&self.account, &arguments, faults)
    }

    pub(crate) fn with_switches(&self, faults: &str) -> String {
        format!("{},{faults}", self.switches)
    }

    /// That the fault which the instance met with is the one of this case.
    pub(crate) fn is_as_told(&self, instance: &Instance) -> Outcome {
        let met = instance.fault().ok_or("a fault")?;
        let told = (Some(self.case.point().name()), Some(self.case.hit() as u64), Some(self.case.action()));
        if (met.point.as_deref(), met.hit, met.action.clone()) == told {
            return Ok(());
        }
        Err(format!("expected the fault {told:?}, it was {met:?}").into())
    }

    /// Waits until all is acknowledged, and these instances, all of them alive, have finished every delivery made.
    pub(crate) async fn until_over(&self, instances: &[&Instance], awaited: &[Awaited]) -> Outcome {
        let first = instances[0];
        self.account.until_acked(awaited).await.map_err(|error| first.told(&format!("{error:?}")))?;
        self.until_timers().await.map_err(|error| first.told(&format!("{error:?}")))?;
        let taken = u64::from(self.case.situation == Situation::AfterACrash);
        let over = async || {
            let count = |point| instances.iter().map(|one| one.count(point) as u64).sum::<u64>();
            let finished = count(Point::Finished);
            count(Point::Received) == finished && finished + taken == self.account.deliveries(awaited).await
        };
        first.until("every delivery to be finished", over).await
    }

    async fn until_done(&self, instance: &Instance) -> Outcome {
        instance.until("the event to be taken", async || instance.has_said("done")).await
    }

    /// Waits until what is late was made after all.
    async fn until_late(&self, instance: &Instance) -> Outcome {
        if self.case.trouble != Trouble::LateRequest {
            return Ok(());
        }
        let made = async || instance.has_said("the late request was answered");
        instance.until("the late request", made).await
    }
}
