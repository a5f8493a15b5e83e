//! Another body for a dead letter: from a file, or from an editor.

use std::io::{ErrorKind, Read as _, Write as _};
use std::path::Path;

use laban_wire::Payload;

use crate::Failure;

/// No broker takes more.
const MOST_BYTES: u64 = 64 << 20;

/// Reads a body from a file, or from standard input where it is called `-`.
pub(super) fn from_file(path: &Path, limit: usize) -> Result<Payload, Failure> {
    let wrong = |error: std::io::Error| Failure::Usage(format!("--payload {}: {error}", path.display()));
    let mut body = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().lock().take(MOST_BYTES).read_to_end(&mut body).map_err(wrong)?;
    } else {
        std::fs::File::open(path).map_err(wrong)?.take(MOST_BYTES).read_to_end(&mut body).map_err(wrong)?;
    }
    checked(&body, limit)
}

/// Opens a body in an editor, and returns what was made of it.
pub(super) async fn in_editor(before: &str, limit: usize) -> Result<Payload, Failure> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    let editor = set("VISUAL").or_else(|| set("EDITOR"));
    let editor =
        editor.ok_or_else(|| Failure::Usage("no editor: set EDITOR, or use --payload FILE".to_owned()))?;
    let failed = |error: std::io::Error| Failure::NotDone(format!("cannot edit: {error}"));
    let mut file = tempfile::Builder::new().prefix("laban-").suffix(".json").tempfile().map_err(failed)?;
    file.write_all(before.as_bytes()).and_then(|()| file.flush()).map_err(failed)?;
    // As git does: the variable may have arguments. The editor has the terminal, and Ctrl-C is the editor's.
    let mut command = tokio::process::Command::new("sh");
    command.args(["-c", &format!("{editor} \"$@\""), &editor]).arg(file.path());
    let interrupted = tokio::signal::ctrl_c();
    let edited = async { command.status().await };
    tokio::pin!(edited, interrupted);
    let status = loop {
        tokio::select! {
            status = &mut edited => break status.map_err(failed)?,
            // Waiting goes on: the file is removed when the editor has ended.
            _ = &mut interrupted => interrupted.set(tokio::signal::ctrl_c()),
        }
    };
    if !status.success() {
        return Err(Failure::NotDone(format!("the editor ended with {status}: nothing was done")));
    }
    // An editor may have put another file in its place.
    let after = match std::fs::read(file.path()) {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        after => after.map_err(failed)?,
    };
    if after.trim_ascii().is_empty() || after == before.as_bytes() {
        return Err(Failure::NotDone("nothing was changed: nothing was done".to_owned()));
    }
    checked(&after, limit)
}

fn checked(body: &[u8], limit: usize) -> Result<Payload, Failure> {
    if body.len() > limit {
        return Err(Failure::Usage(format!(
            "a body of {} bytes is too large: the broker takes {limit}",
            body.len()
        )));
    }
    let json: Result<serde_json::Value, _> = serde_json::from_slice(body);
    if let Err(error) = json {
        return Err(Failure::Usage(format!("the body of an event is JSON, and this is not: {error}")));
    }
    Ok(Payload::of(body.trim_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_json_and_fits() {
        let kept = checked(b" {\"a\":1.50}\n", 100).unwrap();
        assert_eq!(&kept.to_bytes()[..], b"{\"a\":1.50}");
        assert!(matches!(checked(b"{", 100), Err(Failure::Usage(_))));
        assert!(matches!(checked(b"\"long\"", 3), Err(Failure::Usage(_))));
    }
}
