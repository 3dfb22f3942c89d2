//! Pyoci's half of `tests/compare_with_packaging.sh`: one answer in JSON for each question on stdin.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool of the tests")]

use std::collections::BTreeSet;
use std::io::BufRead as _;
use std::str::FromStr as _;

use pyoci::platform::{Architecture, Platform};
use pyoci::python::specifiers::parse_version as version;
use pyoci::python::{
    Libc, Marker, MarkerEnvironment, PackageName, Requirement, Selection, Specifiers, Target,
};
use serde_json::{Value, json};

fn main() {
    for line in std::io::stdin().lock().lines() {
        let question: Value = serde_json::from_str(&line.unwrap()).unwrap();
        println!("{}", answer(&question).unwrap_or_else(|| json!("refused")));
    }
}

fn answer(question: &Value) -> Option<Value> {
    let text = question["text"].as_str().unwrap();
    Some(match question["kind"].as_str().unwrap() {
        "version" => json!(version(text)?.to_string()),
        "order" => {
            let other = version(question["other"].as_str().unwrap())?;
            json!(version(text)?.cmp(&other) as i8)
        }
        "specifier" => {
            let specifiers: Specifiers = text.parse().ok()?;
            json!([
                contained(&specifiers, question),
                specifiers.asks_for_prereleases()
            ])
        }
        "requirement" => {
            let requirement: Requirement = text.parse().ok()?;
            let marker = requirement.marker.as_ref();
            json!({
                "name": requirement.name.to_string(),
                "extras": requirement.extras.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "url": requirement.url,
                "contains": contained(&requirement.specifiers, question),
                "marker": marker.map(|marker| evaluated(marker, question)),
            })
        }
        "marker" => json!(evaluated(&Marker::from_str(text).ok()?, question)),
        "name" => json!(PackageName::from_str(text).ok()?.to_string()),
        other => panic!("{other}"),
    })
}

fn contained(specifiers: &Specifiers, question: &Value) -> Vec<bool> {
    let probes = question["probes"].as_array().unwrap().iter();
    probes
        .map(|probe| specifiers.contains(&version(probe.as_str().unwrap()).unwrap()))
        .collect()
}

fn evaluated(marker: &Marker, question: &Value) -> Vec<Value> {
    let one = |environment: &Value| {
        let full = environment[0].as_str().unwrap();
        let minor = full.split('.').nth(1).unwrap().parse().unwrap();
        let machine = match environment[1].as_str().unwrap() {
            "x86_64" => Architecture::Amd64,
            _ => Architecture::Arm64,
        };
        let target = Target {
            platform: Platform::linux(machine),
            libc: Libc::Glibc { major: 2, minor: 41 },
            python: (3, minor),
            python_full: Some(full.to_owned()),
            interpreter: "/usr/bin/python3".to_owned(),
        };
        let extras = environment[2].as_array().unwrap().iter();
        let extras: BTreeSet<_> = extras
            .map(|extra| extra.as_str().unwrap().parse().unwrap())
            .collect();
        match marker.evaluate(&MarkerEnvironment::of(&target), Selection::Extras(&extras)) {
            Ok(holds) => json!(holds),
            Err(_) => json!("undefined"),
        }
    };
    let environments = question["environments"].as_array().unwrap();
    environments.iter().map(one).collect()
}
