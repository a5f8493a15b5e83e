//! A flow as text: a tree by cause, one line a step, in aligned columns.

mod paint;
mod rows;

use crate::words::{duration, plain, quoted, stamp};
use crate::{Flow, State};
pub(crate) use paint::{Kind, Paint};
use rows::{Row, rows};

/// How a tree is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TreeStyle {
    /// Draws with ASCII only, and escapes everything else.
    pub ascii: bool,
    /// Colours by ANSI escape sequences.
    pub colour: bool,
}

/// A label wider than this does not push the columns of all others to the right.
const WIDEST_LABEL: usize = 64;
/// More than this many awaited reactions are counted, not listed.
const MOST_LISTED: usize = 20;

impl Flow {
    /// Draws the flow: a head line, then each step below its cause with the handler that made it, the attempt when it was
    /// not the first, how long the event waited and the handler ran, and the time since the start; awaited reactions are the
    /// last below the event they wait for, and listed again at the end.
    pub fn to_tree(&self, style: TreeStyle) -> String {
        let paint = Paint { on: style.colour };
        let mut lines = vec![self.head(style, paint), String::new()];
        lines.extend(table(&rows(self, style), paint));
        lines.extend(self.foot(style, paint));
        lines.join("\n") + "\n"
    }

    pub(crate) fn head(&self, style: TreeStyle, paint: Paint) -> String {
        let last =
            self.steps.iter().map(|step| step.at).chain(self.unreadable.iter().map(|message| message.at));
        let length =
            duration((last.max().unwrap_or(self.started_at) - self.started_at).as_seconds_f64() * 1e3);
        let mut parts = vec![
            paint.bold(&format!("flow {}", quoted(&self.flow, style.ascii))),
            paint.state(self.state, &self.state.to_string()),
            if self.ended_at.is_some() { length } else { format!("{length} so far") },
            format!("started {}", stamp(self.started_at)),
        ];
        match self.traces().as_slice() {
            [] => {}
            [one] => parts.push(format!("trace {one}")),
            many => parts.push(format!("traces {}", many.join(", "))),
        }
        parts.join(if style.ascii { " - " } else { " · " })
    }

    pub(crate) fn foot(&self, style: TreeStyle, paint: Paint) -> Vec<String> {
        if self.awaited.is_empty() {
            return Vec::new();
        }
        let mut lines = vec![String::new()];
        // What is overdue comes first: it must not be among those that are counted.
        let mut listed: Vec<_> = self.awaited.iter().collect();
        listed.sort_by_key(|awaited| awaited.overdue.is_none());
        for awaited in listed.into_iter().take(MOST_LISTED) {
            let service = plain(&awaited.service, style.ascii);
            let handler = plain(&awaited.handler, style.ascii);
            let what = format!("{service} {handler}, on {}", awaited.event);
            lines.push(match awaited.overdue {
                Some(overdue) => paint.overdue(&format!("overdue: {what}, since {}", stamp(overdue.since))),
                None => paint.waiting(&format!("awaited: {what}")),
            });
        }
        if let Some(more) = self.awaited.len().checked_sub(MOST_LISTED + 1) {
            lines.push(paint.waiting(&format!("awaited: {} more", more + 1)));
        }
        if self.state == State::Dead {
            lines.push("A dead letter stands; the reactions above may still come.".to_owned());
        }
        lines
    }
}

/// Aligns the columns; one that no row uses is left out.
fn table(rows: &[Row], paint: Paint) -> Vec<String> {
    const HEADS: [&str; 5] = ["handler", "try", "queued", "handled", "at"];
    const LEFT: [bool; 5] = [true, false, false, false, false];
    let labels = rows.iter().map(Row::label_width).filter(|width| *width <= WIDEST_LABEL);
    let label = labels.max().unwrap_or(0).max("event".len());
    let used: Vec<(usize, usize)> = (0..HEADS.len())
        .filter(|column| rows.iter().any(|row| !row.cells[*column].is_empty()))
        .map(|column| {
            let widths = rows.iter().map(|row| row.cells[column].chars().count());
            (column, widths.max().unwrap_or(0).max(HEADS[column].len()))
        })
        .collect();
    let cells = |cells: &[String; 5]| {
        let mut text = String::new();
        for (column, width) in &used {
            let cell = &cells[*column];
            text += "  ";
            text += &if LEFT[*column] { format!("{cell:<width$}") } else { format!("{cell:>width$}") };
        }
        text
    };
    let head = format!("{:<label$}{}", "event", cells(&HEADS.map(str::to_owned)));
    let mut lines = vec![paint.dim(&head)];
    for row in rows {
        let gap = " ".repeat(label.saturating_sub(row.label_width()));
        let (own, columns) = (paint.row(row.kind, &row.label), cells(&row.cells));
        let line = if row.note.is_empty() {
            format!("{}{own}{gap}{columns}", paint.dim(&row.branch))
        } else {
            format!("{}{own}{gap}{columns}  {}", paint.dim(&row.branch), paint.row(row.kind, &row.note))
        };
        lines.push(line.trim_end().to_owned());
    }
    lines
}
