//! What a JVM is told.

use crate::{Interpreter, archive, bootstraps};
use std::path::Path;

/// What a JVM needs besides its heap: code, classes, stacks, itself.
const APART_MB: u32 = 40;
/// AWS's share of the memory setting for the heap.
const HEAP_PERCENT: u32 = 85;
/// From here on, the serial collector takes the objects of a class archive, too.
const SERIAL: u16 = 21;
/// From here on, Java warns of what our bootstrap needs for the inherited socket.
const WARNS: u16 = 24;
const MAIN: &str = "dayfly.runtime.Main";

/// The whole command line: a start in little time, a heap by the memory setting, and classes from an archive where
/// there is one that fits.
pub(crate) fn arguments(interpreter: &Interpreter, folder: &Path, memory_mb: u32) -> Vec<String> {
    let mut arguments = machine(interpreter);
    arguments.push(format!("-Xmx{}m", heap_mb(memory_mb)));
    if let Some(name) = archive::name(interpreter, folder).filter(|name| folder.join(name).is_file()) {
        arguments.push(format!("-XX:SharedArchiveFile={}/{name}", bootstraps::GUEST));
    }
    arguments.extend(program(interpreter));
    arguments
}

/// The same for a JVM that waits for its function. It calls into the C library, of which newer ones would warn.
pub(crate) fn waiting(interpreter: &Interpreter, folder: &Path, memory_mb: u32) -> Vec<String> {
    let mut arguments = arguments(interpreter, folder, memory_mb);
    if interpreter.version.0 >= WARNS {
        arguments.insert(1, "--enable-native-access=ALL-UNNAMED".into());
    }
    arguments
}

/// What a JVM that waits finds in its environment besides what all that wait do.
pub(crate) fn environment() -> [(String, String); 2] {
    [("LC_ALL", "C.UTF-8"), ("DAYFLY_WAIT", "1")].map(|(name, value)| (name.into(), value.into()))
}

/// The executable, and flags that an archive and the JVMs that use it have in common: one compiler, the collector
/// that starts fastest, no performance counters in `/tmp`, no word in the function's log on an archive that does not
/// fit any more; the encoding and the language of AWS's `LANG`.
pub(crate) fn machine(interpreter: &Interpreter) -> Vec<String> {
    let major = interpreter.version.0;
    let mut arguments = vec![
        interpreter.executable.to_string_lossy().into_owned(),
        (if major < SERIAL { "-XX:+UseG1GC" } else { "-XX:+UseSerialGC" }).into(),
        "-XX:TieredStopAtLevel=1".into(),
        "-XX:-UsePerfData".into(),
        "-Xshare:auto".into(),
        "-Xlog:disable".into(),
        "-Xlog:all=error:stderr".into(),
        "-Dfile.encoding=UTF-8".into(),
        "-Duser.language=en".into(),
        "-Duser.country=US".into(),
    ];
    if major >= WARNS {
        arguments.push("--sun-misc-unsafe-memory-access=allow".into());
    }
    arguments
}

/// Our bootstrap.
pub(crate) fn program(interpreter: &Interpreter) -> [String; 3] {
    ["-cp".into(), format!("{}/{}", bootstraps::GUEST, interpreter.bootstrap), MAIN.into()]
}

fn heap_mb(memory_mb: u32) -> u32 {
    (memory_mb * HEAP_PERCENT / 100).min(memory_mb.saturating_sub(APART_MB)).max(16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heap_leaves_room_for_the_machine() {
        for (memory, heap) in [(128, 88), (256, 216), (512, 435), (10_240, 8704)] {
            assert_eq!(heap_mb(memory), heap, "{memory}");
        }
    }
}
