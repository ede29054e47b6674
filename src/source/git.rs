//! A remote git repository: fetched into a bare local copy, read from its object store.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use git2::{
    AutotagOption, Direction, ErrorClass, ErrorCode, FetchOptions, Oid, ProxyOptions, RemoteCallbacks,
    Repository,
};

use super::tree::{self, Files, TreeError};
use super::{
    Access, CommitInfo, Limits, Reference, RemoteUrl, Scheme, SourceError, SourceSettings, cache, history,
    transport, url,
};
use crate::finding::Finding;
use crate::model::{Revision, Snapshot};

/// A remote repository and its local copy.
pub struct GitSource {
    url: RemoteUrl,
    reference: Reference,
    cache: PathBuf,
    access: Access,
    limits: Limits,
    timeout: Duration,
    repository: Option<Repository>,
    /// The local copy was found damaged; the next fetch makes it anew.
    damaged: bool,
    last: Option<Snapshot>,
    findings: Vec<Finding>,
}

impl GitSource {
    pub(super) fn new(
        url: RemoteUrl,
        reference: Reference,
        settings: &SourceSettings,
    ) -> Result<GitSource, SourceError> {
        transport::register().map_err(|reason| SourceError::Unreachable { url: url.to_string(), reason })?;
        Ok(GitSource {
            url,
            reference,
            cache: settings.cache.clone(),
            access: settings.access.clone(),
            limits: settings.limits,
            timeout: settings.timeout,
            repository: None,
            damaged: false,
            last: None,
            findings: Vec::new(),
        })
    }

    /// The remote's URL.
    pub fn url(&self) -> &RemoteUrl {
        &self.url
    }

    pub(super) fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Asks the remote, takes what is new, and reads the files of the followed commit.
    pub(super) fn fetch(&mut self) -> Result<Snapshot, SourceError> {
        self.mending(|source| {
            let commit = source.update()?;
            let repository = source.repository()?;
            let damaged = |error: git2::Error| history::damaged(repository, &error);
            repository.set_head_detached(commit).map_err(damaged)?;
            if cache::tidy(repository).map_err(damaged)? {
                source.repository = None;
            }
            if let Some(last) = &source.last
                && last.revision == history::revision(commit)
            {
                return Ok(last.clone());
            }
            let snapshot = source.read(commit)?;
            source.last = Some(snapshot.clone());
            Ok(snapshot)
        })
    }

    /// The files of any revision.
    pub(super) fn snapshot(&mut self, rev: &str) -> Result<Snapshot, SourceError> {
        let revision = self.resolve(rev)?;
        self.mending(|source| {
            let commit = history::resolve(source.repository()?, revision.as_str())?;
            source.read(commit)
        })
    }

    /// The commit that a name stands for. Branches and tags other than the followed one may have moved since they were
    /// last seen, so the remote is asked for them.
    pub(super) fn resolve(&mut self, rev: &str) -> Result<Revision, SourceError> {
        let here = history::resolve(self.repository()?, rev);
        let commit = match here {
            Ok(commit) if self.is_settled(rev) => commit,
            Err(error @ SourceError::Cache { .. }) => return Err(error),
            _ => {
                self.fetch_all()?;
                history::resolve(self.repository()?, rev)?
            }
        };
        Ok(history::revision(commit))
    }

    /// Whether the name means the same as at the last fetch.
    fn is_settled(&self, rev: &str) -> bool {
        let base = rev.split(['~', '^', '@', ':']).next().unwrap_or_default();
        let followed =
            matches!(&self.reference, Reference::Branch(name) | Reference::Tag(name) if name == base);
        let is_id = base.len() >= 7 && base.bytes().all(|b| b.is_ascii_hexdigit());
        base == "HEAD" || followed || is_id
    }

    pub(super) fn is_ancestor(&mut self, old: &Revision, new: &Revision) -> Result<bool, SourceError> {
        self.noting_damage(|repository| history::is_ancestor(repository, old, new))
    }

    pub(super) fn root_commit(&mut self, of: &Revision) -> Result<Revision, SourceError> {
        self.noting_damage(|repository| history::root_commit(repository, of))
    }

    pub(super) fn commit_info(&mut self, of: &Revision) -> Result<CommitInfo, SourceError> {
        self.noting_damage(|repository| history::info(repository, of))
    }

    fn repository(&mut self) -> Result<&Repository, SourceError> {
        if self.repository.is_none() {
            self.repository = Some(cache::open(&self.cache, &self.url)?);
        }
        Ok(self.repository.as_ref().expect("opened above"))
    }

    fn noting_damage<T>(
        &mut self,
        question: impl FnOnce(&Repository) -> Result<T, SourceError>,
    ) -> Result<T, SourceError> {
        let answer = question(self.repository()?);
        self.damaged |= matches!(answer, Err(SourceError::Cache { .. }));
        answer
    }

    /// Does `work`; if the local copy turns out to be damaged, makes a new one and does it once more.
    fn mending<T>(
        &mut self,
        mut work: impl FnMut(&mut GitSource) -> Result<T, SourceError>,
    ) -> Result<T, SourceError> {
        if !std::mem::take(&mut self.damaged) {
            match work(self) {
                Err(SourceError::Cache { path, reason }) => {
                    tracing::warn!(path = %path.display(), %reason, "the local copy is damaged; fetching it anew");
                }
                answer => return answer,
            }
        }
        self.repository = None;
        let path = cache::path_of(&self.cache, &self.url);
        cache::remove(&path).map_err(|e| SourceError::Cache { path, reason: e.to_string() })?;
        let answer = self.update().and_then(|_| work(self));
        self.damaged = matches!(answer, Err(SourceError::Cache { .. }));
        answer
    }

    fn read(&mut self, commit: Oid) -> Result<Snapshot, SourceError> {
        let none = std::collections::BTreeMap::new();
        let limits = self.limits;
        let last = self.last.take();
        let known = last.as_ref().map_or(&none, |snapshot| &snapshot.files);
        let read = self.repository().map(|repository| {
            tree::read(repository, commit, &limits, known).map_err(|error| match error {
                TreeError::Git(error) => history::damaged(repository, &error),
                TreeError::TooLarge(what) => SourceError::TooLarge(what),
            })
        });
        self.last = last;
        let Files { files, findings } = read??;
        self.findings = findings;
        Ok(Snapshot { revision: history::revision(commit), files })
    }

    /// Brings the followed commit into the local copy.
    fn update(&mut self) -> Result<Oid, SourceError> {
        if let Reference::Commit(id) = &self.reference {
            let id = id.clone();
            if history::resolve(self.repository()?, &id).is_err() {
                self.fetch_all()?;
            }
            return history::resolve(self.repository()?, &id)
                .map_err(|_| self.missing(&format!("commit {id}")));
        }
        let name = match &self.reference {
            Reference::Branch(name) => format!("refs/heads/{name}"),
            Reference::Tag(name) => format!("refs/tags/{name}"),
            Reference::Default | Reference::Commit(_) => "HEAD".to_owned(),
        };
        let local = if name == "HEAD" { "refs/moin/default".to_owned() } else { name.clone() };
        let target = self.transfer(Want::One { remote: &name, local: &local })?;
        let Some(target) = target else {
            return Err(self.missing(&self.reference.to_string()));
        };
        let repository = self.repository()?;
        let damaged = |error: git2::Error| history::damaged(repository, &error);
        repository.reference(&local, target, true, "fetch").map_err(damaged)?;
        let object = repository.find_object(target, None).map_err(damaged)?;
        let commit = object.peel_to_commit().map_err(damaged)?;
        Ok(commit.id())
    }

    fn fetch_all(&mut self) -> Result<(), SourceError> {
        self.transfer(Want::All).map(|_| ())
    }

    fn missing(&self, reference: &str) -> SourceError {
        SourceError::ReferenceMissing { url: self.url.to_string(), reference: reference.to_owned() }
    }

    /// [`GitSource::talk`], with the credentials at hand.
    fn transfer(&mut self, want: Want<'_>) -> Result<Option<Oid>, SourceError> {
        let deadline = Instant::now() + self.timeout;
        let (url, access) = (self.url.clone(), self.access.clone());
        transport::with_access(&access, url.userinfo(), deadline, || self.talk(want, deadline))
    }

    /// Talks to the remote; what one reference points to there, or `None` if it is not there.
    fn talk(&mut self, want: Want<'_>, deadline: Instant) -> Result<Option<Oid>, SourceError> {
        let (url, timeout) = (self.url.clone(), self.timeout);
        let failed = |error: git2::Error| network_error(&url, &error, deadline, timeout);
        let repository = self.repository()?;
        let mut remote = repository.remote_anonymous(url.as_str()).map_err(failed)?;
        let mut connection = remote
            .connect_auth(Direction::Fetch, Some(until(deadline)), Some(ProxyOptions::new()))
            .map_err(failed)?;
        let Want::One { remote: name, local } = want else {
            let specs = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];
            connection.remote().fetch(&specs, Some(&mut options(deadline)), None).map_err(failed)?;
            return Ok(None);
        };
        let heads = connection.list().map_err(failed)?;
        let Some(target) = heads.iter().find(|head| head.name() == name).map(|head| head.oid()) else {
            return Ok(None);
        };
        if repository.find_object(target, None).is_err() {
            let spec = format!("+{name}:{local}");
            connection.remote().download(&[spec], Some(&mut options(deadline))).map_err(|error| {
                match error.class() {
                    // What we have was offered to the remote, and turned out not to be there.
                    ErrorClass::Odb | ErrorClass::Object | ErrorClass::Zlib | ErrorClass::Indexer
                        if Instant::now() < deadline =>
                    {
                        history::damaged(repository, &error)
                    }
                    _ => failed(error),
                }
            })?;
        }
        Ok(Some(target))
    }
}

enum Want<'a> {
    One { remote: &'a str, local: &'a str },
    All,
}

fn until<'a>(deadline: Instant) -> RemoteCallbacks<'a> {
    let mut callbacks = RemoteCallbacks::new();
    callbacks.transfer_progress(move |_| Instant::now() < deadline);
    callbacks.sideband_progress(move |_| Instant::now() < deadline);
    callbacks
}

fn options<'a>(deadline: Instant) -> FetchOptions<'a> {
    let mut options = FetchOptions::new();
    options.remote_callbacks(until(deadline)).download_tags(AutotagOption::None).update_fetchhead(false);
    options
}

fn network_error(url: &RemoteUrl, error: &git2::Error, deadline: Instant, timeout: Duration) -> SourceError {
    let reason = url::redact(error.message());
    // ssh says it in words only.
    let denied = url.scheme() == Scheme::Ssh
        && ["Permission denied", "Host key verification failed"].iter().any(|said| reason.contains(said));
    let url = url.to_string();
    if Instant::now() >= deadline {
        SourceError::Timeout { source_name: url, after: timeout }
    } else if error.code() == ErrorCode::Auth || denied {
        SourceError::Denied { url, reason }
    } else {
        SourceError::Unreachable { url, reason }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use super::super::testing::TestRepo;
    use super::super::{Place, Source, SourceSettings};
    use super::*;
    use crate::model::RepoPath;

    fn source(remote: &TestRepo, reference: Reference, cache: &tempfile::TempDir) -> Source {
        let place = Place::Git { url: remote.url(), reference };
        Source::open(&SourceSettings::new(place, cache.path().join("cache"))).unwrap()
    }

    fn path(text: &str) -> RepoPath {
        text.parse().unwrap()
    }

    #[test]
    fn unchanged_contents_share_their_bytes() {
        let (remote, cache) = (TestRepo::new(), tempfile::tempdir().unwrap());
        remote.write("a/same.yaml", "same");
        remote.write("b.yaml", "old");
        let first_commit = remote.commit("one");
        let mut source = source(&remote, Reference::Branch("main".into()), &cache);
        let first = source.fetch().unwrap();
        assert_eq!(first.revision.as_str(), first_commit.to_string());
        remote.write("b.yaml", "new");
        remote.commit("two");
        let second = source.fetch().unwrap();
        let bytes = |snapshot: &Snapshot, name: &str| snapshot.files[&path(name)].bytes.clone();
        assert!(Arc::ptr_eq(&bytes(&first, "a/same.yaml"), &bytes(&second, "a/same.yaml")));
        assert_eq!(&*bytes(&second, "b.yaml"), b"new");
        assert!(source.is_ancestor(&first.revision, &second.revision).unwrap());
        assert!(!source.is_ancestor(&second.revision, &first.revision).unwrap());
        assert_eq!(source.root_commit(&second.revision).unwrap(), Some(first.revision.clone()));
        assert_eq!(source.commit_info(&second.revision).unwrap().unwrap().summary, "two");
        assert_eq!(source.snapshot("main~1").unwrap(), first);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(cache.path().join("cache")).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700);
        }
    }

    #[test]
    fn a_rewritten_branch_is_fetched_and_is_no_descendant() {
        let (remote, cache) = (TestRepo::new(), tempfile::tempdir().unwrap());
        remote.write("a.yaml", "1");
        let root = remote.commit("root");
        remote.write("a.yaml", "2");
        remote.commit("old");
        let mut source = source(&remote, Reference::Branch("main".into()), &cache);
        let old = source.fetch().unwrap();
        remote.write("a.yaml", "3");
        remote.commit_on(Some(root), "rewritten");
        let new = source.fetch().unwrap();
        assert_eq!(&*new.files[&path("a.yaml")].bytes, b"3");
        assert!(!source.is_ancestor(&old.revision, &new.revision).unwrap());
        assert!(!source.is_ancestor(&Revision::new(&"a".repeat(40)), &new.revision).unwrap());
        assert!(!source.is_ancestor(&Revision::new("folder:1"), &new.revision).unwrap());
    }

    #[test]
    fn tags_commits_and_the_default_branch_can_be_followed() {
        let (remote, cache) = (TestRepo::new(), tempfile::tempdir().unwrap());
        remote.write("a.yaml", "1");
        let first = remote.commit("one");
        let object = remote.repository.find_object(first, None).unwrap();
        let who = git2::Signature::now("Test", "test@example.org").unwrap();
        remote.repository.tag("v1", &object, &who, "annotated", false).unwrap();
        remote.write("a.yaml", "2");
        let second = remote.commit("two");
        for (reference, expected) in [
            (Reference::Tag("v1".into()), first),
            (Reference::Commit(first.to_string()), first),
            (Reference::Default, second),
        ] {
            let mut source = source(&remote, reference.clone(), &tempfile::tempdir().unwrap());
            assert_eq!(source.fetch().unwrap().revision.as_str(), expected.to_string(), "{reference}");
        }
        let mut other = source(&remote, Reference::Tag("v1".into()), &cache);
        other.fetch().unwrap();
        assert_eq!(
            other.resolve("main").unwrap().as_str(),
            second.to_string(),
            "asks the remote for the rest"
        );
        for absent in [Reference::Branch("nope".into()), Reference::Commit("ab".repeat(20))] {
            let error = source(&remote, absent, &cache).fetch().unwrap_err();
            assert!(matches!(error, SourceError::ReferenceMissing { .. }), "{error}");
            assert!(error.is_retryable());
        }
    }

    #[test]
    fn an_unreachable_remote_is_an_error_to_try_again() {
        let cache = tempfile::tempdir().unwrap();
        let remote = TestRepo::new();
        let mut followed = source(&remote, Reference::Default, &cache);
        assert!(
            matches!(followed.fetch().unwrap_err(), SourceError::ReferenceMissing { .. }),
            "no commit yet"
        );
        let gone = remote.path().to_owned();
        remote.write("a.yaml", "1");
        remote.commit("one");
        let before = followed.fetch().unwrap();
        let away = gone.with_extension("away");
        fs::rename(&gone, &away).unwrap();
        let error = followed.fetch().unwrap_err();
        assert!(error.is_retryable() && matches!(error, SourceError::Unreachable { .. }), "{error}");
        fs::rename(&away, &gone).unwrap();
        assert_eq!(followed.fetch().unwrap(), before);
    }

    #[test]
    fn what_is_no_regular_file_is_left_out_with_a_finding() {
        let (remote, cache) = (TestRepo::new(), tempfile::tempdir().unwrap());
        remote.write("a.yaml", "kind: A");
        remote.write("big.yaml", &"x".repeat(100));
        #[cfg(unix)]
        std::os::unix::fs::symlink("/etc/passwd", remote.path().join("link.yaml")).unwrap();
        remote.commit("one");
        let mut settings = SourceSettings::new(
            Place::Git { url: remote.url(), reference: Reference::Default },
            cache.path(),
        );
        settings.limits.file_bytes = 99;
        let mut source = Source::open(&settings).unwrap();
        let snapshot = source.fetch().unwrap();
        assert_eq!(snapshot.files.keys().map(RepoPath::as_str).collect::<Vec<_>>(), ["a.yaml"]);
        let told: Vec<&str> = source.findings().iter().map(|f| f.message.as_str()).collect();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains("too large") && told[1].contains("symbolic link"), "{told:?}");
    }

    #[test]
    fn a_damaged_copy_is_made_anew() {
        let (remote, cache) = (TestRepo::new(), tempfile::tempdir().unwrap());
        remote.write("a.yaml", "1");
        remote.write("b/c.yaml", "2");
        remote.commit("one");
        let mut followed = source(&remote, Reference::Default, &cache);
        let whole = followed.fetch().unwrap();
        let copy = cache::path_of(&cache.path().join("cache"), &remote.url());
        for damage in ["objects", "HEAD", "config", "everything"] {
            match damage {
                "objects" => {
                    for entry in walk(&copy.join("objects")) {
                        let _ = fs::remove_file(&entry);
                        fs::write(&entry, b"junk").unwrap();
                    }
                }
                "everything" => {
                    fs::remove_dir_all(&copy).unwrap();
                    fs::write(&copy, b"a file").unwrap();
                    fs::remove_file(&copy).unwrap();
                }
                file => fs::write(copy.join(file), b"\0junk").unwrap(),
            }
            let mut again = source(&remote, Reference::Default, &cache);
            assert_eq!(again.fetch().unwrap(), whole, "{damage}");
        }
    }

    fn walk(folder: &std::path::Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
            if entry.is_dir() { found.extend(walk(&entry)) } else { found.push(entry) }
        }
        found
    }

    #[test]
    fn many_fetches_do_not_leave_many_packs() {
        let (remote, cache) = (TestRepo::new(), tempfile::tempdir().unwrap());
        let mut source = source(&remote, Reference::Branch("main".into()), &cache);
        let mut first = None;
        for n in 0..60 {
            remote.write("a.yaml", &format!("{n}"));
            remote.commit(&format!("{n}"));
            let snapshot = source.fetch().unwrap();
            first.get_or_insert(snapshot.revision);
        }
        let copy = cache::path_of(&cache.path().join("cache"), &remote.url());
        assert!(walk(&copy.join("objects/pack")).len() < 30);
        let last = source.fetch().unwrap();
        assert!(source.is_ancestor(&first.unwrap(), &last.revision).unwrap());
        assert_eq!(&*source.snapshot("HEAD~59").unwrap().files[&path("a.yaml")].bytes, b"0");
    }

    #[tokio::test]
    async fn a_slow_source_does_not_hold_up_async_code() {
        let (remote, cache) = (TestRepo::new(), tempfile::tempdir().unwrap());
        remote.write("a.yaml", "1");
        remote.commit("one");
        let shared = super::super::SharedSource::new(source(&remote, Reference::Default, &cache));
        let slow = shared.run(Duration::from_millis(20), |_| {
            std::thread::sleep(Duration::from_millis(300));
            Ok(())
        });
        assert!(matches!(slow.await, Err(SourceError::Timeout { .. })));
        assert!(matches!(shared.fetch(Duration::from_secs(5)).await, Err(SourceError::Busy)));
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert_eq!(shared.fetch(Duration::from_secs(5)).await.unwrap().0.files.len(), 1);
    }
}
