//! From a project's requirements through locked packages to all that are needed, for one target: for locks that do not
//! note where each package is wanted.

use std::collections::{BTreeMap, BTreeSet};

use pep440_rs::Version;

use super::poetry_constraint::Constraint;
use crate::python::markers::MarkerError;
use crate::python::{ExtraName, Marker, MarkerEnvironment, PackageName, Requirement, Selection, Target};

/// A requirement of the project or of a locked package.
#[derive(Clone, Debug)]
pub(super) struct Edge {
    /// What is required.
    pub name: PackageName,
    /// Extras of it.
    pub extras: BTreeSet<ExtraName>,
    /// The versions that do.
    pub versions: Constraint,
    /// When it applies; extras in it are those of who requires.
    pub marker: Option<Marker>,
    /// The Python versions for which it applies.
    pub python: Constraint,
    /// It applies only with one of these extras of who requires.
    pub only_with: Option<BTreeSet<ExtraName>>,
}

/// A locked package.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub name: PackageName,
    pub version: Option<Version>,
    /// The extras that this entry of the lock is for; `None` where one entry serves all.
    pub extras: Option<BTreeSet<ExtraName>>,
    /// The Python versions that it is for.
    pub python: Constraint,
    pub requires: Vec<Edge>,
}

/// Why a walk ends early.
#[derive(Debug)]
pub(super) enum WalkError {
    /// Nothing locked meets a requirement.
    Missing(Box<Edge>),
    /// A marker makes no sense.
    Marker(PackageName, MarkerError),
}

/// What decides whether a requirement applies.
pub(super) struct Conditions {
    environment: MarkerEnvironment,
    python: Option<Version>,
}

impl Conditions {
    /// The conditions of a target.
    pub fn of(target: &Target) -> Self {
        Self {
            environment: MarkerEnvironment::of(target),
            python: target.python_full_version().parse().ok(),
        }
    }

    /// Whether Python versions include the target's.
    pub fn is_python_in(&self, versions: &Constraint) -> bool {
        self.python
            .as_ref()
            .is_none_or(|python| versions.contains(python))
    }

    /// Whether a marker holds with these extras of who requires.
    pub fn holds(&self, marker: &Marker, extras: &BTreeSet<ExtraName>) -> Result<bool, MarkerError> {
        marker.evaluate(&self.environment, Selection::Active(extras))
    }

    /// Whether a requirement applies.
    pub fn applies(&self, edge: &Edge, extras: &BTreeSet<ExtraName>) -> Result<bool, WalkError> {
        let asked = edge
            .only_with
            .as_ref()
            .is_none_or(|only| !only.is_disjoint(extras));
        let holds = edge.marker.as_ref().map_or(Ok(true), |m| self.holds(m, extras));
        let holds = holds.map_err(|e| WalkError::Marker(edge.name.clone(), e))?;
        Ok(asked && holds && self.is_python_in(&edge.python))
    }
}

impl From<Requirement> for Edge {
    fn from(requirement: Requirement) -> Self {
        Self {
            name: requirement.name,
            extras: requirement.extras,
            versions: requirement.specifiers.into(),
            marker: requirement.marker,
            python: Constraint::any(),
            only_with: None,
        }
    }
}

/// The indexes of the packages that are needed.
pub(super) fn walk(
    nodes: &[Node],
    roots: Vec<&Edge>,
    extras: &BTreeSet<ExtraName>,
    conditions: &Conditions,
) -> Result<BTreeSet<usize>, WalkError> {
    let mut by_name: BTreeMap<&PackageName, Vec<usize>> = BTreeMap::new();
    for (index, node) in nodes.iter().enumerate() {
        by_name.entry(&node.name).or_default().push(index);
    }
    for candidates in by_name.values_mut() {
        // Higher versions first: they are preferred.
        candidates.sort_by(|a, b| nodes[*b].version.cmp(&nodes[*a].version));
    }
    let mut needed = BTreeSet::new();
    let mut seen: BTreeSet<(usize, BTreeSet<ExtraName>)> = BTreeSet::new();
    let mut open: Vec<(&Edge, &BTreeSet<ExtraName>)> = roots.into_iter().map(|e| (e, extras)).rev().collect();
    while let Some((edge, of)) = open.pop() {
        if !conditions.applies(edge, of)? {
            continue;
        }
        let fits = |index: &&usize| {
            let node = &nodes[**index];
            node.version.as_ref().is_none_or(|v| edge.versions.contains(v))
                && node.extras.as_ref().is_none_or(|own| *own == edge.extras)
                && conditions.is_python_in(&node.python)
        };
        let candidates = by_name.get(&edge.name).map(Vec::as_slice).unwrap_or_default();
        // What is chosen already stays chosen.
        let chosen = candidates
            .iter()
            .filter(fits)
            .find(|index| needed.contains(*index));
        let Some(index) = chosen.or_else(|| candidates.iter().find(fits)) else {
            return Err(WalkError::Missing(Box::new(edge.clone())));
        };
        needed.insert(*index);
        if seen.insert((*index, edge.extras.clone())) {
            open.extend(nodes[*index].requires.iter().map(|next| (next, &edge.extras)));
        }
    }
    Ok(needed)
}
