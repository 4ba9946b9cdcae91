//! The program of a `provided` function: which file, and whether this machine can execute it.

use crate::PlanError;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const GUEST: &str = "/var/task/bootstrap";
/// Bytes of an ELF file up to and with `e_machine`.
const HEAD_BYTES: usize = 20;

/// The program inside, once it is sure that it can be executed there. The errors are AWS's.
pub(crate) fn find(code_dir: &Path) -> Result<&'static str, PlanError> {
    let path = code_dir.join("bootstrap");
    let Ok(about) = path
        .metadata()
        .and_then(|about| if about.is_file() { Ok(about) } else { Err(std::io::ErrorKind::NotFound.into()) })
    else {
        return Err(PlanError::InvalidEntrypoint(
            "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]".into(),
        ));
    };
    let wrong = |why: &str| PlanError::InvalidEntrypoint(format!("fork/exec {GUEST}: {why}"));
    if about.permissions().mode() & 0o111 == 0 {
        return Err(wrong("permission denied"));
    }
    let mut head = [0; HEAD_BYTES];
    let got = File::open(&path).and_then(|mut file| read_up_to(&mut file, &mut head));
    let got = got.map_err(|error| wrong(&error.to_string()))?;
    match Program::of(&head[..got]) {
        Program::Script => Ok(GUEST),
        Program::Native => Ok(GUEST),
        Program::Foreign => Err(PlanError::BadArch(format!("fork/exec {GUEST}: exec format error"))),
        Program::Other => Err(wrong("exec format error")),
    }
}

/// Whether an interpreter at `path` is a program of this machine, not a script that stands in for one.
pub(crate) fn is_native(path: &Path) -> bool {
    let mut head = [0; HEAD_BYTES];
    let got = File::open(path).and_then(|mut file| read_up_to(&mut file, &mut head));
    got.is_ok_and(|got| Program::of(&head[..got]) == Program::Native)
}

/// What the kernel makes of a file's first bytes.
#[derive(Debug, PartialEq, Eq)]
enum Program {
    /// For this machine.
    Native,
    /// For another machine, or for this one's 32-bit mode.
    Foreign,
    Script,
    Other,
}

impl Program {
    fn of(head: &[u8]) -> Self {
        match head {
            [0x7f, b'E', b'L', b'F', class @ (1 | 2), order, ..] if head.len() == HEAD_BYTES => {
                let machine = [head[18], head[19]];
                let machine =
                    if *order == 2 { u16::from_be_bytes(machine) } else { u16::from_le_bytes(machine) };
                if *class == 2 && Some(machine) == host_machine() { Self::Native } else { Self::Foreign }
            }
            [b'#', b'!', ..] => Self::Script,
            _ => Self::Other,
        }
    }
}

/// `e_machine` of this program's own architecture.
fn host_machine() -> Option<u16> {
    match std::env::consts::ARCH {
        "x86_64" => Some(62),
        "aarch64" => Some(183),
        "riscv64" => Some(243),
        "s390x" => Some(22),
        "powerpc64" => Some(21),
        _ => None,
    }
}

fn read_up_to(file: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read(&mut buffer[done..])? {
            0 => break,
            got => done += got,
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};

    /// A name, the file's bytes and mode where there is one, and the error.
    type Row = (&'static str, Option<(Vec<u8>, u32)>, &'static str);

    fn narrow(machine: u16) -> Vec<u8> {
        let mut bytes = elf(machine);
        bytes[4] = 1;
        bytes
    }

    fn elf(machine: u16) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0".to_vec();
        bytes.extend_from_slice(&machine.to_le_bytes());
        bytes
    }

    #[test]
    fn programs_are_judged_before_they_run() {
        let other = if host_machine() == Some(62) { 183 } else { 62 };
        let cases: &[Row] = &[
            ("missing", None, "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"),
            ("own", Some((elf(host_machine().unwrap()), 0o755)), ""),
            ("script", Some((b"#!/bin/sh\n".to_vec(), 0o755)), ""),
            (
                "no bit",
                Some((b"#!/bin/sh\n".to_vec(), 0o644)),
                "fork/exec /var/task/bootstrap: permission denied",
            ),
            ("foreign", Some((elf(other), 0o755)), "fork/exec /var/task/bootstrap: exec format error"),
            ("32 bits", Some((narrow(3), 0o755)), "fork/exec /var/task/bootstrap: exec format error"),
            (
                "32 bits of ours",
                Some((narrow(host_machine().unwrap()), 0o755)),
                "fork/exec /var/task/bootstrap: exec format error",
            ),
            ("text", Some((b"hello".to_vec(), 0o755)), "fork/exec /var/task/bootstrap: exec format error"),
            ("empty", Some((Vec::new(), 0o755)), "fork/exec /var/task/bootstrap: exec format error"),
            (
                "cut",
                Some((b"\x7fELF\x02".to_vec(), 0o755)),
                "fork/exec /var/task/bootstrap: exec format error",
            ),
        ];
        for (name, file, expected) in cases {
            let dir = tempfile::tempdir().unwrap();
            if let Some((bytes, mode)) = file {
                fs::write(dir.path().join("bootstrap"), bytes).unwrap();
                fs::set_permissions(dir.path().join("bootstrap"), Permissions::from_mode(*mode)).unwrap();
            }
            let found = find(dir.path());
            let foreign = matches!(&found, Err(PlanError::BadArch(_)));
            assert_eq!(foreign, name.starts_with("32 bits") || *name == "foreign", "{name}");
            let said = found.map_or_else(|error| error.to_string(), |_| String::new());
            assert_eq!(said, *expected, "{name}");
        }
    }
}
