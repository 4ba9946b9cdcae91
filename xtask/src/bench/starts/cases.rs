//! The rows of `bench starts`, as a table.

use super::subject::Subject;
use super::{Bound, part};
use crate::bench::Setting;
use crate::bench::packages;
use crate::bench::platform::Platform;

/// One kind of start and what it promises.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) peer: &'static str,
    /// The rung that the row is about; none where any start is one.
    pub(super) rung: Option<&'static str>,
    pub(super) bound: Bound,
    pub(super) stretch: Option<f64>,
    pub(super) prepare: fn(&Setting, &Platform) -> Result<Subject, String>,
}

const PYTHON: &str = "spawning python3 with the same handler";
const NODE: &str = "spawning node with the same handler";
/// The flag of `dayfly deploy` that asks for a template of the initialised function.
const TEMPLATE: &[&str] = &["--snapstart"];

pub(super) const CASES: &[Case] = &[
    Case {
        name: "Python hello, runtime template",
        peer: PYTHON,
        rung: Some("fork"),
        bound: part(8.0),
        stretch: Some(1.0 / 15.0),
        prepare: Subject::python,
    },
    Case {
        name: "Python hello, spare of the runtime template",
        peer: PYTHON,
        rung: Some("spare"),
        bound: part(8.0),
        stretch: Some(1.0 / 15.0),
        prepare: |setting, platform| {
            Subject::hello(platform, packages::python(setting)?, ("start-python-spare", &[]))
        },
    },
    Case {
        name: "Python with a boto3 client, function template",
        peer: PYTHON,
        rung: Some("fork"),
        bound: part(40.0),
        stretch: Some(1.0 / 80.0),
        prepare: |setting, platform| python_boto3(setting, platform, "start-boto3-fork"),
    },
    Case {
        name: "Python with a boto3 client, spare",
        peer: PYTHON,
        rung: Some("spare"),
        bound: part(150.0),
        stretch: None,
        prepare: |setting, platform| python_boto3(setting, platform, "start-boto3-spare"),
    },
    Case {
        name: "Node hello, runtime template",
        peer: NODE,
        rung: Some("fork"),
        bound: part(18.0),
        stretch: None,
        prepare: |setting, platform| Subject::hello(platform, packages::node(setting)?, ("start-node", &[])),
    },
    Case {
        name: "Node hello, spare of the runtime template",
        peer: NODE,
        rung: Some("spare"),
        bound: part(18.0),
        stretch: None,
        prepare: |setting, platform| {
            Subject::hello(platform, packages::node(setting)?, ("start-node-spare", &[]))
        },
    },
    Case {
        name: "Node with the AWS SDK bundled, function template",
        peer: NODE,
        rung: Some("fork"),
        bound: part(30.0),
        stretch: None,
        prepare: |setting, platform| node_sdk(setting, platform, "start-sdk-fork"),
    },
    Case {
        name: "Node with the AWS SDK bundled, spare",
        peer: NODE,
        rung: Some("spare"),
        bound: part(60.0),
        stretch: None,
        prepare: |setting, platform| node_sdk(setting, platform, "start-sdk-spare"),
    },
    Case {
        name: "Java hello, a jar never seen before",
        peer: "spawning a JVM server with class-data sharing",
        rung: Some("spare"),
        bound: part(8.0),
        stretch: None,
        prepare: Subject::java,
    },
    Case {
        name: "Rust bootstrap",
        peer: "bare fork and exec of the same program, until its first answer",
        rung: None,
        bound: Bound::AtMost(2.0),
        stretch: None,
        prepare: Subject::rust,
    },
    Case {
        name: "wasm, never run before, precompiled",
        peer: "wasmtime serve with a fresh instance per request",
        rung: None,
        bound: Bound::AtMost(1.5),
        stretch: Some(1.0),
        prepare: Subject::wasm,
    },
    Case {
        name: "wasm, never run before, precompiled",
        peer: "its own warm call",
        rung: None,
        bound: Bound::AtMost(1.5),
        stretch: None,
        prepare: Subject::wasm_own,
    },
];

/// The cold rows of `bench main`: fresh processes on any rung.
pub(super) const MAIN: &[Case] = &[
    Case {
        name: "cold Python hello",
        peer: PYTHON,
        rung: None,
        bound: Bound::AtMost(1.5),
        stretch: None,
        prepare: |setting, platform| {
            Subject::hello(platform, packages::python(setting)?, ("cold-python", &[]))
        },
    },
    Case {
        name: "cold Node hello",
        peer: NODE,
        rung: None,
        bound: Bound::AtMost(1.5),
        stretch: None,
        prepare: |setting, platform| Subject::hello(platform, packages::node(setting)?, ("cold-node", &[])),
    },
];

fn python_boto3(setting: &Setting, platform: &Platform, name: &str) -> Result<Subject, String> {
    let hello = packages::python_boto3(setting, &platform.interpreter("python")?)?;
    Subject::hello(platform, hello, (name, TEMPLATE))
}

fn node_sdk(setting: &Setting, platform: &Platform, name: &str) -> Result<Subject, String> {
    Subject::hello(platform, packages::node_sdk(setting)?, (name, TEMPLATE))
}
