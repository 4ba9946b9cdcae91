//! Segments: what was flushed is found again, limits hold, damage stays where it is.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use store::{DataDir, SegmentLimits, Segments};
use tempfile::TempDir;
use world::World;

const LIMITS: SegmentLimits =
    SegmentLimits { total_bytes: 1024 * 1024, age: Duration::MAX, segment_bytes: 1000 };

/// Groups, where there are many.
const MANY: u64 = 2_000;

struct Subject {
    dir: TempDir,
    world: World,
    limits: SegmentLimits,
}

impl Subject {
    fn new(limits: SegmentLimits) -> Self {
        Self { dir: TempDir::new().expect("a temporary directory"), world: World::simulated(1), limits }
    }

    fn open(&self) -> Segments {
        let dir = DataDir::open(self.dir.path()).expect("it opens");
        Segments::open(&dir, "logs", self.limits, self.world.clone()).expect("they open")
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for group in fs::read_dir(self.dir.path().join("logs")).expect("readable") {
            for file in fs::read_dir(group.expect("an entry").path()).expect("readable") {
                files.push(file.expect("an entry").path());
            }
        }
        files.retain(|path| path.extension().is_some_and(|end| end == "seg"));
        files.sort();
        files
    }
}

fn read(segments: &Segments, group: &str, from_us: u64, to_us: u64) -> Vec<String> {
    let (mut found, mut positions) = (Vec::new(), Vec::new());
    for part in segments.parts(group, from_us, to_us).expect("a group") {
        part.read(|entry| {
            if (from_us..to_us).contains(&entry.stamp_us) {
                found.push(String::from_utf8(entry.bytes.to_vec()).expect("text"));
            }
            positions.push(entry.position);
            true
        })
        .expect("readable");
    }
    assert!(positions.is_sorted() && positions.windows(2).all(|pair| pair[0] != pair[1]));
    found
}

fn text(n: u64) -> String {
    format!("entry {n} {}", "x".repeat(20))
}

#[test]
fn entries_are_found_by_group_and_time_across_restarts() {
    let subject = Subject::new(LIMITS);
    let begun = subject.world.now().0;
    for run in 0..3 {
        let segments = subject.open();
        for n in run * 100..(run + 1) * 100 {
            segments.append("even", begun + n * 2, text(n * 2).as_bytes()).expect("taken");
            segments.append("odd", begun + n * 2 + 1, text(n * 2 + 1).as_bytes()).expect("taken");
        }
        let all = |odd: u64| (0..(run + 1) * 100).map(|n| text(n * 2 + odd)).collect::<Vec<_>>();
        assert_eq!(read(&segments, "even", 0, u64::MAX), all(0));
        assert_eq!(read(&segments, "odd", 0, u64::MAX), all(1));
        let few: Vec<_> = (25..30).map(|n| text(n * 2)).collect();
        assert_eq!(read(&segments, "even", begun + 50, begun + 59), few);
        assert!(segments.parts("none", 0, 1).is_none());
    }
    let segments = subject.open();
    assert!(segments.parts("even", 0, u64::MAX).expect("a group").len() > 10);
    assert!(
        segments.parts("even", begun + 50, begun + 59).expect("a group").len() <= 2,
        "others are skipped"
    );
    let groups = segments.groups();
    assert_eq!(groups.iter().map(|g| g.name.as_str()).collect::<Vec<_>>(), ["even", "odd"]);
    let on_disk: u64 = subject.files().iter().map(|path| fs::metadata(path).expect("there").len()).sum();
    assert_eq!(groups.iter().map(|group| group.bytes).sum::<u64>(), on_disk);
}

#[test]
fn a_torn_end_is_cut_and_writing_goes_on() {
    let subject = Subject::new(SegmentLimits { segment_bytes: 100_000, ..LIMITS });
    let whole: Vec<_> = (0..5).map(text).collect();
    for cut in 1..40 {
        let segments = subject.open();
        let _ = segments.delete_group("g");
        whole.iter().for_each(|entry| _ = segments.append("g", 1, entry.as_bytes()).expect("taken"));
        drop(segments);
        let file = subject.files().remove(0);
        let bytes = fs::read(&file).expect("readable");
        fs::write(&file, &bytes[..bytes.len() - cut]).expect("writable");
        let segments = subject.open();
        assert_eq!(read(&segments, "g", 0, 9), whole[..4], "{cut} bytes cut");
        segments.append("g", 1, b"next").expect("taken");
        assert_eq!(read(&segments, "g", 0, 9)[4..], ["next"], "{cut} bytes cut");
    }
}

#[test]
fn damage_hides_the_rest_of_its_file_and_nothing_else() {
    let subject = Subject::new(LIMITS);
    let segments = subject.open();
    (0..100).for_each(|n| _ = segments.append("g", n, text(n).as_bytes()).expect("taken"));
    let whole = read(&segments, "g", 0, 1000);
    drop(segments);
    let file = subject.files().remove(1);
    let mut bytes = fs::read(&file).expect("readable");
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(&file, bytes).expect("writable");
    let left = read(&subject.open(), "g", 0, 1000);
    assert!(left.len() > 80 && left.len() < 100, "{} are left", left.len());
    assert!(left.iter().all(|entry| whole.contains(entry)));
}

#[test]
fn the_oldest_files_of_all_groups_go_first() {
    let subject = Subject::new(SegmentLimits { total_bytes: 20_000, ..LIMITS });
    let segments = subject.open();
    for n in 0..2_000 {
        let group = if n < 500 {
            "early"
        } else if n % 2 == 0 {
            "a"
        } else {
            "b"
        };
        segments.append(group, n, text(n).as_bytes()).expect("taken");
    }
    segments.flush().expect("written");
    let on_disk: u64 = subject.files().iter().map(|path| fs::metadata(path).expect("there").len()).sum();
    assert!((10_000..=21_000).contains(&on_disk), "{on_disk}");
    assert_eq!(read(&segments, "early", 0, 9_999), Vec::<String>::new());
    for group in ["a", "b"] {
        let left = read(&segments, group, 0, 9_999);
        assert!(left.len() > 50, "{group}: {}", left.len());
    }
    assert_eq!(read(&segments, "b", 0, 9_999).last(), Some(&text(1_999)));
}

#[test]
fn entries_beyond_their_age_go() {
    let age = Duration::from_secs(3600);
    let subject = Subject::new(SegmentLimits { age, ..LIMITS });
    let segments = subject.open();
    segments.append("old", subject.world.now().0, b"x").expect("taken");
    subject.world.advance(age / 2);
    segments.append("new", subject.world.now().0, b"x").expect("taken");
    subject.world.advance(age / 2 + Duration::from_secs(1));
    segments.enforce().expect("done");
    assert_eq!(read(&segments, "old", 0, u64::MAX).len() + read(&segments, "new", 0, u64::MAX).len(), 1);
    assert_eq!(subject.files().len(), 1);
    segments.append("old", subject.world.now().0, b"again").expect("taken");
    assert_eq!(read(&segments, "old", 0, u64::MAX), ["again"]);
}

#[test]
fn many_groups_share_few_open_files() {
    let subject = Subject::new(LIMITS);
    let segments = subject.open();
    for n in 0..2 * MANY {
        segments.append(&format!("group {}", n % MANY), n, text(n).as_bytes()).expect("taken");
    }
    let here = fs::canonicalize(subject.dir.path()).expect("it is there");
    let open = fs::read_dir("/proc/self/fd").expect("readable").filter(|entry| {
        let target = fs::read_link(entry.as_ref().expect("an entry").path());
        target.is_ok_and(|path| path.starts_with(&here) && path.extension().is_some_and(|end| end == "seg"))
    });
    assert!((32..=66).contains(&open.count()));
    drop(segments);
    let segments = subject.open();
    for n in 0..MANY {
        assert_eq!(read(&segments, &format!("group {n}"), 0, u64::MAX), [text(n), text(n + MANY)]);
    }
}

/// A limit that many small groups reach together drops the oldest entries, whoever's they are.
#[test]
fn many_groups_share_one_limit() {
    let total_bytes = 64 * 1024;
    let subject = Subject::new(SegmentLimits { total_bytes, ..LIMITS });
    let segments = subject.open();
    for n in 0..MANY {
        segments.append(&format!("group {n}"), n, text(n).as_bytes()).expect("taken");
        if n % 50 == 0 {
            let held: u64 = segments.groups().iter().map(|group| group.bytes).sum();
            assert!(held <= total_bytes, "{held} bytes after entry {n}");
        }
    }
    let left: Vec<bool> =
        (0..MANY).map(|n| !read(&segments, &format!("group {n}"), 0, u64::MAX).is_empty()).collect();
    assert!(left.is_sorted() && left[left.len() - 500..].iter().all(|there| *there), "the newest are left");
    assert!(!left[0], "the oldest are gone");
}

#[test]
fn deleted_groups_are_gone_for_good() {
    let subject = Subject::new(LIMITS);
    let segments = subject.open();
    segments.append("g", 1, b"x").expect("taken");
    assert!(segments.delete_group("g").expect("deleted"));
    assert!(!segments.delete_group("g").expect("nothing to delete"));
    assert!(segments.parts("g", 0, 9).is_none() && subject.files().is_empty());
    drop(segments);
    assert_eq!(subject.open().groups(), []);
    subject.open().append("g", 1, &vec![0; 2 * 1024 * 1024]).expect_err("too long");
}
