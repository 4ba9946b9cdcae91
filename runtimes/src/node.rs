//! What Node must be told so that it can be forked; `node/template.cjs` has the reasons.

/// Flags of a process that is forked, before those of its heap. V8 has no threads then whose work copies would wait for,
/// and sets itself no alarm to give memory back: eight seconds after the template's last collection of garbage, every copy
/// would be born with that alarm overdue and begin with a collection of its own.
pub const FORK_FLAGS: [&str; 3] = ["--single-threaded", "--v8-pool-size=0", "--no-memory-reducer"];

/// Heap flags of a process that is forked into instances of any function, in MiB: the largest function's share, which each
/// copy lowers to its own; V8's own young generation; and an old generation that is looked through early, since V8 would
/// wait for a part of the largest bound otherwise.
pub const FORK_HEAP_FLAGS: [&str; 3] =
    ["--max-old-space-size=9216", "--max-semi-space-size=16", "--initial-old-space-size=64"];
