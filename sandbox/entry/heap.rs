//! The C library's heap before a fork: free pieces that lie all over it are taken, so that what a copy allocates comes
//! from its end, page after page, instead of making one page after another its own. Takes memory of the template only.

use core::ffi::{CStr, c_char, c_void};
use core::mem::transmute;
use core::ptr::null_mut;

unsafe extern "C" {
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// `struct mallinfo2` of the GNU C library.
#[repr(C)]
struct Info {
    arena: usize,
    ordblks: usize,
    smblks: usize,
    hblks: usize,
    hblkhd: usize,
    usmblks: usize,
    fsmblks: usize,
    uordblks: usize,
    fordblks: usize,
    keepcost: usize,
}

/// Larger pieces are left for large needs, which touch pages of their own anyway.
const LARGEST: usize = 32 << 10;
const SMALLEST: usize = 24;
/// Sizes are tried from the largest down, in steps of the first up to `SMALL` and of the second above.
const STEPS: [usize; 2] = [16, 512];
const SMALL: usize = 1024;
/// Takes at most so much.
const MOST_BYTES: usize = 32 << 20;

fn symbol(name: &CStr) -> Option<*mut c_void> {
    // SAFETY: the name ends with a zero.
    let found = unsafe { dlsym(null_mut(), name.as_ptr()) };
    (!found.is_null()).then_some(found)
}

/// Takes what is free between what is used; the bytes taken, 0 where the C library is another one.
pub fn fill() -> usize {
    let names = [c"malloc", c"free", c"mallinfo2", c"sbrk", c"malloc_usable_size"];
    let [Some(malloc), Some(free), Some(info), Some(sbrk), Some(size)] = names.map(symbol) else { return 0 };
    // SAFETY: these are the C library's, by their documented types.
    unsafe {
        let malloc: extern "C" fn(usize) -> *mut c_void = transmute(malloc);
        let free: extern "C" fn(*mut c_void) = transmute(free);
        let info: extern "C" fn() -> Info = transmute(info);
        let sbrk: extern "C" fn(isize) -> *mut c_void = transmute(sbrk);
        let size_of: extern "C" fn(*mut c_void) -> usize = transmute(size);
        let (mut taken, mut size) = (0, LARGEST);
        while size >= SMALLEST {
            // Beyond this lies what nobody has had yet.
            let end = sbrk(0) as usize - info().keepcost;
            loop {
                let piece = malloc(size);
                if piece.is_null() || piece as usize >= end || taken >= MOST_BYTES {
                    free(piece);
                    break;
                }
                taken += size_of(piece);
            }
            size -= STEPS[usize::from(size > SMALL)];
        }
        taken
    }
}
