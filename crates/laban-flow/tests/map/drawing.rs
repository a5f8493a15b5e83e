use std::path::Path;

use laban_flow::map::{About, MapStyle};

use crate::shop;

/// Compares with a golden file; `LABAN_GOLDEN=overwrite` writes it instead.
fn assert_golden(name: &str, drawn: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/map/golden").join(name);
    if std::env::var_os("LABAN_GOLDEN").is_some_and(|how| how == "overwrite") {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, drawn).unwrap();
    }
    let golden = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(drawn == golden, "{name} has changed; LABAN_GOLDEN=overwrite writes it anew. Drawn:\n{drawn}");
}

#[test]
fn the_shop_as_text() {
    assert_golden("shop.txt", &shop().to_text(MapStyle::default()));
    assert_golden("shop-ascii.txt", &shop().to_text(MapStyle { ascii: true, colour: false }));
    let ascii = shop().to_text(MapStyle { ascii: true, colour: false });
    assert!(ascii.is_ascii(), "{ascii}");
    assert!(shop().to_text(MapStyle { ascii: false, colour: true }).contains("\x1b[1morder\x1b[0m"));
}

#[test]
fn the_shop_as_a_mermaid_flowchart() {
    assert_golden("shop.mmd", &shop().to_mermaid());
}

#[test]
fn the_shop_as_a_picture() {
    assert_golden("shop.svg", &shop().to_svg());
    let svg = shop().to_svg();
    for event in &shop().events {
        assert!(svg.contains(&format!(">{}</text>", event.event)), "{}", event.event);
    }
}

#[test]
fn the_shop_as_an_asyncapi_document() {
    let about = About { title: "shop".to_owned(), server: Some("nats://ann:hush@shop:4222".to_owned()) };
    let document = shop().to_asyncapi(&about);
    let text = serde_json::to_string_pretty(&document).unwrap() + "\n";
    assert!(!text.contains("hush") && !text.contains("$defs"), "{text}");
    assert_golden("shop.asyncapi.json", &text);
    assert_eq!(document["channels"]["order.placed"]["address"], "order.placed.{flow}");
    assert_eq!(document["operations"]["payment.charge.receives.order.placed"]["action"], "receive");
    assert_eq!(document["operations"]["payment.charge.sends.payment.declined"]["x-laban-failure"], true);
    assert_eq!(document["operations"]["order.begins.order.placed"]["action"], "send");
}

#[test]
fn an_empty_map_is_drawn() {
    let empty = laban_flow::Map::default();
    assert_eq!(empty.to_text(MapStyle::default()), "map · 0 services · 0 handlers · 0 events\n");
    assert!(empty.to_svg().ends_with("</svg>\n"));
    assert_eq!(empty.to_mermaid(), "flowchart LR\n");
}
