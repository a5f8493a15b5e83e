//! OpenMetrics text, <https://prometheus.io/docs/specs/om/open_metrics_spec/>: what Prometheus' own text format has, and
//! exemplars.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use prometheus::proto::{Histogram, LabelPair, MetricFamily, MetricType};

use super::exemplars::{Exemplar, Exemplars, MEASURED};

pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether this is what the one who asks would take.
pub(super) fn is_accepted(accept: Option<&str>) -> bool {
    accept.is_some_and(|accept| accept.contains("application/openmetrics-text"))
}

/// Writes all families. Writing to text cannot fail, so what it returns is dropped.
pub(super) fn encode(families: &[MetricFamily]) -> String {
    let mut text = String::new();
    for family in families {
        let (name, kind) = (family.name(), family.get_field_type());
        let (kind, family_name) = match kind {
            // A counter's family is called without what its samples end with.
            MetricType::COUNTER => ("counter", name.strip_suffix("_total").unwrap_or(name)),
            MetricType::GAUGE => ("gauge", name),
            MetricType::HISTOGRAM => ("histogram", name),
            // Nothing of the framework's.
            MetricType::SUMMARY | MetricType::UNTYPED => continue,
        };
        let _ = writeln!(text, "# HELP {family_name} {}", escaped(family.help()));
        let _ = writeln!(text, "# TYPE {family_name} {kind}");
        for metric in family.get_metric() {
            let labels = metric.get_label();
            match family.get_field_type() {
                MetricType::COUNTER => sample(&mut text, name, labels, metric.get_counter().get_value()),
                MetricType::HISTOGRAM => histogram(&mut text, name, labels, metric.get_histogram()),
                _ => sample(&mut text, name, labels, metric.get_gauge().get_value()),
            }
            text.push('\n');
        }
    }
    text.push_str("# EOF\n");
    text
}

fn histogram(text: &mut String, name: &str, labels: &[LabelPair], histogram: &Histogram) {
    let exemplars = exemplars_of(name, labels);
    let bucket = format!("{name}_bucket");
    let finite = histogram.get_bucket().iter().filter(|bucket| bucket.upper_bound().is_finite());
    let finite = finite.map(|bucket| (bucket.upper_bound(), bucket.cumulative_count()));
    for (bound, count) in finite.chain([(f64::INFINITY, histogram.get_sample_count())]) {
        // The canonical form has a decimal point: 5.0.
        let le = if bound.is_finite() { format!("{bound:?}") } else { "+Inf".to_owned() };
        begin(text, &bucket, labels, Some(&le));
        let _ = write!(text, " {count}");
        if let Some(exemplar) = exemplars.as_ref().and_then(|exemplars| exemplars.show(bound)) {
            write_exemplar(text, &exemplar);
        }
        text.push('\n');
    }
    sample(text, &format!("{name}_sum"), labels, histogram.get_sample_sum());
    text.push('\n');
    sample(text, &format!("{name}_count"), labels, histogram.get_sample_count() as f64);
}

/// Those of one histogram, if it is one that has any.
fn exemplars_of(name: &str, labels: &[LabelPair]) -> Option<Arc<Exemplars>> {
    let measured = MEASURED.into_iter().find(|measured| measured.name == name)?;
    let value = |name: &&str| labels.iter().find(|label| label.name() == *name).map(LabelPair::value);
    let values: Vec<&str> = measured.labels.iter().map(value).collect::<Option<_>>()?;
    Some(measured.of(&values))
}

fn write_exemplar(text: &mut String, exemplar: &Exemplar) {
    let Exemplar { value, trace, span, at } = exemplar;
    let at = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let _ = write!(text, " # {{trace_id=\"{trace}\",span_id=\"{span}\"}} {value} {at:.3}");
}

fn sample(text: &mut String, name: &str, labels: &[LabelPair], value: f64) {
    begin(text, name, labels, None);
    let _ = write!(text, " {value}");
}

fn begin(text: &mut String, name: &str, labels: &[LabelPair], le: Option<&str>) {
    text.push_str(name);
    let labels = labels.iter().map(|label| (label.name(), escaped(label.value())));
    let all = labels.chain(le.map(|le| ("le", le.to_owned())));
    let mut any = false;
    for (name, value) in all {
        let before = if any { ',' } else { '{' };
        let _ = write!(text, "{before}{name}=\"{value}\"");
        any = true;
    }
    if any {
        text.push('}');
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};
    use prometheus::{GaugeVec, HistogramOpts, HistogramVec, IntCounter, Opts, Registry};

    use super::super::exemplars::{RAN, WAITED};
    use super::*;

    #[test]
    fn what_is_written_has_an_exemplar_in_its_bucket_and_an_end() {
        let registry = Registry::new();
        let counter = IntCounter::with_opts(Opts::new("kept_total", "How many")).unwrap();
        counter.inc_by(3);
        let gauge = GaugeVec::new(Opts::new("room", "A \"gauge\""), &["where"]).unwrap();
        gauge.with_label_values(&["a\\b\"c\nd"]).set(0.5);
        let options = HistogramOpts::new(WAITED.name, "Waited").buckets(vec![0.001, 5.0]);
        let waited = HistogramVec::new(options, &["laban_service", "laban_handler"]).unwrap();
        waited.with_label_values(&["openmetrics", "test"]).observe(0.25);
        registry.register(Box::new(counter)).unwrap();
        registry.register(Box::new(gauge)).unwrap();
        registry.register(Box::new(waited)).unwrap();
        let span = SpanContext::new(
            TraceId::from(0x4bf9_2f35_u128),
            SpanId::from(0xf0_u64),
            TraceFlags::SAMPLED,
            true,
            TraceState::NONE,
        );
        // The framework's own bounds are finer than this histogram's; the bound asked for is in both.
        WAITED.of(&["openmetrics", "test"]).offer(Duration::from_millis(3_000), &span);

        let text = encode(&registry.gather());
        let (before, rest) = text.split_once(" # {").unwrap();
        let (exemplar, after) = rest.split_once('\n').unwrap();
        let labels = r#"{laban_handler="test",laban_service="openmetrics""#;
        let expected = format!(
            r#"# HELP kept How many
# TYPE kept counter
kept_total 3
# HELP laban_queue_duration_seconds Waited
# TYPE laban_queue_duration_seconds histogram
laban_queue_duration_seconds_bucket{labels},le="0.001"}} 0
laban_queue_duration_seconds_bucket{labels},le="5.0"}} 1"#
        );
        assert_eq!(before, expected);
        let begin = r#"trace_id="0000000000000000000000004bf92f35",span_id="00000000000000f0"} 3 1"#;
        assert!(exemplar.starts_with(begin), "{exemplar}");
        let expected = format!(
            r#"laban_queue_duration_seconds_bucket{labels},le="+Inf"}} 1
laban_queue_duration_seconds_sum{labels}}} 0.25
laban_queue_duration_seconds_count{labels}}} 1
# HELP room A \"gauge\"
# TYPE room gauge
room{{where="a\\b\"c\nd"}} 0.5
# EOF
"#
        );
        assert_eq!(after, expected);
    }

    #[test]
    fn a_run_has_the_exemplars_of_its_handlers_consumer_and_other_histograms_have_none() {
        let span = SpanContext::new(
            TraceId::from(0x4711_u128),
            SpanId::from(0xf1_u64),
            TraceFlags::SAMPLED,
            true,
            TraceState::NONE,
        );
        RAN.of(&["openmetrics_run_order_placed"]).offer(Duration::from_millis(3), &span);
        let registry = Registry::new();
        for name in [RAN.name, "messaging_client_operation_duration_seconds"] {
            let options = HistogramOpts::new(name, "Took").buckets(vec![0.005]);
            let took =
                HistogramVec::new(options, &["messaging_system", "messaging_consumer_group_name"]).unwrap();
            for consumer in ["openmetrics_run_order_placed", "openmetrics_run_order_paid"] {
                took.with_label_values(&["nats", consumer]).observe(0.003);
            }
            registry.register(Box::new(took)).unwrap();
        }
        let text = encode(&registry.gather());
        let with: Vec<&str> = text.lines().filter(|line| line.contains(" # {")).collect();
        let [line] = with.as_slice() else { panic!("{text}") };
        let labels =
            r#"messaging_consumer_group_name="openmetrics_run_order_placed",messaging_system="nats""#;
        let begin =
            format!(r#"messaging_process_duration_seconds_bucket{{{labels},le="0.005"}} 1 # {{trace_id="#);
        assert!(line.starts_with(&begin) && line.contains("4711"), "{line}");
    }

    #[test]
    fn it_is_written_for_those_who_ask_for_it() {
        let prometheus =
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert!(is_accepted(Some(prometheus)));
        assert!(!is_accepted(Some("*/*")));
        assert!(!is_accepted(None));
    }
}
