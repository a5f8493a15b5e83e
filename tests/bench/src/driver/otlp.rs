//! As much of OTLP over gRPC as it takes to count spans.
//!
//! Spans are not decoded: on two cores, a receiver that did would take from what is measured.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

/// The largest export that is taken.
const LARGEST: usize = 64 << 20;

/// `ExportTraceServiceRequest`, down to the spans, which stay as they came. Of metrics nothing but the frame is read.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Export {
    #[prost(message, repeated, tag = "1")]
    resources: Vec<OfResource>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct OfResource {
    #[prost(message, repeated, tag = "2")]
    scopes: Vec<OfScope>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct OfScope {
    /// Spans or metrics: on the wire a message is its bytes.
    #[prost(bytes = "bytes", repeated, tag = "2")]
    entries: Vec<Bytes>,
}

/// The answer is the same for spans and metrics: empty, all taken.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Taken {}

/// One of OTLP's services: for traces, or for metrics, which are taken and forgotten.
#[derive(Clone, Debug, Default)]
pub(super) struct Endpoint<const TRACES: bool>(pub(super) Arc<AtomicU64>);

impl<const TRACES: bool> UnaryService<Export> for Endpoint<TRACES> {
    type Response = Taken;
    type Future = Ready<Result<Response<Taken>, Status>>;

    fn call(&mut self, request: Request<Export>) -> Self::Future {
        self.0.fetch_add(request.get_ref().entries(), Ordering::Relaxed);
        ready(Ok(Response::new(Taken {})))
    }
}

impl Export {
    fn entries(&self) -> u64 {
        let scopes = self.resources.iter().flat_map(|resource| &resource.scopes);
        scopes.map(|scope| scope.entries.len() as u64).sum()
    }
}

impl<const TRACES: bool> Service<http::Request<Body>> for Endpoint<TRACES> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        // Each of the services has one method, Export.
        let endpoint = self.clone();
        Box::pin(async move {
            let codec = ProstCodec::<Taken, Export>::default();
            let mut grpc = Grpc::new(codec).apply_max_message_size_config(Some(LARGEST), None);
            Ok(grpc.unary(endpoint, request).await)
        })
    }
}

impl<const TRACES: bool> NamedService for Endpoint<TRACES> {
    const NAME: &'static str = if TRACES {
        "opentelemetry.proto.collector.trace.v1.TraceService"
    } else {
        "opentelemetry.proto.collector.metrics.v1.MetricsService"
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message as _;

    #[test]
    fn spans_are_counted_over_all_resources_and_scopes() {
        let scope = |spans| OfScope { entries: vec![Bytes::from_static(b"\x0a\x01x"); spans] };
        let export = Export {
            resources: vec![
                OfResource { scopes: vec![scope(2), scope(1)] },
                OfResource { scopes: vec![scope(4)] },
            ],
        };
        let read = Export::decode(export.encode_to_vec().as_slice()).unwrap();
        assert_eq!(read.entries(), 7);
    }
}
