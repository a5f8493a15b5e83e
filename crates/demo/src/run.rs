//! One run, from the broker to the summary.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use demo::audit::{Audit, SpanAudit, audit, audit_spans};
use demo::deployment::Deployment;
use demo::orders::{Placed, Plan, place};
use demo::report::{Summary, Tools, examples, text};
use demo::traces::{Traces, Wanted};
use demo::{Error, History, Mesh, Progress, Settings, Signals, settle};
use laban_flow::TreeStyle;

use crate::world::World;
use crate::{Args, terminal};

/// How many orders are under way at a time.
const AT_ONCE: usize = 16;
/// How long flows may take to end after the last order.
const SETTLE: Duration = Duration::from_secs(120);
/// How long a payment may take to answer: longer than one does on a machine that compiles something meanwhile, which was
/// seen to be a second and more; and short enough to watch.
const DEADLINE: Duration = Duration::from_secs(5);
/// The same where sixteen processes share the machine, and each record is written through to three disks.
const DEADLINE_ON_A_CLUSTER: Duration = Duration::from_secs(15);
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
    let (world, findings) = match verified {
        Ok(verified) => verified,
        // Ctrl-C on a terminal reaches the services too, and they may be faster.
        Err(_) if signals.came_meanwhile().await => return Err(Failure::Stopped),
        Err(failure) => return Err(failure),
    };
    if !args.once && terminal::is_terminal() {
        stay(&world, &mut signals).await?;
    } else {
        tokio::select! {
            stopped = world.stop() => stopped?,
            () = signals.next() => return Err(Failure::Stopped),
        }
    }
    findings
}

/// Runs the whole thing. It still runs afterwards; the result says whether all is as it should be.
async fn verify(args: &Args) -> Result<(World, Result<(), Failure>), Failure> {
    let progress = Progress::detect();
    let dir = output_dir(args)?;
    let world = match &args.compose {
        None => World::Mesh(Box::new(start(args, &dir, progress).await?)),
        Some(file) => World::Deployment(Box::new(deploy(file, &dir, progress).await?)),
    };
    let plan = Plan::with_silent_banks(args.orders, args.seed);
    let begun = Instant::now();
    let placed = place_all(&world, &plan, progress).await?;
    let mut history = world.history().await?;
    settle_all(&world, &mut history, &placed, progress).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let flows = audit(&plan, &placed, &history, &world.books())?;
    let stage = progress.stage("reading traces back", (flows.completed.len() + flows.cancelled.len()) as u64);
    let spans = audit_spans(world.traces(), &history, &flows, &stage).await?;
    stage.done(&format!("compared {} spans with the causes in the streams", spans.spans));

    let summary = Summary::new(&flows, &spans, world.traces(), tools(&world).await?, seconds);
    let path = dir.join("summary.json");
    summary.write(&path)?;
    let style = TreeStyle { ascii: !terminal::is_utf8(), colour: terminal::has_colours() };
    let shown = text(&summary, &examples(&flows, &history), world.traces(), style);
    terminal::print(&shown).map_err(|e| Failure::Broken(format!("cannot write to standard output: {e}")))?;
    progress.say(&format!("summary: {}", path.display()));
    Ok((world, judge(&flows, &spans)))
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

async fn start(args: &Args, dir: &Path, progress: Progress) -> Result<Mesh, Failure> {
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
        Traces::Jaeger { api, .. } | Traces::Elsewhere { api, .. } => format!("Jaeger   {}", api.url()),
        Traces::Receiver { why, .. } => format!("no Jaeger: {why}"),
    });
    progress.say(&format!("orders   POST {}", mesh.door().url().unwrap_or_default()));
    progress.say(&format!("logs     {}", mesh.logs().display()));
    Ok(mesh)
}

async fn deploy(file: &Path, dir: &Path, progress: Progress) -> Result<Deployment, Failure> {
    let stage = progress.stage(format!("starting what {} says", file.display()), 0);
    let deadline = DEADLINE_ON_A_CLUSTER.as_millis().to_string();
    let variables = [("SHOP_PAYMENT_DEADLINE_MS", deadline.as_str())];
    let deployment = Deployment::start(file, &variables, Some(dir.join("logs"))).await?;
    stage.done(&format!("{} processes are well", deployment.instances().count()));
    for service in deployment.left_out() {
        progress.say(&format!("left out   {service}: nothing on this machine stands for its image"));
    }
    for (what, url) in deployment.shown()? {
        progress.say(&format!("{what:<10} {url}"));
    }
    progress.say(&format!("logs       {}", deployment.logs().display()));
    Ok(deployment)
}

async fn place_all(world: &World, plan: &Plan, progress: Progress) -> Result<Vec<Placed>, Failure> {
    let stage = progress.stage("placing orders", plan.orders.len() as u64);
    let placed = place(&world.door()?, &plan.orders, AT_ONCE, &stage).await;
    stage.done(&format!("placed {} orders", placed.len()));
    Ok(placed)
}

async fn settle_all(
    world: &World,
    history: &mut History,
    placed: &[Placed],
    progress: Progress,
) -> Result<(), Failure> {
    let flows = placed.iter().filter_map(|one| one.flow.as_ref());
    let stage = progress.stage("waiting for all flows to end", flows.clone().count() as u64);
    let unsettled = settle(|| world.check(), history, flows, SETTLE, &stage).await?;
    if unsettled.0.is_empty() {
        stage.done("all flows have ended");
    } else {
        stage.done(&unsettled.to_string());
    }
    Ok(())
}

async fn tools(world: &World) -> Result<Tools, Failure> {
    Ok(Tools {
        laban: env!("CARGO_PKG_VERSION"),
        nats_server: world.client().await?.server_info().version,
        jaeger: world.traces().version().await,
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

/// Keeps it until somebody asks for its end.
async fn stay(world: &World, signals: &mut Signals) -> Result<(), Failure> {
    terminal::say(&format!("\nlaban flow show <flow> --server {}", world.broker_url()?));
    terminal::say("the shop stays open; Ctrl-C closes it");
    let died = async {
        loop {
            tokio::time::sleep(LOOK).await;
            if let Err(error) = world.check() {
                return Failure::from(error);
            }
        }
    };
    tokio::select! {
        () = signals.next() => Ok(()),
        died = died => if signals.came_meanwhile().await { Ok(()) } else { Err(died) },
    }
}
