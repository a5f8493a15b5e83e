//! Where two JSON values differ.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A place at which two outcomes differ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The place, as a JSON pointer (RFC 6901) into the outcome.
    pub at: String,
    /// What is recorded; nothing where there was nothing.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "some")]
    pub was: Option<Value>,
    /// What it is now; nothing where there is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "some")]
    pub now: Option<Value>,
}

/// A `null` that is there is not nothing.
fn some<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

/// More places are not told apart.
const MOST: usize = 200;

/// Every place at which they differ, as deep as there is one.
pub(super) fn diff(was: &Value, now: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    walk(&mut String::new(), was, now, &mut changes);
    changes.truncate(MOST);
    changes
}

fn walk(at: &mut String, was: &Value, now: &Value, changes: &mut Vec<Change>) {
    match (was, now) {
        _ if was == now || changes.len() > MOST => {}
        (Value::Object(before), Value::Object(after)) => {
            for (name, was) in before {
                below(at, name, |at| side(at, Some(was), after.get(name), changes));
            }
            for (name, now) in after.iter().filter(|(name, _)| !before.contains_key(*name)) {
                below(at, name, |at| side(at, None, Some(now), changes));
            }
        }
        (Value::Array(before), Value::Array(after)) => {
            for index in 0..before.len().max(after.len()) {
                below(at, &index.to_string(), |at| side(at, before.get(index), after.get(index), changes));
            }
        }
        _ => changes.push(change(at, Some(was), Some(now))),
    }
}

fn side(at: &mut String, was: Option<&Value>, now: Option<&Value>, changes: &mut Vec<Change>) {
    match (was, now) {
        (Some(was), Some(now)) => walk(at, was, now, changes),
        _ => changes.push(change(at, was, now)),
    }
}

fn change(at: &str, was: Option<&Value>, now: Option<&Value>) -> Change {
    Change { at: at.to_owned(), was: was.cloned(), now: now.cloned() }
}

fn below(at: &mut String, name: &str, then: impl FnOnce(&mut String)) {
    let length = at.len();
    at.push('/');
    at.push_str(&name.replace('~', "~0").replace('/', "~1"));
    then(at);
    at.truncate(length);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn places(was: Value, now: Value) -> Vec<(String, Option<Value>, Option<Value>)> {
        diff(&was, &now).into_iter().map(|change| (change.at, change.was, change.now)).collect()
    }

    #[test]
    fn what_differs_is_found_where_it_is() {
        let was = json!({"same": [1, {"x": 1}], "a/b": {"c~": 1}, "gone": null, "list": [1, 2, 3]});
        let now = json!({"same": [1, {"x": 1}], "a/b": {"c~": "1"}, "list": [1, 4], "new": {"y": 2}});
        assert_eq!(
            places(was, now),
            [
                ("/a~1b/c~0".to_owned(), Some(json!(1)), Some(json!("1"))),
                ("/gone".to_owned(), Some(json!(null)), None),
                ("/list/1".to_owned(), Some(json!(2)), Some(json!(4))),
                ("/list/2".to_owned(), Some(json!(3)), None),
                ("/new".to_owned(), None, Some(json!({"y": 2}))),
            ]
        );
        assert_eq!(places(json!({"b": 1, "a": 2}), json!({"a": 2, "b": 1})), []);
        assert_eq!(places(json!(1), json!([1])), [(String::new(), Some(json!(1)), Some(json!([1])))]);
    }

    #[test]
    fn a_difference_without_end_is_cut_short() {
        let list = |value: u32| json!(vec![value; 5_000]);
        assert_eq!(diff(&list(1), &list(2)).len(), MOST);
    }

    #[test]
    fn nothing_and_null_are_told_apart_in_json() {
        for change in diff(&json!({"a": null}), &json!({"b": null})) {
            let text = serde_json::to_string(&change).unwrap();
            assert_eq!(serde_json::from_str::<Change>(&text).unwrap(), change, "{text}");
        }
    }
}
