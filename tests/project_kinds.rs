//! Projects as their tools lay them out: built untouched, and started.

mod support;

use support::{Podman, Sandbox};

const SETUP: &str = "from setuptools import setup\n\
    setup(name='old-school', version='2.0', py_modules=['old'], install_requires=['six==1.17.0'],\n\
    \x20     extras_require={'colour': ['termcolor==3.1.0']}, entry_points={'console_scripts': ['old=old:main']})\n";
const OLD: &str = "def main():\n    import importlib.util, six\n    \
    print('six', six.__version__, importlib.util.find_spec('termcolor') is not None)\n";

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn a_project_of_setup_py_alone_with_its_extras() {
    let sandbox = Sandbox::new();
    sandbox.write("old/setup.py", SETUP);
    sandbox.write("old/old.py", OLD);
    let podman = Podman::new();
    let image = sandbox.build("old", &[]);
    assert_eq!(podman.output(&image, &[], &[]), "six 1.17.0 False\n");
    let image = sandbox.build("old", &["--extra", "colour"]);
    assert_eq!(podman.output(&image, &[], &[]), "six 1.17.0 True\n");
}
