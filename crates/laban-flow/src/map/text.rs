//! The map for a terminal: each service, what it reacts to and what comes of that; then each event, and who reacts.

use laban_wire::contract::HandlerContract;

use super::style::{count, list, notes, rate};
use super::{EdgeTraffic, Known, Map, MapEvent, MapStyle, Member};

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const CYAN: &str = "36";

impl Map {
    /// Writes the map as text.
    pub fn to_text(&self, style: MapStyle) -> String {
        let page = Page { map: self, style };
        let mut lines = vec![page.head()];
        for member in &self.services {
            lines.push(String::new());
            lines.extend(page.service(member));
        }
        if !self.events.is_empty() {
            lines.push(String::new());
            lines.push(page.paint(BOLD, "events"));
            lines.extend(page.events());
        }
        lines.join("\n") + "\n"
    }
}

struct Page<'m> {
    map: &'m Map,
    style: MapStyle,
}

impl Page<'_> {
    fn paint(&self, code: &str, text: &str) -> String {
        if self.style.colour && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn or_ascii(&self, sign: &'static str, ascii: &'static str) -> &'static str {
        if self.style.ascii { ascii } else { sign }
    }

    fn arrow(&self) -> String {
        self.paint(DIM, self.or_ascii("→", "->"))
    }

    fn head(&self) -> String {
        let parts = [
            self.paint(BOLD, "map"),
            count(self.map.services.len(), "service"),
            count(self.map.handlers().count(), "handler"),
            count(self.map.events.len(), "event"),
        ];
        let measured =
            self.map.traffic.as_ref().map(|traffic| format!("measured for {:.1} s", traffic.seconds));
        let parts: Vec<String> = parts.into_iter().chain(measured).collect();
        parts.join(self.or_ascii(" · ", " - "))
    }

    fn service(&self, member: &Member) -> Vec<String> {
        let mut lines = vec![self.paint(BOLD, member.name())];
        if member.known == Known::Consumers {
            lines[0] += "  ";
            lines[0] += &self.paint(DIM, "(known from its consumers only: no contract)");
        }
        let contract = &member.contract;
        let width = contract.handlers.iter().map(|handler| handler.name.len()).max().unwrap_or(0);
        if !contract.begins.is_empty() {
            let begins = format!("{:<width$}", "begins");
            lines.push(format!(
                "  {}  {} {}",
                self.paint(DIM, &begins),
                self.arrow(),
                list(&contract.begins)
            ));
        }
        for handler in &contract.handlers {
            lines.extend(self.handler(member, handler, width));
        }
        lines
    }

    fn handler(&self, member: &Member, handler: &HandlerContract, width: usize) -> Vec<String> {
        let outcomes = self.outcomes(handler);
        let head = format!("  {:<width$}  {}", handler.name, list(&handler.consumes));
        let mut lines = Vec::new();
        // A handler of many inputs has its outcomes on a line of their own.
        if outcomes.is_empty() {
            lines.push(head);
        } else if handler.consumes.len() > 2 {
            lines.push(head);
            lines.push(format!("  {:width$}  {} {outcomes}", "", self.arrow()));
        } else {
            lines.push(format!("{head} {} {outcomes}", self.arrow()));
        }
        for note in notes(handler) {
            lines.push(format!("  {:width$}  {}", "", self.paint(DIM, &note)));
        }
        let traffic = self.map.traffic.iter().flat_map(|traffic| &traffic.edges);
        for edge in traffic.filter(|edge| edge.service == member.name() && edge.handler == handler.name) {
            let (line, alarming) = load(edge);
            lines.push(format!("  {:width$}  {}", "", self.paint(if alarming { RED } else { CYAN }, &line)));
        }
        lines
    }

    fn outcomes(&self, handler: &HandlerContract) -> String {
        let mut outcomes = list(&handler.emits);
        for failure in &handler.fails_with {
            if !outcomes.is_empty() {
                outcomes += ", ";
            }
            outcomes += &self.paint(RED, &format!("{} {failure}", self.or_ascii("✗", "x")));
        }
        outcomes
    }

    fn events(&self) -> Vec<String> {
        let name = |event: &MapEvent| match event.version {
            Some(version) => format!("{} v{version}", event.event),
            None => event.event.to_string(),
        };
        let width = self.map.events.iter().map(|event| name(event).len()).max().unwrap_or(0);
        let line = |event: &MapEvent| {
            let places = event.consumed_by.iter().map(|place| format!("{} {}", place.service, place.handler));
            let places = places.collect::<Vec<_>>().join(", ");
            let who = match (places.as_str(), event.emitted_by.is_empty()) {
                (_, true) => self.paint(RED, "emitted by nobody on this map"),
                ("", _) => self.paint(DIM, "nobody reacts"),
                _ => places,
            };
            format!("  {:<width$}  {} {who}", name(event), self.arrow())
        };
        self.map.events.iter().map(line).collect()
    }
}

/// How much is on its way to a handler, and whether somebody should look.
fn load(edge: &EdgeTraffic) -> (String, bool) {
    let mut parts = vec![format!("{} {}", edge.on, rate(edge.per_second)), format!("lag {}", edge.lag)];
    if edge.in_hand > 0 {
        parts.push(format!("in hand {}", edge.in_hand));
    }
    if edge.redelivered > 0 {
        parts.push(format!("redelivered {}", edge.redelivered));
    }
    if edge.retries > 0 {
        parts.push(format!("retries {}", rate(edge.retries_per_second)));
    }
    if edge.dead > 0 {
        parts.push(format!("dead letters {}", edge.dead));
    }
    (parts.join(", "), edge.retries + edge.dead > 0)
}
