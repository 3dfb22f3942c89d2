//! The start command of projects of many kinds.

use std::collections::BTreeSet;

use super::*;
use crate::progress::Progress;
use crate::project::{Packaging, Settings};

const FASTAPI: &str = "from fastapi import FastAPI\napp = FastAPI()\n";
const FLASK: &str = "import flask as f\napp: f.Flask = f.Flask(__name__)\n";
const MANAGE: &str =
    "import os\ndef main():\n    os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site1.settings.prod')\n";

fn start_with(files: &[(&str, &str)], installed: &[&str], settings: Settings) -> Result<Start, Error> {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }
    let project = Project::discover(directory.path(), settings)?;
    let files = project.files(&[], &Progress::silent())?;
    let distribution = match project.packaging()? {
        Packaging::Static(metadata) => Some(Distribution::Static(metadata)),
        _ => None,
    };
    let installed: BTreeSet<PackageName> = installed.iter().map(|name| name.parse().unwrap()).collect();
    let surroundings = Surroundings {
        installed: &|name| installed.contains(name),
        shell: files.tree.get("base-has-a-shell").is_some(),
        unbuilt: false,
    };
    project.start(&files, distribution.as_ref(), surroundings)
}

/// The command for these files and packages, joined by blanks.
fn command(files: &[(&str, &str)], installed: &[&str]) -> String {
    let start = start_with(files, installed, Settings::default()).unwrap();
    assert!(!start.reason.is_empty());
    start.command.join(" ")
}

#[test]
fn what_is_said_wins() {
    let settings = Settings {
        entrypoint: Some(vec!["x".into()]),
        ..Settings::default()
    };
    let pyproject = ("pyproject.toml", "[tool.pyoci]\nentrypoint = 'y z'\n");
    let start = start_with(&[pyproject, ("main.py", "")], &[], settings).unwrap();
    assert_eq!(
        (start.command.join(" ").as_str(), start.reason.as_str()),
        ("x", "--entrypoint")
    );
    let start = start_with(&[pyproject, ("main.py", "")], &[], Settings::default()).unwrap();
    assert_eq!(
        (start.command.join(" ").as_str(), start.reason.as_str()),
        ("y z", "[tool.pyoci] entrypoint")
    );
}

#[test]
fn a_procfile_comes_before_what_is_guessed() {
    let procfile = "# c\nworker: w\nweb: exec gunicorn 'my app:app' -b :$PORT\n";
    assert_eq!(
        command(&[("Procfile", procfile), ("main.py", "")], &[]),
        "PORT=${PORT:-8000} gunicorn my app:app -b :${PORT:-8000}"
    );
    assert_eq!(
        command(
            &[("Procfile", "release: migrate\nworker: A=1 celery -A 'x$Y' \\$Z\n")],
            &[]
        ),
        "A=1 celery -A x$$Y $$Z"
    );
    let error = start_with(&[("Procfile", "web: a && b\n")], &[], Settings::default()).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("Procfile:1") && message.contains("needs a shell"),
        "{message}"
    );
}

#[test]
fn a_procfile_that_needs_a_shell_gets_the_one_of_the_base() {
    let files = [
        ("Procfile", "web: cd src && gunicorn a:b -b :$PORT\n"),
        ("base-has-a-shell", ""),
    ];
    let start = start_with(&files, &[], Settings::default()).unwrap();
    let script = ": \"$${PORT:=8000}\"; export PORT; cd src && gunicorn a:b -b :$$PORT";
    assert_eq!(start.command, ["/bin/sh", "-c", script]);
}

#[test]
fn the_process_that_is_asked_for_is_taken_or_missed() {
    let settings = Settings {
        process: Some("worker".into()),
        ..Settings::default()
    };
    let procfile = ("Procfile", "web: w\nworker: python3 -m celery worker\n");
    let start = start_with(&[procfile], &[], settings.clone()).unwrap();
    assert_eq!(start.command.join(" "), "python3 -m celery worker");
    let error = start_with(&[("Procfile", "web: w\n")], &[], settings.clone()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no process `worker`: Procfile has web"
    );
    let error = start_with(&[("main.py", "")], &[], settings).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no process `worker`: the project has no Procfile"
    );
}

#[test]
fn the_only_console_script_or_the_one_named_like_the_project() {
    let with = |scripts: &str| {
        let text = format!("[project]\nname='my-tool'\nversion='1'\n[project.scripts]\n{scripts}");
        command(&[("pyproject.toml", &text), ("main.py", "")], &[])
    };
    assert_eq!(with("run = 'a:b'"), "run");
    assert_eq!(with("run = 'a:b'\nmy_tool = 'a:c'"), "my_tool");
    assert_eq!(with("run = 'a:b'\nother = 'a:c'"), "python3 main.py");
}

#[test]
fn django_runs_on_the_server_that_is_locked() {
    let files = [
        ("manage.py", MANAGE),
        ("site1/wsgi.py", ""),
        ("site1/asgi.py", ""),
        ("site1/settings/prod.py", ""),
    ];
    let port = "${PORT:-8000}";
    assert_eq!(
        command(&files, &["django", "gunicorn", "uvicorn"]),
        format!("python3 -m gunicorn --bind 0.0.0.0:{port} site1.wsgi:application")
    );
    assert_eq!(
        command(&files, &["uvicorn"]),
        format!("python3 -m uvicorn site1.asgi:application --host 0.0.0.0 --port {port}")
    );
    assert_eq!(
        command(&files, &[]),
        format!("python3 manage.py runserver --noreload 0.0.0.0:{port}")
    );
    let named = [
        ("src/manage.py", MANAGE),
        ("src/site1/settings/prod.py", "WSGI_APPLICATION = 'x.y.app'\n"),
    ];
    let start = start_with(&named, &["gunicorn"], Settings::default()).unwrap();
    assert_eq!(start.command.last().unwrap(), "x.y:app");
    assert_eq!(start.import_roots, ["src"]);
}

#[test]
fn asgi_and_wsgi_objects_are_found_by_parsing() {
    let port = "--host 0.0.0.0 --port ${PORT:-8000}";
    for (file, text, installed, expected) in [
        (
            "main.py",
            FASTAPI,
            "uvicorn",
            format!("python3 -m uvicorn main:app {port}"),
        ),
        (
            "pkg/app.py",
            FASTAPI,
            "uvicorn",
            format!("python3 -m uvicorn pkg.app:app {port}"),
        ),
        (
            "src/pkg/__init__.py",
            FASTAPI,
            "uvicorn",
            format!("python3 -m uvicorn pkg:app {port}"),
        ),
        (
            "app.py",
            FLASK,
            "gunicorn",
            "python3 -m gunicorn --bind 0.0.0.0:${PORT:-8000} app:app".into(),
        ),
        (
            "app.py",
            FLASK,
            "flask",
            format!("python3 -m flask --app app:app run {port}"),
        ),
        (
            "main.py",
            "from fastapi import FastAPI as F\ntry:\n    api = F()\nexcept X:\n    pass\n",
            "hypercorn",
            "python3 -m hypercorn --bind 0.0.0.0:${PORT:-8000} main:api".into(),
        ),
        (
            "app.py",
            "def create_app(config=None):\n    from flask import Flask\n    app = Flask('x')\n    return app\n",
            "gunicorn",
            "python3 -m gunicorn --bind 0.0.0.0:${PORT:-8000} app:create_app()".into(),
        ),
        (
            "wsgi.py",
            "from pkg import create_app\napp = create_app()\n",
            "waitress",
            "python3 -m waitress --listen=0.0.0.0:${PORT:-8000} wsgi:app".into(),
        ),
        (
            "src/pkg/main.py",
            FASTAPI,
            "fastapi-cli",
            format!("python3 -m fastapi run src/pkg/main.py --app app {port}"),
        ),
        (
            "app.py",
            "from dash import Dash\napp = Dash()\nserver = app.server\n",
            "gunicorn",
            "python3 -m gunicorn --bind 0.0.0.0:${PORT:-8000} app:server".into(),
        ),
        (
            "app.py",
            "from aiohttp import web\nasync def create_app():\n    app = web.Application()\n    return app\n",
            "gunicorn",
            "python3 -m gunicorn --bind 0.0.0.0:${PORT:-8000} --worker-class aiohttp.GunicornWebWorker app:create_app".into(),
        ),
        (
            "main.py",
            "from aiohttp.web import Application\napp = Application()\n",
            "aiohttp",
            "python3 -c from aiohttp import web; from main import app; web.run_app(app, host='0.0.0.0', port=${PORT:-8080})".into(),
        ),
        (
            "main.py",
            "import fastapi\ndef make() -> fastapi.FastAPI:\n    return fastapi.FastAPI()\n",
            "uvicorn",
            format!("python3 -m uvicorn main:make {port} --factory"),
        ),
    ] {
        assert_eq!(command(&[(file, text)], &[installed]), expected, "{file}: {text}");
    }
}

#[test]
fn what_only_looks_like_an_application_is_none() {
    for text in [
        "class FastAPI: pass\napp = FastAPI()\n",
        "from fastapi import FastAPI\nasync def f():\n    return FastAPI()\n",
        "from fastapi import FastAPI\ndef f(x):\n    return FastAPI()\n",
        "from fastapi import FastAPI\nif __name__ == '__main__':\n    app = FastAPI()\n",
        "this is no python\n",
    ] {
        assert_eq!(
            command(&[("main.py", text)], &["uvicorn"]),
            "python3 main.py",
            "{text}"
        );
    }
    assert_eq!(command(&[("main.py", FASTAPI)], &["fastapi"]), "python3 main.py");
}

#[test]
fn a_directory_that_is_no_package_can_be_imported_from_too() {
    let start = start_with(&[("app/main.py", FASTAPI)], &["uvicorn"], Settings::default()).unwrap();
    assert_eq!(start.command[3], "app.main:app");
    assert_eq!(start.import_roots, ["app"]);
}

#[test]
fn dashboards_packages_and_plain_files_come_last() {
    let streamlit = command(&[("app.py", "import streamlit as st\n")], &["streamlit"]);
    assert!(
        streamlit.starts_with("python3 -m streamlit run app.py --server.address 0.0.0.0"),
        "{streamlit}"
    );
    assert!(
        streamlit.ends_with("--global.developmentMode false"),
        "{streamlit}"
    );
    let gradio = command(&[("app.py", "import gradio as gr\n")], &["gradio"]);
    assert!(
        gradio.ends_with("GRADIO_SERVER_PORT=${GRADIO_SERVER_PORT:-${PORT:-7860}} python3 app.py"),
        "{gradio}"
    );
    let dash = command(&[("app.py", "import dash\n")], &["dash"]);
    assert_eq!(dash, "HOST=${HOST:-0.0.0.0} PORT=${PORT:-8050} python3 app.py");
    assert_eq!(
        command(&[("pkg/__main__.py", ""), ("main.py", "")], &[]),
        "python3 -m pkg"
    );
    assert_eq!(
        command(
            &[("a/__main__.py", ""), ("b/__main__.py", ""), ("app.py", "")],
            &[]
        ),
        "python3 app.py"
    );
    assert_eq!(
        command(&[("src/main.py", ""), ("app.py", "")], &[]),
        "python3 src/main.py"
    );
}

#[test]
fn nothing_to_start_lists_what_was_seen() {
    let files = [("a/__main__.py", ""), ("b/__main__.py", ""), ("tool.py", "")];
    let error = start_with(&files, &[], Settings::default()).unwrap_err();
    let hint = error.hint().unwrap();
    assert!(
        hint.contains("--entrypoint") && hint.contains("__main__.py: a, b") && hint.contains("tool.py"),
        "{hint}"
    );
}

#[test]
fn the_only_program_is_taken_and_before_it_the_file_named_like_the_project() {
    const PROGRAM: &str = "def f(): pass\nif __name__ == '__main__':\n    f()\n";
    let pyproject = ("pyproject.toml", "[project]\nname = 'my-tool'\nversion = '1'\n");
    let files = [
        ("convert.py", PROGRAM),
        ("helpers.py", "x = 1\n"),
        ("noxfile.py", PROGRAM),
        pyproject,
    ];
    assert_eq!(command(&files, &[]), "python3 convert.py");
    let files = [("convert.py", PROGRAM), ("src/my_tool.py", "x = 1\n"), pyproject];
    assert_eq!(command(&files, &[]), "python3 src/my_tool.py");
    assert!(start_with(&[("a.py", PROGRAM), ("b.py", PROGRAM)], &[], Settings::default()).is_err());
}

#[test]
fn the_only_file_is_what_the_hint_proposes() {
    let files = [("convert.py", "print()"), ("setup.py", "")];
    let settings = Settings {
        package: Some(false),
        ..Settings::default()
    };
    let hint = start_with(&files, &[], settings).unwrap_err().hint().unwrap();
    assert!(
        hint.starts_with("say it: --entrypoint \"python3 convert.py\";"),
        "{hint}"
    );
}

#[test]
fn scripts_that_are_declared_serve_while_the_wheel_is_not_built() {
    for (file, text) in [
        (
            "setup.cfg",
            "[metadata]\nname = x\n[options.entry_points]\nconsole_scripts =\n    run = a:b\n\n[x]\n y = z\n",
        ),
        (
            "setup.py",
            "from setuptools import setup\nsetup(entry_points={'console_scripts': ['run = a:b']})\n",
        ),
        (
            "setup.py",
            "import setuptools\nsetuptools.setup(entry_points={'console_scripts': '''\nrun=a:b\n'''})\n",
        ),
        ("pyproject.toml", "[tool.poetry.scripts]\nrun = 'a:b'\n"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        fs_err::write(directory.path().join(file), text).unwrap();
        fs_err::write(directory.path().join("main.py"), "").unwrap();
        let project = Project::discover(directory.path(), Settings::default()).unwrap();
        let files = project.files(&[], &Progress::silent()).unwrap();
        let surroundings = Surroundings {
            installed: &|_| false,
            shell: false,
            unbuilt: true,
        };
        let start = project.start(&files, None, surroundings).unwrap();
        assert_eq!(start.command, ["run"], "{text}");
    }
}
