//! Streams on a terminal.

use std::time::Duration;

use laban_flow::streams::Stream;
use laban_flow::words;

use crate::flow::period::Period;

/// `812 B`, `6.1 kB`, `1.2 GB`: powers of a thousand.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if count < 1_000 {
        return format!("{count} B");
    }
    let (mut size, mut unit) = (count as f64 / 1e3, 0);
    while size >= 999.95 && unit + 1 < UNITS.len() {
        (size, unit) = (size / 1e3, unit + 1);
    }
    format!("{size:.1} {}", UNITS[unit])
}

/// How long a stream keeps messages.
pub(super) fn age(max: Option<Duration>) -> String {
    let Some(max) = max else { return "for ever".to_owned() };
    match (max.as_secs() / 86_400, max.as_secs() % 86_400) {
        (1, 0) => "1 day".to_owned(),
        (days, 0) if days > 0 => format!("{days} days"),
        _ => Period::text(max),
    }
}

/// `3, all current`; `3, 1 missing`.
pub(super) fn replicas(stream: &Stream) -> String {
    match stream.missing() {
        // With one there are no others to be behind.
        0 if stream.replicas == 1 => "1".to_owned(),
        0 => format!("{}, all current", stream.replicas),
        missing => format!("{}, {missing} missing", stream.replicas),
    }
}

/// Rows under their head, in columns as wide as need be; those named stand to the right.
pub(super) fn table(head: &[&str], right: &[usize], rows: &[Vec<String>], ascii: bool) -> String {
    let head = head.iter().map(|title| (*title).to_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(&head)
        .chain(rows)
        .map(|row| row.iter().map(|cell| words::plain(cell, ascii)).collect())
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            if right.contains(&column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        let cases = [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (999_949, "999.9 kB"),
            (999_950, "1.0 MB"),
            (6_100_000_000, "6.1 GB"),
            (u64::MAX, "18446.7 PB"),
        ];
        for (count, text) in cases {
            assert_eq!(bytes(count), text, "{count}");
        }
    }

    #[test]
    fn ages_are_days_where_they_can_be() {
        let day = Duration::from_secs(86_400);
        assert_eq!([age(None), age(Some(day)), age(Some(30 * day))], ["for ever", "1 day", "30 days"]);
        assert_eq!(age(Some(Duration::from_secs(7_200))), "2 h 0 min");
    }

    #[test]
    fn columns_are_as_wide_as_need_be() {
        let rows =
            [vec!["ORDER".to_owned(), "7".to_owned()], vec!["X".to_owned(), "1234\u{1b}[2J".to_owned()]];
        let expected = "stream       messages\nORDER               7\nX       1234\\u{1b}[2J\n";
        assert_eq!(table(&["stream", "messages"], &[1], &rows, false), expected);
    }
}
