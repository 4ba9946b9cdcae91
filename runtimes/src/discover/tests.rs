use super::places::Places;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// A native executable that nobody runs.
fn executable(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::copy("/proc/self/exe", path).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn every_version_manager_is_searched_and_shims_are_not_taken() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().canonicalize().unwrap();
    let real = [
        ".pyenv/versions/3.12.1/bin/python3.12",
        ".local/share/uv/python/cpython-3.13.0-linux/bin/python3.13",
        "miniconda3/bin/python3.11",
        ".asdf/installs/python/3.10.2/bin/python3.10",
        ".local/share/mise/installs/node/22.1.0/bin/node",
        ".nvm/versions/node/v20.1.0/bin/node",
        ".local/share/fnm/node-versions/v24.0.0/installation/bin/node",
        ".volta/tools/image/node/18.0.0/bin/node",
        "n/n/versions/node/23.0.0/bin/node",
        "path/nodejs",
    ];
    for path in real {
        executable(&root.join(path));
    }
    executable(&root.join(".pyenv/versions/3.8.1/bin/python3.8"));
    for (link, target) in [("3.12.1/bin/python3", "python3.12"), ("3.8.1/bin/python3", "python3.8")] {
        symlink(target, root.join(".pyenv/versions").join(link)).unwrap();
    }
    fs::write(root.join("path/python3"), "#!/bin/sh\nexec pyenv\n").unwrap();
    fs::set_permissions(root.join("path/python3"), Permissions::from_mode(0o755)).unwrap();
    symlink("/nowhere", root.join("path/node")).unwrap();

    let variable = |name: &str| match name {
        "HOME" => Some(root.clone()),
        "PATH" => Some(root.join("path")),
        _ => None,
    };
    let found: Vec<PathBuf> = Places::new(&variable).candidates().into_iter().map(|c| c.path).collect();
    let mut here: Vec<&Path> = found.iter().filter_map(|path| path.strip_prefix(&root).ok()).collect();
    let mut expected: Vec<&Path> = real.iter().map(Path::new).collect();
    here.sort();
    expected.sort();
    assert_eq!(here, expected);
}
