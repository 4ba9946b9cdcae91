//! What the virtual machine is made of: Debian's kernel, unpacked and never installed, and a first root in memory.

use super::run;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The kernel that most of Debian's users have.
const KERNEL: &str = "linux-image-amd64";
const BUSYBOX: &str = "busybox-static";

/// Modules that the first root needs to reach this machine's folders, and functions' packages need for their mounts.
const MODULES: [&str; 4] = ["virtio_pci", "9pnet_virtio", "9p", "overlay"];

/// What is booted.
pub(super) struct Ground {
    pub(super) kernel: PathBuf,
    pub(super) image: PathBuf,
}

/// Unpacks what is missing below `folder` and makes the image. `inside`: the script that the machine runs.
pub(super) fn prepare(folder: &Path, inside: &str, shares: &[PathBuf]) -> Result<Ground, String> {
    let packages = folder.join("packages");
    if !packages.join("bin/busybox").exists() {
        unpack(folder, &packages)?;
    }
    let version = name_in(&packages.join("lib/modules"))?;
    let kernel = packages.join(format!("boot/vmlinuz-{version}"));
    let root = folder.join("root");
    let _ = fs::remove_dir_all(&root);
    let busybox = packages.join("bin/busybox");
    for place in ["bin", "proc", "dev", "sys", "host", "root"] {
        make(&root.join(place))?;
    }
    copy(&busybox, &root.join("bin/busybox"))?;
    modules(&packages, &root, &version)?;
    let shares: Vec<String> = shares.iter().map(|share| share.display().to_string()).collect();
    for (name, text) in [
        ("init", include_str!("init.sh")),
        ("inside", inside),
        ("shares", &shares.join("\n")),
        ("modules", &MODULES.join("\n")),
    ] {
        write(&root.join(name), text)?;
    }
    let image = folder.join("image");
    let pack = "chmod +x init && find . | \"$0\" cpio -o -H newc 2>/dev/null | gzip -1 > \"$1\"";
    done(Command::new("sh").args(["-c", pack]).arg(&busybox).arg(&image).current_dir(&root))?;
    Ok(Ground { kernel, image })
}

/// Fetches Debian's packages and unpacks them, without installing anything.
fn unpack(folder: &Path, packages: &Path) -> Result<(), String> {
    println!("== fetching {KERNEL} and {BUSYBOX} from Debian");
    make(folder)?;
    let shown = Command::new("apt-cache").args(["show", "--no-all-versions", KERNEL]).output();
    let shown = shown.map_err(|error| format!("apt-cache: {error}: this needs Debian's package tools"))?;
    let image = image_of(&String::from_utf8_lossy(&shown.stdout))
        .ok_or_else(|| format!("Debian's package lists do not name {KERNEL}; run apt-get update"))?;
    for package in [image.as_str(), BUSYBOX] {
        // As an ordinary user of its own, which may not write here, apt only warns.
        done(Command::new("apt-get").args(["download", "-qq", package]).current_dir(folder))?;
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "deb") {
            done(Command::new("dpkg-deb").arg("-x").arg(entry.path()).arg(packages))?;
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}

/// The package that a meta-package stands for.
fn image_of(shown: &str) -> Option<String> {
    let depends = shown.lines().find_map(|line| line.strip_prefix("Depends: "))?;
    let word = depends.split([' ', ',']).find(|word| word.starts_with("linux-image-"))?;
    Some(word.to_owned())
}

/// The modules with all that they need, and the list by which the kernel's tools find them.
fn modules(packages: &Path, root: &Path, version: &str) -> Result<(), String> {
    let from = packages.join("lib/modules").join(version);
    let to = root.join("lib/modules").join(version);
    if !from.join("modules.dep").exists() {
        done(Command::new(packages.join("bin/busybox")).args(["depmod", "-b"]).arg(packages).arg(version))?;
    }
    let list = from.join("modules.dep");
    let text = fs::read_to_string(&list).map_err(|error| format!("{}: {error}", list.display()))?;
    for module in MODULES {
        let file = format!("/{module}.ko");
        // One that is built into the kernel is in no list.
        let Some(line) = text.lines().find(|line| line.split(':').next().is_some_and(|f| f.ends_with(&file)))
        else {
            continue;
        };
        for file in line.split([':', ' ']).filter(|file| !file.is_empty()) {
            make(to.join(file).parent().unwrap_or(&to))?;
            copy(&from.join(file), &to.join(file))?;
        }
    }
    copy(&list, &to.join("modules.dep"))
}

/// Installs packages where this is root on a Debian machine; `false` where it is not.
pub(super) fn install(packages: &[&str]) -> bool {
    println!("== installing {}", packages.join(" "));
    let mut apt = Command::new("apt-get");
    apt.args(["install", "-y", "-qq", "--no-install-recommends"]).args(packages);
    apt.env("DEBIAN_FRONTEND", "noninteractive").stdout(std::process::Stdio::null());
    run::found("apt-get").is_some() && apt.status().is_ok_and(|status| status.success())
}

fn name_in(folder: &Path) -> Result<String, String> {
    let found = fs::read_dir(folder).into_iter().flatten().flatten().next();
    let found = found.ok_or_else(|| format!("{} is empty; remove it and try again", folder.display()))?;
    Ok(found.file_name().to_string_lossy().into_owned())
}

fn make(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    fs::copy(from, to).map(|_| ()).map_err(|error| format!("{}: {error}", from.display()))
}

fn done(command: &mut Command) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{command:?}: {status}")),
        Err(error) => Err(format!("{command:?}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meta_package_names_its_kernel() {
        let cases = [
            (
                "Package: x\nDepends: linux-image-6.1.0-1-amd64 (= 6.1.1-1)\n",
                Some("linux-image-6.1.0-1-amd64"),
            ),
            ("Depends: libc6, linux-image-6.2, x\n", Some("linux-image-6.2")),
            ("Depends: libc6\n", None),
            ("", None),
        ];
        for (shown, expected) in cases {
            assert_eq!(image_of(shown).as_deref(), expected, "{shown}");
        }
    }
}
