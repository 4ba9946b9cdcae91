//! Our bootstraps: part of this program, written where sandboxes can see them.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use store::DataDir;

/// The folder in the data directory that is `/var/runtime` inside.
pub(crate) const FOLDER: &str = "runtime";
/// Where instances see it.
pub(crate) const GUEST: &str = "/var/runtime";

pub(crate) const PYTHON: &str = include_str!("python/bootstrap.py");
pub(crate) const NODE: &str = "bootstrap.cjs";
pub(crate) const JAVA: &str = "bootstrap.jar";
const JAVA_JAR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/bootstrap.jar"));
/// A task root of our own, which a JVM practises on: folders, from the outside in, and files.
const REHEARSAL: [&str; 4] = ["rehearsal", "rehearsal/lib", "rehearsal/dayfly", "rehearsal/dayfly/rehearsal"];
const REHEARSAL_FILES: [(&str, &[u8]); 2] = [
    ("rehearsal/lib/rehearsal.jar", include_bytes!(concat!(env!("OUT_DIR"), "/rehearsal.jar"))),
    (
        "rehearsal/dayfly/rehearsal/Greeting.class",
        include_bytes!(concat!(env!("OUT_DIR"), "/Greeting.class")),
    ),
];

const FILES: &[(&str, &[u8])] = &[
    ("bootstrap.py", PYTHON.as_bytes()),
    ("_dayfly_compile.py", include_bytes!("python/_dayfly_compile.py")),
    ("_dayfly_crowd.py", include_bytes!("python/_dayfly_crowd.py")),
    ("_dayfly_imports.py", include_bytes!("python/_dayfly_imports.py")),
    ("_dayfly_logging.py", include_bytes!("python/_dayfly_logging.py")),
    ("_dayfly_rehearsal.py", include_bytes!("python/_dayfly_rehearsal.py")),
    ("_dayfly_template.py", include_bytes!("python/_dayfly_template.py")),
    ("_dayfly_unusual.py", include_bytes!("python/_dayfly_unusual.py")),
    ("snapshot_restore_py.py", include_bytes!("python/snapshot_restore_py.py")),
    ("_dayfly.abi3.so", sandbox::PYTHON_ENTRY),
    (NODE, include_bytes!("node/bootstrap.cjs")),
    ("errors.cjs", include_bytes!("node/errors.cjs")),
    ("handler.cjs", include_bytes!("node/handler.cjs")),
    ("imports.cjs", include_bytes!("node/imports.cjs")),
    ("rehearsal.js", include_bytes!("node/rehearsal.js")),
    ("rehearsal.mjs", include_bytes!("node/rehearsal.mjs")),
    ("template.cjs", include_bytes!("node/template.cjs")),
    ("dayfly.node", sandbox::NODE_ENTRY),
    ("libdayfly.so", sandbox::JAVA_ENTRY),
];

/// Whether this program was built where Java could be compiled.
pub(crate) fn has_java() -> bool {
    !JAVA_JAR.is_empty()
}

/// Writes what is missing or of another version; the folder.
pub(crate) fn install(data: &DataDir) -> std::io::Result<PathBuf> {
    let folder = data.dir(FOLDER)?;
    // Instances run as users of their own.
    std::fs::set_permissions(&folder, Permissions::from_mode(0o755))?;
    for (name, bytes) in FILES {
        write(data, name, bytes)?;
    }
    if has_java() {
        write(data, JAVA, JAVA_JAR)?;
        for part in REHEARSAL {
            let part = data.dir(&format!("{FOLDER}/{part}"))?;
            std::fs::set_permissions(part, Permissions::from_mode(0o755))?;
        }
        for (name, bytes) in REHEARSAL_FILES {
            write(data, name, bytes)?;
        }
    }
    Ok(folder)
}

/// Writes one file of the folder, unless it is there already.
pub(crate) fn write(data: &DataDir, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let rel = format!("{FOLDER}/{name}");
    if data.read(&rel)?.as_deref() == Some(bytes) {
        return Ok(());
    }
    let path = data.write_atomic(&rel, bytes, 0o644)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o644))
}
