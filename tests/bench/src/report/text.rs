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

/// Rows of cells: for each measure the median, the spread, and the ratio with its spread.
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
    let mut heading = vec![String::new(), "allocator".to_owned()];
    for measure in measures {
        heading.extend([measure.heading.to_owned(), "min–max".to_owned()]);
        if measure.base.is_some() {
            heading.extend(["ratio".to_owned(), "min–max".to_owned()]);
        }
    }
    let mut rows = vec![heading];
    for (name, allocator) in names {
        let mut cells = vec![name.to_owned(), allocator.unwrap_or("own").to_owned()];
        for measure in measures {
            cells.extend(cells_of(measure, name, allocator));
        }
        rows.push(cells);
    }
    rows
}

fn cells_of(measure: &Measure, name: &str, allocator: Option<&str>) -> Vec<String> {
    let row = measure.row(name, allocator);
    let mut cells = match row {
        Some(row) if row.samples.len() > 1 => {
            vec![number(row.figure), format!("{}–{}", number(row.min), number(row.max))]
        }
        Some(row) => vec![number(row.figure), String::new()],
        None => vec!["-".to_owned(), String::new()],
    };
    if measure.base.is_some() {
        match row.and_then(|row| row.ratio) {
            Some(ratio) => cells
                .extend([format!("{:.2}", ratio.of_figures), format!("{:.2}–{:.2}", ratio.min, ratio.max)]),
            None => cells.extend([String::new(), String::new()]),
        }
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

/// Columns of equal width: the first two to the left, the others to the right.
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
                if column < 2 { write!(line, "{cell:<width$}  ") } else { write!(line, "{cell:>width$}  ") };
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
        let rows = [vec!["a", "b", "1"], vec!["long", "b", "100"]];
        let rows: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect();
        assert_eq!(aligned(&rows), "a     b    1\nlong  b  100\n");
    }
}
