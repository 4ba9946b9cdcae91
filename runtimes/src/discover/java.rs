//! What a `java` says of itself.

use super::places::Candidate;
use super::probe::{Answer, needs};
use crate::{Interpreter, bootstraps};
use model::Language;
use std::path::{Path, PathBuf};

/// The answer comes on standard error, one `name = value` a line.
pub(super) const QUESTION: &[&str] = &["-Xshare:auto", "-XshowSettings:properties", "-version"];
const OLDEST: u16 = 17;
/// Most files of a JDK that are looked at for links out of it.
const MAX_FILES: usize = 4096;

/// Only HotSpot understands our flags.
pub(super) fn read(candidate: &Candidate, said: &str) -> Option<Answer> {
    let lines = || said.lines().filter_map(|line| line.trim().split_once(" = "));
    let value = |name: &str| lines().find(|(key, _)| *key == name).map(|(_, value)| value);
    let machine = value("java.vm.name")?;
    let version = number(value("java.version")?)?;
    if version.0 < OLDEST || !(machine.contains("Server VM") || machine.contains("Client VM")) {
        return None;
    }
    let home = PathBuf::from(value("java.home")?);
    let links = outward(&home);
    let interpreter = Interpreter {
        language: Language::Java,
        version,
        executable: candidate.path.clone(),
        needs: needs(&candidate.path, links.into_iter().chain([home.clone()])),
        prefix: home,
        bootstrap: bootstraps::JAVA.into(),
    };
    Some(Answer::Serves { interpreter, bytecode: None })
}

/// `17.0.15`, `21`, `25-ea`.
fn number(text: &str) -> Option<(u16, u16, u16)> {
    let mut parts = text.split(['.', '-', '+', '_']).map(str::parse::<u16>);
    let major = parts.next()?.ok()?;
    let mut next = || parts.next().and_then(Result::ok).unwrap_or(0);
    Some((major, next(), next()))
}

/// Where links inside a JDK lead that lie outside of it: Debian keeps its settings in `/etc/java-17-openjdk`.
fn outward(home: &Path) -> Vec<PathBuf> {
    let mut folders = vec![home.join("lib"), home.join("conf")];
    let mut found = Vec::new();
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            seen += 1;
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() && seen < MAX_FILES {
                folders.push(entry.path());
            } else if kind.is_symlink() {
                found.extend(entry.path().canonicalize().ok().map(|target| settings_of(&target)));
            }
        }
    }
    found
}

/// The whole folder below `/etc` where it is Java's own; else the file alone.
fn settings_of(target: &Path) -> PathBuf {
    let folder: PathBuf = target.components().take(3).collect();
    let own = folder.strip_prefix("/etc").is_ok_and(|name| name.to_string_lossy().starts_with("java"));
    if own { folder } else { target.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_hotspot_of_17_or_newer() {
        let candidate =
            Candidate { language: Language::Java, path: "/opt/jdk/bin/java".into(), state: (1, 1) };
        let said = |version: &str, machine: &str| {
            format!(
                "Property settings:\n    java.home = /opt/jdk\n    java.version = {version}\n    java.vm.name = {machine}\n"
            )
        };
        let cases = [
            ("17.0.15", "OpenJDK 64-Bit Server VM", Some((17, 0, 15))),
            ("21", "Java HotSpot(TM) 64-Bit Server VM", Some((21, 0, 0))),
            ("25-ea", "OpenJDK 64-Bit Server VM", Some((25, 0, 0))),
            ("11.0.2", "OpenJDK 64-Bit Server VM", None),
            ("1.8.0_292", "OpenJDK 64-Bit Server VM", None),
            ("17.0.15", "Eclipse OpenJ9 VM", None),
            ("17.0.15", "OpenJDK 64-Bit Zero VM", None),
        ];
        for (version, machine, expected) in cases {
            let got = read(&candidate, &said(version, machine)).map(|answer| match answer {
                Answer::Serves { interpreter, .. } => interpreter.version,
                other => panic!("{other:?}"),
            });
            assert_eq!(got, expected, "{version} {machine}");
        }
    }

    #[test]
    fn settings_in_etc_come_as_a_whole() {
        for (target, expected) in [
            ("/etc/java-17-openjdk/security/java.policy", "/etc/java-17-openjdk"),
            ("/etc/ssl/certs/java/cacerts", "/etc/ssl/certs/java/cacerts"),
            ("/opt/x/y", "/opt/x/y"),
        ] {
            assert_eq!(settings_of(Path::new(target)), Path::new(expected));
        }
    }
}
