//! The map as a Mermaid flowchart.

use std::collections::HashMap;
use std::fmt::Write as _;

use laban_wire::EventType;

use super::style::{notes, rate};
use super::{Known, Map};

impl Map {
    /// Writes the map as a Mermaid flowchart: events are round, handlers have corners and the colour of their service, and
    /// failures are dashed.
    pub fn to_mermaid(&self) -> String {
        let mut chart = String::from("flowchart LR\n");
        // Names may have a `-`, and some words mean something to Mermaid: numbers are safe ids.
        let ids: HashMap<&EventType, usize> =
            self.events.iter().enumerate().map(|(id, event)| (&event.event, id)).collect();
        for (id, event) in self.events.iter().enumerate() {
            let class = self.class_of(event.event.service());
            push(&mut chart, format_args!("  e{id}([\"{}\"]){class}\n", event.event));
            if event.begins() {
                push(&mut chart, format_args!("  b{id}((\" \")) --> e{id}\n"));
            }
        }
        for (h, (member, handler)) in self.handlers().enumerate() {
            let mut label = format!("{}<br/><b>{}</b>", member.name(), handler.name);
            for note in notes(handler) {
                label += "<br/><i>";
                label += &note;
                label += "</i>";
            }
            let class = self.class_of(member.name());
            push(&mut chart, format_args!("  h{h}[\"{label}\"]{class}\n"));
            for event in &handler.consumes {
                let label = self.load_of(member.name(), &handler.name, event);
                push(&mut chart, format_args!("  e{} -->{label} h{h}\n", ids[event]));
            }
            for event in &handler.emits {
                push(&mut chart, format_args!("  h{h} --> e{}\n", ids[event]));
            }
            for event in &handler.fails_with {
                push(&mut chart, format_args!("  h{h} -. fails .-> e{}\n", ids[event]));
            }
        }
        for (index, member) in self.services.iter().enumerate() {
            let (hue, dash) = (hue(index), dash(member.known));
            push(&mut chart, format_args!("  classDef s{index} stroke:{hue},stroke-width:2px{dash}\n"));
        }
        chart
    }

    fn class_of(&self, service: &str) -> String {
        match self.services.iter().position(|member| member.name() == service) {
            Some(index) => format!(":::s{index}"),
            None => String::new(),
        }
    }

    fn load_of(&self, service: &str, handler: &str, on: &EventType) -> String {
        match self.traffic_on(service, handler, on) {
            Some(edge) => format!("|{}, lag {}|", rate(edge.per_second), edge.lag),
            None => String::new(),
        }
    }
}

/// Writing to a text does not fail.
fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(what);
}

fn dash(known: Known) -> &'static str {
    match known {
        Known::Contract => "",
        Known::Consumers => ",stroke-dasharray:4",
    }
}

/// Colours that are told apart on white and on black, by service.
fn hue(index: usize) -> &'static str {
    const HUES: [&str; 8] =
        ["#2b7de9", "#d1493f", "#2f9e62", "#9a57d4", "#c98a12", "#1b9aaa", "#c2478f", "#6f7d1f"];
    HUES[index % HUES.len()]
}
