//! `--load`: the image goes to the podman or docker of this machine.

use std::fmt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::Error;
use crate::environment::Environment;
use crate::image::Closure;
use crate::sink::docker_archive;
use crate::tools::Tools;

/// A container engine that takes docker archives: `podman load`, `docker load`.
#[derive(Clone, Debug)]
pub struct Engine {
    name: &'static str,
    program: PathBuf,
}

impl Engine {
    /// podman, else docker, on `PATH`.
    pub fn find(environment: &Environment) -> Result<Self, Error> {
        ["podman", "docker"]
            .into_iter()
            .find_map(|name| {
                let program = environment.find_program(name)?;
                Some(Self { name, program })
            })
            .ok_or(Error::NoEngine)
    }

    /// Hands the image over under the given references.
    pub fn load(&self, image: &Closure, names: &[String], tools: &Tools) -> anyhow::Result<()> {
        let scratch = tools.store.scratch()?;
        let archive = scratch.path().join("image.tar");
        docker_archive::write(image, &archive, names)?;
        let output = Command::new(&self.program)
            .args(["load", "-i"])
            .arg(&archive)
            .stdin(Stdio::null())
            .env_clear()
            .envs(tools.environment.variables())
            .output()
            .map_err(|source| Error::Engine {
                engine: self.name,
                message: source.to_string(),
            })?;
        if output.status.success() {
            return Ok(());
        }
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(Error::Engine {
            engine: self.name,
            message,
        }
        .into())
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
