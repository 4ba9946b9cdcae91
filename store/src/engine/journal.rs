//! What a crash leaves in the engine's journal, repaired before the engine sees it.
//!
//! fjall cuts a journal at the first batch it cannot read, whatever follows, and refuses to open at a
//! checksum that does not match. Neither suits us: a torn end shall be cut with a word about it, and damage
//! before acknowledged commits shall be named, not cut. The format is that of fjall 3's `journal/entry.rs`.

use crate::DataDirError;
use crate::fail::fail_point;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_64;

const VERSION_MARKER: &str = "version";
const TRAILER: &[u8] = b"FJL\x03";

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;

/// Cuts a torn end off the newest journal in `dir`; refuses damage that no crash explains.
pub(super) fn repair(dir: &Path) -> Result<(), DataDirError> {
    let unusable = |source| DataDirError::Unusable { path: dir.into(), source };
    let journals = journals(dir).map_err(unusable)?;
    let Some((newest, sealed)) = journals.split_last() else { return Ok(()) };
    for path in sealed {
        if let (_, Tail::Torn | Tail::Damaged(_)) = inspect(path)? {
            return Err(damaged(path, "a batch in it is broken, though it was complete once".into()));
        }
    }
    let begun = fs::metadata(dir.join(VERSION_MARKER)).is_ok_and(|marker| marker.len() > 0);
    match inspect(newest)? {
        (0, _) if !begun => discard(dir).map_err(unusable),
        _ if !begun => Err(damaged(&dir.join(VERSION_MARKER), "it is missing, though there is data".into())),
        (_, Tail::Clean) => Ok(()),
        (at, Tail::Torn) => cut(newest, at).map_err(unusable),
        (at, Tail::Damaged(next)) => {
            Err(damaged(newest, format!("broken at byte {at}, with a whole commit at byte {next} after it")))
        }
    }
}

/// What follows the last batch that can be read from the start.
#[derive(Debug, PartialEq, Eq)]
enum Tail {
    /// Nothing, or space that was never written.
    Clean,
    /// Bytes that never became a batch: the write that a crash cut off.
    Torn,
    /// A batch that cannot be read and, at this offset, one that can: written after the first was on disk,
    /// or bytes of the torn batch that look so. Nobody can tell, so a person shall.
    Damaged(usize),
}

fn inspect(path: &Path) -> Result<(usize, Tail), DataDirError> {
    let bytes = fs::read(path).map_err(|source| DataDirError::Unusable { path: path.into(), source })?;
    Ok(examine(&bytes))
}

fn examine(bytes: &[u8]) -> (usize, Tail) {
    let (mut end, mut number) = (0, None);
    while let Some(batch) = batch(&bytes[end..]) {
        // The checksum does not cover the number; its order does.
        if number.is_some_and(|before| batch.number <= before) {
            return (end, Tail::Damaged(end));
        }
        (end, number) = (end + batch.length, Some(batch.number));
    }
    let rest = &bytes[end..];
    let written = written(rest);
    if written == 0 {
        return (end, Tail::Clean);
    }
    let later = (1..written).find(|at| batch(&rest[*at..]).is_some());
    (end, later.map_or(Tail::Torn, |at| Tail::Damaged(end + at)))
}

/// How many bytes there are up to the last one that is not zero.
fn written(bytes: &[u8]) -> usize {
    const BLOCK: usize = 4096;
    let blocks = bytes.chunks(BLOCK).rposition(|block| block != &[0; BLOCK][..block.len()]);
    let Some(block) = blocks else { return 0 };
    let start = block * BLOCK;
    let last = bytes[start..].iter().take(BLOCK).rposition(|byte| *byte != 0);
    start + last.expect("a byte in this block is not zero") + 1
}

struct Batch {
    length: usize,
    /// Greater than that of every batch before it.
    number: u64,
}

/// The batch that `bytes` start with, if there is a whole and sound one.
fn batch(bytes: &[u8]) -> Option<Batch> {
    let mut cursor = Cursor { bytes, at: 0 };
    if cursor.take(1)? != [START] {
        return None;
    }
    let count = cursor.number(4)?;
    let number = cursor.number(8)?;
    let items_from = cursor.at;
    for _ in 0..count {
        cursor.item()?;
    }
    let items = &bytes[items_from..cursor.at];
    let sound = cursor.take(1)? == [END]
        && cursor.number(8)? == xxh3_64(items)
        && cursor.take(TRAILER.len())? == TRAILER;
    sound.then_some(Batch { length: cursor.at, number })
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn number(&mut self, bytes: usize) -> Option<u64> {
        let little_endian = self.take(bytes)?.iter().rev();
        Some(little_endian.fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn item(&mut self) -> Option<()> {
        match self.take(1)? {
            [ITEM] => {
                // Value type, compression, keyspace.
                self.take(1 + 1 + 8)?;
                let key = self.number(2)?;
                let _uncompressed = self.number(4)?;
                let value = self.number(4)?;
                self.take(usize::try_from(key + value).ok()?).map(drop)
            }
            [CLEAR] => self.take(8).map(drop),
            _ => None,
        }
    }
}

/// The journals, oldest first.
fn journals(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        let number =
            path.file_name().and_then(|name| name.to_str()?.strip_suffix(".jnl")?.parse::<u64>().ok());
        found.extend(number.map(|number| (number, path)));
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

fn cut(path: &Path, at: usize) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    let bytes = file.metadata()?.len().saturating_sub(at as u64);
    tracing::warn!(
        journal = %path.display(), at, bytes,
        "cut a commit that a crash left half-written; nothing acknowledged was in it"
    );
    fail_point!("open.before-truncate");
    file.set_len(at as u64)?;
    file.sync_all()
}

/// Removes what the very first start left when it was cut off before the engine was whole.
fn discard(dir: &Path) -> io::Result<()> {
    tracing::warn!(path = %dir.display(), "a first start was cut off before it held anything: starting it anew");
    fs::remove_dir_all(dir)
}

fn damaged(path: &Path, what: String) -> DataDirError {
    DataDirError::Damaged { path: path.into(), what }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fjall::{Database, KeyspaceCreateOptions};

    const NUMBER: std::ops::Range<usize> = 5..13;

    /// A journal as the engine writes it, and where each of its batches ends.
    fn journal() -> (Vec<u8>, Vec<usize>) {
        let dir = tempfile::TempDir::new().expect("a temporary directory");
        let mut ends = vec![0];
        let database = Database::builder(dir.path()).open().expect("it opens");
        let rows = database.keyspace("rows", KeyspaceCreateOptions::default).expect("it opens");
        for n in 0..5u8 {
            let mut batch = database.batch().durability(Some(fjall::PersistMode::Buffer));
            batch.insert(&rows, [n], vec![n; 9]);
            batch.insert(&rows, b"long".as_slice(), vec![n; 700]);
            batch.remove(&rows, [n, n]);
            batch.commit().expect("written");
            let bytes = fs::read(dir.path().join("0.jnl")).expect("readable");
            ends.push(written(&bytes));
        }
        let mut bytes = fs::read(dir.path().join("0.jnl")).expect("readable");
        bytes.truncate(ends[5] + 50);
        (bytes, ends)
    }

    #[test]
    fn a_whole_journal_is_clean_however_much_space_follows() {
        let (bytes, ends) = journal();
        for length in [ends[5], ends[5] + 1, bytes.len()] {
            assert_eq!(examine(&bytes[..length]), (ends[5], Tail::Clean), "{length} bytes");
        }
        assert_eq!(examine(&[]), (0, Tail::Clean));
        assert_eq!(examine(&[0; 100]), (0, Tail::Clean));
    }

    #[test]
    fn a_tear_anywhere_in_the_last_batch_is_a_torn_tail() {
        let (bytes, ends) = journal();
        for at in ends[4] + 1..ends[5] {
            let mut zeroed = bytes.clone();
            zeroed[at..].fill(0);
            for torn in [&bytes[..at], &zeroed] {
                assert_eq!(examine(torn), (ends[4], Tail::Torn), "torn at {at}");
            }
            let mut hole = bytes.clone();
            hole[at..(at + 512).min(ends[5])].fill(0);
            let expected = if hole == bytes { (ends[5], Tail::Clean) } else { (ends[4], Tail::Torn) };
            let number = ends[4] + NUMBER.start..ends[4] + NUMBER.end;
            if !number.contains(&at) {
                assert_eq!(examine(&hole), expected, "a hole at {at}");
            }
        }
    }

    #[test]
    fn a_flip_is_cut_at_the_end_and_named_before_it() {
        let (bytes, ends) = journal();
        for at in 0..ends[5] {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            let which = ends.partition_point(|end| *end <= at) - 1;
            let in_number = NUMBER.contains(&(at - ends[which]));
            match (which, examine(&flipped)) {
                (4, (end, Tail::Torn)) => assert_eq!(end, ends[4], "byte {at}"),
                // A number that grew is as good as any, after all others.
                (4, (end, Tail::Clean)) => assert!(in_number && end == ends[5], "byte {at}"),
                (4, (_, Tail::Damaged(_))) => assert!(in_number, "byte {at}"),
                (_, (end, Tail::Damaged(_))) => assert!(end <= ends[which + 1], "byte {at}"),
                (_, other) => panic!("byte {at}: {other:?}"),
            }
        }
    }
}
