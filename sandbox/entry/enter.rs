//! How a template forks an instance into a sandbox that the launcher has made for it.
//!
//! The template waits on its channel. A message brings descriptors of the sandbox's namespaces. A first child, which
//! borrows the template's memory, joins them, which its user, the owner of the sandbox's user namespace, may; a second
//! one, a copy, is born inside, gives up everything that joining gave it, and returns to the interpreter as the instance.
//! The first child never does.
//!
//! The other end is `sandbox/src/service/template.rs`. What user code has run in the template before may have changed
//! this code too: nothing here is relied on to hold a *function template's* children, the filter and the domain that
//! they inherit and the launcher's look at them are.

use crate::kernel::{self, Message, numbers};
use core::ffi::c_void;

/// Namespaces in a message, the user namespace first: joining it gives the right to join the others.
const NAMESPACES: usize = 7;
/// After the namespaces: the launcher's line, standard output and error, and the control socket.
const ENDS: usize = NAMESPACES + 4;
/// User and group inside, whether the last descriptor is that of Landlock rules, and the most processes, before the filter.
const HEAD_BYTES: usize = 16;
const MAX_BYTES: usize = 16 << 10;
/// Where the instance finds its control socket.
const CONTROL: usize = 3;
const CLOSE_AT_EXEC: usize = 0o2_000_000;
const SET_DUMPABLE: usize = 4;

/// What the interpreter must do around a fork.
pub trait Interpreter {
    fn before(&self);
    fn after_in_parent(&self);
    fn after_in_child(&self);
}

/// The steps that can fail, by number; the launcher names them.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Step {
    Fork = 2,
    Namespaces = 3,
    Groups = 4,
    Descriptors = 5,
    Identity = 6,
    Privileges = 7,
    Rules = 8,
    Filter = 9,
    Processes = 10,
}

type Failed = (Step, i32);

/// Serves the channel. Returns in every instance, never in the template, which ends when the launcher hangs up.
pub fn serve(channel: i32, interpreter: &impl Interpreter) {
    let mut bytes = [0; MAX_BYTES];
    let sequences = kernel::sequences();
    loop {
        let Ok(message) = kernel::receive(channel, &mut bytes) else { kernel::exit(1) };
        if message.length == 0 {
            kernel::exit(0);
        }
        if message.fd_count <= ENDS || message.length < HEAD_BYTES {
            discard(&message);
            continue;
        }
        let entry = Entry { channel, message: &message, bytes: &bytes[..message.length.min(MAX_BYTES)] };
        interpreter.before();
        // SAFETY: who can be forked has one thread, which waits here; the child changes no memory but its stack.
        match unsafe { kernel::lend(enter, (&raw const entry).cast()) } {
            Ok(0) => {
                sequences.map(kernel::renew_sequences);
                interpreter.after_in_child();
                return;
            }
            Ok(pid) => {
                kernel::bury(pid);
                // Joining changed what is one with the child's memory.
                let _ = kernel::plain(numbers::PRCTL, SET_DUMPABLE, 1, 0);
            }
            Err(errno) => report(&message, (Step::Fork, errno)),
        }
        interpreter.after_in_parent();
        discard(&message);
    }
}

fn discard(message: &Message) {
    for fd in &message.fds[..message.fd_count] {
        kernel::close(*fd);
    }
}

fn report(message: &Message, (step, errno): Failed) {
    let errno = errno.to_le_bytes();
    let _ = kernel::send(message.fds[NAMESPACES], &[step as u8, errno[0], errno[1], errno[2], errno[3]]);
}

/// What a child needs to enter a sandbox.
struct Entry<'a> {
    channel: i32,
    message: &'a Message,
    bytes: &'a [u8],
}

/// In the first child; returns in the second.
extern "C" fn enter(entry: *const c_void) {
    // SAFETY: `serve` passes one that lives until the first child has ended, and the second has a copy.
    let Entry { channel, message, bytes } = unsafe { &*entry.cast::<Entry<'_>>() };
    let channel = *channel;
    let rules = bytes[8] == 1;
    let doors = &message.fds[ENDS..message.fd_count - usize::from(rules)];
    let entered = join(message, doors).and_then(|()| match kernel::split() {
        Ok(0) => settle(channel, message, bytes),
        Ok(_) => kernel::exit(0),
        Err(errno) => Err((Step::Fork, errno)),
    });
    match entered {
        Ok(()) => {
            // Whose message this is, the kernel tells the launcher.
            let line = message.fds[NAMESPACES];
            let said = kernel::send(line, &[0]);
            kernel::close(line);
            if said.is_err() {
                kernel::exit(1);
            }
        }
        Err(failed) => {
            report(message, failed);
            kernel::exit(1)
        }
    }
}

fn join(message: &Message, doors: &[i32]) -> Result<(), Failed> {
    for fd in &message.fds[..NAMESPACES] {
        kernel::plain(numbers::SETNS, *fd as usize, 0, 0).map_err(|errno| (Step::Namespaces, errno))?;
    }
    for fd in doors {
        // SAFETY: one byte is read of one.
        unsafe { kernel::call(numbers::WRITE, [*fd as usize, b"0".as_ptr() as usize, 1, 0, 0, 0]) }
            .map_err(|errno| (Step::Groups, errno))?;
    }
    Ok(())
}

fn settle(channel: i32, message: &Message, bytes: &[u8]) -> Result<(), Failed> {
    let word =
        |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as usize;
    let [output, errors, control] = [message.fds[8], message.fds[9], message.fds[10]];
    // Programs that the instance starts do not get its control socket.
    for (fd, at, flags) in [(output, 1, 0), (errors, 2, 0), (control, CONTROL, CLOSE_AT_EXEC)] {
        kernel::plain(numbers::DUP3, fd as usize, at, flags).map_err(|errno| (Step::Descriptors, errno))?;
    }
    if channel != CONTROL as i32 {
        kernel::close(channel);
    }
    let rules = (bytes[8] == 1).then(|| message.fds[message.fd_count - 1]);
    for (index, fd) in message.fds[..message.fd_count].iter().enumerate() {
        if index != NAMESPACES && rules != Some(*fd) {
            kernel::close(*fd);
        }
    }
    let _ = kernel::plain(numbers::SETSID, 0, 0, 0);
    let (user, group) = (word(0), word(4));
    kernel::plain(numbers::SETRESGID, group, group, group).map_err(|errno| (Step::Identity, errno))?;
    kernel::plain(numbers::SETRESUID, user, user, user).map_err(|errno| (Step::Identity, errno))?;
    bound_processes(word(12)).map_err(|errno| (Step::Processes, errno))?;
    give_up().map_err(|errno| (Step::Privileges, errno))?;
    if let Some(rules) = rules {
        kernel::plain(numbers::LANDLOCK_RESTRICT_SELF, rules as usize, 0, 0)
            .map_err(|errno| (Step::Rules, errno))?;
        kernel::close(rules);
    }
    filter(&bytes[HEAD_BYTES..]).map_err(|errno| (Step::Filter, errno))
}

/// The template's own limit is another: its user owns the sandboxes of all its copies, so it has all their processes.
fn bound_processes(most: usize) -> Result<(), i32> {
    const PROCESSES: usize = 6;
    let limit = [most as u64; 2];
    // SAFETY: two words are read of two; nothing is written.
    unsafe { kernel::call(numbers::PRLIMIT, [0, PROCESSES, limit.as_ptr() as usize, 0, 0, 0]) }.map(|_| ())
}

/// Everything that joining the user namespace gave.
fn give_up() -> Result<(), i32> {
    const JOIN_SESSION_KEYRING: usize = 1;
    const ENOSYS: i32 = 38;
    const EINVAL: i32 = 22;
    const SET_SECUREBITS: usize = 28;
    const CAPBSET_DROP: usize = 24;
    const CAP_AMBIENT: usize = 47;
    const CLEAR_ALL: usize = 4;
    match kernel::plain(numbers::KEYCTL, JOIN_SESSION_KEYRING, 0, 0) {
        Ok(_) | Err(ENOSYS) => {}
        Err(errno) => return Err(errno),
    }
    // As of `lock_secure_bits` in `sandbox/src/kernel.rs`.
    kernel::plain(numbers::PRCTL, SET_SECUREBITS, 0b1110_1111, 0)?;
    for capability in 0..64 {
        match kernel::plain(numbers::PRCTL, CAPBSET_DROP, capability, 0) {
            Ok(_) => {}
            Err(EINVAL) if capability > 0 => break,
            Err(errno) => return Err(errno),
        }
    }
    kernel::plain(numbers::PRCTL, CAP_AMBIENT, CLEAR_ALL, 0)?;
    let head: [u32; 2] = [0x2008_0522, 0];
    let none: [u32; 6] = [0; 6];
    // SAFETY: version 3 of the interface reads a head of two words and two sets of three words each.
    unsafe {
        kernel::call(numbers::CAPSET, [head.as_ptr() as usize, none.as_ptr() as usize, 0, 0, 0, 0])?;
    }
    // As a program has it that was executed: changing users took it away.
    kernel::plain(numbers::PRCTL, SET_DUMPABLE, 1, 0).map(|_| ())
}

#[repr(C)]
struct Program {
    length: u16,
    instructions: *const u8,
}

/// Installs the instance's own filter on top of the template's. Instructions are 8 bytes each.
fn filter(instructions: &[u8]) -> Result<(), i32> {
    const SET_MODE_FILTER: usize = 1;
    if instructions.is_empty() {
        return Ok(());
    }
    let program = Program { length: (instructions.len() / 8) as u16, instructions: instructions.as_ptr() };
    // SAFETY: the kernel copies as many instructions as the length says, and they are all there; it reads them byte
    // by byte, so their alignment does not matter.
    unsafe { kernel::call(numbers::SECCOMP, [SET_MODE_FILTER, 0, &raw const program as usize, 0, 0, 0]) }
        .map(|_| ())
}
