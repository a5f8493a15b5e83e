//! Prometheus' HTTP API.

use std::fmt::Write as _;
use std::time::Duration;

use laban_testkit::{Prometheus, wait};
use laban_tests::Outcome;
use serde_json::Value;

/// Longer than any of what is awaited takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// A Prometheus, and the questions it is asked.
pub(crate) struct Api {
    pub(crate) prometheus: Prometheus,
}

impl Api {
    /// What it answers; an error in its own words if it does not like the question.
    async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Outcome<Value> {
        let mut url = format!("{}/api/v1/{path}?", self.prometheus.url());
        for (name, value) in parameters {
            write!(url, "{name}={}&", encoded(value))?;
        }
        let answer: Value = reqwest::get(&url).await?.json().await?;
        if answer["status"] == "success" {
            return Ok(answer["data"].clone());
        }
        Err(format!("{path} {parameters:?}: {}", answer["error"]).into())
    }

    /// How many series a query finds, with values that are numbers.
    pub(crate) async fn count(&self, expression: &str) -> Outcome<usize> {
        let found = self.get("query", &[("query", expression)]).await?;
        let samples = found["result"].as_array().ok_or("no result")?;
        Ok(samples.iter().filter(|sample| sample["value"][1] != "NaN").count())
    }

    /// The traces that exemplars of a query lead to.
    pub(crate) async fn exemplars(&self, expression: &str) -> Outcome<Vec<String>> {
        let day = [("query", expression), ("start", "0"), ("end", "9999999999")];
        let found = self.get("query_exemplars", &day).await?;
        let series = found.as_array().into_iter().flatten();
        let exemplars = series.flat_map(|series| series["exemplars"].as_array().into_iter().flatten());
        Ok(exemplars.filter_map(|one| Some(one["labels"]["trace_id"].as_str()?.to_owned())).collect())
    }

    /// All values of a label.
    pub(crate) async fn label_values(&self, series: &str, label: &str) -> Outcome<Vec<String>> {
        let found = self.get(&format!("label/{label}/values"), &[("match[]", series)]).await?;
        Ok(found.as_array().into_iter().flatten().filter_map(|v| Some(v.as_str()?.to_owned())).collect())
    }

    /// The rules: their names, their expressions, and whether they can be evaluated.
    pub(crate) async fn rules(&self) -> Outcome<Vec<Rule>> {
        let found = self.get("rules", &[]).await?;
        let groups = found["groups"].as_array().into_iter().flatten();
        let rules = groups.flat_map(|group| group["rules"].as_array().into_iter().flatten());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(rules
            .map(|rule| Rule {
                name: text(&rule["name"]),
                expression: text(&rule["query"]),
                health: text(&rule["health"]),
                error: text(&rule["lastError"]),
            })
            .collect())
    }

    /// The alerts that fire.
    pub(crate) async fn firing(&self) -> Outcome<Vec<String>> {
        let found = self.get("alerts", &[]).await?;
        let alerts = found["alerts"].as_array().into_iter().flatten();
        let firing = alerts.filter(|alert| alert["state"] == "firing");
        Ok(firing.filter_map(|alert| Some(alert["labels"]["alertname"].as_str()?.to_owned())).collect())
    }

    /// Waits until an alert fires.
    pub(crate) async fn fires(&self, alert: &str) -> Outcome {
        wait::until(format!("{alert} to fire"), PATIENCE, async || {
            self.firing().await.is_ok_and(|firing| firing.iter().any(|one| one == alert))
        })
        .await?;
        Ok(())
    }
}

/// As one alert is given by `/api/v1/rules`.
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) expression: String,
    pub(crate) health: String,
    pub(crate) error: String,
}

fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() {
            encoded.push(byte.into());
        } else {
            // Writing to text cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}
