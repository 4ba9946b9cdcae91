//! The template's side of a fork as an addon of Node. Uses the stable interface (Node-API), libuv's own call for loops
//! that were forked and, where the program has it, V8's for the bound of its heap.
//!
//! * `serve(channel)`: returns in every instance: its process number, or libuv's error, which is negative.
//! * `seed()`: goes on in a copy of the process, which has one thread whatever the original has; the original waits for
//!   the copy and ends as it does.
//! * `probe(milliseconds)`: -1 in a copy; in the original, once the copy has ended, its exit status, 128 and the signal's
//!   number for one that was killed, or 256 for one that took too long and was killed for it.
//! * `enlarge()`: puts the program's code into large pages, for a process of one thread.
//! * `inherit()`: lets copies have this process's entries for the pages of programs and libraries.
//! * `draw()`: a random number, at least 1.
//! * `pending(channel)`: whether something is there to be read, 1 or 0.
//! * `bound(mebibytes)`: lowers the bound of V8's old generation; 1, or 0 where the program cannot.
//! * `alone()`: tells V8 that it has no other threads, so that it leaves no work to those of the original; 1, or 0 where
//!   the program cannot be told.
//! * `fill()`: takes what is free between what is used of the C library's heap; how many KiB that were.
//! * `exit(status)`: ends the process at once.
#![no_std]
#![allow(clippy::missing_safety_doc)]

#[path = "enter.rs"]
mod enter;
#[path = "heap.rs"]
mod heap;
#[path = "kernel.rs"]
mod kernel;
#[path = "offspring.rs"]
mod offspring;
#[path = "pages.rs"]
mod pages;

use core::cell::Cell;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::mem::transmute;
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
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// Makes the event loop this process's own.
fn renew_loop(env: Env) -> c_int {
    let mut event_loop = null_mut();
    // SAFETY: called on the thread that runs the environment, whose loop it is.
    unsafe {
        match napi_get_uv_event_loop(env, &raw mut event_loop) {
            0 => uv_loop_fork(event_loop),
            failed => -failed,
        }
    }
}

struct Node {
    env: Env,
    renewed: Cell<c_int>,
}

impl enter::Interpreter for Node {
    fn before(&self) {}

    fn after_in_parent(&self) {}

    fn after_in_child(&self) {
        self.renewed.set(renew_loop(self.env));
    }
}

/// The only argument; -1 where there is none.
fn argument(env: Env, info: *mut c_void) -> i32 {
    let (mut count, mut value, mut number) = (1, null_mut(), -1);
    // SAFETY: the runtime passes its own handles, and everything pointed to outlives the calls.
    unsafe {
        napi_get_cb_info(env, info, &raw mut count, &raw mut value, null_mut(), null_mut());
        napi_get_value_int32(env, value, &raw mut number);
    }
    number
}

fn number(env: Env, value: i32) -> Value {
    let mut result = null_mut();
    // SAFETY: as above.
    unsafe { napi_create_int32(env, value, &raw mut result) };
    result
}

unsafe extern "C" fn serve(env: Env, info: *mut c_void) -> Value {
    let node = Node { env, renewed: Cell::new(0) };
    enter::serve(argument(env, info), &node);
    let renewed = node.renewed.get();
    number(env, if renewed == 0 { offspring::own_pid() } else { renewed })
}

unsafe extern "C" fn seed(env: Env, _info: *mut c_void) -> Value {
    match kernel::split() {
        Ok(0) => number(env, renew_loop(env)),
        Ok(pid) => kernel::exit(offspring::wait(pid)),
        Err(errno) => number(env, -errno),
    }
}

unsafe extern "C" fn probe(env: Env, info: *mut c_void) -> Value {
    let status = match kernel::split() {
        Ok(0) if renew_loop(env) == 0 => -1,
        Ok(0) => kernel::exit(255),
        Ok(pid) => offspring::wait_for(pid, argument(env, info)),
        Err(_) => 255,
    };
    number(env, status)
}

unsafe extern "C" fn enlarge(env: Env, _info: *mut c_void) -> Value {
    pages::enlarge();
    number(env, 0)
}

unsafe extern "C" fn inherit(env: Env, _info: *mut c_void) -> Value {
    pages::inherit();
    number(env, 0)
}

unsafe extern "C" fn draw(env: Env, _info: *mut c_void) -> Value {
    number(env, offspring::draw())
}

unsafe extern "C" fn pending(env: Env, info: *mut c_void) -> Value {
    number(env, i32::from(offspring::readable(argument(env, info), 0)))
}

unsafe extern "C" fn fill(env: Env, _info: *mut c_void) -> Value {
    number(env, (heap::fill() >> 10) as i32)
}

unsafe extern "C" fn exit(env: Env, info: *mut c_void) -> Value {
    kernel::exit(argument(env, info))
}

type NearLimit = extern "C" fn(*mut c_void, usize, usize) -> usize;

/// Never called: it is taken back before anything is allocated.
extern "C" fn keep(_data: *mut c_void, current: usize, _initial: usize) -> usize {
    current
}

/// `v8::Isolate::GetCurrent()` and its `AddNearHeapLimitCallback(callback, data)` and
/// `RemoveNearHeapLimitCallback(callback, limit)` by the names that the C++ ABI gives them.
const BOUNDING: [&CStr; 3] = [
    c"_ZN2v87Isolate10GetCurrentEv",
    c"_ZN2v87Isolate24AddNearHeapLimitCallbackEPFmPvmmES1_",
    c"_ZN2v87Isolate27RemoveNearHeapLimitCallbackEPFmPvmmEm",
];

/// Where those are; looked up before the fork, since a look-up goes through all libraries.
static mut BOUNDERS: [*mut c_void; 3] = [null_mut(); 3];

/// V8 lets a heap's bound be lowered by one who takes back his wish to be asked before it is reached.
unsafe extern "C" fn bound(env: Env, info: *mut c_void) -> Value {
    let bytes = usize::try_from(argument(env, info)).unwrap_or(0) << 20;
    // SAFETY: written once, when this was loaded. The names hold the functions' types; `this` is passed as any first
    // argument on the architectures that this is built for.
    unsafe {
        let [current, add, remove] = BOUNDERS;
        if bytes == 0 || current.is_null() || add.is_null() || remove.is_null() {
            return number(env, 0);
        }
        let current: extern "C" fn() -> *mut c_void = transmute(current);
        let add: extern "C" fn(*mut c_void, NearLimit, *mut c_void) = transmute(add);
        let remove: extern "C" fn(*mut c_void, NearLimit, usize) = transmute(remove);
        let isolate = current();
        add(isolate, keep, null_mut());
        remove(isolate, keep, bytes);
    }
    number(env, 1)
}

/// Words of a table of virtual functions: what stands before the first, and more than any version of it has.
const TABLE_HEAD: usize = 2;
const TABLE_WORDS: usize = TABLE_HEAD + 48;

static mut TABLE: [usize; TABLE_WORDS] = [0; TABLE_WORDS];

extern "C" fn no_threads(_platform: *mut c_void) -> c_int {
    0
}

/// Gives Node's platform, which always claims to have a thread for work, a table of functions of its own in which the
/// number of such threads is none. Work that nobody does is waited for when the event loop is empty otherwise.
unsafe extern "C" fn alone(env: Env, _info: *mut c_void) -> Value {
    // SAFETY: these are `v8::internal::V8::GetCurrentPlatform()` and `node::NodePlatform::NumberOfWorkerThreads()`. By
    // the C++ ABI an object begins with a pointer to its functions, before which stand two words; the table is in the
    // program's own constants, which go on behind it. It is changed by the only thread that loads this addon first.
    unsafe {
        let current = dlsym(null_mut(), c"_ZN2v88internal2V818GetCurrentPlatformEv".as_ptr());
        let number_of = dlsym(null_mut(), c"_ZN4node12NodePlatform21NumberOfWorkerThreadsEv".as_ptr());
        if current.is_null() || number_of.is_null() {
            return number(env, 0);
        }
        let current: extern "C" fn() -> *mut *const usize = transmute(current);
        let platform = current();
        let table = (*platform).sub(TABLE_HEAD);
        let Some(at) = (TABLE_HEAD..TABLE_WORDS).find(|at| *table.add(*at) == number_of as usize) else {
            return number(env, 0);
        };
        let own = (&raw mut TABLE).cast::<usize>();
        for word in 0..TABLE_WORDS {
            own.add(word).write(*table.add(word));
        }
        own.add(at).write(no_threads as *const () as usize);
        *platform = own.add(TABLE_HEAD);
    }
    number(env, 1)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn napi_register_module_v1(env: Env, exports: Value) -> Value {
    // SAFETY: on the only thread that loads this first; names end with a zero.
    unsafe { BOUNDERS = BOUNDING.map(|name| dlsym(null_mut(), name.as_ptr())) };
    let functions: [(&CStr, Callback); 11] = [
        (c"serve", serve),
        (c"seed", seed),
        (c"probe", probe),
        (c"enlarge", enlarge),
        (c"inherit", inherit),
        (c"draw", draw),
        (c"pending", pending),
        (c"bound", bound),
        (c"alone", alone),
        (c"fill", fill),
        (c"exit", exit),
    ];
    for (name, callback) in functions {
        let mut function = null_mut();
        // SAFETY: called once by the runtime with its own handles.
        unsafe {
            napi_create_function(env, name.as_ptr(), usize::MAX, callback, null_mut(), &raw mut function);
            napi_set_named_property(env, exports, name.as_ptr(), function);
        }
    }
    exports
}
