//! What a Python project needs from elsewhere.

use super::read;
use crate::failure::Failure;
use crate::pasted;
use crate::range::Range;
use std::path::{Path, PathBuf};

/// Files that `requirements.txt` may pull in, and how deep.
const INCLUDES: usize = 20;

/// Where the requirements are written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requirements {
    /// There are none.
    None,
    /// `requirements.txt`.
    File(PathBuf),
    /// `[project].dependencies` of `pyproject.toml`.
    Project(Vec<String>),
    /// `uv.lock` beside `pyproject.toml`; it needs uv.
    Lock(PathBuf),
}

/// What `pyproject.toml` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Project {
    /// `[project].dependencies`.
    pub dependencies: Vec<String>,
    /// `[project].requires-python`.
    pub python: Option<Range>,
    /// Whether the file is there.
    pub exists: bool,
}

impl Project {
    /// Reads `directory/pyproject.toml`.
    pub fn load(directory: &Path) -> Result<Self, Failure> {
        let path = directory.join("pyproject.toml");
        let Some(text) = read(&path)? else { return Ok(Self::default()) };
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            Failure::usage(
                format!("{} is not TOML", path.display()),
                error.message(),
                format!("${{EDITOR:-vi}} {}", pasted::path(&path)),
            )
        })?;
        let project = table.get("project").and_then(toml::Value::as_table);
        let dependencies = project
            .and_then(|project| project.get("dependencies"))
            .and_then(toml::Value::as_array)
            .map(|list| list.iter().filter_map(toml::Value::as_str).map(str::to_owned).collect())
            .unwrap_or_default();
        let python = project.and_then(|project| project.get("requires-python")).and_then(toml::Value::as_str);
        Ok(Self { dependencies, python: python.and_then(Range::python), exists: true })
    }
}

impl Requirements {
    /// Finds them, and says what is noteworthy: a lock that cannot be used.
    pub fn find(directory: &Path, project: &Project, has_uv: bool) -> Result<(Self, Vec<String>), Failure> {
        let file = directory.join("requirements.txt");
        let lock = directory.join("uv.lock");
        let mut notes = Vec::new();
        let wanted = read(&file)?.filter(|text| !lines(text).is_empty());
        let found = if project.exists && lock.is_file() && has_uv && !project.dependencies.is_empty() {
            Self::Lock(lock)
        } else if wanted.is_some() {
            Self::File(file)
        } else if project.dependencies.is_empty() {
            Self::None
        } else {
            for other in ["uv.lock", "poetry.lock", "pdm.lock"] {
                if directory.join(other).is_file() {
                    notes.push(format!("{other} is not used; versions come from pyproject.toml"));
                }
            }
            Self::Project(project.dependencies.clone())
        };
        if found == Self::None && directory.join("Pipfile").is_file() {
            notes.push("Pipfile is not read; write requirements.txt for its packages".to_owned());
        }
        Ok((found, notes))
    }

    /// A few words about them.
    pub fn describe(&self) -> String {
        match self {
            Self::None => "no requirements".to_owned(),
            Self::File(path) => {
                let text = std::fs::read_to_string(path).unwrap_or_default();
                format!("requirements.txt with {}", crate::figure::count(lines(&text).len(), "line"))
            }
            Self::Project(list) => {
                let noun = if list.len() == 1 { "dependency" } else { "dependencies" };
                format!("pyproject.toml with {} {noun}", list.len())
            }
            Self::Lock(_) => "pyproject.toml and uv.lock".to_owned(),
        }
    }

    /// The text that decides what is installed. `None`: it names local paths, whose content may change.
    pub fn identity(&self) -> Result<Option<Vec<u8>>, Failure> {
        let mut text = Vec::new();
        match self {
            Self::None => {}
            Self::Project(list) => text = list.join("\n").into_bytes(),
            Self::Lock(path) => {
                for file in [path.clone(), path.with_file_name("pyproject.toml")] {
                    text.extend(read(&file)?.unwrap_or_default().into_bytes());
                }
            }
            Self::File(path) => {
                let mut waiting = vec![path.clone()];
                let mut seen = 0;
                while let Some(file) = waiting.pop() {
                    seen += 1;
                    let content = read(&file)?.unwrap_or_default();
                    if seen > INCLUDES || lines(&content).iter().any(|line| is_local(line)) {
                        return Ok(None);
                    }
                    let beside = |name: &str| file.parent().unwrap_or(Path::new(".")).join(name.trim());
                    waiting.extend(lines(&content).iter().filter_map(|line| included(line)).map(beside));
                    text.extend(content.into_bytes());
                }
            }
        }
        Ok(Some(text))
    }
}

/// The lines that say something.
fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

fn included(line: &str) -> Option<&str> {
    ["-r", "--requirement", "-c", "--constraint"]
        .iter()
        .find_map(|flag| line.strip_prefix(flag))
        .filter(|rest| rest.starts_with([' ', '=']))
        .map(|rest| rest.trim_start_matches([' ', '=']))
}

fn is_local(line: &str) -> bool {
    line.starts_with("-e")
        || line.starts_with("--editable")
        || line.starts_with(['.', '/'])
        || line.contains("file:")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::trees::plant;

    #[test]
    fn where_requirements_are() {
        let check = |files: &[(&str, &str)], has_uv, described: &str, notes: usize| {
            let root = plant(files);
            let project = Project::load(root.path()).expect("readable");
            let (found, noted) = Requirements::find(root.path(), &project, has_uv).expect("readable");
            assert_eq!((found.describe().as_str(), noted.len()), (described, notes), "{files:?}");
        };
        let project = ("pyproject.toml", "[project]\ndependencies = ['a', 'b>1']\n");
        check(&[], false, "no requirements", 0);
        check(&[("requirements.txt", "# nothing\n\n")], false, "no requirements", 0);
        check(&[("requirements.txt", "a==1\n# b\nc\n")], false, "requirements.txt with 2 lines", 0);
        check(&[project], false, "pyproject.toml with 2 dependencies", 0);
        check(&[project, ("uv.lock", "")], false, "pyproject.toml with 2 dependencies", 1);
        check(&[project, ("uv.lock", "")], true, "pyproject.toml and uv.lock", 0);
        check(&[project, ("requirements.txt", "a==1")], false, "requirements.txt with 1 line", 0);
        check(&[("Pipfile", "")], false, "no requirements", 1);
    }

    #[test]
    fn what_decides_an_installation() {
        let root = plant(&[
            ("requirements.txt", "-r base.txt\na\n"),
            ("base.txt", "b==1\n"),
            ("local.txt", "-e .\n"),
        ]);
        let identity = |name: &str| Requirements::File(root.path().join(name)).identity().expect("readable");
        assert_eq!(identity("requirements.txt").as_deref(), Some(&b"-r base.txt\na\nb==1\n"[..]));
        assert_eq!(identity("local.txt"), None);
        std::fs::write(root.path().join("base.txt"), "-r requirements.txt").expect("written");
        assert_eq!(identity("requirements.txt"), None, "a circle ends");
    }
}
