//! Apps that a tool runs from one file: streamlit, gradio, dash.

use super::{Clues, Start, below, of_words};

/// Files that hold such an app by custom.
const NAMES: [&str; 6] = [
    "streamlit_app.py",
    "app.py",
    "main.py",
    "Home.py",
    "home.py",
    "dashboard.py",
];

pub(super) fn start(clues: &mut Clues<'_>) -> Option<Start> {
    for tool in ["streamlit", "gradio", "dash"] {
        if !clues.is_installed(tool) {
            continue;
        }
        if let Some(file) = file_of(clues, tool) {
            let argument = clues.argument(&file);
            return Some(command(tool, &file, &argument));
        }
        clues.seen.push(format!(
            "{tool} is installed, but no app.py, main.py or dashboard.py imports it"
        ));
    }
    None
}

fn file_of(clues: &Clues<'_>, tool: &str) -> Option<String> {
    let mut candidates = ["", "src", "app"]
        .into_iter()
        .flat_map(|directory| NAMES.map(|name| below(directory, name)));
    candidates.find(|file| clues.module(file).is_some_and(|module| module.imports(tool)))
}

fn command(tool: &str, file: &str, argument: &str) -> Start {
    let reason = format!("{file} is a {tool} app");
    match tool {
        "streamlit" => {
            let words = [
                "python3",
                "-m",
                "streamlit",
                "run",
                argument,
                "--server.address",
                "0.0.0.0",
                "--server.port",
                "${PORT:-8501}",
                "--server.headless",
                "true",
                // Outside of a site-packages directory streamlit takes itself for its own source tree, and then refuses
                // `--server.port`.
                "--global.developmentMode",
                "false",
            ];
            of_words(&words, reason)
        }
        // `launch()` and `run()` take address and port from the environment where the app does not say them.
        "gradio" => of_words(
            &[
                "GRADIO_SERVER_NAME=${GRADIO_SERVER_NAME:-0.0.0.0}",
                "GRADIO_SERVER_PORT=${GRADIO_SERVER_PORT:-${PORT:-7860}}",
                "python3",
                argument,
            ],
            reason,
        ),
        _ => of_words(
            &["HOST=${HOST:-0.0.0.0}", "PORT=${PORT:-8050}", "python3", argument],
            reason,
        ),
    }
}
