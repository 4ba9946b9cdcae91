//! Packages as people make them.

use std::fs;
use std::io::{Cursor, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use sandbox::{UnpackLimits, Unpacked};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::builder::{DOS, End, Entry, Wide, dir, entry, extra, file, link, zip, zip_with};
use crate::{Bench, LIMITS, names};

fn unpacked(zip: &[u8]) -> (Bench, Unpacked) {
    unpacked_on(Bench::new(zip))
}

fn unpacked_on(bench: Bench) -> (Bench, Unpacked) {
    let unpacked = bench.unpack(&LIMITS).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(bench.names(), ["dest", "package.zip"]);
    (bench, unpacked)
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn an_empty_archive_is_an_empty_directory() {
    let (bench, got) = unpacked(&zip(&[]));
    assert_eq!(got, Unpacked { bytes: 0, entries: 0 });
    assert_eq!(names(&bench.dest()), Vec::<String>::new());
    assert_eq!(mode(&bench.dest()), 0o755);
}

#[test]
fn permissions_are_reduced_to_two() {
    let cases = [
        ("plain", 0o100_644, 0o644),
        ("private", 0o100_600, 0o644),
        ("open", 0o100_666, 0o644),
        ("program", 0o100_755, 0o755),
        ("everything", 0o100_777, 0o755),
        ("mine", 0o100_100, 0o755),
        ("setuid", 0o104_755, 0o755),
        ("setgid", 0o102_644, 0o644),
        ("sticky", 0o101_644, 0o644),
        ("untyped", 0o644, 0o644),
        ("bootstrap", 0o100_644, 0o755),
        ("sub/bootstrap", 0o100_644, 0o644),
    ];
    let entries: Vec<Entry> = cases.iter().map(|(name, mode, _)| entry(name, *mode, b"x")).collect();
    let (bench, _) = unpacked(&zip(&entries));
    for (name, _, wanted) in cases {
        assert_eq!(mode(&bench.dest().join(name)), wanted, "{name}");
    }
    assert_eq!(mode(&bench.dest().join("sub")), 0o755);
    let windows = [file("bootstrap", "x"), file("other", "x")].map(|e| e.with(|e| e.host = DOS));
    let (bench, _) = unpacked(&zip(&windows));
    assert_eq!(mode(&bench.dest().join("bootstrap")), 0o755);
    assert_eq!(mode(&bench.dest().join("other")), 0o644);
}

#[test]
fn links_stay_inside() {
    let (bench, got) = unpacked(&zip(&[
        link("lib/libz.so", "libz.so.1"),
        link("lib/libz.so.1", "./libz.so.1.3"),
        file("lib/libz.so.1.3", "elf"),
        link("bin", "lib/../lib"),
        link("a/b/up", "../../lib/libz.so"),
        link("dangling", "not/here"),
        link("here", "."),
        link("..data", "lib"),
    ]));
    let dest = bench.dest();
    assert_eq!(fs::read_to_string(dest.join("bin/libz.so")).unwrap(), "elf");
    assert_eq!(fs::read_to_string(dest.join("a/b/up")).unwrap(), "elf");
    assert_eq!(fs::read_to_string(dest.join("here/..data/libz.so")).unwrap(), "elf");
    assert_eq!(fs::read_link(dest.join("lib/libz.so.1")).unwrap(), Path::new("./libz.so.1.3"));
    assert_eq!(fs::read_link(dest.join("dangling")).unwrap(), Path::new("not/here"));
    assert_eq!(got.entries, 11);
}

#[test]
fn odd_but_honest_archives() {
    let comment = End { comment: b"PK\x05\x06 is how an end record starts".to_vec(), ..End::default() };
    let wide = End { wide: Some(Wide::default()), ..End::default() };
    let wide_size = extra(1, &3_u64.to_le_bytes());
    let cases = [
        ("a comment", zip_with(&[file("a", "abc")], &comment)),
        ("zip64 end", zip_with(&[file("a", "abc")], &wide)),
        (
            "zip64 end, counted there only",
            zip_with(&[file("a", "abc")], &End { entries: Some(0xffff), ..wide }),
        ),
        (
            "zip64 size",
            zip(&[file("a", "abc").with(|e| {
                e.bytes = u32::MAX;
                e.extra = wide_size;
            })]),
        ),
        ("stored", zip(&[file("a", "abc").stored(b"abc")])),
        ("a directory twice", zip(&[dir("d/"), file("a", "abc"), dir("d/")])),
        ("the root itself", zip(&[dir("./"), file("./a", "abc")])),
        (
            "sizes that follow",
            zip(&[file("a", "abc").with(|e| {
                e.flags = 8;
                e.local.crc = Some(0);
                e.local.bytes = Some(0);
                e.local.compressed_bytes = Some(0);
            })]),
        ),
        ("padding", zip(&[file("a", "abc").with(|e| e.extra = vec![0; 3])])),
    ];
    for (name, zip) in cases {
        let (bench, got) = unpacked(&zip);
        assert_eq!(fs::read_to_string(bench.dest().join("a")).unwrap(), "abc", "{name}");
        assert_eq!(got.bytes, 3, "{name}");
    }
}

#[test]
fn names_are_kept() {
    let unusual = [
        "Straße/naïve 文字.py",
        "with space",
        "-dash",
        "ab:c",
        "...",
        ".hidden",
        "Case",
        "case",
        "new\nline",
    ];
    let entries: Vec<Entry> = unusual.iter().map(|name| file(name, name)).collect();
    let (bench, _) = unpacked(&zip(&entries));
    for name in unusual {
        assert_eq!(fs::read_to_string(bench.dest().join(name)).unwrap(), *name);
    }
}

/// What pip and the zip crate make of a Python package.
#[test]
fn a_python_package() {
    let big: Vec<u8> = (0..300_000_u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let files: [(&str, &[u8]); 6] = [
        ("handler.py", b"def handler(event, context): return event\n"),
        ("package/__init__.py", b""),
        ("package/deep/er/module.py", b"x = 1\n"),
        ("package/native.cpython-312-x86_64-linux-gnu.so", &big),
        ("package-1.0.dist-info/METADATA", b"Name: package\n"),
        ("package-1.0.dist-info/RECORD", &[b'r'; 70_000]),
    ];
    for method in [CompressionMethod::Deflated, CompressionMethod::Stored] {
        for wide in [false, true] {
            let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
            let options = SimpleFileOptions::default().compression_method(method).large_file(wide);
            for (name, content) in files {
                writer.start_file(name, options.unix_permissions(0o644)).unwrap();
                writer.write_all(content).unwrap();
            }
            let (bench, got) = unpacked(&writer.finish().unwrap().into_inner());
            for (name, content) in files {
                assert_eq!(fs::read(bench.dest().join(name)).unwrap(), content, "{name}");
            }
            let bytes: usize = files.iter().map(|(_, content)| content.len()).sum();
            assert_eq!(got, Unpacked { bytes: bytes as u64, entries: 10 });
        }
    }
}

/// Other people's archivers, where they are installed. Python writes to a pipe as well, so that sizes follow
/// the data.
#[test]
fn archives_of_other_tools() {
    const PYTHON: &str = "import sys, zipfile\n\
        class Pipe:\n    write = lambda self, b: sys.stdout.buffer.write(b)\n    flush = lambda self: None\n\
        z = zipfile.ZipFile(Pipe(), 'w', zipfile.ZIP_DEFLATED)\n\
        z.write('a/run.sh'); z.write('b.txt'); z.close()";
    const SHUTIL: &str = "import os, shutil, sys\n\
        out = shutil.make_archive(os.path.abspath('../out'), 'zip', '.')\n\
        sys.stdout.buffer.write(open(out, 'rb').read())";
    let tools: [(&str, &[&str]); 4] = [
        ("zip", &["-qr", "-", "."]),
        ("zip", &["-qry", "-", "a", "b.txt"]),
        ("python3", &["-c", PYTHON]),
        ("python3", &["-c", SHUTIL]),
    ];
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    fs::create_dir_all(tree.join("a")).unwrap();
    fs::write(tree.join("a/run.sh"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(tree.join("a/run.sh"), fs::Permissions::from_mode(0o750)).unwrap();
    fs::write(tree.join("b.txt"), "b".repeat(10_000)).unwrap();
    for (tool, arguments) in tools {
        let Ok(output) = Command::new(tool).args(arguments).current_dir(&tree).output() else {
            eprintln!("skipped: {tool} is not here");
            continue;
        };
        assert!(output.status.success(), "{tool}: {}", String::from_utf8_lossy(&output.stderr));
        let (bench, _) = unpacked(&output.stdout);
        assert_eq!(fs::read_to_string(bench.dest().join("a/run.sh")).unwrap(), "#!/bin/sh\n");
        assert_eq!(mode(&bench.dest().join("a/run.sh")), 0o755, "{tool} {arguments:?}");
        assert_eq!(fs::read(bench.dest().join("b.txt")).unwrap(), [b'b'; 10_000]);
    }
}

#[test]
fn ten_thousand_files() {
    let entries: Vec<Entry> =
        (0..10_000).map(|i| file(format!("d{}/f{i}", i % 100), &i.to_string())).collect();
    let (bench, got) = unpacked_on(Bench::light(&zip(&entries)));
    assert_eq!(got.entries, 10_100);
    assert_eq!(names(&bench.dest()).len(), 100);
    assert_eq!(fs::read_to_string(bench.dest().join("d77/f9977")).unwrap(), "9977");
}

#[test]
fn exactly_at_the_limits() {
    let limits = UnpackLimits { zip_bytes: LIMITS.zip_bytes, unzipped_bytes: 1_000_000, entries: 3 };
    let bytes = zip(&[entry("a/b", 0o100_644, &vec![7; 999_999]), file("c", "x")]);
    let bench = Bench::new(&bytes);
    let limits = UnpackLimits { zip_bytes: bytes.len() as u64, ..limits };
    assert_eq!(bench.unpack(&limits), Ok(Unpacked { bytes: 1_000_000, entries: 3 }));
}

#[test]
fn a_package_of_250_mb() {
    let (bench, got) = unpacked_on(Bench::light(&zip(&[entry("zeros", 0o100_644, &vec![0; 262_144_000])])));
    assert_eq!(got.bytes, 262_144_000);
    assert_eq!(fs::metadata(bench.dest().join("zeros")).unwrap().len(), 262_144_000);
}
