//! A flow as a test: what its services were told, and what they said. A file for people to read, keep and edit.

mod ignore;
mod record;

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::{EventId, FlowId};

pub use ignore::{Ignore, InvalidIgnore};
pub use record::{CaseRecord, CaseWhat, CaseWork};

/// The form of a case that this crate reads and writes.
pub const VERSION: u64 = 1;

/// A larger file is refused.
pub const MAX_BYTES: usize = 16 << 20;

/// Longer flows are refused.
pub const MAX_RECORDS: usize = 10_000;

/// A flow as a test. It has what happened and in which order, and no times, traces or attempts: the same flow makes the
/// same file.
#[derive(Clone, Debug, Serialize)]
pub struct Case {
    #[serde(rename = "laban_case")]
    version: u64,
    #[serde(serialize_with = "as_key")]
    flow: FlowId,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ignore: Vec<Ignore>,
    records: Vec<CaseRecord>,
}

/// The member that says that a file is a case, and of which form.
#[derive(Deserialize)]
struct Head {
    laban_case: Option<serde_json::Value>,
}

/// A case as it is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    #[serde(rename = "laban_case")]
    _version: u64,
    flow: String,
    #[serde(default)]
    ignore: Vec<Ignore>,
    records: Vec<CaseRecord>,
}

impl Case {
    /// The case of a flow. Records are in an order in which each comes after its cause. What is ignored is where bodies
    /// may differ.
    ///
    /// # Errors
    /// When the records are none that a case can have: there are too many, an id is there twice, a cause comes after its
    /// effect, or a system record's cause is missing.
    pub fn new(flow: FlowId, records: Vec<CaseRecord>, ignore: Vec<Ignore>) -> Result<Self, InvalidCase> {
        check(&records)?;
        Ok(Self { version: VERSION, flow, ignore, records })
    }

    /// Reads a case.
    ///
    /// # Errors
    /// With what is wrong, and where, when this is no case, or one of a form that this crate does not know.
    pub fn parse(text: &[u8]) -> Result<Self, InvalidCase> {
        if text.len() > MAX_BYTES {
            return Err(InvalidCase(format!("it has {} bytes, a case has at most {MAX_BYTES}", text.len())));
        }
        let broken = |e: serde_json::Error| InvalidCase(e.to_string());
        let Head { laban_case } = serde_json::from_slice(text).map_err(broken)?;
        match laban_case {
            None => return Err(InvalidCase("it is no case of a flow: `laban_case` is missing".to_owned())),
            Some(version) if version != VERSION => {
                return Err(InvalidCase(format!(
                    "`laban_case` is {version}, and {VERSION} is read here: use the release that wrote it, or a later one"
                )));
            }
            Some(_) => {}
        }
        let Body { flow, ignore, records, .. } = serde_json::from_slice(text).map_err(broken)?;
        let flow = FlowId::new(flow).map_err(|e| InvalidCase(format!("`flow`: {e}")))?;
        Self::new(flow, records, ignore)
    }

    /// The case as it is kept: indented JSON, bodies with their members in the order in which they were written.
    ///
    /// # Errors
    /// When it is larger than a case may be.
    pub fn to_json(&self) -> Result<String, InvalidCase> {
        let compact = serde_json::to_string(self).map_err(|e| InvalidCase(e.to_string()))?;
        let text = crate::indented(&compact) + "\n";
        if text.len() > MAX_BYTES {
            return Err(InvalidCase(format!(
                "it would have {} bytes, a case has at most {MAX_BYTES}",
                text.len()
            )));
        }
        Ok(text)
    }

    /// The flow.
    pub fn flow(&self) -> &FlowId {
        &self.flow
    }

    /// Its records, each after its cause.
    pub fn records(&self) -> &[CaseRecord] {
        &self.records
    }

    /// Where bodies may differ.
    pub fn ignore(&self) -> &[Ignore] {
        &self.ignore
    }
}

fn as_key<S: serde::Serializer>(flow: &FlowId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(flow)
}

fn check(records: &[CaseRecord]) -> Result<(), InvalidCase> {
    if records.len() > MAX_RECORDS {
        let many = records.len();
        return Err(InvalidCase(format!("it has {many} records, a case has at most {MAX_RECORDS}")));
    }
    let all: HashSet<EventId> = records.iter().filter_map(CaseRecord::id).collect();
    let mut before = HashSet::new();
    for (index, record) in records.iter().enumerate() {
        let wrong = |what: String| {
            Err(InvalidCase(format!("record {} of {}, {}: {what}", index + 1, records.len(), record.event)))
        };
        if let Some(CaseWork { cause, .. }) = &record.work
            && !before.contains(cause)
        {
            if all.contains(cause) {
                return wrong(format!("its cause {cause} comes after it; a cause comes first"));
            }
            if record.event.is_system() {
                return wrong(format!("its cause {cause} is missing; it says nothing without it"));
            }
        }
        if let Some(id) = record.id()
            && !before.insert(id)
        {
            return wrong(format!("its id {id} is that of an event before it; each event has its own"));
        }
    }
    Ok(())
}

/// Why something is no case of a flow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidCase(String);

#[cfg(test)]
mod tests;
