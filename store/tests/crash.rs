//! `kill -9` at random instants and at every named fail point; failing writes; then: is everything that was
//! acknowledged there, and nothing half?
//!
//! The test runs its own executable as the process that dies.
#![allow(clippy::disallowed_methods, reason = "tests wait in real time")]

use bytes::Bytes;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;
use store::fail::FAIL_POINTS;
use store::{Blobs, DataDir, Expect, Scan, Store, StoreError, Write};
use tempfile::TempDir;
use world::World;

const DIR: &str = "DAYFLY_CRASH_TEST_DIR";
const COMMITS: &str = "DAYFLY_CRASH_TEST_COMMITS";
const FAIL_POINT: &str = "DAYFLY_FAIL_POINT";
const WRITERS: u32 = 8;
const ENDLESS: u32 = u32::MAX;

/// The process that dies. An empty test when it is run as one.
#[test]
fn child_process() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let commits = std::env::var(COMMITS).expect("set").parse().expect("a number");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    // The harness has begun a line of its own.
    println!();
    runtime.block_on(work(Path::new(&dir), commits));
}

async fn work(dir: &Path, commits: u32) {
    let opened = DataDir::open(dir).and_then(|dir| {
        let blobs = Blobs::open(&dir).expect("the blobs open");
        Store::fjall(&dir, World::real()).map(|store| (store, blobs))
    });
    match opened {
        Ok((store, blobs)) => {
            println!("OPEN");
            let writers: Vec<_> =
                (0..WRITERS).map(|w| tokio::spawn(write(store.clone(), blobs.clone(), w, commits))).collect();
            for writer in writers {
                writer.await.expect("a writer ends");
            }
        }
        Err(error) => println!("REFUSED {error}"),
    }
}

/// Each commit adds a pair of rows and counts itself; all three or none may ever be seen.
async fn write(store: Store, blobs: Blobs, writer: u32, commits: u32) {
    let counter = format!("c/{writer}").into_bytes();
    for _ in 0..commits {
        let found = store.get(std::slice::from_ref(&counter)).await.expect("readable").remove(0);
        let (count, expect) = match found {
            Some((value, at)) => (number(&value) + 1, Expect::At(at)),
            None => (1, Expect::Absent),
        };
        let text = Bytes::from(count.to_string());
        let row = |kind: char| Write::Put(format!("{kind}/{writer}/{count:06}").into_bytes(), text.clone());
        let writes = vec![row('a'), Write::Put(counter.clone(), text.clone()), row('b')];
        match store.commit(vec![(counter.clone(), expect)], writes).await {
            Ok(_) => println!("ACK {writer} {count}"),
            Err(StoreError::Broken(_)) => return say_broken(&store, &counter).await,
            Err(other) => panic!("{other}"),
        }
        if count % 8 == 0 {
            match blobs.put(Bytes::from(format!("{writer} {count}"))).await {
                Ok(name) => println!("BLOB {name}"),
                Err(error) => println!("NOBLOB {error}"),
            }
        }
    }
}

/// Once broken, it stays so, and still answers reads.
async fn say_broken(store: &Store, key: &[u8]) {
    let again = store.commit(vec![], vec![Write::Delete(b"x".to_vec())]).await;
    let read = store.get(&[key.to_vec()]).await;
    let stays = matches!(again, Err(StoreError::Broken(_))) && read.is_ok();
    println!("{}", if stays { "BROKEN" } else { "HEALED?" });
}

fn number(value: &[u8]) -> u32 {
    std::str::from_utf8(value).expect("text").parse().expect("a number")
}

/// What a child said before it ended.
#[derive(Default)]
struct Said {
    acknowledged: BTreeMap<u32, u32>,
    blobs: Vec<String>,
    lines: Vec<String>,
    status: ExitStatus,
}

impl Said {
    fn has(&self, word: &str) -> bool {
        self.lines.iter().any(|line| line.starts_with(word))
    }

    fn was_killed(&self) -> bool {
        self.status.signal() == Some(9)
    }
}

/// Runs a child on `dir`; kills it `after` that time if it is given.
fn run(dir: &Path, commits: u32, arrange: impl FnOnce(&mut Command), after: Option<Duration>) -> Said {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f ${FILE_BLOCKS:-unlimited}; exec \"$0\" \"$@\""]);
    command.arg(std::env::current_exe().expect("this test has a file"));
    command.args(["child_process", "--exact", "--nocapture", "--test-threads=1"]);
    command.env(DIR, dir).env(COMMITS, commits.to_string()).env_remove(FAIL_POINT);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    arrange(&mut command);
    let mut child = command.spawn().expect("the child starts");
    let output = BufReader::new(child.stdout.take().expect("piped"));
    let reader = std::thread::spawn(move || output.lines().map_while(Result::ok).collect::<Vec<_>>());
    if let Some(after) = after {
        std::thread::sleep(after);
        child.kill().expect("it can be killed");
    }
    let status = child.wait().expect("it ends");
    let mut said = Said { status, lines: reader.join().expect("it reads"), ..Said::default() };
    for line in &said.lines {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["ACK", writer, count] => {
                said.acknowledged.insert(number(writer.as_bytes()), number(count.as_bytes()));
            }
            ["BLOB", name] => said.blobs.push((*name).into()),
            _ => {}
        }
    }
    said
}

/// Opens what the child left. Every acknowledged commit must be there, none by half, and at most the one
/// commit per writer that was under way may be there without having been acknowledged.
fn verify(
    context: &str,
    dir: &Path,
    acknowledged: &BTreeMap<u32, u32>,
    blobs: &[String],
) -> BTreeMap<u32, u32> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let dir = DataDir::open(dir).unwrap_or_else(|error| panic!("{context}: {error}"));
        let store = Store::fjall(&dir, World::real()).unwrap_or_else(|error| panic!("{context}: {error}"));
        let mut found = BTreeMap::new();
        for writer in 0..WRITERS {
            let counter = store.get(&[format!("c/{writer}").into_bytes()]).await.expect("readable").remove(0);
            let count = counter.map_or(0, |(value, _)| number(&value));
            let acknowledged = acknowledged.get(&writer).copied().unwrap_or(0);
            assert!(
                count == acknowledged || count == acknowledged + 1,
                "{context}: writer {writer} was told {acknowledged}, and {count} are there"
            );
            for kind in ['a', 'b'] {
                let range =
                    format!("{kind}/{writer}/").into_bytes()..format!("{kind}/{writer}0").into_bytes();
                let rows =
                    store.scan(range, Scan { limit: 1_000_000, reverse: false }).await.expect("readable");
                let numbers: Vec<u32> = rows.iter().map(|(_, value, _)| number(value)).collect();
                let expected: Vec<u32> = (1..=count).collect();
                assert_eq!(numbers, expected, "{context}: rows {kind} of writer {writer}");
            }
            found.insert(writer, count);
        }
        let stored = Blobs::open(&dir).expect("the blobs open");
        for name in blobs {
            stored.get(name).await.unwrap_or_else(|error| panic!("{context}: {error}"));
        }
        found
    })
}

#[test]
fn killed_at_random_instants() {
    let dir = TempDir::new().expect("a temporary directory");
    let (mut counts, mut blobs) = (BTreeMap::new(), Vec::new());
    let mut rounds_that_wrote = 0;
    for round in 0..20 {
        let [low, high] = World::real().random::<2>();
        // Some die while they start, most while they write.
        let after = Duration::from_micros(5_000 + u64::from(u16::from_le_bytes([low, high])) * 4);
        let said = run(dir.path(), ENDLESS, |_| {}, Some(after));
        assert!(said.was_killed(), "round {round}: {:?}", said.lines);
        rounds_that_wrote += u32::from(said.has("ACK"));
        counts.extend(said.acknowledged);
        blobs.extend(said.blobs);
        counts = verify(&format!("round {round}, killed after {after:?}"), dir.path(), &counts, &blobs);
    }
    assert!(rounds_that_wrote >= 5, "only {rounds_that_wrote} rounds came to write");
}

#[test]
fn killed_at_every_fail_point() {
    if !cfg!(debug_assertions) {
        println!("skipped: fail points are compiled into debug builds only");
        return;
    }
    for point in FAIL_POINTS {
        for at in [1, 3] {
            let context = format!("{}@{at}", point.name);
            let dir = TempDir::new().expect("a temporary directory");
            let (mut counts, mut blobs) = (BTreeMap::new(), Vec::new());
            if point.name.starts_with("open.before-truncate") {
                let before = run(dir.path(), 5, |_| {}, None);
                (counts, blobs) = (before.acknowledged, before.blobs);
                tear(&journal(dir.path()));
            }
            let armed = format!("{}=kill@{at}", point.name);
            let said = run(dir.path(), 10, |command| _ = command.env(FAIL_POINT, armed), None);
            assert!(said.was_killed() || at > 1, "{context} was never reached: {:?}", said.lines);
            counts.extend(said.acknowledged);
            blobs.extend(said.blobs);
            counts = verify(&context, dir.path(), &counts, &blobs);
            let after = run(dir.path(), 2, |_| {}, None);
            assert!(after.status.success(), "{context}: {:?}", after.lines);
            counts.extend(after.acknowledged);
            blobs.extend(after.blobs);
            verify(&context, dir.path(), &counts, &blobs);
        }
    }
}

#[test]
fn a_failing_disk_is_never_reported_as_durable() {
    if !cfg!(debug_assertions) {
        println!("skipped: fail points are compiled into debug builds only");
        return;
    }
    for point in FAIL_POINTS.iter().filter(|point| point.can_error) {
        for at in [1, 2, 5] {
            let context = format!("{}=error@{at}", point.name);
            let dir = TempDir::new().expect("a temporary directory");
            let armed = format!("{}=error@{at}", point.name);
            let said = run(dir.path(), 10, |command| _ = command.env(FAIL_POINT, armed), None);
            assert!(said.status.success(), "{context}: {:?}", said.lines);
            let answered = ["BROKEN", "REFUSED", "NOBLOB"].iter().any(|word| said.has(word));
            assert!(answered, "{context} was hidden: {:?}", said.lines);
            assert!(!said.has("HEALED"), "{context}: it went on after a failed write");
            verify(&context, dir.path(), &said.acknowledged, &said.blobs);
        }
    }
}

#[test]
fn a_refused_write_breaks_the_store_until_it_restarts() {
    let dir = TempDir::new().expect("a temporary directory");
    let before = run(dir.path(), 50, |_| {}, None);
    let mut counts = verify("before", dir.path(), &before.acknowledged, &before.blobs);
    let journal = journal(dir.path());
    let blocks = std::fs::metadata(&journal).expect("it is there").len() / 512 + 32;
    let arrange = |command: &mut Command| _ = command.env("FILE_BLOCKS", blocks.to_string());
    let said = run(dir.path(), 100_000, arrange, None);
    assert!(said.has("ACK") && said.has("BROKEN"), "{:?}", said.lines.last());
    assert!(!said.has("HEALED"), "it went on after a failed write");
    counts.extend(said.acknowledged);
    let blobs = [before.blobs, said.blobs].concat();
    let counts = verify("after", dir.path(), &counts, &blobs);
    let healed = run(dir.path(), 5, |_| {}, None);
    assert!(healed.status.success() && !healed.has("BROKEN"));
    verify("healed", dir.path(), &counts.into_iter().chain(healed.acknowledged).collect(), &blobs);
}

#[test]
fn a_second_process_is_refused_by_name() {
    let dir = TempDir::new().expect("a temporary directory");
    let held = DataDir::open(dir.path()).expect("it opens");
    let said = run(dir.path(), 1, |_| {}, None);
    let line = said.lines.iter().find(|line| line.starts_with("REFUSED")).expect("it is refused");
    assert!(line.ends_with(&format!("is in use by process {}", std::process::id())), "{line}");
    drop(held);
    assert!(run(dir.path(), 1, |_| {}, None).has("OPEN"));
}

fn journal(dir: &Path) -> PathBuf {
    let entries = std::fs::read_dir(dir.join("state")).expect("the store has a directory");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.filter(|path| path.extension().is_some_and(|end| end == "jnl")).max().expect("it has a journal")
}

/// Leaves the beginning of a commit after the last one.
fn tear(journal: &Path) {
    let mut bytes = std::fs::read(journal).expect("readable");
    bytes.truncate(1024 * 1024);
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let torn = b"\x01\x02\x00\x00\x00\x63\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00";
    bytes.splice(end..bytes.len().min(end + torn.len()), *torn);
    std::fs::write(journal, bytes).expect("writable");
}
