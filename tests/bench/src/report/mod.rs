//! What was measured: every sample, what follows from them, and whether that is enough.

mod machine;
mod targets;
mod text;

use std::path::Path;

use serde::Serialize;

pub(crate) use machine::Machine;
pub(crate) use targets::{Target, judge};
pub(crate) use text::text;

use crate::error::{Doing as _, Result};
use crate::stats;

/// All of it, as in `report.json`.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Version of this layout.
    pub(crate) schema: u32,
    /// Where and with what it was measured.
    pub(crate) machine: Machine,
    /// The command line.
    pub(crate) options: Vec<String>,
    /// What was measured.
    pub(crate) scenarios: Vec<Scenario>,
    /// What was hoped for.
    pub(crate) targets: Vec<Target>,
    /// What was left out, and why.
    pub(crate) notes: Vec<String>,
}

/// One scenario's measures.
#[derive(Debug, Serialize)]
pub(crate) struct Scenario {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// What it is, in one sentence.
    pub(crate) what: String,
    /// One for each thing measured.
    pub(crate) measures: Vec<Measure>,
}

/// One thing measured, for all who were measured.
#[derive(Debug, Serialize)]
pub(crate) struct Measure {
    /// What: `flows_per_s`.
    pub(crate) name: &'static str,
    /// The heading of its column: `flows/s`.
    pub(crate) heading: &'static str,
    /// Which row the others are compared with, if they are.
    pub(crate) base: Option<&'static str>,
    /// One for each who was measured.
    pub(crate) rows: Vec<Row>,
}

/// One contestant's, or one case's, samples.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    /// A contestant, or a case.
    pub(crate) name: String,
    /// What its memory comes from, where that is known.
    pub(crate) allocator: Option<&'static str>,
    /// One for each round.
    pub(crate) samples: Vec<f64>,
    /// What stands for the row: the samples' median, or what was worked out over all rounds together (a percentile).
    pub(crate) figure: f64,
    /// The samples' median.
    pub(crate) median: f64,
    /// The smallest.
    pub(crate) min: f64,
    /// The largest.
    pub(crate) max: f64,
    /// Compared with the base of the same allocator.
    pub(crate) ratio: Option<Ratio>,
}

/// A comparison.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Ratio {
    /// Figure by figure.
    pub(crate) of_figures: f64,
    /// The median of the rounds' ratios.
    pub(crate) median: f64,
    /// The smallest of the rounds' ratios.
    pub(crate) min: f64,
    /// The largest of the rounds' ratios.
    pub(crate) max: f64,
}

impl Scenario {
    /// Nothing measured yet.
    pub(crate) fn new(name: &'static str, what: impl Into<String>) -> Self {
        Self { name, what: what.into(), measures: Vec::new() }
    }

    /// Adds a thing to measure, which the rows are compared in with the row `base`.
    #[must_use]
    pub(crate) fn measuring(
        mut self,
        name: &'static str,
        heading: &'static str,
        base: Option<&'static str>,
    ) -> Self {
        self.measures.push(Measure { name, heading, base, rows: Vec::new() });
        self
    }

    /// Adds a sample.
    pub(crate) fn sample(&mut self, measure: &str, row: &str, allocator: Option<&'static str>, sample: f64) {
        let Some(measure) = self.measures.iter_mut().find(|known| known.name == measure) else { return };
        let found = measure.rows.iter_mut().find(|known| known.name == row && known.allocator == allocator);
        match found {
            Some(row) => row.samples.push(sample),
            None => measure.rows.push(Row {
                name: row.to_owned(),
                allocator,
                samples: vec![sample],
                figure: f64::NAN,
                median: 0.0,
                min: 0.0,
                max: 0.0,
                ratio: None,
            }),
        }
    }

    /// Sets what stands for a row, worked out over all rounds together.
    pub(crate) fn figure(&mut self, measure: &str, row: &str, allocator: Option<&'static str>, figure: f64) {
        let measure = self.measures.iter_mut().find(|known| known.name == measure);
        let mut rows = measure.into_iter().flat_map(|measure| &mut measure.rows);
        if let Some(row) = rows.find(|known| known.name == row && known.allocator == allocator) {
            row.figure = figure;
        }
    }

    /// A measure by its name.
    pub(crate) fn measure(&self, name: &str) -> Option<&Measure> {
        self.measures.iter().find(|measure| measure.name == name)
    }

    /// Works out medians, spreads and ratios.
    #[must_use]
    pub(crate) fn finished(mut self) -> Self {
        for measure in &mut self.measures {
            measure.finish();
        }
        self
    }
}

impl Measure {
    fn finish(&mut self) {
        for row in &mut self.rows {
            row.median = stats::median(&row.samples).unwrap_or_default();
            if row.figure.is_nan() {
                row.figure = row.median;
            }
            (row.min, row.max) = stats::range(&row.samples).unwrap_or_default();
        }
        let Some(base) = self.base else { return };
        let ratios: Vec<_> = self
            .rows
            .iter()
            .map(|row| row.ratio_to(self.row(base, row.allocator).or_else(|| self.any_row(base))?))
            .collect();
        for (row, ratio) in self.rows.iter_mut().zip(ratios) {
            row.ratio = ratio;
        }
    }

    /// A row by its name and allocator.
    pub(crate) fn row(&self, name: &str, allocator: Option<&str>) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name && row.allocator == allocator)
    }

    fn any_row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }
}

impl Row {
    fn ratio_to(&self, base: &Self) -> Option<Ratio> {
        let rounds = stats::paired_ratios(&self.samples, &base.samples);
        let (min, max) = stats::range(&rounds)?;
        (base.figure != 0.0).then_some(Ratio {
            of_figures: self.figure / base.figure,
            median: stats::median(&rounds)?,
            min,
            max,
        })
    }
}

impl Report {
    /// As JSON.
    pub(crate) fn json(&self) -> Result<String> {
        serde_json::to_string_pretty(self).doing("write the report")
    }

    /// Into a file.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        std::fs::write(path, self.json()? + "\n").doing(format_args!("write {}", path.display()))
    }
}

/// Who lost spans: what is not exported costs nothing, so that rate flatters.
pub(crate) fn lost_spans(scenarios: &[Scenario]) -> Vec<String> {
    let measures = scenarios.iter().filter_map(|scenario| scenario.measure("spans_percent"));
    let lossy = measures.flat_map(|measure| &measure.rows).filter(|row| row.median < 99.0);
    lossy
        .map(|row| {
            let allocator = row.allocator.unwrap_or("its own");
            format!(
                "{} ({allocator} allocator) delivered {:.0}% of its spans (median; the worst round {:.0}%): the rest cost it \
                 nothing, so its rate is flattered",
                row.name, row.median, row.min
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_compared_with_the_base_of_their_allocator() {
        let mut scenario = Scenario::new("chain", "").measuring("rate", "rate", Some("raw"));
        for (row, allocator, samples) in [
            ("raw", "system", [10.0, 20.0, 30.0]),
            ("laban", "system", [8.0, 18.0, 24.0]),
            ("raw", "mimalloc", [100.0, 100.0, 100.0]),
            ("laban", "mimalloc", [90.0, 90.0, 90.0]),
        ] {
            for sample in samples {
                scenario.sample("rate", row, Some(allocator), sample);
            }
        }
        let scenario = scenario.finished();
        let rate = scenario.measure("rate").unwrap();
        let ratio = rate.row("laban", Some("system")).unwrap().ratio.unwrap();
        assert_eq!((ratio.of_figures, ratio.median, ratio.min, ratio.max), (0.9, 0.8, 0.8, 0.9));
        assert_eq!(rate.row("laban", Some("mimalloc")).unwrap().ratio.unwrap().median, 0.9);
        assert_eq!(rate.row("raw", Some("system")).unwrap().ratio.unwrap().median, 1.0);
    }

    #[test]
    fn a_figure_over_all_rounds_stands_for_the_row() {
        let mut scenario = Scenario::new("latency", "").measuring("p99", "p99", Some("raw"));
        scenario.sample("p99", "raw", None, 2.0);
        scenario.sample("p99", "raw", None, 4.0);
        scenario.figure("p99", "raw", None, 3.5);
        let scenario = scenario.finished();
        let row = scenario.measure("p99").unwrap().row("raw", None).unwrap();
        assert_eq!((row.figure, row.median), (3.5, 3.0));
    }
}
