//! Which files of a machine become part of an image. Nothing is read but names, sizes, links and, of programs, what
//! libraries they need.

use super::elf::{self, Wishes};
use super::{ImageError, contents};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

const MAX_FILES: usize = model::limit("root-image-files") as usize;
const MAX_BYTES: u64 = model::limit("root-image-bytes");
const MAX_LINKS: usize = 40;
/// What is not for everybody to read is nobody's in an image.
const READABLE_BY_ALL: u32 = 0o004;
const EXECUTABLE: u32 = 0o111;

/// What stands at one path of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    Folder,
    Link(String),
    /// A file of the machine: bytes, modification time in nanoseconds, and whether it may be executed.
    File {
        bytes: u64,
        modified_ns: i64,
        program: bool,
    },
    Text(String),
}

/// What was chosen so far.
pub(super) struct Selection {
    /// The machine's root; elsewhere in tests.
    root: PathBuf,
    pub(super) entries: BTreeMap<PathBuf, Entry>,
    bytes: u64,
    /// Programs and libraries whose needs were not looked at yet.
    unread: Vec<PathBuf>,
    folders: Vec<PathBuf>,
    /// Libraries that some program needs and that were not found.
    pub(super) missing: BTreeSet<String>,
}

impl Selection {
    pub(super) fn of(root: &Path) -> Self {
        let mut selection = Self {
            root: root.to_owned(),
            entries: BTreeMap::new(),
            bytes: 0,
            unread: Vec::new(),
            folders: contents::LIBRARY_FOLDERS.iter().map(PathBuf::from).collect(),
            missing: BTreeSet::new(),
        };
        let set = contents::LIBRARY_SETTINGS.iter().flat_map(|path| selection.settings(Path::new(path)));
        let set: Vec<PathBuf> = set.collect();
        selection.folders.extend(set);
        selection
    }

    /// Adds what stands at a path, with the links on the way: a file, or a folder without what is in it. Where it really
    /// is; `None` where there is nothing that may be shown.
    pub(super) fn add(&mut self, path: &Path) -> Result<Option<PathBuf>, ImageError> {
        let (mut here, mut hops) = (PathBuf::from("/"), 0);
        let mut rest: VecDeque<PathBuf> = parts(path);
        while let Some(part) = rest.pop_front() {
            match part.components().next() {
                Some(Component::ParentDir) => {
                    here.pop();
                    continue;
                }
                Some(Component::Normal(_)) => here.push(&part),
                _ => {
                    here = PathBuf::from("/");
                    continue;
                }
            }
            if sandbox::OWN_FOLDERS.iter().any(|own| here.starts_with(own))
                || here.to_str().is_none_or(awkward)
            {
                return Ok(None);
            }
            let Ok(about) = fs::symlink_metadata(self.on_host(&here)) else { return Ok(None) };
            if about.is_symlink() {
                let target =
                    fs::read_link(self.on_host(&here)).map_err(|why| ImageError::file(&here, why))?;
                hops += 1;
                let Some(text) = target.to_str().filter(|text| hops <= MAX_LINKS && !awkward(text)) else {
                    return Ok(None);
                };
                self.insert(&here, Entry::Link(text.to_owned()))?;
                here.pop();
                let mut way = parts(&target);
                way.append(&mut rest);
                rest = way;
            } else if about.is_dir() {
                self.insert(&here, Entry::Folder)?;
            } else if !rest.is_empty() || !about.is_file() || about.mode() & READABLE_BY_ALL == 0 {
                return Ok(None);
            } else {
                self.file(&here, &about)?;
            }
        }
        Ok(Some(here))
    }

    /// Adds a folder and everything in it but these names; `*` at the end of one stands for anything.
    pub(super) fn tree(&mut self, path: &Path, without: &[&str]) -> Result<(), ImageError> {
        let Some(real) = self.add(path)? else { return Ok(()) };
        let mut folders = vec![real];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(self.on_host(&folder)).into_iter().flatten().flatten() {
                let Ok(kind) = entry.file_type() else { continue };
                let name = entry.file_name();
                let is = |pattern: &&str| match pattern.strip_suffix('*') {
                    Some(beginning) => name.to_string_lossy().starts_with(beginning),
                    None => name == **pattern,
                };
                if without.iter().any(is) {
                    continue;
                }
                let path = folder.join(entry.file_name());
                if self.add(&path)?.is_some() && kind.is_dir() {
                    folders.push(path);
                }
            }
        }
        Ok(())
    }

    /// Adds a text of ours, or a link, in place of whatever the machine has there.
    pub(super) fn own(&mut self, path: &str, entry: Entry) -> Result<(), ImageError> {
        let path = Path::new(path);
        if let Some(folder) = path.parent() {
            self.add(folder)?;
            self.entries.entry(folder.to_owned()).or_insert(Entry::Folder);
        }
        self.entries.insert(path.to_owned(), entry);
        Ok(())
    }

    /// Adds a library by its name.
    pub(super) fn library(&mut self, name: &str) -> Result<(), ImageError> {
        self.find(name, &[], None).map(|_| ())
    }

    /// Adds the libraries that everything chosen so far needs, and those that they need.
    pub(super) fn close(&mut self, beside: &[PathBuf]) -> Result<(), ImageError> {
        // Programs that are seen inside without being part of the image.
        let own = beside.iter().filter_map(|path| Some((path.clone(), elf::wishes(path).ok()??)));
        let mut open: Vec<(PathBuf, Wishes)> = own.collect();
        loop {
            let unread = std::mem::take(&mut self.unread);
            open.extend(unread.into_iter().filter_map(|path| {
                let wishes = elf::wishes(&self.on_host(&path)).ok()??;
                Some((path, wishes))
            }));
            let Some((path, wishes)) = open.pop() else { return Ok(()) };
            self.fulfil(&path, &wishes)?;
        }
    }

    fn fulfil(&mut self, path: &Path, wishes: &Wishes) -> Result<(), ImageError> {
        if let Some(interpreter) = &wishes.interpreter {
            self.add(Path::new(interpreter))?;
        }
        let origin = path.parent().unwrap_or(Path::new("/")).to_string_lossy().into_owned();
        let first: Vec<PathBuf> = wishes
            .paths
            .iter()
            .flat_map(|list| list.split(':'))
            .map(|folder| PathBuf::from(folder.replace("${ORIGIN}", &origin).replace("$ORIGIN", &origin)))
            .collect();
        for name in &wishes.needed {
            let found = self.find(name, &first, Some(wishes.machine))?;
            // A library of a JDK finds another one that was loaded before it.
            let is_it = |path: &PathBuf| path.file_name().is_some_and(|own| own == name.as_str());
            if !found && !self.entries.keys().any(is_it) {
                self.missing.insert(name.clone());
            }
        }
        Ok(())
    }

    /// Adds a library from where the loader would find it. Where only this machine's settings lead there, a link leads
    /// there in the image, which has no such settings.
    fn find(&mut self, name: &str, first: &[PathBuf], machine: Option<u16>) -> Result<bool, ImageError> {
        if name.contains('/') {
            return Ok(self.add(Path::new(name))?.is_some());
        }
        let folders: Vec<PathBuf> = first.iter().chain(&self.folders).cloned().collect();
        for (index, folder) in folders.iter().enumerate() {
            let path = folder.join(name);
            let fits = |wishes: &Wishes| machine.is_none_or(|machine| wishes.machine == machine);
            // Through the links of the machine itself, which in tests are those of another root.
            let Some(real) = self.resolve(&path) else { continue };
            if !elf::wishes(&self.on_host(&real)).ok().flatten().is_some_and(|wishes| fits(&wishes)) {
                continue;
            }
            self.add(&path)?;
            if index >= first.len() + contents::LIBRARY_FOLDERS.len() {
                self.lead_to(name, &real)?;
            }
            return Ok(true);
        }
        Ok(false)
    }

    fn lead_to(&mut self, name: &str, real: &Path) -> Result<(), ImageError> {
        let Some(usual) = self.resolve(Path::new("/usr/lib")) else { return Ok(()) };
        let target = real.to_str().unwrap_or_default().to_owned();
        self.add(&usual)?;
        self.entries.entry(usual.join(name)).or_insert(Entry::Link(target));
        Ok(())
    }

    fn resolve(&self, path: &Path) -> Option<PathBuf> {
        let mut scout = Self {
            root: self.root.clone(),
            entries: BTreeMap::new(),
            bytes: 0,
            unread: Vec::new(),
            folders: Vec::new(),
            missing: BTreeSet::new(),
        };
        scout.add(path).ok().flatten()
    }

    fn file(&mut self, path: &Path, about: &fs::Metadata) -> Result<(), ImageError> {
        let modified_ns = about.mtime().saturating_mul(1_000_000_000).saturating_add(about.mtime_nsec());
        let program = about.mode() & EXECUTABLE != 0;
        if self.insert(path, Entry::File { bytes: about.len(), modified_ns, program })? {
            self.bytes = self.bytes.saturating_add(about.len());
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if program || name.ends_with(".so") || name.contains(".so.") {
                self.unread.push(path.to_owned());
            }
        }
        if self.bytes > MAX_BYTES { Err(ImageError::TooLarge) } else { Ok(()) }
    }

    fn insert(&mut self, path: &Path, entry: Entry) -> Result<bool, ImageError> {
        if self.entries.len() >= MAX_FILES {
            return Err(ImageError::TooMany);
        }
        Ok(self.entries.insert(path.to_owned(), entry).is_none())
    }

    fn on_host(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Folders that a settings file, or the files of a folder of settings, name.
    fn settings(&self, path: &Path) -> Vec<PathBuf> {
        let path = self.on_host(path);
        let texts: io::Result<Vec<String>> = match fs::read_dir(&path) {
            Ok(files) => files.flatten().map(|file| fs::read_to_string(file.path())).collect(),
            Err(_) => fs::read_to_string(&path).map(|text| vec![text]),
        };
        let texts = texts.unwrap_or_default();
        let lines = texts.iter().flat_map(|text| text.lines()).map(str::trim);
        lines.filter(|line| line.starts_with('/')).map(PathBuf::from).collect()
    }
}

fn parts(path: &Path) -> VecDeque<PathBuf> {
    path.components().map(|part| PathBuf::from(part.as_os_str())).collect()
}

/// What a line of the manifest cannot hold.
fn awkward(path: &str) -> bool {
    path.contains(['\n', '\t'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn machine() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        for folder in ["usr/lib/py", "usr/bin", "opt/real", "var/secret", "etc/ssl/private"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        for (path, mode) in [
            ("usr/lib/py/os.py", 0o644),
            ("usr/lib/py/secret", 0o600),
            ("usr/lib/py/tests", 0o644),
            ("opt/real/cert", 0o644),
            ("var/secret/file", 0o644),
            ("etc/ssl/private/key", 0o600),
        ] {
            fs::write(at(path), path).unwrap();
            fs::set_permissions(at(path), Permissions::from_mode(mode)).unwrap();
        }
        for (target, path) in [
            ("usr/lib", "lib"),
            ("../../../opt/real/cert", "usr/lib/py/cert"),
            ("/etc/ssl/private", "usr/lib/py/private"),
            ("/var/secret/file", "usr/lib/py/out"),
            ("loop", "usr/lib/py/loop"),
            ("nowhere", "usr/lib/py/dangling"),
        ] {
            symlink(target, at(path)).unwrap();
        }
        root
    }

    #[test]
    fn a_tree_is_taken_with_what_its_links_lead_to_and_without_what_is_not_for_all() {
        let root = machine();
        let mut selection = Selection::of(root.path());
        selection.tree(Path::new("/lib/py"), &["tests"]).unwrap();
        let names: Vec<&str> = selection.entries.keys().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(
            names,
            [
                "/etc",
                "/etc/ssl",
                "/etc/ssl/private",
                "/lib",
                "/opt",
                "/opt/real",
                "/opt/real/cert",
                "/usr",
                "/usr/lib",
                "/usr/lib/py",
                "/usr/lib/py/cert",
                "/usr/lib/py/dangling",
                "/usr/lib/py/loop",
                "/usr/lib/py/os.py",
                "/usr/lib/py/out",
                "/usr/lib/py/private",
            ]
        );
        assert_eq!(selection.entries[Path::new("/lib")], Entry::Link("usr/lib".into()));
        assert_eq!(selection.entries[Path::new("/etc/ssl/private")], Entry::Folder);
    }

    #[test]
    fn a_program_brings_its_libraries() {
        let own = std::env::current_exe().unwrap();
        let mut selection = Selection::of(Path::new("/"));
        selection.close(&[own]).unwrap();
        let has = |part: &str| selection.entries.keys().any(|path| path.to_string_lossy().contains(part));
        assert!(has("/libc.so.6") && has("/ld-"), "{:?}", selection.entries.keys());
        assert!(selection.missing.is_empty(), "{:?}", selection.missing);
    }
}
