//! Errors as users see them: what, why, and what to do.

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use crate::progress::printable;
use crate::secrets::Secrets;

/// Prints an error to stderr, without the credentials that were read, and gives the exit code of a failure.
pub fn fail(error: &anyhow::Error, colour: bool, secrets: &Secrets) -> ExitCode {
    // A stderr that is gone leaves the exit code to tell.
    let _ = std::io::stderr()
        .lock()
        .write_all(secrets.redacted(&render(error, colour)).as_bytes());
    ExitCode::FAILURE
}

/// `error:` what, `  cause:` why, one line for each link of the chain, `hint:` what to do.
fn render(error: &anyhow::Error, colour: bool) -> String {
    let paint = |label: &str, code: &str| {
        if colour {
            format!("\u{1b}[1;{code}m{label}\u{1b}[0m")
        } else {
            label.to_owned()
        }
    };
    let mut text = String::new();
    let mut last = String::new();
    for (depth, link) in error.chain().enumerate() {
        let message = own_words(&printable(&link.to_string()), &text);
        // Wrappers that only pass a message on would say everything twice.
        if depth > 0 && last.ends_with(&message) {
            continue;
        }
        let label = if depth == 0 {
            paint("error:", "31")
        } else {
            format!("  {}", paint("cause:", "33"))
        };
        let indent = if depth == 0 { "       " } else { "         " };
        let _ = writeln!(
            text,
            "{label} {}",
            message.trim_end().replace('\n', &format!("\n{indent}"))
        );
        last = message;
    }
    // The innermost hint knows most.
    if let Some(hint) = error.chain().filter_map(hint).last() {
        let _ = writeln!(
            text,
            "{} {}",
            paint("hint:", "36"),
            printable(&hint).replace('\n', "\n      ")
        );
    }
    text
}

/// What the system said, without the path that the library puts round it where the lines above name it already:
/// "failed to open file `PATH`: No such file or directory (os error 2)", "No space left on device at path "PATH"".
fn own_words(message: &str, above: &str) -> String {
    let named = |path: &str| above.contains(path);
    let without_action = message
        .strip_prefix("failed to ")
        .and_then(|rest| rest.split_once('`')?.1.split_once("`: "))
        .filter(|(path, _)| {
            named(path) || above.contains(path.rsplit_once('/').map_or(*path, |(parent, _)| parent))
        })
        .map_or(message, |(_, own)| own);
    // Temporary files have names that tell nobody anything.
    let without_path = without_action
        .split_once(" at path \"")
        .map_or(without_action, |(own, _)| own);
    let number = without_path
        .rfind(" (os error ")
        .filter(|_| without_path.ends_with(')'));
    without_path[..number.unwrap_or(without_path.len())].to_owned()
}

/// What the user can do about one link of the chain, if its type knows.
fn hint(link: &(dyn StdError + 'static)) -> Option<String> {
    macro_rules! ask {
        ($($type:ty),* $(,)?) => {
            $(if let Some(error) = link.downcast_ref::<$type>() { return error.hint(); })*
        };
    }
    // An error of a reader passes for its own cause.
    if let Some(inner) = link
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref)
    {
        return hint(inner);
    }
    if let Some(leak) = link.downcast_ref::<crate::secrets::Leak>() {
        return Some(leak.hint());
    }
    ask!(
        crate::base::Error,
        crate::bytecode::Error,
        crate::commands::Error,
        crate::commands::bundle::Error,
        crate::debian::Error,
        crate::http::Error,
        crate::image::Error,
        crate::lock::Error,
        crate::parallel::NoThread,
        crate::project::Error,
        crate::project::debian::Error,
        crate::registry::Error,
        crate::sink::Error,
        crate::sink::deb::Error,
        crate::source::Error,
        crate::store::Error,
        crate::wheel::Error,
    );
    None
}
