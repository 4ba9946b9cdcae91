//! A disk that fails to make a write durable: the platform acknowledges nothing more, says why, and ends; its next
//! start finds what was acknowledged. The failure is made at a fail point, which only debug builds have.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

fn dayfly(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dayfly"));
    command.env_clear().env("HOME", home).env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// A platform on `home`, ended with its owner.
struct Platform(Child);

impl Platform {
    /// Starts it, with a fail point armed where one is given, and waits until it is ready.
    fn start(home: &Path, fail_point: Option<&str>) -> Self {
        let mut command = dayfly(home);
        command
            .args(["up", "--json", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.envs(fail_point.map(|point| ("DAYFLY_FAIL_POINT", point)));
        let mut platform = Self(command.spawn().expect("the binary runs"));
        let mut banner = String::new();
        let stdout = platform.0.stdout.as_mut().expect("is piped");
        BufReader::new(stdout).read_line(&mut banner).expect("readable");
        assert!(banner.contains("\"ready\":true"), "{banner}{}", platform.said());
        platform
    }

    /// What it wrote to standard error until it ended.
    fn said(&mut self) -> String {
        let mut said = String::new();
        self.0.stderr.as_mut().expect("is piped").read_to_string(&mut said).expect("text");
        said
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn deploy(home: &Path, name: &str) -> Output {
    let folder = home.join("function");
    dayfly(home).args(["deploy", "--name", name]).arg(folder).output().expect("the binary runs")
}

#[test]
fn a_failed_write_ends_the_platform_and_loses_nothing_acknowledged() {
    if !cfg!(debug_assertions) {
        println!("skipped: release builds have no fail points");
        return;
    }
    let home = tempfile::tempdir().expect("a directory");
    let home = home.path();
    std::fs::create_dir(home.join("function")).expect("made");
    std::fs::write(home.join("function/bootstrap"), "#!/bin/sh\nexit 3\n").expect("written");
    {
        // The first deployment commits that there is a package and a function, the second only its function.
        let mut platform = Platform::start(home, Some("commit.before-write=error@3"));
        let first = deploy(home, "first");
        assert!(first.status.success(), "{first:?}");
        let second = deploy(home, "second");
        assert_eq!(second.status.code(), Some(1), "{second:?}");
        let said = platform.said();
        assert_eq!(platform.0.wait().expect("it ends").code(), Some(1), "{said}");
        assert!(said.contains("the platform stopped: its disk failed"), "{said}");
        assert!(said.contains("\"hint\":"), "{said}");
    }
    let _platform = Platform::start(home, None);
    let listed = dayfly(home).args(["list", "--json"]).output().expect("the binary runs");
    let listed = String::from_utf8_lossy(&listed.stdout);
    assert!(listed.contains("\"name\":\"first\"") && !listed.contains("\"name\":\"second\""), "{listed}");
    assert!(deploy(home, "second").status.success());
}
