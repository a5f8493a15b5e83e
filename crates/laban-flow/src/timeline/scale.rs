//! From milliseconds to places on a line, with idle times shortened.

use super::Timeline;

/// A part of the axis, and how wide it is drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub(crate) from_ms: f64,
    pub(crate) to_ms: f64,
    /// From 0 to 1.
    pub(crate) left: f64,
    pub(crate) right: f64,
    /// Nothing happened, and it is not to scale.
    pub(crate) is_gap: bool,
}

/// The whole axis.
#[derive(Clone, Debug)]
pub(crate) struct Scale(Vec<Part>);

/// An idle time is shortened when it is longer than this share of all that is not idle.
const LONG: f64 = 0.5;
/// How wide a shortened one is drawn.
const GAP: f64 = 0.03;

impl Scale {
    pub(crate) fn of(timeline: &Timeline) -> Self {
        let mut points: Vec<f64> = vec![0.0];
        for bar in &timeline.bars {
            points.extend([bar.running_ms, bar.ended_ms, bar.stored_ms]);
        }
        points.retain(|point| point.is_finite());
        points.sort_by(f64::total_cmp);
        points.dedup();
        // Runs, one after the other, those that overlap as one: what is between them is idle.
        let mut runs: Vec<(f64, f64)> = timeline
            .bars
            .iter()
            .map(|bar| (bar.running_ms, bar.ended_ms))
            .filter(|(from, to)| to > from)
            .collect();
        runs.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut busy: Vec<(f64, f64)> = Vec::new();
        for (from, to) in runs {
            match busy.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(to),
                _ => busy.push((from, to)),
            }
        }
        let mut next = 0;
        let mut idle: Vec<bool> = Vec::with_capacity(points.len());
        for pair in points.windows(2) {
            while busy.get(next).is_some_and(|run| run.1 <= pair[0]) {
                next += 1;
            }
            idle.push(busy.get(next).is_none_or(|run| run.0 >= pair[1]));
        }
        Self::lay_out(&points, &idle)
    }

    /// What is not idle decides what is long; where nothing took any time, the shortest idle time does.
    fn lay_out(points: &[f64], idle: &[bool]) -> Self {
        let spans = || points.windows(2).zip(idle).map(|(pair, idle)| (pair[0], pair[1], *idle));
        let active: f64 = spans().filter(|span| !span.2).map(|span| span.1 - span.0).sum();
        let shortest = spans().map(|span| span.1 - span.0).fold(f64::INFINITY, f64::min);
        let long = if active > 0.0 { active * LONG } else { shortest * 20.0 };
        let is_gap = |span: &(f64, f64, bool)| span.2 && span.1 - span.0 > long;
        let gaps = spans().filter(is_gap).count();
        let drawn: f64 = spans().filter(|span| !is_gap(span)).map(|span| span.1 - span.0).sum();
        let gap = if drawn > 0.0 { GAP.min(0.5 / gaps.max(1) as f64) } else { 1.0 / gaps.max(1) as f64 };
        let unit = if drawn > 0.0 { (1.0 - gap * gaps as f64) / drawn } else { 0.0 };
        let mut left = 0.0;
        let parts = spans().map(|span| {
            let is_gap = is_gap(&span);
            let right = left + if is_gap { gap } else { (span.1 - span.0) * unit };
            let part = Part { from_ms: span.0, to_ms: span.1, left, right, is_gap };
            left = right;
            part
        });
        Self(parts.collect())
    }

    /// Where a time is, from 0 to 1.
    pub(crate) fn place(&self, ms: f64) -> f64 {
        let index = self.0.partition_point(|part| part.to_ms < ms);
        match self.0.get(index) {
            Some(part) if ms > part.from_ms => {
                let share = (ms - part.from_ms) / (part.to_ms - part.from_ms);
                part.left + share * (part.right - part.left)
            }
            Some(part) => part.left,
            None => self.0.last().map_or(0.0, |part| part.right),
        }
    }

    pub(crate) fn gaps(&self) -> impl Iterator<Item = &Part> {
        self.0.iter().filter(|part| part.is_gap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::Bar;

    fn bar(from: f64, to: f64) -> Bar {
        Bar { waiting_ms: from, running_ms: from, ended_ms: to, stored_ms: to, shown_above: false }
    }

    fn scale(bars: &[Bar]) -> Scale {
        let length_ms = bars.iter().map(|bar| bar.stored_ms).fold(0.0, f64::max);
        Scale::of(&Timeline { bars: bars.to_vec(), length_ms })
    }

    #[test]
    fn what_is_busy_is_to_scale_and_long_idle_times_are_not() {
        let scale = scale(&[bar(0.0, 10.0), bar(10.0, 20.0), bar(3_600_020.0, 3_600_040.0)]);
        assert_eq!(
            scale.gaps().map(|gap| (gap.from_ms, gap.to_ms)).collect::<Vec<_>>(),
            [(20.0, 3_600_020.0)]
        );
        let near = |ms: f64, place: f64| (scale.place(ms) - place).abs() < 1e-9;
        assert!(near(0.0, 0.0) && near(10.0, 0.2425) && near(20.0, 0.485), "{scale:?}");
        assert!(near(3_600_020.0, 0.515) && near(3_600_040.0, 1.0) && near(9e9, 1.0), "{scale:?}");
        assert!(scale.place(1_000.0) > scale.place(500.0));
    }

    #[test]
    fn overlapping_runs_leave_no_gap() {
        assert_eq!(scale(&[bar(0.0, 100.0), bar(5.0, 10.0), bar(90.0, 110.0)]).gaps().count(), 0);
    }

    #[test]
    fn nothing_takes_any_room() {
        assert_eq!(scale(&[]).place(1.0), 0.0);
        assert_eq!(scale(&[bar(0.0, 0.0)]).place(0.0), 0.0);
        let instants = scale(&[bar(0.0, 0.0), bar(1.0, 1.0), bar(5_000.0, 5_000.0)]);
        assert_eq!(instants.gaps().count(), 1);
        assert!(instants.place(5_000.0) > 0.99);
    }
}
