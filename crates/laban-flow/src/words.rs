//! Numbers and foreign text, made fit for a line on a terminal.
//!
//! For programs that show flows in their own way and want to say the same in the same words.

use std::fmt::Write as _;

use crate::State;
use crate::tree::Paint;
use time::{OffsetDateTime, UtcOffset};

/// `2026-11-07 10:12:01.123 UTC`.
pub fn stamp(at: OffsetDateTime) -> String {
    let at = at.to_offset(UtcOffset::UTC);
    let (hour, minute, second, milli) = at.to_hms_milli();
    format!("{} {hour:02}:{minute:02}:{second:02}.{milli:03} UTC", at.date())
}

/// `0.4 ms`, `1.25 s`, `2 min 5 s`, `3 h 20 min`, `4 d 7 h`.
pub fn duration(ms: f64) -> String {
    const UNITS: [(f64, &str, f64, &str); 3] =
        [(3_600.0, "min", 60.0, "s"), (86_400.0, "h", 3_600.0, "min"), (f64::INFINITY, "d", 86_400.0, "h")];
    if ms < 999.95 {
        return format!("{ms:.1} ms");
    }
    let seconds = (ms / 10.0).round() / 100.0;
    if seconds < 60.0 {
        return format!("{seconds:.2} s");
    }
    let mut smaller = 1.0;
    for (below, large, size, small) in UNITS {
        if seconds < below {
            let whole = (seconds / size).floor();
            return format!("{whole} {large} {} {small}", ((seconds - whole * size) / smaller).floor());
        }
        smaller = size;
    }
    format!("{seconds} s")
}

/// A time since the start of the flow; clocks of a cluster may differ, so it may be negative.
pub fn offset(ms: f64) -> String {
    // Below what is shown there is no sign to it.
    if ms <= -0.05 { format!("-{}", duration(-ms)) } else { format!("+{}", duration(ms.max(0.0))) }
}

/// Text from elsewhere without anything that moves the cursor or turns the line around.
pub fn plain(text: &str, ascii: bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' | '\r' => shown.push(' '),
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                escape(&mut shown, c)
            }
            _ if c.is_control() || (ascii && !c.is_ascii()) => escape(&mut shown, c),
            _ => shown.push(c),
        }
    }
    shown
}

fn escape(shown: &mut String, c: char) {
    // Writing to a String does not fail.
    let _ = write!(shown, "{}", c.escape_unicode());
}

/// The text in the colour of the state, by ANSI escape sequences.
pub fn coloured(state: State, text: &str) -> String {
    Paint { on: true }.state(state, text)
}

/// A key, in quotes when it could be mistaken for several words.
pub fn quoted(key: &str, ascii: bool) -> String {
    let plain = plain(key, ascii);
    if plain.contains(|c: char| c.is_whitespace() || c == '"') || plain != key {
        format!("\"{}\"", plain.replace('"', "\\\""))
    } else {
        plain
    }
}

/// At most this many characters, and a sign that there were more.
pub fn shortened(text: String, most: usize, ascii: bool) -> String {
    if text.chars().nth(most).is_none() {
        return text;
    }
    let sign = if ascii { "..." } else { "…" };
    text.chars().take(most).collect::<String>() + sign
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_keep_to_two_units() {
        let cases = [
            (0.0, "0.0 ms"),
            (0.412, "0.4 ms"),
            (999.94, "999.9 ms"),
            (999.96, "1.00 s"),
            (59_994.0, "59.99 s"),
            (59_996.0, "1 min 0 s"),
            (125_000.0, "2 min 5 s"),
            (12_000_000.0, "3 h 20 min"),
            (370_800_000.0, "4 d 7 h"),
        ];
        for (ms, text) in cases {
            assert_eq!(duration(ms), text, "{ms}");
        }
        assert_eq!([offset(-0.01), offset(-2.0), offset(2.0)], ["+0.0 ms", "-2.0 ms", "+2.0 ms"]);
    }

    #[test]
    fn foreign_text_cannot_move_the_cursor() {
        assert_eq!(plain("a\nb\x1b[2Jc\u{202e}", false), "a b\\u{1b}[2Jc\\u{202e}");
        assert_eq!(plain("Köln", false), "Köln");
        assert_eq!(plain("Köln", true), "K\\u{f6}ln");
    }

    #[test]
    fn keys_and_long_errors() {
        assert_eq!(quoted("4711", false), "4711");
        assert_eq!(quoted("a \"b\"", false), "\"a \\\"b\\\"\"");
        assert_eq!(quoted("🦀", true), "\"\\u{1f980}\"");
        assert_eq!(shortened("abcdef".into(), 3, false), "abc…");
        assert_eq!(shortened("abc".into(), 3, true), "abc");
    }
}
