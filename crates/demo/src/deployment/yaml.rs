//! YAML as JSON has it, with anchors and merge keys resolved: all that reads a file here goes by plain `serde`.

use serde_json::{Map, Number, Value};
use yaml_rust2::{Yaml, YamlLoader};

/// The one document of a YAML text.
///
/// # Errors
/// With the place, when it is no YAML; with what it is otherwise, when it is not one document of plain values.
pub fn parse(text: &str) -> Result<Value, String> {
    let documents = YamlLoader::load_from_str(text).map_err(|error| error.to_string())?;
    match documents.as_slice() {
        [document] => value(document),
        documents => Err(format!("{} documents, expected one", documents.len())),
    }
}

fn value(yaml: &Yaml) -> Result<Value, String> {
    Ok(match yaml {
        Yaml::Null => Value::Null,
        Yaml::Boolean(truth) => Value::Bool(*truth),
        Yaml::Integer(number) => Value::Number((*number).into()),
        Yaml::Real(text) => {
            let number = text.parse().ok().and_then(Number::from_f64);
            Value::Number(number.ok_or_else(|| format!("`{text}` is no number that JSON has"))?)
        }
        Yaml::String(text) => Value::String(text.clone()),
        Yaml::Array(all) => Value::Array(all.iter().map(value).collect::<Result<_, _>>()?),
        Yaml::Hash(hash) => {
            let mut own = Map::new();
            let mut merged = Map::new();
            for (key, one) in hash {
                match key {
                    Yaml::String(key) if key == "<<" => merge(&mut merged, value(one)?)?,
                    Yaml::String(key) => drop(own.insert(key.clone(), value(one)?)),
                    other => return Err(format!("the key {other:?} is no text")),
                }
            }
            // What stands there itself wins.
            merged.extend(own);
            Value::Object(merged)
        }
        Yaml::Alias(_) | Yaml::BadValue => return Err("an alias of something that is not there".to_owned()),
    })
}

/// Of several that are merged, the first one wins.
fn merge(into: &mut Map<String, Value>, from: Value) -> Result<(), String> {
    match from {
        Value::Object(from) => {
            for (key, one) in from {
                into.entry(key).or_insert(one);
            }
            Ok(())
        }
        Value::Array(all) => all.into_iter().try_for_each(|one| merge(into, one)),
        other => Err(format!("`<<` takes mappings, not {other}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_merged_gives_way_to_what_stands_there() {
        let text = "a: &a {x: 1, y: [p, q], z: {n: 1}}\nb:\n  x: 2\n  <<: *a\n  z: {m: 2}\n";
        let expected = json!({
            "a": {"x": 1, "y": ["p", "q"], "z": {"n": 1}},
            "b": {"x": 2, "y": ["p", "q"], "z": {"m": 2}},
        });
        assert_eq!(parse(text), Ok(expected));
        let first = parse("a: &a {x: 1}\nb: &b {x: 2, y: 2}\nc: {<<: [*a, *b]}").unwrap();
        assert_eq!(first["c"], json!({"x": 1, "y": 2}));
    }

    #[test]
    fn what_is_not_one_document_of_plain_values_is_refused() {
        for (text, expected) in [
            ("a: [", "line"),
            ("a: 1\n---\nb: 2", "2 documents"),
            ("1: x", "is no text"),
            ("a: {<<: 1}", "takes mappings"),
            ("a: 1\na: 2", "a"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
