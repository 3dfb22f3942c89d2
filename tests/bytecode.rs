//! `--compile`: the image starts from byte-code, its own and the standard library's, always the same.

mod support;

use support::{Podman, Sandbox};

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn compiled_images_load_byte_code_that_nobody_checks_again() {
    let sandbox = Sandbox::new();
    sandbox.write("app/requirements.txt", "six==1.17.0\n");
    sandbox.write(
        "app/main.py",
        "import json, sys, six\nprint(six.__cached__, json.__cached__)\n",
    );
    let image = sandbox.build("app", &["--compile"]);
    let podman = Podman::new();
    let paths = "/deps/__pycache__/six.cpython-313.pyc /usr/lib/python3.13/json/__pycache__/__init__.cpython-313.pyc\n";
    assert_eq!(podman.output(&image, &["--read-only"], &[]), paths);
    // `-v` tells where each module's code came from.
    let loud = podman
        .run(&image, &["-e", "PYTHONVERBOSE=1", "--read-only"], &[])
        .succeeded();
    for module in [
        "/deps/__pycache__/six",
        "/usr/lib/python3.13/json/__pycache__/__init__",
    ] {
        let from = format!("code object from '{module}.cpython-313.pyc'");
        assert!(loud.stderr.contains(&from), "{module} was compiled anew");
    }
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn byte_code_made_anew_from_nothing_is_the_same() {
    let sandbox = Sandbox::new();
    sandbox.write("app/requirements.txt", "six==1.17.0\n");
    sandbox.write("app/main.py", "import six\n");
    let with = sandbox.build("app", &["--compile"]);
    let cold = Sandbox::cold();
    cold.write("app/requirements.txt", "six==1.17.0\n");
    cold.write("app/main.py", "import six\n");
    assert_eq!(with.digest, cold.build("app", &["--compile"]).digest);
}
