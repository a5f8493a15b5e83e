//! How to reach the broker: the environment first, then the `nats` CLI's contexts.

use std::fmt;
use std::net::{IpAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_nats::ConnectOptions;
use serde::Deserialize;

use crate::error_chain;

/// Where the broker is and who we are there.
///
/// The names are those of the `nats` CLI, so what works there works here. Secrets are not shown by `Debug`.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct ConnectSettings {
    /// One or more `nats://` or `tls://` addresses, separated by commas.
    pub url: String,
    /// User name.
    pub user: String,
    /// Password of `user`.
    pub password: String,
    /// Token instead of user and password.
    pub token: String,
    /// Path of a credentials file.
    pub creds: String,
    /// Path of an NKey seed file.
    pub nkey: String,
    /// Path of the PEM certificates to trust besides the system's.
    pub ca: String,
    /// Path of the client's PEM certificate.
    pub cert: String,
    /// Path of the client certificate's PEM key.
    pub key: String,
    /// Subject prefix of this user's inboxes.
    pub inbox_prefix: String,
    /// What the broker is told this connection is called.
    #[serde(skip)]
    pub name: String,
    /// Where these settings come from, for messages.
    #[serde(skip)]
    pub origin: String,
}

/// Where a broker runs when nothing else is said.
const DEFAULT_URL: &str = "nats://127.0.0.1:4222";

impl ConnectSettings {
    /// Settings from the process environment: `NATS_CONTEXT`, or the `nats` CLI's selected context when there is no
    /// `NATS_URL`; over it `NATS_URL`, `NATS_USER`, `NATS_PASSWORD`, `NATS_TOKEN`, `NATS_CREDS`, `NATS_NKEY`, `NATS_CA`,
    /// `NATS_CERT`, `NATS_KEY`, `NATS_INBOX_PREFIX`.
    ///
    /// # Errors
    /// When a named context cannot be read.
    pub fn from_env() -> Result<Self, ConnectError> {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// [`from_env`](Self::from_env) over any set of variables, for a program whose flags win over the environment.
    /// An empty value counts as none.
    ///
    /// # Errors
    /// When a named context cannot be read.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConnectError> {
        let env = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let contexts = env("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(env("HOME")?).join(".config")))
            .map(|config| config.join("nats"));
        let context = env("NATS_CONTEXT").or_else(|| {
            let selected = || std::fs::read_to_string(contexts.as_ref()?.join("context.txt")).ok();
            if env("NATS_URL").is_some() { None } else { selected().map(|name| name.trim().to_owned()) }
        });
        let mut settings = match (context.filter(|name| !name.is_empty()), &contexts) {
            (Some(name), Some(folder)) => Self::from_context(folder, &name)?,
            _ => Self::default(),
        };
        let fields: [(&str, &mut String); 10] = [
            ("NATS_URL", &mut settings.url),
            ("NATS_USER", &mut settings.user),
            ("NATS_PASSWORD", &mut settings.password),
            ("NATS_TOKEN", &mut settings.token),
            ("NATS_CREDS", &mut settings.creds),
            ("NATS_NKEY", &mut settings.nkey),
            ("NATS_CA", &mut settings.ca),
            ("NATS_CERT", &mut settings.cert),
            ("NATS_KEY", &mut settings.key),
            ("NATS_INBOX_PREFIX", &mut settings.inbox_prefix),
        ];
        for (name, field) in fields {
            if let Some(value) = env(name) {
                *field = value;
            }
        }
        if env("NATS_URL").is_some() {
            settings.origin = "NATS_URL".to_owned();
        } else if settings.url.is_empty() {
            settings.url = DEFAULT_URL.to_owned();
            settings.origin = "the default; set NATS_URL or NATS_CONTEXT for another".to_owned();
        }
        Ok(settings)
    }

    fn from_context(folder: &Path, name: &str) -> Result<Self, ConnectError> {
        let path = folder.join("context").join(format!("{name}.json"));
        let unreadable =
            |reason: String| ConnectError::Context { name: name.to_owned(), path: path.clone(), reason };
        let text = std::fs::read_to_string(&path).map_err(|e| unreadable(e.to_string()))?;
        let mut settings: Self = serde_json::from_str(&text).map_err(|e| unreadable(e.to_string()))?;
        settings.origin = format!("the nats context `{name}`");
        Ok(settings)
    }

    /// The addresses without user names and passwords, for messages.
    pub fn shown_url(&self) -> String {
        let hide = |url: &str| match (url.find("://"), url.rfind('@')) {
            (Some(scheme), Some(at)) if at > scheme => format!("{}://***@{}", &url[..scheme], &url[at + 1..]),
            (None, Some(at)) => format!("***@{}", &url[at + 1..]),
            _ => url.to_owned(),
        };
        self.url.split(',').map(|url| hide(url.trim())).collect::<Vec<_>>().join(",")
    }

    /// This host's address on the way to the broker. Nothing is sent to find out.
    pub async fn local_ip(&self) -> Option<IpAddr> {
        let first = self.url.split(',').next()?.trim();
        let rest = first.split_once("://").map_or(first, |(_, rest)| rest);
        let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        let host = host.split('/').next()?;
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let address = if has_port { host.to_owned() } else { format!("{host}:4222") };
        let address = tokio::net::lookup_host(address).await.ok()?.next()?;
        let unspecified: IpAddr = if address.is_ipv4() { [0; 4].into() } else { [0_u16; 8].into() };
        let socket = UdpSocket::bind((unspecified, 0)).ok()?;
        socket.connect(address).ok()?;
        Some(socket.local_addr().ok()?.ip())
    }

    /// Client options with these credentials, and reconnecting for as long as it takes at most every two seconds.
    ///
    /// # Errors
    /// When a file that the settings name cannot be read.
    pub async fn options(&self) -> Result<ConnectOptions, ConnectError> {
        let given = |text: &String| (!text.is_empty()).then(|| text.clone());
        let mut options = ConnectOptions::new()
            .name(&self.name)
            .connection_timeout(Duration::from_secs(5))
            .reconnect_delay_callback(reconnect_delay)
            .max_reconnects(None);
        if let Some(path) = given(&self.creds) {
            options = options
                .credentials_file(&path)
                .await
                .map_err(|e| ConnectError::File { path: path.into(), reason: e.to_string() })?;
        } else if let Some(path) = given(&self.nkey) {
            let seed = tokio::fs::read_to_string(&path)
                .await
                .map_err(|e| ConnectError::File { path: path.into(), reason: e.to_string() })?;
            options = options.nkey(seed.trim().to_owned());
        } else if let Some(user) = given(&self.user) {
            // The `nats` CLI takes a user without a password for a token.
            options = match given(&self.password) {
                Some(password) => options.user_and_password(user, password),
                None => options.token(user),
            };
        } else if let Some(token) = given(&self.token) {
            options = options.token(token);
        }
        if let Some(path) = given(&self.ca) {
            options = options.add_root_certificates(path.into());
        }
        match (given(&self.cert), given(&self.key)) {
            (Some(cert), Some(key)) => options = options.add_client_certificate(cert.into(), key.into()),
            (None, None) => {}
            _ => return Err(ConnectError::HalfCertificate),
        }
        if let Some(prefix) = given(&self.inbox_prefix) {
            options = options.custom_inbox_prefix(prefix);
        }
        Ok(options)
    }

    /// Connects, once.
    ///
    /// # Errors
    /// When a named file cannot be read, or no server of the list answers.
    pub async fn connect(&self, options: ConnectOptions) -> Result<async_nats::Client, ConnectError> {
        let urls: Vec<&str> = self.url.split(',').map(str::trim).collect();
        options.connect(urls).await.map_err(|e| ConnectError::Unreachable {
            url: self.shown_url(),
            origin: self.origin.clone(),
            reason: error_chain(&e),
        })
    }
}

/// At once, then 50 ms, doubling up to two seconds: a restarted broker is found soon, a dead one is not hammered. The
/// client library asks before the very first attempt, too.
fn reconnect_delay(attempts: usize) -> Duration {
    let Some(failed) = attempts.checked_sub(2) else { return Duration::ZERO };
    let doublings = u32::try_from(failed).unwrap_or(u32::MAX).min(6);
    Duration::from_millis(50 << doublings).min(Duration::from_secs(2))
}

impl fmt::Debug for ConnectSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectSettings")
            .field("url", &self.shown_url())
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// The broker cannot be reached with these settings.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConnectError {
    /// A context of the `nats` CLI that cannot be read.
    #[error("nats context `{name}` ({}): {reason}; `nats context ls` lists them", path.display())]
    Context {
        /// Its name.
        name: String,
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A client certificate without its key, or the other way round.
    #[error("NATS_CERT and NATS_KEY go together: one is set, the other is not")]
    HalfCertificate,
    /// A file that the settings name.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// No server answered.
    #[error("no broker at {url} (from {origin}): {reason}")]
    Unreachable {
        /// The addresses tried, without secrets.
        url: String,
        /// Where they came from.
        origin: String,
        /// What the last one said.
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn settings(env: &[(&str, &str)]) -> Result<ConnectSettings, ConnectError> {
        let env: HashMap<_, _> = env.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        ConnectSettings::from_lookup(|name| env.get(name).cloned())
    }

    fn contexts() -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("nats/context");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("prod.json"), r#"{"url":"nats://prod:4222","user":"u","later":1}"#)
            .unwrap();
        std::fs::write(home.path().join("nats/context.txt"), "prod\n").unwrap();
        home
    }

    #[test]
    fn the_environment_wins_over_the_selected_context() {
        let home = contexts();
        let config = ("XDG_CONFIG_HOME", home.path().to_str().unwrap());
        assert_eq!(settings(&[config]).unwrap().url, "nats://prod:4222");
        assert_eq!(settings(&[config]).unwrap().user, "u");
        let url = settings(&[config, ("NATS_URL", "nats://here:1")]).unwrap();
        assert_eq!((url.url.as_str(), url.user.as_str()), ("nats://here:1", ""));
        let both = settings(&[config, ("NATS_CONTEXT", "prod"), ("NATS_URL", "nats://here:1")]).unwrap();
        assert_eq!((both.url.as_str(), both.user.as_str()), ("nats://here:1", "u"));
        let error = settings(&[config, ("NATS_CONTEXT", "absent")]).unwrap_err().to_string();
        assert!(error.contains("absent.json"), "{error}");
    }

    #[test]
    fn secrets_are_not_shown() {
        let mut settings = settings(&[("NATS_PASSWORD", "hush")]).unwrap();
        settings.url = "nats://me:hush@a:1, tls://b:2,you:hush@c:3".into();
        assert_eq!(settings.shown_url(), "nats://***@a:1,tls://b:2,***@c:3");
        assert!(!format!("{settings:?}").contains("hush"));
    }

    #[tokio::test]
    async fn the_way_to_the_broker_tells_this_hosts_address() {
        for url in ["nats://127.0.0.1:4222", "127.0.0.1", "nats://me:hush@127.0.0.1:1/,nats://b:2"] {
            let settings = settings(&[("NATS_URL", url)]).unwrap();
            assert_eq!(settings.local_ip().await, Some([127, 0, 0, 1].into()), "{url}");
        }
    }

    #[test]
    fn reconnecting_slows_down_to_two_seconds() {
        assert_eq!(reconnect_delay(1), Duration::ZERO);
        assert_eq!(reconnect_delay(2), Duration::from_millis(50));
        assert_eq!(reconnect_delay(4), Duration::from_millis(200));
        assert_eq!(reconnect_delay(usize::MAX), Duration::from_secs(2));
    }
}
