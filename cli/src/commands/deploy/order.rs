//! What the user ordered: flags over `dayfly.toml`.

use super::Args;
use crate::failure::Failure;
use crate::pasted;
use crate::recipe::{RuntimeWish, Wishes, default_name};
use crate::settings::Settings;
use model::Egress;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// An order, complete but for what the project and the platform decide.
#[derive(Debug, Clone)]
pub struct Order {
    /// Directory or program.
    pub path: PathBuf,
    /// Function name.
    pub name: String,
    /// Runtime and handler, if said.
    pub wishes: Wishes,
    /// Everything else, with flags applied, but for the environment.
    pub settings: Settings,
    /// `--env`.
    pub set: Vec<(String, String)>,
    /// `--unset`.
    pub unset: Vec<String>,
    /// Whether a public URL shall exist; not said: as it is.
    pub public: Option<bool>,
    /// Whether its reservation is given back.
    pub unreserved: bool,
    /// How far out it may connect; not said: as it is.
    pub egress: Option<Egress>,
}

/// Reads `KEY=VALUE`.
pub fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write it as KEY=VALUE".to_owned()),
    }
}

impl Order {
    /// Joins the command line and the settings file.
    pub fn read(args: Args) -> Result<Self, Failure> {
        if !args.path.exists() {
            return Err(Failure::usage(
                format!("there is no directory {}", args.path.display()),
                "dayfly deploy takes the directory of a function",
                "dayfly deploy .",
            ));
        }
        let directory = if args.path.is_file() {
            args.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
        } else {
            &args.path
        };
        let file = Settings::load(directory)?;
        let settings = Settings {
            name: args.name.or(file.name),
            runtime: args.runtime.or(file.runtime),
            handler: args.handler.or(file.handler),
            description: args.description.or(file.description),
            role: args.role.or(file.role),
            memory: args.memory.or(file.memory),
            timeout: args.timeout.or(file.timeout),
            tmp: args.tmp.or(file.tmp),
            instance_concurrency: args.instance_concurrency.or(file.instance_concurrency),
            reserved_concurrency: args
                .reserved_concurrency
                .or(file.reserved_concurrency.filter(|_| !args.no_reserved_concurrency)),
            provisioned: args.provisioned.or(file.provisioned),
            snapstart: args
                .snapstart
                .then_some(true)
                .or(args.no_snapstart.then_some(false))
                .or(file.snapstart),
            publish: args.publish.then_some(true).or(file.publish),
            public: args.public.then_some(true).or(args.private.then_some(false)).or(file.public),
            egress: args.egress.or(file.egress),
            env: file.env,
        };
        let name = settings.name.clone().or_else(|| default_name(&args.path)).ok_or_else(|| {
            Failure::usage(
                "the function has no name",
                format!("none can be made from {}", args.path.display()),
                format!("dayfly deploy {} --name hello", pasted::path(&args.path)),
            )
        })?;
        model::FunctionName::parse(&name).map_err(|error| {
            Failure::usage(
                format!("{name:?} cannot be the function's name"),
                error.to_string(),
                format!("dayfly deploy {} --name hello", pasted::path(&args.path)),
            )
        })?;
        check(&settings)?;
        let set = args.env.iter().map(|(key, _)| key);
        check_names(&args.path, set.chain(settings.env.iter().flat_map(BTreeMap::keys)))?;
        let wishes = Wishes {
            runtime: settings.runtime.as_deref().map(RuntimeWish::parse).transpose()?,
            handler: settings.handler.clone(),
        };
        Ok(Self {
            path: args.path,
            name,
            wishes,
            public: settings.public,
            egress: settings.egress,
            unreserved: args.no_reserved_concurrency,
            settings,
            set: args.env,
            unset: args.unset,
        })
    }

    /// All variables that the function shall have; `None`: those that it has.
    pub fn environment(
        &self,
        present: Option<&BTreeMap<String, String>>,
    ) -> Option<BTreeMap<String, String>> {
        if self.settings.env.is_none() && self.set.is_empty() && self.unset.is_empty() {
            return None;
        }
        let mut all = self.settings.env.clone().or_else(|| present.cloned()).unwrap_or_default();
        all.extend(self.set.iter().cloned());
        all.retain(|key, _| !self.unset.contains(key));
        Some(all)
    }
}

/// Refuses what the platform would refuse, before anything is built.
fn check(settings: &Settings) -> Result<(), Failure> {
    let ranges = [
        ("memory", settings.memory, model::limit("memory-min"), model::limit("memory-max"), "MB"),
        ("timeout", settings.timeout, 1, model::limit("timeout-max"), "seconds"),
        ("tmp", settings.tmp, 512, model::limit("tmp-max"), "MB"),
        (
            "instance-concurrency",
            settings.instance_concurrency,
            1,
            model::limit("instance-concurrency"),
            "calls at once",
        ),
    ];
    for (name, value, least, most, unit) in ranges {
        if let Some(value) = value
            && !(least..=most).contains(&u64::from(value))
        {
            return Err(Failure::usage(
                format!("{name} cannot be {value}"),
                format!("it must be {least} to {most} {unit}"),
                "dayfly limits",
            ));
        }
    }
    Ok(())
}

fn check_names<'a>(path: &Path, names: impl Iterator<Item = &'a String>) -> Result<(), Failure> {
    let fits = |name: &str| {
        name.len() >= 2
            && name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    match names.into_iter().find(|name| !fits(name)) {
        None => Ok(()),
        Some(name) => Err(Failure::usage(
            format!("{name:?} cannot be an environment variable"),
            "a name has two or more letters, digits and underscores, and begins with a letter",
            format!("dayfly deploy {} --env NAME=value", pasted::path(path)),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::{Command, Dayfly};
    use crate::recipe::trees::plant;
    use clap::Parser as _;

    fn order(toml: &str, flags: &[&str]) -> Result<Order, Failure> {
        let root = plant(&[("dayfly.toml", toml)]);
        let path = root.path().display().to_string();
        let line = ["dayfly", "deploy", &path].into_iter().chain(flags.iter().copied());
        match Dayfly::try_parse_from(line).expect("well formed").command {
            Command::Deploy(args) => Order::read(args),
            other => panic!("{other:?}"),
        }
    }

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn flags_win() {
        let both =
            order("name = 'a'\nmemory = 256\npublic = true\n", &["--name", "b", "--private"]).expect("sound");
        assert_eq!((both.name.as_str(), both.settings.memory, both.public), ("b", Some(256), Some(false)));
        let none = order("name = 'a'", &[]).expect("sound");
        assert_eq!((none.public, none.environment(None)), (None, None));
    }

    #[test]
    fn environments() {
        let check =
            |toml: &str, flags: &[&str], present: &[(&str, &str)], expected: Option<&[(&str, &str)]>| {
                let order = order(toml, flags).expect("sound");
                assert_eq!(order.environment(Some(&map(present))), expected.map(map), "{toml} {flags:?}");
            };
        let name = "name = 'a'\n";
        let file = "name = 'a'\n[env]\nAA = '1'\n";
        check(name, &[], &[("X", "9")], None);
        check(name, &["--env", "BB=2=3"], &[("X", "9")], Some(&[("BB", "2=3"), ("X", "9")]));
        check(name, &["--unset", "X"], &[("X", "9"), ("Y", "8")], Some(&[("Y", "8")]));
        check(file, &[], &[("X", "9")], Some(&[("AA", "1")]));
        check(file, &["--env", "AA=2", "--env", "BB="], &[], Some(&[("AA", "2"), ("BB", "")]));
    }

    #[test]
    fn refusals_before_any_work() {
        let check = |toml: &str, flags: &[&str], what: &str, why: &str| {
            let failure = order(toml, flags).expect_err(what);
            assert_eq!((failure.what.as_str(), failure.why.as_str()), (what, why));
        };
        check("", &["--name", "a", "--memory", "64"], "memory cannot be 64", "it must be 128 to 10240 MB");
        check("name = 'a'\ntimeout = 1000", &[], "timeout cannot be 1000", "it must be 1 to 900 seconds");
        check(
            "name = 'a'\n[env]\nA = '1'",
            &[],
            "\"A\" cannot be an environment variable",
            "a name has two or more letters, digits and underscores, and begins with a letter",
        );
        check(
            "name = 'a b'",
            &[],
            "\"a b\" cannot be the function's name",
            "\"a b\" is not a function name: use 1 to 64 letters, digits, '-' and '_'",
        );
    }
}
