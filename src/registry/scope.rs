//! What a request wants to do: token scopes (distribution token specification, "Token Scope").

use crate::reference::Repository;

/// The repositories that a request touches, the first its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    /// The repository that the request is about; `None` for the registry itself.
    pub repository: Option<Repository>,
    /// Whether it writes.
    pub push: bool,
    /// A repository that it also reads: a mount.
    pub from: Option<Repository>,
}

impl Scope {
    /// Only the registry.
    pub fn registry() -> Self {
        Self {
            repository: None,
            push: false,
            from: None,
        }
    }

    /// Reading.
    pub fn pull(repository: &Repository) -> Self {
        Self {
            repository: Some(repository.clone()),
            push: false,
            from: None,
        }
    }

    /// Writing, which reads too.
    pub fn push(repository: &Repository) -> Self {
        Self {
            push: true,
            ..Self::pull(repository)
        }
    }

    /// Writing what another repository has.
    pub fn mount(repository: &Repository, from: &Repository) -> Self {
        Self {
            from: Some(from.clone()),
            ..Self::push(repository)
        }
    }

    /// As tokens are asked for.
    pub fn texts(&self) -> Vec<String> {
        let actions = if self.push { "pull,push" } else { "pull" };
        let own = self.repository.as_ref().map(|r| (r, actions));
        let from = self.from.as_ref().map(|r| (r, "pull"));
        let text =
            |(repository, actions): (&Repository, &str)| format!("repository:{}:{actions}", repository.name);
        own.into_iter().chain(from).map(text).collect()
    }

    /// What the user wanted, for messages.
    pub fn action(&self) -> &'static str {
        if self.push { "push to" } else { "pull" }
    }
}
