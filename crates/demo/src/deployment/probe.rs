//! Whether an instance is well, asked as its container would be.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use super::compose::Healthcheck;
use super::images::{Native, Which};

/// A probe, and how it is asked here.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    how: How,
    timeout: Duration,
    pub(super) patience: Duration,
}

#[derive(Clone, Debug)]
enum How {
    /// `wget <url>`, which the images have and this machine need not: asked for without it.
    Get(String),
    /// The container's own program, with other arguments.
    Run(PathBuf, Vec<String>),
}

/// The variables of an instance's environment.
pub(super) type Environment = Vec<(String, String)>;

/// Of what a user's shell says to programs like these, nothing is in a container.
pub(super) const NOT_INHERITED: [&str; 7] = ["NATS_", "OTEL_", "LABAN_", "SHOP_", "JAEGER_", "RUST_", "GF_"];

impl Probe {
    /// As the container has it, whose program is here at `program`; `translate` puts places of this machine in.
    pub(super) fn new(
        check: &Healthcheck,
        native: &Native,
        program: &Path,
        translate: impl Fn(&str) -> Result<String, String>,
    ) -> Result<Self, String> {
        let how = match (check.test.as_slice(), native) {
            ([before @ .., url], _) if before == ["CMD", "wget", "-q", "-O", "/dev/null"] => {
                How::Get(translate(url)?)
            }
            ([cmd, first, arguments @ ..], Native::Program(Which::Own(name), _))
                if cmd == "CMD" && first == name =>
            {
                let arguments = arguments.iter().map(|argument| translate(argument));
                How::Run(program.to_owned(), arguments.collect::<Result<_, _>>()?)
            }
            _ => return Err(format!("the probe {:?} is not understood", check.test)),
        };
        Ok(Self { how, timeout: check.timeout(), patience: check.patience() })
    }

    /// Asks; says why not, if it is not well.
    pub(super) async fn ask(&self, environment: &Environment) -> Result<(), String> {
        let asking = async {
            match &self.how {
                How::Get(url) => get(url).await,
                How::Run(program, arguments) => run(program, arguments, environment).await,
            }
        };
        let answer = tokio::time::timeout(self.timeout, asking).await;
        answer.unwrap_or_else(|_| Err(format!("no answer within {:?}", self.timeout)))
    }
}

async fn get(url: &str) -> Result<(), String> {
    let answer = reqwest::get(url).await.map_err(|error| laban_wire::error_chain(&error))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    Err(format!("{url}: {status} {}", answer.text().await.unwrap_or_default()))
}

async fn run(program: &Path, arguments: &[String], environment: &Environment) -> Result<(), String> {
    let mut command = tokio::process::Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| NOT_INHERITED.iter().any(|prefix| name.starts_with(prefix))) {
            command.env_remove(name);
        }
    }
    let asked = command
        .args(arguments)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        // One that takes too long goes with whoever asked.
        .kill_on_drop(true)
        .output();
    let asked = asked.await.map_err(|error| format!("cannot run {}: {error}", program.display()))?;
    if asked.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&asked.stderr).into_owned() + &String::from_utf8_lossy(&asked.stdout);
    Err(format!("{}: {}", asked.status, said.trim()))
}
