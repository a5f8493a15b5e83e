//! Contract files: what a service's binary prints with `contract`, or an array of such.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use laban_flow::map::{Member, read_contracts};

use crate::Failure;

/// Reads contracts from files; from all `.json` files of a folder; from standard input where the name is `-`.
pub(crate) fn read(paths: &[PathBuf]) -> Result<Vec<Member>, Failure> {
    let mut members = Vec::new();
    for path in paths {
        for file in files(path)? {
            let name = file.display().to_string();
            let text = text(&file).map_err(|e| Failure::Usage(format!("cannot read {name}: {e}")))?;
            members.extend(read_contracts(&text, &name)?);
        }
    }
    Ok(members)
}

fn text(file: &Path) -> std::io::Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    std::fs::read_to_string(file)
}

fn files(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let unreadable = |e| Failure::Usage(format!("cannot read {}: {e}", path.display()));
    let mut found = Vec::new();
    for entry in path.read_dir().map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        if file.extension().is_some_and(|extension| extension == "json") {
            found.push(file);
        }
    }
    found.sort();
    if found.is_empty() {
        return Err(Failure::Usage(format!("{} has no `.json` file", path.display())));
    }
    Ok(found)
}
