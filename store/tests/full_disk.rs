//! A disk that fills up and empties again: typed refusals, reads and deletes that still work, nothing
//! acknowledged lost, and healing without a restart.
//!
//! The disk is a small tmpfs in a mount namespace of the test's own process, so that nothing stays behind.
#![allow(clippy::disallowed_methods, reason = "tests wait in real time")]

use bytes::Bytes;
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use store::{
    BlobError, Blobs, DataDir, DataDirError, Scan, SegmentLimits, Segments, Store, StoreError, Write,
};
use tempfile::TempDir;
use world::World;

const DISK: &str = "DAYFLY_FULL_DISK_TEST";
const MIB: u64 = 1024 * 1024;

#[test]
fn a_full_disk_refuses_and_heals() {
    let mount = TempDir::new().expect("a temporary directory");
    let namespace = [&["-m"][..], &["-U", "-r", "-m"]];
    let works = |flags: &&&[&str]| {
        Command::new("unshare").args(**flags).arg("true").status().is_ok_and(|s| s.success())
    };
    let Some(flags) = namespace.iter().find(works) else {
        println!(
            "skipped: a_full_disk_refuses_and_heals needs a mount namespace, and unshare gives none here"
        );
        return;
    };
    let script = "mount -t tmpfs -o size=256m tmpfs \"$0\" || exit 77; exec \"$@\"";
    let output = Command::new("unshare")
        .args(*flags)
        .args(["/bin/sh", "-c", script])
        .arg(mount.path())
        .arg(std::env::current_exe().expect("this test has a file"))
        .args(["on_the_small_disk", "--exact", "--nocapture", "--test-threads=1"])
        .env(DISK, mount.path())
        .output()
        .expect("it starts");
    if output.status.code() == Some(77) {
        println!("skipped: a_full_disk_refuses_and_heals may not mount a tmpfs here");
        return;
    }
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

/// The process on the small disk. An empty test when it is run as one.
#[test]
fn on_the_small_disk() {
    let Some(disk) = std::env::var_os(DISK).map(PathBuf::from) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let dir = DataDir::open(&disk.join("data")).expect("it opens");
        let store = Store::fjall(&dir, World::real()).expect("it opens");
        let ballast = Ballast { path: disk.join("ballast") };
        let rows = commits_are_refused_and_come_back(&store, &ballast).await;
        blobs_are_refused_and_come_back(&dir, &ballast).await;
        logs_are_lost_and_come_back(&dir, &ballast);
        drop((store, dir));
        a_full_disk_still_opens(&disk, &ballast, rows).await;
    });
}

/// Something else on the disk.
struct Ballast {
    path: PathBuf,
}

impl Ballast {
    /// Takes the disk's space until only so much is left.
    fn leave(&self, free: u64) {
        let _ = fs::remove_file(&self.path);
        let mut file = File::create(&self.path).expect("it can be made");
        let space = free_bytes(&self.path).saturating_sub(free);
        let block = vec![1; 64 * 1024];
        for _ in 0..space / block.len() as u64 {
            if file.write_all(&block).is_err() {
                return;
            }
        }
        while free == 0 && file.write_all(&block[..4096]).is_ok() {}
    }

    fn remove(&self) {
        fs::remove_file(&self.path).expect("it is there");
    }
}

fn free_bytes(path: &Path) -> u64 {
    let stat = rustix::fs::statvfs(path).expect("it is there");
    stat.f_bavail * stat.f_frsize
}

fn put(n: u64) -> Vec<Write> {
    vec![Write::Put(format!("row/{n:04}").into_bytes(), Bytes::from(vec![b'x'; 512 * 1024]))]
}

async fn rows(store: &Store) -> u64 {
    let range = b"row/".to_vec()..b"row0".to_vec();
    store.scan(range, Scan { limit: 10_000, reverse: false }).await.expect("readable").len() as u64
}

async fn commits_are_refused_and_come_back(store: &Store, ballast: &Ballast) -> u64 {
    ballast.leave(90 * MIB);
    let mut count = 0;
    let refusal = loop {
        match store.commit(vec![], put(count)).await {
            Ok(_) => count += 1,
            Err(error) => break error,
        }
        assert!(count < 1000, "it fills up");
    };
    assert!(matches!(refusal, StoreError::Full { .. }), "{refusal}");
    assert!(count > 5, "there was room for more than {count} rows");
    assert_eq!(rows(store).await, count);
    std::thread::sleep(Duration::from_secs(1)); // The engine's own housekeeping comes to rest.

    let delete = |n: u64| vec![Write::Delete(format!("row/{n:04}").into_bytes())];
    ballast.leave(40 * MIB);
    assert!(matches!(store.commit(vec![], put(count)).await, Err(StoreError::Full { .. })));
    count -= 1;
    store.commit(vec![], delete(count)).await.expect("deletes have room of their own");
    ballast.leave(8 * MIB);
    assert!(matches!(store.commit(vec![], delete(0)).await, Err(StoreError::Full { .. })));
    assert_eq!(rows(store).await, count, "reads work to the last");

    ballast.remove();
    store.commit(vec![], put(count)).await.expect("it heals by itself");
    assert_eq!(rows(store).await, count + 1);
    count + 1
}

async fn blobs_are_refused_and_come_back(dir: &DataDir, ballast: &Ballast) {
    let blobs = Blobs::open(dir).expect("they open");
    let bytes = Bytes::from(vec![b'b'; 1024 * 1024]);
    let before = blobs.put(Bytes::from_static(b"before")).await.expect("stored");
    ballast.leave(64 * MIB);
    assert!(matches!(blobs.put(bytes.clone()).await, Err(BlobError::Full { .. })));
    assert_eq!(blobs.get(&before).await.expect("readable"), "before");
    ballast.remove();
    let name = blobs.put(bytes.clone()).await.expect("it heals by itself");
    assert_eq!(blobs.get(&name).await.expect("readable"), bytes);
}

fn logs_are_lost_and_come_back(dir: &DataDir, ballast: &Ballast) {
    let limits = SegmentLimits { total_bytes: 64 * MIB, age: Duration::MAX, segment_bytes: MIB };
    let segments = Segments::open(dir, "logs", limits, World::real()).expect("they open");
    segments.append("g", 1, b"before").expect("taken");
    segments.flush().expect("written");
    ballast.leave(80 * MIB);
    segments.append("g", 2, b"lost").expect("taken");
    assert_eq!(segments.flush().expect_err("no room").kind(), ErrorKind::StorageFull);
    assert_eq!(segments.append("new", 2, b"lost").expect_err("no room").kind(), ErrorKind::StorageFull);
    assert_eq!((segments.take_lost(), segments.take_lost()), (1, 0));
    ballast.remove();
    segments.append("g", 3, b"after").expect("taken");
    let mut found = Vec::new();
    for part in segments.parts("g", 0, 9).expect("a group") {
        part.read(|entry| {
            found.push(entry.bytes.to_vec());
            true
        })
        .expect("readable");
    }
    assert_eq!(found, [b"before".to_vec(), b"after".to_vec()]);
}

async fn a_full_disk_still_opens(disk: &Path, ballast: &Ballast, expected: u64) {
    ballast.leave(0);
    let dir = DataDir::open(&disk.join("data")).expect("it opens");
    let store = Store::fjall(&dir, World::real()).expect("it opens");
    assert_eq!(rows(&store).await, expected, "nothing acknowledged is lost");
    assert!(matches!(store.commit(vec![], put(0)).await, Err(StoreError::Full { .. })));
    ballast.remove();
    store.commit(vec![], put(0)).await.expect("it heals by itself");
    drop((store, dir));
    ballast.leave(0);
    match DataDir::open(&disk.join("new")) {
        Err(DataDirError::Unusable { source, .. }) => assert_eq!(source.kind(), ErrorKind::StorageFull),
        other => panic!("{other:?}"),
    }
}
