//! Places into markup.

use std::fmt::{Arguments, Write as _};

use super::layers::{Layers, Route};
use super::place::{Point, Size};
use super::{LINE, SMALL};
use crate::map::Known;

/// A box, and what it says.
pub(super) struct Tile {
    pub(super) shape: Shape,
    /// The service whose colour it has.
    pub(super) service: Option<usize>,
    pub(super) title: String,
    /// A small line above the title.
    pub(super) above: Option<String>,
    /// Small lines below it.
    pub(super) below: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// An event that a flow may begin with.
    Beginning,
    Event,
    Handler(Known),
}

/// From a box to a box.
pub(super) struct Wire {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) fails: bool,
    pub(super) alarming: bool,
}

pub(super) struct Picture<'p> {
    pub(super) services: Vec<&'p str>,
    pub(super) tiles: Vec<Tile>,
    pub(super) wires: Vec<Wire>,
    pub(super) layers: Layers,
    pub(super) sizes: Vec<Size>,
    pub(super) points: Vec<Point>,
}

const MARGIN: f64 = 24.0;
/// The length of an arrow's head.
const ARROW: f64 = 7.0;
const LEGEND: f64 = 34.0;
const FONT: &str = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace";
/// Hues that are told apart, by service.
const HUES: [u32; 8] = [212, 150, 28, 275, 340, 185, 52, 100];

/// The whole document. Names are of letters, digits, `-`, `_` and `.`, so nothing needs an escape.
pub(super) fn document(picture: &Picture<'_>) -> String {
    let mut svg = String::new();
    let right = |node: usize| picture.points[node].x + picture.sizes[node].width / 2.0;
    let bottom = |node: usize| picture.points[node].y + picture.sizes[node].height / 2.0;
    let nodes = || 0..picture.layers.nodes;
    let legend = legend_width(picture);
    let width = nodes().map(right).fold(legend, f64::max) + 2.0 * MARGIN;
    let height = nodes().map(bottom).fold(0.0, f64::max) + 2.0 * MARGIN + LEGEND;
    put(
        &mut svg,
        format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
             viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" font-family=\"{FONT}\" font-size=\"12\">\n\
             <title>The map: who reacts to what</title>\n"
        ),
    );
    style(&mut svg, picture.services.len());
    put(&mut svg, format_args!("<rect class=\"page\" width=\"100%\" height=\"100%\"/>\n"));
    put(&mut svg, format_args!("<g transform=\"translate({MARGIN} {MARGIN})\">\n"));
    for (wire, route) in picture.wires.iter().zip(&picture.layers.routes) {
        draw_wire(&mut svg, picture, wire, route);
    }
    for (node, tile) in picture.tiles.iter().enumerate() {
        draw_tile(&mut svg, tile, picture.points[node], picture.sizes[node]);
    }
    svg += "</g>\n";
    draw_legend(&mut svg, picture, height - LEGEND);
    svg + "</svg>\n"
}

/// Writing to a text does not fail.
fn put(svg: &mut String, what: Arguments<'_>) {
    let _ = svg.write_fmt(what);
}

fn style(svg: &mut String, services: usize) {
    let theme = |dark: bool| {
        let (page, ink, soft, wire, bad) = if dark {
            ("#14171c", "#e8eaee", "#a4abb6", "#66707f", "#ff7b72")
        } else {
            ("#ffffff", "#1c2128", "#5c6470", "#9aa3af", "#c7362d")
        };
        let mut css = format!(
            ".page{{fill:{page}}}.ink{{fill:{ink}}}.soft{{fill:{soft}}}.w{{stroke:{wire}}}.a{{fill:{wire}}}\
             .bad,.hot{{stroke:{bad}}}.bada{{fill:{bad}}}.b{{fill:{page};stroke:{soft}}}"
        );
        for index in 0..services {
            let hue = HUES[index % HUES.len()];
            // From the second round on the hues repeat, paler.
            let pale = if index < HUES.len() { 0 } else { 14 };
            let (fill, stroke) = if dark { (17 + pale, 62) } else { (95 - pale, 42) };
            put(
                &mut css,
                format_args!(".s{index}{{fill:hsl({hue},55%,{fill}%);stroke:hsl({hue},55%,{stroke}%)}}"),
            );
        }
        css
    };
    put(
        svg,
        format_args!(
            "<style>.w,.bad,.hot{{fill:none;stroke-width:1.3}}.bad{{stroke-dasharray:5 4}}.b{{stroke-width:1.4}}{}\
             @media (prefers-color-scheme:dark){{{}}}</style>\n",
            theme(false),
            theme(true)
        ),
    );
}

fn draw_tile(svg: &mut String, tile: &Tile, at: Point, size: Size) {
    let Size { width, height } = size;
    let (x, y) = (at.x - width / 2.0, at.y - height / 2.0);
    let class = tile.service.map_or(String::new(), |index| format!(" s{index}"));
    let round = match tile.shape {
        Shape::Handler(_) => 5.0,
        _ => height / 2.0,
    };
    let dash = if tile.shape == Shape::Handler(Known::Consumers) { " stroke-dasharray=\"4 3\"" } else { "" };
    put(
        svg,
        format_args!(
            "<rect class=\"b{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" \
             rx=\"{round:.1}\"{dash}/>\n"
        ),
    );
    if tile.shape == Shape::Beginning {
        // A flow begins here: a second outline.
        put(
            svg,
            format_args!(
                "<rect class=\"b{class}\" style=\"fill:none\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" \
                 rx=\"{:.1}\"/>\n",
                x - 4.0,
                y - 4.0,
                width + 8.0,
                height + 8.0,
                round + 4.0
            ),
        );
    }
    let mut baseline = y + 6.5 + LINE * 0.72;
    let bold = if matches!(tile.shape, Shape::Handler(_)) { " font-weight=\"600\"" } else { "" };
    let mut line = |class: &str, attributes: &str, text: &str| {
        let x = at.x;
        put(
            svg,
            format_args!(
                "<text class=\"{class}\" x=\"{x:.1}\" y=\"{baseline:.1}\" text-anchor=\"middle\"{attributes}>{text}</text>\n"
            ),
        );
        baseline += LINE;
    };
    let small = format!(" font-size=\"{:.1}\"", 12.0 * SMALL);
    tile.above.iter().for_each(|text| line("soft", &small, text));
    line("ink", bold, &tile.title);
    tile.below.iter().for_each(|text| line("soft", &small, text));
}

/// Curves between columns, and level through them.
fn draw_wire(svg: &mut String, picture: &Picture<'_>, wire: &Wire, route: &Route) {
    let (Some(first), Some(last)) = (route.nodes.first(), route.nodes.last()) else { return };
    let side = |node: usize, side: f64| {
        let Point { x, y } = picture.points[node];
        Point { x: x + side * picture.sizes[node].width / 2.0, y }
    };
    let (mut start, mut end) = (side(*first, 1.0), side(*last, -1.0));
    if route.backwards {
        start.x += ARROW;
    } else {
        end.x -= ARROW;
    }
    let mut path = format!("M{:.1} {:.1}", start.x, start.y);
    let mut from = start;
    for node in &route.nodes[1..] {
        let to = if node == last { end } else { side(*node, -1.0) };
        let middle = f64::midpoint(from.x, to.x);
        put(
            &mut path,
            format_args!("C{middle:.1} {:.1} {middle:.1} {:.1} {:.1} {:.1}", from.y, to.y, to.x, to.y),
        );
        if node != last {
            from = side(*node, 1.0);
            put(&mut path, format_args!("H{:.1}", from.x));
        }
    }
    let (class, arrow) = match (wire.fails, wire.alarming) {
        (true, _) => ("bad", "bada"),
        (false, true) => ("hot", "bada"),
        (false, false) => ("w", "a"),
    };
    put(svg, format_args!("<path class=\"{class}\" d=\"{path}\"/>\n"));
    let (at, direction) = if route.backwards { (start, -1.0) } else { (end, 1.0) };
    put(
        svg,
        format_args!(
            "<path class=\"{arrow}\" d=\"M{:.1} {:.1}l{:.1} -4v8z\"/>\n",
            at.x + ARROW * direction,
            at.y,
            -ARROW * direction
        ),
    );
}

const KEYS: [(&str, bool); 2] = [("success", false), ("failure", true)];

#[allow(clippy::cast_precision_loss, reason = "names are short")]
fn key_width(text: &str) -> f64 {
    text.chars().count() as f64 * super::ADVANCE + 40.0
}

fn legend_width(picture: &Picture<'_>) -> f64 {
    let keys = KEYS.iter().map(|(text, _)| *text);
    picture.services.iter().copied().chain(keys).map(key_width).sum()
}

fn draw_legend(svg: &mut String, picture: &Picture<'_>, y: f64) {
    let mut x = MARGIN;
    for (index, service) in picture.services.iter().enumerate() {
        put(
            svg,
            format_args!(
                "<rect class=\"b s{index}\" x=\"{x:.1}\" y=\"{:.1}\" width=\"14\" height=\"14\" rx=\"3\"/>\
                 <text class=\"soft\" x=\"{:.1}\" y=\"{:.1}\">{service}</text>\n",
                y - 11.0,
                x + 20.0,
                y
            ),
        );
        x += key_width(service);
    }
    for (text, fails) in KEYS {
        let class = if fails { "bad" } else { "w" };
        put(
            svg,
            format_args!(
                "<path class=\"{class}\" d=\"M{x:.1} {:.1}h22\"/><text class=\"soft\" x=\"{:.1}\" y=\"{y:.1}\">{text}</text>\n",
                y - 4.0,
                x + 28.0
            ),
        );
        x += key_width(text);
    }
}
