//! Kills what is left when this process dies without running its destructors.
//!
//! Drop is not enough: a test may abort, be killed, call `exit`, or keep a broker in a `static`. A small shell reads the
//! ids of running processes from a pipe; the pipe closes when this process is gone, however it went.

use std::io::Write;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// Lines are `+pid` and `-pid`. It must outlive the Ctrl-C that ends its parent.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
pids=' '
while read -r line; do
  pid=${line#?}
  case "$line" in
    +*) pids="$pids$pid " ;;
    -*) case "$pids" in *" $pid "*) pids="${pids%% $pid *} ${pids#* $pid }" ;; esac ;;
  esac
done
for pid in $pids; do kill -9 "$pid" 2>/dev/null; done
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

fn tell(sign: char, pid: u32) {
    let mut pipe = PIPE.lock().unwrap_or_else(PoisonError::into_inner);
    if pipe.is_none() {
        *pipe = start();
    }
    // Without a shell there is no watchdog, and drop still works: not worth failing a test for.
    if let Some(pipe) = pipe.as_mut() {
        let _ = writeln!(pipe, "{sign}{pid}");
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
