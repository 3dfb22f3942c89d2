//! Python's packaging formats: versions, requirements and markers, metadata, the tables of `pyproject.toml`.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use pyoci::lock::specifiers_of_poetry;
use pyoci::python::requirements::Sources;
use pyoci::python::specifiers::parse_version;
use pyoci::python::{
    BuildSystem, DependencyGroups, EntryPoints, Marker, MarkerEnvironment, Metadata, ProjectTable,
    Requirement, Requirements, ScriptMetadata, Selection, Specifiers,
};

use super::scene;

/// Versions and specifiers, one a line: all specifiers are asked about all versions.
pub fn versions(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let lines: Vec<&str> = text.lines().take(32).collect();
    let versions: Vec<_> = lines.iter().filter_map(|line| parse_version(line)).collect();
    for line in &lines {
        if let Some(poetry) = specifiers_of_poetry(line) {
            for version in &versions {
                let _ = poetry.contains(version);
            }
        }
        let Ok(specifiers) = line.parse::<Specifiers>() else {
            continue;
        };
        let written = specifiers.to_string();
        assert_eq!(
            written.parse::<Specifiers>().ok().as_ref(),
            Some(&specifiers),
            "{written}"
        );
        let _ = (specifiers.pinned(), specifiers.asks_for_prereleases());
        for version in &versions {
            specifiers.contains(version);
        }
        for clause in specifiers.clauses() {
            for line in &lines {
                let _ = clause.contains_text(line);
            }
        }
    }
    for version in &versions {
        assert_eq!(
            parse_version(&version.to_string()).as_ref(),
            Some(version),
            "{version}"
        );
    }
}

/// Requirements and markers, one a line, evaluated for an environment.
pub fn markers(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let environment = MarkerEnvironment::of(&scene::target());
    let extras = BTreeSet::from(["a".parse().expect("a name")]);
    let groups = BTreeSet::from(["b".parse().expect("a name")]);
    let evaluate = |marker: &Marker| {
        for selection in [
            Selection::Active(&extras),
            Selection::Extras(&extras),
            Selection::Lock {
                extras: &extras,
                groups: &groups,
            },
        ] {
            let _ = marker.evaluate(&environment, selection);
        }
    };
    for line in text.lines().take(32) {
        if let Ok(marker) = line.parse::<Marker>() {
            let written = marker.to_string();
            assert_eq!(
                written.parse::<Marker>().ok().as_ref(),
                Some(&marker),
                "{written}"
            );
            evaluate(&marker);
        }
        match line.parse::<Requirement>() {
            Ok(requirement) => {
                let written = requirement.to_string();
                let again = written.parse::<Requirement>();
                assert_eq!(again.ok().as_ref(), Some(&requirement), "{written}");
                requirement.marker.iter().for_each(evaluate);
            }
            Err(error) => drop((error.to_string(), error.hint())),
        }
    }
}

/// Requirements files: the first, and those that it includes.
pub fn requirements_file(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let files = scene::files(&text, &["r.txt", "a.txt", "b/c.txt", "/d.txt"]);
    let read = |path: &Path| {
        if path == Path::new("raw.txt") {
            return Ok(data.to_vec());
        }
        let found = files.iter().find(|(name, _)| Path::new(name) == path);
        let bytes = found.map(|(_, text)| text.as_bytes().to_vec());
        bytes.ok_or_else(|| io::ErrorKind::NotFound.into())
    };
    let variable = |name: &str| (name == "TOKEN").then(|| "secret".to_owned());
    let sources = Sources {
        read: &read,
        variable: &variable,
    };
    for first in ["raw.txt", "r.txt"] {
        match Requirements::read(&[first.into()], sources) {
            Ok(found) => {
                found.is_fully_hashed();
                for entry in &found.entries {
                    let _ = (entry.name(), entry.marker(), entry.is_pinned());
                }
            }
            Err(error) => drop((error.to_string(), error.hint())),
        }
    }
}

/// METADATA and entry points.
pub fn metadata(data: &[u8]) {
    if let Ok(metadata) = Metadata::parse(data) {
        let _ = metadata.requires_python();
    }
    let text = String::from_utf8_lossy(data);
    if let Ok(entry_points) = EntryPoints::parse(&text) {
        let target = scene::target();
        for script in entry_points.scripts() {
            script.import_name();
            let bytes = pyoci::wheel::script(&target.interpreter, script);
            assert!(bytes.starts_with(b"#!/usr/bin/python3.13\n"));
        }
        let written = entry_points.to_string();
        assert_eq!(EntryPoints::parse(&written).ok(), Some(entry_points), "{written}");
    }
}

/// The tables of a pyproject.toml, and the header of a script.
pub fn pyproject(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = ProjectTable::parse(&text);
    let _ = ProjectTable::extras(&text);
    let _ = BuildSystem::parse(&text);
    if let Ok(groups) = DependencyGroups::parse(&text) {
        for name in groups.names() {
            let _ = groups.resolve(name);
        }
    }
    let _ = ScriptMetadata::parse(&text);
    let commented = text.lines().map(|line| format!("# {line}\n"));
    let script = format!("# /// script\n{}# ///\n", commented.collect::<String>());
    let _ = ScriptMetadata::parse(&script);
}
