//! One immutable revision of a function, as the engine runs it.

use crate::FunctionName;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Everything that decides how an instance is made. Two versions with the same `revision` are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The function.
    pub function: FunctionName,
    /// `$LATEST` or a number.
    pub version: String,
    /// Changes with every change of code or configuration; instances belong to one revision for life.
    pub revision: String,
    /// The qualified ARN.
    pub arn: String,
    /// How the code starts.
    pub runtime: Runtime,
    /// As the user wrote it, such as `app.handler`.
    pub handler: String,
    /// The unpacked package on this machine, mounted read-only at `/var/task`.
    pub code_dir: PathBuf,
    /// Mebibytes; the sandbox's memory limit, and the base of its share of CPU.
    pub memory_mb: u32,
    /// Size of `/tmp` in mebibytes.
    pub tmp_mb: u32,
    /// Longest handler run in seconds.
    pub timeout_s: u32,
    /// The user's environment variables.
    pub environment: BTreeMap<String, String>,
    /// The execution role's ARN.
    pub role: String,
    /// Where its log lines go, such as `/aws/lambda/hello`.
    pub log_group: String,
    /// Whether instances are forked from a process that has loaded the code (SnapStart).
    pub snapstart: bool,
    /// At most this many instances at once (reserved concurrency); `None`: the account's limit alone.
    pub concurrency: Option<u32>,
    /// Calls that one instance may serve at the same time; 1 unless the function asks for more.
    pub instance_concurrency: u32,
    /// What the function counts for when there is not enough for all, against the 1 of others. Not a part of the
    /// revision: the latest call's counts.
    pub weight: u32,
}

/// Names a function version.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VersionName {
    /// The function.
    pub function: FunctionName,
    /// `$LATEST` or a number.
    pub version: String,
}

impl Version {
    /// What it is called.
    pub fn name(&self) -> VersionName {
        VersionName { function: self.function.clone(), version: self.version.clone() }
    }
}

/// A runtime identifier as AWS writes it, such as `python3.12`, `nodejs22.x`, `java21` or `provided.al2023`, or our own
/// `wasm`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Runtime {
    /// The language the identifier stands for.
    pub language: Language,
    /// Major and minor; Node and Java have minor 0. `(0, 0)` for compiled programs and components.
    pub version: (u16, u16),
    /// The identifier itself.
    pub identifier: String,
}

/// What kind of code a runtime identifier runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Language {
    /// CPython.
    Python,
    /// Node.js.
    Node,
    /// A Java virtual machine, HotSpot.
    Java,
    /// A program named `bootstrap` that speaks the HTTP Runtime API.
    Provided,
    /// A WebAssembly component that serves `wasi:http` 0.2.
    Wasm,
}

/// A runtime identifier that this platform does not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "runtime {0:?} is not served; use python3.9 or newer, nodejs18.x or newer, java17, java21, java25, provided.al2023, or wasm"
)]
pub struct UnknownRuntime(pub String);

/// The versions of Java that AWS has runtimes for and our bootstrap runs on.
const JAVA: [u16; 3] = [17, 21, 25];

impl Runtime {
    /// Reads an identifier.
    pub fn parse(identifier: &str) -> Result<Self, UnknownRuntime> {
        let unknown = || UnknownRuntime(identifier.into());
        let (language, version) = if let Some(rest) = identifier.strip_prefix("python3.") {
            (Language::Python, (3, rest.parse::<u16>().map_err(|_| unknown())?))
        } else if let Some(rest) = identifier.strip_prefix("nodejs").and_then(|r| r.strip_suffix(".x")) {
            (Language::Node, (rest.parse::<u16>().map_err(|_| unknown())?, 0))
        } else if let Some(rest) = identifier.strip_prefix("java") {
            let rest = rest.strip_suffix(".al2023").unwrap_or(rest);
            (Language::Java, (rest.parse::<u16>().map_err(|_| unknown())?, 0))
        } else if matches!(identifier, "provided" | "provided.al2" | "provided.al2023") {
            (Language::Provided, (0, 0))
        } else if identifier == "wasm" {
            (Language::Wasm, (0, 0))
        } else {
            return Err(unknown());
        };
        let served = match language {
            Language::Python => version.1 >= 9,
            Language::Node => version.0 >= 18,
            Language::Java => JAVA.contains(&version.0),
            Language::Provided | Language::Wasm => true,
        };
        if served { Ok(Self { language, version, identifier: identifier.into() }) } else { Err(unknown()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers() {
        let check = |text: &str| Runtime::parse(text).map(|r| (r.language, r.version)).ok();
        assert_eq!(check("python3.12"), Some((Language::Python, (3, 12))));
        assert_eq!(check("nodejs22.x"), Some((Language::Node, (22, 0))));
        assert_eq!(check("java21"), Some((Language::Java, (21, 0))));
        assert_eq!(check("java17.al2023"), Some((Language::Java, (17, 0))));
        assert_eq!(check("provided.al2023"), Some((Language::Provided, (0, 0))));
        assert_eq!(check("wasm"), Some((Language::Wasm, (0, 0))));
        for bad in
            ["python3.8", "python2.7", "nodejs22", "nodejs16.x", "java11", "java18", "java", "", "python3."]
        {
            assert_eq!(check(bad), None, "{bad}");
        }
    }
}
