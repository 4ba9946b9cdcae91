//! Pages of programs and libraries before a fork. A copy begins without entries for those that nobody has written to, and
//! faults its way through the same code that its template has been through. Where one page of a mapping has been written,
//! the kernel copies all its entries; so one is, with the byte that it holds.

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
            if let Some(at) = unwritten(line) {
                touch(memory, at);
            }
        });
        kernel::close(memory);
    }
    kernel::close(maps);
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

/// Where a line's mapping begins, if it is a file's, private, and to be read but not written:
/// `begin-end r-xp offset device inode path`.
fn unwritten(line: &[u8]) -> Option<usize> {
    let mut words = line.split(|byte| *byte == b' ');
    let range = words.next()?;
    let rights = words.next()?;
    let inode = words.nth(2)?;
    if !(rights.starts_with(b"r-") && rights.ends_with(b"p")) || inode == b"0" {
        return None;
    }
    let begin = range.split(|byte| *byte == b'-').next()?;
    usize::from_str_radix(core::str::from_utf8(begin).ok()?, 16).ok()
}
