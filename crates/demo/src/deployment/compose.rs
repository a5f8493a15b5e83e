//! What a Compose file says: as much of it as is used here, and nothing else.

mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

pub use self::values::{Mount, Published};
use self::values::{Period, Text};
use super::yaml;
use crate::Error;

/// Docker's own, where a container names none.
const GRACE: Duration = Duration::from_secs(10);

/// A Compose file. A key that is not known here is an error: whoever runs what it says must not leave anything out unknowingly.
#[derive(Clone, Debug)]
pub struct Compose {
    /// The file.
    pub file: PathBuf,
    /// What it starts, by name.
    pub containers: BTreeMap<String, Container>,
    /// The names of its volumes.
    pub volumes: BTreeSet<String>,
}

/// The keys of the file that are known.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// Of the project: it has no meaning but for Docker.
    #[serde(rename = "name")]
    _name: String,
    services: BTreeMap<String, Value>,
    #[serde(default)]
    volumes: BTreeMap<String, Option<Value>>,
}

/// One entry under `services`: a container, or several alike.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Container {
    /// The image.
    pub image: String,
    /// The command line; without the program where the image's entry point is one.
    #[serde(default)]
    pub command: Vec<String>,
    #[serde(default)]
    environment: BTreeMap<String, Text>,
    /// Files, folders and volumes.
    #[serde(default)]
    pub volumes: Vec<Mount>,
    /// Folders in memory.
    #[serde(default)]
    pub tmpfs: Vec<String>,
    /// What is waited for before it is started.
    #[serde(default)]
    pub depends_on: BTreeMap<String, Dependency>,
    /// How it is found out whether it is well.
    pub healthcheck: Option<Healthcheck>,
    stop_grace_period: Option<Period>,
    #[serde(default)]
    deploy: Deploy,
    /// It is started only when one of these is asked for.
    #[serde(default)]
    pub profiles: Vec<String>,

    // What only Docker can do: nothing of it has a meaning for a process on this machine.
    /// How the image is built.
    pub build: Option<Build>,
    /// Ports that are published.
    #[serde(default)]
    pub ports: Vec<Published>,
    /// When it is started again.
    pub restart: Option<String>,
    /// Whether its root file system cannot be written.
    #[serde(default)]
    pub read_only: bool,
    /// What root's rights are taken from it.
    #[serde(default)]
    pub cap_drop: Vec<String>,
    /// More about its rights.
    #[serde(default)]
    pub security_opt: Vec<String>,
    /// Who it runs as, where that is not the image's user.
    pub user: Option<String>,
    /// Where what it says is kept.
    pub logging: Option<Value>,
}

/// When something that is depended on will do.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dependency {
    /// What must be so.
    pub condition: Condition,
}

/// What must be so before another container is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// It has been started.
    ServiceStarted,
    /// Its probe says that it is well.
    ServiceHealthy,
}

/// A probe, and how often it is asked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Healthcheck {
    /// `CMD` and a command line inside the container.
    pub test: Vec<String>,
    interval: Period,
    timeout: Period,
    /// How often in a row it may fail.
    pub retries: u32,
    start_period: Period,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Deploy {
    replicas: usize,
}

impl Default for Deploy {
    fn default() -> Self {
        Self { replicas: 1 }
    }
}

/// How an image is built.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// The folder that it is made from, relative to the file's.
    pub context: PathBuf,
    /// What makes it, relative to that folder.
    pub dockerfile: PathBuf,
}

impl Compose {
    /// Reads the file. Variables that are not given take their defaults, whatever the environment says:
    /// `${LABAN_IMAGE:-laban/shop:0.1.0}` is `laban/shop:0.1.0`.
    ///
    /// # Errors
    /// With the place, when it cannot be read or has something in it that is not understood here.
    pub fn read(file: &Path, variables: &[(&str, &str)]) -> Result<Self, Error> {
        let refused = |why: String| Error::Deployment { file: file.to_owned(), why };
        let text = std::fs::read_to_string(file).map_err(|error| refused(error.to_string()))?;
        let mut all = yaml::parse(&text).map_err(refused)?;
        if let Value::Object(keys) = &mut all {
            keys.retain(|key, _| !key.starts_with("x-"));
        }
        values::interpolate(&mut all, variables).map_err(refused)?;
        let parsed: File = serde_json::from_value(all).map_err(|error| refused(error.to_string()))?;
        let mut containers = BTreeMap::new();
        for (name, value) in parsed.services {
            let container = serde_json::from_value(value)
                .map_err(|error| refused(format!("services.{name}: {error}")))?;
            containers.insert(name, container);
        }
        let mut volumes = BTreeSet::new();
        for (name, options) in parsed.volumes {
            if options.is_some_and(|options| !options.is_null()) {
                return Err(refused(format!("volumes.{name}: options of a volume are not understood")));
            }
            volumes.insert(name);
        }
        let compose = Self { file: file.to_owned(), containers, volumes };
        compose.check().map_err(refused)?;
        Ok(compose)
    }

    /// What is named is there.
    fn check(&self) -> Result<(), String> {
        for (name, container) in &self.containers {
            for (on, dependency) in &container.depends_on {
                let other = self.containers.get(on);
                let other =
                    other.ok_or_else(|| format!("services.{name} depends on {on}, which is not there"))?;
                if dependency.condition == Condition::ServiceHealthy && other.healthcheck.is_none() {
                    return Err(format!("services.{name} waits for {on} to be healthy, which has no probe"));
                }
            }
            for mount in &container.volumes {
                match mount {
                    Mount::Volume { volume, .. } if !self.volumes.contains(volume) => {
                        return Err(format!("services.{name}: the volume {volume} is not there"));
                    }
                    Mount::Bind { path, .. } if !self.path(path).exists() => {
                        return Err(format!("services.{name}: {} is not there", self.path(path).display()));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// A path that the file names, from its folder.
    pub fn path(&self, named: &Path) -> PathBuf {
        self.file.parent().unwrap_or(Path::new(".")).join(named)
    }
}

impl Container {
    /// How many there are of it.
    pub fn replicas(&self) -> usize {
        self.deploy.replicas
    }

    /// How long it may take to end.
    pub fn grace(&self) -> Duration {
        self.stop_grace_period.as_ref().map_or(GRACE, |period| period.0)
    }

    /// Its environment.
    pub fn environment(&self) -> impl Iterator<Item = (&str, &str)> {
        self.environment.iter().map(|(name, value)| (name.as_str(), value.0.as_str()))
    }

    /// A variable of its environment.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(|value| value.0.as_str())
    }
}

impl Healthcheck {
    /// How long an answer may take.
    pub fn timeout(&self) -> Duration {
        self.timeout.0
    }

    /// How long it may take from the start until Docker gives it up.
    pub fn patience(&self) -> Duration {
        self.start_period.0 + (self.interval.0 + self.timeout.0) * self.retries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Compose, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("compose.yaml");
        std::fs::write(&file, text).unwrap();
        Compose::read(&file, &[]).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_not_known_is_an_error_and_says_where() {
        for (text, expected) in [
            ("name: a\nservices: {}\nnetworks: {}", "networks"),
            (
                "name: a\nservices: {b: {image: c, privileged: true}}",
                "services.b: unknown field `privileged`",
            ),
            ("name: a\nservices: {b: {image: \"c:${V}\"}}", "`c:${V}`"),
            ("name: a\nservices: {b: {image: c, ports: [\"80\"]}}", "services.b: `80`"),
            ("name: a\nservices: {b: {image: c, volumes: [\"./none:/x\"]}}", "none is not there"),
            ("name: a\nservices: {b: {image: c, volumes: [\"none:/x\"]}}", "the volume none is not there"),
            ("name: a\nservices: {b: {image: c, stop_grace_period: soon}}", "services.b: `soon`"),
            (
                "name: a\nservices: {b: {image: c, depends_on: {d: {condition: service_started}}}}",
                "depends on d",
            ),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn a_probe_that_is_waited_for_is_there() {
        let text = "name: a\nservices:\n  b: {image: c}\n  d: {image: e, depends_on: {b: {condition: service_healthy}}}";
        assert!(read(text).unwrap_err().contains("no probe"));
    }
}
