//! Getting out, and changing what is outside.

use crate::{tell, tell_call};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Tries to change mounts; `folder` is a read-only one with a file `data` in it.
pub(crate) fn mounts(folder: &str) {
    let folder = std::ffi::CString::new(folder).expect("a path");
    let nothing = std::ptr::null::<libc::c_char>();
    // SAFETY: all strings are valid C strings; null where the call takes none.
    unsafe {
        let mount = |what: &str, kind: *const libc::c_char, at: *const libc::c_char, flags: libc::c_ulong| {
            tell_call(what, libc::mount(kind, at, kind, flags, std::ptr::null()).into());
        };
        mount("remount folder", nothing, folder.as_ptr(), libc::MS_REMOUNT | libc::MS_BIND);
        mount("remount root", nothing, c"/".as_ptr(), libc::MS_REMOUNT | libc::MS_BIND);
        mount("remount file system", nothing, c"/".as_ptr(), libc::MS_REMOUNT);
        mount("tmpfs", c"tmpfs".as_ptr(), c"/tmp".as_ptr(), 0);
        mount("proc", c"proc".as_ptr(), c"/proc".as_ptr(), 0);
        mount("sysfs", c"sysfs".as_ptr(), c"/run".as_ptr(), 0);
        tell_call("fsopen", libc::syscall(libc::SYS_fsopen, c"tmpfs".as_ptr(), 0));
        tell_call("open_tree", libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, c"/".as_ptr(), 1));
        let at = libc::AT_FDCWD;
        tell_call(
            "move_mount",
            libc::syscall(libc::SYS_move_mount, at, c"/tmp".as_ptr(), at, c"/run".as_ptr(), 0),
        );
        tell_call("umount proc", libc::umount2(c"/proc".as_ptr(), libc::MNT_DETACH).into());
    }
    for path in [format!("{}/data", folder.to_str().expect("it was a string")), "/etc/passwd".to_owned()] {
        let written =
            OpenOptions::new().write(true).open(&path).and_then(|mut file| file.write_all(b"owned"));
        tell(&format!("write {path}"), &written);
        tell(&format!("chmod {path}"), &fs::set_permissions(&path, fs::Permissions::from_mode(0o777)));
    }
    // SAFETY: the paths are C strings.
    unsafe {
        tell_call("pivot_root", libc::syscall(libc::SYS_pivot_root, c"/tmp".as_ptr(), c"/tmp".as_ptr()));
        tell_call("chroot", libc::chroot(c"/tmp".as_ptr()).into());
    }
}

/// Opens for writing what steers the host.
pub(crate) fn host_files() {
    let paths = [
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/modprobe",
        "/proc/sys/fs/binfmt_misc/register",
        "/proc/sysrq-trigger",
        "/proc/sys/user/max_user_namespaces",
        "/sys/kernel/uevent_helper",
        "/sys/fs/cgroup/memory/release_agent",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/cgroup.procs",
        "/proc/self/exe",
        "/proc/1/exe",
        "/usr/bin/env",
        "/etc/passwd",
        "/etc/ld.so.cache",
    ];
    for path in paths {
        tell(path, &OpenOptions::new().write(true).open(path).map(|_| ()));
    }
    for (path, text) in [("/proc/self/uid_map", "0 0 1"), ("/proc/self/setgroups", "allow")] {
        tell(path, &fs::write(path, text));
    }
}

/// Makes namespaces and enters others.
pub(crate) fn namespaces() {
    let kinds = [
        ("user", libc::CLONE_NEWUSER),
        ("mount", libc::CLONE_NEWNS),
        ("pid", libc::CLONE_NEWPID),
        ("net", libc::CLONE_NEWNET),
        ("ipc", libc::CLONE_NEWIPC),
        ("uts", libc::CLONE_NEWUTS),
        ("cgroup", libc::CLONE_NEWCGROUP),
    ];
    for (kind, flag) in kinds {
        // SAFETY: if it works, only names mean something else; a cloned child ends at once.
        unsafe {
            tell_call(&format!("unshare {kind}"), libc::unshare(flag).into());
            let child = libc::syscall(libc::SYS_clone, flag | libc::SIGCHLD, 0, 0, 0, 0);
            if child == 0 {
                libc::_exit(0);
            }
            tell_call(&format!("clone {kind}"), child);
        }
    }
    // SAFETY: the structure is valid for its size; a child ends at once.
    unsafe {
        let mut arguments: libc::clone_args = std::mem::zeroed();
        arguments.flags = libc::CLONE_NEWUSER as u64;
        let child = libc::syscall(libc::SYS_clone3, &raw const arguments, size_of::<libc::clone_args>());
        if child == 0 {
            libc::_exit(0);
        }
        tell_call("clone3 user", child);
        let first = libc::open(c"/proc/1/ns/user".as_ptr(), libc::O_RDONLY);
        tell_call("setns", libc::setns(first, 0).into());
    }
}

/// Signals everybody it can name.
pub(crate) fn signals(pids: &[&str]) {
    // SAFETY: takes integers only.
    unsafe {
        for pid in pids {
            let number: libc::pid_t = pid.parse().expect("a pid");
            tell_call("kill other", libc::kill(number, libc::SIGKILL).into());
            tell_call("stop other", libc::kill(number, libc::SIGSTOP).into());
            tell_call("thread other", libc::syscall(libc::SYS_tgkill, number, number, libc::SIGKILL));
            let pidfd = libc::syscall(libc::SYS_pidfd_open, number, 0);
            let sent = libc::syscall(libc::SYS_pidfd_send_signal, pidfd, libc::SIGKILL, 0, 0);
            tell_call("pidfd other", sent);
        }
        for signal in [libc::SIGKILL, libc::SIGSTOP, libc::SIGTERM, libc::SIGSEGV] {
            libc::kill(1, signal);
        }
        tell_call("first process alive", libc::kill(1, 0).into());
        libc::kill(-1, libc::SIGTERM);
    }
    println!("survived: done");
}

/// Becomes another user; `program` is this one with the set-user-id bit.
pub(crate) fn set_user(program: &str) {
    // SAFETY: takes integers and null only.
    unsafe {
        tell_call("setuid 0", libc::setuid(0).into());
        tell_call("setresuid 700000", libc::setresuid(700_000, 700_000, 700_000).into());
        tell_call("setgid 0", libc::setgid(0).into());
        tell_call("setgroups", libc::setgroups(0, std::ptr::null()).into());
    }
    let copied = fs::read(program).and_then(|bytes| fs::write("/tmp/own", bytes));
    tell("copy", &copied);
    tell("chmod u+s", &fs::set_permissions("/tmp/own", fs::Permissions::from_mode(0o4755)));
    let _ = fs::set_permissions("/tmp/own", fs::Permissions::from_mode(0o755));
    for program in [program, "/tmp/own"] {
        let output = Command::new(program).arg0("evil").arg("user").output();
        print!(
            "{}",
            output.map_or_else(
                |error| format!("exec: {error}\n"),
                |out| { String::from_utf8_lossy(&out.stdout).into_owned() }
            )
        );
    }
}
