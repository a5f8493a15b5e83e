//! How a process is started.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Error, Process};

/// What to start, and how: see [`Process::builder`].
#[derive(Debug)]
pub struct Builder {
    command: Command,
    name: String,
    log: Option<PathBuf>,
}

impl Builder {
    pub(crate) fn new(program: &OsStr) -> Self {
        let name = Path::new(program).file_name().unwrap_or(program);
        Self { name: name.to_string_lossy().into_owned(), command: Command::new(program), log: None }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds several arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets an environment variable; all others are inherited.
    #[must_use]
    pub fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// Keeps an environment variable from being inherited.
    #[must_use]
    pub fn env_remove(mut self, key: impl AsRef<OsStr>) -> Self {
        self.command.env_remove(key);
        self
    }

    /// Keeps environment variables from being inherited whose names begin with one of these, such as what the user's shell
    /// says about brokers and collectors.
    #[must_use]
    pub fn env_remove_prefixed(mut self, prefixes: &[&str]) -> Self {
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| prefixes.iter().any(|prefix| name.starts_with(prefix))) {
                self.command.env_remove(name);
            }
        }
        self
    }

    /// Sets the working directory.
    #[must_use]
    pub fn current_dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Sets the name used in messages; the program's file name otherwise.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Appends standard output and standard error to this file; otherwise to a temporary one that goes with the process.
    #[must_use]
    pub fn log_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.log = Some(path.into());
        self
    }

    /// Starts the process.
    ///
    /// It stays in the caller's process group, so Ctrl-C on a terminal reaches it too, and it is killed when the caller dies.
    ///
    /// # Errors
    ///
    /// If the log file cannot be opened ([`Error::Io`]) or the program cannot be run ([`Error::Spawn`]).
    pub fn spawn(mut self) -> Result<Process, Error> {
        let (path, temporary) = match self.log {
            Some(path) => (path, None),
            None => {
                let file = tempfile::Builder::new()
                    .prefix("laban-")
                    .suffix(".log")
                    .tempfile()
                    .map_err(Error::io("create a temporary log file"))?;
                (file.path().to_owned(), Some(file.into_temp_path()))
            }
        };
        let out = open(&path)?;
        let err = out.try_clone().map_err(Error::io("open the log file twice"))?;
        let child = self
            .command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .map_err(|source| Error::Spawn { program: self.command.get_program().into(), source })?;
        Ok(Process::new(self.name, child, path, temporary))
    }
}

fn open(path: &Path) -> Result<File, Error> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(Error::io(format!("open {}", path.display())))
}
