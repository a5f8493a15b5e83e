//! How it is set up: by flags, else by the environment.

use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use super::health;
use crate::flow::Overdue;
use crate::flow::period::Period;
use crate::{Failure, http};

/// At most so often, whatever is asked.
const SHORTEST: Duration = Duration::from_millis(200);

/// What `--help` says of them.
const EXIT_CODES: &str = "\
Exit codes:
  0  ended by Ctrl-C or SIGTERM
  1  the address cannot be listened on
  2  the command line is wrong, a variable, or what is needed for connecting; a broker that is away is waited for";

/// Serve metrics of flows, streams and brokers to Prometheus, until Ctrl-C
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// Serve /metrics and /livez here; port 0 takes a free one [env: LABAN_METRICS_ADDR] [default: 127.0.0.1:9465]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// How often to look [env: LABAN_METRICS_EVERY] [default: 15s]
    #[arg(long, value_name = "PERIOD")]
    every: Option<Period>,
    /// Read at most so many flows a look: open ones, and ended ones [env: LABAN_METRICS_MOST] [default: 10000]
    #[arg(long, value_name = "N")]
    most: Option<usize>,
    /// Monitoring addresses of the brokers, separated by commas: what they say of themselves, their memory and their
    /// storage are told as well [env: LABAN_METRICS_BROKERS]
    #[arg(long, value_name = "URL", value_delimiter = ',', value_parser = http::address)]
    brokers: Vec<String>,
    #[command(flatten)]
    overdue: Overdue,
    #[command(subcommand)]
    pub(super) asked: Option<Asked>,
}

#[derive(clap::Subcommand)]
pub(super) enum Asked {
    /// Ask the one that serves there whether it runs: for containers without a shell
    #[command(after_help = health::EXIT_CODES)]
    Health,
}

/// What the flags and the environment come to.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) listen: SocketAddr,
    pub(super) every: Duration,
    pub(super) most: usize,
    pub(super) brokers: Vec<String>,
    pub(super) overdue: Duration,
}

impl Settings {
    pub(super) fn of(args: Args, env: impl Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let Args { listen, every, most, mut brokers, overdue, asked: _ } = args;
        if brokers.is_empty() {
            let named =
                read("LABAN_METRICS_BROKERS", &env, |list| list.split(',').map(http::address).collect());
            brokers = named?.unwrap_or_default();
        }
        let every = or("LABAN_METRICS_EVERY", every, &env)?.map_or(Duration::from_secs(15), |every| every.0);
        Ok(Self {
            listen: or("LABAN_METRICS_ADDR", listen, &env)?.unwrap_or(([127, 0, 0, 1], 9465).into()),
            every: every.max(SHORTEST),
            most: or("LABAN_METRICS_MOST", most, &env)?.unwrap_or(10_000).max(1),
            brokers,
            overdue: overdue.grace(),
        })
    }
}

/// What a flag says, or else the variable.
fn or<T: FromStr<Err: ToString>>(
    name: &str,
    flag: Option<T>,
    env: impl Fn(&str) -> Option<String>,
) -> Result<Option<T>, Failure> {
    match flag {
        Some(said) => Ok(Some(said)),
        None => read(name, env, |text| text.parse().map_err(|e: T::Err| e.to_string())),
    }
}

fn read<T>(
    name: &str,
    env: impl Fn(&str) -> Option<String>,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, Failure> {
    let Some(text) = env(name).filter(|text| !text.is_empty()) else { return Ok(None) };
    parse(&text).map(Some).map_err(|reason| Failure::Usage(format!("{name}=`{text}`: {reason}")))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn settings(flags: &[&str], env: &[(&str, &str)]) -> Result<Settings, Failure> {
        let args = Cli::parse_from([&["metrics"], flags].concat()).args;
        Settings::of(args, |name| {
            env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn flags_win_over_the_environment_and_an_empty_variable_is_none() {
        let env = [
            ("LABAN_METRICS_ADDR", "127.0.0.1:1"),
            ("LABAN_METRICS_EVERY", "5s"),
            ("LABAN_METRICS_MOST", ""),
            ("LABAN_METRICS_BROKERS", "http://a:8222,http://b:8222/"),
        ];
        let found = settings(&["--every", "1m"], &env).unwrap();
        assert_eq!(found.listen, ([127, 0, 0, 1], 1).into());
        assert_eq!((found.every, found.most), (Duration::from_secs(60), 10_000));
        assert_eq!(found.brokers, ["http://a:8222", "http://b:8222"]);
        assert_eq!(settings(&["--brokers", "http://c:1"], &env).unwrap().brokers, ["http://c:1"]);
        assert_eq!(settings(&["--every", "0s"], &[]).unwrap().every, SHORTEST);
    }

    #[test]
    fn a_value_that_cannot_be_used_is_named_with_its_variable() {
        for (name, value) in [
            ("LABAN_METRICS_ADDR", "here"),
            ("LABAN_METRICS_EVERY", "soon"),
            ("LABAN_METRICS_MOST", "-1"),
            ("LABAN_METRICS_BROKERS", "127.0.0.1:8222"),
        ] {
            match settings(&[], &[(name, value)]) {
                Err(Failure::Usage(text)) => {
                    assert!(text.starts_with(&format!("{name}=`{value}`: ")), "{text}")
                }
                other => panic!("{name}: {other:?}"),
            }
        }
    }
}
