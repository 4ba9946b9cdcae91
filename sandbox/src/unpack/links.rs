//! Symbolic links of a package: relative ones that stay inside it, whatever other links they pass.

use std::collections::BTreeMap;

use super::UnpackError;
use super::tree::{Node, Path, Tree};

/// The longest target, in bytes.
pub(super) const LONGEST_TARGET_BYTES: u64 = 1024;

/// Names looked at for all links of a package together.
const MOST_STEPS: u32 = 4_000_000;

/// Links followed for one link, as in the kernel.
const MOST_HOPS: u32 = 40;

/// Judges every link; `targets` has one for each link of the tree.
pub(super) fn check(tree: &Tree, targets: &BTreeMap<Path, Vec<u8>>) -> Result<(), UnpackError> {
    let mut steps = 0;
    for (path, target) in targets {
        check_text(path, target)?;
        let mut walk = Walk { tree, targets, at: Vec::new(), hops: 0, steps: &mut steps };
        walk.follow(path).map_err(|why| UnpackError::entry(path, why))?;
    }
    Ok(())
}

fn check_text(path: &[u8], target: &[u8]) -> Result<(), UnpackError> {
    let refuse = |why: &str| Err(UnpackError::entry(path, why));
    match target {
        [] => refuse("it is a symbolic link to nothing"),
        [b'/', ..] => refuse("it is an absolute symbolic link"),
        target if target.contains(&0) => refuse("it is a symbolic link with a zero byte in its target"),
        _ => Ok(()),
    }
}

/// The kernel's walk along a path, in a tree that is not written yet.
struct Walk<'a> {
    tree: &'a Tree,
    targets: &'a BTreeMap<Path, Vec<u8>>,
    /// Where it stands, below the root.
    at: Path,
    hops: u32,
    steps: &'a mut u32,
}

impl Walk<'_> {
    fn follow(&mut self, path: &[u8]) -> Result<(), &'static str> {
        let mut ahead: Vec<&[u8]> = parts(path).collect();
        while let Some(part) = ahead.pop() {
            *self.steps += 1;
            if *self.steps > MOST_STEPS {
                return Err("the package's symbolic links are too tangled");
            }
            match part {
                b"" | b"." => continue,
                b".." => self.up()?,
                name => self.down(name),
            }
            if let Some(Node::Link { .. }) = self.tree.nodes.get(&self.at) {
                self.hops += 1;
                if self.hops > MOST_HOPS {
                    return Err("it is a symbolic link that goes round in circles");
                }
                let target = self.targets.get(&self.at).ok_or("it is a symbolic link without a target")?;
                self.up()?;
                ahead.extend(parts(target));
            }
        }
        Ok(())
    }

    fn up(&mut self) -> Result<(), &'static str> {
        if self.at.is_empty() {
            return Err("it is a symbolic link that leads out of the package");
        }
        let parent = self.at.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        self.at.truncate(parent);
        Ok(())
    }

    fn down(&mut self, name: &[u8]) {
        if !self.at.is_empty() {
            self.at.push(b'/');
        }
        self.at.extend_from_slice(name);
    }
}

/// The names of a path, the last one first.
fn parts(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.rsplit(|byte| *byte == b'/')
}
