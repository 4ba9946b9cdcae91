//! What sandboxes see as `/`.

use crate::ServerError;
use runtimes::{Origin, RootImage, Runtimes};
use sandbox::Launcher;
use std::path::PathBuf;
use store::DataDir;
use world::World;

/// Where the root of sandboxes comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Root {
    /// This machine's own `/usr` and what belongs to it, read-only.
    #[default]
    Machine,
    /// An image made of it, kept in the data directory.
    Own,
    /// The image in a folder.
    Given(PathBuf),
}

/// Makes sandboxes of a root image from now on, where one is wanted. Nothing else has asked for a sandbox yet.
pub(crate) async fn settle(
    root: &Root,
    launcher: &mut Launcher,
    runtimes: &mut Runtimes,
    data: &DataDir,
    world: &World,
) -> Result<Option<RootImage>, ServerError> {
    let given = match root {
        Root::Machine => return Ok(None),
        Root::Own => None,
        Root::Given(folder) => Some(folder.as_path()),
    };
    // Workers of components are this very program.
    let beside: Vec<PathBuf> = std::env::current_exe().into_iter().collect();
    let image = runtimes
        .own_root(data, given, &beside, world)
        .map_err(|why| ServerError::Root { folder: given.map(Into::into), why })?;
    launcher.use_root(&image.tree).await?;
    Ok(Some(image))
}

/// An image, in the words of the banner.
pub(crate) fn describe(image: &RootImage) -> String {
    let (mb, files) = (image.bytes / 1_000_000, image.files);
    let name = image.hash.get(..12).unwrap_or(&image.hash);
    match image.origin {
        Origin::Made(ms) => format!("own image {name}: {files} files, {mb} MB, made in {ms} ms"),
        Origin::Kept => {
            format!("own image {name}: {files} files, {mb} MB, checked in {} ms", image.checked_ms)
        }
        Origin::Given => {
            format!("given image {name}: {files} files, {mb} MB, checked in {} ms", image.checked_ms)
        }
    }
}
