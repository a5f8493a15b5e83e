//! `laban metrics`: what no service knows by itself, for Prometheus.
//!
//! A service counts what it does. How whole flows end, how many are open and which step they wait for, and how full streams
//! are, is read from the broker here: now and then, within limits, and off everybody's way.

mod broker;
mod consumers;
mod flows;
mod health;
mod page;
mod serve;
mod settings;

use std::time::{Duration, Instant};

use async_nats::Client;
use async_nats::connection::State as Link;
use laban_flow::Mesh;
use laban_wire::{ConnectError, FlowReader};

use crate::signals::Signals;
use crate::{Connection, Failure, terminal};
use flows::Ended;
use page::Page;
use serve::Published;
pub(crate) use settings::Args;
use settings::Settings;

/// A look that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) async fn run(args: Args, connection: &Connection) -> Result<(), Failure> {
    let asked = args.asked.is_some();
    let settings = Settings::of(args, |name| std::env::var(name).ok())?;
    if asked {
        return health::ask(settings.listen).await;
    }
    let mut signals = Signals::listen()?;
    let published = Published::default();
    let (address, serving) = serve::serve(settings.listen, published.clone()).await?;
    terminal::say(&format!("laban: serving http://{address}/metrics"));
    let mut watch =
        Watch { settings, connection, reached: None, ended: Ended::default(), looks: Looks::default() };
    tokio::select! {
        failed = watch.run(&published) => failed,
        stopped = serving => stopped,
        () = signals.next() => Ok(()),
    }
}

/// What is kept from one look to the next.
struct Watch<'a> {
    settings: Settings,
    connection: &'a Connection,
    reached: Option<Reached>,
    ended: Ended,
    looks: Looks,
}

struct Reached {
    client: Client,
    reader: FlowReader,
}

/// How looks went.
#[derive(Default)]
struct Looks {
    whole: u64,
    cut_short: u64,
    failed: u64,
    /// Why the last one failed: said once, not at every look.
    reason: Option<String>,
}

impl Watch<'_> {
    /// Looks again and again. Ends only when what it was told cannot be used.
    async fn run(&mut self, published: &Published) -> Result<(), Failure> {
        loop {
            let begun = Instant::now();
            let mut page = Page::default();
            broker::look(&self.settings.brokers, &mut page).await;
            let looked = tokio::time::timeout(PATIENCE, self.look(&mut page)).await.unwrap_or_else(|_| {
                Err(Failure::Broker(format!("a look took more than {} s", PATIENCE.as_secs())))
            });
            match looked {
                Ok(true) => self.looks.cut_short += 1,
                Ok(false) => self.looks.whole += 1,
                Err(Failure::Broker(reason)) => {
                    self.looks.failed += 1;
                    if self.looks.reason.as_ref() != Some(&reason) {
                        terminal::say(&format!("laban: warning: {reason}; looking again"));
                    }
                    self.looks.reason = Some(reason);
                }
                Err(failure) => return Err(failure),
            }
            self.ended.tell(&mut page);
            self.looks.tell(begun.elapsed(), &mut page);
            published.publish(page.text());
            tokio::time::sleep(self.settings.every.saturating_sub(begun.elapsed())).await;
        }
    }

    /// Looks once; says whether there was more than may be read.
    async fn look(&mut self, page: &mut Page) -> Result<bool, Failure> {
        let Reached { client, reader } = match &mut self.reached {
            Some(reached) => reached,
            none => none.insert(reach(self.connection).await?),
        };
        // The client would wait for its server to come back; this says at once that it is away.
        if client.connection_state() != Link::Connected {
            return Err(Failure::Broker("the broker is away".to_owned()));
        }
        consumers::look(client, page).await?;
        let mesh = Mesh::discover(client).await?;
        let looking = flows::Looking {
            client,
            reader,
            mesh: &mesh,
            overdue: self.settings.overdue,
            most: self.settings.most,
        };
        let open = looking.open(page).await?;
        let ended = looking.ended(&mut self.ended).await?;
        self.looks.reason = None;
        Ok(open || ended)
    }
}

/// Connects. A broker that is not there is waited for; settings that cannot be used are not.
async fn reach(connection: &Connection) -> Result<Reached, Failure> {
    let connect = async || match connection.try_connect().await {
        Err(error @ ConnectError::Unreachable { .. }) => Err(Failure::Broker(error.to_string())),
        Err(error) => Err(Failure::Usage(error.to_string())),
        Ok(client) => Ok(client),
    };
    let client = connect().await?;
    let reader = FlowReader::new(client.clone()).with_direct(connect().await?);
    Ok(Reached { client, reader })
}

impl Looks {
    fn tell(&self, took: Duration, page: &mut Page) {
        for (outcome, count) in
            [("whole", self.whole), ("cut_short", self.cut_short), ("failed", self.failed)]
        {
            page.add(&page::LOOKS, &[("outcome", outcome)], count as f64);
        }
        page.add(&page::LOOK_DURATION, &[], took.as_secs_f64());
    }
}
