//! What is mounted into a container, as its process finds it here.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::compose::{Compose, Container, Mount};
use super::images::repository;
use super::places::{Paths, Ports};
use super::yaml;

/// Makes the folders and files that an instance has mounted, below `own` and, what is shared, below `volumes`.
pub(super) fn mount(
    compose: &Compose,
    container: &Container,
    instance: &str,
    ports: &Ports,
    own: &Path,
    volumes: &Path,
) -> Result<Paths, String> {
    let mut paths = Paths::default();
    let folder = |path: &Path| {
        std::fs::create_dir_all(path).map_err(|error| format!("cannot create {}: {error}", path.display()))
    };
    let below = |target: &str| own.join(target.trim_start_matches('/'));
    for target in &container.tmpfs {
        folder(&below(target))?;
        paths.add(target, below(target));
    }
    for mount in &container.volumes {
        match mount {
            Mount::Volume { volume, target } => {
                folder(&volumes.join(volume))?;
                paths.add(target, volumes.join(volume));
            }
            Mount::Bind { target, .. } => paths.add(target, below(target)),
        }
    }
    // Files may name each other's places, so all places are known before.
    for mount in &container.volumes {
        if let Mount::Bind { path, target, .. } = mount {
            let (from, to) = (compose.path(path), below(target));
            let text = std::fs::read_to_string(&from)
                .map_err(|error| format!("{} is no file that can be read: {error}", from.display()))?;
            let text = match repository(&container.image) {
                "prom/prometheus" => discovered(&text, to.parent().unwrap_or(own), ports)?,
                _ => text,
            };
            let text = ports.translate(&paths.translate(&text), instance)?;
            folder(to.parent().unwrap_or(own))?;
            std::fs::write(&to, text).map_err(|error| format!("cannot write {}: {error}", to.display()))?;
        }
    }
    Ok(paths)
}

/// Nobody's names are in the DNS of this machine: what Prometheus would look up there, it finds in files.
fn discovered(text: &str, folder: &Path, ports: &Ports) -> Result<String, String> {
    let mut config = yaml::parse(text)?;
    let Some(jobs) = config.get_mut("scrape_configs").and_then(Value::as_array_mut) else {
        return Ok(text.to_owned());
    };
    for job in jobs.iter_mut().filter_map(Value::as_object_mut) {
        let name = job.get("job_name").and_then(Value::as_str).ok_or("a job without a name")?.to_owned();
        let Some(lists) = job.remove("dns_sd_configs") else { continue };
        let mut files = Vec::new();
        for (index, list) in lists.as_array().into_iter().flatten().enumerate() {
            let file = format!("{name}-{index}.json");
            let targets = json!([{ "targets": targets(list, ports)? }]);
            std::fs::create_dir_all(folder)
                .and_then(|()| std::fs::write(folder.join(&file), targets.to_string()))
                .map_err(|error| format!("cannot write {file}: {error}"))?;
            let mut by_file = Map::from_iter([("files".to_owned(), json!([file]))]);
            if let Some(interval) = list.get("refresh_interval") {
                by_file.insert("refresh_interval".to_owned(), interval.clone());
            }
            files.push(Value::Object(by_file));
        }
        job.insert("file_sd_configs".to_owned(), Value::Array(files));
    }
    // Every JSON is a YAML.
    Ok(config.to_string())
}

/// All instances of all names, as an A record each has them.
fn targets(list: &Value, ports: &Ports) -> Result<Vec<String>, String> {
    let known = ["names", "type", "port", "refresh_interval"];
    let keys = list.as_object().into_iter().flat_map(Map::keys);
    if let Some(key) = keys.into_iter().find(|key| !known.contains(&key.as_str())) {
        return Err(format!("dns_sd_configs: `{key}` is not understood"));
    }
    if list["type"] != "A" {
        return Err("dns_sd_configs: records of another type than A are not understood".to_owned());
    }
    let port = list["port"].as_u64().and_then(|port| u16::try_from(port).ok());
    let port = port.ok_or("dns_sd_configs: no port")?;
    let mut targets = Vec::new();
    for name in list["names"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let instances = ports.instances(name);
        if instances.is_empty() {
            return Err(format!("dns_sd_configs: nobody is called {name}"));
        }
        for instance in instances {
            targets.push(ports.address(instance, port)?);
        }
    }
    Ok(targets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports() -> Ports {
        let instances = vec!["order-1".to_owned(), "order-2".to_owned()];
        Ports::new([("order".to_owned(), instances)].into())
    }

    #[tokio::test]
    async fn what_would_be_looked_up_is_in_a_file() {
        let (ports, folder) = (ports(), tempfile::tempdir().unwrap());
        let text = "scrape_configs:\n- job_name: j\n  dns_sd_configs:\n  - {names: [order], type: A, port: 9464, \
                    refresh_interval: 15s}\n";
        let config = yaml::parse(&discovered(text, folder.path(), &ports).unwrap()).unwrap();
        let job = json!({
            "job_name": "j",
            "file_sd_configs": [{"files": ["j-0.json"], "refresh_interval": "15s"}],
        });
        assert_eq!(config["scrape_configs"][0], job);
        let list = std::fs::read_to_string(folder.path().join("j-0.json")).unwrap();
        let targets = [ports.address("order-1", 9464).unwrap(), ports.address("order-2", 9464).unwrap()];
        assert_eq!(serde_json::from_str::<Value>(&list).unwrap(), json!([{ "targets": targets }]));
    }

    #[tokio::test]
    async fn what_is_not_understood_is_not_passed_over() {
        let (ports, folder) = (ports(), tempfile::tempdir().unwrap());
        for (list, expected) in [
            ("{names: [order], type: SRV}", "another type"),
            ("{names: [order], type: A}", "no port"),
            ("{names: [nobody], type: A, port: 1}", "nobody is called nobody"),
            ("{names: [order], type: A, port: 1, proxy: x}", "`proxy`"),
        ] {
            let text = format!("scrape_configs: [{{job_name: j, dns_sd_configs: [{list}]}}]");
            let error = discovered(&text, folder.path(), &ports).unwrap_err();
            assert!(error.contains(expected), "{list}: {error}");
        }
    }
}
