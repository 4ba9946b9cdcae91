//! The functions that are measured, as folders that `dayfly deploy` understands.

use super::install::run;
use super::{Setting, write_files};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a function behind a URL receives for the requests of this bench: floors are given the same event.
pub(crate) const EVENT: &[u8] = include_bytes!("../../bench/event.json");

const PYTHON: &str = "calls = 0\n\n\ndef handler(event, context):\n    global calls\n    calls += 1\n    \
                      return {\"hello\": \"world\", \"calls\": calls}\n";
const NODE: &str = "let calls = 0;\nexports.handler = async () => ({ hello: 'world', calls: ++calls });\n";
const NODE_PACKAGE: &str = "{\"name\":\"hello\",\"version\":\"1.0.0\",\"main\":\"handler.js\"}\n";
const PYTHON_BOTO3: &str = "import boto3\n\nclient = boto3.client(\"s3\", region_name=\"us-east-1\")\ncalls = 0\n\n\n\
                            def handler(event, context):\n    global calls\n    calls += 1\n    \
                            return {\"hello\": client.meta.region_name, \"calls\": calls}\n";
const NODE_SDK: &str = "const { S3Client } = require('@aws-sdk/client-s3');\n\
                        const client = new S3Client({ region: 'us-east-1' });\nlet calls = 0;\n\
                        exports.handler = async () => ({ hello: await client.config.region(), calls: ++calls });\n";

/// A language, its floor and its function's folder.
pub(crate) struct Hello {
    pub(crate) name: &'static str,
    pub(crate) script: PathBuf,
    pub(crate) folder: PathBuf,
}

/// The Python hello.
pub(crate) fn python(setting: &Setting) -> Result<Hello, String> {
    let folder = setting.folder.join("python");
    write_files(&folder, &[("handler.py", PYTHON)])?;
    Ok(Hello { name: "python", script: setting.sources.join("bare.py"), folder })
}

/// The Node hello.
pub(crate) fn node(setting: &Setting) -> Result<Hello, String> {
    let folder = setting.folder.join("node");
    write_files(&folder, &[("handler.js", NODE), ("package.json", NODE_PACKAGE)])?;
    Ok(Hello { name: "node", script: setting.sources.join("bare.cjs"), folder })
}

/// Python with a boto3 client at module level; boto3 lies beside the handler, as in a package.
pub(crate) fn python_boto3(setting: &Setting, interpreter: &str) -> Result<Hello, String> {
    let installed = setting.boto3(interpreter)?;
    let folder = setting.folder.join("python-boto3");
    if !folder.join("boto3").is_dir() {
        let _ = std::fs::remove_dir_all(&folder);
        let mut copy = Command::new("cp");
        copy.arg("-r").arg(&installed).arg(&folder);
        run(copy)?;
    }
    write_files(&folder, &[("handler.py", PYTHON_BOTO3)])?;
    Ok(Hello { name: "python", script: setting.sources.join("bare.py"), folder })
}

/// Node with the AWS SDK bundled into one file.
pub(crate) fn node_sdk(setting: &Setting) -> Result<Hello, String> {
    let bundle = setting.aws_sdk_bundle(NODE_SDK)?;
    let folder = setting.folder.join("node-sdk");
    write_files(&folder, &[("package.json", NODE_PACKAGE)])?;
    std::fs::copy(bundle, folder.join("handler.js")).map_err(|e| e.to_string())?;
    Ok(Hello { name: "node", script: setting.sources.join("bare.cjs"), folder })
}

/// A jar with the Java hello. `serial` makes its bytes different from every other.
pub(crate) fn java_jar(scratch: &Path, classes: &Path, serial: &str) -> Result<PathBuf, String> {
    let folder = scratch.join("java").join(serial);
    write_files(&folder, &[("serial.txt", serial)])?;
    let mut jar = Command::new("jar");
    let path = folder.join("hello.jar");
    jar.arg("--create").arg("--file").arg(&path);
    jar.arg("-C").arg(classes).arg("hello/Hello.class").arg("-C").arg(&folder).arg("serial.txt");
    run(jar)?;
    Ok(path)
}

/// `component` with a custom section that holds `serial`: code never seen before that does the same.
pub(crate) fn wasm_variant(scratch: &Path, component: &Path, serial: &str) -> Result<PathBuf, String> {
    let mut bytes = std::fs::read(component).map_err(|e| format!("{}: {e}", component.display()))?;
    bytes.extend(custom_section("dayfly-bench", serial.as_bytes())?);
    let folder = scratch.join("wasm");
    std::fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
    let path = folder.join(format!("hello-{serial}.wasm"));
    std::fs::write(&path, bytes).map_err(|e| e.to_string())?;
    Ok(path)
}

/// A custom section of WebAssembly's binary format; lengths below 128 are their own LEB128.
fn custom_section(name: &str, content: &[u8]) -> Result<Vec<u8>, String> {
    let length = 1 + name.len() + content.len();
    if length >= 128 {
        return Err(format!("a custom section of {length} bytes is longer than this writes"));
    }
    let byte = |length: usize| u8::try_from(length).expect("below 128");
    let mut section = vec![0, byte(length), byte(name.len())];
    section.extend_from_slice(name.as_bytes());
    section.extend_from_slice(content);
    Ok(section)
}

/// A zip of one file, for functions that are created through the API.
pub(crate) fn zip(name: &str, text: &str) -> Result<Vec<u8>, String> {
    use std::io::Write as _;
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file(name, zip::write::SimpleFileOptions::default()).map_err(|e| e.to_string())?;
    zip.write_all(text.as_bytes()).map_err(|e| e.to_string())?;
    Ok(zip.finish().map_err(|e| e.to_string())?.into_inner())
}

/// The source of the Python hello.
pub(crate) const fn python_source() -> &'static str {
    PYTHON
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn custom_sections() {
        assert_eq!(custom_section("ab", b"c").expect("short"), [0, 4, 2, b'a', b'b', b'c']);
        assert!(custom_section("ab", &[0; 200]).is_err());
    }
}
