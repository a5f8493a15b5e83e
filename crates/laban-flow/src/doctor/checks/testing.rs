//! Parts of a mesh, for unit tests: as a broker lists them.

use serde_json::{Value, json};

use super::super::seen::{Role, Server, Store, Stream};

/// A home stream that began at this time; `config` and `state` say what is not as usual.
pub(super) fn home(name: &str, first: &str, config: &Value, state: &Value) -> Stream {
    let mut info = json!({
        "config": {
            "name": name, "subjects": [format!("{}.*.*", name.to_lowercase())], "retention": "limits", "discard": "new",
            "storage": "file", "num_replicas": 1,
        },
        "created": first,
        "state": {
            "messages": 0, "bytes": 0, "first_seq": 1, "first_ts": first, "last_seq": 0, "last_ts": first,
            "consumer_count": 0, "num_subjects": 0,
        },
    });
    for (part, changed) in [("config", config), ("state", state)] {
        for (key, value) in changed.as_object().unwrap() {
            info[part][key] = value.clone();
        }
    }
    Stream { role: Role::Home(name.to_lowercase()), info: serde_json::from_value(info).unwrap() }
}

pub(super) fn server(version: &str, store: Store) -> Server {
    Server {
        name: "n1".to_owned(),
        version: version.to_owned(),
        jetstream: true,
        clock: None,
        store: Some(store),
    }
}
