//! Builds what is going to be measured, so that nothing stale is.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::entrant::{Allocator, Kind};
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
        Allocator::System | Allocator::Own => "laban-bench",
        Allocator::Mimalloc => "laban-bench-mimalloc",
        Allocator::Counting => "laban-bench-counted",
    }
}

/// Builds them: nothing, if they are as the sources are.
pub(crate) async fn contestants(allocators: &[Allocator]) -> Result<()> {
    let mut cargo = cargo();
    cargo.args(["build", "--release", "-p", "laban-bench"]);
    for allocator in allocators {
        cargo.args(["--bin", binary(*allocator)]);
    }
    cargo.args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")]);
    cargo.arg("--target-dir").arg(target_dir()?);
    succeed(cargo).await.map_err(|reason| Error::new(format!("the contestants do not build: {reason}")))
}

/// Builds the shop's services, beside this program.
pub(crate) async fn shop() -> Result<()> {
    let mut cargo = cargo();
    cargo.args(["build", "--release", "-p", "shop", "--bins"]);
    cargo.args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")]);
    cargo.arg("--target-dir").arg(target_dir()?);
    succeed(cargo).await.map_err(|reason| Error::new(format!("the shop does not build: {reason}")))
}

/// Where the peers are built.
fn peers() -> Result<PathBuf> {
    Ok(target_dir()?.join("bench").join("peers"))
}

/// The binary of RustStream's chain.
pub(super) fn ruststream(allocator: Allocator) -> Result<PathBuf> {
    let name = match allocator {
        Allocator::Mimalloc => "ruststream-chain-mimalloc",
        _ => "ruststream-chain",
    };
    Ok(peers()?.join("ruststream").join("release").join(name))
}

/// The binary of Watermill's chain.
pub(super) fn watermill() -> Result<PathBuf> {
    Ok(peers()?.join("watermill-chain"))
}

/// Builds a peer, or says why it cannot be built here; those of this package need not be.
pub(crate) async fn peer(kind: Kind) -> Result<std::result::Result<(), String>> {
    let peers = peers()?;
    let command = match kind {
        Kind::RustStream => {
            let mut cargo = cargo();
            cargo.args(["build", "--release", "--locked", "--manifest-path"]);
            cargo.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/peers/ruststream/Cargo.toml"));
            cargo.arg("--target-dir").arg(peers.join("ruststream"));
            cargo
        }
        Kind::Watermill => {
            let mut go = Command::new("go");
            go.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/peers/watermill"));
            go.args(["build", "-mod=readonly", "-o"]).arg(watermill()?).arg(".");
            go
        }
        _ => return Ok(Ok(())),
    };
    Ok(succeed(command).await)
}

fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs it to its end; if it fails, what it said last.
async fn succeed(mut command: Command) -> std::result::Result<(), String> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await;
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let lines: Vec<&str> = said.lines().collect();
            Err(lines[lines.len().saturating_sub(20)..].join("\n"))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(format!("there is no `{program}` here"))
        }
        Err(error) => Err(format!("cannot run {program}: {error}")),
    }
}
