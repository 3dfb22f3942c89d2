//! The graph of a `uv.lock`, walked from what is wanted: what is reached is installed.

use std::collections::{BTreeSet, VecDeque};

use super::document::{Document, Edge, Entry, Requirement, variable};
use super::roots::Roots;
use crate::lock::{Error, Request};
use crate::python::markers::MarkerError;
use crate::python::{ExtraName, Marker, MarkerEnvironment, Selection};

/// A package, or one of its extras.
type Node<'a> = (usize, Option<&'a ExtraName>);

/// A walk through a lock for one environment.
pub(super) struct Walk<'a> {
    document: &'a Document,
    environment: &'a MarkerEnvironment,
    /// What markers of conflicts can ask for: extras, groups and projects that are on.
    active: BTreeSet<ExtraName>,
    queue: VecDeque<Node<'a>>,
    seen: BTreeSet<Node<'a>>,
}

impl<'a> Walk<'a> {
    /// The packages that the roots need, themselves among them, with the extras and groups that are asked for.
    pub fn reach(
        document: &'a Document,
        environment: &'a MarkerEnvironment,
        roots: &Roots,
        request: &'a Request,
    ) -> Result<BTreeSet<usize>, Error> {
        let mut walk = Self {
            document,
            environment,
            active: BTreeSet::new(),
            queue: VecDeque::new(),
            seen: BTreeSet::new(),
        };
        walk.start(roots, request)?;
        walk.activate()?;
        while let Some(node) = walk.queue.pop_front() {
            for edge in edges(document, node) {
                if walk.holds(edge.marker.as_ref())? {
                    walk.push(edge.to, &edge.extras);
                }
            }
        }
        Ok(walk.seen.into_iter().map(|(at, _)| at).collect())
    }

    fn start(&mut self, roots: &Roots, request: &'a Request) -> Result<(), Error> {
        let document = self.document;
        for root in &roots.packages {
            let entry = &document.packages[*root];
            let extras = request.extras.iter().filter(|e| entry.extras.contains_key(e));
            self.turn_on("project", entry, None);
            extras
                .clone()
                .for_each(|e| self.turn_on("extra", entry, Some(e.as_str())));
            self.push(*root, extras);
        }
        let mut edges = Vec::new();
        let mut requirements: Vec<&Requirement> = document.requirements.iter().collect();
        for group in &request.groups {
            let owners = roots.owners(document, group);
            for owner in owners.packages {
                let entry = &document.packages[owner];
                if let Some(own) = entry.groups.get(group) {
                    self.turn_on("group", entry, Some(group.as_str()));
                    edges.extend(own);
                }
            }
            let of_workspace = document.groups.get(group).filter(|_| owners.workspace);
            requirements.extend(of_workspace.into_iter().flatten());
        }
        for edge in edges {
            if self.holds(edge.marker.as_ref())? {
                self.push(edge.to, &edge.extras);
            }
        }
        requirements.into_iter().try_for_each(|r| self.require(r))
    }

    /// A requirement that belongs to no package: of its forks the one that is for this environment is meant.
    fn require(&mut self, requirement: &'a Requirement) -> Result<(), Error> {
        if !self.holds(requirement.marker.as_ref())? {
            return Ok(());
        }
        let packages = self.document.packages.iter().enumerate();
        for (at, _) in packages.filter(|(_, entry)| entry.name == requirement.name) {
            let forks = &self.document.packages[at].forks;
            let mut fits = forks.is_empty();
            for fork in forks {
                fits |= self.holds(Some(fork))?;
            }
            if fits {
                self.push(at, &requirement.extras);
                return Ok(());
            }
        }
        Ok(())
    }

    /// An extra may turn on others far down, which markers before it ask for: where the lock has conflicts, the graph is
    /// walked once to learn what is on, and then again.
    fn activate(&mut self) -> Result<(), Error> {
        if self.document.conflicts.is_empty() {
            return Ok(());
        }
        let (queue, seen) = (self.queue.clone(), self.seen.clone());
        while let Some(node) = self.queue.pop_front() {
            for edge in edges(self.document, node) {
                let before = self.active.clone();
                let entry = &self.document.packages[edge.to];
                for extra in &edge.extras {
                    self.turn_on("extra", entry, Some(extra.as_str()));
                }
                if self.holds(edge.marker.as_ref())? {
                    self.push(edge.to, &edge.extras);
                } else {
                    self.active = before;
                }
            }
        }
        (self.queue, self.seen) = (queue, seen);
        for set in &self.document.conflicts {
            let on: Vec<_> = set.iter().filter(|c| self.active.contains(&c.variable)).collect();
            if let [first, second, ..] = on.as_slice() {
                return Err(Error::Conflict {
                    first: first.title.clone(),
                    second: second.title.clone(),
                });
            }
        }
        Ok(())
    }

    fn turn_on(&mut self, kind: &str, entry: &Entry, name: Option<&str>) {
        if !self.document.conflicts.is_empty() {
            // Made of valid names, it is one.
            self.active.extend(variable(kind, &entry.name, name));
        }
    }

    fn push(&mut self, at: usize, extras: impl IntoIterator<Item = &'a ExtraName>) {
        for node in std::iter::once((at, None)).chain(extras.into_iter().map(|extra| (at, Some(extra)))) {
            if self.seen.insert(node) {
                self.queue.push_back(node);
            }
        }
    }

    fn holds(&self, marker: Option<&Marker>) -> Result<bool, Error> {
        let Some(marker) = marker else { return Ok(true) };
        let selection = Selection::Active(&self.active);
        let fault = |source: MarkerError| Error::Marker {
            what: "a dependency in uv.lock".to_owned(),
            source,
        };
        marker.evaluate(self.environment, selection).map_err(fault)
    }
}

fn edges<'a>(document: &'a Document, (at, extra): Node<'a>) -> &'a [Edge] {
    let entry = &document.packages[at];
    match extra {
        None => &entry.dependencies,
        // An extra that the package does not have is nothing, as for pip.
        Some(extra) => entry.extras.get(extra).map_or(&[], Vec::as_slice),
    }
}
