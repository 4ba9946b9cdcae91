//! Unpacking asked of the launcher process, as the platform does.

use std::fs;
use std::path::Path;

use sandbox::{Launcher, LauncherOptions, UnpackError, Unpacked};

use crate::builder::{file, link, zip};
use crate::{Bench, LIMITS};

#[test]
fn the_launcher_unpacks_and_refuses() {
    let exe = Path::new(env!("CARGO_BIN_EXE_sandbox-launcher"));
    let launcher = Launcher::start(exe, LauncherOptions::default()).unwrap();
    let good = Bench::new(&zip(&[file("a/b", "x"), link("l", "a/b")]));
    let bad = Bench::new(&zip(&[file("a", "x"), file("../evil", "x")]));
    let ask = |bench: &Bench| {
        let (zip, dest) = (bench.dir.path().join("package.zip"), bench.dest());
        let launcher = &launcher;
        async move { launcher.unpack(&zip, &dest, LIMITS).await }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (unpacked, refused) = runtime.block_on(async { tokio::join!(ask(&good), ask(&bad)) });
    assert_eq!(unpacked, Ok(Unpacked { bytes: 4, entries: 3 }));
    assert_eq!(fs::read_to_string(good.dest().join("l")).unwrap(), "x");
    assert!(matches!(refused, Err(UnpackError::Refused { .. })), "{refused:?}");
    assert_eq!(bad.names(), ["package.zip"]);
    assert_eq!(runtime.block_on(ask(&good)), Err(UnpackError::Exists));
}
