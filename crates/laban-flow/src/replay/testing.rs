//! Records by hand.

use async_nats::HeaderMap;
use bytes::Bytes;
use laban_wire::Stored;
use time::OffsetDateTime;

use super::Record;

/// Sequence 7 of its service's stream, at 2026-10-26T07:33:20.0000012Z.
pub(super) fn record(subject: &str, headers: &[(&str, &str)], payload: &[u8]) -> Record {
    let mut map = HeaderMap::new();
    headers.iter().for_each(|(name, value)| map.insert(*name, *value));
    let service = subject.split('.').next().unwrap();
    Record::new(
        service.into(),
        Stored {
            stream: service.to_uppercase().into(),
            seq: 7,
            at: OffsetDateTime::from_unix_timestamp_nanos(1_793_000_000_000_001_200).unwrap(),
            subject: subject.to_owned(),
            headers: map,
            malformed: None,
            payload: Bytes::copy_from_slice(payload),
        },
    )
}
