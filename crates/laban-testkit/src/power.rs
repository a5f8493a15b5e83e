//! A disk whose power can be cut.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::{Error, watchdog};

/// A file system of its own, of which a power failure leaves what had been written to its disk; unmounted on drop.
///
/// What a program writes is with the system at once, and on the disk when it is synced, or when the system comes to it,
/// which may be half a minute later. A program that is killed loses nothing by that; one whose machine fails does.
///
/// The disk is a file, and [`lose_power`](Self::lose_power) goes on with what that file holds at this moment. The disk
/// itself has no memory of its own that could be lost: what a program has synced is safe.
///
/// It takes Linux, `mkfs.ext4`, loop devices, and the right to mount. Where it cannot be had, a test can say why and pass,
/// as with a [`SmallDisk`](crate::SmallDisk).
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use laban_testkit::{Error, PowerDisk};
///
/// let mut disk = match PowerDisk::mount(16 * 1024 * 1024) {
///     Ok(disk) => disk,
///     Err(Error::NoDisk { why }) => {
///         eprintln!("skipped, no disk whose power can be cut: {why}");
///         return Ok(());
///     }
///     Err(error) => return Err(error.into()),
/// };
/// std::fs::write(disk.path().join("synced"), "there")?;
/// disk.sync()?;
/// std::fs::write(disk.path().join("written"), "gone")?;
/// disk.lose_power()?;
/// assert!(disk.path().join("synced").exists() && !disk.path().join("written").exists());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PowerDisk {
    dir: TempDir,
    mounted: PathBuf,
}

impl PowerDisk {
    /// Makes one of so many bytes; 8 MiB is about the least that holds a file system.
    ///
    /// # Errors
    ///
    /// [`Error::NoDisk`] says why it cannot be had here, [`Error::Io`] if there is no temporary folder either.
    pub fn mount(bytes: u64) -> Result<Self, Error> {
        let dir = tempfile::Builder::new()
            .prefix("laban-power-")
            .tempdir()
            .map_err(Error::io("create a temporary folder"))?;
        let disk = Self { mounted: dir.path().join("mounted"), dir };
        fs::create_dir(&disk.mounted).map_err(Error::io("create a folder to mount on"))?;
        let image = File::create(disk.image()).and_then(|file| file.set_len(bytes));
        image.map_err(Error::io(format!("make {}", disk.image().display())))?;
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(disk.image()))?;
        disk.mount_image()?;
        Ok(disk)
    }

    /// The folder it is mounted on.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.mounted
    }

    /// Has all that was written so far on the disk.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the system refuses.
    pub fn sync(&self) -> Result<(), Error> {
        run(Command::new("sync").arg("-f").arg(&self.mounted)).map_err(refused)
    }

    /// Loses what is not on the disk yet, and mounts it again. Whoever uses it must have been killed before.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the system refuses, or somebody still has a file open there.
    pub fn lose_power(&mut self) -> Result<(), Error> {
        let left = self.dir.path().join("left");
        fs::copy(self.image(), &left).map_err(Error::io(format!("copy {}", self.image().display())))?;
        // This writes what was to be lost to the old file.
        run(Command::new("umount").arg(&self.mounted)).map_err(refused)?;
        watchdog::release_mount(&self.mounted);
        fs::rename(&left, self.image()).map_err(Error::io(format!("replace {}", self.image().display())))?;
        self.mount_image().map_err(refused)
    }

    fn image(&self) -> PathBuf {
        self.dir.path().join("image")
    }

    fn mount_image(&self) -> Result<(), Error> {
        // The system does not write of its own accord while a test runs, as far as it can be asked not to.
        let mut mount = Command::new("mount");
        run(mount.args(["-o", "loop,nosuid,nodev,commit=300"]).arg(self.image()).arg(&self.mounted))?;
        watchdog::guard_mount(&self.mounted);
        Ok(())
    }
}

impl Drop for PowerDisk {
    fn drop(&mut self) {
        // Nothing is left to be done about an error; the folder stays behind then.
        let _ = run(Command::new("umount").arg("--lazy").arg(&self.mounted));
        watchdog::release_mount(&self.mounted);
    }
}

/// Fails with the command's own words.
fn run(command: &mut Command) -> Result<(), Error> {
    let no_disk = |why: String| Error::NoDisk { why };
    let name = command.get_program().to_string_lossy().into_owned();
    let output =
        command.stdin(Stdio::null()).output().map_err(|error| no_disk(format!("{name}: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(no_disk(format!("{name}: {}", said.lines().next().unwrap_or("it did not say why"))))
}

/// For a disk that could be had, and fails later.
fn refused(error: Error) -> Error {
    match error {
        Error::NoDisk { why } => Error::io("use the disk")(std::io::Error::other(why)),
        other => other,
    }
}
