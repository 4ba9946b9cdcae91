//! Where interpreters may be.

use crate::plan::entry;
use model::Language;
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Folders of executables, by the tool that makes them: the variable that names a root, the root's default below the
/// home folder, and the way from there. `*` stands for any one name. Without a variable: from `/`.
const FOLDERS: &[(&str, &str, &str)] = &[
    ("", "", "usr/bin"),
    ("", "", "usr/local/bin"),
    ("", "", "opt/*/bin"),
    ("", "", "opt/python/*/bin"),
    ("HOME", "", ".local/bin"),
    ("PYENV_ROOT", ".pyenv", "versions/*/bin"),
    ("UV_PYTHON_INSTALL_DIR", ".local/share/uv/python", "*/bin"),
    ("HOME", "", ".rye/py/*/bin"),
    ("CONDA_ROOT", "miniconda3", "bin"),
    ("CONDA_ROOT", "miniconda3", "envs/*/bin"),
    ("HOME", "", "miniforge3/bin"),
    ("HOME", "", "miniforge3/envs/*/bin"),
    ("HOME", "", "anaconda3/bin"),
    ("HOME", "", "anaconda3/envs/*/bin"),
    ("ASDF_DATA_DIR", ".asdf", "installs/python/*/bin"),
    ("ASDF_DATA_DIR", ".asdf", "installs/nodejs/*/bin"),
    ("MISE_DATA_DIR", ".local/share/mise", "installs/python/*/bin"),
    ("MISE_DATA_DIR", ".local/share/mise", "installs/node/*/bin"),
    ("NVM_DIR", ".nvm", "versions/node/*/bin"),
    ("FNM_DIR", ".local/share/fnm", "node-versions/*/installation/bin"),
    ("VOLTA_HOME", ".volta", "tools/image/node/*/bin"),
    ("NODENV_ROOT", ".nodenv", "versions/*/bin"),
    ("N_PREFIX", "n", "n/versions/node/*/bin"),
    ("", "", "usr/local/n/versions/node/*/bin"),
    ("", "", "usr/lib/jvm/*/bin"),
    ("JAVA_HOME", ".sdkman/candidates/java/current", "bin"),
    ("SDKMAN_DIR", ".sdkman", "candidates/java/*/bin"),
    ("HOME", "", ".jdks/*/bin"),
    ("ASDF_DATA_DIR", ".asdf", "installs/java/*/bin"),
    ("MISE_DATA_DIR", ".local/share/mise", "installs/java/*/bin"),
];
/// Most names that one `*` is tried with.
const MAX_NAMES: usize = 256;

/// What anyone can replace is not run.
const WRITABLE_BY_ALL: u32 = 0o002;

/// An executable that may be an interpreter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Candidate {
    pub language: Language,
    /// After all symbolic links.
    pub path: PathBuf,
    /// Tells a changed file from an unchanged one: size, and modification time in nanoseconds.
    pub state: (u64, i64),
}

/// What decides where to look.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places {
    folders: Vec<PathBuf>,
}

impl Places {
    /// By this process's environment.
    pub(crate) fn of_this_process() -> Self {
        Self::new(&|name| std::env::var_os(name).map(PathBuf::from))
    }

    /// By the given environment.
    pub(crate) fn new(variable: &dyn Fn(&str) -> Option<PathBuf>) -> Self {
        let path = variable("PATH").unwrap_or_default();
        let mut folders: Vec<PathBuf> =
            std::env::split_paths(&path).filter(|dir| dir.is_absolute()).collect();
        for (root, default, pattern) in FOLDERS {
            let root = match *root {
                "" => Some(PathBuf::from("/")),
                name => variable(name).or_else(|| Some(variable("HOME")?.join(default))),
            };
            folders.extend(root.map(|root| expand(root, pattern)).unwrap_or_default());
        }
        Self { folders }
    }

    /// Every native executable with an interpreter's name, each once.
    pub(crate) fn candidates(&self) -> Vec<Candidate> {
        let folders: BTreeSet<&PathBuf> = self.folders.iter().collect();
        let named = folders.into_iter().flat_map(|folder| interpreters_in(folder));
        let found: BTreeSet<Candidate> =
            named.filter_map(|(language, path)| candidate(language, &path)).collect();
        found.into_iter().collect()
    }
}

fn expand(root: PathBuf, pattern: &str) -> Vec<PathBuf> {
    let mut paths = vec![root];
    for part in pattern.split('/') {
        paths = paths.into_iter().flat_map(|path| step(path, part)).collect();
    }
    paths
}

fn step(path: PathBuf, part: &str) -> Vec<PathBuf> {
    if part != "*" {
        return vec![path.join(part)];
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries.take(MAX_NAMES).map(|entry| entry.path()).collect()
}

fn interpreters_in(folder: &Path) -> Vec<(Language, PathBuf)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let named = entries.filter_map(|entry| {
        let language = language_of(entry.file_name().to_str()?)?;
        Some((language, entry.path()))
    });
    named.take(MAX_NAMES).collect()
}

/// By name: `python`, `python3`, `python3.9` and newer, `node`, `nodejs`, `java`.
fn language_of(name: &str) -> Option<Language> {
    if matches!(name, "node" | "nodejs") {
        return Some(Language::Node);
    }
    if name == "java" {
        return Some(Language::Java);
    }
    let version = name.strip_prefix("python")?;
    let served = match version.strip_prefix("3.") {
        Some(minor) => minor.trim_end_matches('t').parse::<u16>().is_ok_and(|minor| minor >= 9),
        None => matches!(version, "" | "3"),
    };
    served.then_some(Language::Python)
}

fn candidate(language: Language, path: &Path) -> Option<Candidate> {
    let path = path.canonicalize().ok()?;
    // `python3` may be a link to `python3.8`.
    let real = language_of(path.file_name()?.to_str()?);
    if real != Some(language) || !entry::is_native(&path) {
        return None;
    }
    let about = path.metadata().ok()?;
    if about.mode() & WRITABLE_BY_ALL != 0 {
        return None;
    }
    let modified_ns = about.mtime().saturating_mul(1_000_000_000).saturating_add(about.mtime_nsec());
    Some(Candidate { language, path, state: (about.len(), modified_ns) })
}
