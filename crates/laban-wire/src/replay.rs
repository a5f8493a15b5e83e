use serde::{Deserialize, Serialize};

use crate::ServiceName;

/// What a running service is asked in a replay: to hand one message of a stream to one of its handlers again.
///
/// It names the message and does not repeat it: nobody can put words into another service's mouth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayRequest {
    /// The home stream that holds the message.
    pub stream: String,
    /// Its sequence there.
    pub seq: u64,
    /// How often it is handed over in this replay, this time included; 1 when absent. What a handler without a fence counts
    /// its attempts by.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    pub attempt: u32,
}

fn first() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_first(attempt: &u32) -> bool {
    *attempt == 1
}

impl ReplayRequest {
    /// A longer request is none.
    pub const MAX_BYTES: usize = 4096;

    /// Where the instances of `service` are asked about `handler`. One of them answers.
    pub fn subject(service: &ServiceName, handler: &str) -> String {
        format!("_replay.{service}.{handler}")
    }
}

/// What is answered to a [`ReplayRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Replayed {
    /// It took effect now: events were emitted.
    Emitted,
    /// It took effect now: the handler ran and emitted nothing.
    Handled,
    /// It had taken effect before. The handler did not run, or what it made of it was not written.
    Absorbed,
    /// It was given up before. A dead letter is opened by a redrive alone.
    DeadBefore,
    /// What the handler's deadline waits for is in the flow.
    Awaited,
    /// The handler's deadline has not passed. Its timer asks again.
    NotDue,
    /// An attempt failed. Ask again, later.
    Retrying {
        /// How the attempt failed.
        error: String,
        /// When to ask again, in milliseconds from now.
        again_in_ms: u64,
    },
    /// The handler gave up: there is a new dead letter.
    Dead {
        /// As in the dead letter.
        reason: String,
        /// How the last attempt failed.
        error: String,
    },
    /// It did not come to an attempt. Ask again, later.
    Later {
        /// Why.
        error: String,
        /// When to ask again, in milliseconds from now.
        again_in_ms: u64,
    },
    /// Still at work on it; another answer follows.
    AtWork,
    /// The stream does not hold it any more.
    Gone,
    /// It is not an event that can be read; delivered as usual, it became a dead letter.
    Unreadable {
        /// Why.
        error: String,
    },
    /// The request makes no sense here.
    Refused {
        /// Why.
        error: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_answers_are_part_of_the_wire_format() {
        let request = ReplayRequest { stream: "ORDER".into(), seq: 3, attempt: 1 };
        assert_eq!(serde_json::to_string(&request).unwrap(), r#"{"stream":"ORDER","seq":3}"#);
        assert_eq!(
            serde_json::from_str::<ReplayRequest>(r#"{"stream":"ORDER","seq":3,"x":1}"#).unwrap(),
            request
        );
        let service = "payment".parse().unwrap();
        assert_eq!(ReplayRequest::subject(&service, "charge"), "_replay.payment.charge");
        for (answer, json) in [
            (Replayed::Absorbed, r#"{"outcome":"absorbed"}"#),
            (Replayed::DeadBefore, r#"{"outcome":"dead_before"}"#),
            (
                Replayed::Retrying { error: "bank closed".into(), again_in_ms: 200 },
                r#"{"outcome":"retrying","error":"bank closed","again_in_ms":200}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&answer).unwrap(), json);
            assert_eq!(serde_json::from_str::<Replayed>(json).unwrap(), answer);
        }
    }
}
