//! Taking all there is.

use crate::{name, tell, tell_call};
use std::fs::{self, File};
use std::io::{self, Write};
use std::time::Duration;

/// Forks sleepers until no more can be had, then says how many there are and waits to be killed.
pub(crate) fn fork_bomb() {
    for count in 0..100_000 {
        // SAFETY: the child only sleeps.
        match unsafe { libc::fork() } {
            0 => loop {
                std::thread::sleep(Duration::from_secs(60));
            },
            pid if pid < 0 => {
                println!("children: {count}");
                tell("fork", &Err(io::Error::last_os_error()));
                break;
            }
            _ => {}
        }
    }
    wait_for_ever();
}

/// Processes that leave their session and parent and are born again all the time.
pub(crate) fn hydra() {
    println!("started: done");
    loop {
        // SAFETY: each child only forks, leaves its session and ends.
        unsafe {
            if libc::fork() == 0 {
                libc::setsid();
                if libc::fork() != 0 {
                    libc::_exit(0);
                }
            }
            while libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) > 0 {}
        }
    }
}

/// Touches memory, a mebibyte at a time.
pub(crate) fn memory(mebibytes: usize) {
    for count in 0..mebibytes {
        let mut block: Vec<u8> = Vec::new();
        if block.try_reserve_exact(1 << 20).is_err() {
            println!("mebibytes: {count}");
            std::process::exit(3);
        }
        block.resize(1 << 20, 1);
        std::mem::forget(std::hint::black_box(block));
    }
    println!("memory: done");
}

/// Lets a child do so, and lives on if it may.
pub(crate) fn memory_of_child(mebibytes: usize) {
    // SAFETY: this program has one thread.
    if unsafe { libc::fork() } == 0 {
        memory(mebibytes);
        std::process::exit(0);
    }
    // SAFETY: waits for any child.
    unsafe { libc::waitpid(-1, std::ptr::null_mut(), 0) };
    wait_for_ever();
}

/// Fills `/tmp` with bytes, then with files, then tries what only looks large.
pub(crate) fn disk() {
    let block = vec![1; 1 << 16];
    let fill = |path: &str| -> (u64, io::Error) {
        let mut file = File::create(path).expect("a first file can be made");
        let mut written = 0;
        loop {
            match file.write(&block) {
                Ok(length) => written += length as u64,
                Err(error) => return (written, error),
            }
        }
    };
    // SAFETY: ignoring a signal runs no code.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    let (first, error) = fill("/tmp/a");
    println!("one file: {}", name(&error));
    let (second, error) = fill("/tmp/b");
    println!("two files: {}", name(&error));
    println!("bytes: {}", first + second);
    let _ = (fs::remove_file("/tmp/a"), fs::remove_file("/tmp/b"));
    let sparse = File::create("/tmp/sparse").and_then(|file| file.set_len(1 << 40));
    tell("sparse", &sparse);
    for count in 0..10_000_000 {
        if let Err(error) = File::create(format!("/tmp/{count}")) {
            println!("files: {count}");
            println!("inodes: {}", name(&error));
            break;
        }
    }
    for path in ["/x", "/usr/x", "/etc/x", "/var/task/x", "/dev/x", "/opt/x"] {
        tell(path, &File::create(path).map(|_| ()));
    }
    let (shm, error) = fill("/dev/shm/a");
    println!("shm: {}", name(&error));
    println!("shm bytes: {shm}");
}

/// Writes to standard output for ever.
pub(crate) fn flood() {
    let block = vec![b'x'; 1 << 16];
    loop {
        let _ = io::stdout().write_all(&block);
    }
}

/// Spins in many threads, asking for more than its share.
pub(crate) fn spin(threads: usize, milliseconds: usize) {
    // SAFETY: these calls take integers, and one structure that is valid.
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, -20);
        tell_call("nice", if libc::getpriority(libc::PRIO_PROCESS, 0) == -20 { 0 } else { -1 });
        let parameter = libc::sched_param { sched_priority: 1 };
        tell_call("realtime", libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameter).into());
    }
    for _ in 1..threads {
        let _ = std::thread::Builder::new().stack_size(64 << 10).spawn(|| {
            loop {
                std::hint::spin_loop();
            }
        });
    }
    let mut spun = 0;
    // SAFETY: reads a clock into a valid structure.
    let now = || unsafe {
        let mut time = std::mem::zeroed::<libc::timespec>();
        libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time);
        time.tv_sec * 1000 + time.tv_nsec / 1_000_000
    };
    let end = now() + milliseconds as i64;
    while now() < end {
        spun += 1;
    }
    println!("spun: {}", if spun > 0 { "done" } else { "EAGAIN" });
}

/// Takes all inotify instances, then waits to be killed.
pub(crate) fn inotify() {
    for count in 0..10_000 {
        // SAFETY: takes no memory.
        if unsafe { libc::inotify_init1(0) } < 0 {
            println!("instances: {count}");
            tell("inotify", &Err(io::Error::last_os_error()));
            break;
        }
    }
    wait_for_ever();
}

fn wait_for_ever() {
    let _ = io::stdout().flush();
    loop {
        std::thread::park();
    }
}
