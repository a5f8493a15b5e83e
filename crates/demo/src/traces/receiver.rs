use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::{Span as Proto, span};
use tokio::task::JoinHandle;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use super::{Span, SpanKind, Trace};
use crate::Error;

/// A small OTLP receiver over gRPC on 127.0.0.1 that keeps all spans in memory; for where there is no Jaeger.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    kept: Kept,
    serving: JoinHandle<()>,
}

/// Spans by trace.
#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<HashMap<String, Vec<Span>>>>);

impl Receiver {
    /// Starts it on a free port, on the present runtime.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn start() -> Result<Self, Error> {
        let unbound = |source| Error::Io { what: "listen for spans".to_owned(), source };
        let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into()).map_err(unbound)?;
        let address = incoming.local_addr().map_err(unbound)?;
        let kept = Kept::default();
        let service = TraceServiceServer::new(kept.clone()).max_decoding_message_size(64 << 20);
        let serving = tokio::spawn(async move {
            // It ends with the task; a connection that breaks concerns its client alone.
            let _ = Server::builder().add_service(service).serve_with_incoming(incoming).await;
        });
        Ok(Self { address, kept, serving })
    }

    /// Where spans go.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many spans have arrived.
    pub fn spans(&self) -> usize {
        self.kept.lock().values().map(Vec::len).sum()
    }

    /// All spans of a trace that have arrived.
    pub fn trace(&self, id: &str) -> Trace {
        let spans = self.kept.lock().get(id).cloned().unwrap_or_default();
        Trace { id: id.to_owned(), spans, warnings: Vec::new() }
    }

    /// Which service is called by which other: parents and children inside one trace.
    pub fn dependencies(&self) -> BTreeSet<(String, String)> {
        let mut all = BTreeSet::new();
        for spans in self.kept.lock().values() {
            let service_of: HashMap<&str, &str> =
                spans.iter().map(|span| (span.id.as_str(), span.service.as_str())).collect();
            for span in spans {
                let parent = span.parent.as_deref().and_then(|parent| service_of.get(parent));
                if let Some(parent) = parent.filter(|parent| **parent != span.service) {
                    all.insert(((*parent).to_owned(), span.service.clone()));
                }
            }
        }
        all
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Kept {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Vec<Span>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[tonic::async_trait]
impl TraceService for Kept {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut kept = self.lock();
        for of_resource in request.into_inner().resource_spans {
            let resource = of_resource.resource.unwrap_or_default();
            let service = text(&resource.attributes, "service.name").unwrap_or_default();
            for span in of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                kept.entry(hex(&span.trace_id)).or_default().push(read(&span, &service));
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn read(span: &Proto, service: &str) -> Span {
    let attribute = |key| text(&span.attributes, key);
    Span {
        id: hex(&span.span_id),
        linked: span.links.iter().find(|link| link.trace_id != span.trace_id).map(|link| hex(&link.span_id)),
        parent: (!span.parent_span_id.is_empty()).then(|| hex(&span.parent_span_id)),
        service: service.to_owned(),
        name: span.name.clone(),
        kind: match span.kind() {
            span::SpanKind::Producer => SpanKind::Producer,
            span::SpanKind::Consumer => SpanKind::Consumer,
            _ => SpanKind::Other,
        },
        message_id: attribute("messaging.message.id"),
        handler: attribute("laban.handler"),
        outcome: attribute("laban.outcome"),
    }
}

fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut hex, byte| {
        // Writing to a String does not fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
