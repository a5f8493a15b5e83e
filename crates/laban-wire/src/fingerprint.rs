//! What tells two contracts apart, in a few bytes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;
use uuid::Uuid;

/// Contracts are named below this one. Part of the wire format.
const CONTRACTS: Uuid = Uuid::from_u128(0x6c61_6261_6e00_5f00_8000_636f_6e74_7261);

/// The fingerprint of a contract as JSON: the same for the same contract, whatever the order of its members and whichever
/// release wrote it.
///
/// ```
/// # use laban_wire::contract_fingerprint;
/// let one = serde_json::json!({"service": "payment", "laban": "0.1.0", "handlers": [], "events": []});
/// let same = serde_json::json!({"events": [], "handlers": [], "laban": "0.2.0", "service": "payment"});
/// assert_eq!(contract_fingerprint(&one), contract_fingerprint(&same));
/// ```
pub fn contract_fingerprint(contract: &Value) -> String {
    let mut text = String::new();
    match contract {
        Value::Object(members) => {
            let members = members.iter().filter(|(name, _)| *name != "laban");
            write_members(members, &mut text);
        }
        other => write(other, &mut text),
    }
    Uuid::new_v5(&CONTRACTS, text.as_bytes()).hyphenated().to_string()
}

/// Compact JSON, members in the order of their names.
fn write(value: &Value, text: &mut String) {
    match value {
        Value::Object(members) => write_members(members, text),
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write(item, text);
            }
            text.push(']');
        }
        // Writing to a `String` does not fail.
        scalar => drop(write!(text, "{scalar}")),
    }
}

fn write_members<'v>(members: impl IntoIterator<Item = (&'v String, &'v Value)>, text: &mut String) {
    let sorted: BTreeMap<_, _> = members.into_iter().collect();
    text.push('{');
    for (index, (name, value)) in sorted.into_iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        let _ = write!(text, "{}:", Value::String(name.clone()));
        write(value, text);
    }
    text.push('}');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::contract_fingerprint as of;

    #[test]
    fn it_is_that_of_the_documentation() {
        let contract = json!({"service": "payment", "laban": "9", "handlers": [], "events": []});
        // UUIDv5 of `{"events":[],"handlers":[],"service":"payment"}`.
        assert_eq!(of(&contract), "1b18e6db-8c89-55d2-b19a-2a9ae92154b1");
    }

    #[test]
    fn a_shape_that_differs_is_another_contract() {
        let with =
            |schema| json!({"service": "a", "events": [{"event": "a.b", "version": 1, "schema": schema}]});
        assert_eq!(of(&with(json!({"x": 1, "y": 2}))), of(&with(json!({"y": 2, "x": 1}))));
        assert_ne!(of(&with(json!({"x": [1, 2]}))), of(&with(json!({"x": [2, 1]}))));
    }
}
