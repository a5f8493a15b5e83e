//! `LABAN_*`: what an operator may set. The broker's own settings are `laban_wire::ConnectSettings`, telemetry's are
//! `OTEL_*`.

use std::net::SocketAddr;
use std::time::Duration;

use async_nats::jetstream::stream::{Placement, StorageType};
use laban_wire::EventType;

use crate::Error;

/// The cluster whose nodes may have the service's streams.
pub(crate) const PLACEMENT_CLUSTER: &str = "LABAN_PLACEMENT_CLUSTER";
/// Tags that a node must have to have the service's streams.
pub(crate) const PLACEMENT_TAGS: &str = "LABAN_PLACEMENT_TAGS";

/// A service's settings, read once at start.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// How long the broker waits for an acknowledgement or a sign of life before it delivers again.
    pub(crate) ack_wait: Duration,
    /// How long the home stream keeps records; zero is for ever.
    pub(crate) retention: Duration,
    /// Copies of the home stream.
    pub(crate) replicas: usize,
    /// On which nodes they may be; on any, if nothing is said.
    pub(crate) placement: Option<Placement>,
    /// Where the home stream is kept.
    pub(crate) storage: StorageType,
    /// How long a stop waits for handlers to finish.
    pub(crate) drain_timeout: Duration,
    /// How long a start waits for the broker.
    pub(crate) connect_timeout: Duration,
    /// How many flows an instance remembers, so as not to ask the broker.
    pub(crate) remembered_flows: usize,
    /// Where `/metrics`, `/livez` and `/readyz` are served, if anywhere.
    pub(crate) http_addr: Option<SocketAddr>,
    /// Whether the broker is asked to report what becomes of each traced message.
    pub(crate) trace_broker: bool,
    /// Which events may break their readers.
    pub(crate) allow_breaking: AllowBreaking,
}

/// Events whose shape may change in a way that breaks readers, because an operator says that there are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AllowBreaking {
    /// Any: where events are still being shaped.
    All,
    /// These. A setting that was forgotten allows no more than it was meant for.
    Only(Vec<EventType>),
}

impl AllowBreaking {
    pub(crate) fn allows(&self, event: &EventType) -> bool {
        match self {
            Self::All => true,
            Self::Only(events) => events.contains(event),
        }
    }

    fn parse(text: &str) -> Result<Self, Error> {
        if text == "all" {
            return Ok(Self::All);
        }
        let events = text.split(',').map(|event| event.trim().parse());
        events.collect::<Result<_, _>>().map(Self::Only).map_err(|_| {
            let reason = "it is `all`, or event types separated by commas, such as payment.captured";
            bad("LABAN_ALLOW_BREAKING", text, reason)
        })
    }
}

impl Config {
    pub(crate) fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let env = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let env = Lookup(&env);
        Ok(Self {
            ack_wait: Duration::from_millis(env.number("LABAN_ACK_WAIT_MS", 10_000, 100..=3_600_000)?),
            retention: Duration::from_secs(86_400 * env.number("LABAN_RETENTION_DAYS", 30, 0..=36_500)?),
            replicas: usize::try_from(env.number("LABAN_REPLICAS", 1, 1..=5)?).unwrap_or(1),
            placement: env.placement()?,
            storage: match env.0("LABAN_STORAGE").as_deref() {
                None | Some("file") => StorageType::File,
                Some("memory") => StorageType::Memory,
                Some(other) => return Err(bad("LABAN_STORAGE", other, "it is `file` or `memory`")),
            },
            drain_timeout: Duration::from_millis(env.number(
                "LABAN_DRAIN_TIMEOUT_MS",
                25_000,
                0..=3_600_000,
            )?),
            connect_timeout: Duration::from_millis(env.number(
                "LABAN_CONNECT_TIMEOUT_MS",
                30_000,
                0..=3_600_000,
            )?),
            remembered_flows: usize::try_from(env.number(
                "LABAN_REMEMBERED_FLOWS",
                50_000,
                1..=100_000_000,
            )?)
            .unwrap_or(usize::MAX),
            http_addr: match env.0("LABAN_HTTP_ADDR") {
                None => None,
                Some(text) => Some(text.parse().map_err(|_| {
                    bad("LABAN_HTTP_ADDR", &text, "it is an address and a port, such as 127.0.0.1:9464")
                })?),
            },
            trace_broker: match env.0("LABAN_TRACE_BROKER").as_deref() {
                None | Some("0") => false,
                Some("1") => true,
                Some(other) => return Err(bad("LABAN_TRACE_BROKER", other, "it is 1 or 0")),
            },
            allow_breaking: match env.0("LABAN_ALLOW_BREAKING") {
                None => AllowBreaking::Only(Vec::new()),
                Some(text) => AllowBreaking::parse(&text)?,
            },
        })
    }
}

struct Lookup<'a>(&'a dyn Fn(&str) -> Option<String>);

impl Lookup<'_> {
    fn placement(&self) -> Result<Option<Placement>, Error> {
        let cluster =
            (self.0)(PLACEMENT_CLUSTER).map(|text| one_word(PLACEMENT_CLUSTER, &text, &text)).transpose()?;
        let tags = match (self.0)(PLACEMENT_TAGS) {
            None => Vec::new(),
            Some(text) => text
                .split(',')
                .map(|tag| one_word(PLACEMENT_TAGS, &text, tag))
                .collect::<Result<Vec<_>, _>>()?,
        };
        Ok((cluster.is_some() || !tags.is_empty()).then_some(Placement { cluster, tags }))
    }

    fn number(
        &self,
        name: &'static str,
        default: u64,
        allowed: std::ops::RangeInclusive<u64>,
    ) -> Result<u64, Error> {
        let Some(text) = (self.0)(name) else {
            return Ok(default);
        };
        match text.parse() {
            Ok(number) if allowed.contains(&number) => Ok(number),
            _ => {
                let reason = format!("it is a whole number from {} to {}", allowed.start(), allowed.end());
                Err(bad(name, &text, &reason))
            }
        }
    }
}

/// A part of the value of a placement's variable. The broker would take any text, and look for a node in vain.
fn one_word(name: &'static str, value: &str, part: &str) -> Result<String, Error> {
    let word = part.trim();
    if !word.is_empty() && !word.contains(|c: char| c.is_whitespace() || c.is_control() || c == ',') {
        return Ok(word.to_owned());
    }
    Err(bad(
        name,
        value,
        match name {
            PLACEMENT_CLUSTER => {
                "it is the name of one cluster, as its nodes have it in `cluster { name: … }`"
            }
            _ => "it is `server_tags` of nodes, separated by commas, such as az:eu-1,ssd",
        },
    ))
}

pub(crate) fn bad(name: &'static str, value: &str, reason: &str) -> Error {
    Error::Config { name, value: value.to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_value_names_its_variable_and_what_would_do() {
        for (name, value, hint) in [
            ("LABAN_ACK_WAIT_MS", "10s", "from 100 to 3600000"),
            ("LABAN_REPLICAS", "0", "from 1 to 5"),
            ("LABAN_STORAGE", "disk", "`file` or `memory`"),
            ("LABAN_HTTP_ADDR", "9464", "127.0.0.1:9464"),
            ("LABAN_TRACE_BROKER", "yes", "1 or 0"),
            ("LABAN_ALLOW_BREAKING", "1", "payment.captured"),
            ("LABAN_PLACEMENT_CLUSTER", "eu,us", "one cluster"),
            ("LABAN_PLACEMENT_CLUSTER", "eu west", "one cluster"),
            ("LABAN_PLACEMENT_TAGS", "ssd, ,az:eu-1", "separated by commas"),
            ("LABAN_PLACEMENT_TAGS", "ssd az:eu-1", "separated by commas"),
        ] {
            let error = Config::from_lookup(|asked| (asked == name).then(|| value.to_owned())).unwrap_err();
            let text = error.to_string();
            assert!(text.contains(name) && text.contains(value) && text.contains(hint), "{text}");
        }
    }

    #[test]
    fn breaking_is_allowed_by_name() {
        let allowed = AllowBreaking::parse("payment.captured, payment.declined").unwrap();
        let [captured, refunded] =
            ["payment.captured", "payment.refunded"].map(|event| event.parse().unwrap());
        assert!(allowed.allows(&captured) && !allowed.allows(&refunded));
        assert!(AllowBreaking::parse("all").unwrap().allows(&refunded));
    }

    #[test]
    fn a_placement_is_a_cluster_and_tags() {
        let read = |cluster: &str, tags: &str| {
            let lookup = |name: &str| match name {
                PLACEMENT_CLUSTER => Some(cluster.to_owned()),
                PLACEMENT_TAGS => Some(tags.to_owned()),
                _ => None,
            };
            Config::from_lookup(lookup).unwrap().placement
        };
        let both = Placement { cluster: Some("eu".into()), tags: vec!["ssd".into(), "az:eu-1".into()] };
        assert_eq!(read("eu", "ssd, az:eu-1"), Some(both.clone()));
        assert_eq!(read("", "ssd,az:eu-1"), Some(Placement { cluster: None, ..both }));
        assert_eq!(read("", ""), None);
    }

    #[test]
    fn defaults() {
        let config = Config::from_lookup(|_| None).unwrap();
        assert_eq!(config.ack_wait, Duration::from_secs(10));
        assert_eq!(config.retention, Duration::from_secs(30 * 86_400));
        assert_eq!(config.http_addr, None);
        assert!(!config.allow_breaking.allows(&"payment.captured".parse().unwrap()));
    }
}
