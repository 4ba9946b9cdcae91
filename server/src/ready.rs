//! What a platform that has started says of itself.

use sandbox::Layer;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The content of the banner.
#[derive(Debug, Clone)]
pub struct Ready {
    /// `http://addr:port`.
    pub endpoint: String,
    /// The address that is listened on.
    pub address: SocketAddr,
    /// The data directory.
    pub data: PathBuf,
    /// The file that holds the root key; `None` where the environment gave the key.
    pub key_file: Option<PathBuf>,
    /// Interpreters, such as `python 3.12.1`, with their paths.
    pub runtimes: Vec<(String, PathBuf)>,
    /// 3: everything is on; lower: see `protections`.
    pub level: u8,
    /// What sandboxes see as `/`, in words.
    pub root: String,
    /// Every layer of protection, present or missing.
    pub protections: Vec<Layer>,
    /// From the start of the process until it was ready.
    pub started_in_ms: u64,
}
