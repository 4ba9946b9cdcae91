//! What the server keeps after it has given up its privileges.

use sandbox::Launcher;
use std::fs;

#[test]
fn the_server_keeps_its_files_and_nothing_else() {
    let folder = tempfile::TempDir::new().expect("a folder");
    // Capabilities belong to threads; this one stands for a whole server before it has others.
    let server = std::thread::spawn({
        let path = folder.path().to_owned();
        move || {
            Launcher::drop_server_privileges().expect("anyone may give up privileges");
            Launcher::drop_server_privileges().expect("twice is fine");
            fs::write(path.join("own"), "x").expect("its own folder is writable");
            fs::create_dir(path.join("below")).expect("its own folder is writable");
            fs::read_to_string("/proc/thread-self/status").expect("own status")
        }
    });
    let status = server.join().expect("nothing failed");
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert!(status.contains(&format!("{set}:\t0000000000000000")), "{status}");
    }
    if rustix::process::getuid().is_root() {
        assert!(status.contains("CapBnd:\t0000000000000000"), "{status}");
    } else {
        println!("not run: bounding set, which only root may empty");
    }
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
}
