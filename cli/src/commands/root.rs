//! `dayfly root`: root images, which sandboxes see in place of this machine's `/usr`.

use crate::commands::block_on;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::pasted;
use clap::Subcommand;
use runtimes::{Origin, RootImage, Runtimes};
use sandbox::{Launcher, LauncherOptions};
use serde_json::json;
use std::path::{Path, PathBuf};
use store::DataDir;

/// Makes root images: all that functions need of this machine, and nothing else of it. dayfly up --root DIR uses one.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What can be done with root images.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Make one of this machine's interpreters and libraries, with a list of the hashes of all its files.
    Build {
        /// The folder to make it in; it must not exist, or be empty.
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}

/// Runs it.
pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let Action::Build { folder } = args.action;
    // The launcher must start before there is a second thread, so it comes first.
    let options = LauncherOptions { arguments: vec!["__launcher".into()] };
    let launcher = Launcher::start(Path::new("/proc/self/exe"), options).map_err(|error| {
        Failure::new("interpreters cannot be looked for", error.to_string(), "dayfly doctor")
    })?;
    let scratch = std::env::temp_dir().join(format!("dayfly-root-{}", context.world.hex(8)));
    let phase = context.screen.phase("root image", "copying interpreters and libraries");
    let made = block_on(async { build(&launcher, &scratch, &folder, context).await });
    let _ = std::fs::remove_dir_all(&scratch);
    drop(phase);
    show(&made?, &folder, context);
    Ok(Exit::Done)
}

async fn build(
    launcher: &Launcher,
    scratch: &Path,
    folder: &Path,
    context: &Context,
) -> Result<RootImage, Failure> {
    let failed = |why: String| {
        Failure::new("no root image was made", why, format!("df -h && ls -la {}", pasted::path(folder)))
    };
    let data = DataDir::open(scratch).map_err(|error| failed(error.to_string()))?;
    let mut runtimes =
        Runtimes::discover(launcher, &data).await.map_err(|error| failed(error.to_string()))?;
    let beside: Vec<PathBuf> = std::env::current_exe().into_iter().collect();
    runtimes.build_root(folder, &beside, &context.world).map_err(|error| failed(error.to_string()))
}

fn show(image: &RootImage, folder: &Path, context: &Context) {
    let Origin::Made(ms) = image.origin else { return };
    let screen = context.screen;
    if screen.json {
        return screen.line(
            json!({
                "folder": folder.display().to_string(),
                "hash": image.hash,
                "files": image.files,
                "bytes": image.bytes,
                "made_in_ms": ms,
                "missing_libraries": image.missing,
            })
            .to_string(),
        );
    }
    screen.line(format!("{} files, {} bytes, made in {ms} ms", image.files, image.bytes));
    screen.line(format!("hash {}", image.hash));
    if !image.missing.is_empty() {
        screen.line(format!("named by some program and not on this machine: {}", image.missing.join(", ")));
    }
    screen.note(format!("dayfly up --root {}", pasted::path(folder)));
}
