//! How progress looks on stderr: one line for each finished step; live bars on a terminal.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::args::{OutputArgs, ProgressMode};
use crate::environment::Environment;
use crate::progress::{Event, Progress, printable};

/// Whether stderr takes colours: a terminal, `NO_COLOR` unset, `TERM` not `dumb` (no-color.org).
pub fn takes_colour(environment: &Environment) -> bool {
    std::io::stderr().is_terminal()
        && environment.get("NO_COLOR").is_none()
        && environment.get("TERM").is_some_and(|term| term != "dumb")
}

/// Progress as the flags and the terminal ask for it.
pub fn progress(arguments: &OutputArgs, environment: &Environment) -> Progress {
    let quiet = arguments.quiet || arguments.progress == ProgressMode::None;
    let dumb = environment.get("TERM").is_none_or(|term| term == "dumb") || environment.get("CI").is_some();
    let live = match arguments.progress {
        ProgressMode::Auto => std::io::stderr().is_terminal() && !dumb,
        ProgressMode::Tty => true,
        ProgressMode::Plain | ProgressMode::None => false,
    };
    let screen = Screen {
        quiet,
        only_errors: arguments.quiet,
        verbose: arguments.verbose,
        colour: takes_colour(environment),
        bars: (live && !quiet).then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr())),
        running: Mutex::new(BTreeMap::new()),
    };
    let secrets = environment.secrets.clone();
    Progress::new(move |event| {
        screen.show(event.map(|text| printable(&secrets.redacted(&text)).into_owned()));
    })
}

#[allow(
    clippy::struct_excessive_bools,
    reason = "independent properties of the screen"
)]
struct Screen {
    quiet: bool,
    only_errors: bool,
    verbose: bool,
    colour: bool,
    bars: Option<MultiProgress>,
    running: Mutex<BTreeMap<String, ProgressBar>>,
}

impl Screen {
    fn show(&self, event: Event) {
        match event {
            Event::Transfer { what, done, total } => self.transfer(&what, done, total),
            Event::Warning(message) if !self.only_errors => self.line("warning", "33", &message, ": "),
            Event::Done { what, detail } if !self.quiet => self.step(&what, "32", &detail),
            Event::Choice { what, detail } if !self.quiet => self.step(&what, "36", &detail),
            Event::Detail(message) if self.verbose && !self.quiet => self.step("", "2", &message),
            _ => {}
        }
    }

    fn step(&self, what: &str, colour: &str, detail: &str) {
        self.line(&format!("{what:>12}"), colour, detail, " ");
    }

    fn line(&self, label: &str, colour: &str, rest: &str, between: &str) {
        let line = if self.colour {
            format!("\u{1b}[1;{colour}m{label}\u{1b}[0m{between}{rest}")
        } else {
            format!("{label}{between}{rest}")
        };
        let write = || {
            // A stderr that is gone is no reason to fail a build.
            let _ = writeln!(std::io::stderr().lock(), "{line}");
        };
        match &self.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }

    fn transfer(&self, what: &str, done: u64, total: u64) {
        let Some(bars) = &self.bars else { return };
        let Ok(mut running) = self.running.lock() else {
            return;
        };
        if total > 0 && done >= total {
            if let Some(bar) = running.remove(what) {
                bar.finish_and_clear();
            }
            return;
        }
        let bar = running.entry(what.to_owned()).or_insert_with(|| {
            let bar = bars.add(ProgressBar::new(total));
            let style = "{msg:>40!} {bar:24} {bytes:>10}/{total_bytes} {bytes_per_sec}";
            if let Ok(style) = ProgressStyle::with_template(style) {
                bar.set_style(style);
            }
            bar.set_message(what.to_owned());
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        bar.set_position(done);
    }
}
