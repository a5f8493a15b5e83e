//! What compose.yaml says, running.

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_nats::jetstream::{self, stream};
use demo::audit::audit;
use demo::deployment::Deployment;
use demo::orders::{Order, Placed, Plan, place};
use demo::{Door, Progress, Stage, settle};
use futures_util::TryStreamExt as _;
use laban_testkit::{tools, wait};
use laban_tests::{Outcome, Over, note};
use tokio::sync::{Mutex, MutexGuard};

/// Longer than any of what is awaited takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
/// How many orders are under way at a time.
const AT_ONCE: usize = 16;

/// Sixteen processes are as much as a small machine has room for.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// A file of the project.
pub(crate) fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// What compose.yaml says, running.
pub(crate) struct Rig {
    deployment: Deployment,
    _alone: MutexGuard<'static, ()>,
}

impl Deref for Rig {
    type Target = Deployment;

    fn deref(&self) -> &Deployment {
        &self.deployment
    }
}

impl DerefMut for Rig {
    fn deref_mut(&mut self) -> &mut Deployment {
        &mut self.deployment
    }
}

impl Rig {
    /// Starts all of it, with these variables of the file. Where there is no Jaeger or no Prometheus it says so, and there is nothing; it fails if there must
    /// be one.
    pub(crate) async fn start(variables: &[(&str, &str)]) -> Outcome<Option<Self>> {
        let tools = tokio::task::spawn_blocking(|| {
            [("JAEGER", tools::jaeger()), ("PROMETHEUS", tools::prometheus())]
        });
        for (tool, found) in tools.await? {
            match found {
                Ok(_) => {}
                Err(laban_testkit::Error::NoTool { why, .. })
                    if std::env::var(format!("LABAN_REQUIRE_{tool}")).as_deref() != Ok("1") =>
                {
                    note(&format!("skipped, no {tool}: {why}"));
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            }
        }
        let _alone = ONE_AT_A_TIME.lock().await;
        let logs = std::env::var_os("LABAN_TEST_LOGS").map(|folder| {
            let test = std::thread::current().name().unwrap_or("test").replace("::", "-");
            Path::new(&folder).join(test)
        });
        let file = project("deploy/compose/compose.yaml");
        let deployment = Deployment::start(&file, variables, logs).await?;
        Ok(Some(Self { deployment, _alone }))
    }

    /// Ends all of it, each in its time.
    pub(crate) async fn stop(self) -> Outcome {
        Ok(self.deployment.stop().await?)
    }

    /// The instances whose logs have this in them.
    pub(crate) fn said(&self, text: &str) -> Outcome<Vec<&str>> {
        let mut all = Vec::new();
        for instance in self.instances() {
            if let Some(process) = self.process(instance)
                && std::fs::read_to_string(process.log_path())?.contains(text)
            {
                all.push(instance);
            }
        }
        Ok(all)
    }

    /// JetStream, by a connection of its own.
    pub(crate) async fn jetstream(&self) -> Outcome<jetstream::Context> {
        Ok(jetstream::new(self.client().await?))
    }

    /// All streams, as their leaders have them.
    pub(crate) async fn streams(&self) -> Outcome<Vec<stream::Info>> {
        Ok(self.jetstream().await?.streams().try_collect().await?)
    }

    /// Waits until every probe says that all is well, and every stream has all its replicas, up to date.
    pub(crate) async fn whole(&self) -> Outcome {
        self.healthy().await?;
        let mut lacks = String::new();
        let whole = wait::until("every stream to have its replicas", PATIENCE, async || {
            lacks = match self.streams().await {
                Ok(streams) => streams.iter().find_map(lacking).unwrap_or_default(),
                Err(error) => format!("{error:?}"),
            };
            lacks.is_empty()
        });
        let whole = whole.await;
        whole.map(drop).map_err(|error| format!("{error}: {lacks}").into())
    }

    /// Waits until all flows have ended, and audits everything.
    pub(crate) async fn over(&self, plan: &Plan, placed: &[Placed]) -> Outcome<Over> {
        let mut history = self.history().await?;
        let flows = placed.iter().filter_map(|one| one.flow.as_ref());
        let unsettled = settle(|| self.check(), &mut history, flows, PATIENCE, &silent()).await?;
        if !unsettled.0.is_empty() {
            return Err(unsettled.to_string().into());
        }
        // One that is behind may have answered: what came last is asked for once more.
        self.whole().await?;
        history.read_on().await?;
        let audit = audit(plan, placed, &history, &self.books())?;
        Ok(Over { history, audit })
    }
}

/// What a stream lacks, if it lacks something.
fn lacking(stream: &stream::Info) -> Option<String> {
    let name = &stream.config.name;
    let Some(cluster) = &stream.cluster else { return Some(format!("{name} is on one node alone")) };
    if cluster.leader.is_none() {
        return Some(format!("{name} has no leader"));
    }
    let behind = cluster.replicas.iter().find(|one| !one.current || one.offline);
    behind.map(|one| format!("{name}: {} is not up to date", one.name))
}

/// Places orders at a door.
pub(crate) async fn place_at(door: &Door, orders: &[Order]) -> Vec<Placed> {
    place(door, orders, AT_ONCE, &silent()).await
}

pub(crate) fn silent() -> Stage {
    Progress::Silent.stage("", 0)
}
