//! Folders of a broker's store: kept aside, and put back.

use std::fs;
use std::io::{Error, ErrorKind};
use std::path::Path;

use laban_tests::Outcome;
use tempfile::TempDir;

/// A copy of a folder as it is now. What a running broker takes away meanwhile is not in it.
pub(crate) fn copy(folder: &Path) -> Outcome<TempDir> {
    let copy = tempfile::tempdir()?;
    copy_into(folder, copy.path())?;
    Ok(copy)
}

/// Makes the folder what it was when it was copied.
pub(crate) fn put_back(copy: &TempDir, folder: &Path) -> Outcome {
    fs::remove_dir_all(folder)?;
    fs::create_dir_all(folder)?;
    Ok(copy_into(copy.path(), folder)?)
}

fn copy_into(from: &Path, to: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        let copied = if entry.file_type()?.is_dir() {
            fs::create_dir_all(&to).and_then(|()| copy_into(&from, &to))
        } else {
            fs::copy(&from, &to).map(drop)
        };
        match copied {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            copied => copied?,
        }
    }
    Ok(())
}
