//! Handlers on every interpreter of this machine: our bootstraps, and AWS's clients as references.

mod case;
mod java;
mod node;
mod python;
mod reference;
mod run;
mod waiting;

use case::{Case, complaint};
use reference::Reference;
use run::{Process, Subject};
use runtimes::Channel;
use std::path::{Path, PathBuf};

/// Our bootstrap on one interpreter.
struct Ours {
    argv: Vec<String>,
}

impl Subject for Ours {
    async fn start(&self, case: &Case, task: &Path) -> (Process, Channel) {
        let argv: Vec<&str> = self.argv.iter().map(String::as_str).collect();
        run::framed(&argv, case, task)
    }
}

fn source(name: &str) -> String {
    format!("{}/src/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Runs every case; panics with all complaints.
fn check(subject: &impl Subject, cases: &[Case], ascii: bool, skip: impl Fn(&Case) -> bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut complaints = Vec::new();
    for case in cases.iter().filter(|case| !skip(case)) {
        let (outcome, folder) = runtime.block_on(run::run(subject, case));
        if let Some(text) = complaint(case, &outcome, &subject.task(folder.path()), ascii) {
            let text = format!("=== {}\n{}", case.name, cut(&text));
            println!("{text}");
            complaints.push(text);
        }
    }
    assert!(
        complaints.is_empty(),
        "{} of {} cases:\n{}",
        complaints.len(),
        cases.len(),
        complaints.join("\n")
    );
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(3000)]
}

/// `python3.N` for N from 9, wherever pyenv or the system has it.
fn pythons() -> Vec<(u16, PathBuf)> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let versions = std::fs::read_dir(home.join(".pyenv/versions")).into_iter().flatten().flatten();
    let folders: Vec<PathBuf> =
        versions.map(|entry| entry.path().join("bin")).chain(["/usr/bin".into()]).collect();
    let mut found: Vec<(u16, PathBuf)> = (9..=15)
        .filter_map(|minor| {
            let name = format!("python3.{minor}");
            folders
                .iter()
                .map(|folder| folder.join(&name))
                .find(|path| path.is_file())
                .map(|path| (minor, path))
        })
        .collect();
    found.sort();
    found
}

#[test]
fn our_python_bootstrap() {
    let found = pythons();
    if found.is_empty() {
        println!("skipped: no Python here");
    }
    for (minor, path) in found {
        println!("{}", path.display());
        let argv = [path.to_str().unwrap(), "-S", "-B", "-X", "utf8", &source("python/bootstrap.py")];
        check(&Ours { argv: argv.map(String::from).into() }, python::CASES, minor < 12, |_| false);
    }
}

#[test]
fn awss_python_client() {
    for (minor, path) in pythons() {
        let folder = match reference::install("python", &path) {
            Ok(folder) => folder,
            Err(why) => {
                println!("skipped: awslambdaric for python3.{minor} cannot be installed: {why}");
                continue;
            }
        };
        println!("{}", path.display());
        let client = Reference {
            program: path,
            arguments: vec!["-m".into(), "awslambdaric".into()],
            env: vec![
                ("PYTHONPATH".into(), folder.to_string_lossy().into_owned()),
                ("AWS_EXECUTION_ENV".into(), format!("AWS_Lambda_python3.{minor}")),
            ],
        };
        check(&client, python::CASES, minor < 12, |case| case.differs.is_some());
    }
}

/// The system's Node, and those that `DAYFLY_TEST_NODES` names, separated by colons.
fn nodes() -> Vec<PathBuf> {
    let more = std::env::var_os("DAYFLY_TEST_NODES").unwrap_or_default();
    let places = ["/usr/bin/node", "/usr/local/bin/node"].map(PathBuf::from);
    places.into_iter().chain(std::env::split_paths(&more)).filter(|path| path.is_file()).collect()
}

#[test]
fn our_node_bootstrap() {
    if nodes().is_empty() {
        println!("skipped: no Node here");
    }
    for path in nodes() {
        println!("{}", path.display());
        let argv = [path.to_str().unwrap(), "--max-old-space-size=512", &source("node/bootstrap.cjs")];
        check(&Ours { argv: argv.map(String::from).into() }, node::CASES, false, |_| false);
    }
}

#[test]
fn awss_node_client() {
    for path in nodes() {
        let folder = match reference::install("node", &path) {
            Ok(folder) => folder,
            Err(why) => {
                println!("skipped: aws-lambda-ric cannot be installed: {why}");
                continue;
            }
        };
        println!("{}", path.display());
        let entry = folder.join("node_modules/aws-lambda-ric/bin/index.mjs");
        let stand_in = format!("{}/tests/handlers/client.cjs", env!("CARGO_MANIFEST_DIR"));
        let client = Reference {
            program: path,
            arguments: vec!["--require".into(), stand_in, entry.to_string_lossy().into_owned()],
            env: vec![("AWS_EXECUTION_ENV".into(), "AWS_Lambda_nodejs20.x".into())],
        };
        check(&client, node::CASES, false, |case| case.differs.is_some());
    }
}

/// The JDK's tool, where this machine has it.
fn jdk(tool: &str) -> Option<PathBuf> {
    let home = std::env::var_os("JAVA_HOME").map(|home| PathBuf::from(home).join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    home.into_iter().chain(std::env::split_paths(&path)).map(|dir| dir.join(tool)).find(|tool| tool.is_file())
}

/// Java that can run the cases: the JDK's own, and those that `DAYFLY_TEST_JAVAS` names, separated by colons.
fn javas() -> Vec<PathBuf> {
    let more = std::env::var_os("DAYFLY_TEST_JAVAS").unwrap_or_default();
    jdk("java").into_iter().chain(std::env::split_paths(&more)).filter(|path| path.is_file()).collect()
}

const BOOTSTRAP_JAR: &str = concat!(env!("OUT_DIR"), "/bootstrap.jar");

/// The handlers' classes, compiled against our own interfaces, or `None` where there is no compiler.
fn classes() -> Option<&'static Path> {
    static CLASSES: std::sync::OnceLock<Option<PathBuf>> = std::sync::OnceLock::new();
    let compile = || {
        let javac =
            jdk("javac").filter(|_| std::fs::metadata(BOOTSTRAP_JAR).is_ok_and(|jar| jar.len() > 0))?;
        let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("java-cases");
        let cases = format!("{}/tests/handlers/java/cases", env!("CARGO_MANIFEST_DIR"));
        let sources = std::fs::read_dir(cases).unwrap().map(|entry| entry.unwrap().path());
        let ran = std::process::Command::new(javac)
            .args(["--release", "17", "-nowarn", "-encoding", "UTF-8", "-cp", BOOTSTRAP_JAR, "-d"])
            .arg(&out)
            .args(sources)
            .output()
            .unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        Some(out)
    };
    CLASSES.get_or_init(compile).as_deref()
}

/// A subject whose task root holds the handlers' classes, too.
struct WithClasses<S>(S);

impl<S: Subject> Subject for WithClasses<S> {
    async fn start(&self, case: &Case, task: &Path) -> (Process, Channel) {
        let classes = classes().expect("asked before").join("cases");
        std::os::unix::fs::symlink(classes, task.join("cases")).unwrap();
        self.0.start(case, task).await
    }
}

#[test]
fn our_java_bootstrap() {
    if classes().is_none() || javas().is_empty() {
        println!("skipped: no JDK here, or this build is without Java");
        return;
    }
    for path in javas() {
        println!("{}", path.display());
        let argv = [path.to_str().unwrap(), "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", BOOTSTRAP_JAR];
        let mut argv: Vec<String> = argv.map(String::from).into();
        argv.push("dayfly.runtime.Main".into());
        check(&WithClasses(Ours { argv }), java::CASES, false, |_| false);
    }
}

#[test]
fn awss_java_client() {
    let (Some(_), Some(java)) = (classes(), jdk("java")) else {
        println!("skipped: no JDK here");
        return;
    };
    let folder =
        match jdk("mvn").ok_or("no Maven here".into()).and_then(|mvn| reference::install("java", &mvn)) {
            Ok(folder) => folder,
            Err(why) => {
                println!("skipped: aws-lambda-java-runtime-interface-client cannot be installed: {why}");
                return;
            }
        };
    let path = format!("{}/lib/*", folder.display());
    let main = "com.amazonaws.services.lambda.runtime.api.client.AWSLambda";
    let client = Reference {
        program: java,
        arguments: ["-Dfile.encoding=UTF-8", "-cp", &path, main].map(String::from).into(),
        env: vec![("AWS_EXECUTION_ENV".into(), "AWS_Lambda_java17".into())],
    };
    check(&WithClasses(client), java::CASES, false, |case| case.differs.is_some());
}

/// Our files as a JVM that waits finds them.
fn runtime_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir_all(at("rehearsal/lib")).unwrap();
    std::fs::copy(BOOTSTRAP_JAR, at("bootstrap.jar")).unwrap();
    std::fs::write(at("libdayfly.so"), sandbox::JAVA_ENTRY).unwrap();
    let rehearsal = concat!(env!("OUT_DIR"), "/rehearsal.jar");
    std::fs::copy(rehearsal, at("rehearsal/lib/rehearsal.jar")).unwrap();
    folder
}

fn waiting_argv(java: &Path, runtime: &Path) -> Vec<String> {
    let jar = runtime.join("bootstrap.jar");
    let flags = ["-XX:TieredStopAtLevel=1", "-Dfile.encoding=UTF-8", "-cp"];
    let argv = [java.to_str().unwrap()].into_iter().chain(flags);
    argv.chain([jar.to_str().unwrap(), "dayfly.runtime.Main"]).map(String::from).collect()
}

/// JVMs that are told what they are for after they have started.
struct Waiting {
    argv: Vec<String>,
}

impl Subject for Waiting {
    async fn start(&self, case: &Case, task: &Path) -> (Process, Channel) {
        run::waiting(&self.argv, case, task).await
    }
}

#[test]
fn our_java_bootstrap_when_it_has_waited() {
    if classes().is_none() || javas().is_empty() {
        println!("skipped: no JDK here, or this build is without Java");
        return;
    }
    let runtime = runtime_folder();
    for java in javas() {
        println!("{}", java.display());
        let argv = waiting_argv(&java, runtime.path());
        check(&WithClasses(Waiting { argv }), java::CASES, false, |_| false);
    }
}

#[test]
fn a_waiting_jvm_becomes_what_it_is_told() {
    let Some(classes) = classes() else {
        println!("skipped: no JDK here, or this build is without Java");
        return;
    };
    for java in javas() {
        let (home, runtime) = (tempfile::tempdir().unwrap(), runtime_folder());
        let task = home.path().join("task");
        let appear = || {
            std::fs::create_dir(&task).unwrap();
            std::os::unix::fs::symlink(classes.join("cases"), task.join("cases")).unwrap();
        };
        let env = serde_json::json!({
            "LAMBDA_TASK_ROOT": &task, "_HANDLER": "cases.Deeds::environment", "MINE": "ü", "TZ": "Europe/Berlin",
            "PATH": "/usr/bin:/bin",
        });
        let argv = waiting_argv(&java, runtime.path());
        let got = waiting::load_and_call(&argv, appear, &env, "\"\"");
        let expected = serde_json::json!(["ü", null, "ü", "Europe/Berlin", true, true, "ü", 3, true]);
        assert_eq!(got, expected, "{}", java.display());
    }
}
