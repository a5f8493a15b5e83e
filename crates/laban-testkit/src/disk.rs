//! A disk that is full when a test wants it to be.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::{Error, watchdog};

/// The file that takes what is left.
const FILLER: &str = "laban-filler";
/// How much of it is written at once.
const BLOCK: usize = 64 * 1024;

/// A file system of so many bytes, in memory, on a temporary folder; unmounted on drop.
///
/// It takes Linux, and the right to mount: root's, or that of root in a user namespace. Where it cannot be had, a test
/// can say why and pass:
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use laban_testkit::{Error, SmallDisk};
///
/// let disk = match SmallDisk::mount(1024 * 1024) {
///     Ok(disk) => disk,
///     Err(Error::NoDisk { why }) => {
///         eprintln!("skipped, no small disk: {why}");
///         return Ok(());
///     }
///     Err(error) => return Err(error.into()),
/// };
/// disk.fill()?;
/// let full = std::fs::write(disk.path().join("one more"), "byte").expect_err("no room");
/// assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
/// disk.free()?;
/// std::fs::write(disk.path().join("one more"), "byte")?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct SmallDisk {
    dir: TempDir,
}

impl SmallDisk {
    /// Mounts one of so many bytes, rounded up to whole pages.
    ///
    /// # Errors
    ///
    /// [`Error::NoDisk`] says why it cannot be had here, [`Error::Io`] if there is no temporary folder either.
    pub fn mount(bytes: u64) -> Result<Self, Error> {
        let dir = tempfile::Builder::new()
            .prefix("laban-disk-")
            .tempdir()
            .map_err(Error::io("create a temporary folder"))?;
        // No size at all would mean: no limit.
        mount(dir.path(), bytes.max(1)).map_err(|why| Error::NoDisk { why })?;
        watchdog::guard_mount(dir.path());
        Ok(Self { dir })
    }

    /// The folder it is mounted on.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file that takes all that is left; what was freed since the last time as well.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if it fails otherwise than for want of room.
    pub fn fill(&self) -> Result<(), Error> {
        let fill = || {
            let mut file = File::options().create(true).append(true).open(self.filler())?;
            loop {
                match file.write(&[0; BLOCK]) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(()),
                    Err(error) => return Err(error),
                }
            }
        };
        fill().map_err(Error::io(format!("fill {}", self.path().display())))
    }

    /// Removes what [`fill`](Self::fill) wrote; nothing to remove is no error.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the system refuses.
    pub fn free(&self) -> Result<(), Error> {
        match std::fs::remove_file(self.filler()) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Error::io(format!("free {}", self.path().display()))(error))
            }
            _ => Ok(()),
        }
    }

    fn filler(&self) -> PathBuf {
        self.path().join(FILLER)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        unmount(self.path());
        watchdog::release_mount(self.path());
    }
}

#[cfg(target_os = "linux")]
fn mount(path: &Path, bytes: u64) -> Result<(), String> {
    use rustix::mount::{MountFlags, mount};

    let options = std::ffi::CString::new(format!("size={bytes},mode=0700")).map_err(|e| e.to_string())?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("laban-disk", path, "tmpfs", flags, options.as_c_str()).map_err(|error| match error {
        rustix::io::Errno::PERM => "to mount one takes root, or a user namespace".to_owned(),
        other => format!("the system does not mount one: {other}"),
    })
}

/// Takes it away at once, whoever still has files open there: it is gone with the last of them.
#[cfg(target_os = "linux")]
fn unmount(path: &Path) {
    // Nothing is left to be done about an error; the folder stays behind then.
    let _ = rustix::mount::unmount(path, rustix::mount::UnmountFlags::DETACH);
}

#[cfg(not(target_os = "linux"))]
fn mount(_: &Path, _: u64) -> Result<(), String> {
    Err("only Linux has them".to_owned())
}

#[cfg(not(target_os = "linux"))]
fn unmount(_: &Path) {}
