//! Builds what is going to be measured, so that nothing stale is.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::entrant::Allocator;
use crate::error::{Doing as _, Error, Result};

/// The folder of build results: `target`, or what `CARGO_TARGET_DIR` says.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let own = std::env::current_exe().doing("find this program")?;
    let target = own.parent().and_then(Path::parent);
    target.map(Path::to_owned).ok_or_else(|| Error::new("this program is in no folder of build results"))
}

/// The binary of the contestants that are in this package: this very program, linked with one allocator or another.
pub(super) fn contestant(allocator: Allocator) -> Result<PathBuf> {
    Ok(target_dir()?.join("release").join(binary(allocator)))
}

/// The size of a file.
pub(crate) fn megabytes(path: &Path) -> Result<f64> {
    let metadata = std::fs::metadata(path).doing(format_args!("look at {}", path.display()))?;
    Ok(metadata.len() as f64 / 1e6)
}

fn binary(allocator: Allocator) -> &'static str {
    match allocator {
        Allocator::System => "laban-bench",
        Allocator::Mimalloc => "laban-bench-mimalloc",
        Allocator::Counting => "laban-bench-counted",
    }
}

/// Builds them: nothing, if they are as the sources are.
pub(crate) async fn contestants(allocators: &[Allocator]) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "-p", "laban-bench"]);
    for allocator in allocators {
        command.args(["--bin", binary(*allocator)]);
    }
    let output = command
        .args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")])
        .arg("--target-dir")
        .arg(target_dir()?)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .doing("run cargo")?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::new(format!("the contestants do not build:\n{}", String::from_utf8_lossy(&output.stderr))))
}
