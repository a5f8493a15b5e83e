//! The variables that a service reads, for `--help`. `docs/settings.md` says all there is to know of each.

/// A variable of the environment.
#[derive(Clone, Debug)]
pub(crate) struct Variable {
    pub(crate) name: &'static str,
    /// What it is when it is not set; empty where that is nothing.
    pub(crate) default: &'static str,
    pub(crate) meaning: &'static str,
}

/// Variables of one kind.
pub(super) struct Group {
    pub(super) title: &'static str,
    pub(super) variables: &'static [Variable],
}

const fn of(name: &'static str, default: &'static str, meaning: &'static str) -> Variable {
    Variable { name, default, meaning }
}

pub(super) const GROUPS: [Group; 4] = [
    Group {
        title: "The broker",
        variables: &[
            of("NATS_URL", "nats://127.0.0.1:4222", "addresses, separated by commas"),
            of("NATS_CONTEXT", "the selected context", "a context of the `nats` command, without NATS_URL"),
            of("NATS_CREDS", "", "path of a credentials file"),
            of("NATS_NKEY", "", "path of an NKey seed file"),
            of("NATS_USER", "", "user name, or a token"),
            of("NATS_PASSWORD", "", "password of the user"),
            of("NATS_TOKEN", "", "token"),
            of("NATS_CA", "", "path of certificates to trust besides the system's"),
            of("NATS_CERT", "", "path of the client's certificate"),
            of("NATS_KEY", "", "path of the client certificate's key"),
            of("NATS_INBOX_PREFIX", "_INBOX", "subject prefix of this user's inboxes"),
        ],
    },
    Group {
        title: "The framework",
        variables: &[
            of("LABAN_ACK_WAIT_MS", "10000", "how long the broker waits for a sign of life"),
            of("LABAN_RETENTION_DAYS", "30", "how long the home stream keeps records; 0: for ever"),
            of("LABAN_REPLICAS", "1", "copies of the service's streams, 1 to 5"),
            of("LABAN_PLACEMENT_CLUSTER", "any", "the cluster that they are kept in"),
            of("LABAN_PLACEMENT_TAGS", "", "`server_tags` of the nodes that they are kept on"),
            of("LABAN_STORAGE", "file", "where the service's streams are kept: file, memory"),
            of("LABAN_DRAIN_TIMEOUT_MS", "25000", "how long a stop waits for handlers to finish"),
            of("LABAN_CONNECT_TIMEOUT_MS", "30000", "how long a start waits for the broker"),
            of("LABAN_REMEMBERED_FLOWS", "50000", "how many flows an instance remembers"),
            of("LABAN_ALLOW_BREAKING", "none", "events whose shape may break readers, or `all`"),
            of("LABAN_TRACE_BROKER", "0", "1: the broker's own hops become spans"),
            of("LABAN_HTTP_ADDR", "", "address and port of /metrics, /livez and /readyz"),
            of("LABAN_LOG", "text", "the form of log lines: text, json"),
        ],
    },
    Group {
        title: "Log lines",
        variables: &[
            of("RUST_LOG", "info,async_nats=warn", "which log lines, and which spans"),
            of("NO_COLOR", "", "any value: no colours"),
        ],
    },
    Group {
        title: "Telemetry",
        variables: &[
            of("OTEL_SDK_DISABLED", "false", "true: no traces and no metrics"),
            of("OTEL_SERVICE_NAME", "the service's name", "service.name"),
            of("OTEL_RESOURCE_ATTRIBUTES", "", "key=value, separated by commas"),
            of("OTEL_TRACES_EXPORTER", "otlp", "otlp, none"),
            of("OTEL_METRICS_EXPORTER", "otlp", "otlp, none, prometheus"),
            of("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", "http/protobuf, grpc"),
            of("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318", "where OTLP goes"),
            of("OTEL_EXPORTER_OTLP_HEADERS", "", "key=value, separated by commas"),
            of("OTEL_EXPORTER_OTLP_TIMEOUT", "10000 ms", "how long an export may take"),
            of("OTEL_EXPORTER_OTLP_INSECURE", "false", "true: gRPC without TLS, where no scheme is given"),
            of("OTEL_EXPORTER_OTLP_COMPRESSION", "none", "none"),
            of(
                "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
                "cumulative",
                "cumulative, delta, lowmemory",
            ),
            of("OTEL_METRIC_EXPORT_INTERVAL", "60000 ms", "how often metrics are pushed"),
            of("OTEL_TRACES_SAMPLER", "parentbased_always_on", "which flows are traced"),
            of("OTEL_TRACES_SAMPLER_ARG", "", "the sampler's argument"),
            of("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "128", "attributes of a span"),
            of("OTEL_SPAN_EVENT_COUNT_LIMIT", "128", "events of a span"),
            of("OTEL_SPAN_LINK_COUNT_LIMIT", "128", "links of a span"),
            of("OTEL_BSP_MAX_QUEUE_SIZE", "16384 spans", "room for spans that wait"),
            of("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "512 spans", "spans in one export"),
            of("OTEL_BSP_SCHEDULE_DELAY", "5000 ms", "how long a span waits at most"),
        ],
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const PAGE: &str = include_str!("../../../../docs/settings.md");

    /// Variables with their defaults, of the tables under these headings.
    fn documented() -> BTreeMap<String, String> {
        let headings = ["## The broker", "## The framework", "## Log lines", "## Telemetry"];
        let (mut inside, mut found) = (false, BTreeMap::new());
        for line in PAGE.lines() {
            if line.starts_with("## ") {
                inside = headings.iter().any(|heading| line.starts_with(heading));
            }
            // A sentence that is not a row of a service's variables.
            inside = inside && !line.starts_with("`laban flow show` also reads");
            let mut cells = line.split('|').map(str::trim).skip(1);
            let (Some(names), Some(default)) = (cells.next(), cells.next()) else { continue };
            if !inside || !names.starts_with('`') {
                continue;
            }
            for name in names.split(", ") {
                found.insert(name.trim_matches('`').to_owned(), default.replace('`', ""));
            }
        }
        found
    }

    #[test]
    fn help_and_the_page_of_settings_name_the_same_variables_with_the_same_defaults() {
        let page = documented();
        let all: Vec<&Variable> = GROUPS.iter().flat_map(|group| group.variables).collect();
        let told: Vec<&str> = all.iter().map(|one| one.name).collect();
        for name in page.keys() {
            assert!(told.contains(&name.as_str()), "{name} is in docs/settings.md, and not in --help");
        }
        for Variable { name, default, .. } in all {
            let documented = page.get(*name);
            let documented = documented.unwrap_or_else(|| panic!("{name} is not in docs/settings.md"));
            let unset = default.is_empty() && matches!(documented.as_str(), "" | "none");
            let same = !default.is_empty() && documented.starts_with(default);
            assert!(unset || same, "{name}: [{default}] in --help, [{documented}] in docs/settings.md");
        }
    }
}
