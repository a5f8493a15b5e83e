//! What a start waits for, and for how long.
//!
//! A broker that is not there yet, a cluster that elects a leader, a server that is about to leave: that passes, and a
//! service that starts in the middle of it waits. What will not pass by itself ends the start at once. Which is which is
//! said here, and nowhere else.

use std::time::{Duration, Instant};

use async_nats::jetstream::context::{RequestError, RequestErrorKind};
use async_nats::jetstream::response::Response;
use async_nats::jetstream::{Context, ErrorCode};
use laban_wire::{ConnectError, error_chain};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;

/// How long an answer is waited for. A request that came in the middle of an election may never be answered: asking again
/// is what finds the new leader.
const ANSWER: Duration = Duration::from_secs(3);

/// Answers of JetStream that tell of its cluster's present state, and not of what was asked.
/// <https://github.com/nats-io/nats-server/blob/main/server/errors.json>
const PASSING: [ErrorCode; 8] = [
    ErrorCode::CLUSTER_INCOMPLETE,
    // Nodes that are away cannot take a replica. That there are too few of them for ever looks the same.
    ErrorCode::CLUSTER_NO_PEERS,
    ErrorCode::CLUSTER_NOT_ASSIGNED,
    ErrorCode::CLUSTER_NOT_AVAILABLE,
    ErrorCode::CLUSTER_NOT_LEADER,
    ErrorCode::RAFT_GENERAL,
    ErrorCode::STREAM_OFFLINE,
    ErrorCode::CLUSTER_SERVER_MEMBER_CHANGE_INFLIGHT,
];

/// Why a step of a start failed.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It may pass.
    Passing(Error),
    /// It will not, unless somebody does something about it.
    Lasting(Error),
}

impl From<ConnectError> for Trouble {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Unreachable { .. } => Self::Passing(error.into()),
            ConnectError::Context { .. } | ConnectError::HalfCertificate | ConnectError::File { .. } => {
                Self::Lasting(error.into())
            }
        }
    }
}

/// JetStream did not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unanswered {
    /// What it said instead, if anything.
    pub(crate) code: Option<ErrorCode>,
    pub(crate) reason: String,
    passing: bool,
}

impl Unanswered {
    /// The request found nobody, or was not answered.
    fn unheard(error: &RequestError, server: Server) -> Self {
        let (reason, passing) = match error.kind() {
            RequestErrorKind::TimedOut => (error_chain(error), true),
            // A server that runs JetStream has somebody who answers, unless it is about to leave.
            RequestErrorKind::NoResponders => {
                (format!("JetStream unavailable: {error}"), server.has_jetstream || server.is_clustered)
            }
            // The connection broke under the request, or the answer cannot be read.
            RequestErrorKind::Other => (error_chain(error), true),
            RequestErrorKind::InvalidSubject => (error_chain(error), false),
        };
        Self { code: None, reason, passing }
    }

    /// The request was answered with an error.
    fn refused(error: &async_nats::jetstream::Error) -> Self {
        let code = error.error_code();
        Self {
            code: Some(code),
            reason: format!("JetStream error: {error}"),
            passing: PASSING.contains(&code),
        }
    }

    /// The trouble that it is, told as `error`.
    pub(crate) fn told(&self, error: Error) -> Trouble {
        if self.passing { Trouble::Passing(error) } else { Trouble::Lasting(error) }
    }
}

/// What a server said of itself.
#[derive(Clone, Copy)]
struct Server {
    has_jetstream: bool,
    is_clustered: bool,
}

/// Asks JetStream's API, without waiting for long.
pub(crate) async fn ask<T: DeserializeOwned>(
    mut context: Context,
    subject: &str,
    request: &impl Serialize,
) -> Result<T, Unanswered> {
    context.set_timeout(ANSWER);
    match context.request(subject.to_owned(), request).await {
        Ok(Response::Ok(answer)) => Ok(answer),
        Ok(Response::Err { error }) => Err(Unanswered::refused(&error)),
        Err(error) => {
            let info = context.client().server_info();
            let server = Server { has_jetstream: info.jetstream, is_clustered: info.cluster.is_some() };
            Err(Unanswered::unheard(&error, server))
        }
    }
}

/// The time that a start has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    began: Instant,
    limit: Duration,
}

impl Patience {
    /// From now on.
    pub(crate) fn of(limit: Duration) -> Self {
        Self { began: Instant::now(), limit }
    }

    /// Tries until it succeeds, or fails for good, or the time is over. Says once what it waits for.
    pub(crate) async fn until<T, E, F>(&self, what: &str, attempt: impl Fn() -> F) -> Result<T, Error>
    where
        E: Into<Trouble>,
        F: Future<Output = Result<T, E>>,
    {
        let mut pause = Duration::from_millis(50);
        let mut told = false;
        loop {
            let trouble = match attempt().await {
                Ok(done) => return Ok(done),
                Err(error) => error.into(),
            };
            let error = match trouble {
                Trouble::Lasting(error) => return Err(error),
                Trouble::Passing(error) => error,
            };
            if self.began.elapsed() + pause >= self.limit {
                return Err(self.over(error));
            }
            if !std::mem::replace(&mut told, true) {
                tracing::warn!(%error, limit_ms = self.limit.as_millis() as u64, "waiting for {what}");
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    /// The last error, with how long it was waited for.
    fn over(&self, error: Error) -> Error {
        let waited = format!(
            "; waited {:.1} s for this to pass (LABAN_CONNECT_TIMEOUT_MS)",
            self.began.elapsed().as_secs_f64()
        );
        match error {
            Error::Broker { service, reason } => Error::Broker { service, reason: reason + &waited },
            Error::Connect(ConnectError::Unreachable { url, origin, reason }) => {
                ConnectError::Unreachable { url, origin, reason: reason + &waited }.into()
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALONE: Server = Server { has_jetstream: false, is_clustered: false };
    const IN_A_CLUSTER: Server = Server { has_jetstream: false, is_clustered: true };
    const WITH_JETSTREAM: Server = Server { has_jetstream: true, is_clustered: false };

    fn answer(code: u64) -> Unanswered {
        let error = format!(r#"{{"code": 503, "err_code": {code}, "description": "so it is"}}"#);
        Unanswered::refused(&serde_json::from_str(&error).unwrap())
    }

    #[test]
    fn the_state_of_a_cluster_passes_and_nothing_else_that_jetstream_says() {
        for (code, what) in [
            (10004, "incomplete results"),
            (10005, "no suitable peers for placement"),
            (10007, "not assigned to this server"),
            (10008, "temporarily unavailable"),
            (10009, "not the leader"),
            (10041, "the raft group is at fault"),
            (10118, "the stream is offline"),
            (10202, "a membership change is in flight"),
        ] {
            assert!(answer(code).passing, "{code}: {what}");
        }
        for (code, what) in [
            (0, "no code at all"),
            (10002, "the account's limits are exceeded"),
            (10023, "insufficient resources"),
            (10025, "invalid JSON"),
            (10027, "too many streams"),
            (10035, "no such account"),
            (10039, "not enabled for the account"),
            (10047, "insufficient storage"),
            (10052, "the stream's configuration is invalid"),
            (10058, "the name is taken, with another configuration"),
            (10059, "no such stream"),
            (10065, "the subjects are taken"),
            (10074, "replicas without a cluster"),
            (10076, "not enabled"),
            (10194, "the stream needs a newer server"),
        ] {
            let answer = answer(code);
            assert!(!answer.passing, "{code}: {what}");
            assert_eq!(answer.code, Some(ErrorCode(code)));
            assert!(answer.reason.contains(&code.to_string()), "{}", answer.reason);
        }
    }

    #[test]
    fn silence_passes_and_nobody_there_only_where_somebody_may_come() {
        let unheard = |kind, server| Unanswered::unheard(&RequestError::new(kind), server).passing;
        for server in [ALONE, IN_A_CLUSTER, WITH_JETSTREAM] {
            assert!(unheard(RequestErrorKind::TimedOut, server));
            assert!(unheard(RequestErrorKind::Other, server));
            assert!(!unheard(RequestErrorKind::InvalidSubject, server));
        }
        assert!(unheard(RequestErrorKind::NoResponders, IN_A_CLUSTER));
        assert!(unheard(RequestErrorKind::NoResponders, WITH_JETSTREAM));
        assert!(!unheard(RequestErrorKind::NoResponders, ALONE), "it was started without `-js`");
    }

    fn broker_error() -> Error {
        Error::Broker { service: "payment".into(), reason: "no leader".into() }
    }

    #[tokio::test]
    async fn what_passes_is_waited_for_and_no_longer_than_the_limit() {
        let limit = Duration::from_millis(500);
        let patience = Patience::of(limit);
        let tries = std::cell::Cell::new(0);
        let third = || {
            tries.set(tries.get() + 1);
            let done = tries.get() == 3;
            async move { if done { Ok(()) } else { Err(Trouble::Passing(broker_error())) } }
        };
        patience.until("a leader", third).await.unwrap();
        assert_eq!(tries.get(), 3);

        // The same patience for all steps.
        let never = || async { Err::<(), _>(Trouble::Passing(broker_error())) };
        let error = patience.until("a leader", never).await.unwrap_err().to_string();
        assert!(error.starts_with("service payment: no leader; waited "), "{error}");
        assert!(patience.began.elapsed() < Duration::from_secs(30), "{:?}", patience.began.elapsed());
    }

    #[tokio::test]
    async fn what_lasts_is_told_as_it_is() {
        let patience = Patience::of(Duration::from_secs(30));
        let never = || async { Err::<(), _>(Trouble::Lasting(broker_error())) };
        let error = patience.until("a leader", never).await.unwrap_err().to_string();
        assert_eq!(error, "service payment: no leader");
    }
}
