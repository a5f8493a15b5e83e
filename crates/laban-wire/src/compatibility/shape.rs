//! JSON Schemas as the shapes that they allow: a choice of plain ones, references followed, choices spread out.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// More choices than any type has. A schema may come from anywhere, and refer to itself.
const MOST: usize = 2048;
/// References and choices, one inside the other.
const DEEPEST: usize = 64;

/// One plain shape.
#[derive(Clone, Debug)]
pub(super) enum Shape<'a> {
    Any,
    Null,
    Boolean,
    Constant(&'a Value),
    Number(Number),
    Text(Text<'a>),
    List(List<'a>),
    Object(Object<'a>),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Number {
    pub(super) whole: bool,
    pub(super) min: f64,
    pub(super) max: f64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'a> {
    pub(super) format: Option<&'a str>,
    pub(super) pattern: Option<&'a str>,
    pub(super) min: u64,
    pub(super) max: u64,
}

#[derive(Clone, Debug)]
pub(super) struct List<'a> {
    /// The first elements, each with a shape of its own: a tuple.
    pub(super) first: Vec<&'a Value>,
    /// All others.
    pub(super) items: Option<&'a Value>,
    pub(super) min: u64,
    pub(super) max: u64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Object<'a> {
    pub(super) fields: BTreeMap<&'a str, &'a Value>,
    pub(super) required: BTreeSet<&'a str>,
    pub(super) others: Others<'a>,
}

/// What an object may hold besides its fields.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Others<'a> {
    /// Whatever it is, it is skipped.
    #[default]
    Skipped,
    /// Nothing.
    Refused,
    /// Values of this shape: a map.
    Map(&'a Value),
}

/// The shapes that a schema is a choice of.
pub(super) fn shapes<'a>(root: &'a Value, schema: &'a Value) -> Vec<Shape<'a>> {
    Spread { root, left: MOST, depth: 0 }.of(schema)
}

struct Spread<'a> {
    root: &'a Value,
    /// So many more schemas are looked at.
    left: usize,
    depth: usize,
}

impl<'a> Spread<'a> {
    fn of(&mut self, schema: &'a Value) -> Vec<Shape<'a>> {
        let Value::Object(keywords) = schema else {
            return if *schema == Value::Bool(false) { Vec::new() } else { vec![Shape::Any] };
        };
        if self.left == 0 || self.depth == DEEPEST {
            return vec![Shape::Any];
        }
        self.left -= 1;
        self.depth += 1;
        let mut found = plain(keywords);
        // What stands beside a reference or a choice holds for each of it.
        if let Some(target) = keywords.get("$ref").and_then(|target| resolve(self.root, target.as_str()?)) {
            found = joined(&found, &self.of(target));
        }
        for choice in ["anyOf", "oneOf"] {
            if let Some(Value::Array(choices)) = keywords.get(choice) {
                let all: Vec<_> = choices.iter().flat_map(|one| self.of(one)).collect();
                found = joined(&found, &all);
            }
        }
        if let Some(Value::Array(parts)) = keywords.get("allOf") {
            for part in parts {
                found = joined(&found, &self.of(part));
            }
        }
        self.depth -= 1;
        found
    }
}

fn resolve<'a>(root: &'a Value, target: &str) -> Option<&'a Value> {
    root.pointer(target.strip_prefix('#')?)
}

/// Each of these with each of those.
fn joined<'a>(these: &[Shape<'a>], those: &[Shape<'a>]) -> Vec<Shape<'a>> {
    let both = these.iter().flat_map(|one| those.iter().filter_map(|other| join(one, other)));
    both.take(MOST).collect()
}

fn join<'a>(one: &Shape<'a>, other: &Shape<'a>) -> Option<Shape<'a>> {
    match (one, other) {
        (Shape::Any, shape) | (shape, Shape::Any) => Some(shape.clone()),
        (Shape::Object(one), Shape::Object(other)) => Some(Shape::Object(Object {
            fields: one.fields.iter().chain(&other.fields).map(|(name, schema)| (*name, *schema)).collect(),
            required: one.required.union(&other.required).copied().collect(),
            // Of an object in parts each part knows only its own fields.
            others: match (one.others, other.others) {
                (Others::Map(values), _) | (_, Others::Map(values)) => Others::Map(values),
                (Others::Refused, Others::Refused) => Others::Refused,
                _ => Others::Skipped,
            },
        })),
        (Shape::Constant(value), shape) | (shape, Shape::Constant(value)) => {
            (kind(shape) == kind(&Shape::Constant(value))).then_some(Shape::Constant(value))
        }
        (one, other) => (kind(one) == kind(other)).then(|| other.clone()),
    }
}

/// The JSON type, in words.
pub(super) fn kind(shape: &Shape<'_>) -> &'static str {
    match shape {
        Shape::Any => "anything",
        Shape::Null | Shape::Constant(Value::Null) => "null",
        Shape::Boolean | Shape::Constant(Value::Bool(_)) => "true or false",
        Shape::Number(Number { whole: true, .. }) => "a whole number",
        Shape::Number(_) => "a number",
        Shape::Constant(Value::Number(number)) if !number.is_f64() => "a whole number",
        Shape::Constant(Value::Number(_)) => "a number",
        Shape::Text(_) | Shape::Constant(Value::String(_)) => "text",
        Shape::List(_) | Shape::Constant(Value::Array(_)) => "a list",
        Shape::Object(_) | Shape::Constant(Value::Object(_)) => "an object",
    }
}

/// What the keywords say by themselves, references and choices aside.
fn plain(keywords: &Map<String, Value>) -> Vec<Shape<'_>> {
    if let Some(value) = keywords.get("const") {
        return vec![Shape::Constant(value)];
    }
    if let Some(Value::Array(values)) = keywords.get("enum") {
        return values.iter().map(Shape::Constant).collect();
    }
    let of_type = |name: &str| match name {
        "null" => Shape::Null,
        "boolean" => Shape::Boolean,
        "integer" => Shape::Number(number(keywords, true)),
        "number" => Shape::Number(number(keywords, false)),
        "string" => Shape::Text(text(keywords)),
        "array" => Shape::List(list(keywords)),
        "object" => Shape::Object(object(keywords)),
        _ => Shape::Any,
    };
    match keywords.get("type") {
        Some(Value::String(name)) => vec![of_type(name)],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).map(of_type).collect(),
        _ if keywords.contains_key("properties") => vec![of_type("object")],
        _ => vec![Shape::Any],
    }
}

fn number(keywords: &Map<String, Value>, whole: bool) -> Number {
    let (mut min, mut max) = match keywords.get("format").and_then(Value::as_str) {
        Some("int8") => (i8::MIN.into(), i8::MAX.into()),
        Some("int16") => (i16::MIN.into(), i16::MAX.into()),
        Some("int32") => (i32::MIN.into(), i32::MAX.into()),
        // The ends of the longer ones are rounded, which is the same for all of one format.
        Some("int64" | "int") => (-(2f64.powi(63)), 2f64.powi(63)),
        Some("int128") => (-(2f64.powi(127)), 2f64.powi(127)),
        Some("uint8") => (0.0, u8::MAX.into()),
        Some("uint16") => (0.0, u16::MAX.into()),
        Some("uint32") => (0.0, u32::MAX.into()),
        Some("uint64" | "uint") => (0.0, 2f64.powi(64)),
        Some("uint128") => (0.0, 2f64.powi(128)),
        Some("float") => (f32::MIN.into(), f32::MAX.into()),
        _ => (f64::NEG_INFINITY, f64::INFINITY),
    };
    let bound = |name: &str| keywords.get(name).and_then(Value::as_f64);
    for bound in [bound("minimum"), bound("exclusiveMinimum")].into_iter().flatten() {
        min = min.max(bound);
    }
    for bound in [bound("maximum"), bound("exclusiveMaximum")].into_iter().flatten() {
        max = max.min(bound);
    }
    Number { whole, min, max }
}

fn text(keywords: &Map<String, Value>) -> Text<'_> {
    let word = |name: &str| keywords.get(name).and_then(Value::as_str);
    let (min, max) = limits(keywords, "minLength", "maxLength");
    Text { format: word("format"), pattern: word("pattern"), min, max }
}

fn list(keywords: &Map<String, Value>) -> List<'_> {
    let (min, max) = limits(keywords, "minItems", "maxItems");
    let first = keywords.get("prefixItems").and_then(Value::as_array);
    List { first: first.into_iter().flatten().collect(), items: keywords.get("items"), min, max }
}

fn object(keywords: &Map<String, Value>) -> Object<'_> {
    let members = |name: &str| keywords.get(name).and_then(Value::as_object).into_iter().flatten();
    let required = keywords.get("required").and_then(Value::as_array).into_iter().flatten();
    let refused = |name: &str| keywords.get(name) == Some(&Value::Bool(false));
    // The keys of a map of numbers have a pattern. There is one, as there is one type of key.
    let map = members("patternProperties").map(|(_, values)| values).next();
    let map = map.or_else(|| keywords.get("additionalProperties").filter(|values| values.is_object()));
    Object {
        fields: members("properties").map(|(name, schema)| (name.as_str(), schema)).collect(),
        required: required.filter_map(Value::as_str).collect(),
        others: match map {
            Some(values) => Others::Map(values),
            None if refused("additionalProperties") || refused("unevaluatedProperties") => Others::Refused,
            None => Others::Skipped,
        },
    }
}

fn limits(keywords: &Map<String, Value>, min: &str, max: &str) -> (u64, u64) {
    let limit = |name: &str| keywords.get(name).and_then(Value::as_u64);
    (limit(min).unwrap_or(0), limit(max).unwrap_or(u64::MAX))
}
