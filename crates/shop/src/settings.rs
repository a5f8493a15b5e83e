//! `SHOP_*`: what the shop reads from the environment. The broker, telemetry and the framework have their own variables.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use laban::{Error, Service};

/// What `--help` says of each: its default and its meaning.
const VARIABLES: [(&str, &str, &str); 5] = [
    ("SHOP_HTTP_ADDR", "127.0.0.1:8080", "where orders are taken"),
    ("SHOP_HTTP_ADDR_FILE", "", "a file that is to hold the address really bound"),
    ("SHOP_BOOKS_DIR", "shop-books", "folder of the books"),
    ("SHOP_PAYMENT_DEADLINE_MS", "30000", "how long a payment may take to answer"),
    ("SHOP_PAUSE_MS", "0", "for experiments: a wait between the books and the return"),
];

/// What a service with books uses.
pub(crate) const OF_BOOKS: [&str; 2] = ["SHOP_BOOKS_DIR", "SHOP_PAUSE_MS"];
/// What the order service uses.
pub(crate) const OF_ORDERS: [&str; 3] = ["SHOP_HTTP_ADDR", "SHOP_HTTP_ADDR_FILE", "SHOP_PAYMENT_DEADLINE_MS"];

/// Has the `--help` of a service tell of the variables that it uses.
pub(crate) fn told_of(service: Service, used: &[&str]) -> Service {
    let used = VARIABLES.into_iter().filter(|(name, ..)| used.contains(name));
    used.fold(service, |service, (name, default, meaning)| service.variable(name, default, meaning))
}

/// The shop's settings; each service uses some of them.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `SHOP_HTTP_ADDR`: where orders are taken. Port 0 is any free one. 127.0.0.1:8080 unless told.
    pub http_addr: SocketAddr,
    /// `SHOP_HTTP_ADDR_FILE`: a file that is to hold the address really bound, once orders are taken.
    pub http_addr_file: Option<PathBuf>,
    /// `SHOP_BOOKS_DIR`: the folder of the books. `shop-books` unless told.
    pub books_dir: PathBuf,
    /// `SHOP_PAYMENT_DEADLINE_MS`: how long a payment may take to answer; 30,000 unless told.
    pub payment_deadline: Duration,
    /// `SHOP_PAUSE_MS`: how long a handler waits between its entry in the books and its return; 0 unless told.
    ///
    /// For experiments only: it widens the gap in which a crash leaves an effect without its event.
    pub pause: Duration,
}

impl Settings {
    /// Settings from the process environment.
    ///
    /// # Errors
    /// When a variable cannot be used.
    pub fn from_env() -> laban::Result<Self> {
        Self::from_lookup(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    #[cfg(test)]
    pub(crate) fn for_test() -> Self {
        Self::from_lookup(|_| None).unwrap()
    }

    fn from_lookup(env: impl Fn(&str) -> Option<String>) -> laban::Result<Self> {
        let http_addr = env("SHOP_HTTP_ADDR").unwrap_or_else(|| "127.0.0.1:8080".to_owned());
        let millis = |name, default: &str| {
            let value = env(name).unwrap_or_else(|| default.to_owned());
            Ok::<_, Error>(Duration::from_millis(parse(name, value, "it is a whole number of milliseconds")?))
        };
        Ok(Self {
            http_addr: parse(
                "SHOP_HTTP_ADDR",
                http_addr,
                "it is an address and a port, such as 127.0.0.1:8080",
            )?,
            http_addr_file: env("SHOP_HTTP_ADDR_FILE").map(PathBuf::from),
            books_dir: env("SHOP_BOOKS_DIR").unwrap_or_else(|| "shop-books".to_owned()).into(),
            payment_deadline: millis("SHOP_PAYMENT_DEADLINE_MS", "30000")?,
            pause: millis("SHOP_PAUSE_MS", "0")?,
        })
    }
}

fn parse<T: std::str::FromStr>(name: &'static str, value: String, wanted: &str) -> laban::Result<T> {
    value.parse().map_err(|_| Error::Config { name, value, reason: wanted.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_tells_of_every_variable_and_so_does_the_page_of_settings() {
        let page = include_str!("../../../docs/settings.md");
        for (name, default, _) in VARIABLES {
            assert!(OF_BOOKS.contains(&name) || OF_ORDERS.contains(&name), "no service tells of {name}");
            let row = page.lines().find(|line| line.starts_with(&format!("| `{name}` |"))).unwrap();
            let documented = row.split('|').nth(2).unwrap().trim().replace('`', "");
            assert_eq!(documented, if default.is_empty() { "none" } else { default }, "{name}");
        }
    }

    #[test]
    fn defaults() {
        let settings = Settings::from_lookup(|_| None).unwrap();
        assert_eq!(settings.http_addr.to_string(), "127.0.0.1:8080");
        assert_eq!(settings.books_dir, PathBuf::from("shop-books"));
        assert_eq!((settings.http_addr_file, settings.pause), (None, Duration::ZERO));
        assert_eq!(settings.payment_deadline, Duration::from_secs(30));
    }

    #[test]
    fn a_bad_value_names_its_variable_and_what_would_do() {
        for (name, value, hint) in [
            ("SHOP_HTTP_ADDR", "8080", "127.0.0.1:8080"),
            ("SHOP_PAYMENT_DEADLINE_MS", "half a minute", "milliseconds"),
            ("SHOP_PAUSE_MS", "1s", "milliseconds"),
        ] {
            let error = Settings::from_lookup(|asked| (asked == name).then(|| value.to_owned())).unwrap_err();
            let text = error.to_string();
            assert!(text.contains(name) && text.contains(value) && text.contains(hint), "{text}");
        }
    }
}
