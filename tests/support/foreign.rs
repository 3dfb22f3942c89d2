//! Bases as somebody else might have made them, with umoci.

use std::path::Path;
use std::process::Command;

use super::process::run;
use super::sandbox::{Built, Sandbox};

/// Gives an image another root file system and config.
pub fn change(sandbox: &Sandbox, image: &Built, change: impl Fn(&Path), settings: &[&str]) {
    let source = format!("{}:{}", image.layout.display(), image.tag);
    let bundle = sandbox.path("bundle");
    let umoci = |arguments: &[&str]| run(Command::new("umoci").args(arguments)).succeeded();
    let directory = bundle.to_str().unwrap();
    umoci(&["unpack", "--rootless", "--image", &source, directory]);
    change(&bundle.join("rootfs"));
    umoci(&["repack", "--image", &source, directory]);
    umoci(&[&["config", "--image", &source], settings].concat());
}

/// Moves Python 3.13 to where Docker's official images have theirs, and removes the app.
pub fn python_to_usr_local(root: &Path) {
    let (from, to) = (root.join("usr"), root.join("usr/local"));
    fs_err::create_dir_all(to.join("bin")).unwrap();
    fs_err::create_dir_all(to.join("lib")).unwrap();
    for name in ["bin/python3.13", "lib/python3.13"] {
        fs_err::rename(from.join(name), to.join(name)).unwrap();
    }
    for name in ["python3", "python"] {
        let _ = fs_err::remove_file(from.join("bin").join(name));
        std::os::unix::fs::symlink("python3.13", to.join("bin").join(name)).unwrap();
    }
    fs_err::remove_dir_all(root.join("app")).unwrap();
}
