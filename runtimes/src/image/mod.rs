//! Root images: all that functions may need of a machine, and nothing else of it. Made of what is on the machine, without
//! network, and checked byte by byte whenever one is to be used.

mod contents;
mod elf;
mod manifest;
mod selection;

use crate::Interpreter;
use model::Language;
use selection::{Entry, Selection};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use world::World;

/// What stands in an image's folder: its tree, its manifest, and what it was made of.
const TREE: &str = "tree";
const MANIFEST: &str = "manifest";
const SOURCE: &str = "source";
/// Changes with what is selected, and how it is written down.
const FORMAT: &str = "1";
const MAX_MANIFEST_BYTES: u64 = 64 << 20;

/// A root image that was found to be what its manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootImage {
    /// The hash of its manifest, in hexadecimal digits.
    pub hash: String,
    /// The folder that becomes `/`.
    pub tree: PathBuf,
    /// Files in it.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How it came to be here.
    pub origin: Origin,
    /// How long selecting and checking it took, in milliseconds.
    pub checked_ms: u64,
    /// Libraries that a program in it names and that this machine does not have; seldom a loss, as of drawing.
    pub missing: Vec<String>,
}

/// How an image came to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It was made just now, in so many milliseconds.
    Made(u64),
    /// An earlier start has made it, and this machine has not changed since.
    Kept,
    /// Somebody named its folder.
    Given,
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A file that cannot be read or written.
    #[error("{path}: {why}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        why: io::Error,
    },
    /// It is not what its manifest says.
    #[error("the image is damaged: {path}: {what}")]
    Damaged {
        /// Where in the image.
        path: String,
        /// What is wrong there.
        what: String,
    },
    /// Too many files and folders.
    #[error("it has more than {} files (limit root-image-files)", model::limit("root-image-files"))]
    TooMany,
    /// Too large.
    #[error("it has more than {} bytes (limit root-image-bytes)", model::limit("root-image-bytes"))]
    TooLarge,
}

impl ImageError {
    fn file(path: &Path, why: io::Error) -> Self {
        Self::File { path: path.to_owned(), why }
    }
}

/// Milliseconds since it was made.
fn stopwatch(world: &World) -> impl Fn() -> u64 {
    let begun = world.moment().0;
    move || world.moment().0.saturating_sub(begun) / 1000
}

/// The image of this machine with these interpreters: the one below `images` if the machine is as it was when that
/// one was made, else a new one, which replaces it. `beside`: programs that sandboxes are shown besides.
pub(crate) fn of_this_machine(
    images: &Path,
    interpreters: &[Interpreter],
    beside: &[PathBuf],
    world: &World,
) -> Result<RootImage, ImageError> {
    let elapsed_ms = stopwatch(world);
    let selection = select(Path::new("/"), interpreters, beside)?;
    let source = source(&selection);
    let missing: Vec<String> = selection.missing.iter().cloned().collect();
    if let Some(found) = kept(images, &source) {
        match check(&found) {
            Ok(image) => {
                return Ok(RootImage { origin: Origin::Kept, checked_ms: elapsed_ms(), missing, ..image });
            }
            Err(error) => tracing::warn!(%error, "a kept root image is made again"),
        }
    }
    let new = images.join("new");
    clear(&new)?;
    let made = make(&selection, &source, &new)?;
    for other in others(images) {
        clear(&other)?;
    }
    let folder = images.join(&made.hash);
    fs::rename(&new, &folder).map_err(|why| ImageError::file(&folder, why))?;
    Ok(RootImage { tree: folder.join(TREE), origin: Origin::Made(elapsed_ms()), ..made })
}

/// Makes the image of this machine in a folder that does not exist, or is empty.
pub(crate) fn build(
    folder: &Path,
    interpreters: &[Interpreter],
    beside: &[PathBuf],
    world: &World,
) -> Result<RootImage, ImageError> {
    let elapsed_ms = stopwatch(world);
    if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(ImageError::file(folder, io::ErrorKind::DirectoryNotEmpty.into()));
    }
    let selection = select(Path::new("/"), interpreters, beside)?;
    let made = make(&selection, &source(&selection), folder)?;
    Ok(RootImage { origin: Origin::Made(elapsed_ms()), ..made })
}

fn make(selection: &Selection, source: &str, folder: &Path) -> Result<RootImage, ImageError> {
    fs::create_dir_all(folder).map_err(|why| ImageError::file(folder, why))?;
    let (text, size) = manifest::build(Path::new("/"), &selection.entries, &folder.join(TREE))?;
    for (name, text) in [(MANIFEST, text.as_str()), (SOURCE, source)] {
        fs::write(folder.join(name), text).map_err(|why| ImageError::file(&folder.join(name), why))?;
    }
    Ok(RootImage {
        hash: manifest::digest(&text),
        tree: folder.join(TREE),
        files: size.files,
        bytes: size.bytes,
        origin: Origin::Made(0),
        checked_ms: 0,
        missing: selection.missing.iter().cloned().collect(),
    })
}

/// The image in a folder that somebody names, as this program makes them.
pub(crate) fn given(folder: &Path, world: &World) -> Result<RootImage, ImageError> {
    let begun = world.moment().0;
    let image = check(folder)?;
    Ok(RootImage { checked_ms: world.moment().0.saturating_sub(begun) / 1000, ..image })
}

fn check(folder: &Path) -> Result<RootImage, ImageError> {
    let folder = folder.canonicalize().map_err(|why| ImageError::file(folder, why))?;
    let path = folder.join(MANIFEST);
    let about = path.metadata().map_err(|why| ImageError::file(&path, why))?;
    if about.len() > MAX_MANIFEST_BYTES {
        return Err(ImageError::TooMany);
    }
    let text = fs::read_to_string(&path).map_err(|why| ImageError::file(&path, why))?;
    let tree = folder.join(TREE);
    let size = manifest::verify(&tree, &text)?;
    let hash = manifest::digest(&text);
    let (origin, missing) = (Origin::Given, Vec::new());
    Ok(RootImage { hash, tree, files: size.files, bytes: size.bytes, origin, checked_ms: 0, missing })
}

/// The folder, named by its content's hash, of the image that was made of this source.
fn kept(images: &Path, source: &str) -> Option<PathBuf> {
    others(images).into_iter().find(|folder| {
        let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
        let name = folder.file_name().unwrap_or_default();
        text(SOURCE) == source && name == manifest::digest(&text(MANIFEST)).as_str()
    })
}

fn others(images: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(images).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.file_name().is_some_and(|name| name != "new"))
        .collect()
}

fn clear(folder: &Path) -> Result<(), ImageError> {
    match fs::remove_dir_all(folder) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => Err(ImageError::file(folder, why)),
        _ => Ok(()),
    }
}

/// What an image is made of, as a hash: names, sizes and times of everything in it.
fn source(selection: &Selection) -> String {
    let mut text = format!("format {FORMAT}\n");
    for (path, entry) in &selection.entries {
        text.push_str(&format!("{} {entry:?}\n", path.display()));
    }
    manifest::digest(&text)
}

fn select(root: &Path, interpreters: &[Interpreter], beside: &[PathBuf]) -> Result<Selection, ImageError> {
    let mut chosen = Selection::of(root);
    for folder in contents::TOOL_FOLDERS {
        for tool in contents::TOOLS {
            chosen.add(&Path::new(folder).join(tool))?;
        }
    }
    for name in contents::LIBRARIES {
        chosen.library(name)?;
    }
    for path in contents::DATA {
        chosen.tree(Path::new(path), contents::NOT_OF_DATA)?;
    }
    for interpreter in interpreters {
        add(&mut chosen, interpreter)?;
    }
    chosen.close(beside)?;
    for (path, text) in sandbox::etc_files() {
        chosen.own(path, Entry::Text(text))?;
    }
    for (path, target) in sandbox::ETC_LINKS {
        chosen.own(path, Entry::Link(target.to_owned()))?;
    }
    Ok(chosen)
}

fn add(chosen: &mut Selection, interpreter: &Interpreter) -> Result<(), ImageError> {
    chosen.add(&interpreter.executable)?;
    let (major, minor, _) = interpreter.version;
    match interpreter.language {
        Language::Python => {
            for folder in ["lib", "lib64"] {
                let library = interpreter.prefix.join(folder).join(format!("python{major}.{minor}"));
                chosen.tree(&library, contents::NOT_OF_PYTHON)?;
            }
        }
        Language::Java => {
            for folder in interpreter.needs.iter().chain([&interpreter.prefix]) {
                chosen.tree(folder, contents::NOT_OF_JAVA)?;
            }
        }
        _ => {
            for folder in contents::OF_NODE {
                chosen.tree(Path::new(folder), &[])?;
            }
        }
    }
    Ok(())
}
