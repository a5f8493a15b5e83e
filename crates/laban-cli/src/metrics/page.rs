//! A page in Prometheus' text format.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What is told, by its name. `docs/metrics.md` has the same list.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Family {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
}

const fn gauge(name: &'static str, help: &'static str) -> Family {
    Family { name, kind: "gauge", help }
}

const fn counter(name: &'static str, help: &'static str) -> Family {
    Family { name, kind: "counter", help }
}

pub(super) const FLOWS: Family = gauge("laban_flows", "Open flows and those with a dead letter, by state");
pub(super) const OLDEST: Family =
    gauge("laban_flow_oldest_age_seconds", "Time since the oldest flow in this state began");
pub(super) const ENDED: Family = Family {
    name: "laban_flow_duration_seconds",
    kind: "histogram",
    help: "From the first to the last record of flows that ended, by how they ended",
};
pub(super) const OVERDUE: Family =
    gauge("laban_reactions_overdue", "Reactions of stuck flows that should have come, and why they have not");
pub(super) const PENDING: Family =
    gauge("laban_consumer_pending", "Events not yet delivered to any instance, as the broker knows it");
pub(super) const UNACKNOWLEDGED: Family =
    gauge("laban_consumer_unacknowledged", "Events delivered and not yet acknowledged");
pub(super) const MESSAGES: Family = gauge("laban_stream_messages", "Messages that a stream holds");
pub(super) const BYTES: Family = gauge("laban_stream_bytes", "Bytes that a stream holds");
pub(super) const REPLICAS_MISSING: Family =
    gauge("laban_stream_replicas_missing", "Replicas of a stream that are away or behind");
pub(super) const BROKER_UP: Family =
    gauge("laban_broker_up", "Whether a broker answers and says that it is well");
pub(super) const BROKER_MEMORY: Family = gauge("laban_broker_memory_bytes", "Resident memory of a broker");
pub(super) const BROKER_CONNECTIONS: Family =
    gauge("laban_broker_connections", "Clients connected to a broker");
pub(super) const BROKER_SLOW: Family = counter(
    "laban_broker_slow_consumers_total",
    "Connections that a broker closed because they did not keep up",
);
pub(super) const BROKER_STORAGE: Family =
    gauge("laban_broker_storage_bytes", "Bytes that a broker's streams take on disk");
pub(super) const BROKER_STORAGE_LIMIT: Family =
    gauge("laban_broker_storage_limit_bytes", "Bytes that a broker's streams may take on disk");
pub(super) const LOOKS: Family = counter("laban_looks_total", "Looks at flows and streams, by how they went");
pub(super) const LOOK_DURATION: Family = gauge("laban_look_duration_seconds", "How long the last look took");

/// Families with their samples, in the order of their names.
#[derive(Default)]
pub(super) struct Page(BTreeMap<&'static Family, String>);

impl Page {
    pub(super) fn add(&mut self, family: &'static Family, labels: &[(&str, &str)], value: f64) {
        self.sample(family, "", labels, value);
    }

    /// Adds a histogram: how many were at most each bound, all of them, and their sum.
    pub(super) fn add_histogram(
        &mut self,
        family: &'static Family,
        labels: &[(&str, &str)],
        buckets: impl IntoIterator<Item = (f64, u64)>,
        (count, sum): (u64, f64),
    ) {
        for (bound, below) in buckets {
            let bound = bound.to_string();
            let labels: Vec<_> = labels.iter().copied().chain([("le", bound.as_str())]).collect();
            self.sample(family, "_bucket", &labels, below as f64);
        }
        let all: Vec<_> = labels.iter().copied().chain([("le", "+Inf")]).collect();
        self.sample(family, "_bucket", &all, count as f64);
        self.sample(family, "_sum", labels, sum);
        self.sample(family, "_count", labels, count as f64);
    }

    fn sample(&mut self, family: &'static Family, suffix: &str, labels: &[(&str, &str)], value: f64) {
        let lines = self.0.entry(family).or_default();
        lines.push_str(family.name);
        lines.push_str(suffix);
        for (index, (label, value)) in labels.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            // Writing to text cannot fail.
            let _ = write!(lines, "{before}{label}=\"{value}\"");
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(lines, "{end} {value}");
    }

    pub(super) fn text(&self) -> String {
        self.0.iter().fold(String::new(), |mut text, (Family { name, kind, help }, lines)| {
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{lines}");
            text
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_what_prometheus_reads() {
        let mut page = Page::default();
        page.add(&MESSAGES, &[("stream", "A\"B\\\n")], 3.0);
        page.add(&LOOK_DURATION, &[], 0.25);
        page.add_histogram(&ENDED, &[("state", "dead")], [(0.5, 1), (10.0, 2)], (3, 70.5));
        let expected = r#"# HELP laban_flow_duration_seconds From the first to the last record of flows that ended, by how they ended
# TYPE laban_flow_duration_seconds histogram
laban_flow_duration_seconds_bucket{state="dead",le="0.5"} 1
laban_flow_duration_seconds_bucket{state="dead",le="10"} 2
laban_flow_duration_seconds_bucket{state="dead",le="+Inf"} 3
laban_flow_duration_seconds_sum{state="dead"} 70.5
laban_flow_duration_seconds_count{state="dead"} 3
# HELP laban_look_duration_seconds How long the last look took
# TYPE laban_look_duration_seconds gauge
laban_look_duration_seconds 0.25
# HELP laban_stream_messages Messages that a stream holds
# TYPE laban_stream_messages gauge
laban_stream_messages{stream="A\"B\\\n"} 3
"#;
        assert_eq!(page.text(), expected);
    }
}
