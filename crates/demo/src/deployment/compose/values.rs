//! Values as Compose writes them.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

/// A value of the environment: a text, or what is written down as one.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Value")]
pub(super) struct Text(pub(super) String);

impl TryFrom<Value> for Text {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        match value {
            Value::String(text) => Ok(Self(text)),
            Value::Number(number) => Ok(Self(number.to_string())),
            other => Err(format!("`{other}` is neither a text nor a number: put it in quotes")),
        }
    }
}

/// A length of time such as `1m30s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Period(pub(super) Duration);

impl TryFrom<String> for Period {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut rest = text.as_str();
        let mut millis = 0;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let (number, unit) = rest.split_at(digits);
            let letters = unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len());
            let (unit, more) = unit.split_at(letters);
            let each = match unit {
                "ms" => 1,
                "s" => 1_000,
                "m" => 60_000,
                "h" => 3_600_000,
                _ => return Err(format!("`{text}` is no length of time such as 1m30s")),
            };
            let number: u64 =
                number.parse().map_err(|_| format!("`{text}` is no length of time such as 1m30s"))?;
            millis += number * each;
            rest = more;
        }
        Ok(Self(Duration::from_millis(millis)))
    }
}

/// What is put into a container's file system.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Mount {
    /// A file or a folder of this machine.
    Bind {
        /// Where it is, from the file's folder.
        path: PathBuf,
        /// Where it is in the container.
        target: String,
        /// Whether it cannot be written there.
        read_only: bool,
    },
    /// A volume.
    Volume {
        /// Its name.
        volume: String,
        /// Where it is in the container.
        target: String,
    },
}

impl TryFrom<String> for Mount {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let (source, target, read_only) = match parts.as_slice() {
            [source, target] => (*source, *target, false),
            [source, target, "ro"] => (*source, *target, true),
            _ => return Err(format!("`{text}` is no mount such as ./file:/in/there:ro")),
        };
        if !target.starts_with('/') {
            return Err(format!("`{text}`: {target} does not begin at the root"));
        }
        let target = target.to_owned();
        Ok(match source.starts_with(['.', '/']) {
            true => Self::Bind { path: source.into(), target, read_only },
            false => Self::Volume { volume: source.to_owned(), target },
        })
    }
}

/// A port that is published: `127.0.0.1:8080-8081:8080`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Published {
    /// At which address of this machine; all of them when none is named.
    pub address: Option<String>,
    /// At which of its ports: one for each instance.
    pub host: RangeInclusive<u16>,
    /// Which port of the container.
    pub container: u16,
}

impl TryFrom<String> for Published {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parts: Vec<&str> = text.rsplitn(3, ':').collect();
        let (address, host, container) = match parts.as_slice() {
            [container, host, address] => (Some((*address).to_owned()), host, container),
            [container, host] => (None, host, container),
            _ => return Err(format!("`{text}` is no published port such as 127.0.0.1:8080:8080")),
        };
        let number = |part: &str| u16::from_str(part).map_err(|_| format!("`{text}`: `{part}` is no port"));
        let (first, last) = host.split_once('-').unwrap_or((host, host));
        Ok(Self { address, host: number(first)?..=number(last)?, container: number(container)? })
    }
}

/// Puts in the variables, or their defaults.
pub(super) fn interpolate(value: &mut Value, variables: &[(&str, &str)]) -> Result<(), String> {
    match value {
        Value::String(text) => {
            let mut rest = text.as_str();
            let mut whole = String::new();
            while let Some((before, after)) = rest.split_once('$') {
                let inside = after.strip_prefix('{').and_then(|after| after.split_once('}'));
                let default = inside.and_then(|(inside, after)| Some((inside.split_once(":-")?, after)));
                let ((name, default), after) = default
                    .ok_or_else(|| format!("`{text}`: a variable without a default is not understood"))?;
                let set = variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| *value);
                whole.push_str(before);
                whole.push_str(set.unwrap_or(default));
                rest = after;
            }
            whole.push_str(rest);
            *text = whole;
            Ok(())
        }
        Value::Array(all) => all.iter_mut().try_for_each(|one| interpolate(one, variables)),
        Value::Object(all) => all.values_mut().try_for_each(|one| interpolate(one, variables)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn periods() {
        let period = |text: &str| Period::try_from(text.to_owned()).map(|period| period.0.as_millis());
        assert_eq!(period("40s"), Ok(40_000));
        assert_eq!(period("1m30s500ms"), Ok(90_500));
        assert!(period("40").is_err() && period("s").is_err() && period("1d").is_err());
    }

    #[test]
    fn mounts_and_ports() {
        let mount = |text: &str| Mount::try_from(text.to_owned());
        let bind = Mount::Bind { path: "./a".into(), target: "/b".into(), read_only: true };
        assert_eq!(mount("./a:/b:ro"), Ok(bind));
        assert_eq!(mount("a:/b"), Ok(Mount::Volume { volume: "a".into(), target: "/b".into() }));
        assert!(mount("/a").is_err() && mount("a:b").is_err() && mount("a:/b:z").is_err());
        let port = |text: &str| Published::try_from(text.to_owned());
        let range = Published { address: Some("127.0.0.1".into()), host: 8080..=8081, container: 80 };
        assert_eq!(port("127.0.0.1:8080-8081:80"), Ok(range));
        assert_eq!(port("8080:80"), Ok(Published { address: None, host: 8080..=8080, container: 80 }));
        assert!(port("80").is_err() && port("a:80").is_err());
    }

    #[test]
    fn variables_take_their_defaults_unless_they_are_set() {
        let mut value = json!(["a ${X:-b:1} c", {"d": "${Y:-}"}, "${Z:-1}"]);
        assert_eq!(interpolate(&mut value, &[("Z", "2")]), Ok(()));
        assert_eq!(value, json!(["a b:1 c", {"d": ""}, "2"]));
        for bad in ["$X", "${X}", "a$"] {
            assert!(interpolate(&mut json!(bad), &[]).is_err(), "{bad}");
        }
    }
}
