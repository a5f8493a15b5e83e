//! Schemas that stand by themselves, made part of one document.

use serde_json::{Map as Object, Value, json};

/// Puts a schema and its definitions among the document's, under names that begin with the event's, and gives a reference
/// to it. A schema's own references are to its root, which is no longer that of the document.
pub(super) fn hoist(event: &str, schema: &Value, schemas: &mut Object<String, Value>) -> Value {
    let mut root = schema.clone();
    for key in ["$defs", "definitions"] {
        let definitions = root.as_object_mut().and_then(|root| root.remove(key));
        for (name, mut definition) in
            definitions.iter().flat_map(|found| found.as_object()).flatten().map(own)
        {
            point_to(event, &mut definition);
            schemas.insert(format!("{event}.{}", safe(&name)), definition);
        }
    }
    if let Some(root) = root.as_object_mut() {
        root.remove("$schema");
    }
    point_to(event, &mut root);
    schemas.insert(event.to_owned(), root);
    json!({ "$ref": format!("#/components/schemas/{event}") })
}

fn own((name, value): (&String, &Value)) -> (String, Value) {
    (name.clone(), value.clone())
}

/// Turns references to the schema's own definitions into references to the document's.
fn point_to(event: &str, schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get_mut("$ref") {
                let name = ["#/$defs/", "#/definitions/"].iter().find_map(|at| reference.strip_prefix(at));
                if let Some(name) = name {
                    *reference = format!("#/components/schemas/{event}.{}", safe(name));
                } else if reference == "#" {
                    *reference = format!("#/components/schemas/{event}");
                }
            }
            members.values_mut().for_each(|member| point_to(event, member));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| point_to(event, item)),
        _ => {}
    }
}

/// Names of components are of letters, digits, `.`, `-` and `_`.
fn safe(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_follow_their_definitions() {
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "properties": { "lines": { "items": { "$ref": "#/$defs/Line" } } },
            "$defs": { "Line": { "properties": { "of": { "$ref": "#/$defs/List<u8>" } } }, "List<u8>": {} },
        });
        let mut schemas = Object::new();
        let reference = hoist("order.placed", &schema, &mut schemas);
        assert_eq!(reference, json!({ "$ref": "#/components/schemas/order.placed" }));
        let lines = &schemas["order.placed"]["properties"]["lines"]["items"]["$ref"];
        assert_eq!(lines, "#/components/schemas/order.placed.Line");
        let of = &schemas["order.placed.Line"]["properties"]["of"]["$ref"];
        assert_eq!(of, "#/components/schemas/order.placed.List_u8_");
        assert!(schemas.contains_key("order.placed.List_u8_"));
        assert!(schemas["order.placed"].get("$schema").is_none());
    }
}
