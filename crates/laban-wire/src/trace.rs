use std::fmt;
use std::str::FromStr;

/// W3C Trace Context, <https://www.w3.org/TR/trace-context/#traceparent-header>.
pub const TRACEPARENT: &str = "traceparent";
/// W3C Trace Context; written only when not empty.
pub const TRACESTATE: &str = "tracestate";
/// W3C Baggage; written only when not empty.
pub const BAGGAGE: &str = "baggage";

/// A parsed `traceparent` header of version 00 (later versions are read as 00, as the specification asks).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TraceParent {
    /// 16 bytes, not all zero.
    pub trace_id: u128,
    /// 8 bytes, not all zero.
    pub span_id: u64,
    /// Bit 0: sampled.
    pub flags: u8,
}

impl TraceParent {
    /// The header's value.
    pub fn to_header(&self) -> String {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut value = String::with_capacity(55);
        let mut part = |bytes: &[u8]| {
            value.push('-');
            value.extend(bytes.iter().flat_map(|byte| {
                [char::from(HEX[usize::from(byte >> 4)]), char::from(HEX[usize::from(byte & 15)])]
            }));
        };
        part(&self.trace_id.to_be_bytes());
        part(&self.span_id.to_be_bytes());
        part(&[self.flags]);
        value.insert_str(0, "00");
        value
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_header())
    }
}

impl FromStr for TraceParent {
    type Err = InvalidTraceParent;
    fn from_str(text: &str) -> Result<Self, InvalidTraceParent> {
        parse(text).ok_or(InvalidTraceParent)
    }
}

fn parse(text: &str) -> Option<TraceParent> {
    // Lower-case hex only, fixed widths; from_str_radix alone would take `+1` and capitals.
    let hex = |range: std::ops::Range<usize>| {
        let part = text.get(range)?;
        part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')).then_some(part)
    };
    let dash = |at: usize| text.as_bytes().get(at) == Some(&b'-');
    let version = hex(0..2)?;
    let tail_ok = match version {
        "ff" => false,
        "00" => text.len() == 55,
        _ => text.len() == 55 || dash(55),
    };
    if !(tail_ok && dash(2) && dash(35) && dash(52)) {
        return None;
    }
    let parsed = TraceParent {
        trace_id: u128::from_str_radix(hex(3..35)?, 16).ok()?,
        span_id: u64::from_str_radix(hex(36..52)?, 16).ok()?,
        flags: u8::from_str_radix(hex(53..55)?, 16).ok()?,
    };
    (parsed.trace_id != 0 && parsed.span_id != 0).then_some(parsed)
}

/// A `traceparent` that is not one; the specification says to go on as if there were none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a W3C traceparent")]
pub struct InvalidTraceParent;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(text.parse::<TraceParent>().unwrap().to_string(), text);
    }

    #[test]
    fn what_the_specification_refuses() {
        for text in [
            "",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473é-0f067aa0ba902b7-01",
        ] {
            assert_eq!(text.parse::<TraceParent>(), Err(InvalidTraceParent), "{text}");
        }
        assert!(
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-later".parse::<TraceParent>().is_ok()
        );
    }
}
