//! Every limit of the platform: name, value, unit, and what lifts it. `dayfly limits` prints this table.

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Mebibytes.
    Mebibytes,
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// Microseconds.
    Microseconds,
    /// A plain count.
    Count,
}

/// One limit.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// Stable name, kebab-case.
    pub name: &'static str,
    /// The default value, in `unit`.
    pub value: u64,
    /// What it counts.
    pub unit: Unit,
    /// What it bounds, in a few words.
    pub bounds: &'static str,
    /// The `dayfly up` flag that changes it, or why it is fixed.
    pub lifted_by: &'static str,
}

const fn row(
    name: &'static str,
    value: u64,
    unit: Unit,
    bounds: &'static str,
    lifted_by: &'static str,
) -> Limit {
    Limit { name, value, unit, bounds, lifted_by }
}

const AWS: &str = "fixed: AWS's own value, so that code stays portable";

/// All limits, in the order in which `dayfly limits` shows them.
pub const LIMITS: &[Limit] = &[
    row("sync-payload", 6 * 1024 * 1024, Unit::Bytes, "event and answer of one synchronous call", AWS),
    row("api-body", 70_167_211, Unit::Bytes, "body of one API request", AWS),
    row(
        "room-bytes",
        1024 * 1024 * 1024,
        Unit::Bytes,
        "all large requests, events and answers at once, and no more than room-percent",
        "fixed",
    ),
    row(
        "room-percent",
        25,
        Unit::Count,
        "percent of the memory that the platform may use for what room-bytes bounds",
        "fixed",
    ),
    row("request-room-wait", 5, Unit::Seconds, "a large request waits for memory", "fixed"),
    row("answer-room-wait", 1000, Unit::Milliseconds, "a large answer waits for memory", "fixed"),
    row("head-bytes", 64 * 1024, Unit::Bytes, "request line and headers; headers of an answer", "fixed"),
    row("head-timeout", 30, Unit::Seconds, "time to send a request's head", "fixed"),
    row("body-timeout", 300, Unit::Seconds, "time to send a request's body", "fixed"),
    row("answer-timeout", 60, Unit::Seconds, "a client takes nothing of its answer", "fixed"),
    row("lookout", 100, Unit::Microseconds, "staying awake for the next request of a close row", "fixed"),
    row("connections", 4096, Unit::Count, "open client connections", "dayfly up --connections"),
    row("instance-connections", 128, Unit::Count, "connections from one instance", "fixed"),
    row(
        "egress-connections",
        1024,
        Unit::Count,
        "open connections of all functions to elsewhere; each has at most half of what others leave",
        "fixed",
    ),
    row(
        "egress-lookups",
        32,
        Unit::Count,
        "host names that functions have looked up at once; each at most half of what others leave",
        "fixed",
    ),
    row("egress-lookup-time", 5, Unit::Seconds, "looking up a host name for a function", "fixed"),
    row("egress-connect-time", 10, Unit::Seconds, "connecting elsewhere for a function", "fixed"),
    row("zip-bytes", 50 * 1024 * 1024, Unit::Bytes, "a package as uploaded", AWS),
    row("unzipped-bytes", 262_144_000, Unit::Bytes, "a package when unpacked", AWS),
    row("zip-entries", 100_000, Unit::Count, "files and folders in a package", "fixed"),
    row("environment-bytes", 4096, Unit::Bytes, "a function's environment variables", AWS),
    row("memory-min", 128, Unit::Mebibytes, "smallest memory setting", AWS),
    row("memory-max", 10_240, Unit::Mebibytes, "largest memory setting", AWS),
    row("timeout-max", 900, Unit::Seconds, "longest handler run", AWS),
    row("tmp-max", 10_240, Unit::Mebibytes, "largest /tmp", AWS),
    row("init-timeout", 10, Unit::Seconds, "loading a function's code", "fixed"),
    row("import-packages", 16, Unit::Count, "packages whose import cost a record holds", "fixed"),
    row("import-package-name", 64, Unit::Bytes, "name of such a package", "fixed"),
    row("processes", 256, Unit::Count, "processes and threads of one instance", "fixed"),
    row("descriptors", 1024, Unit::Count, "open files of one process in an instance", AWS),
    row("account-concurrency", 1000, Unit::Count, "instances of all functions", "dayfly up --concurrency"),
    row(
        "unreserved-concurrency",
        100,
        Unit::Count,
        "calls at once that no function may have reserved for itself",
        AWS,
    ),
    row(
        "unprovisioned-memory",
        10,
        Unit::Count,
        "percent of the instances' memory that provisioned ones leave to others",
        "fixed",
    ),
    row(
        "provision-handover",
        10,
        Unit::Seconds,
        "an update waits for its provisioned instances before it takes the old ones' place",
        "fixed",
    ),
    row(
        "machine-memory",
        80,
        Unit::Count,
        "percent of the machine's memory, without that of room-bytes, for instances",
        "dayfly up --memory-percent",
    ),
    row("recursion", 16, Unit::Count, "times that a function may come round in calls of its own", AWS),
    row("queue-length", 1000, Unit::Count, "calls waiting for one function", "fixed"),
    row("queue-wait", 30, Unit::Seconds, "longest wait for an instance", "fixed"),
    row("starts-per-core", 4, Unit::Count, "instances starting at once, for each core", "fixed"),
    row("starts-per-function", 8, Unit::Count, "instances of one function starting at once", "fixed"),
    row(
        "failed-starts",
        3,
        Unit::Count,
        "starts that fail in a row before others are put off",
        "fixed: a new revision begins anew",
    ),
    row("failed-starts-pause", 8, Unit::Seconds, "longest pause between starts that fail", "fixed"),
    row(
        "instance-concurrency",
        1600,
        Unit::Count,
        "calls at once in one instance",
        "fixed: AWS's own value, so that code stays portable",
    ),
    row(
        "instance-workers",
        128,
        Unit::Count,
        "calls at once in one instance of Python, each in a process of its own",
        "fixed: half of its processes",
    ),
    row("weight", 1000, Unit::Count, "weight of a function (tag dayfly:weight)", "fixed"),
    row(
        "limits-check",
        3600,
        Unit::Seconds,
        "between two looks at every sandbox's limits",
        "dayfly up --limits-check",
    ),
    row(
        "idle-timeout",
        300,
        Unit::Seconds,
        "an unused instance is kept, at most",
        "dayfly up --idle-timeout",
    ),
    row(
        "instance-age",
        12 * 3600,
        Unit::Seconds,
        "an instance serves calls",
        "fixed: its credentials end an hour later",
    ),
    row("byte-code-bytes", 64 * 1024 * 1024, Unit::Bytes, "a package's byte code", "fixed"),
    row("byte-code-time", 60, Unit::Seconds, "making a package's byte code", "fixed"),
    row("class-archive-bytes", 64 * 1024 * 1024, Unit::Bytes, "a JDK's class archive", "fixed"),
    row("class-archive-time", 120, Unit::Seconds, "making a JDK's class archive", "fixed"),
    row("metrics-functions", 500, Unit::Count, "functions that metrics name; older ones are summed", "fixed"),
    row("log-line-bytes", 256 * 1024, Unit::Bytes, "one log line", AWS),
    row("log-invocation-bytes", 8 * 1024 * 1024, Unit::Bytes, "log output of one invocation", "fixed"),
    row(
        "log-store-bytes",
        1024 * 1024 * 1024,
        Unit::Bytes,
        "all stored logs and records",
        "dayfly up --log-bytes",
    ),
    row("log-age", 14 * 24 * 3600, Unit::Seconds, "age of stored logs and records", "dayfly up --log-age"),
    row("tail-bytes", 4096, Unit::Bytes, "log tail returned with a call", AWS),
    row("policy-bytes", 20 * 1024, Unit::Bytes, "a function's resource policy", AWS),
    row(
        "versions",
        1000,
        Unit::Count,
        "published versions of one function",
        "delete those that nobody calls",
    ),
    row("tags", 50, Unit::Count, "tags of one function", AWS),
    row("client-context-bytes", 3583, Unit::Bytes, "client context header", AWS),
    row("clock-skew", 900, Unit::Seconds, "age of a signed request", AWS),
    row("presign-max", 604_800, Unit::Seconds, "life of a presigned URL", AWS),
    row("snapshot-init", 130, Unit::Seconds, "init of a function whose instances are forked", AWS),
    row(
        "template-last-words",
        600,
        Unit::Bytes,
        "what a template printed, in the reason why it is refused",
        "fixed",
    ),
    row(
        "template-memory",
        5,
        Unit::Count,
        "percent of the machine's memory for templates and spares",
        "dayfly up --memory-budget",
    ),
    row("wasm-worker-memory", 48, Unit::Mebibytes, "a worker, besides its instances", "fixed"),
    row("wasm-instances", 64, Unit::Count, "component instances of one worker at once", "fixed"),
    row("wasm-handles", 10_000, Unit::Count, "resources that a component instance holds", "fixed"),
    row(
        "wasm-header-bytes",
        128 * 1024,
        Unit::Bytes,
        "headers that a component makes, as held in memory",
        "fixed",
    ),
    row("wasm-random-bytes", 64 * 1024, Unit::Bytes, "random bytes that a component gets at once", "fixed"),
    row(
        "wasm-hostcall-bytes",
        8 * 1024 * 1024,
        Unit::Bytes,
        "what a component hands over in one host call",
        "fixed",
    ),
    row("wasm-compiles", 1, Unit::Count, "components compiled at once", "fixed"),
    row("wasm-compile-memory", 1536, Unit::Mebibytes, "compiling one component", "fixed"),
    row("wasm-compile-time", 60, Unit::Seconds, "compiling one component", "fixed"),
    row("wasm-load", 500, Unit::Milliseconds, "a deployment waits for its component to be loaded", "fixed"),
    row("wasm-code-bytes", 256 * 1024 * 1024, Unit::Bytes, "a component's machine code", "fixed"),
    row(
        "unasked-look",
        1000,
        Unit::Milliseconds,
        "time between two looks at an instance without calls",
        "fixed",
    ),
    row(
        "unasked-cpu",
        20_000,
        Unit::Microseconds,
        "processor time of an instance without calls between two looks, before it is frozen",
        "fixed",
    ),
    row("root-image-files", 200_000, Unit::Count, "files and folders of a root image", "fixed"),
    row("root-image-bytes", 4 * 1024 * 1024 * 1024, Unit::Bytes, "a root image", "fixed"),
    row("drain", 30, Unit::Seconds, "time for running calls at shutdown", "dayfly up --drain"),
];

/// The value of the limit `name`.
///
/// # Panics
/// If no such limit is declared; `every_limit_is_found` keeps that out of releases.
pub const fn limit(name: &str) -> u64 {
    let mut index = 0;
    while index < LIMITS.len() {
        if same(LIMITS[index].name.as_bytes(), name.as_bytes()) {
            return LIMITS[index].value;
        }
        index += 1;
    }
    panic!("no such limit is declared in model/src/limits.rs")
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut index = 0;
    while index < a.len() {
        if a[index] != b[index] {
            return false;
        }
        index += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        for (index, row) in LIMITS.iter().enumerate() {
            assert_eq!(limit(row.name), row.value);
            assert!(LIMITS[..index].iter().all(|earlier| earlier.name != row.name), "{}", row.name);
        }
    }
}
