//! What a registry holds: blobs and manifests by repository, and uploads that are under way.

use std::collections::BTreeMap;

use pyoci::digest::Digest;

/// All repositories, and the uploads that are under way.
#[derive(Default)]
pub struct Content {
    /// By name.
    pub repositories: BTreeMap<String, Repository>,
    pub(super) sessions: BTreeMap<String, Session>,
    /// Makes the names of sessions, and their states, that are other ones each time.
    pub(super) count: u32,
}

/// One repository.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Repository {
    /// By digest.
    pub blobs: BTreeMap<String, Vec<u8>>,
    /// Type and bytes, by digest.
    pub manifests: BTreeMap<String, (String, Vec<u8>)>,
    /// The digests of tags.
    pub tags: BTreeMap<String, String>,
}

/// An upload that is under way.
#[derive(Default)]
pub struct Session {
    pub repository: String,
    pub received: Vec<u8>,
    /// What `_state` must be, as it was spelled.
    pub state: String,
    /// Whether the last piece was smaller than pieces may be: then it was the last.
    pub ended: bool,
}

impl Content {
    /// A repository, which is there when it is looked for.
    pub fn repository(&mut self, name: &str) -> &mut Repository {
        self.repositories.entry(name.to_owned()).or_default()
    }

    /// Puts a blob there; its digest.
    pub fn add_blob(&mut self, repository: &str, bytes: &[u8]) -> String {
        let digest = Digest::of(bytes).to_string();
        let blobs = &mut self.repository(repository).blobs;
        blobs.insert(digest.clone(), bytes.to_vec());
        digest
    }

    /// Begins an upload; its name.
    pub(super) fn begin(&mut self, repository: &str) -> String {
        self.count += 1;
        let id = format!("{:032x}", u128::from(self.count) * 0x9e37_79b9_7f4a_7c15_f39c);
        let session = Session {
            repository: repository.to_owned(),
            ..Session::default()
        };
        self.sessions.insert(id.clone(), session);
        id
    }

    /// Where an upload goes on, until it is asked for the next time. Nobody who takes the query apart and puts it
    /// together again gets it right.
    pub(super) fn next_place(&mut self, id: &str) -> String {
        self.count += 1;
        let state = format!("{:x}%2fA+b%7E%3D==;/?:@", self.count * 7919);
        let session = self.sessions.get_mut(id).unwrap();
        session.state.clone_from(&state);
        format!(
            "/v2/{}/blobs/uploads/{id}?z=1&_state={state}&a=",
            session.repository
        )
    }
}
