//! What is in `dashboards/`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use laban_tests::Outcome;
use serde_json::Value;

/// A file of the project.
pub(crate) fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

pub(crate) fn read(path: &str) -> Outcome<String> {
    std::fs::read_to_string(project(path)).map_err(|e| format!("{path}: {e}").into())
}

/// A query, and where it is.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    pub(crate) place: String,
    pub(crate) expression: String,
}

pub(crate) struct Dashboard {
    /// The file's name without its end.
    pub(crate) name: String,
    pub(crate) json: Value,
}

impl Dashboard {
    pub(crate) fn all() -> Outcome<Vec<Self>> {
        let mut all = Vec::new();
        for entry in std::fs::read_dir(project("dashboards"))? {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == "json") {
                let name = path.file_stem().and_then(|name| name.to_str()).ok_or("an odd name")?.to_owned();
                let json = serde_json::from_str(&std::fs::read_to_string(&path)?)
                    .map_err(|e| format!("{}: {e}", path.display()))?;
                all.push(Self { name, json });
            }
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    fn list<'v>(&'v self, at: &str) -> impl Iterator<Item = &'v Value> + use<'v> {
        self.json.pointer(at).and_then(Value::as_array).into_iter().flatten()
    }

    fn panels(&self) -> impl Iterator<Item = &Value> {
        self.list("/panels")
    }

    /// The queries of its panels and annotations.
    pub(crate) fn queries(&self) -> Vec<Query> {
        let mut all = Vec::new();
        let mut add = |title: &str, expression: &Value| {
            all.extend(expression.as_str().map(|expression| Query {
                place: format!("{}.json, {title}", self.name),
                expression: expression.to_owned(),
            }));
        };
        for panel in self.panels() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                add(text(&panel["title"]), &target["expr"]);
            }
        }
        self.list("/annotations/list").for_each(|one| add("annotations", &one["expr"]));
        all
    }

    /// The queries of its variables: `label_values(<series>, <label>)`.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let query = |variable: &Value| {
            let query = variable["definition"].as_str()?.strip_prefix("label_values(")?.strip_suffix(')')?;
            let (series, label) = query.rsplit_once(", ")?;
            Some((series.to_owned(), label.to_owned()))
        };
        let queries = self.list("/templating/list").filter(|variable| variable["type"] == "query");
        queries.map(|variable| query(variable).unwrap_or_default()).collect()
    }

    /// The queries that ask for exemplars.
    pub(crate) fn with_exemplars(&self) -> Vec<Query> {
        let panels = self.panels().filter(|panel| panel["targets"][0]["exemplar"] == true);
        let titles: BTreeSet<&str> = panels.map(|panel| text(&panel["title"])).collect();
        self.queries()
            .into_iter()
            .filter(|query| titles.iter().any(|title| query.place.ends_with(&format!(", {title}"))))
            .collect()
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The names of the alerts, in the order of the file.
pub(crate) fn alerts() -> Outcome<Vec<String>> {
    let rules = read("dashboards/alerts.yml")?;
    Ok(rules.lines().filter_map(|line| Some(line.trim().strip_prefix("- alert: ")?.to_owned())).collect())
}

#[test]
fn every_dashboard_says_what_its_panels_mean_and_has_a_page_beside_it() -> Outcome {
    let dashboards = Dashboard::all()?;
    let names: Vec<&str> = dashboards.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["broker", "dead-letters", "flows", "handler", "mesh", "service"]);
    for dashboard in &dashboards {
        let Dashboard { name, json } = dashboard;
        assert_eq!(json["uid"], format!("laban-{name}"));
        let page = read(&format!("dashboards/{name}.md"))?;
        assert!(page.contains("## What to look at first"), "{name}.md");
        let mut ids = BTreeSet::new();
        for panel in dashboard.panels() {
            let title = text(&panel["title"]);
            assert!(ids.insert(panel["id"].to_string()), "{name}, {title}: an id that another panel has");
            assert!(!text(&panel["description"]).is_empty(), "{name}, {title}: a description");
            assert!(page.contains(&format!("**{title}**")), "{name}.md says nothing of {title}");
            for source in [&panel["datasource"], &panel["targets"][0]["datasource"]] {
                assert_eq!(source["uid"], "${DS_PROMETHEUS}", "{name}, {title}");
            }
        }
        let said = json.to_string();
        assert!(!said.contains("http://") && !said.contains("https://"), "{name}: an address in a dashboard");
    }
    Ok(())
}

#[test]
fn every_alert_has_its_entry_in_the_runbook_and_its_line_in_the_table() -> Outcome {
    let page = read("docs/operations.md")?;
    let rules = read("dashboards/alerts.yml")?;
    let alerts = alerts()?;
    assert!(!alerts.is_empty());
    for name in alerts {
        assert!(page.contains(&format!("\n### {name}\n")), "expected a section on {name}");
        assert!(page.contains(&format!("\n| `{name}` | ")), "expected a line of the table for {name}");
        let runbook = format!("runbook: docs/operations.md#{}\n", name.to_lowercase());
        assert!(rules.contains(&runbook), "expected {name} to name its entry");
    }
    Ok(())
}
