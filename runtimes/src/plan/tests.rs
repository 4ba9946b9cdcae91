use super::*;
use crate::{PlanError, Runtimes};
use model::{FunctionName, Runtime};

fn version(runtime: &str, environment: &[(&str, &str)]) -> Version {
    Version {
        function: FunctionName::parse("hello").unwrap(),
        version: "$LATEST".into(),
        revision: "r".into(),
        arn: "arn".into(),
        runtime: Runtime::parse(runtime).unwrap(),
        handler: "app.handler".into(),
        code_dir: "/data/code/abc".into(),
        memory_mb: 200,
        tmp_mb: 512,
        timeout_s: 3,
        environment: environment.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
        role: "role".into(),
        log_group: "/aws/lambda/hello".into(),
        concurrency: None,
        instance_concurrency: 1,
        weight: 1,
        snapstart: false,
    }
}

fn interpreter(language: Language, version: (u16, u16, u16), executable: &str) -> Interpreter {
    let executable = PathBuf::from(executable);
    let prefix = executable.parent().and_then(Path::parent).unwrap().to_owned();
    let needs =
        if prefix.starts_with("/usr") { vec![] } else { vec![executable.clone(), prefix.join("lib")] };
    Interpreter { language, version, executable, prefix, needs, bootstrap: "bootstrap.x".into() }
}

fn runtimes() -> Runtimes {
    let found = vec![
        interpreter(Language::Python, (3, 12, 1), "/home/u/.pyenv/versions/3.12.1/bin/python3.12"),
        interpreter(Language::Python, (3, 11, 2), "/usr/bin/python3.11"),
        interpreter(Language::Node, (22, 4, 0), "/usr/bin/node"),
    ];
    Runtimes::of(found, "/data/runtime".into())
}

fn facts() -> InstanceFacts {
    let credentials = Credentials {
        access_key_id: "key".into(),
        secret_access_key: "secret".into(),
        session_token: "token".into(),
    };
    InstanceFacts {
        log_stream: "stream".into(),
        endpoint_port: Some(4566),
        credentials,
        ..InstanceFacts::default()
    }
}

#[test]
fn the_exact_version_or_an_error_that_helps() {
    let cases = [
        ("python3.12", Ok("/home/u/.pyenv/versions/3.12.1/bin/python3.12")),
        ("python3.11", Ok("/usr/bin/python3.11")),
        ("nodejs22.x", Ok("/usr/bin/node")),
        ("python3.13", Err("apt install python3.13")),
        ("nodejs20.x", Err("nvm install 20")),
    ];
    for (runtime, expected) in cases {
        let plan = runtimes().plan(&version(runtime, &[]), &facts());
        match (plan, expected) {
            (Ok(plan), Ok(executable)) => assert_eq!(plan.argv[0], executable, "{runtime}"),
            (Err(PlanError::MissingRuntime { asked, found, hint }), Err(way)) => {
                assert_eq!((asked.as_str(), found.as_str()), (runtime, "python3.12, python3.11, nodejs22.x"));
                assert!(hint.contains(way), "{hint}");
            }
            (plan, _) => panic!("{runtime}: {plan:?}"),
        }
    }
    let none = Runtimes::of(vec![], "/x".into()).plan(&version("python3.12", &[]), &facts());
    assert!(none.unwrap_err().to_string().contains("(found: none)"));
}

#[test]
fn what_an_instance_sees() {
    let plan = runtimes().plan(&version("python3.12", &[]), &facts()).unwrap();
    let seen: Vec<String> =
        plan.binds.iter().map(|b| format!("{} {}", b.host.display(), b.guest.display())).collect();
    let prefix = "/home/u/.pyenv/versions/3.12.1";
    let (executable, libraries) = (format!("{prefix}/bin/python3.12"), format!("{prefix}/lib"));
    let expected = [
        "/data/code/abc /var/task".to_owned(),
        "/data/runtime /var/runtime".to_owned(),
        format!("{executable} {executable}"),
        format!("{libraries} {libraries}"),
    ];
    assert_eq!(seen, expected);
    assert_eq!(plan.argv[1..], ["-S", "-B", "-X", "utf8", "/var/runtime/bootstrap.x"]);
    assert_eq!((plan.protocol, plan.listen.as_slice()), (Protocol::Framed, [4566].as_slice()));

    let node = runtimes().plan(&version("nodejs22.x", &[]), &facts()).unwrap();
    assert_eq!(node.argv[1..3], ["--max-old-space-size=180", "--max-semi-space-size=10"]);
}

#[test]
fn the_environment() {
    let user = [
        ("MINE", "1"),
        ("_PRIVATE", "dropped"),
        ("_HANDLER", "dropped"),
        ("AWS_REGION", "dropped"),
        ("AWS_SECRET_ACCESS_KEY", "dropped"),
        ("AWS_LAMBDA_RUNTIME_API", "dropped"),
        ("PATH", "/mine"),
        ("TZ", "Europe/Berlin"),
        ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
        ("AWS_ENDPOINT_URL", "http://mine"),
    ];
    let plan = runtimes().plan(&version("python3.12", &user), &facts()).unwrap();
    let get = |name: &str| {
        let values: Vec<&str> = plan.env.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect();
        assert!(values.len() < 2, "{name} is set twice");
        values.first().copied()
    };
    let expected = [
        ("MINE", Some("1")),
        ("_PRIVATE", None),
        ("_HANDLER", Some("app.handler")),
        ("AWS_REGION", Some("us-east-1")),
        ("AWS_DEFAULT_REGION", Some("us-east-1")),
        ("AWS_ACCESS_KEY_ID", Some("key")),
        ("AWS_SECRET_ACCESS_KEY", Some("secret")),
        ("AWS_SESSION_TOKEN", Some("token")),
        ("AWS_LAMBDA_RUNTIME_API", None),
        ("AWS_EXECUTION_ENV", Some("AWS_Lambda_python3.12")),
        ("AWS_LAMBDA_FUNCTION_NAME", Some("hello")),
        ("AWS_LAMBDA_FUNCTION_VERSION", Some("$LATEST")),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", Some("200")),
        ("AWS_LAMBDA_LOG_GROUP_NAME", Some("/aws/lambda/hello")),
        ("AWS_LAMBDA_LOG_STREAM_NAME", Some("stream")),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", Some("on-demand")),
        ("AWS_LAMBDA_LOG_FORMAT", Some("JSON")),
        ("LAMBDA_TASK_ROOT", Some("/var/task")),
        ("LAMBDA_RUNTIME_DIR", Some("/var/runtime")),
        ("LANG", Some("en_US.UTF-8")),
        ("TZ", Some("Europe/Berlin")),
        ("PATH", Some("/mine")),
        ("AWS_ENDPOINT_URL", Some("http://mine")),
    ];
    for (name, value) in expected {
        assert_eq!(get(name), value, "{name}");
    }
    assert!(get("LD_LIBRARY_PATH").is_some_and(|path| path.contains(":/var/task/lib:")));
}

#[test]
fn programs_speak_the_runtime_api() {
    let dir = tempfile::tempdir().unwrap();
    let mut version = version("provided.al2023", &[]);
    version.code_dir = dir.path().into();
    let missing = runtimes().plan(&version, &facts()).unwrap_err();
    assert!(matches!(missing, PlanError::InvalidEntrypoint(_)), "{missing}");

    let program = dir.path().join("bootstrap");
    std::fs::write(&program, "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let plan = runtimes().plan(&version, &facts()).unwrap();
    assert_eq!((plan.protocol, plan.listen.as_slice()), (Protocol::RuntimeApi, [9001, 4566].as_slice()));
    assert_eq!(plan.argv, ["/var/task/bootstrap"]);
    let variable = |name: &str| plan.env.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    assert_eq!(variable("AWS_LAMBDA_RUNTIME_API"), Some("127.0.0.1:9001"));
    assert_eq!(variable("AWS_EXECUTION_ENV"), None);
    let libraries = variable("LD_LIBRARY_PATH").and_then(|path| path.split_once(':'));
    assert!(libraries.is_some_and(|(first, _)| first.ends_with("-linux-gnu")), "{libraries:?}");
}

#[test]
fn node_is_told_how_it_can_be_forked() {
    let told = |mode| flags(Language::Node, 200, mode).join(" ");
    let cases = [
        (None, "--max-old-space-size=180 --max-semi-space-size=10"),
        (Some("wait"), "--max-old-space-size=180 --max-semi-space-size=10"),
        (
            Some("function"),
            "--single-threaded --v8-pool-size=0 --no-memory-reducer --max-old-space-size=180 --max-semi-space-size=10",
        ),
        (
            Some("template"),
            "--single-threaded --v8-pool-size=0 --no-memory-reducer --max-old-space-size=9216 --max-semi-space-size=16 --initial-old-space-size=64",
        ),
    ];
    for (mode, expected) in cases {
        assert_eq!(told(mode), expected, "{mode:?}");
    }
}
