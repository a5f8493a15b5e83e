use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use async_nats::jetstream::{self, stream};
use laban_testkit::{Process, ProcessBuilder, Signal, tools, wait};

use crate::{LABAN, Outcome, SOON};

/// `laban dev` with what it has said so far.
struct Dev(Process);

impl Dev {
    async fn start(args: &[&str]) -> Outcome<Self> {
        Self::start_with(args, |builder| builder).await
    }

    async fn start_with(args: &[&str], set: impl Fn(ProcessBuilder) -> ProcessBuilder) -> Outcome<Self> {
        let process = set(Process::builder(LABAN).arg("dev").args(args)).spawn()?;
        wait::until("laban dev", SOON, async || {
            !process.is_running() || process.log_tail(usize::MAX).contains("Ctrl-C stops everything")
        })
        .await?;
        Ok(Self(process))
    }

    fn said(&self) -> String {
        self.0.log_tail(usize::MAX)
    }

    /// What stands behind `start` in what it has said.
    fn after(&self, start: &str) -> Option<String> {
        let said = self.said();
        let rest = said.split_once(start)?.1;
        rest.split_whitespace().next().map(str::to_owned)
    }

    fn url(&self) -> Outcome<String> {
        Ok(self.after("export NATS_URL=").ok_or_else(|| self.said())?)
    }

    fn pids(&self) -> Vec<u32> {
        let said = self.said();
        let pids = said.split("pid ").skip(1).filter_map(|rest| rest.split_whitespace().next()?.parse().ok());
        pids.collect()
    }

    /// The ports it has named.
    fn ports(&self) -> Vec<u16> {
        let said = self.said();
        let mut ports: Vec<u16> = said
            .split("127.0.0.1:")
            .skip(1)
            .filter_map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok())
            .collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    }

    async fn ends(&self) -> Outcome<Option<i32>> {
        Ok(self.0.wait_timeout(SOON).await?.code())
    }
}

fn is_alive(pid: u32) -> bool {
    let status = std::process::Command::new("kill").args(["-0", &pid.to_string()]).output();
    status.is_ok_and(|output| output.status.success())
}

fn is_open(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

#[tokio::test]
async fn broker_and_jaeger_run_until_sigterm_and_nothing_stays() -> Outcome {
    for signal in [Signal::Term, Signal::Int] {
        let dev = Dev::start(&["--port", "0", "--temporary"]).await?;
        let said = dev.said();
        let (pids, ports) = (dev.pids(), dev.ports());
        let store = dev.after("streams").ok_or(said.clone())?;
        match tools::jaeger() {
            Ok(_) => {
                assert_eq!((pids.len(), ports.len()), (2, 4), "{said}");
                let otlp = dev.after("export OTEL_EXPORTER_OTLP_ENDPOINT=").ok_or(said.clone())?;
                assert!(is_open(otlp.rsplit(':').next().unwrap().parse()?), "{said}");
            }
            Err(_) => assert_eq!((pids.len(), ports.len()), (1, 2), "{said}"),
        }
        async_nats::connect(dev.url()?).await?;
        assert!(pids.iter().all(|pid| is_alive(*pid)) && ports.iter().all(|port| is_open(*port)), "{said}");
        assert!(Path::new(&store).exists(), "{said}");

        dev.0.signal(signal)?;
        assert_eq!(dev.ends().await?, Some(0), "{}", dev.said());
        assert!(!pids.iter().any(|pid| is_alive(*pid)), "{said}");
        assert!(!ports.iter().any(|port| is_open(*port)), "{said}");
        assert!(!Path::new(&store).exists(), "{said}");
    }
    Ok(())
}

#[tokio::test]
async fn streams_are_kept_where_they_are_to_be_and_for_one_at_a_time() -> Outcome {
    let folder = tempfile::tempdir()?;
    let data = |builder: ProcessBuilder| builder.env("XDG_DATA_HOME", folder.path());
    let args = ["--port", "0", "--no-jaeger"];
    let first = Dev::start_with(&args, data).await?;
    let js = jetstream::new(async_nats::connect(first.url()?).await?);
    js.create_stream(stream::Config { name: "NOTES".into(), ..Default::default() }).await?;

    let second = Dev::start_with(&args, data).await?;
    assert_eq!(second.ends().await?, Some(1));
    assert!(second.said().contains("another `laban dev` uses"), "{}", second.said());

    first.0.signal(Signal::Term)?;
    assert_eq!(first.ends().await?, Some(0));
    let store = folder.path().join("laban/dev");
    let third = Dev::start(&["--port", "0", "--no-jaeger", "--store", &store.to_string_lossy()]).await?;
    let js = jetstream::new(async_nats::connect(third.url()?).await?);
    assert!(js.get_stream("NOTES").await.is_ok());
    Ok(())
}

#[tokio::test]
async fn a_taken_port_is_named_with_what_to_do() -> Outcome {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port().to_string();
    let dev = Dev::start(&["--port", &port, "--temporary", "--no-jaeger"]).await?;
    assert_eq!(dev.ends().await?, Some(1));
    let said = dev.said();
    assert!(said.contains(&format!("port {port} is taken")), "{said}");
    assert!(said.contains("--port 0"), "{said}");
    assert_eq!(dev.pids(), [0; 0], "nothing was started");
    Ok(())
}

#[tokio::test]
async fn what_ends_by_itself_ends_everything_and_is_named() -> Outcome {
    let jaeger = if tools::jaeger().is_ok() { &["nats-server", "jaeger"][..] } else { &["nats-server"] };
    for (place, name) in jaeger.iter().enumerate() {
        let dev = Dev::start(&["--port", "0", "--temporary"]).await?;
        let pids = dev.pids();
        let killed = std::process::Command::new("kill").args(["-9", &pids[place].to_string()]).status()?;
        assert!(killed.success());
        assert_eq!(dev.ends().await?, Some(1));
        let said = dev.said();
        assert!(said.contains(&format!("laban: {name} ended by itself (signal: 9")), "{said}");
        assert!(!pids.iter().any(|pid| is_alive(*pid)), "{said}");
    }
    Ok(())
}

#[tokio::test]
async fn without_jaeger_it_says_how_to_get_one_and_goes_on() -> Outcome {
    // No cache, no network, no Docker: what would fetch it fails.
    let folder = tempfile::tempdir()?;
    for tool in ["curl", "docker"] {
        let path = folder.path().join(tool);
        std::fs::write(&path, "#!/bin/sh\nexit 1\n")?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    }
    let nats_server = tools::nats_server()?;
    let dev = Dev::start_with(&["--port", "0", "--temporary"], |builder| {
        builder
            .env("NATS_SERVER_BIN", &nats_server)
            .env("XDG_CACHE_HOME", folder.path())
            .env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()))
            .env_remove("JAEGER_BIN")
    })
    .await?;
    let said = dev.said();
    assert_eq!(said.lines().filter(|line| line.contains("Jaeger")).count(), 1, "{said}");
    assert!(said.contains("no Jaeger: none at hand: 'make jaeger' builds it"), "{said}");
    assert!(!said.contains("OTEL_"), "{said}");
    async_nats::connect(dev.url()?).await?;
    dev.0.signal(Signal::Term)?;
    assert_eq!(dev.ends().await?, Some(0));
    Ok(())
}
