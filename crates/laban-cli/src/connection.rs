use laban_flow::doctor::Refusals;
use laban_wire::{ConnectError, ConnectSettings, FlowReader};

use crate::Failure;

/// Where the broker is; the same names as the `nats` CLI's.
#[derive(clap::Args, Clone, Default)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connection {
    /// Address of the broker, or several separated by commas [env: NATS_URL]
    #[arg(long, short, global = true, value_name = "URL")]
    server: Option<String>,
    /// A context of the `nats` CLI, instead of what the environment says [env: NATS_CONTEXT]
    #[arg(long, global = true, value_name = "NAME")]
    context: Option<String>,
    /// File with credentials [env: NATS_CREDS]
    #[arg(long, global = true, value_name = "FILE")]
    creds: Option<String>,
}

impl Connection {
    /// Whether a flag says anything.
    pub(crate) fn is_given(&self) -> bool {
        self.server.is_some() || self.context.is_some() || self.creds.is_some()
    }

    /// Connects, once.
    pub(crate) async fn connect(&self) -> Result<async_nats::Client, Failure> {
        Ok(self.try_connect().await?)
    }

    /// The same, for those who wait for a broker that is away.
    pub(crate) async fn try_connect(&self) -> Result<async_nats::Client, ConnectError> {
        let settings = self.settings(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))?;
        let options = settings.options().await?;
        settings.connect(options).await
    }

    /// Connects, once; what the broker refuses is noted.
    pub(crate) async fn connect_noting(&self, refusals: &Refusals) -> Result<async_nats::Client, Failure> {
        let settings = self.settings(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))?;
        let refusals = refusals.clone();
        let options = settings.options().await?.event_callback(move |event| {
            refusals.note(&event);
            async {}
        });
        Ok(settings.connect(options).await?)
    }

    /// A reader whose batched reads go over a connection of their own, so that no message can stop it.
    pub(crate) async fn reader(&self, client: &async_nats::Client) -> Result<FlowReader, Failure> {
        Ok(FlowReader::new(client.clone()).with_direct(self.connect().await?))
    }

    /// Flags win over the environment; a context given as a flag wins over all of `NATS_…`.
    fn settings(&self, env: impl Fn(&str) -> Option<String>) -> Result<ConnectSettings, ConnectError> {
        let mut settings = ConnectSettings::from_lookup(|name| match name {
            "NATS_URL" if self.server.is_some() => self.server.clone(),
            "NATS_CONTEXT" if self.context.is_some() => self.context.clone(),
            "NATS_CREDS" if self.creds.is_some() => self.creds.clone(),
            _ if self.context.is_some() && name.starts_with("NATS_") => None,
            _ => env(name),
        })?;
        if self.server.is_some() {
            settings.origin = "--server".to_owned();
        }
        settings.name = "laban".to_owned();
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::Connection;

    const ENVIRONMENT: [(&str, &str); 3] =
        [("NATS_URL", "nats://env:1"), ("NATS_USER", "ann"), ("NATS_CREDS", "env.creds")];

    fn env(name: &str) -> Option<String> {
        ENVIRONMENT.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn flags_win_over_the_environment() {
        let flags = Connection { server: Some("nats://flag:2".into()), ..Default::default() };
        let settings = flags.settings(env).unwrap();
        assert_eq!((settings.url.as_str(), settings.user.as_str()), ("nats://flag:2", "ann"));
        assert_eq!((settings.creds.as_str(), settings.origin.as_str()), ("env.creds", "--server"));
        let settings = Connection { creds: Some("flag.creds".into()), ..Default::default() }.settings(env);
        assert_eq!(settings.unwrap().creds, "flag.creds");
    }

    #[test]
    fn a_context_by_flag_is_not_mixed_with_the_environment() {
        let home = tempfile::tempdir().unwrap();
        let contexts = home.path().join("nats/context");
        std::fs::create_dir_all(&contexts).unwrap();
        std::fs::write(contexts.join("prod.json"), r#"{"url":"nats://prod:4"}"#).unwrap();
        let config = home.path().to_str().map(str::to_owned);
        let env = |name: &str| if name == "XDG_CONFIG_HOME" { config.clone() } else { env(name) };
        let flags = Connection { context: Some("prod".into()), ..Default::default() };
        let settings = flags.settings(env).unwrap();
        assert_eq!((settings.url.as_str(), settings.user.as_str()), ("nats://prod:4", ""));
        let flags = Connection { server: Some("nats://flag:2".into()), ..flags };
        assert_eq!(flags.settings(env).unwrap().url, "nats://flag:2");
    }
}
