//! `cargo xtask secure --vm`: the tests that `tests/checks.toml` lists under `vm`, under another kernel: Debian's own, in
//! a virtual machine, with control groups v2 and all their controllers. Nothing of it is installed on this machine, and
//! neither root nor KVM is needed. What the machine runs are this machine's own programs, which it sees read-only.

mod ground;
mod guest;

use super::list;
use super::run::{self, Answer, Answers};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const MACHINE: &str = "qemu-system-x86_64";

/// Builds, boots, and prints a line for every test. `only`: tests whose name has one of these in it; empty: all.
pub(super) fn run(root: &Path, target: &Path, only: &[&str]) -> Result<(), String> {
    if run::found(MACHINE).is_none() && !ground::install(&["qemu-system-x86"]) {
        println!("not run: all of them: there is no {MACHINE}; install it: apt-get install qemu-system-x86");
        return Ok(());
    }
    let tests = list::read_vm(root)?;
    let wanted = |test: &str| only.is_empty() || only.iter().any(|text| test.contains(text));
    let tests: Vec<&String> = tests.iter().filter(|test| wanted(test)).collect();
    let mut programs: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for test in &tests {
        let (program, name) = test.split_once("::").ok_or_else(|| format!("{test} names no test"))?;
        programs.entry(program).or_default().insert(name);
    }
    if programs.is_empty() {
        return Err(format!("no test has {} in its name", only.join(" or ")));
    }
    let (python, rust): (BTreeMap<_, _>, _) =
        programs.into_iter().partition(|(program, _)| program.starts_with("tests/"));
    let binary =
        std::env::var_os("DAYFLY_BINARY").map_or_else(|| target.join("release/dayfly"), PathBuf::from);
    if !python.is_empty() && !binary.exists() {
        return Err(format!("there is no {}; build it: cargo build --release", binary.display()));
    }
    let errands = guest::errands(root, target, &binary, &rust, &python)?;
    let ground =
        ground::prepare(&target.join("vm"), &guest::script(&errands), &shares(root, target, &binary))?;
    println!("== booting {} for {} tests", ground.kernel.display(), tests.len());
    let said = boot(&ground)?;
    let heard = guest::heard(&said);
    let mut answers = Answers::new();
    for (program, names) in &rust {
        let of = run::of_cargo(heard.get(*program).map_or("", String::as_str), names);
        answers.extend(of.into_iter().map(|(name, cases)| (format!("{program}::{name}"), cases)));
    }
    answers.extend(run::of_pytest(heard.get(guest::PYTEST).map_or("", String::as_str), &python));
    report(&tests, &answers, &said)
}

/// Folders that the virtual machine sees under the same name, besides the system's own.
fn shares(root: &Path, target: &Path, binary: &Path) -> Vec<PathBuf> {
    let mut shares = vec![root.to_owned(), target.to_owned()];
    shares.extend(binary.parent().map(Path::to_owned));
    shares.extend(root.join(".test").canonicalize());
    shares
}

/// Runs the virtual machine until it powers off, printing what it says of its progress.
fn boot(ground: &ground::Ground) -> Result<String, String> {
    use std::io::{BufRead, BufReader, Write};
    let path = ground.image.with_file_name("console.log");
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut log = std::fs::File::create(&path).map_err(failed)?;
    println!("   all that it says: {}", path.display());
    let mut machine = Command::new("timeout");
    machine.args([guest::BOOT_SECONDS.to_string().as_str(), MACHINE]);
    machine.args(["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "3072"]);
    machine.args(["-nic", "none", "-nographic", "-no-reboot"]);
    machine.arg("-kernel").arg(&ground.kernel).arg("-initrd").arg(&ground.image);
    machine.args(["-append", "console=ttyS0 quiet loglevel=1 panic=-1 no_timer_check cgroup_no_v1=all"]);
    machine.args(["-fsdev", "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap"]);
    machine.args(["-device", "virtio-9p-pci,fsdev=host,mount_tag=host"]);
    let started = machine.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut machine = started.map_err(|error| format!("{MACHINE}: {error}"))?;
    let mut said = String::new();
    let mut lines = BufReader::new(machine.stdout.take().ok_or("its console cannot be read")?);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).map_err(|error| format!("its console: {error}"))? > 0 {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        if let Some(progress) = text.strip_prefix("@@ ") {
            println!("   {progress}");
        }
        writeln!(log, "{text}").map_err(failed)?;
        said.push_str(&text);
        said.push('\n');
        line.clear();
    }
    machine.wait().map_err(|error| format!("{MACHINE}: {error}"))?;
    Ok(said)
}

fn report(tests: &[&String], answers: &Answers, said: &str) -> Result<(), String> {
    if !said.contains("@@ kernel ") {
        return Err("the virtual machine did not come up; its console log says why".into());
    }
    let mut failed = 0;
    for test in tests {
        let cases = answers.get(*test).map_or(&[][..], Vec::as_slice);
        let bad = cases.iter().find(|(_, answer)| *answer == Answer::Failed);
        let skipped = cases.iter().find_map(|(_, answer)| match answer {
            Answer::Skipped(why) => Some(why.as_str()),
            _ => None,
        });
        let (word, why) = match (cases.is_empty(), bad, skipped) {
            (true, ..) => ("FAIL", "it did not run, or not to its end"),
            (_, Some((case, _)), _) => ("FAIL", case.as_str()),
            (.., Some(why)) if cases.iter().any(|(_, answer)| *answer == Answer::Passed) => ("partly", why),
            (.., Some(why)) => ("not run", why),
            _ => ("pass", ""),
        };
        failed += usize::from(word == "FAIL");
        println!("{word:<8} {test} {why}");
    }
    if failed == 0 { Ok(()) } else { Err(format!("{failed} tests failed in the virtual machine")) }
}
