//! Where on this machine things are that a container knows by name: addresses and paths.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use laban_testkit::Port;

/// Addresses that mean the container itself.
const ITSELF: [&str; 3] = ["0.0.0.0", "127.0.0.1", "localhost"];

/// The ports of all instances. Each has a free one here for each port of its own, and keeps it over restarts.
#[derive(Debug, Default)]
pub(super) struct Ports {
    /// By service, its instances.
    names: BTreeMap<String, Vec<String>>,
    taken: Mutex<BTreeMap<(String, u16), Port>>,
}

impl Ports {
    pub(super) fn new(names: BTreeMap<String, Vec<String>>) -> Self {
        Self { names, taken: Mutex::default() }
    }

    /// The instances of a service.
    pub(super) fn instances(&self, service: &str) -> &[String] {
        self.names.get(service).map_or(&[], Vec::as_slice)
    }

    /// Where the port of an instance is here.
    pub(super) fn address(&self, instance: &str, port: u16) -> Result<String, String> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (instance.to_owned(), port);
        let here = match taken.get(&key) {
            Some(here) => here.number(),
            None => {
                let free = Port::free().map_err(|error| laban_wire::error_chain(&error))?;
                taken.entry(key).or_insert(free).number()
            }
        };
        Ok(format!("127.0.0.1:{here}"))
    }

    /// To be called just before an instance is started.
    pub(super) fn let_in(&self, instance: &str) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.iter_mut().filter(|((owner, _), _)| owner == instance).for_each(|(_, port)| port.let_in());
    }

    /// Puts addresses of this machine in the place of `name:port`, as `instance` means them.
    pub(super) fn translate(&self, text: &str, instance: &str) -> Result<String, String> {
        let mut whole = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(colon) = rest.find(':') {
            let (before, after) = (&rest[..colon], &rest[colon + 1..]);
            let begin = before
                .rfind(|c| !is_of_name(c))
                .map_or(0, |last| last + before[last..].chars().next().map_or(1, char::len_utf8));
            let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
            let name = &before[begin..];
            let port = after[..digits].parse().ok().filter(|_| !after[digits..].starts_with(is_of_name));
            match (self.who(name, instance)?, port) {
                (Some(who), Some(port)) => {
                    whole.push_str(&before[..begin]);
                    whole.push_str(&self.address(who, port)?);
                    rest = &after[digits..];
                }
                _ => {
                    whole.push_str(&rest[..=colon]);
                    rest = after;
                }
            }
        }
        whole.push_str(rest);
        Ok(whole)
    }

    fn who<'a>(&'a self, name: &str, instance: &'a str) -> Result<Option<&'a str>, String> {
        if ITSELF.contains(&name) {
            return Ok(Some(instance));
        }
        match self.instances(name) {
            [] => Ok(None),
            [one] => Ok(Some(one)),
            several => {
                Err(format!("{name} is {}: which is meant here cannot be told", several.join(" and ")))
            }
        }
    }
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_')
}

/// The files and folders that an instance knows: where it knows them, and where they are here.
#[derive(Clone, Debug, Default)]
pub(super) struct Paths(Vec<(String, PathBuf)>);

impl Paths {
    pub(super) fn add(&mut self, target: &str, here: PathBuf) {
        self.0.push((target.trim_end_matches('/').to_owned(), here));
        // The deepest first.
        self.0.sort_by_key(|(target, _)| std::cmp::Reverse(target.len()));
    }

    /// Puts paths of this machine in the place of those that the instance knows.
    pub(super) fn translate(&self, text: &str) -> String {
        let mut whole = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(slash) = rest.find('/') {
            let within = rest[..slash].chars().next_back().or(whole.chars().next_back());
            let begins = within.is_none_or(|c| !is_of_name(c) && c != '/');
            let found = self.0.iter().filter(|_| begins).find_map(|(target, here)| {
                let after = rest[slash..].strip_prefix(target.as_str())?;
                (!after.starts_with(is_of_name)).then_some((here, after))
            });
            match found {
                Some((here, after)) => {
                    whole.push_str(&rest[..slash]);
                    whole.push_str(&here.display().to_string());
                    rest = after;
                }
                None => {
                    whole.push_str(&rest[..=slash]);
                    rest = &rest[slash + 1..];
                }
            }
        }
        whole.push_str(rest);
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_become_addresses_and_stay_what_they_are() {
        let names = [("nats-1", vec!["nats-1"]), ("order", vec!["order-1", "order-2"])];
        let own =
            |(name, all): (&str, Vec<&str>)| (name.to_owned(), all.into_iter().map(str::to_owned).collect());
        let ports = Ports::new(names.into_iter().map(own).collect());
        let nats = ports.address("nats-1", 4222).unwrap();
        let own = ports.address("order-1", 4222).unwrap();
        assert_ne!(nats, own);
        let translated =
            ports.translate("a nats://nats-1:4222,[\"nats-1:4222\"] 0.0.0.0:4222 ö:nats-1:4222", "order-1");
        assert_eq!(translated, Ok(format!("a nats://{nats},[\"{nats}\"] {own} ö:{nats}")));
        for same in
            ["https://example.org:4222", "nats-1: 4222", "nats-1:4222x", "my-nats-1:4222", "http:", "12:30"]
        {
            assert_eq!(ports.translate(same, "order-1"), Ok(same.to_owned()));
        }
        assert!(ports.translate("http://order:80", "nats-1").unwrap_err().contains("order-1 and order-2"));
    }

    #[test]
    fn paths_are_those_of_this_machine() {
        let mut paths = Paths::default();
        paths.add("/tmp", "/tmp/here/v".into());
        paths.add("/etc/a.conf", "/tmp/here/a".into());
        for (text, expected) in [
            ("\"/tmp/nats\"", "\"/tmp/here/v/nats\""),
            ("--config=/etc/a.conf", "--config=/tmp/here/a"),
            ("/tmp", "/tmp/here/v"),
            ("/tmp /tmp/x", "/tmp/here/v /tmp/here/v/x"),
            ("http://tmp/tmp /var/tmp /tmpfs /etc/a.conf.d", "http://tmp/tmp /var/tmp /tmpfs /etc/a.conf.d"),
        ] {
            assert_eq!(paths.translate(text), expected);
        }
    }
}
