//! Deleting, in an order in which whoever is interrupted can begin again: what names the rest goes last.

use std::time::Duration;

use async_nats::{Client, HeaderMap, Request};
use laban_flow::retire::Plan;
use laban_wire::{contract, error_chain};
use serde_json::{Value, json};

use crate::Failure;

/// A cluster may take its time to agree.
const TIMEOUT: Duration = Duration::from_secs(10);
/// JetStream error codes: no such consumer, no such stream.
const GONE: [u64; 2] = [10014, 10059];
/// JetStream error code: the fence is lost.
const FENCE_LOST: u64 = 10071;

/// Deletes what the plan names: consumers, then timers, then the contract, and the history last.
pub(super) async fn carry_out(client: &Client, plan: &Plan, delete_history: bool) -> Result<(), Failure> {
    let api = |what: String| format!("$JS.API.{what}");
    for one in &plan.consumers {
        let what = format!("consumer {} of stream {}", one.consumer, one.stream);
        let subject = api(format!("CONSUMER.DELETE.{}.{}", one.stream, one.consumer));
        ask(client, subject, Request::new(), &what).await?;
    }
    if let Some(timers) = &plan.timers {
        let what = format!("timer stream {}", timers.stream);
        if timers.subjects.is_empty() {
            let subject = api(format!("STREAM.DELETE.{}", timers.stream));
            ask(client, subject, Request::new(), &what).await?;
        }
        for filter in &timers.subjects {
            let body = json!({ "filter": filter }).to_string();
            let subject = api(format!("STREAM.PURGE.{}", timers.stream));
            ask(client, subject, Request::new().payload(body.into()), &what).await?;
        }
    }
    if plan.has_contract() {
        delete_contract(client, plan).await?;
    }
    if let Some(home) = plan.home.as_ref().filter(|_| delete_history) {
        let subject = api(format!("STREAM.DELETE.{}", home.stream));
        ask(client, subject, Request::new(), &format!("home stream {}", home.stream)).await?;
    }
    Ok(())
}

/// A mark in the place of the contract, as key-value clients write it: readers know that the service has left, and the
/// contracts before it can still be looked up.
async fn delete_contract(client: &Client, plan: &Plan) -> Result<(), Failure> {
    let Some(registered) = &plan.registered else { return Ok(()) };
    let mut headers = HeaderMap::new();
    headers.insert("KV-Operation", "DEL");
    headers.insert("Nats-Expected-Last-Subject-Sequence", registered.revision.to_string());
    let key = contract::subject_of(&plan.target.service);
    match ask(client, key, Request::new().headers(headers), "the registered contract").await? {
        Some(FENCE_LOST) => Err(Failure::NotDone(format!(
            "service {} has registered a contract meanwhile: it is not gone; stop it, and retire it again",
            plan.target.service
        ))),
        _ => Ok(()),
    }
}

/// Asks the broker, and reads its answer. What is gone already is done; a lost fence is for the caller.
async fn ask(client: &Client, subject: String, request: Request, what: &str) -> Result<Option<u64>, Failure> {
    let failed = |reason: &str| Failure::Broker(format!("{what} was not deleted: {reason}; do it again"));
    let answer = client.send_request(subject, request.timeout(Some(TIMEOUT))).await;
    let answer = answer.map_err(|error| failed(&error_chain(&error)))?;
    let answer: Value = serde_json::from_slice(&answer.payload).unwrap_or_default();
    let code = answer["error"]["err_code"].as_u64();
    match code {
        None if answer["error"].is_null() => Ok(None),
        Some(code) if GONE.contains(&code) || code == FENCE_LOST => Ok(Some(code)),
        _ => Err(failed(answer["error"]["description"].as_str().unwrap_or("the broker refused it"))),
    }
}
