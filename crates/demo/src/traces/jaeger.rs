use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Span, SpanKind, Trace};
use crate::Error;

/// Jaeger's own HTTP API.
#[derive(Clone, Debug)]
pub struct JaegerApi {
    url: String,
    http: reqwest::Client,
}

/// How far back dependencies are asked for.
const LOOKBACK: Duration = Duration::from_secs(3600);

impl JaegerApi {
    /// The API of the Jaeger whose page is at `url`.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), http: reqwest::Client::new() }
    }

    /// The page.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The page of a trace.
    pub fn trace_url(&self, id: &str) -> String {
        format!("{}/trace/{id}", self.url)
    }

    /// A trace; without spans when Jaeger has none of it.
    ///
    /// # Errors
    /// When there is no answer, or none that can be read.
    pub async fn trace(&self, id: &str) -> Result<Trace, Error> {
        let found: Option<Vec<TraceBody>> = self.get(&format!("/api/traces/{id}")).await?;
        let body = found.unwrap_or_default().into_iter().next();
        Ok(body.map_or_else(|| Trace { id: id.to_owned(), ..Trace::default() }, |body| body.into_trace(id)))
    }

    /// The services that have sent spans.
    ///
    /// # Errors
    /// When there is no answer, or none that can be read.
    pub async fn services(&self) -> Result<BTreeSet<String>, Error> {
        Ok(self.get::<BTreeSet<String>>("/api/services").await?.unwrap_or_default())
    }

    /// Which service is called by which other.
    ///
    /// # Errors
    /// When there is no answer, or none that can be read.
    pub async fn dependencies(&self) -> Result<BTreeSet<(String, String)>, Error> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let path =
            format!("/api/dependencies?endTs={}&lookback={}", now.as_millis() + 1000, LOOKBACK.as_millis());
        let links: Vec<Link> = self.get(&path).await?.unwrap_or_default();
        let others = links.into_iter().filter(|link| link.parent != link.child);
        Ok(others.map(|link| (link.parent, link.child)).collect())
    }

    /// What an endpoint's answer holds as `data`; nothing when it is not found.
    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Error> {
        let failed = |reason: String| Error::Jaeger { what: path.to_owned(), reason };
        let answer = self.http.get(format!("{}{path}", self.url)).send().await;
        let answer = answer.map_err(|e| failed(laban_wire::error_chain(&e)))?;
        match answer.status() {
            StatusCode::NOT_FOUND => return Ok(None),
            StatusCode::OK => {}
            status => return Err(failed(format!("{status} {}", answer.text().await.unwrap_or_default()))),
        }
        let body: Body<T> = answer.json().await.map_err(|e| failed(laban_wire::error_chain(&e)))?;
        Ok(body.data)
    }
}

#[derive(Deserialize)]
struct Body<T> {
    data: Option<T>,
}

#[derive(Deserialize)]
struct Link {
    parent: String,
    child: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TraceBody {
    spans: Vec<SpanBody>,
    processes: HashMap<String, Process>,
    warnings: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Process {
    service_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SpanBody {
    #[serde(rename = "spanID")]
    span_id: String,
    operation_name: String,
    #[serde(default)]
    references: Vec<Reference>,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(rename = "processID")]
    process_id: String,
    warnings: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    ref_type: String,
    #[serde(rename = "traceID")]
    trace_id: String,
    #[serde(rename = "spanID")]
    span_id: String,
}

#[derive(Deserialize)]
struct Tag {
    key: String,
    value: serde_json::Value,
}

impl TraceBody {
    fn into_trace(self, id: &str) -> Trace {
        let mut warnings = self.warnings.unwrap_or_default();
        let mut spans = Vec::with_capacity(self.spans.len());
        for span in self.spans {
            for warning in span.warnings.iter().flatten() {
                warnings.push(format!("span {} ({}): {warning}", span.span_id, span.operation_name));
            }
            let service = self.processes.get(&span.process_id).map(|process| process.service_name.clone());
            spans.push(span.into_span(id, service.unwrap_or_default()));
        }
        Trace { id: id.to_owned(), spans, warnings }
    }
}

impl SpanBody {
    fn into_span(self, trace_id: &str, service: String) -> Span {
        let tag = |key: &str| {
            let tag = self.tags.iter().find(|tag| tag.key == key)?;
            tag.value.as_str().map(str::to_owned)
        };
        let kind = match tag("span.kind").as_deref() {
            Some("producer") => SpanKind::Producer,
            Some("consumer") => SpanKind::Consumer,
            _ => SpanKind::Other,
        };
        Span {
            parent: self.parent(trace_id).map(str::to_owned),
            linked: self.linked(trace_id).map(str::to_owned),
            service,
            kind,
            message_id: tag("messaging.message.id"),
            handler: tag("laban.handler"),
            outcome: tag("laban.outcome"),
            id: self.span_id,
            name: self.operation_name,
        }
    }

    fn linked(&self, trace_id: &str) -> Option<&str> {
        let elsewhere = self.references.iter().find(|reference| reference.trace_id != trace_id);
        elsewhere.map(|reference| reference.span_id.as_str())
    }

    /// By Jaeger's own rule: the span it is a child of; else the first one of its trace that it follows from, for a parent
    /// that is linked to as well is shown as that alone. A parent in another trace is none that can be found.
    fn parent(&self, trace_id: &str) -> Option<&str> {
        let here = |reference: &&Reference| reference.trace_id == trace_id;
        let is_child = |reference: &&Reference| reference.ref_type == "CHILD_OF";
        let references = || self.references.iter();
        let parent = references().find(|one| here(one) && is_child(one)).or_else(|| references().find(here));
        parent.or_else(|| references().find(is_child)).map(|reference| reference.span_id.as_str())
    }
}
