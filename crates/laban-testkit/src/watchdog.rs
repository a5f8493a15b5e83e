//! Kills what is left when this process dies without running its destructors.
//!
//! Drop is not enough: a test may abort, be killed, call `exit`, or keep a broker in a `static`. A small shell reads the
//! ids of running processes, and the folders of mounted disks, from a pipe; the pipe closes when this process is gone,
//! however it went.

use std::fmt::Display;
use std::io::Write;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// Lines are `+pid` and `-pid`, or `+/folder` and `-/folder`. It must outlive the Ctrl-C that ends its parent.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
left=' '
while read -r line; do
  one=${line#?}
  case "$line" in
    +*) left="$left$one " ;;
    -*) case "$left" in *" $one "*) left="${left%% $one *} ${left#* $one }" ;; esac ;;
  esac
done
for one in $left; do
  case "$one" in /*) ;; *) kill -9 "$one" 2>/dev/null ;; esac
done
for one in $left; do
  case "$one" in /*) umount -l "$one" && rmdir "$one" ;; esac
done
"#;

static PIPE: Mutex<Option<ChildStdin>> = Mutex::new(None);

/// The process is to die with this one.
pub(crate) fn guard(pid: u32) {
    tell('+', pid);
}

/// The process is gone, and its id may become someone else's.
pub(crate) fn release(pid: u32) {
    tell('-', pid);
}

/// The disk that is mounted there is to go with this process. The shell knows no folders with white space.
pub(crate) fn guard_mount(folder: &Path) {
    if !folder.to_string_lossy().contains(char::is_whitespace) {
        tell('+', folder.display());
    }
}

/// Nothing is mounted there any more.
pub(crate) fn release_mount(folder: &Path) {
    tell('-', folder.display());
}

fn tell(sign: char, what: impl Display) {
    let mut pipe = PIPE.lock().unwrap_or_else(PoisonError::into_inner);
    if pipe.is_none() {
        *pipe = start();
    }
    // Without a shell there is no watchdog, and drop still works: not worth failing a test for.
    if let Some(pipe) = pipe.as_mut() {
        let _ = writeln!(pipe, "{sign}{what}");
    }
}

fn start() -> Option<ChildStdin> {
    Command::new("/bin/sh")
        .args(["-c", SCRIPT, "laban-testkit-watchdog"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()?
        .stdin
        .take()
}
