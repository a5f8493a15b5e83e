//! The flow that a trace is of.

use std::str::FromStr;

use laban_flow::{Flows, Mesh, Query};
use laban_wire::{FlowId, FlowReader};

use crate::{Failure, terminal};

/// So many records are looked at, the newest first; some seconds' worth.
const MOST_RECORDS: u64 = 200_000;

/// A trace id as Jaeger and logs show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TraceId(u128);

impl FromStr for TraceId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_hex = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let id = u128::from_str_radix(text, 16).ok().filter(|id| is_hex && *id != 0);
        id.map(Self).ok_or_else(|| format!("`{text}` is no trace id: 32 hexadecimal digits"))
    }
}

impl std::fmt::Display for TraceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Looks for a record of this trace, the newest first.
pub(crate) async fn flow_of(
    trace: TraceId,
    client: &async_nats::Client,
    reader: &FlowReader,
    mesh: &Mesh,
) -> Result<FlowId, Failure> {
    let query = Query { trace: Some(trace.0), most_records: MOST_RECORDS, ..Query::default() };
    let mut flows = Flows::find(client, reader.clone(), mesh, query).await?;
    match flows.next().await? {
        Some(listed) => {
            let key = listed.flow.flow;
            terminal::say(&format!("laban: trace {trace} is of flow {key:?}"));
            FlowId::new(&key).map_err(|e| Failure::NotDone(e.to_string()))
        }
        None if flows.is_cut_short() => Err(Failure::NotDone(format!(
            "none of the newest {} records is of trace {trace}; older ones were not looked at",
            flows.records()
        ))),
        None => Err(Failure::NotDone(format!("no record is of trace {trace}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::TraceId;

    #[test]
    fn a_trace_id_is_32_hexadecimal_digits() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(id.parse::<TraceId>().map(|id| id.to_string()), Ok(id.to_owned()));
        assert_eq!(id.to_uppercase().parse::<TraceId>(), id.parse());
        for wrong in ["", "4bf9", "00000000000000000000000000000000", "+bf92f3577b34da6a3ce929d0e0e4736"] {
            assert!(wrong.parse::<TraceId>().is_err(), "{wrong}");
        }
    }
}
