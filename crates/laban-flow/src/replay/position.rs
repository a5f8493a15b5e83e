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
        // From the bytes: it is done for every record, and the standard library's splitting costs more than the rest.
        let mut numbers = [0_u64; 4];
        let (mut token, mut digits) = (0, 0);
        for byte in tokens.bytes() {
            if byte == b'.' {
                token += 1;
                if token == before + numbers.len() {
                    break;
                }
            } else if let Some(number) = token.checked_sub(before).map(|index| &mut numbers[index]) {
                let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
                *number = number.checked_mul(10)?.checked_add(digit.into())?;
                digits += 1;
            }
        }
        let [seq, delivery, nanos, pending] = numbers;
        (digits >= numbers.len()).then_some(Self { seq, delivery, nanos, pending })
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
