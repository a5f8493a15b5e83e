//! The contestants: the same chain of four handlers, each in its own manner.
//!
//! A contestant is a process of its own. It says `{"ready":true}` on standard output when it has begun to consume, drains
//! when `stop` comes on standard input, says `{"stopped":true}`, and ends when standard input is closed: in between, the
//! driver reads from `/proc` what it used.

pub(crate) mod chain;
mod commit;
pub(crate) mod events;
mod laban;
mod otel;
mod rates;
mod raw;
mod raw_fenced;
mod raw_otel;

use std::io::Write as _;
use std::process::ExitCode;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines, Stdin};

use crate::error::{Doing as _, Error, Result};

/// Events worked on at a time by each service.
pub(crate) const IN_FLIGHT: usize = 64;

/// Which contestant a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// The chain: async-nats by hand.
    Raw,
    /// The chain: async-nats and OpenTelemetry by hand.
    RawOtel,
    /// The chain: async-nats by hand, with a fence and headers such as Laban's.
    RawFenced,
    /// The chain: the same with OpenTelemetry by hand.
    RawFencedOtel,
    /// The chain: Laban, traced or not as `OTEL_*` says.
    Laban,
    /// Laban: one handler that emits several events.
    LabanCommit,
    /// By hand: publishing only.
    RawPublish,
    /// Laban: beginning flows only.
    LabanPublish,
    /// By hand: consuming only.
    RawConsume,
    /// Laban: a handler that emits nothing.
    LabanConsume,
}

/// Which of tokio's runtimes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Runtime {
    /// One worker per core.
    MultiThread,
    /// Everything on one thread.
    CurrentThread,
}

impl Runtime {
    /// Its name on command lines.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::MultiThread => "multi-thread",
            Self::CurrentThread => "current-thread",
        }
    }
}

/// What the driver tells a contestant.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Which one
    #[arg(value_enum)]
    pub(crate) role: Role,
    /// The broker
    #[arg(long)]
    pub(crate) url: String,
    /// tokio's runtime
    #[arg(long, value_enum, default_value = "multi-thread")]
    pub(crate) runtime: Runtime,
    /// Headers on each event (raw)
    #[arg(long, default_value_t = 0)]
    pub(crate) headers: usize,
    /// Events that the handler emits (laban-commit)
    #[arg(long, default_value_t = 1)]
    pub(crate) outputs: usize,
    /// Events to publish (raw-publish, laban-publish)
    #[arg(long, default_value_t = 0)]
    pub(crate) count: u64,
}

/// What has been allocated up to some moment.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Counted {
    /// Allocations, each growth of one counted as one more.
    pub allocations: u64,
    /// Bytes allocated, freed or not.
    pub bytes: u64,
}

/// How a binary counts, if its allocator does.
pub type Counter = fn() -> Counted;

/// The `main` of a contestant.
pub(crate) fn main(args: &Args, counter: Option<Counter>) -> ExitCode {
    let mut builder = match args.runtime {
        Runtime::MultiThread => tokio::runtime::Builder::new_multi_thread(),
        Runtime::CurrentThread => tokio::runtime::Builder::new_current_thread(),
    };
    let ended = builder.enable_all().build().doing("start tokio").and_then(|runtime| {
        let ended = runtime.block_on(run(args, counter));
        // Standard input is read by a thread that may wait for ever.
        runtime.shutdown_background();
        ended
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "contestant: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args, counter: Option<Counter>) -> Result<()> {
    let mut control = Control::new(counter);
    match args.role {
        Role::Raw => raw::run(args, &mut control).await,
        Role::RawOtel => raw_otel::run(args, &mut control).await,
        Role::RawFenced => raw_fenced::run(args, &mut control).await,
        Role::RawFencedOtel => raw_fenced::run_traced(args, &mut control).await,
        Role::Laban => laban::run(args, &mut control).await,
        Role::LabanCommit => commit::run(args, &mut control).await,
        Role::RawPublish => rates::publish_raw(args, &mut control).await,
        Role::LabanPublish => rates::publish_laban(args, &mut control).await,
        Role::RawConsume => rates::consume_raw(args, &mut control).await,
        Role::LabanConsume => rates::consume_laban(args, &mut control).await,
    }?;
    control.stopped().await
}

/// The driver's end of standard input and output.
struct Control {
    lines: Lines<BufReader<Stdin>>,
    counter: Option<Counter>,
}

impl Control {
    fn new(counter: Option<Counter>) -> Self {
        Self { lines: BufReader::new(tokio::io::stdin()).lines(), counter }
    }

    /// Says that it consumes, and waits until asked to stop.
    async fn ready_until_stop(&mut self) -> Result<()> {
        say(r#"{"ready":true}"#)?;
        self.until_stop().await
    }

    /// Says that it could begin, and waits until told to.
    async fn ready_until_go(&mut self) -> Result<()> {
        say(r#"{"ready":true}"#)?;
        self.until("go").await
    }

    /// Says that what it was told to do is done.
    fn done(&self, what: &serde_json::Value) -> Result<()> {
        say(&json!({"done": what}).to_string())
    }

    async fn until_stop(&mut self) -> Result<()> {
        self.until("stop").await
    }

    /// Waits for a line, and counts allocations whenever asked to meanwhile.
    async fn until(&mut self, awaited: &str) -> Result<()> {
        loop {
            match (self.lines.next_line().await.doing("hear the driver")?, self.counter) {
                (Some(line), _) if line == awaited => return Ok(()),
                (Some(line), Some(counter)) if line == "count" => {
                    say(&json!({"counted": counter()}).to_string())?;
                }
                (Some(line), _) => {
                    return Err(Error::new(format!("the driver said {line:?}, not {awaited:?}")));
                }
                (None, _) => return Err(Error::new("the driver is gone")),
            }
        }
    }

    async fn stopped(&mut self) -> Result<()> {
        say(r#"{"stopped":true}"#)?;
        while self.lines.next_line().await.doing("hear the driver")?.is_some() {}
        Ok(())
    }
}

fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).doing("tell the driver")
}
