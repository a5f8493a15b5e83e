//! Shapes as `schemars` writes them, old and new.
#![allow(dead_code, reason = "types for their schemas")]

use std::collections::BTreeMap;

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::*;

fn between<Old: JsonSchema, New: JsonSchema>() -> Vec<Break> {
    breaks(schema_for!(Old).as_value(), schema_for!(New).as_value())
}

/// `path kind`, one a line.
fn told<Old: JsonSchema, New: JsonSchema>() -> Vec<String> {
    let kind = |kind: BreakKind| serde_json::to_value(kind).unwrap().as_str().unwrap().to_owned();
    between::<Old, New>().iter().map(|one| format!("{} {}", one.path, kind(one.kind))).collect()
}

macro_rules! shapes {
    ($($name:ident $body:tt)*) => {$(#[derive(JsonSchema, Serialize, Deserialize)] struct $name $body)*};
}

shapes! {
    Line { sku: String, quantity: u32 }
    Order { id: String, lines: Vec<Line>, note: Option<String> }
}

/// A module per change, so that types of one name may differ.
macro_rules! change {
    ($name:ident, $($item:item)*) => { mod $name { use super::*; $($item)* } };
}

#[test]
fn what_harms_nobody() {
    change! { more,
        /// Words about it.
        #[derive(JsonSchema)]
        pub(super) struct Order {
            /// New, and may be missing.
            pub(super) gift: Option<Wrapping>,
            #[schemars(default)]
            pub(super) priority: u8,
            pub(super) note: Option<String>,
            /// A larger number, in another order.
            pub(super) lines: Vec<Line>,
            pub(super) id: String,
        }
        #[derive(JsonSchema)]
        pub(super) struct Line { quantity: u64, sku: String }
        #[derive(JsonSchema)]
        pub(super) enum Wrapping { Red, Green { bow: bool } }
    }
    assert_eq!(told::<Order, more::Order>(), Vec::<String>::new());
    assert_eq!(told::<Order, Order>(), Vec::<String>::new());
    // And back again: a rollback.
    #[derive(JsonSchema)]
    struct WithoutNote {
        id: String,
        lines: Vec<Line>,
    }
    assert_eq!(told::<Order, WithoutNote>(), Vec::<String>::new());
    assert_eq!(told::<u32, i64>(), Vec::<String>::new());
    assert_eq!(told::<f32, f64>(), Vec::<String>::new());
    assert_eq!(told::<u32, serde_json::Value>(), Vec::<String>::new());
}

#[test]
fn fields_that_are_gone_or_new_or_change_what_is_asked_of_them() {
    change! { less,
        #[derive(JsonSchema)]
        pub(super) struct Order { id: Option<String>, lines: Vec<Line>, note: String, customer: String }
        #[derive(JsonSchema)]
        pub(super) struct Line { quantity: u32 }
    }
    assert_eq!(
        told::<Order, less::Order>(),
        [
            "id no_longer_required",
            "lines[].sku removed_field",
            "note new_required_field",
            "customer new_required_field",
        ]
    );
    #[derive(JsonSchema)]
    #[schemars(deny_unknown_fields)]
    struct Strict {
        sku: String,
        quantity: u32,
    }
    #[derive(JsonSchema)]
    struct Longer {
        sku: String,
        quantity: u32,
        weight: Option<u32>,
    }
    assert_eq!(told::<Strict, Longer>(), ["weight refused_field"]);
    assert_eq!(told::<Line, Strict>(), Vec::<String>::new());
}

#[test]
fn types_that_change_or_take_less() {
    for (found, expected) in [
        (told::<Vec<u64>, Vec<u32>>(), "[] narrowed_type"),
        (told::<i32, u32>(), " narrowed_type"),
        (told::<u32, std::num::NonZeroU32>(), " narrowed_type"),
        (told::<f64, f32>(), " narrowed_type"),
        (told::<String, uuid_like::Id>(), " narrowed_type"),
        (told::<String, u32>(), " changed_type"),
        // What serde writes of a float has a point in it.
        (told::<u32, f64>(), " changed_type"),
        (told::<f64, u32>(), " changed_type"),
        (told::<Option<u32>, u32>(), " narrowed_type"),
        (told::<Vec<u32>, Vec<Option<u32>>>(), "[] no_longer_required"),
        (told::<Option<u32>, Option<String>>(), " changed_type"),
        (told::<serde_json::Value, u32>(), " narrowed_type"),
        (told::<BTreeMap<String, Vec<Line>>, BTreeMap<String, Vec<u8>>>(), "*[] changed_type"),
        (told::<BTreeMap<u32, u64>, BTreeMap<u32, u32>>(), "* narrowed_type"),
        (told::<BTreeMap<String, u32>, Line>(), "quantity new_required_field"),
        (told::<(u32, String), (u32, bool)>(), "[1] changed_type"),
        (told::<(u32, u32), (u32, u32, u32)>(), " narrowed_type"),
        (told::<[u8; 4], [u8; 3]>(), " narrowed_type"),
        (told::<Line, String>(), " changed_type"),
    ] {
        assert_eq!(found.first().map(String::as_str), Some(expected), "{found:?}");
    }
}

mod uuid_like {
    use super::*;

    #[derive(JsonSchema)]
    pub(super) struct Id(#[schemars(extend("format" = "uuid"))] String);
}

#[test]
fn variants_of_every_kind_of_enum() {
    change! { plain,
        #[derive(JsonSchema)] pub(super) enum Old { Card { number: String }, Transfer(u64), Cash }
        #[derive(JsonSchema)] pub(super) enum More { Voucher, Cash, Transfer(u64), Card { number: String } }
        #[derive(JsonSchema)] pub(super) enum Less { Card { number: u64 }, Transfer(u64) }
        #[derive(JsonSchema)] pub(super) enum Alone { Card { number: String } }
    }
    assert_eq!(told::<plain::Old, plain::More>(), Vec::<String>::new());
    assert_eq!(told::<plain::Old, plain::Less>(), [" removed_variant", "Card.number changed_type"]);
    assert_eq!(
        between::<plain::Old, plain::Alone>().iter().map(Break::to_string).collect::<Vec<_>>(),
        ["the body can no longer be `Cash`", "the body can no longer be `Transfer`"]
    );

    change! { tagged,
        #[derive(JsonSchema)] #[schemars(tag = "kind", rename_all = "snake_case")]
        pub(super) enum Old { Card { number: String, holder: String }, Transfer { iban: String }, Cash }
        #[derive(JsonSchema)] #[schemars(tag = "kind", rename_all = "snake_case")]
        pub(super) enum Less { Card { holder: String }, Transfer { iban: String } }
        #[derive(JsonSchema)] #[schemars(tag = "kind", content = "of")]
        pub(super) enum Beside { A(u32), B { x: u32 } }
        #[derive(JsonSchema)] #[schemars(tag = "kind", content = "of")]
        pub(super) enum BesideLess { A(u8), C }
    }
    assert_eq!(told::<tagged::Old, tagged::Less>(), ["[kind=card].number removed_field", " removed_variant"]);
    assert_eq!(
        told::<tagged::Beside, tagged::BesideLess>(),
        ["[kind=A].of narrowed_type", " removed_variant"]
    );

    change! { untagged,
        #[derive(JsonSchema)] #[schemars(untagged)]
        pub(super) enum Old { Number(u64), Text(String), Line(Line), Many { lines: Vec<Line> } }
        #[derive(JsonSchema)] #[schemars(untagged)]
        pub(super) enum Less { Line(Line), Text(String), Many { lines: Vec<Line> } }
    }
    assert_eq!(told::<untagged::Old, untagged::Old>(), Vec::<String>::new());
    assert_eq!(told::<untagged::Old, untagged::Less>(), [" removed_variant"]);

    change! { units,
        #[derive(JsonSchema)] pub(super) enum Old { Red, Green, Blue }
        /// With words, which makes another schema of it.
        #[derive(JsonSchema)]
        pub(super) enum Less {
            /// Of roses.
            Red,
            Green,
        }
    }
    assert_eq!(told::<units::Old, units::Less>(), [" removed_variant"]);
    assert_eq!(told::<units::Less, units::Old>(), Vec::<String>::new());
    assert_eq!(told::<units::Old, String>(), Vec::<String>::new());
    assert_eq!(told::<String, units::Old>(), [" narrowed_type"]);
    assert_eq!(told::<units::Old, u32>(), [" changed_type"]);
}

#[test]
fn flattened_fields_are_those_of_the_whole() {
    #[derive(JsonSchema)]
    struct Flat {
        id: String,
        #[schemars(flatten)]
        line: Line,
    }
    #[derive(JsonSchema)]
    struct Written {
        id: String,
        sku: String,
        quantity: u32,
    }
    assert_eq!(told::<Flat, Written>(), Vec::<String>::new());
    assert_eq!(told::<Written, Flat>(), Vec::<String>::new());
    assert_eq!(told::<Flat, Line>(), ["id removed_field"]);
}

#[test]
fn a_type_that_holds_itself_is_compared_once_around() {
    change! { deep,
        #[derive(JsonSchema)] pub(super) struct Tree { name: String, children: Vec<Tree> }
        pub(super) mod new {
            use super::*;
            #[derive(JsonSchema)] pub(in super::super) struct Tree { name: u32, children: Vec<Tree> }
        }
    }
    assert_eq!(told::<deep::Tree, deep::Tree>(), Vec::<String>::new());
    let found = told::<deep::Tree, deep::new::Tree>();
    assert!(found.contains(&"name changed_type".to_owned()) && found.len() <= 2, "{found:?}");
}

#[test]
fn a_schema_from_anywhere_comes_to_an_end() {
    let circle = json!({"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}]}}});
    assert_eq!(breaks(&circle, &circle), []);
    for odd in
        [json!(null), json!(true), json!({"type": 7}), json!({"$ref": "elsewhere"}), json!({"allOf": {}})]
    {
        assert_eq!(breaks(&odd, &odd), [], "{odd}");
    }
    assert_eq!(breaks(&json!(true), &json!(false))[0].to_string(), "the body was anything, is now nothing");
}

#[test]
fn an_event_that_breaks_names_what_and_the_fix() {
    let event = |version, schema: schemars::Schema| EventContract {
        event: "order.placed".parse().unwrap(),
        version,
        schema: schema.to_value(),
    };
    let (old, new) = (event(1, schema_for!(Order)), event(1, schema_for!(Line)));
    let told = BrokenEvent::of(&old, &new).unwrap().to_string();
    for hint in ["order.placed version 1", "`lines` is gone", "`sku` is new", "version 2", "from = "] {
        assert!(told.contains(hint), "{hint:?} is not in: {told}");
    }
    // A new version may have any shape.
    assert_eq!(BrokenEvent::of(&old, &event(2, schema_for!(Line))), None);
    let back = BrokenEvent::of(&event(2, schema_for!(Line)), &old).unwrap().to_string();
    assert!(back.contains("version 1") && back.contains("version 2 is registered"), "{back}");
}

#[test]
fn a_contract_answers_for_its_own_events_alone() {
    let event = |name: &str, schema: schemars::Schema| EventContract {
        event: name.parse().unwrap(),
        version: 1,
        schema: schema.to_value(),
    };
    let contract = |schema: schemars::Schema| Contract {
        service: "order".parse().unwrap(),
        laban: String::new(),
        handlers: Vec::new(),
        begins: Vec::new(),
        events: vec![event("order.placed", schema.clone()), event("payment.captured", schema)],
    };
    let broken = broken_events(&contract(schema_for!(Order)), &contract(schema_for!(Line)));
    assert_eq!(broken.iter().map(|one| one.event.as_str()).collect::<Vec<_>>(), ["order.placed"]);
}
