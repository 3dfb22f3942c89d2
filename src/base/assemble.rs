//! A recipe becomes a base: one layer, and the config that goes with it.

use serde_json::{Value, json};

use super::recipe::Recipe;
use super::{Error, Options, Tools, finish, target};
use crate::debian::{Archives, PackageList};
use crate::digest::Digest;
use crate::image::{Base, BaseOrigin};
use crate::layer::{self, Layer};
use crate::platform::Platform;

/// Changes whenever the same packages and recipe would give another layer.
const FORMAT: u32 = 1;

/// Assembles the base of a recipe; packages, list and layer are kept, so that a second time nothing is fetched.
pub fn assemble(
    recipe: &Recipe,
    platform: Platform,
    tools: &Tools,
    options: &Options,
) -> Result<Base, Error> {
    let archives = archives(tools, options);
    let list = match &options.packages {
        Some(list) => list.clone(),
        None => archives.resolve(&recipe.wanted, platform.architecture, options.reuse)?,
    };
    let timings = tools.progress.timings();
    let layer = timings.measure("layer", &format!("recipe:{}", recipe.name), |note| {
        let (layer, kept) = layer_of(recipe, &list, platform, &archives, options)?;
        note.bytes(layer.blob.descriptor.size);
        note.cached(kept);
        Ok::<_, Error>(layer)
    })?;
    let config = config_of(recipe, platform, &layer, options.mtime)?;
    let layers = vec![layer];
    let findings = target::findings(&layers, &config, platform, tools)?;
    Ok(Base {
        layers,
        config,
        platform,
        origin: BaseOrigin::Recipe {
            name: recipe.name.clone(),
            packages: list.digest(),
        },
        target: findings.target,
        directory_links: findings.directory_links,
        users: findings.users,
        has_shell: findings.has_shell,
    })
}

/// The packages that a recipe is made of now.
pub fn packages(
    recipe: &Recipe,
    platform: Platform,
    tools: &Tools,
    options: &Options,
) -> Result<PackageList, Error> {
    let archives = archives(tools, options);
    Ok(archives.resolve(&recipe.wanted, platform.architecture, options.reuse)?)
}

/// The archives that packages come from.
pub(super) fn archives<'a>(tools: &'a Tools, options: &Options) -> Archives<'a> {
    Archives {
        mirrors: options.mirrors.clone(),
        keyring: options.keyring.clone(),
        http: tools.http,
        store: tools.store,
        progress: tools.progress,
        now: tools.environment.now_seconds(),
    }
}

/// The base's one layer, from the store or from the packages; and whether it was in the store.
fn layer_of(
    recipe: &Recipe,
    list: &PackageList,
    platform: Platform,
    archives: &Archives,
    options: &Options,
) -> Result<(Layer, bool), Error> {
    let inputs = json!({
        "what": "base layer", "format": [FORMAT, layer::FORMAT], "recipe": recipe.canonical(), "packages": list.digest(),
        "platform": platform.to_string(), "mtime": options.mtime,
    });
    let key = Digest::of(inputs.to_string().as_bytes());
    let created_by = format!("pyoci base recipe:{}", recipe.name);
    if let Some(layer) = archives.store.layer(&key, &created_by) {
        return Ok((layer, true));
    }
    let leave = recipe.leave()?;
    let unpacked = archives.unpack(list, &|path| leave.leaves(path))?;
    let tree = finish::finish(recipe, unpacked, platform.architecture)?;
    // Always gzip: a base is the same whatever the layers over it are compressed with.
    let write = layer::Options {
        mtime: options.mtime,
        compression: layer::Compression::Gzip,
        threads: options.threads,
    };
    let layer = archives.store.make_layer(&key, &created_by, |out| {
        layer::write(&tree, &write, out).map_err(Error::from)
    })?;
    let (packages, size) = (list.packages().len(), layer.blob.descriptor.size / 1_000_000);
    archives.progress.done(
        "Assembled",
        format!(
            "recipe:{} from {packages} Debian packages, {size} MB",
            recipe.name
        ),
    );
    Ok((layer, false))
}

/// The image config of the bare base (image-spec config.md).
fn config_of(recipe: &Recipe, platform: Platform, layer: &Layer, mtime: u64) -> Result<Value, Error> {
    let created = crate::image::rfc3339(mtime)?;
    let env: Vec<String> = recipe
        .config
        .env
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let mut config = json!({ "Env": env, "WorkingDir": "/" });
    if let Some(user) = &recipe.config.user {
        config["User"] = json!(user);
    }
    if !recipe.config.command.is_empty() {
        config["Cmd"] = json!(recipe.config.command);
    }
    Ok(json!({
        "created": created,
        "architecture": platform.architecture.oci(),
        "os": platform.os(),
        "config": config,
        "rootfs": { "type": "layers", "diff_ids": [layer.diff_id] },
        "history": [{ "created": created, "created_by": layer.created_by }],
    }))
}
