//! What a JVM that waits cannot do by itself when it is told what it is for: it takes on the environment and the working
//! directory for the C library too, whose idea of them child processes inherit.
#![no_std]

use core::ffi::{c_char, c_int, c_void};

#[panic_handler]
fn panicked(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

unsafe extern "C" {
    fn clearenv() -> c_int;
    fn putenv(variable: *mut c_char) -> c_int;
    fn tzset();
    fn chdir(folder: *const c_char) -> c_int;
}

/// `dayfly.runtime.Inside.become(long)`. `text` is the address of texts that end with a NUL each: the working directory,
/// the variables as `NAME=value`, and an empty one. They are never freed. The answer: 0, or that the folder is not to be
/// entered.
///
/// # Safety
/// As said of `text`, and no other thread may be looking at the environment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Java_dayfly_runtime_Inside_become(
    _machine: *mut c_void,
    _class: *mut c_void,
    text: i64,
) -> c_int {
    let folder = text as *mut c_char;
    // SAFETY: each text ends with a NUL, the last is empty, and all of them stay where they are.
    unsafe {
        clearenv();
        let mut variable = after(folder);
        while *variable != 0 {
            putenv(variable);
            variable = after(variable);
        }
        tzset();
        chdir(folder)
    }
}

/// Where the next text begins.
unsafe fn after(mut text: *mut c_char) -> *mut c_char {
    // SAFETY: the caller's text ends with a NUL, and another one follows.
    unsafe {
        while *text != 0 {
            text = text.add(1);
        }
        text.add(1)
    }
}
