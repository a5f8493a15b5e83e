//! Damage to one replica's files, as a disk does it that fails.

use std::fs;
use std::path::{Path, PathBuf};

use laban_tests::Outcome;

/// What is done to the blocks of a stream: files with one record after the other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    /// One bit is another one, in the block's first record.
    Bit(Block),
    /// The second half is missing.
    Half(Block),
    /// The file is missing.
    Gone(Block),
    /// One bit is another one in the index, from which a broker that was stopped in order starts again.
    Index,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Block {
    First,
    Last,
}

impl Damage {
    /// Does it to the stream in this store.
    pub(crate) fn to(self, store: &Path, stream: &str) -> Outcome {
        let folder = store.join("jetstream/$G/streams").join(stream).join("msgs");
        match self {
            Self::Bit(which) => flip_bit(&block(&folder, which)?, IN_THE_FIRST)?,
            Self::Half(which) => {
                let file = fs::OpenOptions::new().write(true).open(block(&folder, which)?)?;
                file.set_len(file.metadata()?.len() / 2)?;
            }
            Self::Gone(which) => fs::remove_file(block(&folder, which)?)?,
            Self::Index => flip_bit(&folder.join("index.db"), 20)?,
        }
        Ok(())
    }
}

/// Behind the first record's head and subject, and before its end: in what only its checksum looks after.
const IN_THE_FIRST: usize = 100;

/// The block of this stream, of which there must be several.
fn block(folder: &Path, which: Block) -> Outcome<PathBuf> {
    let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let names = names.collect::<Result<Vec<_>, std::io::Error>>()?;
    let mut numbers: Vec<u32> =
        names.iter().filter_map(|name| name.strip_suffix(".blk")?.parse().ok()).collect();
    numbers.sort_unstable();
    let (&[first, .., last], true) = (&numbers[..], numbers.len() > 2) else {
        return Err(format!("expected several blocks in {}: {names:?}", folder.display()).into());
    };
    let number = if which == Block::First { first } else { last };
    Ok(folder.join(format!("{number}.blk")))
}

fn flip_bit(file: &Path, at: usize) -> Outcome {
    let mut bytes = fs::read(file)?;
    *bytes.get_mut(at).ok_or_else(|| format!("{} is too short", file.display()))? ^= 0x10;
    Ok(fs::write(file, bytes)?)
}

/// One bit is another one in every snapshot of this group of replicas, of which the name begins so.
pub(crate) fn flip_in_snapshots(store: &Path, group: &str) -> Outcome {
    let mut flipped = 0;
    for entry in fs::read_dir(store.join("jetstream/$SYS/_js_"))? {
        let entry = entry?;
        let snapshots = entry.path().join("snapshots");
        if !entry.file_name().to_string_lossy().starts_with(group) || !snapshots.is_dir() {
            continue;
        }
        for snapshot in fs::read_dir(snapshots)? {
            let snapshot = snapshot?.path();
            let middle = fs::metadata(&snapshot)?.len() / 2;
            flip_bit(&snapshot, usize::try_from(middle)?)?;
            flipped += 1;
        }
    }
    if flipped == 0 { Err(format!("there is no snapshot of {group}").into()) } else { Ok(()) }
}
