//! How spans travel: OTLP over gRPC or HTTP, as `OTEL_EXPORTER_OTLP_*` says.
//!
//! <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>

use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes};
use http_body_util::{BodyExt as _, Full};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use laban_wire::{error_chain, percent_decoded};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::{MetadataKey, MetadataValue};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Status, client};

use super::exporters::{Protocol, either, http_endpoint, protocol};
use crate::Error;
use crate::config::bad;

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
const TRACES_HEADERS: &str = "OTEL_EXPORTER_OTLP_TRACES_HEADERS";
const TIMEOUT: &str = "OTEL_EXPORTER_OTLP_TIMEOUT";
const TRACES_TIMEOUT: &str = "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT";
const COMPRESSION: &str = "OTEL_EXPORTER_OTLP_COMPRESSION";
const TRACES_COMPRESSION: &str = "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION";
const INSECURE: &str = "OTEL_EXPORTER_OTLP_INSECURE";
const TRACES_INSECURE: &str = "OTEL_EXPORTER_OTLP_TRACES_INSECURE";

/// The method that takes spans.
const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// Larger answers are no answers to an export.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// Takes export requests to a collector.
pub(super) trait Transport: Send + Sync + 'static {
    /// Sends one `ExportTraceServiceRequest`, and says how many of its spans were refused.
    fn send(&self, request: Vec<u8>) -> impl Future<Output = Result<u64, String>> + Send;
}

/// The two protocols.
pub(super) enum Collector {
    Grpc(Box<Grpc>),
    Http(Box<Http>),
}

impl Collector {
    /// What the environment says.
    pub(super) fn from_env() -> Result<Self, Error> {
        let (name, compression) = either(TRACES_COMPRESSION, COMPRESSION);
        if let Some(other) = compression.filter(|text| text != "none") {
            return Err(bad(name, &other, "spans are sent as they are: it is `none`"));
        }
        let (name, timeout) = either(TRACES_TIMEOUT, TIMEOUT);
        let timeout = match timeout {
            None => Duration::from_secs(10),
            Some(text) => Duration::from_millis(
                text.parse().map_err(|_| bad(name, &text, "it is a number of milliseconds"))?,
            ),
        };
        match protocol("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")? {
            Protocol::Grpc => Ok(Self::Grpc(Box::new(Grpc::from_env(timeout)?))),
            Protocol::Http => Ok(Self::Http(Box::new(Http::from_env(timeout)?))),
        }
    }
}

impl Transport for Collector {
    async fn send(&self, request: Vec<u8>) -> Result<u64, String> {
        match self {
            Self::Grpc(grpc) => grpc.send(request).await,
            Self::Http(http) => http.send(request).await,
        }
    }
}

/// `key=value` separated by commas, values percent-encoded. Values are secrets: an error does not repeat them.
fn headers() -> Result<Vec<(String, String)>, Error> {
    let (name, all) = either(TRACES_HEADERS, HEADERS);
    let all = all.unwrap_or_default();
    let pairs = all.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    let parse = |pair: &str| {
        let (key, value) = pair.split_once('=')?;
        Some((key.trim().to_ascii_lowercase(), percent_decoded(value.trim())?))
    };
    let parsed: Option<Vec<_>> = pairs.map(parse).collect();
    parsed.ok_or_else(|| bad(name, "…", "it is key=value, separated by commas, with values percent-encoded"))
}

/// OTLP over gRPC.
pub(super) struct Grpc {
    channel: Channel,
    headers: tonic::metadata::MetadataMap,
}

impl Grpc {
    fn from_env(timeout: Duration) -> Result<Self, Error> {
        let (name, found) = either(TRACES_ENDPOINT, ENDPOINT);
        let mut url = found.unwrap_or_else(|| "http://localhost:4317".to_owned());
        if !url.contains("://") {
            let (_, insecure) = either(TRACES_INSECURE, INSECURE);
            let plain = insecure.is_some_and(|text| text.eq_ignore_ascii_case("true"));
            url = format!("{}://{url}", if plain { "http" } else { "https" });
        }
        let wrong = |error: tonic::transport::Error| bad(name, &url, &error_chain(&error));
        let mut endpoint = Endpoint::from_shared(url.clone()).map_err(wrong)?.timeout(timeout);
        if url.starts_with("https://") {
            endpoint = endpoint.tls_config(ClientTlsConfig::new().with_enabled_roots()).map_err(wrong)?;
        }
        let mut metadata = tonic::metadata::MetadataMap::new();
        for (key, value) in headers()? {
            let key: Result<MetadataKey<_>, _> = key.parse();
            let value: Result<MetadataValue<_>, _> = value.parse();
            let (Ok(key), Ok(value)) = (key, value) else {
                return Err(bad(either(TRACES_HEADERS, HEADERS).0, "…", "a name or a value cannot be sent"));
            };
            metadata.insert(key, value);
        }
        Ok(Self { channel: endpoint.connect_lazy(), headers: metadata })
    }
}

impl Transport for Grpc {
    async fn send(&self, request: Vec<u8>) -> Result<u64, String> {
        let mut client = client::Grpc::new(self.channel.clone());
        client.ready().await.map_err(|error| error_chain(&error))?;
        let mut request = tonic::Request::new(Bytes::from(request));
        *request.metadata_mut() = self.headers.clone();
        let path = hyper::http::uri::PathAndQuery::from_static(EXPORT);
        let answer = client.unary(request, path, Raw).await;
        let answer = answer.map_err(|status| format!("{:?}: {}", status.code(), status.message()))?;
        Ok(rejected(answer.get_ref()))
    }
}

/// Messages that are bytes already.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;
    fn encoder(&mut self) -> Self {
        Self
    }
    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;
    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;
    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

/// OTLP over HTTP.
pub(super) struct Http {
    client: Client<HttpConnector, Full<Bytes>>,
    url: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
    timeout: Duration,
}

impl Http {
    fn from_env(timeout: Duration) -> Result<Self, Error> {
        http_endpoint(TRACES_ENDPOINT)?;
        let (name, found) = either(TRACES_ENDPOINT, ENDPOINT);
        let url = match found {
            // The one for spans is taken as it is.
            Some(url) if name == TRACES_ENDPOINT => url,
            Some(base) => format!("{}/v1/traces", base.trim_end_matches('/')),
            None => "http://localhost:4318/v1/traces".to_owned(),
        };
        let parsed: Option<Uri> = url.parse().ok();
        let parsed = parsed.filter(|uri| uri.scheme().is_some() && uri.host().is_some());
        let parsed = parsed.ok_or_else(|| bad(name, &url, "it is a URL, such as http://localhost:4318"))?;
        let mut all = Vec::new();
        for (key, value) in headers()? {
            match (HeaderName::try_from(key), HeaderValue::try_from(value)) {
                (Ok(key), Ok(value)) => all.push((key, value)),
                _ => {
                    return Err(bad(
                        either(TRACES_HEADERS, HEADERS).0,
                        "…",
                        "a name or a value cannot be sent",
                    ));
                }
            }
        }
        let client = Client::builder(TokioExecutor::new()).build_http();
        Ok(Self { client, url: parsed, headers: all, timeout })
    }
}

impl Transport for Http {
    async fn send(&self, request: Vec<u8>) -> Result<u64, String> {
        let mut post = Request::builder().method(Method::POST).uri(self.url.clone());
        post = post.header(CONTENT_TYPE, "application/x-protobuf");
        for (name, value) in &self.headers {
            post = post.header(name, value);
        }
        let post = post.body(Full::new(Bytes::from(request))).map_err(|error| error.to_string())?;
        let exchange = async {
            let answer = self.client.request(post).await.map_err(|error| error_chain(&error))?;
            let status = answer.status();
            if !status.is_success() {
                return Err(format!("HTTP status {status}"));
            }
            let body = http_body_util::Limited::new(answer.into_body(), MAX_ANSWER_BYTES).collect().await;
            Ok(body.map_or(0, |body| rejected(&body.to_bytes())))
        };
        let late = |_| Err(format!("no answer within {} ms", self.timeout.as_millis()));
        tokio::time::timeout(self.timeout, exchange).await.unwrap_or_else(late)
    }
}

/// `ExportTraceServiceResponse`.
#[derive(prost::Message)]
struct Answer {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

#[derive(prost::Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected_spans: i64,
}

/// How many spans the collector refused, by its answer.
fn rejected(answer: &[u8]) -> u64 {
    let answer: Option<Answer> = prost::Message::decode(answer).ok();
    let partial = answer.and_then(|answer| answer.partial_success);
    partial.map_or(0, |partial| u64::try_from(partial.rejected_spans).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_spans_are_counted() {
        assert_eq!(rejected(b""), 0);
        assert_eq!(rejected(&[0x0a, 0x02, 0x08, 0x07]), 7);
        assert_eq!(rejected(b"\xff"), 0, "an answer that cannot be read is one");
    }

    #[test]
    fn values_of_headers_are_percent_encoded() {
        assert_eq!(percent_decoded("Bearer%20a=b").as_deref(), Some("Bearer a=b"));
        assert_eq!((percent_decoded("%2"), percent_decoded("%FF")), (None, None));
    }
}
