//! A torn end of the journal is cut with a word about it; damage before acknowledged commits is named.

use bytes::Bytes;
use std::future::Future;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use store::{DataDir, DataDirError, Scan, Store, Write};
use tempfile::TempDir;
use world::World;

const COMMITS: usize = 12;

/// A closed data directory with a number of commits, and where in the journal each of them ends.
struct Prepared {
    dir: TempDir,
    ends: Vec<usize>,
}

fn on_runtime<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

fn prepare() -> Prepared {
    let dir = TempDir::new().expect("a temporary directory");
    let ends = on_runtime(async {
        let data = DataDir::open(dir.path()).expect("it opens");
        let store = Store::fjall(&data, World::real()).expect("it opens");
        let mut ends = Vec::new();
        for n in 0..COMMITS {
            let writes = vec![Write::Put(format!("row/{n:03}").into_bytes(), value(n))];
            store.commit(vec![], writes).await.expect("committed");
            ends.push(end_of(&start_of(&journal(dir.path()))));
        }
        ends
    });
    Prepared { dir, ends }
}

fn value(n: usize) -> Bytes {
    Bytes::from(vec![b'0' + u8::try_from(n).expect("small"); 40 + n])
}

/// The part of a journal that this test can have written.
fn start_of(journal: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(journal).expect("readable");
    file.take(64 * 1024).read_to_end(&mut bytes).expect("readable");
    bytes
}

fn end_of(journal: &[u8]) -> usize {
    journal.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

fn journal(dir: &Path) -> PathBuf {
    dir.join("state/0.jnl")
}

impl Prepared {
    /// Opens a copy whose journal was changed; answers what the process said, and how many rows are there.
    fn open_with(&self, change: impl FnOnce(&mut Vec<u8>)) -> (String, Result<usize, DataDirError>) {
        let copy = TempDir::new().expect("a temporary directory");
        copy_tree(self.dir.path(), copy.path());
        // Without the space that was never written, so that copies are small.
        let mut bytes = start_of(&journal(self.dir.path()));
        bytes.truncate(self.ends[COMMITS - 1] + 4096);
        change(&mut bytes);
        std::fs::write(journal(copy.path()), bytes).expect("writable");
        let said = Said::default();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(said.clone()).finish();
        let opened = tracing::subscriber::with_default(subscriber, || {
            let data = DataDir::open(copy.path())?;
            Store::fjall(&data, World::real())
        });
        let rows = opened.map(|store| {
            let range = b"row/".to_vec()..b"row0".to_vec();
            let rows = on_runtime(store.scan(range, Scan { limit: 1000, reverse: false })).expect("readable");
            for (n, (key, stored, _)) in rows.iter().enumerate() {
                assert_eq!((key.clone(), stored.clone()), (format!("row/{n:03}").into_bytes(), value(n)));
            }
            rows.len()
        });
        (said.text(), rows)
    }
}

#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl Said {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("whole")).into_owned()
    }
}

impl std::io::Write for Said {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("whole").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl tracing_subscriber::fmt::MakeWriter<'_> for Said {
    type Writer = Self;
    fn make_writer(&self) -> Self {
        self.clone()
    }
}

fn copy_tree(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            std::fs::create_dir_all(&target).expect("writable");
            copy_tree(&entry.path(), &target);
        } else if target.extension().is_none_or(|end| end != "jnl") {
            std::fs::copy(entry.path(), target).expect("copied");
        }
    }
}

#[test]
fn a_torn_end_is_cut_with_a_word() {
    let prepared = prepare();
    let (start, end) = (prepared.ends[COMMITS - 2], prepared.ends[COMMITS - 1]);
    let (said, rows) = prepared.open_with(|_| {});
    assert_eq!((rows.expect("it opens"), said.contains("cut a commit")), (COMMITS, false), "{said}");
    // Torn here and there: cut, as a file that grew; zeros, as in prepared space.
    for at in (start + 1..end).step_by(29) {
        for grew in [true, false] {
            let (said, rows) = prepared.open_with(|bytes| {
                bytes[at..end].fill(0);
                bytes.truncate(if grew { at } else { usize::MAX });
            });
            let context = format!("torn at byte {at} of {start}..{end}, grew: {grew}");
            assert_eq!(rows.expect(&context), COMMITS - 1, "{context}");
            assert!(said.contains("WARN") && said.contains("cut a commit"), "{context}: {said}");
        }
    }
}

#[test]
fn damage_before_acknowledged_commits_is_named_and_nothing_is_cut() {
    let prepared = prepare();
    let (start, end) = (prepared.ends[4], prepared.ends[5]);
    let middle = (start..end).step_by(37).map(|at| (at, 1));
    for (at, length) in middle.chain([(start, end - start), (0, 16), (prepared.ends[9], 30)]) {
        let (_, opened) =
            prepared.open_with(|bytes| bytes[at..at + length].iter_mut().for_each(|b| *b ^= 0x55));
        match opened {
            Err(DataDirError::Damaged { path, what }) => {
                assert!(path.ends_with("state/0.jnl") && what.contains("broken at byte"), "{what}");
            }
            other => panic!("{length} bytes at {at}: {other:?}"),
        }
    }
}

#[test]
fn a_first_start_that_was_cut_off_is_begun_anew() {
    let prepared = prepare();
    let copy = TempDir::new().expect("a temporary directory");
    copy_tree(prepared.dir.path(), copy.path());
    let marker = copy.path().join("state/version");
    std::fs::File::create(journal(copy.path()))
        .and_then(|mut file| file.write_all(&[0; 64]))
        .expect("writable");
    for left in [None, Some(b"")] {
        std::fs::remove_file(&marker).expect("it is there");
        left.inspect(|bytes| std::fs::write(&marker, bytes).expect("writable"));
        let data = DataDir::open(copy.path()).expect("it opens");
        let store = Store::fjall(&data, World::real()).expect("it opens");
        on_runtime(store.commit(vec![], vec![Write::Delete(vec![1])])).expect("it works");
        drop((store, data));
        std::fs::write(journal(copy.path()), [0; 64]).expect("writable");
    }
}

#[test]
fn damage_in_a_table_is_never_served() {
    let dir = TempDir::new().expect("a temporary directory");
    let stored = |n: usize| Bytes::from(format!("{n:04}").repeat(16 * 1024));
    let rows = 400;
    on_runtime(async {
        let data = DataDir::open(dir.path()).expect("it opens");
        let store = Store::fjall(&data, World::real()).expect("it opens");
        for n in 0..rows {
            let writes = (n..n + 10).map(|n| Write::Put(format!("row/{n:04}").into_bytes(), stored(n)));
            if n % 10 == 0 {
                store.commit(vec![], writes.collect()).await.expect("committed");
            }
        }
    });
    let mut tables = files_below(&dir.path().join("state/keyspaces/1/tables"));
    tables.sort();
    let largest = tables.pop().expect("rows were written out as tables").1;
    let mut bytes = std::fs::read(&largest).expect("readable");
    bytes.iter_mut().skip(100_000).step_by(20_000).for_each(|byte| *byte ^= 1);
    std::fs::write(&largest, bytes).expect("writable");

    let data = DataDir::open(dir.path()).expect("it opens");
    let refused = match Store::fjall(&data, World::real()) {
        Err(error) => u32::from(matches!(error, DataDirError::Damaged { .. })),
        Ok(store) => on_runtime(async {
            let mut refused = 0;
            for n in 0..rows {
                match store.get(&[format!("row/{n:04}").into_bytes()]).await {
                    Ok(found) => assert_eq!(found[0].as_ref().map(|row| &row.0), Some(&stored(n)), "row {n}"),
                    Err(error) => {
                        assert!(matches!(error, store::StoreError::Unreadable(_)), "row {n}: {error}");
                        refused += 1;
                    }
                }
            }
            refused
        }),
    };
    assert!(refused > 0, "the damage was not noticed");
}

/// Sizes and paths.
fn files_below(path: &Path) -> Vec<(u64, PathBuf)> {
    let entries = std::fs::read_dir(path).expect("a directory").map(|entry| entry.expect("an entry"));
    entries.map(|entry| (entry.metadata().expect("metadata").len(), entry.path())).collect()
}
