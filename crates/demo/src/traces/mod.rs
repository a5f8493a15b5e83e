//! What became of the spans, whoever took them.

mod jaeger;
mod receiver;

use std::collections::BTreeSet;

use laban_testkit::Jaeger;
use laban_testkit::tools::{self, Tool};

pub use jaeger::JaegerApi;
pub use receiver::Receiver;

use crate::Error;

/// Where spans should go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    /// To Jaeger if one can be had without building it, to the own receiver otherwise.
    #[default]
    IfAtHand,
    /// To Jaeger; without one there is no mesh.
    Jaeger,
    /// To the own receiver.
    Receiver,
}

impl Wanted {
    /// Jaeger is a must where `LABAN_REQUIRE_JAEGER=1`.
    pub fn from_env() -> Self {
        if std::env::var_os("LABAN_REQUIRE_JAEGER").is_some_and(|value| value == "1") {
            Self::Jaeger
        } else {
            Self::IfAtHand
        }
    }
}

/// What takes the spans.
#[derive(Debug)]
pub enum Traces {
    /// A Jaeger.
    Jaeger {
        /// The process.
        jaeger: Jaeger,
        /// Its API.
        api: JaegerApi,
    },
    /// A Jaeger that somebody else runs.
    Elsewhere {
        /// Its API.
        api: JaegerApi,
        /// Where it takes spans by OTLP over gRPC.
        endpoint: String,
    },
    /// The own receiver.
    Receiver {
        /// The receiver.
        receiver: Receiver,
        /// Why there is no Jaeger, and how to get one.
        why: String,
    },
}

impl Traces {
    pub(crate) async fn start(wanted: Wanted) -> Result<Self, Error> {
        let why = match wanted {
            Wanted::Receiver => "none wanted".to_owned(),
            Wanted::Jaeger => return Self::start_jaeger().await,
            // Looked for where blocking is allowed: it may be downloaded.
            Wanted::IfAtHand => match tokio::task::spawn_blocking(tools::jaeger).await {
                Ok(Ok(_)) => return Self::start_jaeger().await,
                Ok(Err(laban_testkit::Error::NoTool { why, .. })) => why,
                Ok(Err(error)) => return Err(error.into()),
                Err(error) => error.to_string(),
            },
        };
        Ok(Self::Receiver { receiver: Receiver::start()?, why })
    }

    async fn start_jaeger() -> Result<Self, Error> {
        let jaeger = Jaeger::start().await?;
        let api = JaegerApi::new(jaeger.ui_url());
        Ok(Self::Jaeger { jaeger, api })
    }

    /// Where services send their spans by OTLP over gRPC.
    pub fn endpoint(&self) -> String {
        match self {
            Self::Jaeger { jaeger, .. } => jaeger.otlp_grpc_url(),
            Self::Elsewhere { endpoint, .. } => endpoint.clone(),
            Self::Receiver { receiver, .. } => receiver.url(),
        }
    }

    /// Jaeger's API, if a Jaeger takes the spans.
    pub fn api(&self) -> Option<&JaegerApi> {
        match self {
            Self::Jaeger { api, .. } | Self::Elsewhere { api, .. } => Some(api),
            Self::Receiver { .. } => None,
        }
    }

    /// All spans of a trace that have arrived.
    ///
    /// # Errors
    /// When Jaeger's API does not answer as it should.
    pub async fn trace(&self, id: &str) -> Result<Trace, Error> {
        match self {
            Self::Jaeger { api, .. } | Self::Elsewhere { api, .. } => api.trace(id).await,
            Self::Receiver { receiver, .. } => Ok(receiver.trace(id)),
        }
    }

    /// Which service is called by which other, as the traces tell it.
    ///
    /// # Errors
    /// When Jaeger's API does not answer as it should.
    pub async fn dependencies(&self) -> Result<BTreeSet<(String, String)>, Error> {
        match self {
            Self::Jaeger { api, .. } | Self::Elsewhere { api, .. } => api.dependencies().await,
            Self::Receiver { receiver, .. } => Ok(receiver.dependencies()),
        }
    }

    /// The version of Jaeger, as far as it says one.
    pub async fn version(&self) -> Option<String> {
        self.api()?;
        let program = tokio::task::spawn_blocking(|| Tool::Jaeger.find(|_| ())).await.ok()?.ok()?;
        let said = tokio::process::Command::new(program).arg("version").output().await.ok()?;
        let said: serde_json::Value = serde_json::from_slice(&said.stdout).ok()?;
        Some(said["gitVersion"].as_str()?.trim_start_matches('v').to_owned())
    }
}

/// One trace, as it was found.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// 32 hexadecimal digits.
    pub id: String,
    /// Its spans.
    pub spans: Vec<Span>,
    /// What is said to be wrong with it, such as a clock skew.
    pub warnings: Vec<String>,
}

/// One span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// 16 hexadecimal digits.
    pub id: String,
    /// The span it is a child of.
    pub parent: Option<String>,
    /// The span of another trace that it is linked to.
    pub linked: Option<String>,
    /// The service that it is of.
    pub service: String,
    /// What it is called.
    pub name: String,
    /// What it is.
    pub kind: SpanKind,
    /// `messaging.message.id`: the event that it is about.
    pub message_id: Option<String>,
    /// `laban.handler`.
    pub handler: Option<String>,
    /// `laban.outcome`.
    pub outcome: Option<String>,
}

/// What a span is, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// Publishing an event.
    Producer,
    /// Handling an event.
    Consumer,
    /// Anything else.
    Other,
}

impl Trace {
    /// The span of this id.
    pub fn span(&self, id: &str) -> Option<&Span> {
        self.spans.iter().find(|span| span.id == id)
    }

    /// The span that this one is a child of.
    pub fn parent(&self, span: &Span) -> Option<&Span> {
        self.span(span.parent.as_deref()?)
    }

    /// The span that a deadline's run is linked to, where it begins a trace; of several that were joined.
    pub fn linked(&self, span: &Span) -> Option<&Span> {
        self.span(span.linked.as_deref().filter(|_| span.parent.is_none())?)
    }

    /// Takes in another trace of the same flow.
    pub fn join(&mut self, other: Self) {
        self.spans.extend(other.spans);
        self.warnings.extend(other.warnings);
    }

    /// Spans whose parent is not in the trace.
    pub fn orphans(&self) -> impl Iterator<Item = &Span> {
        self.spans.iter().filter(|span| span.parent.is_some() && self.parent(span).is_none())
    }

    /// The services it crosses.
    pub fn services(&self) -> BTreeSet<&str> {
        self.spans.iter().map(|span| span.service.as_str()).collect()
    }
}
