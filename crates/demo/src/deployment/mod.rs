//! A Compose file, run as processes of this machine.
//!
//! Not every machine has a Docker engine, and what is written down for one should be tried all the same. A [`Deployment`] reads
//! the file itself and what it mounts, and starts what it says: each container is a process with its command line, its
//! environment, its configuration files, its probe, its place in the order of starting and its time to end. `name:port` of
//! another container, and `0.0.0.0:port` of its own, become a free port of 127.0.0.1; a volume becomes a temporary folder; and
//! what Prometheus would look up in Docker's DNS, it finds in files.
//!
//! Programs stand for images: nats-server, Jaeger and Prometheus as they are found or fetched, and the repository's own. Grafana
//! has none, and is [left out](Deployment::left_out). What is about the walls of a container (`build`, `ports`, `restart`,
//! `read_only`, `cap_drop`, `security_opt`, `user`, `logging`) has no meaning for a process; any other key that is not
//! understood is an error.

mod compose;
mod files;
mod images;
mod instance;
mod places;
mod probe;
mod shop;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use futures_util::future::{join_all, try_join_all};
use laban_testkit::Process;
use tempfile::TempDir;

use self::compose::Condition;
pub use self::compose::{Build, Compose, Container, Dependency, Healthcheck, Mount, Published};
use self::images::{Native, native};
use self::instance::{Instance, Place};
use self::places::Ports;
pub use self::yaml::parse as parse_yaml;
use crate::Error;
use crate::traces::Traces;

/// What a Compose file says, running. All of it is killed on drop.
#[derive(Debug)]
pub struct Deployment {
    compose: Compose,
    /// In the order in which they were started.
    instances: Vec<Instance>,
    left_out: Vec<String>,
    ports: Ports,
    traces: Traces,
    logs: PathBuf,
    folder: TempDir,
}

impl Deployment {
    /// Starts all of it, with these variables of the file, and waits until every probe says that it is well. Logs go to a
    /// folder, or to a temporary one.
    ///
    /// # Errors
    /// When the file says what is not understood, a program is not there, or one does not become well.
    pub async fn start(
        file: &Path,
        variables: &[(&str, &str)],
        logs: Option<PathBuf>,
    ) -> Result<Self, Error> {
        let mut deployment = Self::prepare(Compose::read(file, variables)?, logs).await?;
        deployment.start_all().await?;
        Ok(deployment)
    }

    async fn prepare(compose: Compose, logs: Option<PathBuf>) -> Result<Self, Error> {
        let refused = |why: String| Error::Deployment { file: compose.file.clone(), why };
        let folder = tempfile::Builder::new()
            .prefix("laban-deployment-")
            .tempdir()
            .map_err(Error::io("create a temporary folder"))?;
        let logs = logs.unwrap_or_else(|| folder.path().join("logs"));
        std::fs::create_dir_all(&logs).map_err(Error::io(format!("create {}", logs.display())))?;
        let mut natives = BTreeMap::new();
        let (mut names, mut left_out) = (BTreeMap::new(), Vec::new());
        for (service, container) in compose.containers.iter().filter(|(_, one)| one.profiles.is_empty()) {
            let native = native(container).map_err(|why| refused(format!("services.{service}: {why}")))?;
            match native {
                Native::Nothing => left_out.push(service.clone()),
                Native::Program(..) => drop(names.insert(service.clone(), instances(service, container))),
            }
            natives.insert(service.clone(), native);
        }
        let order = order(&compose, &natives).map_err(refused)?;
        let ports = Ports::new(names);
        let place = Place { compose: &compose, ports: &ports, folder: folder.path(), logs: &logs };
        let mut all = Vec::new();
        for service in order {
            let (Some(container), Some(native)) = (compose.containers.get(&service), natives.get(&service))
            else {
                continue;
            };
            for name in ports.instances(&service) {
                all.extend(Instance::new(name, &service, container, native, &place).await?);
            }
        }
        let traces = shop::traces(&ports).map_err(refused)?;
        Ok(Self { compose, instances: all, left_out, ports, traces, logs, folder })
    }

    async fn start_all(&mut self) -> Result<(), Error> {
        let mut well = BTreeSet::new();
        for index in 0..self.instances.len() {
            let container = self.compose.containers.get(&self.instances[index].service);
            let waits = container.into_iter().flat_map(|one| &one.depends_on);
            for (on, _) in waits.filter(|(_, on)| on.condition == Condition::ServiceHealthy) {
                if well.insert(on.clone()) {
                    let all = self.instances.iter().filter(|one| one.service == *on);
                    try_join_all(all.map(Instance::healthy)).await?;
                }
            }
            self.instances[index].start(&self.ports)?;
        }
        self.healthy().await
    }

    /// Waits until every probe says that what was started is well.
    ///
    /// # Errors
    /// With what the probe said and the end of its log, when one does not become well in the time that the file gives it.
    pub async fn healthy(&self) -> Result<(), Error> {
        try_join_all(self.instances.iter().map(Instance::healthy)).await.map(drop)
    }

    /// Asks each probe once: the instances, and what is wrong with those that are not well.
    pub async fn ask(&self) -> Vec<(&str, Result<(), String>)> {
        join_all(self.instances.iter().map(async |one| (one.name.as_str(), one.ask().await))).await
    }

    /// Whether all that was started still runs.
    ///
    /// # Errors
    /// With the end of its log when something has ended by itself.
    pub fn check(&self) -> Result<(), Error> {
        for process in self.instances.iter().filter_map(Instance::process) {
            if let Some(status) = process.exit_status() {
                let (name, log) = (process.name().to_owned(), process.log_tail(20));
                return Err(laban_testkit::Error::Exited { name, status, log }.into());
            }
        }
        Ok(())
    }

    /// Kills an instance, as a crash would. It is not missed by [`check`](Self::check) until it is started again.
    pub fn kill(&mut self, instance: &str) {
        self.instances.iter_mut().filter(|one| one.name == instance).for_each(Instance::kill);
    }

    /// Asks an instance to end, and waits for as long as the file gives it.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn stop_one(&mut self, instance: &str) -> Result<Option<ExitStatus>, Error> {
        match self.instances.iter_mut().find(|one| one.name == instance) {
            Some(one) => one.stop().await,
            None => Ok(None),
        }
    }

    /// Starts an instance again, on the same ports and volumes, and waits until it is well; one that runs is killed first.
    ///
    /// # Errors
    /// When it does not become well.
    pub async fn start_again(&mut self, instance: &str) -> Result<(), Error> {
        self.start_anew(instance)?;
        try_join_all(self.instances.iter().filter(|one| one.name == instance).map(Instance::healthy)).await?;
        Ok(())
    }

    /// The same, which does not wait.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_anew(&mut self, instance: &str) -> Result<(), Error> {
        let ports = &self.ports;
        let mut all = self.instances.iter_mut().filter(|one| one.name == instance);
        all.try_for_each(|one| one.start(ports))
    }

    /// Asks everything to end, those first that were started last, each in its time.
    ///
    /// # Errors
    /// With the end of its log when something does not end in time, or a program of this repository not well.
    pub async fn stop(mut self) -> Result<(), Error> {
        let mut waits: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (service, container) in &self.compose.containers {
            for on in container.depends_on.keys() {
                waits.entry(on.clone()).or_default().insert(service.clone());
            }
        }
        while !self.instances.is_empty() {
            // Those that nobody depends on who is still there.
            let there: BTreeSet<String> = self.instances.iter().map(|one| one.service.clone()).collect();
            let needed = |one: &Instance| waits.get(&one.service).is_some_and(|by| !by.is_disjoint(&there));
            let (rest, mut last): (Vec<_>, Vec<_>) =
                std::mem::take(&mut self.instances).into_iter().partition(needed);
            self.instances = rest;
            let ending = last.iter_mut().filter_map(|one| Some((one.own, one.give_up()?)));
            let ended = join_all(ending.map(async |(own, (process, grace))| {
                let status = process.stop(grace).await?;
                if own && !status.success() {
                    let (name, log) = (process.name().to_owned(), process.log_tail(20));
                    return Err(Error::from(laban_testkit::Error::Exited { name, status, log }));
                }
                Ok(())
            }));
            ended.await.into_iter().collect::<Result<(), Error>>()?;
        }
        Ok(())
    }

    /// The file.
    pub fn compose(&self) -> &Compose {
        &self.compose
    }

    /// The names of all instances, in the order in which they were started.
    pub fn instances(&self) -> impl Iterator<Item = &str> {
        self.instances.iter().map(|one| one.name.as_str())
    }

    /// The names of the instances of a service.
    pub fn instances_of(&self, service: &str) -> &[String] {
        self.ports.instances(service)
    }

    /// The process of an instance, if it was started.
    pub fn process(&self, instance: &str) -> Option<&Process> {
        self.instances.iter().find(|one| one.name == instance)?.process()
    }

    /// Services that have no program on this machine.
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// Where the port of an instance is on this machine: `127.0.0.1:` and another port.
    ///
    /// # Errors
    /// When it has none yet, and there is none to be had.
    pub fn address(&self, instance: &str, port: u16) -> Result<String, Error> {
        let refused = |why| Error::Deployment { file: self.compose.file.clone(), why };
        self.ports.address(instance, port).map_err(refused)
    }

    /// The folder of the logs.
    pub fn logs(&self) -> &Path {
        &self.logs
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        // First those who talk, then those they talk to.
        while self.instances.pop().is_some() {}
    }
}

/// The names of a service's instances.
fn instances(service: &str, container: &Container) -> Vec<String> {
    match container.replicas() {
        1 => vec![service.to_owned()],
        several => (1..=several).map(|number| format!("{service}-{number}")).collect(),
    }
}

/// The services that are started, each after all that it depends on.
fn order(compose: &Compose, natives: &BTreeMap<String, Native>) -> Result<Vec<String>, String> {
    let mut order: Vec<String> = Vec::new();
    let mut left: BTreeSet<&String> =
        natives.iter().filter(|(_, native)| **native != Native::Nothing).map(|(name, _)| name).collect();
    while !left.is_empty() {
        let is_next = |name: &&&String| {
            let container = compose.containers.get(**name);
            container.is_none_or(|one| one.depends_on.keys().all(|on| order.contains(on)))
        };
        let next: Vec<&String> = left.iter().filter(is_next).copied().collect();
        if next.is_empty() {
            let names: Vec<&str> = left.iter().map(|name| name.as_str()).collect();
            return Err(format!("{} wait for each other, or for what is not started", names.join(", ")));
        }
        left.retain(|name| !next.contains(name));
        order.extend(next.into_iter().cloned());
    }
    Ok(order)
}
