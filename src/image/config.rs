//! The image config: the base's raw JSON with what the image adds. What is not known stays as it was.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Base, Error, Run};
use crate::layer::Layer;
use crate::paths::TreePath;

/// Labels of the base under this prefix describe the base, not the image, and are dropped.
const OCI_PREFIX: &str = "org.opencontainers.image.";

/// The config of an image (image-spec config.md), as JSON bytes.
pub(super) fn config(base: &Base, layers: &[Layer], run: &Run, created: u64) -> Result<Vec<u8>, Error> {
    let mut config = base.config.clone();
    let created = rfc3339(created)?;
    let document = object(&mut config, "the document")?;
    document.insert("created".to_owned(), json!(created));
    // These name whoever made the base and on which container it was committed.
    for key in [
        "author",
        "container",
        "container_config",
        "docker_version",
        "id",
        "parent",
    ] {
        document.remove(key);
    }
    document.insert("architecture".to_owned(), json!(base.platform.architecture.oci()));
    document.insert("os".to_owned(), json!(base.platform.os()));
    append_layers(document, base, layers, &created)?;
    let settings = document.entry("config").or_insert_with(|| json!({}));
    if settings.is_null() {
        *settings = json!({});
    }
    apply_run(object(settings, "`config`")?, run)?;
    Ok(serde_json::to_vec(&config)?)
}

/// Seconds since 1970 as RFC 3339 (image-spec config.md, `created`).
pub fn rfc3339(seconds: u64) -> Result<String, Error> {
    let time = i64::try_from(seconds)
        .ok()
        .and_then(|s| OffsetDateTime::from_unix_timestamp(s).ok());
    time.and_then(|t| t.format(&Rfc3339).ok())
        .ok_or(Error::Time(seconds))
}

fn object<'a>(value: &'a mut Value, what: &str) -> Result<&'a mut Map<String, Value>, Error> {
    value
        .as_object_mut()
        .ok_or_else(|| Error::BaseConfig(format!("{what} is not an object")))
}

fn append_layers(
    document: &mut Map<String, Value>,
    base: &Base,
    layers: &[Layer],
    created: &str,
) -> Result<(), Error> {
    let diff_ids: Vec<_> = base
        .layers
        .iter()
        .chain(layers)
        .map(|l| json!(l.diff_id.to_string()))
        .collect();
    document.insert(
        "rootfs".to_owned(),
        json!({ "type": "layers", "diff_ids": diff_ids }),
    );
    let history = document.entry("history").or_insert_with(|| json!([]));
    if history.is_null() {
        *history = json!([]);
    }
    let history = history
        .as_array_mut()
        .ok_or_else(|| Error::BaseConfig("`history` is not an array".to_owned()))?;
    // Exactly one entry that is not `empty_layer` for each layer: buildah refuses anything else.
    let filled = |entry: &Value| entry.get("empty_layer").and_then(Value::as_bool) != Some(true);
    let described = history.iter().filter(|e| filled(e)).count();
    match base.layers.len().checked_sub(described) {
        Some(missing) => {
            for layer in &base.layers[base.layers.len() - missing..] {
                history.push(json!({ "created": created, "created_by": layer.created_by }));
            }
        }
        // More entries than layers: which belongs to which cannot be told, so all are written anew.
        None => {
            *history = base
                .layers
                .iter()
                .map(|l| json!({ "created": created, "created_by": l.created_by }))
                .collect();
        }
    }
    for layer in layers {
        history.push(json!({ "created": created, "created_by": layer.created_by }));
    }
    Ok(())
}

fn apply_run(settings: &mut Map<String, Value>, run: &Run) -> Result<(), Error> {
    let env = environment(settings.get("Env"), run)?;
    settings.insert("Env".to_owned(), json!(env));
    settings.insert("Entrypoint".to_owned(), json!(run.entrypoint));
    // An inherited Cmd (`["python3"]`) would reach the app as an argument.
    settings.remove("Cmd");
    settings.insert("User".to_owned(), json!(run.user));
    let directory = &run.working_directory;
    match directory.strip_prefix('/') {
        Some("") => {}
        Some(rest) => {
            TreePath::new(rest).map_err(|e| Error::WorkingDirectory(directory.clone(), Some(e)))?;
        }
        None => return Err(Error::WorkingDirectory(directory.clone(), None)),
    }
    settings.insert("WorkingDir".to_owned(), json!(directory));
    let mut ports = existing(settings, "ExposedPorts");
    ports.extend(run.ports.iter().map(|p| (p.clone(), json!({}))));
    replace(settings, "ExposedPorts", ports);
    let mut labels = existing(settings, "Labels");
    labels.retain(|key, _| !key.starts_with(OCI_PREFIX));
    labels.extend(run.labels.iter().map(|(k, v)| (k.clone(), json!(v))));
    replace(settings, "Labels", labels);
    Ok(())
}

fn existing(settings: &Map<String, Value>, key: &str) -> BTreeMap<String, Value> {
    let object = settings.get(key).and_then(Value::as_object);
    object
        .into_iter()
        .flatten()
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect()
}

fn replace(settings: &mut Map<String, Value>, key: &str, values: BTreeMap<String, Value>) {
    if values.is_empty() {
        settings.remove(key);
    } else {
        settings.insert(key.to_owned(), Value::Object(values.into_iter().collect()));
    }
}

/// The base's variables in their order, ours put in their place or after them.
fn environment(base: Option<&Value>, run: &Run) -> Result<Vec<String>, Error> {
    let mut variables: Vec<(String, String)> = Vec::new();
    for entry in base.and_then(Value::as_array).into_iter().flatten() {
        let text = entry
            .as_str()
            .ok_or_else(|| Error::BaseConfig("`Env` has an entry that is no text".to_owned()))?;
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        check_name(name)?;
        set(&mut variables, name, value);
    }
    if !run.path.is_empty() {
        let default = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        let rest = variables
            .iter()
            .find(|(name, _)| name == "PATH")
            .map_or(default, |(_, value)| value);
        let value = format!("{}:{rest}", run.path.join(":"));
        set(&mut variables, "PATH", &value);
    }
    for (name, value) in &run.env {
        check_name(name)?;
        set(&mut variables, name, value);
    }
    Ok(variables
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect())
}

fn set(variables: &mut Vec<(String, String)>, name: &str, value: &str) {
    match variables.iter_mut().find(|(n, _)| n == name) {
        Some(variable) => value.clone_into(&mut variable.1),
        None => variables.push((name.to_owned(), value.to_owned())),
    }
}

fn check_name(name: &str) -> Result<(), Error> {
    let valid = !name.is_empty() && !name.contains(['=', '\0', '\n']);
    if valid {
        Ok(())
    } else {
        Err(Error::Variable(name.to_owned()))
    }
}
