//! A program without namespaces sees the host's own paths and ports: what it is told of names them, and Landlock's rules
//! are the only borders.

use super::Plan;
use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, NetPort, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, Scope,
};
use std::path::{Path, PathBuf};

type Environment = Vec<(String, String)>;

/// Of the host's `/dev` and `/proc`, what programs need of the machine and what tells nothing of others.
const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];
const FACTS: [&str; 6] = [
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system/cpu",
];

/// Where a sandbox without namespaces finds what others have at places of their own.
#[derive(Debug)]
pub(crate) struct Bare {
    /// What stands in a sandbox, and where it stands here.
    pub(crate) places: Vec<(PathBuf, PathBuf)>,
    /// Ports on the loopback: those that were asked for, and those that stand for them.
    pub(crate) ports: Vec<(u16, u16)>,
    /// The only folder that may be written to.
    pub(crate) scratch: PathBuf,
}

impl Bare {
    /// The program, its environment and its folder, in the host's own words.
    pub(super) fn translated(
        &self,
        argv: &[String],
        env: &[(String, String)],
        workdir: &str,
    ) -> (Vec<String>, Environment, String) {
        let argv = argv.iter().map(|text| self.here(text)).collect();
        let mut told: Environment =
            env.iter().map(|(name, value)| (name.clone(), self.here(value))).collect();
        for name in ["TMPDIR", "HOME"] {
            if !told.iter().any(|(known, _)| known == name) {
                told.push((name.to_owned(), self.scratch.to_string_lossy().into_owned()));
            }
        }
        (argv, told, self.here(workdir))
    }

    fn here(&self, text: &str) -> String {
        let places =
            self.places.iter().map(|(there, here)| (there.to_string_lossy(), here.to_string_lossy()));
        let text =
            places.fold(text.to_owned(), |text, (there, here)| replaced(&text, &there, &here, is_name));
        self.ports.iter().fold(text, |text, (there, here)| {
            let address = |port: &u16| format!("127.0.0.1:{port}");
            replaced(&text, &address(there), &address(here), |byte| byte.is_ascii_digit())
        })
    }

    /// The rules: everything that it may do to files and, where the kernel judges it, to the network.
    pub(super) fn rules(&self, plan: &Plan<'_>) -> Result<RulesetCreated, super::landlock::Failed> {
        let abi = ABI::from(plan.landlock_version);
        let read = AccessFs::Execute | AccessFs::ReadFile | AccessFs::ReadDir;
        let ruleset = Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(abi))?;
        let (net, scopes) = (AccessNet::from_all(abi), Scope::from_all(abi));
        let ruleset = if net.is_empty() { ruleset } else { ruleset.handle_access(net)? };
        let ruleset = if scopes.is_empty() { ruleset } else { ruleset.scope(scopes)? };
        let mut ruleset = ruleset.create()?;
        let shown = self.places.iter().map(|(_, here)| here.as_path());
        let facts = FACTS.iter().map(Path::new);
        for path in plan.readable.iter().map(PathBuf::as_path).chain(shown).chain(facts) {
            let access = if path.is_dir() { read } else { read & AccessFs::from_file(abi) };
            ruleset = super::landlock::allow(ruleset, path, access)?;
        }
        for path in DEVICES {
            let access =
                (AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev) & AccessFs::from_file(abi);
            ruleset = super::landlock::allow(ruleset, Path::new(path), access)?;
        }
        ruleset = ruleset
            .add_rule(PathBeneath::new(PathFd::new(&self.scratch)?, super::landlock::writable(abi)))?;
        if !net.is_empty() {
            for (_, port) in &self.ports {
                ruleset = ruleset.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
            }
        }
        Ok(ruleset)
    }
}

/// A letter of a file's name: `/var/task` is no part of `/var/tasks`.
fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

/// `text` with each `there` that no `more` follows replaced.
fn replaced(text: &str, there: &str, here: &str, more: fn(u8) -> bool) -> String {
    let mut parts = text.split(there);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let longer = part.bytes().next().is_some_and(more);
        out.push_str(if longer { there } else { here });
        out.push_str(part);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_ports_are_said_in_the_hosts_words() {
        let bare = Bare {
            places: vec![
                ("/var/task".into(), "/data/code".into()),
                ("/var/runtime".into(), "/data/rt".into()),
            ],
            ports: vec![(9001, 40_001)],
            scratch: "/tmp/x".into(),
        };
        for (text, expected) in [
            ("/var/task", "/data/code"),
            ("/var/task/app.py", "/data/code/app.py"),
            ("/opt:/var/task:/var/task/lib:/var/runtime", "/opt:/data/code:/data/code/lib:/data/rt"),
            ("/var/tasks", "/var/tasks"),
            ("http://127.0.0.1:9001/x", "http://127.0.0.1:40001/x"),
            ("127.0.0.1:90010", "127.0.0.1:90010"),
            ("--flag=/var/runtime/a.jar", "--flag=/data/rt/a.jar"),
        ] {
            assert_eq!(bare.here(text), expected);
        }
        let env = [("HOME".to_owned(), "/var/task".to_owned())];
        let (_, env, _) = bare.translated(&[], &env, "/");
        assert_eq!(env, [("HOME".into(), "/data/code".into()), ("TMPDIR".into(), "/tmp/x".into())]);
    }
}
