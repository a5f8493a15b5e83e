//! What compose.yaml promises of every container.

use std::collections::BTreeSet;

use demo::Service;
use demo::deployment::{Compose, Container, parse_yaml};
use laban_tests::Outcome;
use serde_json::Value;

use crate::rig::project;

/// What a drain needs besides: the last spans leave after it.
const AFTER_THE_DRAIN_MS: u128 = 10_000;

pub(crate) fn compose() -> Outcome<Compose> {
    Ok(Compose::read(&project("deploy/compose/compose.yaml"), &[])?)
}

pub(crate) fn read(path: &str) -> Outcome<String> {
    std::fs::read_to_string(project(path)).map_err(|error| format!("{path}: {error}").into())
}

/// Whether the container's image is made from this repository.
pub(crate) fn is_own(container: &Container) -> bool {
    container.build.is_some()
}

/// The version that an image is named by.
fn version(image: &str) -> &str {
    image.rsplit_once(':').map_or("", |(_, version)| version)
}

/// Three numbers, and a word behind a dash at most.
pub(crate) fn is_exact(version: &str) -> bool {
    let numbers = version.trim_start_matches('v').split('-').next().unwrap_or_default();
    let numbers: Vec<&str> = numbers.split('.').collect();
    numbers.len() >= 2 && numbers.iter().all(|number| number.parse::<u32>().is_ok())
}

#[test]
fn images_are_named_by_exact_version_and_by_those_that_tests_use() -> Outcome {
    let compose = compose()?;
    for (name, container) in &compose.containers {
        assert!(is_exact(version(&container.image)), "{name}: {}", container.image);
        if is_own(container) {
            assert_eq!(container.image, format!("laban/shop:{}", env!("CARGO_PKG_VERSION")), "{name}");
        }
    }
    for (name, script) in [("nats-1", "nats-server.sh"), ("jaeger", "jaeger.sh")] {
        let script = read(&format!("deploy/local/{script}"))?;
        let line = script.lines().find_map(|line| line.strip_prefix("VERSION=")).ok_or("a version")?;
        let pinned = line.split_whitespace().next();
        let image = &compose.containers[name].image;
        assert!(
            version(image).split('-').next() == pinned,
            "{name}: {image}, and {pinned:?} in deploy/local"
        );
    }
    Ok(())
}

#[test]
fn nobody_has_more_rights_than_it_needs_and_everybody_is_asked_how_it_is() -> Outcome {
    for (name, container) in &compose()?.containers {
        assert!(container.read_only, "{name}: its root file system can be written");
        assert_eq!(container.cap_drop, ["ALL"], "{name}");
        assert_eq!(container.security_opt, ["no-new-privileges:true"], "{name}");
        assert_eq!(container.restart.as_deref(), Some("unless-stopped"), "{name}");
        assert!(container.logging.is_some(), "{name}: its log grows for ever");
        let probe = container.healthcheck.as_ref().ok_or_else(|| format!("{name}: no probe"))?;
        assert_eq!(probe.test.first().map(String::as_str), Some("CMD"), "{name}: an image may have no shell");
        // The image of this repository says it itself: see `image`.
        let user = container.user.as_deref();
        assert_eq!(user.is_none(), is_own(container), "{name}: {user:?}");
        assert!(user.is_none_or(is_nobody), "{name}: {user:?}");
    }
    Ok(())
}

/// Whether a user is one by number, and not root.
pub(crate) fn is_nobody(user: &str) -> bool {
    let mut ids = user.split(':').map(|id| id.parse().unwrap_or(0));
    ids.clone().count() == 2 && ids.all(|id: u32| id > 0)
}

#[test]
fn ports_are_published_to_this_machine_alone_one_for_each_instance() -> Outcome {
    let mut published = BTreeSet::new();
    for (name, container) in &compose()?.containers {
        for port in &container.ports {
            assert_eq!(port.address.as_deref(), Some("127.0.0.1"), "{name}: {port:?}");
            assert_eq!(port.host.clone().count(), container.replicas(), "{name}: {port:?}");
            for number in port.host.clone() {
                assert!(published.insert(number), "{name}: {number} is published twice");
            }
        }
    }
    assert!(!published.is_empty());
    Ok(())
}

#[test]
fn services_run_twice_with_three_replicas_and_have_the_time_to_drain() -> Outcome {
    let compose = compose()?;
    for service in Service::ALL {
        let container = compose.containers.get(service.name()).ok_or(service.name())?;
        assert_eq!(container.replicas(), 2, "{service:?}");
        assert_eq!(container.command, [service.name()]);
        assert_eq!(container.variable("LABAN_REPLICAS"), Some("3"), "{service:?}");
        assert_eq!(container.variable("LABAN_HTTP_ADDR"), Some("0.0.0.0:9464"), "{service:?}");
        let drain: u128 = container.variable("LABAN_DRAIN_TIMEOUT_MS").ok_or("a time to drain")?.parse()?;
        let grace = container.grace().as_millis();
        assert!(grace >= drain + AFTER_THE_DRAIN_MS, "{service:?}: {grace} ms, {drain} ms of them to drain");
        for broker in ["nats-1", "nats-2", "nats-3"] {
            assert!(container.depends_on.contains_key(broker), "{service:?} does not wait for {broker}");
        }
    }
    Ok(())
}

#[test]
fn prometheus_looks_for_all_services_where_they_are() -> Outcome {
    let compose = compose()?;
    let config = parse_yaml(&read("deploy/prometheus/prometheus.yml")?)?;
    let jobs = config["scrape_configs"].as_array().ok_or("jobs")?;
    let list = &jobs[0]["dns_sd_configs"][0];
    let names: Vec<&str> = list["names"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    assert_eq!(names, Service::ALL.map(Service::name));
    for name in names {
        let address = compose.containers[name].variable("LABAN_HTTP_ADDR").unwrap_or_default();
        assert_eq!(address, format!("0.0.0.0:{}", list["port"]), "{name}");
    }
    let metrics = compose.containers["metrics"].variable("LABAN_METRICS_ADDR").unwrap_or_default();
    let target = jobs[1]["static_configs"][0]["targets"][0].as_str().unwrap_or_default();
    assert_eq!(target.strip_prefix("metrics"), metrics.strip_prefix("0.0.0.0"));
    // What it loads beside its configuration is mounted beside it.
    let mounted = |target: &str| {
        let all = compose.containers["prometheus"].volumes.iter();
        all.into_iter()
            .any(|mount| matches!(mount, demo::deployment::Mount::Bind { target: at, .. } if at == target))
    };
    for rules in config["rule_files"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        assert!(mounted(&format!("/etc/prometheus/{rules}")), "{rules} is not mounted");
    }
    Ok(())
}
