//! The timeline as text.

use laban_wire::{DEAD, RETRYING};

use super::{Bar, Scale};
use crate::tree::{Kind, Paint};
use crate::words::{duration, plain, shortened};
use crate::{Flow, Step, TreeStyle};

/// A label wider than this is cut.
const WIDEST_LABEL: usize = 44;
/// The narrowest axis that shows anything.
const NARROWEST: usize = 16;

/// What the bars are made of: waiting, running, stored, a gap.
fn signs(ascii: bool) -> [char; 4] {
    if ascii { ['.', '#', '*', '~'] } else { ['░', '█', '◆', '╌'] }
}

impl Flow {
    /// Draws when each step waited, was worked on and was stored: a line a step, in lines of this many columns.
    pub fn to_timeline(&self, style: TreeStyle, columns: usize) -> String {
        let paint = Paint { on: style.colour };
        let timeline = self.timeline();
        let scale = Scale::of(&timeline);
        let labels: Vec<String> = self.steps.iter().map(|step| label(step, style)).collect();
        let label = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0);
        let times: Vec<String> =
            self.steps.iter().zip(&timeline.bars).map(|(step, bar)| took(step, bar)).collect();
        let time = times.iter().map(String::len).max().unwrap_or(0);
        let width = columns.saturating_sub(label + time + 4).max(NARROWEST);
        let mut lines = vec![self.head(style, paint), String::new()];
        for ((step, bar), (text, took)) in
            self.steps.iter().zip(&timeline.bars).zip(labels.iter().zip(&times))
        {
            let kind = match step.event.as_str() {
                DEAD => Kind::Dead,
                RETRYING => Kind::Retrying,
                _ if step.is_system() => Kind::System,
                _ => Kind::Event,
            };
            let drawn = draw(bar, &scale, width, signs(style.ascii));
            let gap = " ".repeat(label - text.chars().count());
            let line = format!("{}{gap}  {drawn}  {}", paint.row(kind, text), paint.dim(took));
            lines.push(line.trim_end().to_owned());
            for span in &step.inside {
                let text = format!("{}{}", "  ".repeat(span.depth + 1), plain(&span.name, style.ascii));
                let text: String = text.chars().take(label).collect();
                let gap = " ".repeat(label - text.chars().count());
                let drawn = draw(&bar.of_inside(span), &scale, width, signs(style.ascii));
                let line = format!("{text}{gap}  {drawn}  {}", duration(span.took_ms));
                lines.push(paint.row(if span.failed { Kind::Dead } else { Kind::System }, line.trim_end()));
            }
        }
        lines.push(self.axis(&scale, timeline.length_ms, label, width, style, paint));
        lines.push(legend(style, paint));
        lines.extend(self.foot(style, paint));
        lines.join("\n") + "\n"
    }

    /// Where the axis is shortened, and how long the flow took.
    fn axis(
        &self,
        scale: &Scale,
        length: f64,
        label: usize,
        width: usize,
        style: TreeStyle,
        paint: Paint,
    ) -> String {
        let [.., gap] = signs(style.ascii);
        let mut axis = vec![if style.ascii { '-' } else { '─' }; width];
        for part in scale.gaps() {
            let (from, to) = (column(part.left, width), column(part.right, width));
            axis[from..to.max(from + 1).min(width)].fill(gap);
        }
        let line: String = axis.into_iter().collect();
        let gaps: f64 = scale.gaps().map(|part| part.to_ms - part.from_ms).sum();
        let idle = if gaps > 0.0 { format!(", {} of it idle", duration(gaps)) } else { String::new() };
        paint.dim(&format!("{}  {line}  {}{idle}", " ".repeat(label), duration(length)))
    }
}

fn legend(style: TreeStyle, paint: Paint) -> String {
    let [waiting, running, stored, gap] = signs(style.ascii);
    paint.dim(&format!("{waiting} waiting  {running} handler  {stored} stored  {gap} idle, shortened"))
}

fn label(step: &Step, style: TreeStyle) -> String {
    let handler = step.handler.as_deref().map(|handler| format!("{handler} ")).unwrap_or_default();
    let arrow = if step.handler.is_none() {
        ""
    } else if style.ascii {
        "> "
    } else {
        "→ "
    };
    let text = format!("{} {handler}{arrow}{}", step.service, step.event);
    shortened(plain(&text, style.ascii), WIDEST_LABEL, style.ascii)
}

/// How long it waited and was worked on.
fn took(step: &Step, bar: &Bar) -> String {
    match (step.handle_ms, bar.shown_above) {
        (Some(handle), false) => {
            let waited = bar.running_ms - bar.waiting_ms;
            format!("{} + {}", duration(waited), duration(handle.as_f64()))
        }
        _ => String::new(),
    }
}

fn column(place: f64, width: usize) -> usize {
    // Between 0 and the width: the place is between 0 and 1.
    ((place * width as f64) as usize).min(width.saturating_sub(1))
}

fn draw(bar: &Bar, scale: &Scale, width: usize, [waiting, running, stored, _]: [char; 4]) -> String {
    let column = |ms: f64| column(scale.place(ms), width);
    let mut line = vec![' '; width];
    if !bar.shown_above {
        let (from, at, to) = (column(bar.waiting_ms), column(bar.running_ms), column(bar.ended_ms));
        line[from..at].fill(waiting);
        if bar.ended_ms > bar.running_ms {
            line[at..=to].fill(running);
        }
    }
    if bar.stored_ms.is_finite() {
        line[column(bar.stored_ms)] = stored;
    }
    line.into_iter().collect()
}
