//! The report for people.

use std::fmt::Write as _;

use super::{Measure, Report, Scenario};

/// As aligned text.
pub(crate) fn text(report: &Report) -> String {
    let mut out = String::new();
    let machine = &report.machine;
    let _ = writeln!(
        out,
        "{}, {} cores, {}; nats-server {}; {}; commit {}",
        machine.cpu, machine.cores, machine.kernel, machine.nats_server, machine.rustc, machine.commit
    );
    let _ = writeln!(
        out,
        "± is half the spread of the rounds; ratios are of figures of this run, min–max those of its rounds"
    );
    for scenario in &report.scenarios {
        let _ = writeln!(out, "\n{}: {}\n", scenario.name, scenario.what);
        out.push_str(&aligned(&table(scenario)));
    }
    if !report.targets.is_empty() {
        let _ = writeln!(out, "\ntargets, of laban as it is by default\n");
        let mut rows = vec![["target", "allocator", "wanted", "measured", ""].map(str::to_owned).to_vec()];
        for target in &report.targets {
            let sign = if target.at_least { "≥" } else { "≤" };
            rows.push(vec![
                target.what.to_owned(),
                target.allocator.to_owned(),
                format!("{sign} {}", number(target.bound)),
                number(target.measured),
                if target.met { "met" } else { "missed" }.to_owned(),
            ]);
        }
        out.push_str(&aligned(&rows));
    }
    for note in &report.notes {
        let _ = writeln!(out, "\nnote: {note}");
    }
    out
}

/// Rows of cells: for each measure the figure, and where there is something to compare with, how far the samples are
/// from it, the ratio, and the ratio's spread over the rounds.
fn table(scenario: &Scenario) -> Vec<Vec<String>> {
    let measures = &scenario.measures;
    let mut names: Vec<(&str, Option<&str>)> = Vec::new();
    for row in measures.iter().flat_map(|measure| &measure.rows) {
        if !names.contains(&(&row.name, row.allocator)) {
            names.push((&row.name, row.allocator));
        }
    }
    // One allocator's rows together.
    names.sort_by_key(|(_, allocator)| *allocator == Some("mimalloc"));
    let mut heading = vec![String::new()];
    for measure in measures {
        heading.extend([measure.heading.to_owned(), "±".to_owned()]);
        if let Some(base) = measure.base {
            heading.extend([format!("by {base}"), "min–max".to_owned()]);
        }
    }
    let mut rows = vec![heading];
    for (name, allocator) in names {
        let shown = match allocator {
            Some("mimalloc") => format!("{name}+mimalloc"),
            _ => name.to_owned(),
        };
        let cells = measures.iter().flat_map(|measure| cells(measure, name, allocator));
        rows.push(std::iter::once(shown).chain(cells).collect());
    }
    rows
}

fn cells(measure: &Measure, name: &str, allocator: Option<&str>) -> Vec<String> {
    let Some(row) = measure.row(name, allocator) else {
        let columns = if measure.base.is_some() { 4 } else { 2 };
        return [vec!["-".to_owned()], vec![String::new(); columns - 1]].concat();
    };
    let spread = match row.samples.len() {
        0 | 1 => String::new(),
        _ if row.median == 0.0 => String::new(),
        _ => format!("{:.0}%", 50.0 * (row.max - row.min) / row.median),
    };
    let mut cells = vec![number(row.figure), spread];
    if let Some(base) = measure.base {
        cells.extend(match row.ratio {
            Some(ratio) if name != base => {
                let rounds = format!("{:.2}–{:.2}", ratio.min, ratio.max);
                [
                    format!("{:.2}", ratio.of_figures),
                    if row.samples.len() > 1 { rounds } else { String::new() },
                ]
            }
            _ => [String::new(), String::new()],
        });
    }
    cells
}

/// Three digits, or all before the point.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// Columns of equal width: the first to the left, the others to the right.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell: &String| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = widths[column];
            let _ =
                if column == 0 { write!(line, "{cell:<width$}  ") } else { write!(line, "{cell:>width$}  ") };
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        assert_eq!(
            [12_345.6, 123.4, 12.34, 1.234, 0.1234, 0.0].map(number),
            ["12346", "123", "12.3", "1.23", "0.123", "0"]
        );
    }

    #[test]
    fn columns_are_aligned() {
        let rows = [vec!["a", "1"], vec!["long", "100"]];
        let rows: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect();
        assert_eq!(aligned(&rows), "a       1\nlong  100\n");
    }
}
