//! ASGI and WSGI: an application object found by parsing, and a server among the dependencies.

use super::scripts::is_identifier;
use super::{Clues, Start, below, of_words, parent};
use crate::project::python_source::{Made, Module};

/// What a framework's application speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Interface {
    Asgi,
    Wsgi,
    /// aiohttp's own.
    Aiohttp,
}

/// Classes and functions that make an application, where they are imported from.
const CONSTRUCTORS: [(&str, Interface); 31] = [
    ("fastapi.FastAPI", Interface::Asgi),
    ("fastapi.applications.FastAPI", Interface::Asgi),
    ("starlette.applications.Starlette", Interface::Asgi),
    ("litestar.Litestar", Interface::Asgi),
    ("litestar.app.Litestar", Interface::Asgi),
    ("quart.Quart", Interface::Asgi),
    ("quart.app.Quart", Interface::Asgi),
    ("sanic.Sanic", Interface::Asgi),
    ("falcon.asgi.App", Interface::Asgi),
    ("blacksheep.Application", Interface::Asgi),
    ("blacksheep.server.Application", Interface::Asgi),
    ("ninja.NinjaAPI", Interface::Asgi),
    ("connexion.AsyncApp", Interface::Asgi),
    ("connexion.FlaskApp", Interface::Asgi),
    ("channels.routing.ProtocolTypeRouter", Interface::Asgi),
    ("django.core.asgi.get_asgi_application", Interface::Asgi),
    ("a2wsgi.WSGIMiddleware", Interface::Asgi),
    ("asgiref.wsgi.WsgiToAsgi", Interface::Asgi),
    ("gradio.mount_gradio_app", Interface::Asgi),
    ("socketio.ASGIApp", Interface::Asgi),
    ("dash.Dash.server", Interface::Wsgi),
    ("dash.dash.Dash.server", Interface::Wsgi),
    ("aiohttp.web.Application", Interface::Aiohttp),
    ("flask.Flask", Interface::Wsgi),
    ("flask.app.Flask", Interface::Wsgi),
    ("apiflask.APIFlask", Interface::Wsgi),
    ("flask_openapi3.OpenAPI", Interface::Wsgi),
    ("bottle.Bottle", Interface::Wsgi),
    ("bottle.default_app", Interface::Wsgi),
    ("falcon.App", Interface::Wsgi),
    ("django.core.wsgi.get_wsgi_application", Interface::Wsgi),
];

/// Modules that hold an application by custom, in the order in which they are looked at.
const MODULES: [&str; 10] = [
    "main",
    "app",
    "asgi",
    "wsgi",
    "server",
    "api",
    "application",
    "web",
    "webapp",
    "run",
];

/// Directories that hold no application.
const NO_PACKAGES: [&str; 9] = [
    "tests",
    "test",
    "docs",
    "doc",
    "examples",
    "scripts",
    "migrations",
    "benchmarks",
    "tools",
];

/// Servers for an interface, the preferred one first.
fn servers(interface: Interface) -> &'static [&'static str] {
    match interface {
        Interface::Asgi => &["uvicorn", "hypercorn", "granian", "daphne"],
        Interface::Wsgi => &["gunicorn", "waitress", "hypercorn", "granian"],
        Interface::Aiohttp => &["gunicorn"],
    }
}

struct Application {
    file: String,
    /// Dotted name of the module, importable from `root`.
    module: String,
    made: Made,
    interface: Interface,
}

pub(super) fn start(clues: &mut Clues<'_>) -> Option<Start> {
    for (file, root) in candidates(clues) {
        let Some(application) = clues
            .module(&file)
            .and_then(|module| find(clues, &module, &file, root))
        else {
            continue;
        };
        if let Some(mut start) = command(clues, &application) {
            start.import_roots.extend(import_roots(clues, &application, root));
            return Some(start);
        }
        let Application { made, interface, .. } = &application;
        clues.seen.push(format!(
            "{file}: {} is a {}, but none of {} is among the dependencies",
            made.name,
            made.constructor,
            servers(*interface).join(", ")
        ));
    }
    None
}

/// Files that may hold an application, and the directory that they are imported from.
fn candidates(clues: &Clues<'_>) -> Vec<(String, &'static str)> {
    let mut files: Vec<(String, &'static str)> = Vec::new();
    let roots = clues.roots();
    for root in &roots {
        files.extend(MODULES.map(|module| (below(root, &format!("{module}.py")), *root)));
    }
    for root in &roots {
        for name in clues.list(root) {
            let Some(package) = name.strip_suffix('/') else {
                continue;
            };
            if !is_identifier(package) || NO_PACKAGES.contains(&package) || below(root, package) == "src" {
                continue;
            }
            let package = below(root, package);
            files.extend(MODULES.map(|module| (format!("{package}/{module}.py"), *root)));
            files.push((format!("{package}/__init__.py"), *root));
        }
    }
    files.retain(|(file, _)| clues.has(file));
    files
}

/// The application of a module: one named `app` or `application`, else the first; objects before factories.
fn find(clues: &Clues<'_>, module: &Module, file: &str, root: &str) -> Option<Application> {
    let applications = module.made().into_iter().filter_map(|made| {
        let interface = interface(clues, &made, file)?;
        let served = !made.is_async || interface == Interface::Aiohttp;
        served.then_some((made, interface))
    });
    let rank = |made: &Made| {
        let usual = match made.name.as_str() {
            "app" | "application" => 0,
            "create_app" | "make_app" | "get_app" | "build_app" => 1,
            _ if made.factory => 3,
            _ => 2,
        };
        (made.factory, usual)
    };
    let (made, interface) = applications.min_by_key(|(made, _)| rank(made))?;
    let inside = file.strip_prefix(root).unwrap_or(file).trim_start_matches('/');
    let module = inside
        .trim_end_matches(".py")
        .trim_end_matches("/__init__")
        .replace('/', ".");
    Some(Application {
        file: file.to_owned(),
        module,
        made,
        interface,
    })
}

/// What an object speaks: by what made it; one that a factory of the project made, by the module's name or the
/// framework that is installed.
fn interface(clues: &Clues<'_>, made: &Made, file: &str) -> Option<Interface> {
    let known = CONSTRUCTORS
        .iter()
        .find(|(constructor, _)| *constructor == made.constructor);
    if let Some((_, interface)) = known {
        return Some(*interface);
    }
    let called = made.constructor.rsplit('.').next().unwrap_or_default();
    let is_factory = [
        "create_app",
        "make_app",
        "get_app",
        "build_app",
        "create_application",
    ]
    .contains(&called);
    if made.factory || !is_factory || !["app", "application"].contains(&made.name.as_str()) {
        return None;
    }
    if file.ends_with("asgi.py") {
        return Some(Interface::Asgi);
    }
    if file.ends_with("wsgi.py") {
        return Some(Interface::Wsgi);
    }
    let installed = |names: &[&str]| names.iter().any(|name| clues.is_installed(name));
    let asgi = installed(&["fastapi", "starlette", "litestar", "quart"]);
    let wsgi = installed(&["flask", "bottle"]);
    match (asgi, wsgi) {
        (true, false) => Some(Interface::Asgi),
        (false, true) => Some(Interface::Wsgi),
        _ => None,
    }
}

fn command(clues: &Clues<'_>, application: &Application) -> Option<Start> {
    let Application {
        module,
        made,
        interface,
        file,
    } = application;
    let object = format!("{module}:{}", made.name);
    if *interface == Interface::Aiohttp {
        return Some(aiohttp(clues, application));
    }
    if made.constructor.starts_with("fastapi.") && !made.factory && clues.is_installed("fastapi-cli") {
        return Some(fastapi_run(clues, file, &made.name));
    }
    let what = made.constructor.rsplit('.').next().unwrap_or_default();
    let makes = if made.factory { "makes" } else { "is" };
    let found = format!("{} in {file} {makes} a {what}", made.name);
    let asgi = *interface == Interface::Asgi;
    if let Some(server) = servers(*interface)
        .iter()
        .find(|server| clues.is_installed(server))
    {
        let reason = format!("{found}, and {server} is among the dependencies");
        return Some(serve(server, &object, asgi, made.factory, reason));
    }
    let own = |words: &[&str], server: &str| Some(of_words(words, format!("{found}; {server}")));
    if clues.is_installed("flask") && !asgi && what != "App" && !what.starts_with("Bottle") {
        let words = [
            "python3",
            "-m",
            "flask",
            "--app",
            &object,
            "run",
            "--host",
            "0.0.0.0",
            "--port",
            "${PORT:-8000}",
        ];
        return own(
            &words,
            "no server (gunicorn, ...) is among the dependencies: Flask's development server",
        );
    }
    if made.constructor == "sanic.Sanic" {
        let words = [
            "python3",
            "-m",
            "sanic",
            &object,
            "--host",
            "0.0.0.0",
            "--port",
            "${PORT:-8000}",
        ];
        return own(&words, "sanic is its own server");
    }
    None
}

/// FastAPI's own command; it finds out itself where the file is imported from.
fn fastapi_run(clues: &Clues<'_>, file: &str, name: &str) -> Start {
    let argument = clues.argument(file);
    let words = [
        "python3",
        "-m",
        "fastapi",
        "run",
        &argument,
        "--app",
        name,
        "--host",
        "0.0.0.0",
        "--port",
        "${PORT:-8000}",
    ];
    let reason = format!("{name} in {file} is a FastAPI, and fastapi-cli is among the dependencies");
    of_words(&words, reason)
}

/// aiohttp speaks neither ASGI nor WSGI: gunicorn with its worker, else its own server.
fn aiohttp(clues: &Clues<'_>, application: &Application) -> Start {
    let Application {
        file, module, made, ..
    } = application;
    let makes = if made.factory { "makes" } else { "is" };
    let found = format!("{} in {file} {makes} an aiohttp application", made.name);
    let name = &made.name;
    if clues.is_installed("gunicorn") {
        // The worker awaits a coroutine function itself.
        let call = if made.factory && !made.is_async { "()" } else { "" };
        let words = [
            "python3",
            "-m",
            "gunicorn",
            "--bind",
            "0.0.0.0:${PORT:-8000}",
            "--worker-class",
            "aiohttp.GunicornWebWorker",
            &format!("{module}:{name}{call}"),
        ];
        return of_words(&words, format!("{found}, and gunicorn is among the dependencies"));
    }
    let call = if made.factory { "()" } else { "" };
    let code = format!(
        "from aiohttp import web; from {module} import {name}; web.run_app({name}{call}, host='0.0.0.0', port=${{PORT:-8080}})"
    );
    of_words(
        &["python3", "-c", &code],
        format!("{found}: aiohttp is its own server"),
    )
}

/// The command that serves `module:object`.
pub(super) fn serve(server: &str, object: &str, asgi: bool, factory: bool, reason: String) -> Start {
    let called = if factory {
        format!("{object}()")
    } else {
        object.to_owned()
    };
    let interface = if asgi { "asgi" } else { "wsgi" };
    let mut words: Vec<&str> = match server {
        "uvicorn" => vec!["uvicorn", object, "--host", "0.0.0.0", "--port", "${PORT:-8000}"],
        "gunicorn" => vec!["gunicorn", "--bind", "0.0.0.0:${PORT:-8000}", &called],
        "hypercorn" => vec!["hypercorn", "--bind", "0.0.0.0:${PORT:-8000}", &called],
        "daphne" => vec!["daphne", "-b", "0.0.0.0", "-p", "${PORT:-8000}", object],
        "waitress" => vec!["waitress", "--listen=0.0.0.0:${PORT:-8000}", object],
        "granian" => {
            vec![
                "granian",
                "--interface",
                interface,
                "--host",
                "0.0.0.0",
                "--port",
                "${PORT:-8000}",
                object,
            ]
        }
        other => vec![other, object],
    };
    if factory && matches!(server, "uvicorn" | "granian") {
        words.push("--factory");
    }
    if factory && server == "waitress" {
        words.insert(1, "--call");
    }
    let mut all = vec!["python3", "-m"];
    all.extend(words);
    of_words(&all, reason)
}

/// Where the module is imported from, and its own directory if that is no package: both ways of importing its
/// neighbours (`from app.models`, `from models`) then work, as they do for FastAPI's and uvicorn's commands.
fn import_roots(clues: &Clues<'_>, application: &Application, root: &str) -> Vec<String> {
    let mut roots = Vec::new();
    if !root.is_empty() {
        roots.push(root.to_owned());
    }
    let directory = parent(&application.file);
    if directory != root && !clues.has(&below(directory, "__init__.py")) {
        roots.push(directory.to_owned());
    }
    roots
}
