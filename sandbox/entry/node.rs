//! The template's side of a fork as an addon of Node: `require(…).serve(channel)`. Uses the stable interface (Node-API)
//! and libuv's own call for loops that were forked.
#![no_std]
#![allow(clippy::missing_safety_doc)]

#[path = "enter.rs"]
mod enter;
#[path = "kernel.rs"]
mod kernel;

use core::cell::Cell;
use core::ffi::{c_char, c_int, c_void};
use core::ptr::null_mut;

#[panic_handler]
fn panicked(_: &core::panic::PanicInfo<'_>) -> ! {
    kernel::exit(70)
}

type Env = *mut c_void;
type Value = *mut c_void;
type Callback = unsafe extern "C" fn(Env, *mut c_void) -> Value;

unsafe extern "C" {
    fn napi_create_function(
        env: Env,
        name: *const c_char,
        length: usize,
        callback: Callback,
        data: *mut c_void,
        result: *mut Value,
    ) -> c_int;
    fn napi_set_named_property(env: Env, object: Value, name: *const c_char, value: Value) -> c_int;
    fn napi_get_cb_info(
        env: Env,
        info: *mut c_void,
        count: *mut usize,
        arguments: *mut Value,
        this: *mut Value,
        data: *mut *mut c_void,
    ) -> c_int;
    fn napi_get_value_int32(env: Env, value: Value, result: *mut i32) -> c_int;
    fn napi_create_int32(env: Env, value: i32, result: *mut Value) -> c_int;
    fn napi_get_uv_event_loop(env: Env, event_loop: *mut *mut c_void) -> c_int;
    fn uv_loop_fork(event_loop: *mut c_void) -> c_int;
}

struct Node {
    env: Env,
    forked: Cell<c_int>,
}

impl enter::Interpreter for Node {
    fn before(&self) {}

    fn after_in_parent(&self) {}

    fn after_in_child(&self) {
        let mut event_loop = null_mut();
        // SAFETY: called on the thread that runs the environment, whose loop it is.
        let forked = unsafe {
            match napi_get_uv_event_loop(self.env, &raw mut event_loop) {
                0 => uv_loop_fork(event_loop),
                failed => failed,
            }
        };
        self.forked.set(forked);
    }
}

/// Returns what `uv_loop_fork` has answered, in every child.
unsafe extern "C" fn serve(env: Env, info: *mut c_void) -> Value {
    let (mut count, mut argument, mut channel, mut result) = (1, null_mut(), -1, null_mut());
    // SAFETY: the runtime passes its own handles, and everything pointed to outlives the calls.
    unsafe {
        napi_get_cb_info(env, info, &raw mut count, &raw mut argument, null_mut(), null_mut());
        napi_get_value_int32(env, argument, &raw mut channel);
    }
    let node = Node { env, forked: Cell::new(0) };
    enter::serve(channel, &node);
    // SAFETY: as above.
    unsafe { napi_create_int32(env, node.forked.get(), &raw mut result) };
    result
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn napi_register_module_v1(env: Env, exports: Value) -> Value {
    let mut function = null_mut();
    // SAFETY: called once by the runtime with its own handles.
    unsafe {
        napi_create_function(env, c"serve".as_ptr(), 5, serve, null_mut(), &raw mut function);
        napi_set_named_property(env, exports, c"serve".as_ptr(), function);
    }
    exports
}
