use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use laban_wire::{FlowId, FlowReader, Stored};

use crate::mesh::AT_ONCE;
use crate::records::Records;
use crate::{Error, Flow, Home, Mesh};

/// How often streams are read on for a cause that is not there yet.
const ROUNDS: usize = 3;

/// One subject filter of one stream, and how far it has been read.
struct Source<'m> {
    home: &'m Home,
    filter: String,
    next: u64,
}

impl Flow {
    /// Rebuilds a flow from all home streams; nothing when none of them has a record of it.
    ///
    /// The streams are read at once, not at one instant: a flow that moves meanwhile may show an effect before its cause
    /// was read. Streams that lack a cause are therefore read on, a few times; after that the cause is taken to be outside the
    /// flow, or beyond retention. On a replicated stream any replica may answer, so the newest records of a running flow may
    /// be missing.
    ///
    /// # Errors
    /// When one home stream cannot be read to its end: part of a flow is not shown as if it were the whole.
    pub async fn read(
        reader: impl Into<FlowReader>,
        mesh: &Mesh,
        flow: &FlowId,
    ) -> Result<Option<Flow>, Error> {
        let records = records_of(&reader.into(), mesh, flow).await?;
        Ok(Flow::from_records(flow, records, &mesh.reactions))
    }
}

/// All that the home streams hold of a flow.
pub(crate) async fn records_of(reader: &FlowReader, mesh: &Mesh, flow: &FlowId) -> Result<Records, Error> {
    let mut records = Records::default();
    let tokens = tokens(flow);
    let mut sources: Vec<Source<'_>> = (mesh.homes.iter())
        .flat_map(|home| tokens.iter().map(move |token| (home, format!("*.*.{token}"))))
        .map(|(home, filter)| Source { home, filter, next: 1 })
        .collect();
    let mut wanted: Vec<usize> = (0..sources.len()).collect();
    for round in 0..ROUNDS {
        let found: Vec<(usize, Vec<Stored>)> = stream::iter(wanted)
            .map(|index| (index, &sources[index]))
            .map(async |(index, source)| {
                let Source { home, filter, next } = source;
                let found = match round {
                    0 => reader.flow(&home.stream, filter).await?,
                    _ => reader.any_replica(&home.stream, filter, *next).await?,
                };
                Ok::<_, Error>((index, found))
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        for (index, found) in found {
            if let Some(last) = found.last() {
                sources[index].next = last.seq + 1;
            }
            found.into_iter().for_each(|stored| records.add(stored));
        }
        let services = records.services_of_missing_causes();
        let lacking = |index: &usize| services.contains(sources[*index].home.service.as_str());
        wanted = (0..sources.len()).filter(lacking).collect();
        if wanted.is_empty() {
            break;
        }
    }
    Ok(records)
}

/// The subject tokens under which a flow is looked for: its own, and its bare key where that is a token but no flow's. Messages
/// there are no events, for their key is not escaped; a plain client may have meant this flow all the same.
pub(crate) fn tokens(flow: &FlowId) -> Vec<String> {
    let key = flow.key();
    let is_token =
        !key.contains(|c: char| matches!(c, '.' | '*' | '>') || c.is_whitespace() || c.is_control());
    let mut tokens = vec![flow.token().to_owned()];
    if is_token && FlowId::from_token(&key).is_err() {
        tokens.push(key);
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::tokens;

    #[test]
    fn a_bare_key_is_looked_for_where_it_is_no_other_flows_token() {
        let tokens = |key: &str| tokens(&key.parse().unwrap());
        assert_eq!(tokens("4711"), ["4711"]);
        assert_eq!(tokens("a/b"), ["a%2Fb", "a/b"]);
        assert_eq!(tokens("%41"), ["%2541", "%41"]);
        // The token of the flow `a.b`, and keys that are no token or a wildcard.
        for key in ["a%2Eb", "a.b", "a b", "*", ">", "a>b"] {
            assert_eq!(tokens(key).len(), 1, "{key}");
        }
    }
}
