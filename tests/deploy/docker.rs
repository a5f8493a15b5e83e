//! What Docker's own Compose says of the file, where there is one. It needs no engine for that.

use std::collections::BTreeSet;
use std::process::Command;

use demo::deployment::parse_yaml;
use laban_tests::{Outcome, note};

use crate::files::compose;
use crate::rig::project;

/// The command that is Compose here, if there is one.
fn docker_compose() -> Option<Vec<&'static str>> {
    let commands = [vec!["docker", "compose"], vec!["docker-compose"]];
    commands.into_iter().find(|command| {
        let asked = Command::new(command[0]).args(&command[1..]).arg("version").output();
        asked.is_ok_and(|said| said.status.success())
    })
}

#[test]
fn compose_takes_the_file_and_sees_in_it_what_is_seen_here() -> Outcome {
    let Some(command) = docker_compose() else {
        note("skipped, no Compose: neither `docker compose version` nor `docker-compose version` answers");
        return Ok(());
    };
    let file = project("deploy/compose/compose.yaml");
    let said = Command::new(command[0])
        .args(&command[1..])
        .arg("--file")
        .arg(file)
        .args(["--profile", "sales", "config"])
        .output()?;
    let (out, err) = (String::from_utf8(said.stdout)?, String::from_utf8_lossy(&said.stderr));
    assert!(said.status.success(), "{err}");
    assert!(!err.contains("level=warning"), "{err}");
    let config = parse_yaml(&out)?;
    let compose = compose()?;
    let theirs: BTreeSet<&str> =
        config["services"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    assert_eq!(theirs, compose.containers.keys().map(String::as_str).collect());
    for (name, container) in &compose.containers {
        let service = &config["services"][name];
        assert_eq!(service["image"], container.image.as_str(), "{name}");
        for (variable, value) in container.environment() {
            assert_eq!(service["environment"][variable], value, "{name}: {variable}");
        }
        let replicas = service["deploy"]["replicas"].as_u64().unwrap_or(1);
        assert_eq!(usize::try_from(replicas)?, container.replicas(), "{name}");
        let command = service["command"].as_array().into_iter().flatten().filter_map(|word| word.as_str());
        assert_eq!(command.collect::<Vec<_>>(), container.command, "{name}");
    }
    Ok(())
}
