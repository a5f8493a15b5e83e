//! Bodies as they are read best, and can still be edited: nothing but white space changes.

use laban_wire::{Payload, indented};

/// A body for a reader.
pub(super) fn readable(payload: &Payload) -> String {
    match payload {
        Payload::Json(json) => indented(json.get()),
        Payload::Text(text) => text.clone(),
        Payload::Base64(text) => format!("(base64) {text}"),
    }
}
