//! Pages of programs and libraries before a fork, and what copies have of them. A copy begins without entries for those
//! that nobody has written to, and faults its way through the same code that its template has been through. Where one page
//! of a mapping has been written, the kernel copies all its entries; so one is, with the byte that it holds.

use crate::kernel::{self, numbers};
use core::ffi::CStr;

const READ_ONLY: usize = 0x8_0000;
const READ_WRITE: usize = 0x8_0002;
/// `/proc/self/maps` is read in parts of this; a line fits.
const PART: usize = 4096;

/// Lets copies inherit what this process has in its tables of the programs' and libraries' pages. Where `/proc` is not to
/// be had, or its memory not to be written, they do not.
pub fn inherit() {
    let Some(maps) = open(c"/proc/self/maps", READ_ONLY) else { return };
    if let Some(memory) = open(c"/proc/self/mem", READ_WRITE) {
        each_line(maps, |line| {
            if let Some(mapping) = unwritten(line) {
                touch(memory, mapping.begin);
            }
        });
        kernel::close(memory);
    }
    kernel::close(maps);
}

/// A page of the processor's second size, of which a table holds one entry in place of 512.
const LARGE: usize = 2 << 20;
/// Programs smaller than this stay as they are.
const LEAST: usize = 16 << 20;

/// Puts the code of a large program into large pages, which take memory of this process's own. Nobody else may be running
/// in it. Where the kernel has none (before 6.1, or with fragmented memory), it stays where it is.
pub fn enlarge() {
    let Some(maps) = open(c"/proc/self/maps", READ_ONLY) else { return };
    let mut found = None;
    each_line(maps, |line| {
        let code = unwritten(line).filter(|mapping| mapping.code && mapping.end - mapping.begin >= LEAST);
        found = found.take().or(code);
    });
    kernel::close(maps);
    if let Some(mapping) = found {
        let begin = mapping.begin.next_multiple_of(LARGE);
        replace(begin, mapping.end / LARGE * LARGE - begin);
    }
}

/// Moves a copy in large pages to where `length` bytes of code are.
fn replace(begin: usize, length: usize) {
    const READ_WRITE: usize = 3;
    const READ_EXECUTE: usize = 5;
    const PRIVATE_ANONYMOUS: usize = 0x22;
    const COLLAPSE: usize = 25;
    const MAY_MOVE_TO: usize = 3;
    let room = length + LARGE;
    // SAFETY: the new mapping is nobody's but this function's until it holds what stands at `begin`; the kernel puts it
    // there in one step, and this code, which is another library's, is not in it.
    unsafe {
        let none = usize::MAX;
        let map = [0, room, READ_WRITE, PRIVATE_ANONYMOUS, none, 0];
        let Ok(mapped) = kernel::call(numbers::MMAP, map) else { return };
        let copy = mapped.next_multiple_of(LARGE);
        core::ptr::copy_nonoverlapping(begin as *const u8, copy as *mut u8, length);
        let placed = kernel::plain(numbers::MADVISE, copy, length, COLLAPSE)
            .and_then(|_| kernel::plain(numbers::MPROTECT, copy, length, READ_EXECUTE))
            .and_then(|_| kernel::call(numbers::MREMAP, [copy, length, length, MAY_MOVE_TO, begin, 0]));
        if placed.is_ok() {
            let _ = kernel::plain(numbers::MUNMAP, mapped, copy - mapped, 0);
            let _ = kernel::plain(numbers::MUNMAP, copy + length, mapped + room - copy - length, 0);
        } else {
            let _ = kernel::plain(numbers::MUNMAP, mapped, room, 0);
        }
    }
}

fn open(path: &CStr, flags: usize) -> Option<i32> {
    const HERE: isize = -100;
    let arguments = [HERE as usize, path.as_ptr() as usize, flags, 0, 0, 0];
    // SAFETY: the path ends with a zero and outlives the call.
    unsafe { kernel::call(numbers::OPENAT, arguments) }.ok().map(|fd| fd as i32)
}

/// Writes the byte at `at` as it is.
fn touch(memory: i32, at: usize) {
    // SAFETY: the mapping can be read, and one byte is written of one.
    unsafe {
        let byte = (at as *const u8).read_volatile();
        let _ = kernel::call(numbers::PWRITE64, [memory as usize, &raw const byte as usize, 1, at, 0, 0]);
    }
}

fn each_line(file: i32, mut act: impl FnMut(&[u8])) {
    let mut part = [0; PART];
    let mut have = 0;
    loop {
        let room = &mut part[have..];
        // SAFETY: the kernel writes no more than there is room.
        let read = unsafe {
            kernel::call(numbers::READ, [file as usize, room.as_mut_ptr() as usize, room.len(), 0, 0, 0])
        };
        match read {
            Ok(got) if got > 0 => have += got,
            _ => return,
        }
        let mut begin = 0;
        while let Some(length) = part[begin..have].iter().position(|byte| *byte == b'\n') {
            act(&part[begin..begin + length]);
            begin += length + 1;
        }
        part.copy_within(begin..have, 0);
        have -= begin;
    }
}

struct Mapping {
    begin: usize,
    end: usize,
    code: bool,
}

/// The mapping of a line, if it is a file's, private, and to be read but not written:
/// `begin-end r-xp offset device inode path`.
fn unwritten(line: &[u8]) -> Option<Mapping> {
    let mut words = line.split(|byte| *byte == b' ');
    let mut range = words.next()?.split(|byte| *byte == b'-');
    let rights = words.next()?;
    let inode = words.nth(2)?;
    if !(rights.starts_with(b"r-") && rights.ends_with(b"p")) || inode == b"0" {
        return None;
    }
    let mut number = || usize::from_str_radix(core::str::from_utf8(range.next()?).ok()?, 16).ok();
    Some(Mapping { begin: number()?, end: number()?, code: rights[2] == b'x' })
}
