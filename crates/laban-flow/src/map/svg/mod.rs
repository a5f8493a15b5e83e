//! The map as one self-contained SVG: from left to right, events between the handlers that emit them and those that react.

mod draw;
mod layers;
mod order;
mod place;

use std::collections::HashMap;

use laban_wire::EventType;
use laban_wire::contract::HandlerContract;

use super::style::{list, rate, time};
use super::{Map, Member};
use draw::{Shape, Tile, Wire};
use layers::{Graph, Layers};
use order::Neighbours;
use place::{Size, place};

/// A line of text: the advance of a fixed-width font is the same everywhere.
const ADVANCE: f64 = 7.3;
const LINE: f64 = 17.0;
const SMALL: f64 = 0.84;
/// A stand-in keeps this much room for the edge that passes.
const PASSING: f64 = 6.0;
/// Longer notes are cut: the map is about who reacts to what.
const LONGEST_NOTE: usize = 34;

impl Map {
    /// Draws the map: one SVG document, for light and for dark.
    pub fn to_svg(&self) -> String {
        let (tiles, wires) = self.parts();
        let graph =
            Graph { boxes: tiles.len(), edges: wires.iter().map(|wire| (wire.from, wire.to)).collect() };
        let mut layers = Layers::of(&graph);
        let neighbours = Neighbours::of(&layers);
        order::order(&mut layers, &neighbours);
        let mut sizes: Vec<Size> = tiles.iter().map(Tile::size).collect();
        sizes.resize(layers.nodes, Size { width: 0.0, height: PASSING });
        let points = place(&layers, &neighbours, tiles.len(), &mut sizes);
        let services: Vec<&str> = self.services.iter().map(Member::name).collect();
        draw::document(&draw::Picture { services, tiles, wires, layers, sizes, points })
    }

    /// What is drawn: a tile per event and handler, and the wires between them.
    fn parts(&self) -> (Vec<Tile>, Vec<Wire>) {
        let index = |service: &str| self.services.iter().position(|member| member.name() == service);
        let mut tiles = Vec::new();
        let mut at = HashMap::<&EventType, usize>::new();
        for event in &self.events {
            at.insert(&event.event, tiles.len());
            let version = event.version.filter(|version| *version > 1).map(|version| format!(" v{version}"));
            tiles.push(Tile {
                shape: if event.begins() { Shape::Beginning } else { Shape::Event },
                service: index(event.event.service()),
                title: format!("{}{}", event.event, version.unwrap_or_default()),
                above: None,
                below: Vec::new(),
            });
        }
        let mut wires = Vec::new();
        for (member, handler) in self.handlers() {
            let own = tiles.len();
            tiles.push(Tile {
                shape: Shape::Handler(member.known),
                service: index(member.name()),
                title: handler.name.clone(),
                above: Some(member.name().to_owned()),
                below: notes(handler).into_iter().chain(self.loads(member, handler)).collect(),
            });
            for event in &handler.consumes {
                let load = self.traffic_on(member.name(), &handler.name, event);
                wires.push(Wire {
                    from: at[event],
                    to: own,
                    fails: false,
                    alarming: load.is_some_and(|edge| edge.retries + edge.dead > 0),
                });
            }
            for (fails, event) in outcomes(handler) {
                wires.push(Wire { from: own, to: at[event], fails, alarming: false });
            }
        }
        (tiles, wires)
    }

    /// What is on its way to a handler, a line for each of its events: beside wires that meet there would be no room.
    fn loads(&self, member: &Member, handler: &HandlerContract) -> Vec<String> {
        let one = handler.consumes.len() == 1;
        let line = |event: &EventType| {
            let edge = self.traffic_on(member.name(), &handler.name, event)?;
            let load = format!("{}, lag {}", rate(edge.per_second), edge.lag);
            Some(if one { load } else { format!("{event} {load}") })
        };
        handler.consumes.iter().filter_map(line).collect()
    }
}

fn outcomes(handler: &HandlerContract) -> impl Iterator<Item = (bool, &EventType)> {
    let fails = handler.fails_with.iter().map(|event| (true, event));
    handler.emits.iter().map(|event| (false, event)).chain(fails)
}

fn notes(handler: &HandlerContract) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(deadline) = &handler.deadline {
        notes.push(format!("after {}, unless", time(deadline.within_ms)));
        notes.extend(deadline.unless.iter().map(EventType::to_string));
    }
    if !handler.compensates.is_empty() {
        notes.push(format!("↩ {}", list(&handler.compensates)));
    }
    for note in &mut notes {
        if note.chars().count() > LONGEST_NOTE {
            *note = note.chars().take(LONGEST_NOTE).chain(['…']).collect();
        }
    }
    notes
}

impl Tile {
    #[allow(clippy::cast_precision_loss, reason = "lines are short")]
    fn size(&self) -> Size {
        let length = |text: &str| text.chars().count() as f64 * ADVANCE;
        let small = self.above.iter().chain(&self.below).map(|line| length(line) * SMALL);
        let widest = small.fold(length(&self.title), f64::max);
        let lines = 1 + usize::from(self.above.is_some()) + self.below.len();
        Size { width: widest + 28.0, height: lines as f64 * LINE + 13.0 }
    }
}
