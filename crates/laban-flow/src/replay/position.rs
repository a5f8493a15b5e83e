/// Where a delivery stands, from the subject on which it would be acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) seq: u64,
    /// Its number among the consumer's deliveries, from 1.
    pub(super) delivery: u64,
    /// The broker's timestamp, in nanoseconds since 1970.
    pub(super) nanos: u64,
    /// How many records the consumer has not delivered yet.
    pub(super) pending: u64,
}

impl Position {
    /// Reads `$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<timestamp>.<pending>`, since server 2.11
    /// also with `<domain>.<account hash>` after `$JS.ACK` and a random token at the end.
    pub(super) fn of(reply: &str) -> Option<Self> {
        let tokens = reply.strip_prefix("$JS.ACK.")?;
        // The stream, the consumer and how often it was delivered come before.
        let before = match tokens.bytes().filter(|byte| *byte == b'.').count() + 1 {
            7 => 3,
            9.. => 5,
            _ => return None,
        };
        let mut numbers = tokens.split('.').skip(before).map(|token| token.parse().ok());
        let mut number = || numbers.next().flatten();
        Some(Self { seq: number()?, delivery: number()?, nanos: number()?, pending: number()? })
    }
}

#[cfg(test)]
mod tests {
    use super::Position;

    #[test]
    fn both_forms_are_read_and_others_are_not() {
        let position = Position { seq: 7, delivery: 3, nanos: 1_793_000_000_001_002_003, pending: 12 };
        let tail = "1.7.3.1793000000001002003.12";
        assert_eq!(Position::of(&format!("$JS.ACK.ORDER.x.{tail}")), Some(position));
        assert_eq!(Position::of(&format!("$JS.ACK.hub.AB12.ORDER.x.{tail}.rnd")), Some(position));
        for other in ["_INBOX.a.b", "$JS.ACK.ORDER.x.1.7.3.y.12", "$JS.ACK.ORDER.x.1.7"] {
            assert_eq!(Position::of(other), None, "{other}");
        }
    }
}
