//! The template's side of a fork as an extension module of CPython.
//! Uses the stable interface only, so one file serves every CPython from 3.9 on.
//!
//! * `serve(channel)`: returns in every instance.
//! * `fill(pool)`: takes what is free between what is used, of Python's own pools, which have `pool` bytes, and of the C
//!   library's heap.
#![no_std]
#![allow(clippy::missing_safety_doc)]

#[path = "enter.rs"]
mod enter;
#[path = "heap.rs"]
mod heap;
#[path = "kernel.rs"]
mod kernel;

use core::ffi::{c_char, c_int, c_long, c_void};
use core::ptr::null_mut;

#[panic_handler]
fn panicked(_: &core::panic::PanicInfo<'_>) -> ! {
    kernel::exit(70)
}

type Object = *mut c_void;

unsafe extern "C" {
    fn PyOS_BeforeFork();
    fn PyOS_AfterFork_Parent();
    fn PyOS_AfterFork_Child();
    fn PyLong_AsLong(object: Object) -> c_long;
    fn PyLong_FromLong(value: c_long) -> Object;
    fn PyObject_Malloc(size: usize) -> *mut c_void;
    fn PyObject_Free(piece: *mut c_void);
    fn PyErr_Occurred() -> Object;
    fn PyModule_Create2(definition: *mut Definition, version: c_int) -> Object;
}

struct Python;

impl enter::Interpreter for Python {
    fn before(&self) {
        // SAFETY: called with the interpreter's lock held, as a function of a module always is.
        unsafe { PyOS_BeforeFork() }
    }

    fn after_in_parent(&self) {
        // SAFETY: as above; the fork is over.
        unsafe { PyOS_AfterFork_Parent() }
    }

    fn after_in_child(&self) {
        // SAFETY: as above, in the child.
        unsafe { PyOS_AfterFork_Child() }
    }
}

unsafe extern "C" fn serve(_module: Object, channel: Object) -> Object {
    // SAFETY: the interpreter passes objects that live as long as the call.
    let (channel, failed) = unsafe { (PyLong_AsLong(channel), !PyErr_Occurred().is_null()) };
    if failed {
        return null_mut();
    }
    enter::serve(channel as i32, &Python);
    // SAFETY: the lock is held, in the child too.
    unsafe { PyLong_FromLong(0) }
}

/// Python gives out small pieces from pools of pieces of one size, those first that have any left.
const SIZES: usize = 32;
const SIZE_STEP: usize = 16;
/// Where a pool's first piece lies in it. A build that lays its pools out in another way only loses the bytes below.
const POOL_HEAD: usize = 48;
const MOST_BYTES_OF_A_SIZE: usize = 256 << 10;

fn fill_pools(pool_bytes: usize) {
    for size in (1..=SIZES).map(|count| count * SIZE_STEP) {
        for _ in 0..MOST_BYTES_OF_A_SIZE / size {
            // SAFETY: the interpreter's lock is held; what is allocated stays, but for the first of a new pool.
            unsafe {
                let piece = PyObject_Malloc(size);
                if piece.is_null() || piece as usize % pool_bytes == POOL_HEAD {
                    PyObject_Free(piece);
                    break;
                }
            }
        }
    }
}

unsafe extern "C" fn fill(_module: Object, pool_bytes: Object) -> Object {
    // SAFETY: the interpreter passes objects that live as long as the call.
    let (pool_bytes, failed) = unsafe { (PyLong_AsLong(pool_bytes), !PyErr_Occurred().is_null()) };
    if failed {
        return null_mut();
    }
    fill_pools(usize::try_from(pool_bytes).unwrap_or(1).max(1));
    // SAFETY: the lock is held.
    unsafe { PyLong_FromLong((heap::fill() >> 10) as c_long) }
}

#[repr(C)]
struct Method {
    name: *const c_char,
    function: Option<unsafe extern "C" fn(Object, Object) -> Object>,
    flags: c_int,
    text: *const c_char,
}

/// `PyModuleDef`: the head of an object, then the base's initialiser, index and copy, then what a module is.
#[repr(C)]
struct Definition {
    references: isize,
    kind: *mut c_void,
    init: *mut c_void,
    index: isize,
    copy: *mut c_void,
    name: *const c_char,
    text: *const c_char,
    size: isize,
    methods: *mut Method,
    slots: *mut c_void,
    traverse: *mut c_void,
    clear: *mut c_void,
    free: *mut c_void,
}

const TAKES_ONE: c_int = 8;
/// The stable interface's version.
const ABI: c_int = 3;

static mut METHODS: [Method; 3] = [
    Method { name: c"serve".as_ptr(), function: Some(serve), flags: TAKES_ONE, text: core::ptr::null() },
    Method { name: c"fill".as_ptr(), function: Some(fill), flags: TAKES_ONE, text: core::ptr::null() },
    Method { name: core::ptr::null(), function: None, flags: 0, text: core::ptr::null() },
];

static mut DEFINITION: Definition = Definition {
    references: 1,
    kind: null_mut(),
    init: null_mut(),
    index: 0,
    copy: null_mut(),
    name: c"_dayfly".as_ptr(),
    text: core::ptr::null(),
    size: -1,
    methods: (&raw mut METHODS).cast(),
    slots: null_mut(),
    traverse: null_mut(),
    clear: null_mut(),
    free: null_mut(),
};

#[unsafe(no_mangle)]
pub unsafe extern "C" fn PyInit__dayfly() -> Object {
    // SAFETY: the definition is static, and the interpreter calls this once with its lock held.
    unsafe { PyModule_Create2(&raw mut DEFINITION, ABI) }
}
