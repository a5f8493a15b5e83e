//! One broker for all cases, and an account of it for each: the same streams and consumers, and nobody else's.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use async_nats::jetstream::consumer::{Info, pull};
use async_nats::jetstream::{self, stream};
use async_nats::{Client, ConnectOptions, HeaderMap};
use futures_util::StreamExt as _;
use laban_testkit::{Broker, wait};
use laban_tests::Outcome;
use laban_wire::{FlowReader, HEADER, Message, Meta};
use tokio::sync::Mutex;

use crate::instance::{ACK_WAIT, PATIENCE};

/// Cases that one broker serves.
const ACCOUNTS: usize = 1000;
const PASSWORD: &str = "case";

/// The broker, as long as somebody uses it.
pub(crate) struct Shared {
    broker: Broker,
    taken: AtomicUsize,
}

static SHARED: Mutex<Weak<Shared>> = Mutex::const_new(Weak::new());

impl Shared {
    /// The broker that other tests use, or a new one.
    pub(crate) async fn open() -> Outcome<Arc<Self>> {
        let mut shared = SHARED.lock().await;
        if let Some(open) = shared.upgrade() {
            return Ok(open);
        }
        let mut accounts = "accounts {\n".to_owned();
        for n in 0..ACCOUNTS {
            writeln!(
                accounts,
                "  case{n} {{ jetstream: enabled, users: [{{ user: case{n}, password: {PASSWORD} }}] }}"
            )?;
        }
        accounts.push('}');
        let broker = Broker::builder().config(accounts).start().await?;
        let open = Arc::new(Self { broker, taken: AtomicUsize::new(0) });
        *shared = Arc::downgrade(&open);
        Ok(open)
    }
}

/// The world of one case.
pub(crate) struct Account {
    shared: Arc<Shared>,
    user: String,
    client: Client,
}

/// A message that a case is given.
pub(crate) struct Given {
    pub(crate) subject: String,
    pub(crate) meta: Meta,
    pub(crate) body: Vec<u8>,
    /// The consumer that will deliver it, if one will.
    pub(crate) to: Option<&'static str>,
}

/// A message that is to be delivered and acknowledged.
pub(crate) struct Awaited {
    stream: String,
    consumer: &'static str,
    seq: u64,
}

impl Awaited {
    /// Whatever timers come to this service.
    pub(crate) fn of_timers(service: &str) -> Self {
        Self { stream: format!("{}_TIMERS", service.to_uppercase()), consumer: "payment__due", seq: 0 }
    }
}

impl Account {
    pub(crate) async fn open(shared: &Arc<Shared>) -> Outcome<Self> {
        let n = shared.taken.fetch_add(1, Ordering::Relaxed);
        if n >= ACCOUNTS {
            return Err(format!("more than {ACCOUNTS} cases; raise ACCOUNTS").into());
        }
        let user = format!("case{n}");
        let options = ConnectOptions::with_user_and_password(user.clone(), PASSWORD.to_owned());
        let client = options.connect(shared.broker.url()).await?;
        Ok(Self { shared: Arc::clone(shared), user, client })
    }

    /// What a service is told about the broker.
    pub(crate) fn env(&self) -> [(&'static str, String); 3] {
        [
            ("NATS_URL", self.shared.broker.url()),
            ("NATS_USER", self.user.clone()),
            ("NATS_PASSWORD", PASSWORD.to_owned()),
        ]
    }

    fn context(&self) -> jetstream::Context {
        jetstream::new(self.client.clone())
    }

    /// Makes the home stream of a service that does not run.
    pub(crate) async fn make_home(&self, service: &str) -> Outcome {
        let config = stream::Config {
            name: service.to_uppercase(),
            subjects: vec![format!("{service}.*.*")],
            ..stream::Config::default()
        };
        self.context().create_stream(config).await?;
        Ok(())
    }

    /// Waits until the service has made its own.
    pub(crate) async fn until_home(&self, service: &str) -> Outcome {
        let (context, name) = (self.context(), service.to_uppercase());
        let there = async || context.get_stream(&name).await.is_ok();
        wait::until(format!("stream {name}"), PATIENCE, there).await?;
        Ok(())
    }

    pub(crate) async fn give(&self, given: &Given) -> Outcome<Option<Awaited>> {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, given.meta.to_header());
        let (subject, body) = (given.subject.clone(), given.body.clone().into());
        let ack = self.context().publish_with_headers(subject, headers, body).await?.await?;
        Ok(given.to.map(|consumer| Awaited { stream: ack.stream, consumer, seq: ack.sequence }))
    }

    /// Gives a message, and takes the first delivery of it without a word, as an instance does that is killed over it.
    pub(crate) async fn give_and_take(&self, given: &Given) -> Outcome<Option<Awaited>> {
        let awaited = self.give(given).await?;
        let Some(Awaited { stream, consumer, .. }) = &awaited else { return Ok(None) };
        let (event, _flow) = given.subject.rsplit_once('.').ok_or("a subject of three tokens")?;
        let config = pull::Config {
            durable_name: Some((*consumer).to_owned()),
            filter_subject: format!("{event}.*"),
            ack_wait: ACK_WAIT,
            ..pull::Config::default()
        };
        let consumer = self.context().get_stream(stream).await?.create_consumer(config).await?;
        let mut batch = consumer.batch().max_messages(1).expires(PATIENCE).messages().await?;
        batch.next().await.ok_or("a delivery")?.map_err(|error| error.to_string())?;
        Ok(awaited)
    }

    async fn info(&self, stream: &str, consumer: &str) -> Option<Info> {
        self.context().get_stream(stream).await.ok()?.consumer_info(consumer).await.ok()
    }

    /// Waits until all of this is acknowledged.
    pub(crate) async fn until_acked(&self, awaited: &[Awaited]) -> Outcome {
        for one in awaited {
            let what = format!("{} to have {} {} acknowledged", one.consumer, one.stream, one.seq);
            wait::until(what, PATIENCE, async || self.is_acked(one).await).await?;
        }
        Ok(())
    }

    pub(crate) async fn is_acked(&self, Awaited { stream, consumer, seq }: &Awaited) -> bool {
        let info = self.info(stream, consumer).await;
        info.is_some_and(|info| info.ack_floor.stream_sequence >= *seq && info.num_ack_pending == 0)
    }

    /// Waits until somebody asks these consumers for more.
    pub(crate) async fn until_asked(&self, awaited: &[Awaited]) -> Outcome {
        for Awaited { stream, consumer, .. } in awaited {
            let what = format!("{consumer} to be asked for deliveries");
            let asked = async || self.info(stream, consumer).await.is_some_and(|info| info.num_waiting > 0);
            wait::until(what, PATIENCE, asked).await?;
        }
        Ok(())
    }

    /// How many timers the service has, waiting or due.
    pub(crate) async fn timers(&self, service: &str) -> Option<u64> {
        let stream = self.context().get_stream(format!("{}_TIMERS", service.to_uppercase())).await.ok()?;
        Some(stream.cached_info().state.messages)
    }

    /// How many deliveries these consumers have made.
    pub(crate) async fn deliveries(&self, awaited: &[Awaited]) -> u64 {
        let mut consumers: Vec<_> = awaited.iter().map(|one| (&one.stream, one.consumer)).collect();
        consumers.sort();
        consumers.dedup();
        let mut made = 0;
        for (stream, consumer) in consumers {
            made += self.info(stream, consumer).await.map_or(0, |info| info.delivered.consumer_sequence);
        }
        made
    }

    /// All that a service has written, oldest first.
    pub(crate) async fn records(&self, service: &str) -> Outcome<Vec<Message>> {
        let reader = FlowReader::new(self.client.clone());
        let stored = reader.leader(&service.to_uppercase(), &format!("{service}.>"), 1).await?;
        stored.into_iter().map(|stored| Ok(Message::try_from(stored)?)).collect()
    }
}
