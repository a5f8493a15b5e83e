/// What a subject begins with on which a consumer's delivery is acknowledged.
const PREFIX: &str = "$JS.ACK.";

/// Where a delivery stands, as the subject on which it is acknowledged says.
///
/// ```
/// use laban_wire::AckSubject;
///
/// let reply = "$JS.ACK.ORDER.payment_charge_order_placed.2.4711.4800.1763700000123456789.3";
/// let told = AckSubject::read(reply).expect("a delivery of a consumer");
/// assert_eq!((told.seq, told.delivered, told.pending), (4711, 2, 3));
/// assert_eq!(AckSubject::read("_INBOX.4711"), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckSubject {
    /// How often the message has been delivered, this time included.
    pub delivered: u64,
    /// The message's sequence in the stream.
    pub seq: u64,
    /// The delivery's number among all deliveries of the consumer, from 1.
    pub delivery: u64,
    /// The broker's timestamp of the message, in nanoseconds since 1970.
    pub nanos: u64,
    /// How many messages the consumer has not delivered yet.
    pub pending: u64,
}

impl AckSubject {
    /// Reads `$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<timestamp>.<pending>`, since server 2.11
    /// also with `<domain>.<account hash>` after `$JS.ACK` and a random token at the end.
    ///
    /// `None` for any other subject: the message was not delivered by a consumer.
    pub fn read(subject: &str) -> Option<Self> {
        let tokens = subject.strip_prefix(PREFIX)?.as_bytes();
        // The stream and the consumer come before, and are known to whoever asked.
        let before = match tokens.iter().filter(|byte| **byte == b'.').count() + 1 {
            7 => 2,
            9.. => 4,
            _ => return None,
        };
        // From the bytes: it is done for every delivery, and the standard library's splitting costs more than the rest of
        // the reading.
        let mut numbers = [0_u64; 5];
        let (mut token, mut empty) = (0, true);
        for byte in tokens {
            if *byte == b'.' {
                if empty {
                    return None;
                }
                (token, empty) = (token + 1, true);
                if token == before + numbers.len() {
                    break;
                }
                continue;
            }
            empty = false;
            if let Some(number) = token.checked_sub(before).and_then(|index| numbers.get_mut(index)) {
                let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
                *number = number.checked_mul(10)?.checked_add(digit.into())?;
            }
        }
        // The last number may be the last token.
        if empty && token < before + numbers.len() {
            return None;
        }
        let [delivered, seq, delivery, nanos, pending] = numbers;
        Some(Self { delivered, seq, delivery, nanos, pending })
    }

    /// Whether a subject is one on which deliveries are acknowledged, going by its beginning alone.
    pub fn is_one(subject: &str) -> bool {
        subject.starts_with(PREFIX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes after the stream and the consumer.
    const NUMBERS: &str = "2.4711.4800.1763700000123456789.3";
    const TOLD: AckSubject =
        AckSubject { delivered: 2, seq: 4711, delivery: 4800, nanos: 1_763_700_000_123_456_789, pending: 3 };

    #[test]
    fn a_subject_without_a_domain_is_read() {
        let subject = format!("$JS.ACK.ORDER.payment_charge_order_placed.{NUMBERS}");
        assert_eq!(AckSubject::read(&subject), Some(TOLD));
    }

    #[test]
    fn a_subject_with_a_domain_and_an_account_hash_is_read_with_a_token_at_its_end_and_without() {
        for (before, after) in
            [("_.ACCHASH", ""), ("hub.ACCHASH", ""), ("hub.ACCHASH", ".random"), ("_.7", ".8.9")]
        {
            let subject = format!("$JS.ACK.{before}.ORDER.payment_charge_order_placed.{NUMBERS}{after}");
            assert_eq!(AckSubject::read(&subject), Some(TOLD), "{subject}");
        }
    }

    #[test]
    fn names_of_streams_and_consumers_may_be_numbers() {
        assert_eq!(AckSubject::read(&format!("$JS.ACK.1.2.{NUMBERS}")), Some(TOLD));
        assert_eq!(AckSubject::read(&format!("$JS.ACK.1.2.3.4.{NUMBERS}.5")), Some(TOLD));
    }

    #[test]
    fn any_other_subject_is_not() {
        for subject in [
            "",
            "_INBOX.a.b.c.d.e.f",
            "$JS.ACK",
            "$JS.ACK.",
            "$JS.ACK.a.b.1.2.3",
            // Neither form has eight tokens.
            "$JS.ACK.a.b.1.2.3.4.5.6",
            "$JS.ACK.a.b.x.2.3.4.5",
            "$JS.ACK.a.b.1.2.3.4.x",
            "$JS.ACK.a.b.1.2.-3.4.5",
            "$JS.ACK.a.b.1.99999999999999999999.3.4.5",
            "$JS.ACK.a.b.1..3.4.5",
            "$JS.ACK.a.b.1.2.3.4.",
            "$JS.ACK._.h.a.b.1.2.3.4..r",
        ] {
            assert_eq!(AckSubject::read(subject), None, "{subject}");
        }
    }

    #[test]
    fn a_delivery_is_told_by_its_beginning() {
        assert!(AckSubject::is_one("$JS.ACK.ORDER.c.1.2.3.4.5"));
        assert!(!AckSubject::is_one("$JS.FC.ORDER.c.1") && !AckSubject::is_one("_INBOX.1"));
    }
}
