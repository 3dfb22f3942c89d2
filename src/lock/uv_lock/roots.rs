//! Where the walk through a `uv.lock` begins.

use super::document::{Document, Entry};
use super::{is_project, same_directory};
use crate::lock::text::Text;
use crate::lock::{Error, Request, format};
use crate::python::{GroupName, PackageName};

/// The packages whose dependencies are wanted.
pub(super) struct Roots {
    /// The project's own. Where the directory is the root of a workspace and no project itself, all members.
    pub packages: Vec<usize>,
    /// The project at the root of the workspace, if the project is another member: its groups can be asked for.
    workspace: Option<usize>,
    /// Whether the packages are one project.
    is_project: bool,
}

/// Who gives a group.
pub(super) struct Owners {
    pub packages: Vec<usize>,
    /// Whether the groups of a workspace whose root is no project count.
    pub workspace: bool,
}

impl Roots {
    pub fn find(document: &Document, text: Text<'_>, request: &Request) -> Result<Self, Error> {
        let packages = || document.packages.iter().enumerate();
        let place = |wanted: &dyn Fn(&Entry) -> bool| packages().find(|(_, e)| wanted(e)).map(|(at, _)| at);
        let top = place(&|entry| entry.source.tree() == Some("."));
        // A lock that was asked for from elsewhere is for the project beside it.
        if let Some(project) = place(&|entry| is_project(entry, text, request)).or(top) {
            return Ok(Self {
                packages: vec![project],
                workspace: top.filter(|top| *top != project),
                is_project: true,
            });
        }
        let is_member =
            |entry: &Entry| document.members.contains(&entry.name) && entry.source.tree().is_some();
        let members: Vec<usize> = packages()
            .filter(|(_, e)| is_member(e))
            .map(|(at, _)| at)
            .collect();
        let is_script = members.is_empty() && !document.requirements.is_empty();
        if is_script || same_directory(text.directory(), &request.directory) {
            return Ok(Self {
                packages: members,
                workspace: None,
                is_project: false,
            });
        }
        Err(Error::NotMember {
            lock: format::shown(text.path, request),
            project: request.directory.clone(),
            members: document.members.iter().map(PackageName::to_string).collect(),
        })
    }

    /// The packages that may give a group.
    pub fn with_workspace(&self) -> impl Iterator<Item = usize> {
        self.packages.iter().copied().chain(self.workspace)
    }

    /// Who gives a group: the project if it has one of this name, else the root of its workspace, as newer versions of uv have it.
    pub fn owners(&self, document: &Document, group: &GroupName) -> Owners {
        let has = |at: &usize| document.packages[*at].group_names().any(|name| name == group);
        let own = self.packages.iter().any(has);
        Owners {
            packages: match self.workspace {
                Some(workspace) if !own => vec![workspace],
                _ => self.packages.clone(),
            },
            workspace: !(own && self.is_project),
        }
    }
}
