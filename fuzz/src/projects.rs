//! Projects: everything that is read to find out what one is, what is in it and how it starts.

use pyoci::progress::Progress;
use pyoci::project::{Distribution, Packaging, Project, Settings, Surroundings};

use super::scene;

/// The files that say something of a project.
const NAMES: [&str; 18] = [
    "pyproject.toml",
    "requirements.txt",
    "Procfile",
    "setup.cfg",
    "setup.py",
    "Pipfile",
    "runtime.txt",
    ".python-version",
    ".gitignore",
    ".dockerignore",
    ".containerignore",
    "main.py",
    "manage.py",
    "app/__init__.py",
    "app/__main__.py",
    "app/.gitignore",
    "src/a/web.py",
    "LICENSE",
];

/// A project of several files: `=== NAME` begins each.
pub fn project(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    find_out(&scene::files(&text, &NAMES));
}

/// A Python source, in the places where one is read.
pub fn python_source(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for name in ["main.py", "setup.py", "app/__init__.py"] {
        find_out(&[(name.to_owned(), &text)]);
    }
}

fn find_out(files: &[(String, &str)]) {
    let directory = scene::directory();
    let root = directory.path().join("project");
    scene::write(&root.join("README"), b"");
    for (name, text) in files {
        scene::write(&root.join(name), text.as_bytes());
    }
    let project = match Project::discover(&root, Settings::default()) {
        Ok(project) => project,
        Err(error) => return drop((error.to_string(), error.hint())),
    };
    let _ = project.requirements_beside_pylock();
    let _ = project.python_preference();
    let _ = project.check_python(&scene::target());
    let distribution = match project.packaging() {
        Ok(Packaging::Static(metadata)) => Some(Distribution::Static(metadata)),
        _ => None,
    };
    project.labels(distribution.as_ref());
    let Ok(files) = project.files(&[], &Progress::silent()) else {
        return;
    };
    for shell in [false, true] {
        let surroundings = Surroundings {
            installed: &|name| name.as_str() == "uvicorn" || name.as_str() == "gunicorn",
            shell,
            unbuilt: distribution.is_none(),
        };
        let _ = project.start(&files, distribution.as_ref(), surroundings);
    }
}
