//! The root file system that all sandboxes share: the host's programs and libraries or those of an image, a synthetic
//! `/etc`, five devices, and empty directories to mount on. Built once in the launcher's own mount namespace; every sandbox gets a private,
//! read-only copy of the mounts.

use crate::Bind;
use crate::kernel::{self, ATTR_NODEV, ATTR_NOEXEC, ATTR_NOSUID, ATTR_RDONLY};
use crate::veil::veiled;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, mkdirat, openat, openat2, symlinkat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, FsPickFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
    fsconfig_create, fsconfig_reconfigure, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, fspick,
    move_mount, open_tree, unmount,
};
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

/// Where the base stands in the launcher's mount namespace: a directory that exists everywhere and that the launcher
/// needs for nothing else. Nothing outside that namespace sees it.
const STANDS: [&str; 3] = ["/sys/kernel", "/mnt", "/srv"];

/// Directories of the host that are part of every sandbox, or links where they are links there.
const SYSTEM: [&str; 8] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store"];

/// What of the host's `/etc` is needed by programs and holds no secret.
const ETC_FROM_HOST: [&str; 5] =
    ["/etc/alternatives", "/etc/ld.so.cache", "/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/pki/tls/certs"];

const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];

const EMPTY: [&str; 8] = ["/proc", "/tmp", "/dev/shm", "/var/task", "/var/runtime", "/opt", "/run", "/home"];

const LINKS: [(&str, &str); 5] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/var/tmp", "/tmp"),
];

/// Links in `/etc`: where, and to what.
pub const ETC_LINKS: [(&str, &str); 2] =
    [("/etc/mtab", "/proc/self/mounts"), ("/etc/localtime", "/usr/share/zoneinfo/UTC")];

/// Folders of every sandbox's root that are never those of an image.
pub const OWN_FOLDERS: [&str; 6] = ["/dev", "/proc", "/run", "/sys", "/tmp", "/var"];

/// Most mount points that may be added for binds; they are few and the same again and again.
const MAX_ADDED: usize = 1024;

/// The name of the only user inside.
pub(crate) const USER: &str = "sbx_user1051";

/// Its number inside, an ordinary one, and that of its group. AWS's own, which images may rely on.
pub(crate) const USER_ID: u32 = 993;
pub(crate) const GROUP_ID: u32 = 990;

/// The constant host name inside.
pub(crate) const HOST_NAME: &str = "dayfly";

/// The shared root.
pub(crate) struct Base {
    root: OwnedFd,
    stand: &'static str,
    added: usize,
    readable: Vec<PathBuf>,
    veils: bool,
    image: bool,
}

impl Base {
    /// Builds it, of this root image or of what the host has. The process must be in a mount namespace of its own.
    pub(crate) fn build(image: Option<&Path>) -> io::Result<Self> {
        let stand =
            STANDS.into_iter().find(|path| Path::new(path).is_dir()).ok_or(io::ErrorKind::NotFound)?;
        let tmpfs = new_filesystem("tmpfs", &[("mode", "0755"), ("size", "4m"), ("nr_inodes", "4096")], &[])?;
        let mount = fsmount(tmpfs, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::MOUNT_ATTR_NOSUID)?;
        move_mount(&mount, c"", CWD, stand, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
        let (readable, image_only) = (Vec::new(), image.is_some());
        let mut base = Self { root: mount, stand, added: 0, readable, veils: false, image: image_only };
        for path in EMPTY {
            base.folder(Path::new(path))?;
        }
        for (path, target) in LINKS {
            base.link(path, target)?;
        }
        base.veils = veiled(&Path::new(stand).join("opt"), base.root.as_fd()).is_ok();
        match image {
            Some(tree) => base.image(tree)?,
            None => base.host()?,
        }
        for name in DEVICES {
            let path = format!("/dev/{name}");
            base.mount(&path, ATTR_RDONLY | ATTR_NOSUID | ATTR_NOEXEC)?;
        }
        base.seal(true)?;
        Ok(base)
    }

    /// Takes it off, for another one to stand there.
    pub(crate) fn dismantle(&self) -> io::Result<()> {
        Ok(unmount(self.stand, UnmountFlags::DETACH)?)
    }

    /// Whether nothing in it is the host's own.
    pub(crate) fn is_image(&self) -> bool {
        self.image
    }

    /// Where the launcher's namespace, and each copy of it, has the base.
    pub(crate) fn stand(&self) -> &'static str {
        self.stand
    }

    /// Directories with files to read and run: where there is something and it is not a link to elsewhere.
    pub(crate) fn readable(&self) -> &[PathBuf] {
        &self.readable
    }

    /// A private copy of all the mounts, its top read-only, not attached anywhere.
    pub(crate) fn copy(&self) -> io::Result<OwnedFd> {
        let flags =
            OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
        let copy = open_tree(CWD, self.stand, flags)?;
        kernel::set_mount_attributes(copy.as_fd(), ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV, false)?;
        Ok(copy)
    }

    /// Whether mounts can hide where on the host they come from.
    pub(crate) fn veils(&self) -> bool {
        self.veils
    }

    /// What a bind shows of the host, read-only, not attached anywhere. Folders do not tell where they lie, unless they
    /// have the same name inside.
    pub(crate) fn bind(&self, bind: &Bind) -> io::Result<OwnedFd> {
        if self.veils && bind.host != bind.guest && bind.host.is_dir() {
            veiled(&bind.host, self.root.as_fd())
        } else {
            detached(&bind.host, ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV)
        }
    }

    /// Makes sure that there is something to mount on at `guest`.
    pub(crate) fn ensure(&mut self, guest: &Path, folder: bool) -> io::Result<()> {
        if self.open(guest).is_ok() {
            return Ok(());
        }
        if self.added >= MAX_ADDED {
            return Err(io::Error::other("too many different mount points"));
        }
        self.added += 1;
        self.seal(false)?;
        let made = if folder { self.folder(guest) } else { self.file(guest, "") };
        self.seal(true)?;
        made
    }

    fn open(&self, path: &Path) -> io::Result<OwnedFd> {
        open_inside(self.root.as_fd(), path)
    }

    /// Makes the superblock, and thereby every copy, read-only or writable for a moment.
    fn seal(&self, sealed: bool) -> io::Result<()> {
        let filesystem = fspick(CWD, self.stand, FsPickFlags::FSPICK_CLOEXEC)?;
        fsconfig_set_flag(&filesystem, if sealed { "ro" } else { "rw" })?;
        Ok(fsconfig_reconfigure(&filesystem)?)
    }

    /// A directory and its parents.
    fn folder(&self, path: &Path) -> io::Result<()> {
        let mut here = self.root.try_clone()?;
        for part in path.components() {
            let Component::Normal(name) = part else { continue };
            match mkdirat(&here, name, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            here = openat(
                &here,
                name,
                OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                Mode::empty(),
            )?;
        }
        Ok(())
    }

    fn file(&self, path: &Path, text: &str) -> io::Result<()> {
        let (parent, name) = (path.parent().unwrap_or(Path::new("/")), path.file_name().unwrap_or_default());
        self.folder(parent)?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let file = openat(self.open(parent)?, name, flags, Mode::from_raw_mode(0o644))?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(0o644))?;
        rustix::io::write(&file, text.as_bytes())?;
        Ok(())
    }

    fn link(&self, path: &str, target: &str) -> io::Result<()> {
        let path = Path::new(path);
        let (parent, name) = (path.parent().unwrap_or(Path::new("/")), path.file_name().unwrap_or_default());
        self.folder(parent)?;
        Ok(symlinkat(target, self.open(parent)?, name)?)
    }

    /// The host's programs and libraries.
    fn host(&mut self) -> io::Result<()> {
        self.readable.push(PathBuf::from("/etc"));
        for path in SYSTEM {
            self.system(path)?;
        }
        for (path, text) in etc_files() {
            self.file(Path::new(path), &text)?;
        }
        for (path, target) in ETC_LINKS {
            self.link(path, target)?;
        }
        for path in ETC_FROM_HOST {
            if Path::new(path).exists() {
                self.mount(path, ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV)?;
            }
        }
        Ok(())
    }

    /// What stands in an image, folder by folder, read-only.
    fn image(&mut self, tree: &Path) -> io::Result<()> {
        for entry in fs::read_dir(tree)? {
            let entry = entry?;
            let guest = Path::new("/").join(entry.file_name());
            if OWN_FOLDERS.iter().any(|own| guest == Path::new(own)) {
                return Err(io::Error::other(format!("an image has no {}", guest.display())));
            }
            let (from, name) = (entry.path(), guest.to_str().ok_or(io::ErrorKind::InvalidFilename)?);
            if entry.file_type()?.is_symlink() {
                let target = fs::read_link(&from)?;
                let target = target.to_str().ok_or(io::ErrorKind::InvalidFilename)?;
                let named = |why: io::Error| io::Error::new(why.kind(), format!("{name}: {why}"));
                self.link(name, target).map_err(named)?;
                continue;
            }
            let mount = if self.veils {
                veiled(&from, self.root.as_fd())?
            } else {
                detached(&from, ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV)?
            };
            self.folder(&guest)?;
            attach(mount.as_fd(), self.root.as_fd(), &guest)?;
            self.readable.push(guest);
        }
        Ok(())
    }

    /// A directory or link of the host, if it has it.
    fn system(&mut self, path: &str) -> io::Result<()> {
        match fs::symlink_metadata(path) {
            Ok(found) if found.is_symlink() => {
                let target = fs::read_link(path)?;
                self.link(path, target.to_str().ok_or(io::ErrorKind::InvalidFilename)?)
            }
            Ok(found) if found.is_dir() => {
                self.readable.push(PathBuf::from(path));
                self.mount(path, ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV)
            }
            _ => Ok(()),
        }
    }

    /// The host's file or directory, at the same path.
    fn mount(&self, path: &str, attributes: u64) -> io::Result<()> {
        let tree = detached(Path::new(path), attributes)?;
        let guest = Path::new(path);
        if Path::new(path).is_dir() {
            self.folder(guest)?
        } else {
            self.file(guest, "")?
        }
        attach(tree.as_fd(), self.root.as_fd(), guest)
    }
}

/// What of `/etc` is the same in every sandbox: path and text.
pub fn etc_files() -> Vec<(&'static str, String)> {
    let (passwd, group) = people(USER, USER_ID, GROUP_ID);
    vec![
        ("/etc/passwd", passwd),
        ("/etc/group", group),
        ("/etc/hosts", format!("127.0.0.1 localhost {HOST_NAME}\n::1 localhost\n")),
        ("/etc/hostname", format!("{HOST_NAME}\n")),
        ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n".to_owned()),
        ("/etc/resolv.conf", String::new()),
    ]
}

/// What of the host programs need that have no root of their own.
pub(crate) fn of_the_host() -> Vec<PathBuf> {
    const NAMES: [&str; 6] = [
        "/etc/passwd",
        "/etc/group",
        "/etc/hosts",
        "/etc/resolv.conf",
        "/etc/nsswitch.conf",
        "/etc/localtime",
    ];
    let all = SYSTEM.iter().chain(&ETC_FROM_HOST).chain(&NAMES).map(PathBuf::from);
    all.filter(|path| path.exists()).collect()
}

/// The users and groups that programs find inside, the only one who runs among them: `passwd` and `group`.
pub(crate) fn people(user: &str, user_id: u32, group_id: u32) -> (String, String) {
    let passwd = format!(
        "root:x:0:0:root:/root:/sbin/nologin\n{user}:x:{user_id}:{group_id}::/home/{user}:/sbin/nologin\n\
         nobody:x:65534:65534:nobody:/:/sbin/nologin\n"
    );
    (passwd, format!("root:x:0:\n{user}:x:{group_id}:\nnogroup:x:65534:\n"))
}

/// A copy of the mount tree at a path of the host, read-only and private, not attached anywhere.
fn detached(path: &Path, attributes: u64) -> io::Result<OwnedFd> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    let tree = open_tree(CWD, path, flags)?;
    kernel::set_mount_attributes(tree.as_fd(), attributes, true)?;
    Ok(tree)
}

/// A new file system with options, ready to be mounted.
pub(crate) fn new_filesystem(kind: &str, options: &[(&str, &str)], switches: &[&str]) -> io::Result<OwnedFd> {
    let filesystem = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (name, value) in options {
        fsconfig_set_string(&filesystem, *name, *value)?;
    }
    for name in switches {
        fsconfig_set_flag(&filesystem, *name)?;
    }
    fsconfig_create(&filesystem)?;
    Ok(filesystem)
}

/// Attaches a detached mount at `guest` below `root`, following no link on the way.
pub(crate) fn attach(mount: BorrowedFd<'_>, root: BorrowedFd<'_>, guest: &Path) -> io::Result<()> {
    let place = open_inside(root, guest)?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(move_mount(mount, c"", &place, c"", flags)?)
}

fn open_inside(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    Ok(openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)?)
}
