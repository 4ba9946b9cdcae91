//! What this service needs of the floors below, narrow enough to stand in for them in tests.

use invoke::{Answer, Done, Engine, Provision, Refused, Snapshot};
use model::{Call, Version, VersionName};
use sandbox::{Launcher, UnpackError, UnpackLimits, Unpacked};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use wasm::{CompileError, Compiler};
use wire::BoxFuture;

/// Runs functions.
pub trait Runner: Send + Sync {
    /// Runs one call to its end.
    fn invoke<'a>(&'a self, version: &'a Arc<Version>, call: Call) -> BoxFuture<'a, Result<Done, Refused>>;

    /// The same, for callers who want nothing but the answer: they have it sooner.
    fn answer<'a>(&'a self, version: &'a Arc<Version>, call: Call) -> BoxFuture<'a, Result<Answer, Refused>>;

    /// Ends the instances of a version but those of one revision. Calls that run are let finish. `None`: the version
    /// is gone.
    fn retire(&self, version: &VersionName, keep_revision: Option<&str>);

    /// So many calls are reserved for functions of this version's account, in all.
    fn reserve(&self, _version: &Version, _calls: u32) {}

    /// So many instances of a version are kept ready from now on.
    fn promise(&self, _version: &Arc<Version>, _instances: u32) {}

    /// How that is kept.
    fn provision(&self, _version: &VersionName) -> Option<Provision> {
        None
    }

    /// Waits, no longer than `patience`, until the promised instances are there or cannot be.
    fn provisioned<'a>(&'a self, _version: &'a VersionName, _patience: Duration) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }

    /// A version may be called from now on.
    fn prepare(&self, _version: &Arc<Version>) {}

    /// Waits until its first call finds what was prepared for it, where that is a matter of a moment.
    fn prepared<'a>(&'a self, _version: &'a Arc<Version>) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }

    /// What there is of the process that a version's instances shall be copies of.
    fn snapshot(&self, _version: &Version) -> Snapshot {
        Snapshot::Missing(String::new())
    }
}

impl Runner for Engine {
    fn invoke<'a>(&'a self, version: &'a Arc<Version>, call: Call) -> BoxFuture<'a, Result<Done, Refused>> {
        Box::pin(Engine::invoke(self, version, call))
    }

    fn answer<'a>(&'a self, version: &'a Arc<Version>, call: Call) -> BoxFuture<'a, Result<Answer, Refused>> {
        Box::pin(Engine::answer(self, version, call))
    }

    fn retire(&self, version: &VersionName, keep_revision: Option<&str>) {
        match keep_revision {
            Some(_) => Engine::retire(self, version, keep_revision),
            None => Engine::forget(self, version),
        }
    }

    fn reserve(&self, version: &Version, calls: u32) {
        Engine::reserve(self, version, calls);
    }

    fn promise(&self, version: &Arc<Version>, instances: u32) {
        Engine::promise(self, version, instances);
    }

    fn provision(&self, version: &VersionName) -> Option<Provision> {
        Engine::provision(self, version)
    }

    fn provisioned<'a>(&'a self, version: &'a VersionName, patience: Duration) -> BoxFuture<'a, ()> {
        Box::pin(Engine::provisioned(self, version, patience))
    }

    fn prepare(&self, version: &Arc<Version>) {
        Engine::prepare(self, version);
    }

    fn prepared<'a>(&'a self, version: &'a Arc<Version>) -> BoxFuture<'a, ()> {
        Box::pin(Engine::prepared(self, version))
    }

    fn snapshot(&self, version: &Version) -> Snapshot {
        Engine::snapshot(self, version)
    }
}

/// Compiles the WebAssembly components of packages.
pub trait Components: Send + Sync {
    /// Compiles the one in this folder, where that was not done before.
    fn compile<'a>(&'a self, package: &'a Path) -> BoxFuture<'a, Result<(), CompileError>>;

    /// Removes what was compiled of packages that are gone.
    fn sweep(&self) -> std::io::Result<()>;
}

impl Components for Arc<Compiler> {
    fn compile<'a>(&'a self, package: &'a Path) -> BoxFuture<'a, Result<(), CompileError>> {
        Box::pin(async move { self.artifact(package).await.map(drop) })
    }

    fn sweep(&self) -> std::io::Result<()> {
        Compiler::sweep(self)
    }
}

/// Unpacks packages where they can do no harm.
pub trait Unpacker: Send + Sync {
    /// Makes the folder `dest` of the archive `zip`, whole or not at all.
    fn unpack<'a>(
        &'a self,
        zip: &'a Path,
        dest: &'a Path,
        limits: UnpackLimits,
    ) -> BoxFuture<'a, Result<Unpacked, UnpackError>>;
}

impl Unpacker for Launcher {
    fn unpack<'a>(
        &'a self,
        zip: &'a Path,
        dest: &'a Path,
        limits: UnpackLimits,
    ) -> BoxFuture<'a, Result<Unpacked, UnpackError>> {
        Box::pin(Launcher::unpack(self, zip, dest, limits))
    }
}
