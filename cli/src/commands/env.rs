//! `dayfly env`.

use crate::context::Context;
use crate::endpoint::Target;
use crate::failure::{Exit, Failure};
use serde_json::{Map, Value};

/// Prints the variables that point AWS SDKs and tools at this platform.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// For the fish shell: dayfly env --fish | source.
    #[arg(long, conflicts_with = "powershell")]
    fish: bool,
    /// For PowerShell: dayfly env --powershell | Invoke-Expression.
    #[arg(long)]
    powershell: bool,
}

#[derive(Debug, Clone, Copy)]
enum Shell {
    Posix,
    Fish,
    Pwsh,
}

/// Runs it.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let variables = variables(&context.target()?);
    if context.screen.json {
        let object: Map<String, Value> =
            variables.into_iter().map(|(name, value)| (name.to_owned(), Value::String(value))).collect();
        context.screen.document(&Value::Object(object));
        return Ok(Exit::Done);
    }
    let shell = match (args.fish, args.powershell) {
        (true, _) => Shell::Fish,
        (_, true) => Shell::Pwsh,
        _ => Shell::Posix,
    };
    for (name, value) in &variables {
        context.screen.line(shell.set(name, value));
    }
    // Left over from another account, these two would win over or spoil the key above.
    for name in ["AWS_SESSION_TOKEN", "AWS_PROFILE"] {
        let is_ours = variables.iter().any(|(ours, _)| *ours == name);
        if !is_ours && std::env::var_os(name).is_some() {
            context.screen.line(shell.unset(name));
        }
    }
    if context.screen.is_terminal() {
        let command = context.flags.onto("dayfly env");
        context.screen.note(format!("# to set them in this shell: eval \"$({command})\""));
    }
    Ok(Exit::Done)
}

fn variables(target: &Target) -> Vec<(&'static str, String)> {
    let mut variables = vec![
        ("AWS_ENDPOINT_URL", target.endpoint.url()),
        ("AWS_ACCESS_KEY_ID", target.credentials.access_key.clone()),
        ("AWS_SECRET_ACCESS_KEY", target.credentials.secret_key.clone()),
        ("AWS_REGION", target.region.clone()),
        ("AWS_DEFAULT_REGION", target.region.clone()),
    ];
    if let Some(token) = &target.credentials.token {
        variables.push(("AWS_SESSION_TOKEN", token.clone()));
    }
    variables
}

impl Shell {
    fn set(self, name: &str, value: &str) -> String {
        match self {
            Self::Posix => format!("export {name}='{}'", value.replace('\'', r"'\''")),
            Self::Fish => format!("set -gx {name} '{}'", value.replace('\\', r"\\").replace('\'', r"\'")),
            Self::Pwsh => format!("$env:{name} = '{}'", value.replace('\'', "''")),
        }
    }

    fn unset(self, name: &str) -> String {
        match self {
            Self::Posix => format!("unset {name}"),
            Self::Fish => format!("set -e {name}"),
            Self::Pwsh => format!("Remove-Item Env:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting() {
        let check = |shell: Shell, expected: &str| assert_eq!(shell.set("A", r"x'\y"), expected);
        check(Shell::Posix, r"export A='x'\''\y'");
        check(Shell::Fish, r"set -gx A 'x\'\\y'");
        check(Shell::Pwsh, r"$env:A = 'x''\y'");
    }
}
