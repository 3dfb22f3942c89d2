//! The command line: the only reader of clock, environment and terminal.

mod args;
mod bundle_args;
mod display;
mod index_args;
mod lock_args;
mod report;
mod source_args;
mod timings;

use std::io::{Read as _, Write as _};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use clap::Parser as _;

use crate::commands::{self, build, bundle, copy, rebase};
use crate::environment::Environment;
use crate::progress::Progress;
use crate::project::Settings;
use crate::registry::{self, Credential};
use crate::secrets::Secrets;
use args::{BaseCommand, BuildArgs, CacheCommand, Cli, Command, Format, InitArgs, LoginArgs, RebaseArgs};
use bundle_args::BundleArgs;
use lock_args::LockArgs;
use timings::TimingsArgs;

/// No password is longer, in bytes; tokens have some thousands.
const PASSWORD_LIMIT: u64 = 64 * 1024;

/// Runs pyoci and gives its exit code: 0, 1 where it failed, 2 where it was called wrongly.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let environment = match read_environment() {
        Ok(environment) => environment,
        Err(error) => return report::fail(&error, false, &Secrets::default()),
    };
    match run(&cli, &environment) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report::fail(&error, display::takes_colour(&environment), &environment.secrets),
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "this is the one place that reads clock, environment and directory"
)]
fn read_environment() -> anyhow::Result<Environment> {
    let variables =
        std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
    let directory = std::env::current_dir().context("cannot tell the working directory")?;
    Ok(Environment::new(variables, directory, SystemTime::now()))
}

fn run(cli: &Cli, environment: &Environment) -> anyhow::Result<()> {
    match &cli.command {
        Command::Build(arguments) => build(cli, arguments, environment),
        Command::Bundle(arguments) => bundle(cli, arguments, environment),
        Command::Explain(arguments) => explain(cli, arguments, environment),
        Command::Init(arguments) => init(cli, arguments, environment),
        Command::Lock(arguments) => lock(cli, arguments, environment),
        Command::Push(arguments) => {
            let order = copy::Order {
                source: arguments.source.clone(),
                push: arguments.references.clone(),
                outputs: Vec::new(),
                tags: arguments.tag.clone(),
                registries: arguments.registry.settings(&environment.working_directory, false),
            };
            copy(cli, &order, (arguments.format, &arguments.timings), environment)
        }
        Command::Pull(arguments) => {
            let order = copy::Order {
                source: arguments.source.clone(),
                push: Vec::new(),
                outputs: arguments.output.clone(),
                tags: arguments.tag.clone(),
                registries: arguments.registry.settings(&environment.working_directory, false),
            };
            copy(cli, &order, (arguments.format, &arguments.timings), environment)
        }
        Command::Login(arguments) => login(cli, arguments, environment),
        Command::Logout(arguments) => {
            let settings = arguments.settings.settings(&environment.working_directory, false);
            let file = registry::logout(environment, &settings, &arguments.registry)?;
            let progress = display::progress(&cli.output, environment);
            match file {
                Some(file) => progress.done(
                    "Removed",
                    format!("{} from {}", arguments.registry, file.display()),
                ),
                None => progress.done("Nothing", format!("was kept of {}", arguments.registry)),
            }
            Ok(())
        }
        Command::Rebase(arguments) => rebase(cli, arguments, environment),
        Command::Base {
            command: BaseCommand::List,
        } => print(&commands::base::list()?),
        Command::Cache { command } => cache(cli, command, environment),
    }
}

fn build(cli: &Cli, arguments: &BuildArgs, environment: &Environment) -> anyhow::Result<()> {
    let progress = display::progress(&cli.output, environment);
    let build = || build::run(&order(arguments, environment), environment, &progress);
    let report = arguments.timings.tell(environment, &progress, build)?;
    let secrets = &environment.secrets;
    if !secrets.is_empty() {
        secrets.check("the report", report.json().to_string().as_bytes())?;
    }
    answer(arguments.format, &report.lines(), || report.json())
}

fn bundle(cli: &Cli, arguments: &BundleArgs, environment: &Environment) -> anyhow::Result<()> {
    let directory = &environment.working_directory;
    let order = bundle::Order {
        bundle: build::bundle::BundleOrder {
            build: build::Order {
                path: directory.join(&arguments.path),
                settings: arguments.settings(directory),
                upgrade: arguments.upgrade,
                threads: threads(),
                files: commands::metadata::Files {
                    trace: arguments.timings.file(directory),
                    ..commands::metadata::Files::default()
                },
                ..build::Order::default()
            },
            thin: arguments.thin,
            directory: arguments.cwd.map(Into::into),
            target_python: arguments.target_python.clone(),
            ..build::bundle::BundleOrder::default()
        },
        output: arguments.output.as_ref().map(|output| directory.join(output)),
        dry_run: arguments.dry_run,
        deb: arguments.deb(),
    };
    let progress = display::progress(&cli.output, environment);
    let bundle = || bundle::run(&order, environment, &progress);
    let report = arguments.timings.tell(environment, &progress, bundle)?;
    let json = with_timings(report.json(), &progress);
    environment
        .secrets
        .check("the report", json.to_string().as_bytes())?;
    answer(arguments.format, &report.lines(), || json)
}

fn order(arguments: &BuildArgs, environment: &Environment) -> build::Order {
    let directory = &environment.working_directory;
    let anchored = |file: &Option<std::path::PathBuf>| file.as_ref().map(|file| directory.join(file));
    build::Order {
        path: directory.join(&arguments.path),
        settings: arguments.settings(directory),
        upgrade: arguments.upgrade,
        threads: threads(),
        load: arguments.load.clone(),
        registries: arguments.registry.settings(directory, arguments.sources.offline),
        files: commands::metadata::Files {
            metadata: anchored(&arguments.metadata_file),
            image_id: anchored(&arguments.iidfile),
            trace: arguments.timings.file(directory),
        },
    }
}

fn explain(cli: &Cli, arguments: &BuildArgs, environment: &Environment) -> anyhow::Result<()> {
    let progress = display::progress(&cli.output, environment);
    let explain = || commands::explain::run(&order(arguments, environment), environment, &progress);
    let explanation = arguments.timings.tell(environment, &progress, explain)?;
    match arguments.format {
        Format::Text => print(&environment.secrets.redacted(&explanation.text())),
        Format::Json => print(
            &environment
                .secrets
                .redacted(&format!("{:#}\n", explanation.json())),
        ),
    }
}

fn init(cli: &Cli, arguments: &InitArgs, environment: &Environment) -> anyhow::Result<()> {
    let order = build::Order {
        path: environment.working_directory.join(&arguments.path),
        settings: Settings {
            offline: arguments.offline.then_some(true),
            ..Settings::default()
        },
        threads: threads(),
        ..build::Order::default()
    };
    let progress = display::progress(&cli.output, environment);
    let written = commands::init::run(&order, environment, &progress)?;
    let (path, keys) = (written.path.display().to_string(), &written.keys);
    let line = match keys.as_slice() {
        [] => format!("{path}: [tool.pyoci] says it all"),
        keys => format!("{path}: {}", keys.join(", ")),
    };
    let json = || serde_json::json!({ "file": path, "added": keys });
    answer(arguments.format, &[line], json)
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn lock(cli: &Cli, arguments: &LockArgs, environment: &Environment) -> anyhow::Result<()> {
    let directory = &environment.working_directory;
    let order = build::lock::LockOrder {
        build: build::Order {
            path: directory.join(&arguments.path),
            settings: arguments.settings(directory),
            upgrade: arguments.upgrade,
            threads: threads(),
            registries: arguments.registry.settings(directory, arguments.sources.offline),
            ..build::Order::default()
        },
        output: arguments.output.as_ref().map(|file| directory.join(file)),
        check: arguments.check,
    };
    let file = build::lock::run(&order, environment, &display::progress(&cli.output, environment))?;
    print(&format!("{}\n", file.display()))
}

fn copy(
    cli: &Cli,
    order: &copy::Order,
    (format, timings): (Format, &TimingsArgs),
    environment: &Environment,
) -> anyhow::Result<()> {
    let progress = display::progress(&cli.output, environment);
    let report = timings.tell(environment, &progress, || {
        copy::run(order, environment, &progress)
    })?;
    answer(format, &report.lines(), || with_timings(report.json(), &progress))
}

/// A report with the steps of its command.
fn with_timings(mut report: serde_json::Value, progress: &Progress) -> serde_json::Value {
    report["timings"] = progress.timings().json();
    report
}

fn login(cli: &Cli, arguments: &LoginArgs, environment: &Environment) -> anyhow::Result<()> {
    let settings = arguments.settings.settings(&environment.working_directory, false);
    let password = if arguments.password_stdin {
        let mut text = String::new();
        std::io::stdin()
            .take(PASSWORD_LIMIT)
            .read_to_string(&mut text)
            .context("cannot read the password from stdin")?;
        text.trim_end_matches(['\r', '\n']).to_owned()
    } else {
        rpassword::prompt_password(format!(
            "Password of {} at {}: ",
            arguments.username, arguments.registry
        ))
        .context("cannot ask for the password: there is no terminal; use --password-stdin")?
    };
    let credential = Credential::Password {
        user: arguments.username.clone(),
        password,
    };
    let file = registry::login(environment, &settings, &arguments.registry, &credential)?;
    let detail = format!("the credentials of {} in {}", arguments.registry, file.display());
    display::progress(&cli.output, environment).done("Kept", detail);
    Ok(())
}

fn rebase(cli: &Cli, arguments: &RebaseArgs, environment: &Environment) -> anyhow::Result<()> {
    let order = rebase::Order {
        copy: copy::Order {
            source: arguments.source.clone(),
            push: arguments.push.clone(),
            outputs: arguments.output.clone(),
            tags: arguments.tag.clone(),
            registries: arguments
                .registry
                .settings(&environment.working_directory, arguments.offline),
        },
        base: arguments.base.clone(),
        mirror: arguments.debian_mirror.clone(),
        snapshot: arguments.debian_snapshot.clone(),
        upgrade: arguments.upgrade,
        threads: threads(),
    };
    let progress = display::progress(&cli.output, environment);
    let rebase = || rebase::run(&order, environment, &progress);
    let report = arguments.timings.tell(environment, &progress, rebase)?;
    answer(arguments.format, &report.lines(), || {
        with_timings(report.json(), &progress)
    })
}

/// What stdout gets.
fn answer(format: Format, lines: &[String], json: impl FnOnce() -> serde_json::Value) -> anyhow::Result<()> {
    match format {
        Format::Text => print(&lines.iter().flat_map(|line| [line, "\n"]).collect::<String>()),
        Format::Json => print(&format!("{:#}\n", json())),
    }
}

fn cache(cli: &Cli, command: &CacheCommand, environment: &Environment) -> anyhow::Result<()> {
    let progress = display::progress(&cli.output, environment);
    let root = commands::cache::directory(environment)?;
    match command {
        CacheCommand::Dir => print(&format!("{}\n", root.display())),
        CacheCommand::Prune { days } => {
            let age = Duration::from_secs(days.saturating_mul(24 * 60 * 60));
            let cutoff = environment.now.checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH);
            print(&commands::cache::prune(&root, cutoff, &progress)?)
        }
        // Files touched while this runs are newer than the start of the command.
        CacheCommand::Clean => print(&commands::cache::prune(
            &root,
            environment.now + Duration::from_hours(24),
            &progress,
        )?),
        CacheCommand::Verify { keep } => {
            let (text, result) = commands::cache::verify(&root, threads(), *keep, &progress)?;
            print(&text)?;
            Ok(result?)
        }
    }
}

/// Data goes to stdout, and nothing else does.
fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .context("cannot write to stdout")
}
