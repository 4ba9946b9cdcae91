//! From an archive to files beneath one directory. Runs in the jailed child.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags, mkdirat, openat2, symlinkat, syncfs};

use super::archive::Archive;
use super::content::{self, Unpacker};
use super::directory;
use super::links;
use super::tree::{Node, Path, Tree};
use super::{UnpackError, UnpackLimits, Unpacked};

/// Unpacks into an empty directory. All that can be judged without writing is judged first. The caller's
/// umask must be 0.
pub(super) fn extract(
    archive: &Archive,
    root: BorrowedFd<'_>,
    limits: &UnpackLimits,
) -> Result<Unpacked, UnpackError> {
    let directory = directory::read(archive, limits)?;
    let tree = Tree::plan(&directory.entries, limits)?;
    let starts = content::locate(archive, &directory)?;
    let mut unpacker = Unpacker::new(archive);
    let mut targets = BTreeMap::new();
    for (path, node) in &tree.nodes {
        if let Node::Link { entry } = *node {
            let listed = &directory.entries[entry];
            if listed.bytes > links::LONGEST_TARGET_BYTES {
                return Err(UnpackError::entry(&listed.name, "it is a symbolic link with too long a target"));
            }
            let mut target = Vec::new();
            unpacker.unpack(listed, starts[entry], &mut target)?;
            targets.insert(path.clone(), target);
        }
    }
    links::check(&tree, &targets)?;
    let mut writer = Writer::new(root);
    for (path, node) in &tree.nodes {
        match *node {
            Node::Directory => writer.directory(path)?,
            Node::File { entry, executable } => {
                let mut file = writer.file(path, executable)?;
                unpacker.unpack(&directory.entries[entry], starts[entry], &mut file)?;
            }
            Node::Link { .. } => {}
        }
    }
    for (path, target) in &targets {
        writer.link(path, target)?;
    }
    syncfs(root).map_err(|error| UnpackError::machine("writing to disk", &error.into()))?;
    Ok(Unpacked { bytes: tree.bytes, entries: tree.nodes.len() as u64 })
}

/// Makes things beneath a directory and nowhere else.
struct Writer<'a> {
    root: BorrowedFd<'a>,
    /// The directory written to last: a tree's neighbours share it.
    parent: Option<(Path, OwnedFd)>,
}

impl<'a> Writer<'a> {
    fn new(root: BorrowedFd<'a>) -> Self {
        Writer { root, parent: None }
    }

    fn directory(&mut self, path: &[u8]) -> Result<(), UnpackError> {
        self.beneath(path, |parent, name| Ok(mkdirat(parent, name, Mode::from_raw_mode(0o755))?))
    }

    fn file(&mut self, path: &[u8], executable: bool) -> Result<impl Write + use<>, UnpackError> {
        let mode = Mode::from_raw_mode(if executable { 0o755 } else { 0o644 });
        let new = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        self.beneath(path, |parent, name| Ok(File::from(openat2(parent, name, new, mode, BENEATH)?)))
    }

    fn link(&mut self, path: &[u8], target: &[u8]) -> Result<(), UnpackError> {
        self.beneath(path, |parent, name| Ok(symlinkat(target, parent, name)?))
    }

    /// Opens the path's parent and works on the last name in it.
    fn beneath<T>(
        &mut self,
        path: &[u8],
        work: impl FnOnce(BorrowedFd<'_>, &[u8]) -> io::Result<T>,
    ) -> Result<T, UnpackError> {
        let (parent, name) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => (Some(&path[..slash]), &path[slash + 1..]),
            None => (None, path),
        };
        let made = match parent {
            Some(parent) => self.enter(parent).and_then(|parent| work(parent, name)),
            None => work(self.root, name),
        };
        made.map_err(|error| UnpackError::machine("writing the package", &error))
    }

    fn enter(&mut self, path: &[u8]) -> io::Result<BorrowedFd<'_>> {
        if self.parent.as_ref().is_none_or(|(open, _)| open != path) {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let parent = openat2(self.root, path, flags, Mode::empty(), BENEATH)?;
            self.parent = Some((path.to_vec(), parent));
        }
        let (_, parent) = self.parent.as_ref().expect("just opened");
        Ok(parent.as_fd())
    }
}

const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);
