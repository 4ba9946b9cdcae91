//! How this machine stands where no sandbox helps: side channels of the hardware, pages that are shared or written out,
//! and the kernel's own switches. Nothing of it keeps functions from running; hostile tenants need all of it.

use super::report::{Check, Report, State};
use std::fs;

const VULNERABILITIES: &str = "/sys/devices/system/cpu/vulnerabilities";
const NAME: &str = "posture";

/// Settings of the kernel: where, the least value that is good, and what a smaller one gives away.
const SWITCHES: [(&str, i64, &str); 8] = [
    ("kernel.kptr_restrict", 1, "addresses of the kernel can be read by root's programs"),
    ("kernel.unprivileged_bpf_disabled", 1, "ordinary users may load programs into the kernel"),
    ("kernel.io_uring_disabled", 1, "io_uring is open to programs outside of sandboxes"),
    ("kernel.perf_event_paranoid", 2, "ordinary users may measure the kernel"),
    ("fs.protected_symlinks", 1, "links in shared folders are followed"),
    ("fs.protected_hardlinks", 1, "other people's files can be linked to"),
    ("fs.protected_fifos", 1, "other people's pipes in shared folders are written to"),
    ("fs.protected_regular", 1, "other people's files in shared folders are written to"),
];

/// Adds what this machine says of itself.
pub fn add_checks(report: &mut Report) {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let faults = fs::read_dir(VULNERABILITIES).into_iter().flatten().flatten().map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let state = read(&format!("{VULNERABILITIES}/{name}"));
        (name, state)
    });
    report.add(mitigations(faults.collect()));
    report.add(threads(&read("/sys/devices/system/cpu/smt/active")));
    report.add(merging(&read("/sys/kernel/mm/ksm/run")));
    report.add(swap(&read("/proc/swaps")));
    report.add(switches(|name| read(&format!("/proc/sys/{}", name.replace('.', "/"))).parse().ok()));
}

fn weak(found: String, fix: &str) -> Check {
    Check::new(NAME, State::Weak, found).fix(fix.to_owned())
}

fn good(found: &str) -> Check {
    Check::new(NAME, State::Good, found.to_owned())
}

fn mitigations(mut faults: Vec<(String, String)>) -> Check {
    faults.sort();
    let open = |state: &str| state.starts_with("Vulnerable") || state.starts_with("Unknown");
    let open: Vec<&str> =
        faults.iter().filter(|(_, state)| open(state)).map(|(name, _)| name.as_str()).collect();
    if faults.is_empty() {
        return weak("the kernel does not say which faults of the processor it mitigates".into(), "uname -r");
    }
    if open.is_empty() {
        return good("all faults of the processor that the kernel knows are mitigated");
    }
    let fix = "install the processor's microcode, and boot without mitigations=off";
    weak(format!("not mitigated: {}", open.join(", ")), fix)
}

fn threads(active: &str) -> Check {
    match active {
        "1" => weak(
            "two threads share a core (SMT), so functions can observe each other through it".into(),
            "echo off | sudo tee /sys/devices/system/cpu/smt/control",
        ),
        _ => good("no two threads share a core (SMT)"),
    }
}

fn merging(run: &str) -> Check {
    match run {
        "" | "0" | "2" => good("equal pages are not merged (KSM)"),
        _ => weak(
            "equal pages are merged (KSM), though never a function's: it cannot ask for it".into(),
            "echo 2 | sudo tee /sys/kernel/mm/ksm/run",
        ),
    }
}

fn swap(swaps: &str) -> Check {
    let devices: Vec<&str> =
        swaps.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    if devices.is_empty() {
        return good("no swap: nothing of memory reaches a disk");
    }
    weak(format!("memory may be written to {}; encrypt it or", devices.join(", ")), "sudo swapoff -a")
}

fn switches(value: impl Fn(&str) -> Option<i64>) -> Check {
    let is_open = |(name, least, _): &&(&str, i64, &str)| value(name).is_some_and(|found| found < *least);
    let open: Vec<_> = SWITCHES.iter().filter(is_open).collect();
    if open.is_empty() {
        return good("the kernel's switches are as they should be");
    }
    let words: Vec<String> = open.iter().map(|(name, _, loss)| format!("{name}: {loss}")).collect();
    let fix: Vec<String> = open.iter().map(|(name, least, _)| format!("{name}={least}")).collect();
    weak(words.join("; "), &format!("sudo sysctl -w {}", fix.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_gap_is_named_with_what_closes_it() {
        let fault = |name: &str, state: &str| vec![(name.to_owned(), state.to_owned())];
        let swaps = "Filename Type Size\n/dev/sdb2 partition 8";
        let cases = [
            (mitigations(fault("mds", "Mitigation: Clear CPU buffers")), State::Good, "mitigated"),
            (mitigations(fault("mds", "Not affected")), State::Good, "mitigated"),
            (mitigations(fault("retbleed", "Vulnerable: no microcode")), State::Weak, "retbleed"),
            (mitigations(Vec::new()), State::Weak, "does not say"),
            (threads("1"), State::Weak, "SMT"),
            (threads("0"), State::Good, "SMT"),
            (threads(""), State::Good, "SMT"),
            (merging("1"), State::Weak, "KSM"),
            (merging("0"), State::Good, "KSM"),
            (swap("Filename Type Size"), State::Good, "no swap"),
            (swap(swaps), State::Weak, "/dev/sdb2"),
            (switches(|_| None), State::Good, "as they should be"),
            (switches(|_| Some(2)), State::Good, "as they should be"),
            (switches(|_| Some(0)), State::Weak, "fs.protected_symlinks: links"),
            (switches(|_| Some(1)), State::Weak, "sysctl -w kernel.perf_event_paranoid=2"),
        ];
        for (check, state, found) in cases {
            let text = format!("{check:?}");
            assert!(
                text.contains(&format!("{state:?}")) && text.contains(found),
                "{text}: {state:?}, {found}"
            );
        }
    }
}
