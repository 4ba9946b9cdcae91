//! The tree that a package becomes, and which packages become none: rules over names, kinds and sizes, before
//! anything is written.

use std::collections::BTreeMap;

use super::directory::Listed;
use super::{UnpackError, UnpackLimits};

/// A path within the tree: names joined by `/`, none of them empty, `.` or `..`.
pub(super) type Path = Vec<u8>;

/// What stands at a path. Numbers are places in the list of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node {
    Directory,
    File { entry: usize, executable: bool },
    Link { entry: usize },
}

/// The tree, parents before what they hold.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) nodes: BTreeMap<Path, Node>,
    /// Size of all files, in bytes.
    pub(super) bytes: u64,
}

impl Tree {
    /// Judges each entry by what the directory says of it and puts it in its place.
    pub(super) fn plan(entries: &[Listed], limits: &UnpackLimits) -> Result<Tree, UnpackError> {
        let mut tree = Tree::default();
        for (number, entry) in entries.iter().enumerate() {
            check_form(entry)?;
            check_sizes(entry)?;
            tree.bytes = tree.bytes.saturating_add(entry.bytes);
            if tree.bytes > limits.unzipped_bytes {
                return Err(UnpackError::too_large("unzipped-bytes", limits.unzipped_bytes, tree.bytes));
            }
            let path = path(&entry.name)?;
            let node = node(number, entry, &path)?;
            tree.put(path, node, entry)?;
            let count = tree.nodes.len() as u64;
            if count > limits.entries {
                return Err(UnpackError::too_large("zip-entries", limits.entries, count));
            }
        }
        Ok(tree)
    }

    fn put(&mut self, path: Path, node: Node, entry: &Listed) -> Result<(), UnpackError> {
        let slashes = path.iter().enumerate().rev().filter(|(_, byte)| **byte == b'/');
        for parent in slashes.map(|(end, _)| &path[..end]) {
            match self.nodes.get(parent) {
                // What is above a directory are directories.
                Some(Node::Directory) => break,
                Some(Node::Link { .. }) => {
                    return Err(UnpackError::entry(&entry.name, "it is beneath a symbolic link"));
                }
                Some(Node::File { .. }) => {
                    return Err(UnpackError::entry(&entry.name, "it is beneath a file"));
                }
                None => {
                    self.nodes.insert(parent.to_vec(), Node::Directory);
                }
            }
        }
        if path.is_empty() {
            return match node {
                Node::Directory => Ok(()),
                _ => Err(UnpackError::entry(&entry.name, "it has no name")),
            };
        }
        match (self.nodes.insert(path, node), node) {
            (None, _) | (Some(Node::Directory), Node::Directory) => Ok(()),
            _ => Err(UnpackError::entry(&entry.name, "its name occurs twice")),
        }
    }
}

fn check_form(entry: &Listed) -> Result<(), UnpackError> {
    const ENCRYPTED: u16 = 1 | 1 << 6 | 1 << 13;
    const PATCH: u16 = 1 << 5;
    let refuse = |why: &str| Err(UnpackError::entry(&entry.name, why));
    if entry.flags & ENCRYPTED != 0 {
        return refuse("it is encrypted");
    }
    if entry.flags & PATCH != 0 {
        return refuse("it is a patch to another archive's entry");
    }
    if entry.special {
        return refuse("it is a hard link or a device");
    }
    match entry.method {
        STORED | DEFLATED => Ok(()),
        other => refuse(&format!(
            "compression method {other}{} is not served: use deflate",
            method_name(other).map(|name| format!(" ({name})")).unwrap_or_default()
        )),
    }
}

/// Compression methods of APPNOTE 4.4.5 that we read.
pub(super) const STORED: u16 = 0;
pub(super) const DEFLATED: u16 = 8;

fn method_name(method: u16) -> Option<&'static str> {
    Some(match method {
        1 => "shrink",
        6 => "implode",
        9 => "deflate64",
        12 => "bzip2",
        14 => "lzma",
        20 | 93 => "zstandard",
        95 => "xz",
        99 => "AES encryption",
        _ => return None,
    })
}

fn check_sizes(entry: &Listed) -> Result<(), UnpackError> {
    /// The densest that deflate can be: 258 bytes from two bits.
    const DEFLATE_RATIO: u64 = 1032;
    let refuse = |why: String| Err(UnpackError::entry(&entry.name, why));
    let (packed, bytes) = (entry.compressed_bytes, entry.bytes);
    if entry.method == STORED && packed != bytes {
        return refuse(format!("it is stored, yet its sizes differ: {packed} and {bytes} bytes"));
    }
    if bytes > packed.saturating_mul(DEFLATE_RATIO) {
        return refuse(format!("{packed} bytes cannot become {bytes}"));
    }
    Ok(())
}

/// The path that a name means.
fn path(name: &[u8]) -> Result<Path, UnpackError> {
    const LONGEST_PART_BYTES: usize = 255;
    const LONGEST_PATH_BYTES: usize = 3000;
    let refuse = |why: &str| Err(UnpackError::entry(name, why));
    if name.is_empty() {
        return refuse("it has no name");
    }
    if std::str::from_utf8(name).is_err() {
        return refuse("its name is not UTF-8");
    }
    if name.contains(&0) {
        return refuse("its name holds a zero byte");
    }
    if name.contains(&b'\\') {
        return refuse("its name holds a backslash: separate directories by \"/\"");
    }
    if name[0] == b'/' {
        return refuse("its name is absolute");
    }
    if name.len() >= 2 && name[0].is_ascii_alphabetic() && name[1] == b':' {
        return refuse("its name starts with a drive letter");
    }
    let parts: Vec<&[u8]> =
        name.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    if parts.contains(&b"..".as_slice()) {
        return refuse("its name leads out of the package (\"..\")");
    }
    if name.len() > LONGEST_PATH_BYTES || parts.iter().any(|part| part.len() > LONGEST_PART_BYTES) {
        return refuse("its name is too long");
    }
    Ok(parts.join(&b'/'))
}

fn node(number: usize, entry: &Listed, path: &[u8]) -> Result<Node, UnpackError> {
    let refuse = |why: &str| Err(UnpackError::entry(&entry.name, why));
    let mode = entry.mode.unwrap_or(0);
    let named_as_directory = entry.name.ends_with(b"/") || entry.name.ends_with(b"/.");
    match mode & libc::S_IFMT {
        libc::S_IFLNK if named_as_directory => refuse("it is a symbolic link with the name of a directory"),
        libc::S_IFLNK => Ok(Node::Link { entry: number }),
        libc::S_IFDIR | libc::S_IFREG | 0 => {
            let directory = named_as_directory || mode & libc::S_IFMT == libc::S_IFDIR;
            if directory && entry.bytes > 0 {
                return refuse("it is a directory, yet has content");
            }
            Ok(if directory {
                Node::Directory
            } else {
                Node::File { entry: number, executable: executable(mode, path) }
            })
        }
        libc::S_IFCHR | libc::S_IFBLK => refuse("it is a device"),
        libc::S_IFIFO => refuse("it is a named pipe"),
        libc::S_IFSOCK => refuse("it is a socket"),
        _ => refuse("its file type is unknown"),
    }
}

/// Any execute bit, and always for the program of a custom runtime, whose bit archives made on Windows do not
/// have.
fn executable(mode: u32, path: &[u8]) -> bool {
    mode & 0o111 != 0 || path == b"bootstrap"
}
