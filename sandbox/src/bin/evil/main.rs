//! An attacker, for this crate's tests: `evil VERB [ARGUMENT…]`. Every attempt prints a line `what: outcome`, where the
//! outcome is `done` or the name of the error. The tests judge.
#![allow(unsafe_code, reason = "an attacker makes raw system calls")]

mod escape;
mod exhaust;
mod look;
mod spy;

use std::io;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["fork"] => exhaust::fork_bomb(),
        ["hydra"] => exhaust::hydra(),
        ["memory", mebibytes] => exhaust::memory(number(mebibytes)),
        ["memory-of-child", mebibytes] => exhaust::memory_of_child(number(mebibytes)),
        ["disk"] => exhaust::disk(),
        ["flood"] => exhaust::flood(),
        ["spin", threads, milliseconds] => exhaust::spin(number(threads), number(milliseconds)),
        ["inotify"] => exhaust::inotify(),
        ["debug", pids @ ..] => spy::debug(pids),
        ["read"] => spy::read_system(),
        ["search", reversed_canary] => spy::search(reversed_canary),
        ["keys", name] => spy::keys(name),
        ["sockets", abstract_name, path] => spy::sockets(abstract_name, path),
        ["mounts", folder] => escape::mounts(folder),
        ["host-files"] => escape::host_files(),
        ["namespaces"] => escape::namespaces(),
        ["signals", pids @ ..] => escape::signals(pids),
        ["set-user", program] => escape::set_user(program),
        ["user"] => look::user(),
        ["descriptors"] => look::descriptors(),
        ["audit"] => look::audit(),
        ["open", paths @ ..] => look::open(paths),
        ["sleep"] => loop {
            std::thread::park();
        },
        ["exit", code] => std::process::exit(i32::try_from(number(code)).unwrap_or(1)),
        ["abort"] => std::process::abort(),
        ["control"] => look::control(),
        ["connect", port] => look::connect(port),
        _ => panic!("unknown verb {arguments:?}"),
    }
}

fn number(text: &str) -> usize {
    text.parse().expect("a number")
}

/// Says how an attempt went.
fn tell(what: &str, outcome: &io::Result<()>) {
    match outcome {
        Ok(()) => println!("{what}: done"),
        Err(error) => println!("{what}: {}", name(error)),
    }
}

/// As [`tell`], from the answer of a system call.
fn tell_call(what: &str, answer: i64) {
    tell(what, &if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) });
}

fn name(error: &io::Error) -> String {
    let known = [
        (libc::EPERM, "EPERM"),
        (libc::ENOENT, "ENOENT"),
        (libc::ESRCH, "ESRCH"),
        (libc::EIO, "EIO"),
        (libc::EBADF, "EBADF"),
        (libc::EAGAIN, "EAGAIN"),
        (libc::ENOMEM, "ENOMEM"),
        (libc::EACCES, "EACCES"),
        (libc::EBUSY, "EBUSY"),
        (libc::ENOTDIR, "ENOTDIR"),
        (libc::EINVAL, "EINVAL"),
        (libc::EMFILE, "EMFILE"),
        (libc::ETXTBSY, "ETXTBSY"),
        (libc::EFBIG, "EFBIG"),
        (libc::ENOSPC, "ENOSPC"),
        (libc::EROFS, "EROFS"),
        (libc::ENOSYS, "ENOSYS"),
        (libc::ECONNREFUSED, "ECONNREFUSED"),
        (libc::ENOKEY, "ENOKEY"),
        (libc::ENETUNREACH, "ENETUNREACH"),
        (libc::EAFNOSUPPORT, "EAFNOSUPPORT"),
        (libc::EOPNOTSUPP, "EOPNOTSUPP"),
    ];
    let number = error.raw_os_error().unwrap_or(0);
    known
        .iter()
        .find(|(known, _)| *known == number)
        .map_or_else(|| error.to_string(), |(_, name)| (*name).to_owned())
}
