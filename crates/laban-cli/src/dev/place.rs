use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use super::Args;
use crate::Failure;

/// Where the streams are kept, held by this process alone.
pub(super) struct Place {
    /// The folder; none: a temporary one of the broker's.
    pub(super) store: Option<PathBuf>,
    /// Locked as long as it is open, so also gone with a process that was killed.
    _lock: Option<File>,
}

impl Place {
    pub(super) fn take(args: &Args) -> Result<Self, Failure> {
        if args.temporary {
            return Ok(Self { store: None, _lock: None });
        }
        let store = match &args.store {
            Some(store) => std::path::absolute(store).unwrap_or_else(|_| store.clone()),
            None => default_store(|name| {
                std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
            })?,
        };
        let lock = lock(&store)?;
        Ok(Self { store: Some(store), _lock: Some(lock) })
    }
}

fn default_store(env: impl Fn(&str) -> Option<PathBuf>) -> Result<PathBuf, Failure> {
    // The base directory specification has relative paths ignored.
    let data = env("XDG_DATA_HOME").filter(|path| path.is_absolute());
    let data = data.or_else(|| Some(env("HOME")?.join(".local/share")));
    let missing =
        || Failure::NotDone("neither XDG_DATA_HOME nor HOME is set: give --store or --temporary".into());
    Ok(data.ok_or_else(missing)?.join("laban/dev"))
}

fn lock(store: &Path) -> Result<File, Failure> {
    let unusable = |e: std::io::Error| {
        Failure::NotDone(format!("cannot use {}: {e}; --store names another folder", store.display()))
    };
    std::fs::create_dir_all(store).map_err(unusable)?;
    let options =
        || File::options().create(true).truncate(false).write(true).open(store.join("laban-dev.lock"));
    let file = options().map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Failure::NotDone(format!(
            "another `laban dev` uses {}: stop that one, or give --store or --temporary",
            store.display()
        ))),
        Err(TryLockError::Error(e)) => Err(unusable(e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_follows_the_base_directory_specification() {
        let store = |data: &'static str, home: &'static str| {
            let env = move |name: &str| {
                let value = if name == "HOME" { home } else { data };
                (!value.is_empty()).then(|| PathBuf::from(value))
            };
            default_store(env).ok()
        };
        assert_eq!(store("/data", "/home/ann"), Some("/data/laban/dev".into()));
        assert_eq!(store("", "/home/ann"), Some("/home/ann/.local/share/laban/dev".into()));
        assert_eq!(store("relative", "/home/ann"), Some("/home/ann/.local/share/laban/dev".into()));
        assert_eq!(store("", ""), None);
    }

    #[test]
    fn one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("deep/er");
        let first = lock(&store).unwrap();
        let Err(Failure::NotDone(message)) = lock(&store) else { panic!("taken twice") };
        assert!(message.contains("another `laban dev` uses"), "{message}");
        drop(first);
        assert!(lock(&store).is_ok());
    }
}
