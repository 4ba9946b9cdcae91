//! The binary with no platform to talk to: what it says, where, and how it ends.

use std::path::Path;
use std::process::{Command, Output};

/// Runs the binary with a home of its own and an environment that names no platform.
fn dayfly(home: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dayfly"))
        .args(arguments)
        .env_clear()
        .env("HOME", home)
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .output()
        .expect("the binary runs")
}

/// Checks the exit code and the whole of standard error, with the home directory written as HOME.
fn check(home: &Path, arguments: &[&str], code: i32, stderr: &str) {
    let output = dayfly(home, arguments);
    let said = String::from_utf8_lossy(&output.stderr).replace(&home.display().to_string(), "HOME");
    assert_eq!(said, stderr, "{arguments:?}");
    assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    assert!(output.stdout.is_empty(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
}

/// An endpoint at which nothing listens: port 1 needs root and a service that nobody runs.
const NOWHERE: &str = "http://127.0.0.1:1";

#[test]
fn failures_have_three_lines() {
    let home = tempfile::tempdir().expect("a directory");
    let home = home.path();
    check(
        home,
        &["list", "--endpoint", NOWHERE],
        1,
        "error: cannot reach Dayfly at http://127.0.0.1:1\n\
         why: no platform was started on HOME/.local/share/dayfly, and AWS_ACCESS_KEY_ID is not set\n\
         hint: dayfly up\n",
    );
    let data = home.join(".local/share/dayfly");
    std::fs::create_dir_all(&data).expect("made");
    let key = r#"{"accessKeyId":"AKIAAAAAAAAAAAAAAAAA","secretAccessKey":"0123456789012345678901234567890123456789"}"#;
    std::fs::write(data.join("root-key.json"), key).expect("written");
    check(
        home,
        &["invoke", "hello", "--endpoint", NOWHERE],
        1,
        "error: cannot reach Dayfly at http://127.0.0.1:1\nwhy: nothing listens there\nhint: dayfly up --listen 127.0.0.1:1\n",
    );
    check(
        home,
        &["--json", "invoke", "hello", "--endpoint", NOWHERE],
        1,
        "{\"error\":{\"what\":\"cannot reach Dayfly at http://127.0.0.1:1\",\"why\":\"nothing listens there\",\
         \"hint\":\"dayfly up --listen 127.0.0.1:1\",\"exit\":1}}\n",
    );
    check(
        home,
        &["list", "--endpoint", "https://example.com"],
        2,
        "error: \"https://example.com\" is no endpoint\n\
         why: TLS is not supported yet; use http\n\
         hint: dayfly list --endpoint http://127.0.0.1:4566\n",
    );
    check(
        home,
        &["logs", "hello", "--since", "yesterday"],
        2,
        "error: invalid value 'yesterday' for '--since <SINCE>'\n\
         why: unit \"yesterday\" is none of s, m, h, d, w\n\
         hint: dayfly logs --help\n",
    );
    check(
        home,
        &["deploy", "/nonexistent"],
        2,
        "error: there is no directory /nonexistent\n\
         why: dayfly deploy takes the directory of a function\n\
         hint: dayfly deploy .\n",
    );
}

#[test]
fn what_needs_no_platform() {
    let home = tempfile::tempdir().expect("a directory");
    let limits = dayfly(home.path(), &["limits", "--json", "--endpoint", NOWHERE]);
    let limits: serde_json::Value = serde_json::from_slice(&limits.stdout).expect("JSON");
    assert_eq!(limits["limits"].as_array().map(Vec::len), Some(model::LIMITS.len()));
    assert_eq!(limits["source"], "defaults; no platform is reached");

    let data = home.path().join(".local/share/dayfly");
    std::fs::create_dir_all(&data).expect("made");
    let key = r#"{"accessKeyId":"AKIAAAAAAAAAAAAAAAAA","secretAccessKey":"0123456789012345678901234567890123456789"}"#;
    std::fs::write(data.join("root-key.json"), key).expect("written");
    let env = dayfly(home.path(), &["env", "--endpoint", "http://127.0.0.1:4566"]);
    assert_eq!(
        String::from_utf8_lossy(&env.stdout),
        "export AWS_ENDPOINT_URL='http://127.0.0.1:4566'\n\
         export AWS_ACCESS_KEY_ID='AKIAAAAAAAAAAAAAAAAA'\n\
         export AWS_SECRET_ACCESS_KEY='0123456789012345678901234567890123456789'\n\
         export AWS_REGION='us-east-1'\n\
         export AWS_DEFAULT_REGION='us-east-1'\n"
    );

    for command in ["up", "deploy", "invoke", "list", "describe", "logs", "delete", "env", "doctor", "limits"]
    {
        let help = dayfly(home.path(), &[command, "--help"]);
        assert_eq!(help.status.code(), Some(0), "{command}");
        assert!(
            String::from_utf8_lossy(&help.stdout).contains(&format!("Usage: dayfly {command}")),
            "{command}"
        );
    }
    assert_eq!(dayfly(home.path(), &[]).status.code(), Some(2));
}
