//! What stands for an image on this machine.

use std::path::PathBuf;

use laban_testkit::tools::Tool;

use super::compose::Container;
use crate::program;

/// What stands for an image.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Native {
    /// A program, and its arguments.
    Program(Which, Vec<String>),
    /// Nothing: it is left out.
    Nothing,
}

/// Which program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// One that is found or fetched.
    Tool(Tool),
    /// One of this repository.
    Own(String),
}

/// What stands for the container's image.
pub(super) fn native(container: &Container) -> Result<Native, String> {
    let Container { image, command, build, .. } = container;
    let first = || command.split_first().ok_or_else(|| format!("{image}: no command says what to run"));
    let tool = |tool, arguments: &[String]| Native::Program(Which::Tool(tool), arguments.to_vec());
    Ok(match (repository(image), build) {
        ("nats", _) => match first()? {
            (program, arguments) if program == "nats-server" => tool(Tool::NatsServer, arguments),
            (other, _) => return Err(format!("{image}: `{other}` is not to be had here")),
        },
        // Their entry points are the programs.
        ("jaegertracing/jaeger", _) => tool(Tool::Jaeger, command),
        ("prom/prometheus", _) => tool(Tool::Prometheus, command),
        ("grafana/grafana", _) => Native::Nothing,
        (_, Some(_)) => {
            let (program, arguments) = first()?;
            Native::Program(Which::Own(program.clone()), arguments.to_vec())
        }
        (other, None) => return Err(format!("nothing on this machine stands for the image {other}")),
    })
}

/// The image without its version.
pub(super) fn repository(image: &str) -> &str {
    image.rsplit_once(':').map_or(image, |(repository, _)| repository)
}

impl Which {
    /// Its path.
    pub(super) async fn path(&self) -> Result<PathBuf, crate::Error> {
        match self {
            Self::Own(name) => program(name, "-p shop -p laban-cli --bins"),
            Self::Tool(tool) => {
                let tool = *tool;
                // It may have to be fetched.
                let found = tokio::task::spawn_blocking(move || tool.find(|_| ())).await;
                let found = found.map_err(|e| crate::Error::io("look for a tool")(e.into()))?;
                Ok(found?)
            }
        }
    }
}
