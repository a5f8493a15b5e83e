use laban_flow::Flow;

use crate::traces::{Span, SpanKind, Trace};

/// Who made what of which event: one edge of a flow's graph.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// The id of the event reacted to.
    pub cause: String,
    /// The service that reacted.
    pub service: String,
    /// Its handler.
    pub handler: String,
    /// The id of the event that came of it, if one did.
    pub event: Option<String>,
}

/// The edges of a flow, as its records name their causes; sorted.
pub fn edges_of_flow(flow: &Flow) -> Vec<Edge> {
    let edges = flow.steps.iter().filter(|step| !step.duplicate).filter_map(|step| {
        Some(Edge {
            cause: step.cause?.to_string(),
            service: step.service.clone(),
            handler: step.handler.clone()?,
            event: (!step.is_system()).then(|| step.id.to_string()),
        })
    });
    sorted(edges)
}

/// The edges of a trace, from parents and children alone: the span that sent an event, the span that handled it, and the
/// spans below that sent what came of it; sorted. A deadline's run begins a trace, and is linked to the span that sent the
/// event. What a handler did in vain (the work was done before) is none.
pub fn edges_of_trace(trace: &Trace) -> Vec<Edge> {
    let handled = trace.spans.iter().filter(|span| span.kind == SpanKind::Consumer);
    let took_effect = handled.filter(|span| !matches!(span.outcome.as_deref(), Some("duplicate" | "left")));
    sorted(took_effect.flat_map(|handled| {
        let sent_by = trace
            .parent(handled)
            .or_else(|| trace.linked(handled))
            .filter(|parent| parent.kind == SpanKind::Producer);
        let cause = sent_by.and_then(|sent| sent.message_id.clone()).unwrap_or_else(|| "?".to_owned());
        let edge = |event: Option<String>| Edge {
            cause: cause.clone(),
            service: handled.service.clone(),
            handler: handled.handler.clone().unwrap_or_default(),
            event,
        };
        let sent: Vec<&Span> = trace.spans.iter().filter(|span| is_sent_by(span, handled)).collect();
        match sent.as_slice() {
            [] => vec![edge(None)],
            sent => sent.iter().map(|span| edge(span.message_id.clone())).collect(),
        }
    }))
}

fn is_sent_by(span: &Span, handled: &Span) -> bool {
    span.kind == SpanKind::Producer && span.parent.as_deref() == Some(&handled.id)
}

fn sorted(edges: impl Iterator<Item = Edge>) -> Vec<Edge> {
    let mut edges: Vec<Edge> = edges.collect();
    edges.sort();
    edges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(id: &str, parent: Option<&str>, kind: SpanKind, message: &str) -> Span {
        Span {
            id: id.into(),
            parent: parent.map(str::to_owned),
            linked: None,
            service: "payment".into(),
            name: String::new(),
            kind,
            message_id: Some(message.into()),
            handler: Some("charge".into()),
            outcome: None,
        }
    }

    fn edge(cause: &str, event: Option<&str>) -> Edge {
        let (service, handler) = ("payment".to_owned(), "charge".to_owned());
        Edge { cause: cause.into(), service, handler, event: event.map(str::to_owned) }
    }

    #[test]
    fn an_edge_is_a_span_that_sent_one_that_handled_and_one_that_sent() {
        let spans = vec![
            span("1", None, SpanKind::Producer, "placed"),
            span("2", Some("1"), SpanKind::Consumer, "placed"),
            span("3", Some("2"), SpanKind::Producer, "captured"),
            span("4", Some("3"), SpanKind::Consumer, "captured"),
        ];
        let trace = Trace { spans, ..Trace::default() };
        assert_eq!(edges_of_trace(&trace), [edge("captured", None), edge("placed", Some("captured"))]);
        assert_eq!(trace.orphans().count(), 0);
    }

    #[test]
    fn an_edge_whose_cause_is_not_in_the_trace_says_so() {
        let spans = vec![span("2", Some("1"), SpanKind::Consumer, "placed")];
        let trace = Trace { spans, ..Trace::default() };
        assert_eq!(edges_of_trace(&trace), [edge("?", None)]);
        assert_eq!(trace.orphans().count(), 1);
    }

    #[test]
    fn a_run_that_begins_a_trace_is_below_what_it_is_linked_to() {
        let mut trace =
            Trace { spans: vec![span("1", None, SpanKind::Producer, "placed")], ..Trace::default() };
        let mut late = span("2", None, SpanKind::Consumer, "placed");
        late.linked = Some("1".into());
        trace.join(Trace { spans: vec![late], ..Trace::default() });
        assert_eq!(edges_of_trace(&trace), [edge("placed", None)]);
        assert_eq!(trace.orphans().count(), 0);
    }

    #[test]
    fn what_was_done_in_vain_is_no_edge() {
        let mut spans = vec![
            span("1", None, SpanKind::Producer, "placed"),
            span("2", Some("1"), SpanKind::Consumer, "placed"),
            span("3", Some("2"), SpanKind::Producer, "captured"),
        ];
        spans[1].outcome = Some("duplicate".into());
        assert_eq!(edges_of_trace(&Trace { spans, ..Trace::default() }), []);
    }
}
