//! One container, as a process of this machine.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use laban_testkit::Process;

use super::compose::{Compose, Container};
use super::files;
use super::images::{Native, Which};
use super::places::Ports;
use super::probe::{Environment, NOT_INHERITED, Probe};
use crate::Error;

/// One container, as a process of this machine.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) name: String,
    /// The container that it is one of.
    pub(super) service: String,
    /// Whether its program is one of this repository, and so ends with code 0 when it is asked to.
    pub(super) own: bool,
    program: PathBuf,
    arguments: Vec<String>,
    environment: Environment,
    grace: Duration,
    probe: Option<Probe>,
    log: PathBuf,
    process: Option<Process>,
}

/// What all instances of a deployment share.
pub(super) struct Place<'a> {
    pub(super) compose: &'a Compose,
    pub(super) ports: &'a Ports,
    pub(super) folder: &'a Path,
    pub(super) logs: &'a Path,
}

impl Instance {
    /// Makes everything ready that its process needs.
    pub(super) async fn new(
        name: &str,
        service: &str,
        container: &Container,
        native: &Native,
        place: &Place<'_>,
    ) -> Result<Option<Self>, Error> {
        let Native::Program(which, arguments) = native else { return Ok(None) };
        let program = which.path().await?;
        let Place { compose, ports, folder, logs } = place;
        let refused = |why: String| Error::Deployment {
            file: compose.file.clone(),
            why: format!("services.{service}: {why}"),
        };
        let (own, volumes) = (folder.join("containers").join(name), folder.join("volumes"));
        std::fs::create_dir_all(&own).map_err(Error::io(format!("create {}", own.display())))?;
        let paths = files::mount(compose, container, name, ports, &own, &volumes).map_err(refused)?;
        let translate = |text: &str| ports.translate(&paths.translate(text), name);
        let arguments = arguments.iter().map(|argument| translate(argument)).collect::<Result<_, _>>();
        let environment = container
            .environment()
            .map(|(variable, value)| Ok((variable.to_owned(), translate(value)?)))
            .collect::<Result<_, _>>();
        let probe =
            container.healthcheck.as_ref().map(|check| Probe::new(check, native, &program, translate));
        Ok(Some(Self {
            name: name.to_owned(),
            service: service.to_owned(),
            own: matches!(which, Which::Own(_)),
            arguments: arguments.map_err(refused)?,
            environment: environment.map_err(refused)?,
            grace: container.grace(),
            probe: probe.transpose().map_err(refused)?,
            log: logs.join(format!("{name}.log")),
            program,
            process: None,
        }))
    }

    /// Starts it; one that runs is killed first.
    pub(super) fn start(&mut self, ports: &Ports) -> Result<(), Error> {
        self.process = None;
        ports.let_in(&self.name);
        let process = Process::builder(&self.program)
            .name(&self.name)
            .log_file(&self.log)
            .env_remove_prefixed(&NOT_INHERITED)
            .args(&self.arguments);
        let process =
            self.environment.iter().fold(process, |process, (name, value)| process.env(name, value));
        self.process = Some(process.spawn()?);
        Ok(())
    }

    /// Waits until its probe says that it is well, for as long as Docker would. Without a probe, it is well when it runs.
    pub(super) async fn healthy(&self) -> Result<(), Error> {
        let (Some(process), Some(probe)) = (&self.process, &self.probe) else { return Ok(()) };
        let mut last = String::new();
        let well = process.until("become healthy", probe.patience, async || {
            match probe.ask(&self.environment).await {
                Ok(()) => true,
                Err(why) => {
                    last = why;
                    false
                }
            }
        });
        well.await.map_err(|error| match error {
            laban_testkit::Error::Late { name, what, waited, log } => {
                let what = format!("{what} ({last})");
                laban_testkit::Error::Late { name, what, waited, log }.into()
            }
            other => other.into(),
        })
    }

    /// Asks its probe once; says why not, if it is not well.
    pub(super) async fn ask(&self) -> Result<(), String> {
        match &self.probe {
            Some(probe) => probe.ask(&self.environment).await,
            None => Err("it has no probe".to_owned()),
        }
    }

    /// Its process, from its start until it is killed or stopped on purpose.
    pub(super) fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }

    /// Kills it, as a crash would.
    pub(super) fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
        }
    }

    /// Takes its process from it: it is to end. How long it may take comes along.
    pub(super) fn give_up(&mut self) -> Option<(Process, Duration)> {
        Some((self.process.take()?, self.grace))
    }

    /// Asks it to end, and waits for as long as it may take.
    pub(super) async fn stop(&mut self) -> Result<Option<ExitStatus>, Error> {
        match self.give_up() {
            Some((process, grace)) => Ok(Some(process.stop(grace).await?)),
            None => Ok(None),
        }
    }
}
