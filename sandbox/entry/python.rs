//! The template's side of a fork as an extension module of CPython: `_dayfly.serve(channel)`.
//! Uses the stable interface only, so one file serves every CPython from 3.9 on.
#![no_std]
#![allow(clippy::missing_safety_doc)]

#[path = "enter.rs"]
mod enter;
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

static mut METHODS: [Method; 2] = [
    Method { name: c"serve".as_ptr(), function: Some(serve), flags: TAKES_ONE, text: core::ptr::null() },
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
