use std::fmt;
use std::str::FromStr;

use crate::{EventType, FlowId, InvalidMessage, ServiceName};

/// Where an event is published: `<service>.<event>.<flow>`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Subject {
    /// `<service>.<event>`.
    pub event_type: EventType,
    /// The flow it belongs to.
    pub flow: FlowId,
}

impl Subject {
    /// The subject of an event of this type in this flow.
    pub fn new(event_type: EventType, flow: FlowId) -> Self {
        Self { event_type, flow }
    }

    /// The subject as text.
    pub fn to_text(&self) -> String {
        [self.event_type.as_str(), ".", self.flow.token()].concat()
    }

    /// Every record of `service` about `flow`: `payment.*.4711`. The fence is laid over it.
    pub fn all_of(service: &str, flow: &FlowId) -> String {
        [service, ".*.", flow.token()].concat()
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}

impl FromStr for Subject {
    type Err = InvalidMessage;
    fn from_str(subject: &str) -> Result<Self, InvalidMessage> {
        let invalid = |reason: String| InvalidMessage::Subject { subject: subject.to_owned(), reason };
        let (event_type, flow) =
            subject.rsplit_once('.').ok_or_else(|| invalid("it is not `<service>.<event>.<flow>`".into()))?;
        Ok(Self {
            event_type: event_type.parse().map_err(|e| invalid(format!("{e}")))?,
            flow: FlowId::from_token(flow).map_err(|e| invalid(format!("{e}")))?,
        })
    }
}

/// The name of the home stream of `service`: its name in capitals.
pub fn home_stream(service: &ServiceName) -> String {
    service.as_str().to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let subject: Subject = "payment.captured.a%2Eb".parse().unwrap();
        assert_eq!(subject.event_type.as_str(), "payment.captured");
        assert_eq!(subject.flow.key(), "a.b");
        assert_eq!(subject.to_string(), "payment.captured.a%2Eb");
        assert_eq!(Subject::all_of("payment", &subject.flow), "payment.*.a%2Eb");
    }

    #[test]
    fn foreign_subjects_are_refused_with_a_reason() {
        for subject in
            ["payment", "payment.captured", "payment.captured.4711.x", "Pay.x.1", "payment.captured.%zz"]
        {
            let error = subject.parse::<Subject>().unwrap_err();
            assert!(error.to_string().contains(subject), "{error}");
        }
    }
}
