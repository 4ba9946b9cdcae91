//! Which files of a project belong to its package.

use crate::failure::Failure;
use crate::pasted;
use crate::settings;
use ignore::WalkBuilder;
use std::path::{Path, PathBuf};

/// Folders that are never packed.
const FOLDERS: &[&str] = &[
    ".git",
    ".hg",
    ".svn",
    ".venv",
    "__pycache__",
    ".pytest_cache",
    ".mypy_cache",
    ".ruff_cache",
    ".tox",
    ".nox",
    ".idea",
    ".vscode",
    ".dayfly",
    ".aws-sam",
    ".serverless",
];
/// Files that are never packed.
const FILES: &[&str] =
    &[".env", ".gitignore", ".gitattributes", IGNORE_FILE, settings::FILE, ".DS_Store", "Thumbs.db"];
/// The user's own list, in the grammar of `.gitignore`; it wins over `.gitignore`.
const IGNORE_FILE: &str = ".dayflyignore";

/// What else to leave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// `.gitignore` counts.
    pub git_ignore: bool,
    /// `node_modules` is left out altogether, since the package gets its own.
    pub own_modules: bool,
}

/// A file that will be packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Relative to the root, with `/`.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
}

/// The files below `root` that are not left out, sorted by name. A link counts as what it points to, which must lie
/// below `root` too.
pub fn select(root: &Path, rules: Rules) -> Result<Vec<Found>, Failure> {
    let unreadable = |why: String| {
        Failure::new(format!("cannot read {}", root.display()), why, format!("ls -la {}", pasted::path(root)))
    };
    let real_root = root.canonicalize().map_err(|error| unreadable(error.to_string()))?;
    let mut builder = WalkBuilder::new(root);
    builder
        .hidden(false)
        .ignore(false)
        .git_global(false)
        .git_exclude(false)
        .git_ignore(rules.git_ignore)
        .require_git(false)
        .parents(rules.git_ignore && is_in_repository(&real_root))
        .follow_links(true)
        .add_custom_ignore_filename(IGNORE_FILE);
    builder.filter_entry(move |entry| {
        let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
        entry.depth() == 0 || !is_left_out(entry.path(), is_folder, rules)
    });
    let mut found = Vec::new();
    for entry in builder.build() {
        let entry = entry.map_err(|error| unreadable(error.to_string()))?;
        if entry.file_type().is_some_and(|kind| kind.is_file()) {
            stays_inside(entry.path(), &real_root)?;
            found.push(Found { name: name(entry.path(), root)?, path: entry.into_path() });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn is_left_out(path: &Path, is_folder: bool, rules: Rules) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if is_folder {
        let parent_is_modules = path.parent().is_some_and(|parent| parent.ends_with("node_modules"));
        FOLDERS.contains(&name.as_ref())
            || (name == "node_modules" && rules.own_modules)
            || (parent_is_modules && matches!(name.as_ref(), ".cache" | ".bin"))
            || path.join("pyvenv.cfg").is_file()
    } else {
        FILES.contains(&name.as_ref()) || name.starts_with(".env.") || name.ends_with(".pyc")
    }
}

fn is_in_repository(directory: &Path) -> bool {
    directory.ancestors().any(|ancestor| ancestor.join(".git").exists())
}

fn stays_inside(path: &Path, real_root: &Path) -> Result<(), Failure> {
    let real = path.canonicalize().unwrap_or_default();
    if real.starts_with(real_root) {
        return Ok(());
    }
    Err(Failure::new(
        format!("{} points out of the project", path.display()),
        format!("it is a link to {}, which is not part of the package", real.display()),
        format!("cp --remove-destination \"$(readlink -f {0})\" {0}", pasted::path(path)),
    ))
}

fn name(path: &Path, root: &Path) -> Result<String, Failure> {
    path.strip_prefix(root).ok().and_then(Path::to_str).map(|name| name.replace('\\', "/")).ok_or_else(|| {
        Failure::new(
            format!("{} cannot be packed", path.display()),
            "its name is not UTF-8",
            format!("ls -b {}", pasted::path(root)),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Rules = Rules { git_ignore: true, own_modules: false };

    fn check(files: &[(&str, &str)], rules: Rules, expected: &[&str]) {
        let root = tempfile::tempdir().expect("a directory");
        for (name, text) in files {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().expect("it has one")).expect("made");
            std::fs::write(path, text).expect("written");
        }
        let found = select(root.path(), rules).expect("readable");
        let names: Vec<&str> = found.iter().map(|found| found.name.as_str()).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn what_is_never_packed() {
        check(
            &[
                ("app.py", ""),
                (".env", ""),
                (".env.local", ""),
                (".git/config", ""),
                (".venv/bin/python", ""),
                ("myenv/pyvenv.cfg", ""),
                ("myenv/lib/x.py", ""),
                ("pkg/__pycache__/a.pyc", ""),
                ("pkg/a.py", ""),
                ("pkg/b.pyc", ""),
                ("node_modules/.cache/x", ""),
                ("node_modules/.bin/x", ""),
                ("node_modules/left/index.js", ""),
                ("dayfly.toml", ""),
                (".hidden", ""),
            ],
            PLAIN,
            &[".hidden", "app.py", "node_modules/left/index.js", "pkg/a.py"],
        );
    }

    #[test]
    fn the_users_own_lists() {
        let files = [
            (".gitignore", "*.log\n/dist\n"),
            (".dayflyignore", "!keep.log\nsecret.txt\n"),
            ("a.log", ""),
            ("keep.log", ""),
            ("secret.txt", ""),
            ("dist/index.js", ""),
            ("node_modules/a/index.js", ""),
            ("sub/.gitignore", "x\n"),
            ("sub/x", ""),
            ("sub/y", ""),
        ];
        let all = Rules { git_ignore: false, own_modules: true };
        check(&files, PLAIN, &["keep.log", "node_modules/a/index.js", "sub/y"]);
        check(&files, all, &["a.log", "dist/index.js", "keep.log", "sub/x", "sub/y"]);
    }

    #[test]
    fn links() {
        let root = tempfile::tempdir().expect("a directory");
        std::fs::write(root.path().join("a"), "").expect("written");
        std::os::unix::fs::symlink("a", root.path().join("b")).expect("linked");
        assert_eq!(select(root.path(), PLAIN).expect("readable").len(), 2);
        std::os::unix::fs::symlink("/etc/hostname", root.path().join("c")).expect("linked");
        let failure = select(root.path(), PLAIN).expect_err("it leads out");
        assert!(failure.what.ends_with("c points out of the project"), "{}", failure.what);
    }
}
