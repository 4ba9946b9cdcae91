//! An image as a list of what it holds, a line each: `d PATH`, `l PATH TAB TARGET`, `f MODE BYTES SHA256 PATH`.
//! Sorted by path, so that equal images have equal lists.

use super::ImageError;
use super::selection::Entry;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

const CHUNK_BYTES: usize = 1 << 20;
const FOLDER_MODE: u32 = 0o755;

/// What was written or found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) files: u64,
    pub(super) bytes: u64,
}

/// Puts what was selected of `root` below `tree`; the manifest. Files are copies, sharing blocks where the file system
/// can but never the inode: who ever came to write through a copy would not write to the machine's own file.
pub(super) fn build(
    root: &Path,
    entries: &BTreeMap<PathBuf, Entry>,
    tree: &Path,
) -> Result<(String, Size), ImageError> {
    let (mut lines, mut size) = (String::new(), Size::default());
    folder(tree)?;
    for (path, entry) in entries {
        let below = path.strip_prefix("/").unwrap_or(path);
        let to = tree.join(below);
        let failed = |why| ImageError::file(path, why);
        let name = path.to_str().unwrap_or_default();
        match entry {
            Entry::Folder => {
                folder(&to)?;
                lines.push_str(&format!("d {name}\n"));
            }
            Entry::Link(target) => {
                symlink(target, &to).map_err(failed)?;
                lines.push_str(&format!("l {name}\t{target}\n"));
            }
            Entry::Text(text) => {
                fs::write(&to, text).map_err(failed)?;
                lines.push_str(&keep(&to, name, false, &mut size).map_err(failed)?);
            }
            Entry::File { program, .. } => {
                fs::copy(root.join(below), &to).map_err(failed)?;
                lines.push_str(&keep(&to, name, *program, &mut size).map_err(failed)?);
            }
        }
    }
    Ok((lines, size))
}

/// Whether `tree` is exactly what its manifest says, byte by byte.
pub(super) fn verify(tree: &Path, manifest: &str) -> Result<Size, ImageError> {
    let damaged =
        |path: &str, what: &str| ImageError::Damaged { path: path.to_owned(), what: what.to_owned() };
    let (mut size, mut listed) = (Size::default(), 0_usize);
    for line in manifest.lines() {
        listed += 1;
        let (kind, rest) = line.split_once(' ').ok_or_else(|| damaged("manifest", "a line is cut"))?;
        let name = match kind {
            "f" => rest.splitn(4, ' ').nth(3),
            "l" => rest.split('\t').next(),
            _ => Some(rest),
        };
        let name = name.ok_or_else(|| damaged("manifest", "a line is cut"))?;
        let path = tree.join(name.trim_start_matches('/'));
        let found = describe(&path, name, &mut size).map_err(|why| damaged(name, &why.to_string()))?;
        if found.trim_end() != line {
            return Err(damaged(name, "it was changed"));
        }
    }
    if count(tree).map_err(|why| ImageError::file(tree, why))? != listed {
        return Err(damaged("/", "something was added"));
    }
    Ok(size)
}

fn folder(path: &Path) -> Result<(), ImageError> {
    let made = match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => fs::set_permissions(path, Permissions::from_mode(FOLDER_MODE)),
    };
    made.map_err(|why| ImageError::file(path, why))
}

/// A file's line, once everybody may read it and nobody change it.
fn keep(path: &Path, name: &str, program: bool, size: &mut Size) -> io::Result<String> {
    fs::set_permissions(path, Permissions::from_mode(if program { 0o555 } else { 0o444 }))?;
    describe(path, name, size)
}

fn describe(path: &Path, name: &str, size: &mut Size) -> io::Result<String> {
    let about = fs::symlink_metadata(path)?;
    if about.is_dir() {
        return Ok(format!("d {name}\n"));
    }
    if about.is_symlink() {
        let target = fs::read_link(path)?;
        return Ok(format!("l {name}\t{}\n", target.display()));
    }
    if !about.is_file() {
        return Err(io::ErrorKind::InvalidData.into());
    }
    size.files += 1;
    size.bytes += about.len();
    let mode = about.permissions().mode() & 0o7777;
    Ok(format!("f {mode:o} {} {} {name}\n", about.len(), digest_of(path)?))
}

fn digest_of(path: &Path) -> io::Result<String> {
    let (mut file, mut hash) = (File::open(path)?, Sha256::new());
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hex(&hash.finalize())),
            got => hash.update(&chunk[..got]),
        }
    }
}

/// The hash of a text, in hexadecimal digits.
pub(super) fn digest(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn count(tree: &Path) -> io::Result<usize> {
    let (mut found, mut folders) = (0, vec![tree.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            found += 1;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_what_its_manifest_says_and_any_change_is_found() {
        let machine = tempfile::tempdir().unwrap();
        fs::write(machine.path().join("program"), b"run").unwrap();
        let entries: BTreeMap<PathBuf, Entry> = [
            ("/etc", Entry::Folder),
            ("/etc/hosts", Entry::Text("127.0.0.1 localhost\n".into())),
            ("/etc/link", Entry::Link("hosts".into())),
            ("/program", Entry::File { bytes: 3, modified_ns: 0, program: true }),
        ]
        .into_iter()
        .map(|(path, entry)| (path.into(), entry))
        .collect();
        type Spoil = fn(&Path);
        let cases: [(&str, Spoil); 7] = [
            ("", |_| {}),
            ("changed", |tree| {
                fs::remove_file(tree.join("etc/hosts")).unwrap();
                fs::write(tree.join("etc/hosts"), "127.0.0.1 localhosT\n").unwrap();
                fs::set_permissions(tree.join("etc/hosts"), Permissions::from_mode(0o444)).unwrap();
            }),
            ("changed", |tree| {
                fs::set_permissions(tree.join("program"), Permissions::from_mode(0o4555)).unwrap();
            }),
            ("changed", |tree| {
                fs::remove_file(tree.join("etc/link")).unwrap();
                symlink("/etc/shadow", tree.join("etc/link")).unwrap();
            }),
            ("added", |tree| fs::write(tree.join("etc/more"), "").unwrap()),
            ("No such file", |tree| fs::remove_file(tree.join("program")).unwrap()),
            ("changed", |tree| {
                fs::remove_file(tree.join("program")).unwrap();
                fs::create_dir(tree.join("program")).unwrap();
            }),
        ];
        for (expected, spoil) in cases {
            let folder = tempfile::tempdir().unwrap();
            let tree = folder.path().join("tree");
            let (manifest, size) = build(machine.path(), &entries, &tree).unwrap();
            assert_eq!(size, Size { files: 2, bytes: 23 });
            spoil(&tree);
            let said = verify(&tree, &manifest).map_or_else(|error| error.to_string(), |_| String::new());
            assert!(said.contains(expected) && said.is_empty() == expected.is_empty(), "{expected}: {said}");
        }
    }
}
