//! Packages that must be refused whole, each with its reason.

use sandbox::{UnpackError, UnpackLimits};

use crate::builder::{DOS, End, Entry, Local, Wide, dir, entry, extra, file, link, zip, zip_with};
use crate::{Bench, LIMITS};

/// Refused with `why` (a part of the message), and nothing is left next to the archive.
fn check(name: &str, zip: &[u8], why: &str) {
    check_within(&LIMITS, name, zip, why);
}

fn check_within(limits: &UnpackLimits, name: &str, zip: &[u8], why: &str) {
    let bench = Bench::light(zip);
    let error = bench.unpack(limits).expect_err(name);
    assert!(!matches!(error, UnpackError::Failed(_)), "{name}: the machine is blamed: {error}");
    let message = error.to_string();
    assert!(message.contains(why), "{name}: {message:?} does not say {why:?}");
    let shown = message.chars().all(|c| !c.is_control()) && message.len() < 1000;
    assert!(shown, "{name}: not fit to be shown: {message:?}");
    let path = bench.dir.path().to_str().unwrap();
    assert!(!message.contains(path), "{name}: tells a path of the host: {message:?}");
    assert_eq!(bench.names(), ["package.zip"], "{name}: something is left");
}

/// Each after a good file, so that something would be written if the refusal came late.
fn check_entry(name: &str, bad: Entry, why: &str) {
    check(name, &zip(&[file("first", "x"), bad]), why);
}

#[test]
fn names_that_lead_elsewhere() {
    let long_part = "x".repeat(256);
    let long_path = "x/".repeat(1501) + "x";
    let cases: [(&[u8], &str); 19] = [
        (b"../evil", "leads out of the package"),
        (b"..", "leads out of the package"),
        (b"a/../../evil", "leads out of the package"),
        (b"a/../b", "leads out of the package"),
        (b"a/..", "leads out of the package"),
        (b"./../evil", "leads out of the package"),
        (b"/etc/evil", "absolute"),
        (b"//evil", "absolute"),
        (b"..\\evil", "backslash"),
        (b"a\\b", "backslash"),
        (b"\\\\host\\share", "backslash"),
        (b"C:/evil", "drive letter"),
        (b"c:evil", "drive letter"),
        (b"a\0b", "zero byte"),
        (b"", "no name"),
        (b".", "no name"),
        (b"caf\xe9", "not UTF-8"),
        (long_part.as_bytes(), "too long"),
        (long_path.as_bytes(), "too long"),
    ];
    for (name, why) in cases {
        check_entry(&name.escape_ascii().to_string(), file(name, "x"), why);
    }
    check_entry("a name full of escapes", file("../\u{1b}[31m\r\n", "x"), "\\u{1b}[31m\\r\\n");
}

#[test]
fn links_that_lead_elsewhere() {
    check_entry("absolute", link("l", "/etc/passwd"), "absolute symbolic link");
    check_entry("up", link("l", "../x"), "leads out of the package");
    check_entry("up from below", link("a/l", "../../x"), "leads out of the package");
    check_entry("down and up", link("l", "a/../../x"), "leads out of the package");
    check_entry("to nothing", link("l", ""), "to nothing");
    check_entry("zero byte", link("l", "a\0b"), "zero byte");
    check_entry("too long", link("l", "x/".repeat(600)), "too long a target");
    check_entry("to itself", link("l", "l"), "circles");
    check_entry("named as a directory", link("l/", "first"), "name of a directory");
    let by_chain = [dir("a/b/"), link("up", "a/b/two"), link("a/b/two", "../.."), link("out", "up/../x")];
    check("out by way of others", &zip(&by_chain), "entry \"out\": it is a symbolic link that leads out");
    let round = [link("a", "b/x"), link("b", "c"), link("c", "a")];
    check("a ring", &zip(&round), "circles");
    let doubling: Vec<Entry> =
        (0..60).map(|i| link(&format!("l{i:02}"), format!("l{:02}/l{:02}", i + 1, i + 1))).collect();
    check("too many hops", &zip(&doubling), "circles");
}

#[test]
fn writing_through_what_is_no_directory() {
    let through = [link("d", "/tmp"), file("d/evil", "x")];
    check("through a link", &zip(&through), "entry \"d/evil\": it is beneath a symbolic link");
    let inside = [dir("real/"), link("d", "real"), file("d/x", "x")];
    check("through a link that stays inside", &zip(&inside), "beneath a symbolic link");
    let late = [file("d/evil", "x"), link("d", "/tmp")];
    check("the link comes last", &zip(&late), "entry \"d\": its name occurs twice");
    let deep = [link("a", "b"), file("a/b/c/d", "x")];
    check("deep through a link", &zip(&deep), "beneath a symbolic link");
    let beneath_file = [file("a", "x"), file("a/b", "x")];
    check("beneath a file", &zip(&beneath_file), "beneath a file");
}

#[test]
fn names_that_occur_twice() {
    let twice = "its name occurs twice";
    let again = [
        ("a file", [file("a", "1"), file("a", "2")]),
        ("a file, the same", [file("a", "1"), file("a", "1")]),
        ("by a dot", [file("a", "1"), file("./a", "2")]),
        ("by two slashes", [file("a/b", "1"), file("a//b", "2")]),
        ("a file and a directory", [file("a", "1"), dir("a/")]),
        ("a directory and a file", [dir("a/"), file("a", "1")]),
        ("an implied directory and a file", [file("a/b", "1"), file("a", "1")]),
        ("a file and a link", [file("a", "1"), link("a", "b")]),
        ("a link and a file", [link("a", "b"), file("a", "1")]),
        ("a link and a directory", [link("a", "b"), dir("a/")]),
        ("two links", [link("a", "b"), link("a", "c")]),
    ];
    for (name, entries) in again {
        check(name, &zip(&entries), twice);
    }
}

#[test]
fn kinds_that_are_no_files() {
    let kinds = [
        (0o020_666, "device"),
        (0o060_666, "device"),
        (0o010_666, "named pipe"),
        (0o140_666, "socket"),
        (0o150_666, "file type is unknown"),
    ];
    for (mode, why) in kinds {
        check_entry(why, entry("x", mode, b""), why);
    }
    let hard_link = file("x", "x").with(|e| e.extra = extra(0x000d, &[0; 16]));
    check_entry("hard link", hard_link, "hard link or a device");
    check_entry("full directory", entry("d/", 0o040_755, b"x"), "directory, yet has content");
    check_entry("full directory by mode", entry("d", 0o040_755, b"x"), "directory, yet has content");
    check_entry("full directory by name", entry("d/", 0, b"x").with(|e| e.host = DOS), "yet has content");
}

#[test]
fn forms_that_are_not_served() {
    for flag in [1, 1 << 6, 1 << 13] {
        check_entry("encrypted", file("x", "x").with(|e| e.flags = flag), "encrypted");
    }
    check_entry("patch", file("x", "x").with(|e| e.flags = 1 << 5), "patch");
    let methods = [
        (9, "deflate64"),
        (12, "bzip2"),
        (14, "lzma"),
        (93, "zstandard"),
        (95, "xz"),
        (99, "AES"),
        (77, "77"),
    ];
    for (method, why) in methods {
        check_entry(why, file("x", "x").with(|e| e.method = method), why);
    }
}

#[test]
fn sizes_that_lie() {
    let zeros = vec![0; 1_000_000];
    let bomb = entry("bomb", 0o100_644, &zeros);
    check_entry("bomb", bomb.with(|e| e.bytes = 10), "more than the 10 bytes");
    check_entry("less", file("x", "abc").with(|e| e.bytes = 4), "unpacks to 3 bytes, not to 4");
    check_entry("impossible", file("x", "abc").with(|e| e.bytes = 6000), "cannot become 6000");
    check_entry("stored", file("x", "abc").stored(b"abc").with(|e| e.bytes = 4), "its sizes differ");
    check_entry("checksum", file("x", "abc").with(|e| e.crc ^= 1), "checksum");
    check_entry("stored checksum", file("x", "abc").stored(b"abd"), "checksum");
    check_entry("garbage", file("x", "abc").with(|e| e.packed[0] = 0xff), "damaged");
    let noise: Vec<u8> = (0..5_000_u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let cut = entry("cut", 0o100_644, &noise).with(|e| {
        e.packed.truncate(9_000);
        e.compressed_bytes = 9_000;
    });
    check_entry("cut", cut, "damaged");
    let trailing = file("x", "abc").with(|e| {
        e.packed.extend(b"more");
        e.compressed_bytes += 4;
    });
    check_entry("bytes after the stream", trailing, "damaged");
    check_entry(
        "nothing compressed",
        file("x", "").with(|e| {
            e.packed.clear();
            e.compressed_bytes = 0;
            e.crc = 7;
        }),
        "checksum",
    );
    check_entry("a link's content", link("l", "first").with(|e| e.crc ^= 1), "checksum");
}

#[test]
fn limits_are_named() {
    let limits = UnpackLimits { zip_bytes: 2000, unzipped_bytes: 1000, entries: 10 };
    let check = |name, zip: &[u8], why| check_within(&limits, name, zip, why);
    let kilobyte = entry("a", 0o100_644, &[0; 1000]);
    check(
        "one byte too many",
        &zip(&[kilobyte.clone(), file("b", "x")]),
        "unzipped-bytes: 1001 is more than the 1000 allowed",
    );
    let claimed = file("x", "x").with(|e| e.bytes = 3000);
    check("claimed only", &zip(&[claimed]), "unzipped-bytes: 3000");
    let eleven: Vec<Entry> = (0..11).map(|i| file(i.to_string(), "")).collect();
    check("entries", &zip(&eleven), "zip-entries: 11 is more than the 10 allowed");
    check("implied directories", &zip(&[file("1/2/3/4/5/6/7/8/9/10/11", "")]), "zip-entries: 11");
    check("archive", &zip(&[file("a", "").with(|e| e.comment = vec![b'x'; 2000])]), "zip-bytes");
    let million = End {
        wide: Some(Wide { entries: Some(1_000_000), ..Wide::default() }),
        entries: Some(0xffff),
        ..End::default()
    };
    check("a million entries", &zip_with(&[file("a", "")], &million), "zip-entries: 1000000");
    let heavy: Vec<Entry> =
        (0..3).map(|i| file(i.to_string(), "").with(|e| e.comment = vec![b'x'; 60_000])).collect();
    let roomy = UnpackLimits { zip_bytes: 1_000_000, ..limits };
    check_within(&roomy, "a heavy directory", &zip(&heavy), "its directory takes");
}

#[test]
fn a_package_just_past_250_mb_is_refused_by_its_directory() {
    let at_limit = file("big", "").with(|e| {
        e.bytes = 262_144_000;
        e.packed = vec![0; 262_144];
        e.compressed_bytes = 262_144;
    });
    check(
        "250 MB and one",
        &zip(&[at_limit.clone(), file("one", "x")]),
        "unzipped-bytes: 262144001 is more than the 262144000 allowed",
    );
    check("250 MB, and damaged", &zip(&[at_limit]), "damaged");
}

#[test]
fn sixty_thousand_entries_of_one_place_are_refused() {
    let one = file("one", "");
    let small: Vec<Entry> = (0..60_000)
        .map(|i: u32| {
            one.clone().with(|e| {
                e.name = i.to_string().into_bytes();
                e.placed_as = (i > 0).then_some(0);
            })
        })
        .collect();
    let limits = UnpackLimits { entries: 50_000, ..LIMITS };
    check_within(&limits, "entries", &zip(&small), "zip-entries: 60000");
}

#[test]
fn entries_that_share_bytes() {
    let overlaps = "overlaps another entry's";
    let kernel = entry("a", 0o100_644, &vec![0; 100_000]);
    let same = kernel.clone().with(|e| {
        e.placed_as = Some(0);
    });
    check("the same entry under the same name", &zip(&[kernel.clone(), same.clone()]), "occurs twice");
    let renamed = same.with(|e| e.name = b"b".to_vec());
    check("the same data under two names", &zip(&[kernel.clone(), renamed]), "contradict each other");
    // The first entry's data quotes the second one's header, as in quoted-overlap bombs.
    let inner = file("inner", "x");
    let quoted = zip(std::slice::from_ref(&inner));
    let header_bytes = 30 + inner.name.len() + inner.packed.len();
    let quoting = file("outer", "").stored(&quoted[..header_bytes]).with(|e| {
        e.bytes = header_bytes as u32;
        let mut crc = flate2::Crc::new();
        crc.update(&quoted[..header_bytes]);
        e.crc = crc.sum();
    });
    let into = inner.with(|e| {
        e.placed_as = Some(0);
        e.shift = 30 + 5;
    });
    check("an entry within another's data", &zip(&[quoting, into]), overlaps);
    let far = file("x", "x").with(|e| {
        e.compressed_bytes = 5000;
        e.bytes = 5000;
    });
    check("data past the directory", &zip(&[far]), "past the archive's entries");
}

#[test]
fn headers_that_contradict_each_other() {
    let locals = [
        Local { name: Some(b"../evil".to_vec()), ..Local::default() },
        Local { name: Some(b"y".to_vec()), ..Local::default() },
        Local { method: Some(0), ..Local::default() },
        Local { crc: Some(1), ..Local::default() },
        Local { bytes: Some(9), ..Local::default() },
        Local { compressed_bytes: Some(9), ..Local::default() },
        Local { signature: Some(0x0403_4b51), ..Local::default() },
    ];
    for local in locals {
        check_entry("local", file("x", "x").with(|e| e.local = local), "contradict each other");
    }
    check_entry("elsewhere", file("x", "x").with(|e| e.shift = 3), "contradict each other");
    check_entry("nowhere", file("x", "x").with(|e| e.shift = 1 << 30), "contradict each other");
}

#[test]
fn zip64_that_lies() {
    let wide =
        |sizes: &[u64]| extra(1, &sizes.iter().flat_map(|size| size.to_le_bytes()).collect::<Vec<_>>());
    let endless = file("x", "x").with(|e| {
        e.bytes = u32::MAX;
        e.compressed_bytes = u32::MAX;
        e.extra = wide(&[u64::MAX, u64::MAX]);
    });
    check_entry("endless", endless.clone(), "unzipped-bytes");
    check("a sum that wraps", &zip(&[endless, file("y", "yy")]), "unzipped-bytes");
    let short = file("x", "x").with(|e| {
        e.bytes = u32::MAX;
        e.extra = extra(1, &[0; 4]);
    });
    check_entry("short", short, "directory is damaged");
    let twice = file("x", "x").with(|e| e.extra = [wide(&[1]), wide(&[2])].concat());
    check_entry("twice", twice, "directory is damaged");
    let running = file("x", "x").with(|e| e.extra = vec![1, 0, 200, 0]);
    check_entry("running past its end", running, "directory is damaged");
    let ends = [
        (Wide { entries: Some(2), ..Wide::default() }, "contradict each other"),
        (Wide { offset: Some(0), ..Wide::default() }, "contradict each other"),
        (Wide { length: Some(45), ..Wide::default() }, "zip64 end record is damaged"),
        (Wide { length: Some(u64::MAX), ..Wide::default() }, "zip64 end record is damaged"),
        (Wide { locator: Some(0), ..Wide::default() }, "zip64 end record is damaged"),
        (Wide { locator: Some(u64::MAX), ..Wide::default() }, "zip64 end record is damaged"),
    ];
    for (wide, why) in ends {
        check("end", &zip_with(&[file("x", "x")], &End { wide: Some(wide), ..End::default() }), why);
    }
}

#[test]
fn archives_that_are_none() {
    let good = zip(&[file("a", "x"), file("b", "y")]);
    check("nothing", b"", "not a zip archive");
    check("text", b"hello, this is not an archive at all", "not a zip archive");
    check("gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\x03", "not a zip archive");
    check("an end record's signature only", b"PK\x05\x06", "not a zip archive");
    for cut in [1, 10, 22, good.len() / 2, good.len() - 1] {
        check("cut at the end", &good[..good.len() - cut], "not a zip archive");
        check("cut at the start", &good[cut..], "");
    }
    check("bytes after the end", &[good.as_slice(), b"x"].concat(), "not a zip archive");
    let ends = [
        (End { before: b"#!/bin/sh\n".to_vec(), ..End::default() }, "not where its end record says"),
        (End { shift: 1, ..End::default() }, "not where its end record says"),
        (End { shift: -1, ..End::default() }, "not where its end record says"),
        (End { entries: Some(1), ..End::default() }, "lists more than its end record says"),
        (End { entries: Some(3), ..End::default() }, "directory is damaged"),
        (End { disk: 1, ..End::default() }, "several disks"),
    ];
    for (end, why) in ends {
        let why = if end.disk == 1 { "" } else { why };
        check("end", &zip_with(&[file("a", "x"), file("b", "y")], &end), why);
    }
}

/// Each byte of an archive changed in one bit is either refused whole or harmless: nothing outside the
/// destination, nothing half done.
#[test]
fn any_byte_changed() {
    let good = zip(&[file("d/a", "content"), link("l", "d/a")]);
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 1 << (at % 8);
        let bench = Bench::light(&bytes);
        match bench.unpack(&LIMITS) {
            Ok(_) => assert_eq!(bench.names(), ["dest", "package.zip"], "byte {at}"),
            Err(UnpackError::Failed(why)) => panic!("byte {at}: {why}"),
            Err(_) => assert_eq!(bench.names(), ["package.zip"], "byte {at}"),
        }
    }
}
