//! `dayfly deploy`: recognise, build, compare, and change only what differs.

mod apply;
mod choose;
mod order;
mod plan;
mod promised;
mod public;
mod published;
mod way_out;

use crate::api::{lambda, platform};
use crate::client::Client;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::layer::Layers;
use crate::package::{self, Package, Zip};
use crate::pasted;
use crate::recipe::{self, Bench, Recipe};
use crate::{figure, home};
use apply::Outcome;
use choose::Choice;
use clap::ArgAction;
use order::Order;
use plan::Desired;
use public::Public;
use published::Published;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Deploys a function: recognises what DIR holds, builds the package, creates or updates the function.
///
/// The same options can stand in DIR/dayfly.toml, named alike; flags win. Options that are given nowhere keep their
/// present value. Files that .gitignore or .dayflyignore name are not packed.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The function's directory, a program named bootstrap, a jar, or a WebAssembly component (.wasm).
    #[arg(default_value = ".", value_name = "DIR")]
    path: PathBuf,
    /// Function name [default: the directory's name].
    #[arg(long)]
    name: Option<String>,
    /// Set an environment variable; repeat for more.
    #[arg(long, value_name = "KEY=VALUE", value_parser = order::variable)]
    env: Vec<(String, String)>,
    /// Remove an environment variable; repeat for more.
    #[arg(long, value_name = "KEY")]
    unset: Vec<String>,
    /// Megabytes, 128 to 10240 [default: 128].
    #[arg(long, value_name = "MB")]
    memory: Option<u32>,
    /// Seconds, 1 to 900 [default: 3].
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u32>,
    /// Megabytes of /tmp, 512 to 10240 [default: 512].
    #[arg(long, value_name = "MB")]
    tmp: Option<u32>,
    /// Calls that one instance may serve at the same time, 1 to 1600, of Python 128 [default: 1].
    #[arg(long, value_name = "CALLS")]
    instance_concurrency: Option<u32>,
    /// Calls at once that are reserved for it, and the most that it gets; 0 stops it.
    #[arg(long, value_name = "CALLS", conflicts_with = "no_reserved_concurrency")]
    reserved_concurrency: Option<u32>,
    /// Share the account's concurrency with all others.
    #[arg(long, action = ArgAction::SetTrue)]
    no_reserved_concurrency: bool,
    /// Instances that are kept ready, however long nobody calls; 0: none.
    #[arg(long, value_name = "INSTANCES")]
    provisioned: Option<u32>,
    /// What to call, such as app.handler.
    #[arg(long)]
    handler: Option<String>,
    /// A runtime such as python3.12, nodejs22.x or java21, or just the language [default: the newest that fits].
    #[arg(long)]
    runtime: Option<String>,
    /// ARN of the execution role.
    #[arg(long, value_name = "ARN")]
    role: Option<String>,
    /// Free text.
    #[arg(long)]
    description: Option<String>,
    /// Start instances as copies of a process that has loaded the code.
    #[arg(long, action = ArgAction::SetTrue, conflicts_with = "no_snapstart")]
    snapstart: bool,
    /// Load the code in every instance.
    #[arg(long, action = ArgAction::SetTrue)]
    no_snapstart: bool,
    /// Publish a version as well: it stays as it is, and NAME:NUMBER calls it.
    #[arg(long, action = ArgAction::SetTrue)]
    publish: bool,
    /// Let anybody call the function by URL.
    #[arg(long, action = ArgAction::SetTrue, conflicts_with = "private")]
    public: bool,
    /// Remove the public URL.
    #[arg(long, action = ArgAction::SetTrue)]
    private: bool,
    /// How far out it may connect: none, platform, public or all [default: platform].
    #[arg(long, value_name = "REACH", value_parser = super::up::egress)]
    egress: Option<model::Egress>,
    /// Install dependencies anew instead of taking those kept from before.
    #[arg(long)]
    refresh: bool,
}

/// Runs it.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let screen = context.screen;
    let refresh = args.refresh;
    let order = Order::read(args)?;
    let recipe = recipe::recognise(&order.path, &order.wishes)?;
    screen.fact("recognised", format!("{} function {}: {}", language(&recipe), recipe.handler, recipe.why));
    for note in &recipe.notes {
        screen.warn(note);
    }
    let client = context.client()?;
    let status = platform::status(&client).await.map_err(Failure::from)?;
    let present = match lambda::configuration(&client, &order.name).await {
        Ok(present) => Some(present),
        Err(error) if error.is_not_found() => None,
        Err(error) => return Err(error.into()),
    };
    let current = present.as_ref().map(|present| present.runtime.as_str());
    let choice = choose::runtime(&recipe, order.wishes.runtime.as_ref(), &status.runtimes, current)?;
    screen.fact("runtime", format!("{}, {}", choice.runtime.identifier, choice.why));
    let bench = Bench {
        layers: &Layers::new(&home::cache(), context.world.clone()),
        screen: &screen,
        runtime: &choice.runtime,
        interpreter: local(&client, &choice),
        fresh: refresh,
    };
    let package = recipe.build(&bench)?;
    let project = if order.path.is_file() { order.path.parent().unwrap_or(&order.path) } else { &order.path };
    let zip = pack(context, &package, project)?;
    let mut desired = Desired::new(&order, &recipe, &choice, present.as_ref());
    desired.machine =
        format!("arn:aws:lambda:{}:{}:capacity-provider:dayfly", client.target().region, status.account);
    let site = apply::Site { client: &client, context, name: &order.name, account: &status.account };
    let outcome = apply::apply(&site, present.as_ref(), &desired, &zip).await?;
    let published = match order.settings.publish {
        Some(true) => Some(published::settle(&site, outcome.configuration()).await?),
        Some(false) | None => None,
    };
    let public = public::settle(&client, &order.name, order.public).await?;
    let way_out = way_out::settle(&client, outcome.configuration(), order.egress).await?;
    let promised = promised::settle(&client, &order).await?;
    let also = way_out.into_iter().chain(promised).collect();
    Done { name: &order.name, recipe: &recipe, desired: &desired, outcome, published, public, also }
        .show(context);
    Ok(Exit::Done)
}

/// What a deployment came to.
struct Done<'a> {
    name: &'a str,
    recipe: &'a Recipe,
    desired: &'a Desired,
    outcome: Outcome,
    published: Option<Published>,
    public: Public,
    /// What changed besides.
    also: Vec<String>,
}

fn language(recipe: &Recipe) -> &'static str {
    match recipe.language {
        model::Language::Python => "a Python",
        model::Language::Node => "a Node",
        model::Language::Java => "a Java",
        model::Language::Provided => "a compiled",
        model::Language::Wasm => "a WebAssembly",
    }
}

/// The platform's interpreter, if the platform runs on this machine and the file is there.
fn local<'a>(client: &Client, choice: &'a Choice) -> Option<&'a Path> {
    let executable = choice.executable.as_deref()?;
    (client.target().endpoint.is_here() && executable.is_file()).then_some(executable)
}

fn pack(context: &Context, package: &Package, project: &Path) -> Result<Zip, Failure> {
    let screen = context.screen;
    package.check(project)?;
    if package.bytes() > package::LARGE {
        for (name, bytes) in package.heaviest(5).into_iter().filter(|(_, bytes)| *bytes > package::HEAVY) {
            screen.warn(format!("{:>8}  {name}", figure::bytes(bytes)));
        }
    }
    let phase = screen.phase("package", "packing");
    let zip = package.zip(project)?;
    phase.done(format!(
        "{}, {}, {} zipped",
        figure::count(package.len(), "file"),
        figure::bytes(package.bytes()),
        figure::bytes(zip.bytes.len() as u64)
    ));
    Ok(zip)
}

impl Done<'_> {
    fn show(&self, context: &Context) {
        let screen = context.screen;
        let name = self.name;
        if screen.json {
            return screen.document(&self.document(context));
        }
        let changes = self.changes();
        match (&self.outcome, changes.is_empty()) {
            (Outcome::Unchanged(_), true) => screen.line(format!("{name} unchanged: nothing was uploaded")),
            (Outcome::Created(_), _) => screen.line(format!("{name} created")),
            (_, _) => screen.line(format!("{name} updated: {}", changes.join("; "))),
        }
        if let Some(published) = &self.published {
            let call = context.flags.onto(&format!("dayfly invoke {}", published.name()));
            screen.line(format!("also  {} ({call})", published.words()));
        }
        match (self.public.by_path(), self.public.by_host()) {
            (Some(path), Some(host)) => {
                screen.line(format!("url   {path}"));
                screen.line(format!("      {host}"));
                screen.line(format!("next  curl {}", pasted::word(path)));
            }
            _ => screen.line(format!("next  {}", self.next(context))),
        }
    }

    fn next(&self, context: &Context) -> String {
        context.flags.onto(&format!("dayfly invoke {}", self.name))
    }

    fn changes(&self) -> Vec<String> {
        let mut changes = self.outcome.changes();
        changes.extend(self.public.change());
        changes.extend(self.also.iter().cloned());
        changes
    }

    fn document(&self, context: &Context) -> serde_json::Value {
        let configuration = self.outcome.configuration();
        json!({
            "function": self.name,
            "action": self.outcome.action(),
            "changes": self.changes(),
            "recognised": self.recipe.why,
            "runtime": self.desired.runtime,
            "handler": self.desired.handler,
            "code_sha256": configuration.code_sha256,
            "arn": configuration.function_arn,
            "published": self.published.as_ref().map(Published::document),
            "url": self.public.by_path(),
            "url_by_host": self.public.by_host(),
            "next": self.next(context),
        })
    }
}
