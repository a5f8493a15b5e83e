use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use demo::Service;
use laban_testkit::{Process, Proxy, Signal};
use laban_tests::Outcome;
use tokio::net::TcpSocket;

use super::Counters;

/// How long an instance may take to drain.
const DRAIN: Duration = Duration::from_secs(40);
/// How long `/metrics` and `/readyz` may take; a frozen process never answers.
const ANSWER: Duration = Duration::from_millis(500);
/// How often counters are read; what a killed process counted after the last reading is lost.
const SCRAPE: Duration = Duration::from_secs(1);
/// How much of the log is shown of one that ended by itself.
const LAST_WORDS: usize = 3;

/// One process of one service, with proxies of its own between it and the brokers.
pub(crate) struct Instance {
    service: Service,
    name: String,
    program: PathBuf,
    env: Vec<(&'static str, OsString)>,
    proxies: Vec<Proxy>,
    /// Where `/metrics` and `/readyz` are.
    http: String,
    /// Where orders are taken, by the order service.
    shop: String,
    log: PathBuf,
    asking: reqwest::Client,
    /// What keeps its addresses for it.
    _held: [TcpSocket; 2],
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    process: Option<Process>,
    /// Whether it is to run: if it does not, it ended by itself.
    wanted: bool,
    /// What the processes before this one counted.
    before: Counters,
    /// What this one has, when it was last asked.
    now: Counters,
    asked: Option<Instant>,
    ended_by_itself: Vec<String>,
}

impl Instance {
    pub(super) fn new(
        service: Service,
        index: usize,
        program: PathBuf,
        proxies: Vec<Proxy>,
        logs: &Path,
    ) -> Outcome<Self> {
        let name = format!("{}-{}", service.name(), index + 1);
        let log = logs.join(format!("{name}.log"));
        let ((http_held, http), (shop_held, shop)) = (held_address()?, held_address()?);
        let _held = [http_held, shop_held];
        let urls = proxies.iter().map(Proxy::url).collect::<Vec<_>>().join(",");
        let asking = reqwest::Client::builder().timeout(ANSWER).build()?;
        let state = Mutex::default();
        let instance =
            Self { service, name, program, env: Vec::new(), proxies, http, shop, log, asking, _held, state };
        let (http, shop) = (instance.http.clone(), instance.shop.clone());
        Ok(instance.env("NATS_URL", urls).env("LABAN_HTTP_ADDR", http).env("SHOP_HTTP_ADDR", shop))
    }

    pub(super) fn env(mut self, name: &'static str, value: impl ToString) -> Self {
        self.env.push((name, value.to_string().into()));
        self
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn service(&self) -> Service {
        self.service
    }

    /// What is between it and the brokers.
    pub(crate) fn proxies(&self) -> &[Proxy] {
        &self.proxies
    }

    /// Where orders are placed, if it takes any.
    pub(super) fn door(&self) -> Option<String> {
        (self.service == Service::Order).then(|| format!("http://{}/orders", self.shop))
    }

    /// Starts it, unless it runs.
    pub(crate) fn start(&self) -> Outcome {
        let mut state = self.state();
        state.wanted = true;
        if state.process.as_ref().is_some_and(Process::is_running) {
            return Ok(());
        }
        let process = Process::builder(&self.program)
            .name(&self.name)
            .log_file(&self.log)
            // What the user's shell says about brokers and collectors is not meant for this mesh.
            .env_remove_prefixed(&["NATS_", "OTEL_", "LABAN_", "SHOP_"]);
        let process = self.env.iter().fold(process, |process, (name, value)| process.env(name, value));
        state.before = state.before + std::mem::take(&mut state.now);
        state.process = Some(process.spawn()?);
        Ok(())
    }

    /// Kills it, as a crash would.
    pub(crate) async fn kill(&self) {
        self.scrape().await;
        let mut state = self.state();
        state.wanted = false;
        if let Some(process) = state.process.take() {
            process.kill();
        }
    }

    /// Asks it to end, and waits until it has drained.
    pub(crate) async fn stop(&self) -> Outcome {
        let process = {
            let mut state = self.state();
            state.wanted = false;
            state.process.take()
        };
        if let Some(process) = process {
            let status = process.stop(DRAIN).await?;
            if !status.success() {
                self.state().ended_by_itself.push(format!("{}: stopped with {status}", self.name));
            }
        }
        Ok(())
    }

    /// Freezes it.
    pub(crate) fn freeze(&self) -> Outcome {
        self.signal(Signal::Stop)
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) -> Outcome {
        self.signal(Signal::Cont)
    }

    fn signal(&self, signal: Signal) -> Outcome {
        match &self.state().process {
            Some(process) => Ok(process.signal(signal)?),
            None => Ok(()),
        }
    }

    pub(super) fn heal(&self) -> Outcome {
        self.thaw()?;
        for proxy in &self.proxies {
            proxy.accept();
            proxy.flow();
            proxy.slow(None);
        }
        self.start()
    }

    /// Starts it again if it ended by itself.
    pub(super) fn revive(&self) {
        let mut state = self.state();
        let ended = state.process.as_ref().and_then(|process| {
            let status = process.exit_status()?;
            Some(format!("{}: {status}: {}", self.name, process.log_tail(LAST_WORDS)))
        });
        if let (Some(ended), true) = (ended, state.wanted) {
            state.ended_by_itself.push(ended);
            drop(state);
            // A program that cannot be run now is tried again soon.
            let _ = self.start();
        }
    }

    /// Whether it is ready to work.
    pub(super) async fn is_ready(&self) -> bool {
        let asked = self.asking.get(format!("http://{}/readyz", self.http)).send().await;
        asked.is_ok_and(|answer| answer.status().is_success())
    }

    /// Reads what it has counted, if it answers.
    pub(crate) async fn scrape(&self) -> Option<Counters> {
        let answer = self.asking.get(format!("http://{}/metrics", self.http)).send().await.ok()?;
        let counters = Counters::read(&answer.text().await.ok()?);
        let mut state = self.state();
        // Of a process that was replaced meanwhile, or not: counters never go back.
        if counters.commits >= state.now.commits {
            state.now = counters;
        }
        Some(counters)
    }

    pub(super) async fn scrape_now_and_then(&self) {
        {
            let mut state = self.state();
            let due = state.asked.is_none_or(|asked| asked.elapsed() > SCRAPE);
            if !due || state.process.is_none() {
                return;
            }
            state.asked = Some(Instant::now());
        }
        self.scrape().await;
    }

    pub(super) fn counters(&self) -> Counters {
        let state = self.state();
        state.before + state.now
    }

    pub(super) fn ended_by_itself(&self) -> Vec<String> {
        self.state().ended_by_itself.clone()
    }

    pub(super) fn log_tail(&self) -> String {
        self.state().process.as_ref().map(|process| process.log_tail(10)).unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An address that an instance keeps over all its processes: as long as the socket is there, which listens to nobody, nobody
/// else is given its port, and the instance can listen there.
fn held_address() -> Outcome<(TcpSocket, String)> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    let address = socket.local_addr()?.to_string();
    Ok((socket, address))
}
