//! One run: a fresh broker, a receiver of spans if wanted, contestants, and a connection to load them by.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use async_nats::Client;
use async_nats::jetstream::{self, Context};

use super::broker::Brokers;
use super::child::{Child, Program};
use super::jetstream as api;
use super::layout::{End, Root, SERVICES, home};
use super::load;
use super::receiver::Receiver;
use super::setup::{Bench, Setup};
use super::watch::Arrivals;
use crate::contestants::Counted;
use crate::error::{Doing as _, Error, Result};

/// How often the driver looks whether all have arrived.
const LOOK: Duration = Duration::from_millis(5);
/// How long nothing may arrive before a run is given up.
const STUCK: Duration = Duration::from_secs(60);

/// One run.
pub(crate) struct Rig {
    setup: Setup,
    logs: PathBuf,
    client: Client,
    js: Context,
    // Dropped in this order: contestants first, the broker last.
    contestants: Vec<Child>,
    receiver: Option<Receiver>,
    broker: Brokers,
    flows: u64,
    /// What looked like flows that had ended before there were any.
    ended_before: f64,
}

/// CPU seconds at some moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    /// By the contestant.
    pub(crate) client: f64,
    /// By the broker.
    pub(crate) broker: f64,
}

/// What a contestant has to show at its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    /// CPU seconds it used in all, with its last spans sent.
    pub(crate) client_cpu: f64,
    /// The most memory it ever had; of several processes, the largest.
    pub(crate) peak_rss_mib: f64,
    /// How many of its spans arrived at the receiver, if it made any.
    pub(crate) spans_percent: Option<f64>,
    /// From the signal to stop to its word that it has.
    pub(crate) drain: Duration,
}

impl Rig {
    /// Starts broker and receiver, and makes the stream of root events.
    pub(crate) async fn prepare(bench: &Bench, setup: Setup) -> Result<Self> {
        let broker = Brokers::start(setup.nodes).await?;
        let urls: Vec<String> = broker.urls().split(',').map(str::to_owned).collect();
        let client = async_nats::connect(urls).await.doing("connect to the broker")?;
        let js = jetstream::new(client.clone());
        let root_stream = setup.layout.root_stream.clone();
        js.create_stream(root_stream).await.doing("make the stream of root events")?;
        let receiver = match setup.spans_per_flow {
            0 => None,
            _ => Some(Receiver::start(&bench.logs).await?),
        };
        let logs = bench.logs.clone();
        let contestants = Vec::new();
        Ok(Self { setup, logs, client, js, contestants, receiver, broker, flows: 0, ended_before: 0.0 })
    }

    /// Starts it all, and waits until the contestant consumes.
    pub(crate) async fn start(bench: &Bench, setup: Setup) -> Result<Self> {
        let mut rig = Self::prepare(bench, setup).await?;
        rig.join().await?;
        Ok(rig)
    }

    /// Starts one more process of the contestant, waits until it consumes, and says how long that took.
    pub(crate) async fn join(&mut self) -> Result<Duration> {
        let Setup { name, program, args, env, .. } = &self.setup;
        // A name without a folder is looked for in PATH.
        if program.components().count() > 1 && !program.exists() {
            return Err(Error::new(format!("{} is not there; run without --no-build", program.display())));
        }
        let mut args = args.clone();
        args.extend(["--url".to_owned(), self.broker.urls()]);
        let mut env = env.clone();
        let mut set = |name: &str, value: &str| env.push((name.to_owned(), value.to_owned()));
        match &self.receiver {
            Some(receiver) => {
                // All speak the same protocol, to the same receiver.
                set("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
                set("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url());
            }
            None => set("OTEL_SDK_DISABLED", "true"),
        }
        let began = Instant::now();
        let logs = &self.logs;
        let mut child = Child::start(Program { name: name.clone(), path: program, args, env, logs })?;
        child.hear("ready").await?;
        let took = began.elapsed();
        self.contestants.push(child);
        Ok(took)
    }

    /// Lets `flows` flows through that are not counted: connections, memory and code are warm afterwards.
    pub(crate) async fn warm_up(&mut self, flows: u64) -> Result<()> {
        self.publish(flows).await?;
        self.all_arrived().await.map(drop)
    }

    /// Puts all but one of `flows` root events into the first stream while the first consumer is paused.
    pub(crate) async fn preload(&mut self, flows: u64) -> Result<()> {
        let layout = &self.setup.layout;
        api::pause(&self.js, &layout.root_stream.name, &layout.first_consumer).await?;
        self.publish(flows - 1).await
    }

    /// Lets the first consumer deliver: the time from here to [`all_arrived`](Self::all_arrived) is what is measured.
    ///
    /// The last root event wakes the consumer: one that is resumed looks at requests only when something new comes, or
    /// when a request expires.
    pub(crate) async fn go(&mut self) -> Result<()> {
        let layout = &self.setup.layout;
        api::resume(&self.js, &layout.root_stream.name, &layout.first_consumer).await?;
        self.publish(1).await
    }

    /// Publishes root events of new flows.
    pub(crate) async fn publish(&mut self, flows: u64) -> Result<()> {
        let from = self.flows;
        self.flows += flows;
        let layout = &self.setup.layout;
        let roots = (from..self.flows).map(|number| layout.root(&flow(number)));
        load::publish_all(&self.client, roots).await.map(drop)
    }

    /// Publishes the root event of one new flow, and says which.
    pub(crate) async fn publish_one(&mut self) -> Result<(String, Instant)> {
        let flow = flow(self.flows);
        self.flows += 1;
        let Root { subject, headers, payload } = self.setup.layout.root(&flow);
        let at = Instant::now();
        let sent = match headers {
            Some(headers) => self.client.publish_with_headers(subject, headers, payload).await,
            None => self.client.publish(subject, payload).await,
        };
        sent.doing("publish")?;
        Ok((flow, at))
    }

    /// The contestant publishes so many root events by itself.
    pub(crate) fn expect(&mut self, flows: u64) {
        self.flows += flows;
    }

    /// Puts `messages` events that nobody reacts to into the home streams of all services, which are made for it.
    pub(crate) async fn retain(&mut self, messages: u64) -> Result<()> {
        let per_stream = messages / SERVICES.len() as u64;
        for service in SERVICES {
            let what = format!("make the home stream of {service}");
            self.js.get_or_create_stream(home(service)).await.doing(what)?;
            let layout = &self.setup.layout;
            let old = (0..per_stream).map(|number| {
                let mut root = layout.root(&format!("old-{number:016x}"));
                root.subject = format!("{service}.archived.old-{number:016x}");
                if let Some(headers) = &mut root.headers {
                    let filter = format!("{service}.*.old-{number:016x}");
                    headers.insert("Nats-Expected-Last-Subject-Sequence-Subject", filter);
                }
                root
            });
            load::publish_all(&self.client, old).await?;
        }
        self.ended_before = self.ended_flows().await?;
        Ok(())
    }

    /// Last events as they arrive from now on.
    pub(crate) async fn arrivals(&self) -> Result<Arrivals> {
        let subject = self.setup.layout.last_subject.clone();
        let arrivals = self.client.subscribe(subject).await.doing("subscribe to last events")?;
        self.client.flush().await.doing("subscribe to last events")?;
        Ok(Arrivals(arrivals))
    }

    /// How many flows have ended; those of several last events in parts.
    pub(crate) async fn ended_flows(&self) -> Result<f64> {
        let layout = &self.setup.layout;
        match &layout.end {
            End::Stored { stream, subject, per_flow } => {
                let stored = api::messages(&self.js, stream, subject.as_deref()).await?;
                Ok(stored as f64 / *per_flow as f64 - self.ended_before)
            }
            End::Acknowledged => {
                let stream = &layout.root_stream.name;
                Ok(api::acknowledged(&self.js, stream, &layout.first_consumer).await? as f64)
            }
        }
    }

    /// Waits until all flows have ended.
    pub(crate) async fn all_arrived(&self) -> Result<Instant> {
        let (ended, at) = self.arrived_until(None).await?;
        debug_assert!(ended >= self.flows as f64);
        Ok(at)
    }

    /// Waits until all flows have ended, or until then, and says how many had ended when.
    pub(crate) async fn arrived_until(&self, until: Option<Instant>) -> Result<(f64, Instant)> {
        let (mut before, mut moved) = (0.0, Instant::now());
        loop {
            let ended = self.ended_flows().await?;
            let now = Instant::now();
            if ended >= self.flows as f64 || until.is_some_and(|until| now >= until) {
                return Ok((ended, now));
            }
            if ended > before {
                (before, moved) = (ended, now);
            } else if now - moved > STUCK {
                let what = format!("is stuck: {ended} of {} flows ended", self.flows);
                return Err(match self.contestants.first() {
                    Some(contestant) => contestant.failed(&what),
                    None => Error::new(format!("{} {what}", self.setup.name)),
                });
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// CPU used up to now.
    pub(crate) fn used(&self) -> Result<Used> {
        let client = self.contestants.iter().map(Child::cpu_seconds).sum::<Result<f64>>()?;
        Ok(Used { client, broker: self.broker.cpu_seconds()? })
    }

    /// The most memory that a contestant's process ever had.
    pub(crate) fn peak_rss_mib(&self) -> Result<f64> {
        let peaks: Vec<f64> = self.contestants.iter().map(Child::peak_rss_mib).collect::<Result<_>>()?;
        Ok(peaks.into_iter().fold(0.0, f64::max))
    }

    /// Says a line to the contestant, and hears its answer.
    pub(crate) async fn ask(&mut self, line: &str, member: &str) -> Result<serde_json::Value> {
        let contestant = self.contestants.first_mut().ok_or_else(|| Error::new("nobody takes part"))?;
        contestant.say(line).await?;
        contestant.hear(member).await
    }

    /// What the contestant has allocated up to now.
    pub(crate) async fn counted(&mut self) -> Result<Counted> {
        let counted = self.ask("count", "counted").await?;
        serde_json::from_value(counted).doing("read what was counted")
    }

    /// Stops the contestants, and reads what they have used when they have drained, before they end.
    pub(crate) async fn stop(mut self) -> Result<Ended> {
        let asked = Instant::now();
        for contestant in &mut self.contestants {
            contestant.say("stop").await?;
        }
        for contestant in &mut self.contestants {
            contestant.hear("stopped").await?;
        }
        let drain = asked.elapsed();
        let client_cpu = self.used()?.client;
        let peak_rss_mib = self.peak_rss_mib()?;
        let spans_percent = match &mut self.receiver {
            Some(receiver) => {
                let expected = self.flows * self.setup.spans_per_flow;
                Some(100.0 * receiver.spans().await? as f64 / expected.max(1) as f64)
            }
            None => None,
        };
        for contestant in self.contestants {
            contestant.end().await?;
        }
        Ok(Ended { client_cpu, peak_rss_mib, spans_percent, drain })
    }
}

fn flow(number: u64) -> String {
    format!("f-{number:016x}")
}
