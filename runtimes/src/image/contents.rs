//! What the image of this machine holds besides interpreters, and what of interpreters it leaves out.

/// Programs that scripts of `provided` functions use, as AWS's own image has them, where this machine has them.
pub(super) const TOOLS: &[&str] = &[
    "awk",
    "base64",
    "basename",
    "bash",
    "cat",
    "chmod",
    "cp",
    "curl",
    "cut",
    "date",
    "dirname",
    "echo",
    "env",
    "false",
    "find",
    "grep",
    "gzip",
    "head",
    "id",
    "ln",
    "ls",
    "mkdir",
    "mktemp",
    "mv",
    "printf",
    "pwd",
    "readlink",
    "rm",
    "rmdir",
    "sed",
    "seq",
    "sh",
    "sha256sum",
    "sleep",
    "sort",
    "tail",
    "tar",
    "tee",
    "test",
    "touch",
    "tr",
    "true",
    "uname",
    "uniq",
    "wc",
    "which",
    "xargs",
];

/// Where they are looked for.
pub(super) const TOOL_FOLDERS: [&str; 2] = ["/bin", "/usr/bin"];

/// Libraries that compiled programs, and extensions of interpreters, take for granted; some are loaded by name while
/// a program runs.
pub(super) const LIBRARIES: &[&str] = &[
    "libc.so.6",
    "libm.so.6",
    "libdl.so.2",
    "libpthread.so.0",
    "librt.so.1",
    "libutil.so.1",
    "libresolv.so.2",
    "libnss_files.so.2",
    "libnss_dns.so.2",
    "libcrypt.so.1",
    "libgcc_s.so.1",
    "libstdc++.so.6",
    "libz.so.1",
    "libssl.so.3",
    "libcrypto.so.3",
];

/// Certificates, time zones, the locales of UTF-8, names of protocols.
pub(super) const DATA: &[&str] = &[
    "/usr/share/zoneinfo",
    "/usr/lib/locale/C.utf8",
    "/usr/lib/locale/en_US.utf8",
    "/usr/lib/locale/locale-archive",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/usr/lib/ssl",
    "/etc/pki/tls/certs",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/ca-trust/extracted",
    "/etc/protocols",
    "/etc/services",
];

/// The same time zones twice more.
pub(super) const NOT_OF_DATA: &[&str] = &["posix", "right"];

/// Tests, other people's packages, and what is for building and drawing.
pub(super) const NOT_OF_PYTHON: &[&str] = &[
    "site-packages",
    "dist-packages",
    "test",
    "tests",
    "idlelib",
    "turtledemo",
    "config-*",
    "tkinter",
    "ensurepip",
];

/// What only those need who build Java programs.
pub(super) const NOT_OF_JAVA: &[&str] =
    &["jmods", "src.zip", "ct.sym", "demo", "include", "legal", "man", "sample"];

/// Modules that Debian's Node keeps outside of its program.
pub(super) const OF_NODE: &[&str] = &[
    "/usr/share/nodejs/acorn",
    "/usr/share/nodejs/acorn-walk",
    "/usr/share/nodejs/amaro",
    "/usr/share/nodejs/cjs-module-lexer",
    "/usr/share/nodejs/minimatch",
    "/usr/share/nodejs/undici",
];

/// Where libraries are looked for, whatever a machine's settings say.
#[cfg(target_arch = "x86_64")]
pub(super) const LIBRARY_FOLDERS: &[&str] =
    &["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"];
/// Where libraries are looked for, whatever a machine's settings say.
#[cfg(not(target_arch = "x86_64"))]
pub(super) const LIBRARY_FOLDERS: &[&str] =
    &["/lib/aarch64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"];

/// More folders of libraries: one a line.
pub(super) const LIBRARY_SETTINGS: [&str; 2] = ["/etc/ld.so.conf", "/etc/ld.so.conf.d"];
