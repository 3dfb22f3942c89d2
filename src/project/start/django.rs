//! Django: `manage.py` names the settings, the settings' package has `wsgi.py` and `asgi.py`.

use super::{Clues, Start, below, of_words, parent};

/// Servers in the order of preference, and whether each wants ASGI.
const SERVERS: [(&str, bool); 6] = [
    ("gunicorn", false),
    ("uvicorn", true),
    ("hypercorn", true),
    ("daphne", true),
    ("waitress", false),
    ("granian", true),
];

pub(super) fn start(clues: &mut Clues<'_>) -> Option<Start> {
    let manage = find_manage(clues)?;
    let root = parent(&manage).to_owned();
    let settings = clues
        .module(&manage)
        .and_then(|module| module.text_after("DJANGO_SETTINGS_MODULE"));
    let Some(settings) = settings else {
        clues
            .seen
            .push(format!("{manage}: names no DJANGO_SETTINGS_MODULE"));
        return None;
    };
    for (server, asgi) in SERVERS {
        if !clues.is_installed(server) {
            continue;
        }
        let Some(object) = object(clues, &root, &settings, asgi) else {
            let kind = if asgi { "asgi.py" } else { "wsgi.py" };
            clues
                .seen
                .push(format!("{manage}: {server} is installed, but there is no {kind}"));
            continue;
        };
        let reason = format!("{manage} is Django's, and {server} is among the dependencies");
        let mut start = super::web::serve(server, &object, asgi, false, reason);
        if !root.is_empty() {
            start.import_roots.push(root);
        }
        return Some(start);
    }
    // The development server is better than no answer, and the reason says what to do.
    let argument = clues.argument(&manage);
    let reason = format!(
        "{manage} is Django's; no server (gunicorn, uvicorn, ...) is among the dependencies: its development server"
    );
    Some(of_words(
        &[
            "python3",
            &argument,
            "runserver",
            "--noreload",
            "0.0.0.0:${PORT:-8000}",
        ],
        reason,
    ))
}

/// `manage.py` at the top, in `src`, or in the one directory that has it.
fn find_manage(clues: &mut Clues<'_>) -> Option<String> {
    for file in ["manage.py", "src/manage.py"] {
        if clues.has(file) {
            return Some(file.to_owned());
        }
    }
    let directories = clues.list("").into_iter().filter(|name| name.ends_with('/'));
    let mut found: Vec<String> = directories
        .map(|directory| format!("{directory}manage.py"))
        .filter(|file| clues.has(file))
        .collect();
    if found.len() > 1 {
        clues
            .seen
            .push(format!("several manage.py: {}", found.join(", ")));
        return None;
    }
    found.pop()
}

/// The `module:object` of the application: what the settings name, else the module beside or above the settings.
fn object(clues: &Clues<'_>, root: &str, settings: &str, asgi: bool) -> Option<String> {
    let (variable, name) = if asgi {
        ("ASGI_APPLICATION", "asgi")
    } else {
        ("WSGI_APPLICATION", "wsgi")
    };
    let file = below(root, &settings.replace('.', "/"));
    for file in [format!("{file}.py"), format!("{file}/__init__.py")] {
        let named = clues.module(&file).and_then(|module| module.text_of(variable));
        if let Some((module, object)) = named.as_deref().and_then(|text| text.rsplit_once('.')) {
            return Some(format!("{module}:{object}"));
        }
    }
    let mut package = settings;
    while let Some((above, _)) = package.rsplit_once('.') {
        let module = format!("{above}.{name}");
        if clues.has(&format!("{}.py", below(root, &module.replace('.', "/")))) {
            return Some(format!("{module}:application"));
        }
        package = above;
    }
    clues
        .has(&format!("{}.py", below(root, name)))
        .then(|| format!("{name}:application"))
}
