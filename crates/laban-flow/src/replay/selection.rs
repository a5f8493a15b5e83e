use laban_wire::{EventType, FlowId, ServiceName};
use time::OffsetDateTime;

use crate::read::tokens;
use crate::{Error, Home, Mesh};

/// More subjects of one stream at a time would make the broker compare each record with each.
const MOST_FILTERS: usize = 1_000;

/// The filter of a whole stream.
pub(super) const EVERYTHING: &str = ">";

/// Which records are replayed. All that is said must hold; where several of a kind are named, one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Stored at this time or later, by the broker's clock.
    pub since: Option<OffsetDateTime>,
    /// Stored before this time.
    pub until: Option<OffsetDateTime>,
    /// At this sequence or above. Sequences are of one stream, so nothing else may be selected.
    pub from_seq: Option<u64>,
    /// At this sequence or below.
    pub to_seq: Option<u64>,
    /// In these home streams.
    pub streams: Vec<String>,
    /// Written by these services.
    pub services: Vec<ServiceName>,
    /// Of these types. The types of system records (`payment._dead`) are types too.
    pub events: Vec<EventType>,
    /// Of these flows.
    pub flows: Vec<FlowId>,
    /// No system records.
    pub events_only: bool,
}

/// What is selected of one stream.
#[derive(Debug)]
pub(super) struct Scope<'m> {
    pub(super) home: &'m Home,
    /// Subject filters that do not overlap.
    pub(super) filters: Vec<String>,
}

impl Selection {
    /// The streams that can hold what is selected.
    pub(super) fn scopes<'m>(&self, mesh: &'m Mesh) -> Result<Vec<Scope<'m>>, Error> {
        self.check(mesh)?;
        let scopes: Vec<Scope<'m>> = (mesh.homes.iter())
            .filter(|home| self.has(home))
            .map(|home| Scope { home, filters: self.filters(home) })
            .collect();
        if let Some(scope) = scopes.iter().find(|scope| scope.filters.len() > MOST_FILTERS) {
            let (found, stream) = (scope.filters.len(), &scope.home.stream);
            return Err(wrong(format!(
                "{found} combinations of event and flow in stream {stream}, at most {MOST_FILTERS} can be asked for: \
                 name fewer"
            )));
        }
        if (self.from_seq.is_some() || self.to_seq.is_some()) && scopes.len() > 1 {
            let names: Vec<&str> = scopes.iter().map(|scope| scope.home.stream.as_str()).collect();
            return Err(wrong(format!(
                "sequences are of one stream, and {} are selected: name one stream or service",
                names.join(", ")
            )));
        }
        Ok(scopes)
    }

    pub(super) fn check(&self, mesh: &Mesh) -> Result<(), Error> {
        if let (Some(since), Some(until)) = (self.since, self.until)
            && since >= until
        {
            return Err(wrong("the range ends before it begins".to_owned()));
        }
        if let (Some(from), Some(to)) = (self.from_seq, self.to_seq)
            && from > to
        {
            return Err(wrong(format!("the range ends at sequence {to}, before it begins at {from}")));
        }
        if mesh.homes.is_empty() {
            return Err(Error::NoHomes);
        }
        let is_home = |service: &str| mesh.homes.iter().any(|home| home.service == service);
        let services = self.services.iter().map(ServiceName::as_str);
        let mut named = services.chain(self.events.iter().map(EventType::service));
        if let Some(service) = named.find(|service| !is_home(service)) {
            let known: Vec<&str> = mesh.homes.iter().map(|home| home.service.as_str()).collect();
            return Err(wrong(format!(
                "no service `{service}` has a home stream there; these have: {}",
                known.join(", ")
            )));
        }
        let is_stream = |name: &&String| mesh.homes.iter().any(|home| home.stream == **name);
        if let Some(stream) = self.streams.iter().find(|name| !is_stream(name)) {
            let known: Vec<&str> = mesh.homes.iter().map(|home| home.stream.as_str()).collect();
            return Err(wrong(format!(
                "there is no home stream `{stream}`; there are: {}",
                known.join(", ")
            )));
        }
        Ok(())
    }

    fn has(&self, home: &Home) -> bool {
        (self.streams.is_empty() || self.streams.contains(&home.stream))
            && (self.services.is_empty()
                || self.services.iter().any(|service| service.as_str() == home.service))
            && (self.events.is_empty() || self.events.iter().any(|event| event.service() == home.service))
    }

    fn filters(&self, home: &Home) -> Vec<String> {
        if self.events.is_empty() && self.flows.is_empty() {
            return vec![EVERYTHING.to_owned()];
        }
        let mut events: Vec<&str> = (self.events.iter())
            .filter(|event| event.service() == home.service)
            .map(|event| event.as_str())
            .collect();
        if self.events.is_empty() {
            events.push("*.*");
        }
        let mut flows: Vec<String> = self.flows.iter().flat_map(tokens).collect();
        if self.flows.is_empty() {
            flows.push("*".to_owned());
        }
        let mut filters: Vec<String> =
            events.iter().flat_map(|event| flows.iter().map(move |flow| format!("{event}.{flow}"))).collect();
        filters.sort_unstable();
        filters.dedup();
        filters
    }
}

pub(super) fn wrong(reason: String) -> Error {
    Error::Selection { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mesh() -> Mesh {
        let home = |service: &str| Home { service: service.to_owned(), stream: service.to_uppercase() };
        Mesh { homes: ["order", "payment"].map(home).into(), ..Mesh::default() }
    }

    fn filters(selection: &Selection) -> Vec<(String, Vec<String>)> {
        let mesh = mesh();
        let scopes = selection.scopes(&mesh).unwrap();
        scopes.into_iter().map(|scope| (scope.home.stream.clone(), scope.filters)).collect()
    }

    #[test]
    fn what_is_asked_of_which_stream() {
        let all = |stream: &str| (stream.to_owned(), vec![">".to_owned()]);
        assert_eq!(filters(&Selection::default()), [all("ORDER"), all("PAYMENT")]);
        let payment = Selection { services: vec!["payment".parse().unwrap()], ..Selection::default() };
        assert_eq!(filters(&payment), [all("PAYMENT")]);
        let order = Selection { streams: vec!["ORDER".to_owned()], ..Selection::default() };
        assert_eq!(filters(&order), [all("ORDER")]);
        let types = ["order.placed", "order._dead"].map(|event| event.parse().unwrap());
        let both = Selection {
            events: types.into(),
            flows: vec!["4711".parse().unwrap(), "a/b".parse().unwrap(), "4711".parse().unwrap()],
            ..Selection::default()
        };
        let wanted = ["_dead.4711", "_dead.a%2Fb", "_dead.a/b", "placed.4711", "placed.a%2Fb", "placed.a/b"];
        let wanted = wanted.map(|rest| format!("order.{rest}"));
        assert_eq!(filters(&both), [("ORDER".to_owned(), wanted.to_vec())]);
        // The event is of another service than the one that is asked for: nothing can be both.
        let neither = Selection { events: both.events, ..payment };
        assert_eq!(filters(&neither), []);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_could() {
        let refused =
            |selection: Selection, mesh: &Mesh| selection.scopes(mesh).map(drop).unwrap_err().to_string();
        let base = Selection::default;
        let unknown = Selection { services: vec!["bank".parse().unwrap()], ..base() };
        assert!(refused(unknown, &mesh()).contains("no service `bank`"));
        let unknown = Selection { events: vec!["bank.closed".parse().unwrap()], ..base() };
        assert!(refused(unknown, &mesh()).ends_with("these have: order, payment"));
        let unknown = Selection { streams: vec!["order".to_owned()], ..base() };
        assert!(refused(unknown, &mesh()).ends_with("there are: ORDER, PAYMENT"));
        let many = Selection { from_seq: Some(1), ..base() };
        assert!(refused(many, &mesh()).contains("sequences are of one stream, and ORDER, PAYMENT"));
        let turned = Selection { from_seq: Some(5), to_seq: Some(4), ..base() };
        assert!(refused(turned, &mesh()).contains("ends at sequence 4"));
        let at = OffsetDateTime::UNIX_EPOCH;
        let empty = Selection { since: Some(at), until: Some(at), ..base() };
        assert!(refused(empty, &mesh()).contains("ends before it begins"));
        let flows = (0..1_001).map(|n| format!("{n}").parse().unwrap()).collect();
        assert!(refused(Selection { flows, ..base() }, &mesh()).contains("1001 combinations"));
        assert!(refused(base(), &Mesh::default()).contains("no service has a home stream"));
    }
}
