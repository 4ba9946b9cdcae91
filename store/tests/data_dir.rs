//! One directory, one owner, one format; files whole or not at all.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use store::{DataDir, DataDirError};
use tempfile::TempDir;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o7777
}

#[test]
fn it_is_made_for_its_owner_only_and_opens_again() {
    let parent = TempDir::new().expect("a temporary directory");
    let path = parent.path().join("deep/data");
    for _ in 0..2 {
        let dir = DataDir::open(&path).expect("it opens");
        assert_eq!((mode(&path), mode(&dir.dir("sub").expect("made"))), (0o700, 0o700));
        assert_eq!(dir.read("format").expect("readable"), Some(b"dayfly 2\n".to_vec()));
    }
}

#[test]
fn an_older_one_is_taken_over() {
    let dir = TempDir::new().expect("a temporary directory");
    fs::write(dir.path().join("format"), "dayfly 1\n").expect("writable");
    fs::write(dir.path().join("other"), "kept").expect("writable");
    let opened = DataDir::open(dir.path()).expect("it opens");
    let read = |name| opened.read(name).expect("readable").expect("there");
    assert_eq!((read("format"), read("other")), (b"dayfly 2\n".to_vec(), b"kept".to_vec()));
}

#[test]
fn only_one_may_hold_it() {
    let parent = TempDir::new().expect("a temporary directory");
    let first = DataDir::open(parent.path()).expect("it opens");
    let clone = first.clone();
    drop(first);
    match DataDir::open(parent.path()) {
        Err(DataDirError::InUse { pid, .. }) => assert_eq!(pid, std::process::id()),
        other => panic!("{other:?}"),
    }
    drop(clone);
    DataDir::open(parent.path()).expect("it is free again");
}

#[test]
fn what_is_not_ours_is_refused_in_a_sentence() {
    let cases: [(&[(&str, &str)], &str); 5] = [
        (&[("format", "dayfly 3\n")], "has format 3, and this dayfly knows formats up to 2"),
        (&[("format", "dayfly 99\n"), ("other", "")], "has format 99"),
        (&[("format", "nonsense")], "is damaged: it does not say `dayfly <version>`"),
        (&[("notes.txt", "mine")], "is not empty and not a dayfly data directory"),
        (&[("lock", ""), ("state", "")], "is not empty and not a dayfly data directory"),
    ];
    for (files, sentence) in cases {
        let dir = TempDir::new().expect("a temporary directory");
        for (name, text) in files {
            fs::write(dir.path().join(name), text).expect("writable");
        }
        let error = DataDir::open(dir.path()).expect_err(sentence).to_string();
        assert!(error.contains(sentence), "{error}");
        assert!(error.contains(dir.path().to_str().expect("text")), "{error}");
        for (name, text) in files {
            assert_eq!(fs::read_to_string(dir.path().join(name)).expect("still there"), *text);
        }
    }
}

#[test]
fn what_a_cut_off_first_start_left_is_no_obstacle() {
    let dir = TempDir::new().expect("a temporary directory");
    for name in ["lock", ".0.tmp"] {
        fs::write(dir.path().join(name), "").expect("writable");
    }
    DataDir::open(dir.path()).expect("it opens");
}

#[test]
fn a_path_that_cannot_be_a_directory_is_named() {
    let parent = TempDir::new().expect("a temporary directory");
    let file = parent.path().join("file");
    fs::write(&file, "").expect("writable");
    for path in [file.clone(), file.join("below")] {
        let error = DataDir::open(&path).expect_err("it is refused").to_string();
        assert!(error.starts_with(&format!("cannot use {}", path.display())), "{error}");
    }
}

#[test]
fn files_are_replaced_whole_and_keep_their_mode() {
    let parent = TempDir::new().expect("a temporary directory");
    let dir = DataDir::open(parent.path()).expect("it opens");
    assert_eq!(dir.read("key.json").expect("readable"), None);
    for text in ["first", "second, and longer", ""] {
        let path = dir.write_atomic("key.json", text.as_bytes(), 0o600).expect("written");
        assert_eq!(dir.read("key.json").expect("readable"), Some(text.as_bytes().to_vec()));
        assert_eq!(mode(&path), 0o600);
    }
    let names: Vec<_> =
        fs::read_dir(dir.path()).expect("readable").map(|e| e.expect("an entry").file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().ends_with(".tmp")), "{names:?}");
}

#[test]
fn no_name_leads_outside() {
    let parent = TempDir::new().expect("a temporary directory");
    let dir = DataDir::open(&parent.path().join("data")).expect("it opens");
    for name in ["../x", "a/../../x", "/etc/passwd", ".", "", "a/./../x"] {
        for refused in
            [dir.write_atomic(name, b"x", 0o600).map(drop), dir.read(name).map(drop), dir.dir(name).map(drop)]
        {
            assert_eq!(refused.expect_err(name).kind(), ErrorKind::InvalidInput, "{name:?}");
        }
    }
}
