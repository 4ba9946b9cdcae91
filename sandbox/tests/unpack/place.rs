//! The destination: whole or not there, whoever dies and whatever is full.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

use sandbox::{UnpackError, Unpacking, unpack};

use crate::builder::{Entry, entry, file, zip};
use crate::{Bench, LIMITS, names};

#[test]
fn what_is_there_is_left_alone() {
    let bench = Bench::new(&zip(&[file("a", "new")]));
    fs::create_dir(bench.dest()).unwrap();
    fs::write(bench.dest().join("a"), "old").unwrap();
    assert_eq!(bench.unpack(&LIMITS), Err(UnpackError::Exists));
    assert_eq!(fs::read_to_string(bench.dest().join("a")).unwrap(), "old");
    assert_eq!(bench.names(), ["dest", "package.zip"]);
}

#[test]
fn what_comes_in_the_meantime_is_left_alone() {
    let bench = Bench::new(&zip(&[file("a", "new")]));
    let unpacking = Unpacking::start(&bench.zip(), &bench.dest(), &LIMITS).unwrap();
    assert!(!bench.dest().exists());
    fs::create_dir(bench.dest()).unwrap();
    assert_eq!(unpacking.finish(), Err(UnpackError::Exists));
    assert_eq!(names(&bench.dest()), Vec::<String>::new());
    assert_eq!(bench.names(), ["dest", "package.zip"]);
}

#[test]
fn giving_up_leaves_nothing() {
    let many: Vec<Entry> = (0..5_000).map(|i| file(i.to_string(), "x")).collect();
    let bench = Bench::new(&zip(&many));
    drop(Unpacking::start(&bench.zip(), &bench.dest(), &LIMITS).unwrap());
    assert_eq!(bench.names(), ["package.zip"]);
}

#[test]
fn leftovers_of_the_dead_are_swept_and_those_of_the_living_are_not() {
    let bench = Bench::new(&zip(&[file("a", "x")]));
    let dead = bench.dir.path().join("other.partial-1-0");
    fs::create_dir_all(dead.join("deep/er")).unwrap();
    fs::write(dead.join("deep/er/file"), "x").unwrap();
    let other = bench.dir.path().join("second");
    let living = Unpacking::start(&bench.zip(), &other, &LIMITS).unwrap();
    bench.unpack(&LIMITS).unwrap();
    assert!(!dead.exists());
    living.finish().unwrap();
    assert_eq!(bench.names(), ["dest", "package.zip", "second"]);
}

#[test]
fn many_at_once_to_one_destination() {
    let bench = Bench::new(&zip(&[file("a", "x")]));
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| bench.unpack(&LIMITS))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
    assert!(results.iter().all(|result| matches!(result, Ok(_) | Err(UnpackError::Exists))), "{results:?}");
    assert_eq!(bench.names(), ["dest", "package.zip"]);
}

#[test]
fn a_destination_that_cannot_be() {
    let bench = Bench::new(&zip(&[file("a", "x")]));
    for dest in ["nowhere/dest", "package.zip/dest"] {
        let error = unpack(&bench.zip(), &bench.dir.path().join(dest), &LIMITS).unwrap_err();
        assert!(matches!(error, UnpackError::Failed(_)), "{dest}: {error}");
    }
    assert!(matches!(unpack(&bench.zip(), Path::new("/"), &LIMITS), Err(UnpackError::Failed(_))));
    let directory = fs::File::open(bench.dir.path()).unwrap();
    assert!(matches!(unpack(&directory, &bench.dest(), &LIMITS), Err(UnpackError::Refused { .. })));
    assert_eq!(bench.names(), ["package.zip"]);
}

fn is_root() -> bool {
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if !is_root {
        eprintln!("skipped: only root can arrange this");
    }
    is_root
}

#[test]
fn files_belong_to_the_owner_of_the_directory_around() {
    if !is_root() {
        return;
    }
    let bench = Bench::new(&zip(&[file("a/b", "x")]));
    chown(bench.dir.path(), Some(12_345), Some(23_456)).unwrap();
    bench.unpack(&LIMITS).unwrap();
    for path in ["", "a", "a/b"] {
        let facts = fs::metadata(bench.dest().join(path)).unwrap();
        assert_eq!((facts.uid(), facts.gid()), (12_345, 23_456), "{path:?}");
    }
}

/// A small file system; gone when dropped.
struct Mount(PathBuf);

impl Mount {
    fn new(at: PathBuf, options: &str) -> Self {
        fs::create_dir(&at).unwrap();
        let (path, options) =
            (CString::new(at.as_os_str().as_bytes()).unwrap(), CString::new(options).unwrap());
        let kind = c"tmpfs".as_ptr();
        // SAFETY: all strings are live C strings.
        let answer = unsafe { libc::mount(kind, path.as_ptr(), kind, 0, options.as_ptr().cast()) };
        assert_eq!(answer, 0, "{}", std::io::Error::last_os_error());
        Mount(at)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let path = CString::new(self.0.as_os_str().as_bytes()).unwrap();
        // SAFETY: a live C string.
        unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) };
    }
}

#[test]
fn a_full_disk() {
    if !is_root() {
        return;
    }
    let big = zip(&[entry("big", 0o100_644, &vec![1; 4 << 20])]);
    let many: Vec<Entry> = (0..200).map(|i| file(i.to_string(), "x")).collect();
    for (options, zip) in [("size=1m", big), ("nr_inodes=50", zip(&many))] {
        let bench = Bench::new(&zip);
        let mount = Mount::new(bench.dir.path().join("small"), options);
        let error = unpack(&bench.zip(), &mount.0.join("dest"), &LIMITS).unwrap_err();
        assert_eq!(error, UnpackError::DiskFull, "{options}");
        assert_eq!(names(&mount.0), Vec::<String>::new(), "{options}");
    }
}
