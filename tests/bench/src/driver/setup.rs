//! What a run consists of.

use std::path::{Path, PathBuf};

use async_nats::jetstream::stream::StorageType;

use super::build;
use super::entrant::{Allocator, Entrant, Kind};
use super::layout::{HOPS, Layout};
use crate::contestants::Runtime;
use crate::error::Result;

/// Room for spans in the batch processor of `raw-otel`: as much as Laban has by default, since the SDK's default of 2,048
/// would lose most of them under full load.
const SPAN_QUEUE: &str = "16384";

/// What all runs have in common.
#[derive(Clone, Debug)]
pub(crate) struct Bench {
    /// Where logs go.
    pub(crate) logs: PathBuf,
    /// Which of tokio's runtimes contestants use.
    pub(crate) runtime: Runtime,
}

/// What one run consists of.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// What it is called in messages, and its log.
    pub(super) name: String,
    /// The contestant's program.
    pub(super) program: PathBuf,
    /// Its arguments, but for the broker's address.
    pub(super) args: Vec<String>,
    /// Its environment.
    pub(super) env: Vec<(String, String)>,
    /// How it uses the broker.
    pub(super) layout: Layout,
    /// Spans that each flow makes; 0 when nothing is traced.
    pub(super) spans_per_flow: u64,
    /// Nodes of the broker.
    pub(super) nodes: usize,
}

impl Setup {
    /// The chain, by one of those who take part.
    pub(crate) fn chain(bench: &Bench, entrant: Entrant) -> Result<Self> {
        let Entrant { kind, allocator } = entrant;
        let setup = match kind {
            Kind::Raw => Self::role(bench, allocator, "raw", Layout::shared(false, 0))?,
            Kind::RawOtel => Self::role(bench, allocator, "raw-otel", Layout::shared(true, 0))?
                .traced(2 * HOPS)
                .env("OTEL_BSP_MAX_QUEUE_SIZE", SPAN_QUEUE),
            Kind::RawFenced => Self::role(bench, allocator, "raw-fenced", Layout::homes(true))?,
            Kind::RawFencedOtel => Self::role(bench, allocator, "raw-fenced-otel", Layout::homes(true))?
                .traced(2 * HOPS)
                .env("OTEL_BSP_MAX_QUEUE_SIZE", SPAN_QUEUE),
            Kind::Laban => Self::role(bench, allocator, "laban", Layout::homes(true))?.traced(2 * HOPS),
            Kind::LabanUntraced => Self::role(bench, allocator, "laban", Layout::homes(false))?,
            Kind::RustStream => Self {
                program: build::ruststream(allocator)?,
                args: vec!["--runtime".to_owned(), bench.runtime.name().to_owned()],
                ..Self::role(bench, allocator, "", Layout::shared(false, 0))?
            },
            Kind::Watermill => Self {
                program: build::watermill()?,
                args: Vec::new(),
                ..Self::role(bench, allocator, "", Layout::shared(false, 0))?
            },
        };
        Ok(setup.named(entrant.to_string()))
    }

    /// One of the roles that the contestant's program in this package plays.
    pub(crate) fn role(bench: &Bench, allocator: Allocator, role: &str, layout: Layout) -> Result<Self> {
        Ok(Self {
            name: format!("{role}-{}", allocator.name()),
            program: build::contestant(allocator)?,
            args: ["contestant", role, "--runtime", bench.runtime.name()].map(str::to_owned).into(),
            env: Vec::new(),
            layout,
            spans_per_flow: 0,
            nodes: 1,
        })
    }

    /// The contestant's program.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// With so many spans per flow, sent to the receiver.
    #[must_use]
    pub(crate) fn traced(self, spans_per_flow: u64) -> Self {
        Self { spans_per_flow, ..self }
    }

    /// With this name in messages.
    #[must_use]
    pub(crate) fn named(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// With one more argument and its value.
    #[must_use]
    pub(crate) fn arg(mut self, name: &str, value: impl ToString) -> Self {
        self.args.extend([name.to_owned(), value.to_string()]);
        self
    }

    /// With one more variable in its environment.
    #[must_use]
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Under valgrind, which counts instructions and writes them to this file.
    #[must_use]
    pub(crate) fn under_valgrind(mut self, counts: &Path) -> Self {
        let mut args = vec!["--tool=callgrind".to_owned()];
        args.push(format!("--callgrind-out-file={}", counts.display()));
        args.push(self.program.display().to_string());
        args.append(&mut self.args);
        Self { program: "valgrind".into(), args, ..self }
    }

    /// On so many nodes, with streams in so many copies, kept there.
    #[must_use]
    pub(crate) fn kept(mut self, storage: StorageType, replicas: usize) -> Self {
        let kept = if storage == StorageType::Memory { "memory" } else { "file" };
        self.nodes = replicas;
        self.layout = self.layout.kept(storage, replicas);
        self.env("LABAN_STORAGE", kept).env("LABAN_REPLICAS", &replicas.to_string())
    }
}
