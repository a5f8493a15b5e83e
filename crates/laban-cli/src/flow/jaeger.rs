//! Jaeger's query API, where one is given: what it says is added, and nothing depends on it.

use std::time::Duration;

use laban_flow::{Flow, flow_of_trace};
use laban_wire::FlowId;

use crate::{http, terminal};

/// A trace that takes longer, or is larger, is left out.
const PATIENCE: Duration = Duration::from_secs(3);
const LARGEST: usize = 16 << 20;
/// A flow of more traces is one that a timer or a redrive began again and again.
const MOST_TRACES: usize = 16;

/// Where Jaeger is.
#[derive(clap::Args, Clone)]
pub(crate) struct Jaeger {
    /// Address of Jaeger's query API: spans of handlers' own are shown inside the steps
    #[arg(long = "jaeger", env = "LABAN_JAEGER_URL", value_name = "URL", value_parser = http::address)]
    url: Option<String>,
}

impl Jaeger {
    /// Puts what it knows into the flow. Says so when it cannot.
    pub(crate) async fn add(&self, flow: &mut Flow) {
        let Some(url) = &self.url else { return };
        let traces: Vec<String> = flow.traces().into_iter().take(MOST_TRACES).map(str::to_owned).collect();
        for trace in traces {
            let put = match get(url, &trace).await {
                Ok(Some(answer)) => flow.put_inside(&answer).map(drop).map_err(|e| e.to_string()),
                Ok(None) => Ok(()),
                Err(reason) => Err(reason),
            };
            if let Err(reason) = put {
                terminal::say(&format!("laban: warning: Jaeger at {url}: {reason}; its spans are not shown"));
                return;
            }
        }
    }

    /// The flow of a trace, if it knows it.
    pub(crate) async fn flow_of(&self, trace: &str) -> Option<FlowId> {
        let url = self.url.as_ref()?;
        let found = match get(url, trace).await {
            Ok(answer) => answer.map_or(Ok(None), |answer| flow_of_trace(&answer).map_err(|e| e.to_string())),
            Err(reason) => Err(reason),
        };
        found.unwrap_or_else(|reason| {
            terminal::say(&format!(
                "laban: warning: Jaeger at {url}: {reason}; the streams are searched instead"
            ));
            None
        })
    }
}

/// A trace; nothing when there is none of this id.
async fn get(url: &str, trace: &str) -> Result<Option<Vec<u8>>, String> {
    http::get(&format!("{url}/api/traces/{trace}"), PATIENCE, LARGEST).await
}
