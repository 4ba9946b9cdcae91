//! `dayfly up`.

use crate::context::Context;
use crate::endpoint::Environment;
use crate::failure::{Exit, Failure};
use crate::figure;
use crate::pasted;
use access::RootKey;
use model::{Egress, Place};
use owo_colors::OwoColorize as _;
use sandbox::SandboxError;
use serde_json::{Value, json};
use server::{Options, Ready, Root, ServerError};
use std::path::PathBuf;
use std::time::Duration;
use store::DataDirError;
use tracing_subscriber::EnvFilter;

/// Starts the platform and serves until Ctrl-C or SIGTERM; running calls may finish then.
///
/// State lives in the data directory (--data). $DAYFLY_ROOT_ACCESS_KEY_ID and $DAYFLY_ROOT_SECRET_ACCESS_KEY set the
/// root key; without them one is drawn at the first start and kept there. $DAYFLY_LOG sets what the platform says
/// of itself, such as info or gateway=debug.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, env = "DAYFLY_LISTEN", value_name = "ADDR:PORT", default_value = "127.0.0.1:4566", value_parser = address)]
    listen: String,
    /// What stands behind ID.lambda-url. in function URLs.
    #[arg(long, value_name = "DOMAIN", default_value = "localhost", value_parser = domain)]
    base_domain: String,
    /// Calls of all functions at once [default: 1000].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    concurrency: Option<u32>,
    /// Percent of this machine's memory that instances may be promised [default: 80].
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u64).range(1..=100))]
    memory_percent: Option<u64>,
    /// Percent of this machine's memory that templates and spare instances may hold [default: 5].
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u64).range(0..=100))]
    memory_budget: Option<u64>,
    /// Fork every function's instances from a process that has loaded its code, as dayfly deploy --snapstart does for one.
    #[arg(long)]
    snapstart: bool,
    /// How long an unused instance is kept, such as 5m [default: 5m].
    #[arg(long, value_name = "SPAN", value_parser = figure::parse_span)]
    idle_timeout: Option<u64>,
    /// How often the limits of every sandbox are read back, such as 10m [default: 1h].
    #[arg(long, value_name = "SPAN", value_parser = figure::parse_span)]
    limits_check: Option<u64>,
    /// Size of all stored logs and records, such as 500MB [default: 1GB].
    #[arg(long, value_name = "SIZE", value_parser = figure::parse_bytes)]
    log_bytes: Option<u64>,
    /// Age of stored logs and records, such as 7d [default: 14d].
    #[arg(long, value_name = "SPAN", value_parser = figure::parse_span)]
    log_age: Option<u64>,
    /// How long running calls may take when the platform stops [default: 30s].
    #[arg(long, value_name = "SPAN", value_parser = figure::parse_span)]
    drain: Option<u64>,
    /// Open client connections [default: 4096].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    connections: Option<u32>,
    /// How far out any function may connect: none, platform, public or all; what a function asks for is bounded by it
    /// [default: public].
    #[arg(long, value_name = "REACH", value_parser = egress)]
    egress: Option<Egress>,
    /// minimal: do without namespaces, on a machine that lets nobody make any. Functions are then kept apart by a filter and
    /// by Landlock alone; for code that you trust.
    #[arg(long, value_name = "HOW", value_parser = ["minimal"])]
    sandbox: Option<String>,
    /// Give sandboxes a root image of their own, made of this machine's interpreters and libraries and kept in the data
    /// directory, in place of this machine's /usr.
    #[arg(long)]
    own_root: bool,
    /// Give sandboxes the root image in this folder, as dayfly root build makes them.
    #[arg(long, value_name = "DIR", conflicts_with = "own_root")]
    root: Option<PathBuf>,
    /// Run functions of people who do not trust each other: with a root image of their own, and without copies of
    /// processes that they share; refuses to start where a protection is missing.
    #[arg(long)]
    multi_tenant: bool,
    /// The region in every ARN.
    #[arg(long, default_value = "us-east-1", value_parser = region)]
    region: String,
    /// The account in every ARN, twelve digits.
    #[arg(long, default_value = "000000000000", value_parser = account)]
    account: String,
}

/// Runs it.
pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let key = root_key()?;
    let filter = EnvFilter::try_from_env("DAYFLY_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
    let options = options(args, context);
    if options.root != Root::Machine || options.multi_tenant {
        context.screen.note("the root image is made or checked first, which may take a minute");
    }
    let listen = options.listen.clone();
    server::run(options, key, |ready| banner(context, ready)).map_err(|error| explain(error, &listen))?;
    context.screen.note("stopped; what was acknowledged is on disk");
    Ok(Exit::Done)
}

/// Whether it is there, and free, shows when it is listened on.
fn address(text: &str) -> Result<String, String> {
    let fits =
        text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if fits {
        Ok(text.to_owned())
    } else {
        Err("it is an address and a port of 0 to 65535, such as 127.0.0.1:4566 or [::1]:4566".to_owned())
    }
}

fn account(text: &str) -> Result<String, String> {
    let fits = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    if fits { Ok(text.to_owned()) } else { Err("an account has twelve digits".to_owned()) }
}

/// Function ARNs hold regions of this form only (`FunctionArn` in the service model).
fn region(text: &str) -> Result<String, String> {
    let parts: Vec<&str> = text.split('-').collect();
    let fits = match parts.as_slice() {
        [area, .., number] if parts.len() >= 3 => {
            let is_word =
                |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
            (2..=4).contains(&area.len())
                && parts[..parts.len() - 1].iter().all(is_word)
                && number.len() == 1
                && number.bytes().all(|byte| byte.is_ascii_digit())
        }
        _ => false,
    };
    if fits { Ok(text.to_owned()) } else { Err("a region has a form such as us-east-1".to_owned()) }
}

/// Also for `dayfly deploy`.
pub(super) fn egress(text: &str) -> Result<Egress, String> {
    Egress::parse(text).ok_or_else(|| format!("it is one of {}", Egress::ALL.map(Egress::name).join(", ")))
}

fn domain(text: &str) -> Result<String, String> {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let fits = text.len() <= 200 && text.split('.').all(is_label);
    if fits {
        Ok(text.to_owned())
    } else {
        Err("a domain has a form such as functions.example.com".to_owned())
    }
}

fn root_key() -> Result<Option<RootKey>, Failure> {
    let names = ["DAYFLY_ROOT_ACCESS_KEY_ID", "DAYFLY_ROOT_SECRET_ACCESS_KEY"];
    let set = names.map(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    if set[0] != set[1] {
        let (there, missing) = if set[0] { (names[0], names[1]) } else { (names[1], names[0]) };
        return Err(Failure::usage(
            "the root key of the environment is incomplete",
            format!("{there} is set and {missing} is not"),
            format!("unset {there}"),
        ));
    }
    Ok(Environment::read().root.map(|(access_key, secret_key)| RootKey { access_key, secret_key }))
}

fn options(args: Args, context: &Context) -> Options {
    let usual = Options::new(context.data.clone());
    let span = |given: Option<u64>, usual: Duration| given.map_or(usual, Duration::from_secs);
    Options {
        listen: args.listen,
        base_domain: args.base_domain,
        place: Place { account: args.account, region: args.region },
        concurrency: args.concurrency.unwrap_or(usual.concurrency),
        memory_percent: args.memory_percent.unwrap_or(usual.memory_percent),
        memory_budget: args.memory_budget.unwrap_or(usual.memory_budget),
        snapstart: args.snapstart,
        idle_timeout: span(args.idle_timeout, usual.idle_timeout),
        limits_check: span(args.limits_check, usual.limits_check),
        log_bytes: args.log_bytes.unwrap_or(usual.log_bytes),
        log_age: span(args.log_age, usual.log_age),
        drain: span(args.drain, usual.drain),
        connections: args.connections.map_or(usual.connections, |count| count as usize),
        egress: args.egress.unwrap_or(usual.egress),
        minimal: args.sandbox.is_some(),
        root: match args.root {
            Some(folder) => Root::Given(folder),
            None if args.own_root => Root::Own,
            None => Root::Machine,
        },
        multi_tenant: args.multi_tenant,
        ..usual
    }
}

fn banner(context: &Context, ready: &Ready) {
    let screen = context.screen;
    if screen.json {
        return screen.line(document(ready).to_string());
    }
    screen.line(format!(
        "{} {} is ready after {} ms",
        "Dayfly".bold(),
        env!("CARGO_PKG_VERSION"),
        ready.started_in_ms
    ));
    let fact = |name: &str, text: &str| screen.line(format!("{} {text}", format!("{name:<12}").cyan()));
    fact("endpoint", &ready.endpoint);
    match &ready.key_file {
        Some(path) => {
            let command = context.flags.onto("dayfly env");
            fact("root key", &format!("{} (eval \"$({command})\" sets it)", path.display()));
        }
        None => fact("root key", "from DAYFLY_ROOT_ACCESS_KEY_ID"),
    }
    fact("data", &ready.data.display().to_string());
    fact("runtimes", &runtimes(ready));
    fact("root", &ready.root);
    let missing: Vec<&sandbox::Layer> = ready.protections.iter().filter(|layer| !layer.on).collect();
    let on = ready.protections.len() - missing.len();
    fact("protections", &format!("level {} of 3; {on} on, {} missing", ready.level, missing.len()));
    if ready.level == 1 {
        fact("minimal", MINIMAL);
    }
    for layer in &missing {
        let why = layer.why_missing.as_deref().unwrap_or("no reason is known");
        screen.line(format!("{:<12} {} {}: {why}", "", "missing".yellow(), layer.name));
    }
    let mut fixes: Vec<&str> = missing.iter().filter_map(|layer| layer.how_to_fix.as_deref()).collect();
    fixes.sort_unstable();
    fixes.dedup();
    for fix in fixes {
        screen.line(format!("{:<12} {} {}", "", "to fix:".cyan(), context.flags.onto(fix)));
    }
    if !ready.address.ip().is_loopback() {
        fact("open to", &format!("other machines, by plain HTTP, on {}", ready.address));
    }
    let next = context.flags.onto("dayfly deploy DIR");
    fact("next", &format!("{next}, from another terminal; Ctrl-C stops"));
}

/// What `--sandbox=minimal` gives up, in one line.
const MINIMAL: &str = "functions run as your own user, see each other's processes and the names of your files, and share \
                       your network ports; only a filter, Landlock and limits per process hold them: for code that you trust";

fn runtimes(ready: &Ready) -> String {
    let names = ready.runtimes.iter().map(|(name, _)| name.clone());
    let mut names: Vec<String> =
        names.chain(["any program named bootstrap", "WebAssembly components"].map(String::from)).collect();
    names.dedup();
    names.join(", ")
}

fn document(ready: &Ready) -> Value {
    let layers: Vec<Value> = ready
        .protections
        .iter()
        .map(|layer| {
            json!({
                "name": layer.name,
                "on": layer.on,
                "why_missing": layer.why_missing,
                "how_to_fix": layer.how_to_fix,
            })
        })
        .collect();
    let runtimes: Vec<Value> = ready
        .runtimes
        .iter()
        .map(|(name, path)| {
            let (language, version) = name.split_once(' ').unwrap_or((name, ""));
            json!({ "language": language, "version": version, "executable": path.display().to_string() })
        })
        .collect();
    json!({
        "ready": true,
        "version": env!("CARGO_PKG_VERSION"),
        "endpoint": ready.endpoint,
        "key_file": ready.key_file.as_ref().map(|path| path.display().to_string()),
        "data": ready.data.display().to_string(),
        "runtimes": runtimes,
        "root": ready.root,
        "protections": { "level": ready.level, "layers": layers },
        "started_in_ms": ready.started_in_ms,
        "pid": std::process::id(),
    })
}

fn explain(error: ServerError, listen: &str) -> Failure {
    let words = error.to_string();
    match error {
        ServerError::Listen { in_use: true, .. } => Failure::new(
            format!("cannot listen on {listen}"),
            "another process listens there; is Dayfly running already?",
            "dayfly up --listen 127.0.0.1:0",
        ),
        ServerError::Listen { why, .. } => {
            Failure::new(format!("cannot listen on {listen}"), why, "dayfly up --listen 127.0.0.1:4566")
        }
        ServerError::Data(DataDirError::InUse { path, pid }) => Failure::new(
            format!("the data directory {} is in use", path.display()),
            match pid {
                0 => "another process runs on it".to_owned(),
                pid => format!("process {pid} runs on it"),
            },
            if pid == 0 { "dayfly doctor".to_owned() } else { format!("ps -fp {pid}") },
        ),
        ServerError::Data(_) => Failure::new(
            "the data directory cannot be used",
            words,
            "dayfly up --data ~/.local/share/dayfly-2",
        ),
        ServerError::Keys(_) => Failure::new("the root key cannot be used", words, "dayfly up --help"),
        ServerError::Sandbox(SandboxError::Unsupported { why, fix }) => {
            let fix = if fix.starts_with("sudo ") { fix } else { format!("dayfly doctor # {fix}") };
            let hint = format!("{fix} # or, for code that you trust: dayfly up --sandbox=minimal");
            Failure::new("functions cannot be kept apart on this machine", why, hint)
        }
        ServerError::Sandbox(SandboxError::LauncherGone) => Failure::new(
            "the platform has stopped: its launcher process ended, and with it every running function",
            "somebody killed it, perhaps the kernel for memory; what was acknowledged is on disk",
            "dayfly up",
        ),
        ServerError::Sandbox(_) => Failure::new("functions cannot be sandboxed here", words, "dayfly doctor"),
        ServerError::NotForTenants(missing) => {
            let each = missing.iter().map(|layer| {
                let why = layer.why_missing.as_deref().unwrap_or("no reason is known");
                let fix = layer.how_to_fix.as_deref().unwrap_or("nothing is known to help");
                format!("{}: {why} ({fix})", layer.name)
            });
            Failure::new(
                "functions of several tenants cannot be kept apart well enough here",
                format!("missing: {}", each.collect::<Vec<_>>().join("; ")),
                "dayfly up",
            )
        }
        ServerError::Root { folder, .. } => Failure::new(
            "there is no root image to make sandboxes of",
            words,
            match folder {
                Some(folder) => format!("dayfly root build {}", pasted::path(&folder)),
                None => "df -h".to_owned(),
            },
        ),
        ServerError::File { path, .. } => Failure::new(
            "a file cannot be used",
            words,
            format!("ls -ld {0} && df -h {0}", pasted::path(&path)),
        ),
        ServerError::State(_) => {
            Failure::new("the stored state cannot be read", words, "dayfly up --data ~/.local/share/dayfly-2")
        }
        ServerError::Broken(_) => {
            Failure::new("the platform stopped: its disk failed", words, "df -h && dmesg | tail")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_addresses_and_arns_can_hold() {
        let check = |parse: fn(&str) -> Result<String, String>, good: &[&str], bad: &[&str]| {
            for text in good {
                assert_eq!(parse(text).as_deref(), Ok(*text));
            }
            for text in bad {
                assert!(parse(text).is_err(), "{text:?}");
            }
        };
        check(
            region,
            &["us-east-1", "us-gov-west-1", "eusc-de-east-1"],
            &["", "mars", "us-east", "us-east-10", "US-EAST-1", "us--1", "é-a-1"],
        );
        check(domain, &["localhost", "a.example.com"], &["", "/x", "a..b", "-a", "a b", "a:1", "a.b."]);
        check(
            address,
            &["127.0.0.1:4566", "localhost:0", "[::1]:4566", "0.0.0.0:65535"],
            &["", "nonsense", ":4566", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "4566"],
        );
        check(account, &["123456789012"], &["", "12345678901", "1234567890123", "12345678901x"]);
    }
}
