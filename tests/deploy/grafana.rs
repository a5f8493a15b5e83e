//! What Grafana is provisioned with: there is no Grafana here to tell what is wrong with it.

use demo::deployment::{Container, Mount, parse_yaml};
use laban_tests::Outcome;
use serde_json::Value;

use crate::files::{compose, read};

/// Where a file or a folder of this machine is in the container.
fn target<'c>(container: &'c Container, named: &str) -> Option<&'c str> {
    container.volumes.iter().find_map(|mount| match mount {
        Mount::Bind { path, target, read_only: true } if path.to_str() == Some(named) => {
            Some(target.as_str())
        }
        _ => None,
    })
}

fn list<'v>(value: &'v Value, key: &str) -> Vec<&'v Value> {
    value[key].as_array().into_iter().flatten().collect()
}

#[test]
fn its_data_sources_are_there_and_exemplars_lead_to_one_of_them() -> Outcome {
    let compose = compose()?;
    let grafana = &compose.containers["grafana"];
    let at = target(grafana, "./grafana/datasources.yaml").ok_or("it is not mounted")?;
    assert!(at.starts_with("/etc/grafana/provisioning/datasources/"), "{at}");

    let provisioned = parse_yaml(&read("deploy/compose/grafana/datasources.yaml")?)?;
    assert_eq!(provisioned["apiVersion"], 1);
    let sources = list(&provisioned, "datasources");
    let uids: Vec<&str> = sources.iter().filter_map(|source| source["uid"].as_str()).collect();
    assert_eq!(uids, ["prometheus", "jaeger"]);
    for source in &sources {
        let url = source["url"].as_str().and_then(|url| url.strip_prefix("http://")).ok_or("an address")?;
        let (name, port) = url.split_once(':').ok_or("a port")?;
        let container = compose.containers.get(name).ok_or_else(|| format!("nobody is called {name}"))?;
        assert!(container.ports.iter().any(|one| one.container.to_string() == port), "{url}");
    }
    let defaults: Vec<_> = sources.iter().filter(|source| source["isDefault"] == true).collect();
    assert_eq!(defaults.len(), 1);
    assert_eq!(defaults[0]["type"], "prometheus", "dashboards take the default Prometheus");
    let exemplars = list(&defaults[0]["jsonData"], "exemplarTraceIdDestinations");
    assert!(!exemplars.is_empty());
    for exemplar in exemplars {
        assert_eq!(exemplar["name"], "trace_id");
        let uid = exemplar["datasourceUid"].as_str().unwrap_or_default();
        let source = sources.iter().find(|source| source["uid"] == uid).ok_or_else(|| format!("no {uid}"))?;
        assert_eq!(source["type"], "jaeger");
    }
    Ok(())
}

#[test]
fn its_dashboards_are_mounted_where_it_looks_and_take_what_is_provisioned() -> Outcome {
    let compose = compose()?;
    let grafana = &compose.containers["grafana"];
    let at = target(grafana, "./grafana/dashboards.yaml").ok_or("it is not mounted")?;
    assert!(at.starts_with("/etc/grafana/provisioning/dashboards/"), "{at}");
    let folder = target(grafana, "../../dashboards").ok_or("the dashboards are not mounted")?;
    let provisioned = parse_yaml(&read("deploy/compose/grafana/dashboards.yaml")?)?;
    let providers = list(&provisioned, "providers");
    assert_eq!(providers.len(), 1);
    assert_eq!((&providers[0]["type"], &providers[0]["options"]["path"]), (&"file".into(), &folder.into()));

    let home = grafana.variable("GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH").ok_or("a home")?;
    let file = home.strip_prefix(folder).ok_or("the home is among the dashboards")?;
    let dashboard: Value = serde_json::from_str(&read(&format!("dashboards{file}"))?)?;
    // Their data source is a variable, whose value is the default one of a type.
    let variables = list(&dashboard["templating"], "list");
    let source = variables.iter().find(|one| one["name"] == "DS_PROMETHEUS").ok_or("a variable")?;
    assert_eq!((&source["type"], &source["query"]), (&"datasource".into(), &"prometheus".into()));
    Ok(())
}
