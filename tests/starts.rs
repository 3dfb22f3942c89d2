//! How projects start that do not say it: frameworks, dashboards and Procfiles, each on the port that it is given.

use std::time::Duration;

use crate::support::{Podman, Sandbox, free_port, wait_for};

/// Builds a project of `main.py` and requirements, starts it on a port of the test's choice; what `GET /` answers, and
/// how long it took to stop.
fn answer(files: &[(&str, &str)], options: &[&str]) -> (String, Duration) {
    let sandbox = Sandbox::new();
    for (name, text) in files {
        sandbox.write(&format!("app/{name}"), text);
    }
    let image = sandbox.build("app", options);
    let podman = Podman::new();
    let port = free_port();
    let container = podman.start(&image, &["-e", &format!("PORT={port}")], &[]);
    let (status, body) = wait_for(port, "/", || container.logs());
    assert_eq!(status, 200, "{body}\n{}", container.logs());
    (body, container.stop())
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn frameworks_answer_on_the_port_that_they_are_given() {
    let projects = [
        (
            "fastapi[standard-no-fastapi-cloud-cli]",
            "from fastapi import FastAPI\napp = FastAPI()\n@app.get('/')\ndef root():\n    return 'hello'\n",
        ),
        (
            "starlette\nuvicorn",
            "from starlette.applications import Starlette\nfrom starlette.responses import PlainTextResponse\n\
             from starlette.routing import Route\n\
             app = Starlette(routes=[Route('/', lambda request: PlainTextResponse('hello'))])\n",
        ),
        (
            "litestar\nuvicorn",
            "from litestar import Litestar, get\n@get('/')\nasync def root() -> str:\n    return 'hello'\n\
             app = Litestar([root])\n",
        ),
        (
            "quart",
            "from quart import Quart\napp = Quart(__name__)\n@app.get('/')\nasync def root():\n    return 'hello'\n",
        ),
        (
            "aiohttp",
            "from aiohttp import web\nasync def root(request):\n    return web.Response(text='hello')\n\
             async def create_app():\n    app = web.Application()\n    app.router.add_get('/', root)\n    return app\n",
        ),
        (
            "aiohttp\ngunicorn",
            "from aiohttp import web\nasync def root(request):\n    return web.Response(text='hello')\n\
             app = web.Application()\napp.router.add_get('/', root)\n",
        ),
    ];
    for (requirements, program) in projects {
        let (body, took) = answer(&[("requirements.txt", requirements), ("main.py", program)], &[]);
        assert!(body.contains("hello"), "{requirements}: {body}");
        assert!(
            took < Duration::from_secs(5),
            "{requirements} took {took:?} to stop"
        );
    }
}

/// An app that tells which process type it was started as, and what it was given.
const TELL: &str = "import http.server, os, sys\n\
    class Handler(http.server.BaseHTTPRequestHandler):\n\
    \x20   def do_GET(self):\n\
    \x20       self.send_response(200)\n\
    \x20       self.end_headers()\n\
    \x20       self.wfile.write(repr((sys.argv[2:], os.environ.get('A'), os.getcwd())).encode())\n\
    http.server.HTTPServer(('', int(sys.argv[1])), Handler).serve_forever()\n";

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn a_procfile_sets_variables_and_needs_no_shell() {
    let procfile =
        "release: python3 migrate.py\nweb: A=${B:-$PORT} python3 tell.py $PORT '$A' \"two words\"\n";
    let files = [("Procfile", procfile), ("tell.py", TELL)];
    let (body, _) = answer(&files, &["--env", "B=b"]);
    assert_eq!(body, "(['$A', 'two words'], 'b', '/app')");
    let files = [
        ("Procfile", "web: false\nworker: python3 tell.py $PORT w\n"),
        ("tell.py", TELL),
    ];
    let (body, _) = answer(&files, &["--process", "worker"]);
    assert_eq!(body, "(['w'], None, '/app')");
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn a_procfile_that_needs_a_shell_runs_on_a_base_with_one_and_is_refused_on_others() {
    let procfile = "web: cd data && A=\"$(echo x)\" exec python3 ../tell.py $PORT \"$HOME\"\n";
    let files = [("Procfile", procfile), ("tell.py", TELL), ("data/x", "")];
    let (body, _) = answer(&files, &["--base", "recipe:trixie-debug"]);
    assert_eq!(body, "(['/home/nonroot'], 'x', '/app/data')");
    let sandbox = Sandbox::new();
    for (name, text) in files {
        sandbox.write(&format!("app/{name}"), text);
    }
    let refused = sandbox.run(&["build", "app", "-o", "image"]).failed_with(1);
    assert!(
        refused.stderr.contains("Procfile:1: `cd data && ")
            && refused.stderr.contains("needs a shell (`cd`)")
            && refused.stderr.contains("recipe:trixie-debug"),
        "{}",
        refused.stderr
    );
}
