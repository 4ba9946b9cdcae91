//! What a survey found, in words: each layer, why it is missing, and what the machine's owner can do about it.

use super::maker::Maker;
use crate::inside::ProcView;
use crate::probe::{self, View};
use crate::step::Failure;
use crate::{Layer, Protections};
use std::fs;

/// What was found, layer by layer.
pub(super) fn protections(maker: &Maker, view: &View) -> Protections {
    let mut layers = vec![
        layer(
            "namespaces",
            !view.can_unshare,
            "the probe could make a namespace inside",
            "report this as a bug",
        ),
        layer(
            "own root file system",
            !view.root_writable && !view.host_visible,
            "the probe could write to the root or see the host",
            "report this as a bug",
        ),
        layer(
            "own user per sandbox",
            maker.identities.distinct(),
            "without root all sandboxes are the same host user, the one that runs the platform",
            "run the platform as root; it gives up its privileges after starting its launcher",
        ),
    ];
    layers.extend(of_the_process(view));
    layers.extend([
        landlock(maker.landlock_version),
        layer(
            "restricted /proc",
            maker.proc_view == ProcView::OwnProcesses,
            match maker.proc_view {
                ProcView::Absent => "the kernel refuses to mount /proc here, so sandboxes have none",
                _ => "the kernel cannot hide the system's files in /proc",
            },
            "use Linux 5.8 or newer; in a container, one whose /proc is not masked",
        ),
        layer(
            "neutral mount names",
            maker.base.veils(),
            "the kernel cannot overlay folders here, so a function can read where its package lies on the host",
            "use Linux 5.11 or newer with CONFIG_OVERLAY_FS",
        ),
        layer(
            Protections::OWN_IMAGE,
            maker.base.is_image() && view.programs.is_some() && view.programs != probe::programs(),
            "sandboxes see this machine's /usr, read-only",
            "dayfly up --own-root",
        ),
    ]);
    layers.extend(limits(&maker.unlimited()));
    let sound = |name: &str| layers.iter().any(|layer| layer.name == name && layer.on);
    let basic = ["namespaces", "own root file system", "no capabilities", "no new privileges"];
    let level = if layers.iter().all(|layer| layer.on || layer.name == Protections::OWN_IMAGE) {
        3
    } else if basic.into_iter().all(sound) {
        2
    } else {
        1
    };
    Protections { level, layers }
}

/// What a process has lost and is held by, whatever is around it.
pub(super) fn of_the_process(view: &View) -> [Layer; 3] {
    [
        layer("no capabilities", view.no_capabilities, "the probe had a capability", "report this as a bug"),
        layer(
            "no new privileges",
            view.no_new_privileges,
            "the kernel refused it",
            "use Linux 5.13 or newer",
        ),
        layer(
            "seccomp",
            view.filtered,
            "no system call filter is installed",
            "use a kernel with CONFIG_SECCOMP_FILTER",
        ),
    ]
}

/// What makes each controller of control groups usable.
pub(super) const DELEGATE: &str = "run the platform as root, or as a systemd service with Delegate=yes";
/// What makes all of Landlock usable.
pub(super) const NEWER_LANDLOCK: &str =
    "use Linux 6.12 or newer with CONFIG_SECURITY_LANDLOCK, and landlock in the lsm= boot option";

/// What control groups limit, and what else does where they cannot.
fn limits(missing: &[(&str, String)]) -> impl Iterator<Item = Layer> {
    let controllers = [
        (
            "memory",
            "memory limit",
            "; instead memory is looked at ten times a second, and limited per process",
        ),
        ("cpu", "cpu limit", ""),
        ("pids", "process limit", "; instead each sandbox has a limit per user, which is its own"),
    ];
    controllers.into_iter().map(|(controller, name, instead)| {
        let why = missing.iter().find(|(missing, _)| *missing == controller);
        layer(name, why.is_none(), &why.map_or(String::new(), |(_, why)| format!("{why}{instead}")), DELEGATE)
    })
}

fn landlock(version: i32) -> Layer {
    const SCOPES_SINCE: i32 = 6;
    let mut layer = layer("landlock", version > 0, "the kernel has no Landlock", NEWER_LANDLOCK);
    if (1..SCOPES_SINCE).contains(&version) {
        let weaker = "this kernel's Landlock does not scope signals and abstract sockets; namespaces do";
        (layer.why_missing, layer.how_to_fix) = (Some(weaker.to_owned()), Some(NEWER_LANDLOCK.to_owned()));
    }
    layer
}

/// Settings of the kernel that keep ordinary users from making user namespaces.
#[derive(Debug, Default)]
pub(super) struct Switches {
    root: bool,
    max_user_namespaces: Option<u64>,
    unprivileged_userns_clone: Option<u64>,
    apparmor_restrict_unprivileged_userns: Option<u64>,
}

impl Switches {
    /// As they stand; absent where the kernel has no such setting.
    pub(super) fn read() -> Self {
        let number = |path: &str| fs::read_to_string(format!("/proc/sys/{path}")).ok()?.trim().parse().ok();
        Self {
            root: rustix::process::getuid().is_root(),
            max_user_namespaces: number("user/max_user_namespaces"),
            unprivileged_userns_clone: number("kernel/unprivileged_userns_clone"),
            apparmor_restrict_unprivileged_userns: number("kernel/apparmor_restrict_unprivileged_userns"),
        }
    }

    /// A command that turns the switch back on by which user namespaces are off, if one is.
    fn on_again(&self) -> Option<&'static str> {
        match self {
            Self { max_user_namespaces: Some(0), .. } => {
                Some("sudo sysctl -w user.max_user_namespaces=65536")
            }
            Self { unprivileged_userns_clone: Some(0), root: false, .. } => {
                Some("sudo sysctl -w kernel.unprivileged_userns_clone=1")
            }
            Self { apparmor_restrict_unprivileged_userns: Some(1), root: false, .. } => {
                Some("sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0")
            }
            _ => None,
        }
    }

    /// A command that makes user namespaces possible again, as far as it can be known.
    pub(super) fn fix(&self) -> &'static str {
        self.on_again().unwrap_or(if self.root {
            "in a container: docker run --privileged"
        } else {
            "sudo dayfly up # or, in a container: docker run --security-opt seccomp=unconfined \
             --security-opt systempaths=unconfined"
        })
    }

    /// The same for who does without them by choice: whether that is needed, an attempt says.
    pub(super) fn fix_of_choice(&self) -> &'static str {
        self.on_again().unwrap_or("dayfly up # without --sandbox=minimal")
    }
}

/// No sandbox can be made.
pub(super) fn nothing(failure: &Failure, switches: &Switches) -> Protections {
    let (step, source) = (&failure.step, failure.source());
    let why = match step.as_str() {
        "launcher" | "network" | "clone" => {
            format!("user, mount, process and network namespaces cannot be made ({step}: {source})")
        }
        _ => format!("a sandbox cannot be made: {step} failed: {source}"),
    };
    Protections { level: 0, layers: vec![layer("namespaces", false, &why, switches.fix())] }
}

pub(super) fn layer(name: &str, on: bool, why: &str, fix: &str) -> Layer {
    let unless_on = |text: &str| (!on).then(|| text.to_owned());
    Layer { name: name.to_owned(), on, why_missing: unless_on(why), how_to_fix: unless_on(fix) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fix_names_the_switch_that_is_off() {
        let open = Switches {
            root: false,
            max_user_namespaces: Some(65_536),
            unprivileged_userns_clone: Some(1),
            apparmor_restrict_unprivileged_userns: Some(0),
        };
        let cases = [
            (
                Switches { max_user_namespaces: Some(0), ..Switches::default() },
                "user.max_user_namespaces=65536",
            ),
            (
                Switches { unprivileged_userns_clone: Some(0), ..Switches::default() },
                "unprivileged_userns_clone=1",
            ),
            (
                Switches { apparmor_restrict_unprivileged_userns: Some(1), ..Switches::default() },
                "apparmor_restrict_unprivileged_userns=0",
            ),
            (
                Switches { root: true, unprivileged_userns_clone: Some(0), ..Switches::default() },
                "--privileged",
            ),
            (open, "sudo dayfly up"),
            (Switches::default(), "sudo dayfly up"),
        ];
        let failure = Failure::new("launcher", &std::io::Error::from_raw_os_error(libc::EPERM));
        for (switches, expected) in cases {
            let found = nothing(&failure, &switches);
            let fix = found.layers[0].how_to_fix.clone().unwrap_or_default();
            assert!(found.level == 0 && fix.contains(expected), "{switches:?}: {fix}");
            assert!(found.layers[0].why_missing.as_ref().unwrap().contains("namespaces cannot be made"));
            let chosen = switches.fix_of_choice();
            assert_eq!(chosen == fix, fix.contains("sysctl"), "{switches:?}: {chosen}");
        }
    }
}
