//! Blobs: named by their content, checked on every read.

use bytes::Bytes;
use std::fs;
use store::{BlobError, Blobs, DataDir};
use tempfile::TempDir;

const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

fn blobs() -> (TempDir, DataDir, Blobs) {
    let parent = TempDir::new().expect("a temporary directory");
    let dir = DataDir::open(parent.path()).expect("it opens");
    let blobs = Blobs::open(&dir).expect("they open");
    (parent, dir, blobs)
}

#[tokio::test]
async fn bytes_come_back_under_their_hash() {
    let (_parent, dir, blobs) = blobs();
    assert!(!blobs.contains(HELLO));
    for _ in 0..2 {
        assert_eq!(blobs.put(Bytes::from_static(b"hello")).await.expect("stored"), HELLO);
    }
    assert_eq!(blobs.get(HELLO).await.expect("read"), "hello");
    assert_eq!((blobs.contains(HELLO), blobs.size(HELLO).expect("known")), (true, 5));
    let path = blobs.verified_path(HELLO).await.expect("verified");
    assert_eq!(fs::read(path).expect("readable"), b"hello");

    let again = Blobs::open(&dir).expect("they open");
    assert_eq!(again.get(HELLO).await.expect("read"), "hello");
    let empty = again.put(Bytes::new()).await.expect("stored");
    assert_eq!(again.get(&empty).await.expect("read"), "");

    for _ in 0..2 {
        blobs.delete(HELLO).await.expect("deleted");
        assert!(!blobs.contains(HELLO));
        assert!(matches!(blobs.get(HELLO).await, Err(BlobError::Missing(name)) if name == HELLO));
        assert!(matches!(blobs.size(HELLO), Err(BlobError::Missing(_))));
    }
}

#[tokio::test]
async fn damaged_bytes_are_never_served_and_can_be_stored_anew() {
    let (_parent, _dir, blobs) = blobs();
    blobs.put(Bytes::from_static(b"hello")).await.expect("stored");
    let path = blobs.verified_path(HELLO).await.expect("verified");
    for damage in [&b"hellp"[..], b"hell", b""] {
        fs::write(&path, damage).expect("writable");
        assert!(matches!(blobs.get(HELLO).await, Err(BlobError::Corrupt(name)) if name == HELLO));
        assert!(matches!(blobs.verified_path(HELLO).await, Err(BlobError::Corrupt(_))));
    }
    blobs.put(Bytes::from_static(b"hello")).await.expect("stored");
    assert_eq!(blobs.get(HELLO).await.expect("read"), "hello");
}

#[tokio::test]
async fn names_are_hashes_and_never_paths() {
    let (_parent, dir, blobs) = blobs();
    fs::write(dir.path().join("secret"), "x").expect("writable");
    let upper = HELLO.to_uppercase();
    let long = format!("{HELLO}0");
    for name in ["", "..", "../../secret", "/etc/passwd", &upper, &long, &HELLO[1..], &"é".repeat(32)] {
        assert!(matches!(blobs.get(name).await, Err(BlobError::Missing(_))), "{name}");
        assert!(!blobs.contains(name), "{name}");
        blobs.delete(name).await.expect("nothing to delete");
    }
}

#[tokio::test]
async fn half_written_blobs_are_swept_at_the_next_start() {
    let (_parent, dir, blobs) = blobs();
    let half = dir.path().join("blobs/7.tmp");
    fs::write(&half, "half").expect("writable");
    drop(blobs);
    Blobs::open(&dir).expect("they open");
    assert!(!half.exists());
}
