//! Which file of a package is the component, and whether it is one that can be served. Pure but for reading.

use std::path::{Path, PathBuf};
use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

const PREFERRED: &str = "bootstrap.wasm";
const HANDLER: &str = "wasi:http/incoming-handler@0.2.";
const NEWER_HANDLER: &str = "wasi:http/handler@0.3.";
const HOW: &str = "build it for wasm32-wasip2, or convert it with `wasm-tools component new`";
/// Exports named in a message.
const NAMED_EXPORTS: usize = 5;

/// The component of a package: `bootstrap.wasm`, or the only `.wasm` file at the top. The error says what is wrong.
pub(crate) fn find(package: &Path) -> Result<PathBuf, String> {
    let preferred = package.join(PREFERRED);
    if preferred.is_file() {
        return Ok(preferred);
    }
    let entries =
        std::fs::read_dir(package).map_err(|error| format!("the package cannot be read: {error}"))?;
    let is_wasm = |path: &PathBuf| path.extension().is_some_and(|e| e == "wasm") && path.is_file();
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_wasm).collect();
    match (found.pop(), found.len()) {
        (Some(only), 0) => Ok(only),
        (None, _) => Err(format!("the package holds no {PREFERRED} and no other .wasm file at its top")),
        (Some(_), more) => {
            Err(format!("the package holds {} .wasm files and none is named {PREFERRED}", more + 1))
        }
    }
}

/// Whether the file's first bytes are those of a component.
pub(crate) fn check_head(bytes: &[u8]) -> Result<(), String> {
    match bytes {
        [0, b'a', b's', b'm', 0x0d, 0, 1, 0, ..] => Ok(()),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Err(format!("it is a core module, not a component; {HOW}")),
        [0, b'a', b's', b'm', version @ ..] if version.len() >= 4 => {
            Err(format!("it is WebAssembly of an unknown version ({:02x?}); {HOW}", &version[..4]))
        }
        _ => Err("it is not WebAssembly".into()),
    }
}

/// Whether the component is a `wasi:http/proxy` of version 0.2.
pub(crate) fn check_exports(engine: &Engine, component: &Component) -> Result<(), String> {
    let kind = component.component_type();
    let is_instance = |item: &ComponentItem| matches!(item, ComponentItem::ComponentInstance(_));
    let exports: Vec<&str> =
        kind.exports(engine).filter(|(_, item)| is_instance(&item.ty)).map(|(name, _)| name).collect();
    judge(&exports)
}

fn judge(exports: &[&str]) -> Result<(), String> {
    if exports.iter().any(|name| name.starts_with(HANDLER)) {
        return Ok(());
    }
    if exports.iter().any(|name| name.starts_with(NEWER_HANDLER)) {
        return Err("it exports wasi:http/handler of WASI 0.3; this platform serves wasi:http 0.2".into());
    }
    let mut named = exports.iter().take(NAMED_EXPORTS).copied().collect::<Vec<_>>().join(", ");
    if named.is_empty() {
        named = "nothing".into();
    }
    Err(format!(
        "it does not export wasi:http/incoming-handler 0.2 but {named}; see the world wasi:http/proxy"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_found() {
        let cases: &[(&[&str], Result<&str, &str>)] = &[
            (&["bootstrap.wasm"], Ok("bootstrap.wasm")),
            (&["hello.wasm", "notes.txt"], Ok("hello.wasm")),
            (&["a.wasm", "bootstrap.wasm"], Ok("bootstrap.wasm")),
            (&["a.wasm", "b.wasm"], Err("holds 2 .wasm files and none is named bootstrap.wasm")),
            (&["notes.txt"], Err("no bootstrap.wasm and no other")),
        ];
        for (files, expected) in cases {
            let folder = tempfile::tempdir().unwrap();
            for name in *files {
                std::fs::write(folder.path().join(name), b"x").unwrap();
            }
            match (find(folder.path()), expected) {
                (Ok(path), Ok(name)) => assert_eq!(path, folder.path().join(name)),
                (Err(said), Err(part)) => assert!(said.contains(part), "{said}"),
                (found, _) => panic!("{files:?}: {found:?}"),
            }
        }
    }

    #[test]
    fn what_is_no_component_is_named() {
        let cases: &[(&[u8], &str)] = &[
            (b"\0asm\x0d\0\x01\0", ""),
            (b"\0asm\x01\0\0\0", "core module"),
            (b"\0asm\x09\0\x07\0", "unknown version"),
            (b"\0asm", "not WebAssembly"),
            (b"#!/bin/sh", "not WebAssembly"),
            (b"", "not WebAssembly"),
        ];
        for (bytes, expected) in cases {
            let said = check_head(bytes).err().unwrap_or_default();
            assert!(
                said.contains(expected) && said.is_empty() == expected.is_empty(),
                "{said} for {expected}"
            );
        }
        let cases: &[(&[&str], &str)] = &[
            (&["wasi:http/incoming-handler@0.2.3"], ""),
            (&["wasi:http/handler@0.3.0"], "0.3"),
            (&["wasi:cli/run@0.2.0"], "but wasi:cli/run@0.2.0"),
            (&[], "but nothing"),
        ];
        for (exports, expected) in cases {
            let said = judge(exports).err().unwrap_or_default();
            assert!(
                said.contains(expected) && said.is_empty() == expected.is_empty(),
                "{said} for {expected}"
            );
        }
    }
}
