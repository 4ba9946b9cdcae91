//! What protects, what is missing, and what to do about it.

/// What sandboxes on this machine are protected by, found by really making one.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Protections {
    /// 3: everything, but for the root image that only several tenants need; 2: an ordinary user's user namespaces; 1: less than that.
    pub level: u8,
    /// Each layer, present or missing.
    pub layers: Vec<Layer>,
}

/// One layer of protection.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Layer {
    /// Its name: `user namespace`, `memory limit`, `seccomp`, …
    pub name: String,
    /// Whether every sandbox has it.
    pub on: bool,
    /// Why not, where it is missing or weaker.
    pub why_missing: Option<String>,
    /// What the machine's owner can do about it.
    pub how_to_fix: Option<String>,
}

impl Protections {
    /// The layer that [`crate::Launcher::use_root`] brings, and that only several tenants need.
    pub const OWN_IMAGE: &str = "own root image";

    /// The layers that are missing.
    pub fn missing(&self) -> impl Iterator<Item = &Layer> {
        self.layers.iter().filter(|layer| !layer.on)
    }
}
