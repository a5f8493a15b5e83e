//! One run, from the broker to the summary.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use demo::audit::{Audit, SpanAudit, audit, audit_spans};
use demo::orders::{Placed, Plan, place};
use demo::report::{Summary, Tools, examples, text};
use demo::traces::{Traces, Wanted};
use demo::{Error, History, Mesh, Progress, Settings, Signals, settle};
use laban_flow::TreeStyle;

use crate::{Args, terminal};

/// How many orders are under way at a time.
const AT_ONCE: usize = 16;
/// How long flows may take to end after the last order.
const SETTLE: Duration = Duration::from_secs(120);
/// How long a payment may take to answer: longer than one does on a machine that compiles something meanwhile, which was
/// seen to be a second and more; and short enough to watch.
const DEADLINE: Duration = Duration::from_secs(5);
/// How many findings are shown.
const MOST_SHOWN: usize = 20;
/// How often is looked whether a service still runs.
const LOOK: Duration = Duration::from_millis(200);

/// Why a run did not end well.
pub(crate) enum Failure {
    /// Asked to stop before the end.
    Stopped,
    /// Something is not as it should be.
    Broken(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Broken(laban_wire::error_chain(&error))
    }
}

pub(crate) async fn run(args: &Args) -> Result<(), Failure> {
    let broken = |error: std::io::Error| Failure::Broken(format!("cannot listen for signals: {error}"));
    let mut signals = Signals::listen().map_err(broken)?;
    // Whatever is dropped here takes its processes with it.
    let verified = tokio::select! {
        verified = verify(args) => verified,
        () = signals.next() => return Err(Failure::Stopped),
    };
    let (mesh, findings) = match verified {
        Ok(verified) => verified,
        // Ctrl-C on a terminal reaches the services too, and they may be faster.
        Err(_) if signals.came_meanwhile().await => return Err(Failure::Stopped),
        Err(failure) => return Err(failure),
    };
    if !args.once && terminal::is_terminal() {
        stay(&mesh, &mut signals).await?;
    } else {
        tokio::select! {
            stopped = mesh.stop() => stopped?,
            () = signals.next() => return Err(Failure::Stopped),
        }
    }
    findings
}

/// Runs the whole thing. The mesh still runs afterwards; the result says whether all is as it should be.
async fn verify(args: &Args) -> Result<(Mesh, Result<(), Failure>), Failure> {
    let progress = Progress::detect();
    let dir = output_dir(args)?;
    let mesh = start(args, &dir, progress).await?;
    let plan = Plan::with_silent_banks(args.orders, args.seed);
    let begun = Instant::now();
    let placed = place_all(&mesh, &plan, progress).await;
    let mut history = mesh.history().await?;
    settle_all(&mesh, &mut history, &placed, progress).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let flows = audit(&plan, &placed, &history, &mesh.books())?;
    let stage = progress.stage("reading traces back", (flows.completed.len() + flows.cancelled.len()) as u64);
    let spans = audit_spans(mesh.traces(), &history, &flows, &stage).await?;
    stage.done(&format!("compared {} spans with the causes in the streams", spans.spans));

    let summary = Summary::new(&flows, &spans, mesh.traces(), tools(&mesh).await?, seconds);
    let path = dir.join("summary.json");
    summary.write(&path)?;
    let style = TreeStyle { ascii: !terminal::is_utf8(), colour: terminal::has_colours() };
    let shown = text(&summary, &examples(&flows, &history), mesh.traces(), style);
    terminal::print(&shown).map_err(|e| Failure::Broken(format!("cannot write to standard output: {e}")))?;
    progress.say(&format!("summary: {}", path.display()));
    Ok((mesh, judge(&flows, &spans)))
}

fn output_dir(args: &Args) -> Result<PathBuf, Failure> {
    let dir = args.dir.clone().or_else(|| {
        let own = std::env::current_exe().ok()?;
        Some(own.parent()?.parent()?.join("demo"))
    });
    let dir = dir.unwrap_or_else(|| PathBuf::from("target/demo"));
    let unusable = |e: std::io::Error| Failure::Broken(format!("cannot use {}: {e}", dir.display()));
    let logs = dir.join("logs");
    // Logs of an earlier run would be read as this one's.
    match std::fs::remove_dir_all(&logs) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(unusable(error)),
        _ => {}
    }
    std::fs::create_dir_all(&logs).map_err(unusable)?;
    Ok(dir)
}

async fn start(args: &Args, dir: &std::path::Path, progress: Progress) -> Result<Mesh, Failure> {
    let stage = progress.stage("starting the broker, Jaeger and five services", 0);
    let settings = Settings {
        traces: if args.no_jaeger { Wanted::Receiver } else { Wanted::from_env() },
        logs: Some(dir.join("logs")),
        env: vec![("SHOP_PAYMENT_DEADLINE_MS", DEADLINE.as_millis().to_string())],
        ..Settings::default()
    };
    let mut mesh = Mesh::without_services(settings).await?;
    mesh.start_services().await?;
    stage.done("five services are ready");
    progress.say(&format!("broker   {}", mesh.broker().url()));
    progress.say(&match mesh.traces() {
        Traces::Jaeger { api, .. } => format!("Jaeger   {}", api.url()),
        Traces::Receiver { why, .. } => format!("no Jaeger: {why}"),
    });
    progress.say(&format!("orders   POST {}", mesh.door().url().unwrap_or_default()));
    progress.say(&format!("logs     {}", mesh.logs().display()));
    Ok(mesh)
}

async fn place_all(mesh: &Mesh, plan: &Plan, progress: Progress) -> Vec<Placed> {
    let stage = progress.stage("placing orders", plan.orders.len() as u64);
    let placed = place(&mesh.door(), &plan.orders, AT_ONCE, &stage).await;
    stage.done(&format!("placed {} orders", placed.len()));
    placed
}

async fn settle_all(
    mesh: &Mesh,
    history: &mut History,
    placed: &[Placed],
    progress: Progress,
) -> Result<(), Failure> {
    let flows = placed.iter().filter_map(|one| one.flow.as_ref());
    let stage = progress.stage("waiting for all flows to end", flows.clone().count() as u64);
    let unsettled = settle(mesh, history, flows, SETTLE, &stage).await?;
    if unsettled.0.is_empty() {
        stage.done("all flows have ended");
    } else {
        stage.done(&unsettled.to_string());
    }
    Ok(())
}

async fn tools(mesh: &Mesh) -> Result<Tools, Failure> {
    Ok(Tools {
        laban: env!("CARGO_PKG_VERSION"),
        nats_server: mesh.client().await?.server_info().version,
        jaeger: mesh.traces().version().await,
    })
}

fn judge(flows: &Audit, spans: &SpanAudit) -> Result<(), Failure> {
    let findings: Vec<&String> = flows.findings.iter().chain(&spans.findings).collect();
    if findings.is_empty() {
        return Ok(());
    }
    let mut reason = format!("{} findings:", findings.len());
    for finding in findings.iter().take(MOST_SHOWN) {
        reason += &format!("\n  {finding}");
    }
    if let Some(more) = findings.len().checked_sub(MOST_SHOWN + 1) {
        reason += &format!("\n  and {} more", more + 1);
    }
    Err(Failure::Broken(reason))
}

/// Keeps the mesh until somebody asks for its end.
async fn stay(mesh: &Mesh, signals: &mut Signals) -> Result<(), Failure> {
    terminal::say(&format!("\nlaban flow show <flow> --server {}", mesh.broker().url()));
    terminal::say("the shop stays open; Ctrl-C closes it");
    let died = async {
        loop {
            tokio::time::sleep(LOOK).await;
            if let Err(error) = mesh.check() {
                return Failure::from(error);
            }
        }
    };
    tokio::select! {
        () = signals.next() => Ok(()),
        died = died => if signals.came_meanwhile().await { Ok(()) } else { Err(died) },
    }
}
