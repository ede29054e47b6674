//! A git repository that a test fills and commits to, in a folder of its own.

use std::fs;
use std::path::{Path, PathBuf};

use git2::{IndexAddOption, Repository, RepositoryInitOptions, Signature};

/// A repository with a working tree and the branch `main`.
pub struct TestRepository {
    folder: tempfile::TempDir,
    git: Repository,
}

impl TestRepository {
    /// An empty one, without a commit.
    pub fn new() -> TestRepository {
        let folder = tempfile::tempdir().expect("a folder");
        let git = Repository::init_opts(folder.path(), RepositoryInitOptions::new().initial_head("main"))
            .expect("a new repository");
        TestRepository { folder, git }
    }

    /// One whose first commit holds a copy of a folder.
    pub fn of_folder(from: &Path) -> TestRepository {
        let repository = TestRepository::new();
        copy(from, repository.path());
        repository.commit("As it is");
        repository
    }

    /// The example with a commit of a tenant, as they would send it.
    pub fn with_a_tenant() -> TestRepository {
        let repository = TestRepository::example();
        repository.write(
            "tenants/mgmt1/team-c/namespace.yaml",
            "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: team-c\n  labels:\n    scs.community/team: team-c\n",
        );
        let cluster = TestRepository::cluster("first", "1-34", "v1.34.2");
        repository.write("tenants/mgmt1/team-c/first.yaml", &cluster);
        repository.commit("Team C wants a cluster");
        repository
    }

    /// The example as it is.
    pub fn example() -> TestRepository {
        TestRepository::of_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/moin-cluster-config"))
    }

    /// A Cluster of team-c.
    pub fn cluster(name: &str, minor: &str, version: &str) -> String {
        format!(
            "apiVersion: cluster.x-k8s.io/v1beta2\nkind: Cluster\nmetadata:\n  name: {name}\n  namespace: team-c\nspec:\n  \
             topology:\n    classRef:\n      name: openstack-scs2-{minor}-v1\n    version: {version}\n"
        )
    }

    /// Its working tree.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// `file://...`, as `--repo` takes it.
    pub fn url(&self) -> String {
        format!("file://{}", self.folder.path().display())
    }

    /// Writes a file, with the folders above it.
    pub fn write(&self, file: &str, text: &str) -> &TestRepository {
        let path: PathBuf = self.path().join(file);
        fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
        self
    }

    /// Removes a file.
    pub fn remove(&self, file: &str) -> &TestRepository {
        fs::remove_file(self.path().join(file)).expect("the file was there");
        self
    }

    /// Commits the whole working tree to `main`; the commit's id.
    pub fn commit(&self, message: &str) -> String {
        let mut index = self.git.index().expect("an index");
        index.add_all(["*"], IndexAddOption::FORCE, None).expect("files to add");
        index.update_all(["*"], None).expect("files to update");
        index.write().expect("a written index");
        let tree = self.git.find_tree(index.write_tree().expect("a tree")).expect("the tree");
        let author = Signature::now("Test", "test@example.org").expect("a name");
        let parent = self.git.head().ok().and_then(|head| head.peel_to_commit().ok());
        let parents: Vec<_> = parent.iter().collect();
        let id = self.git.commit(Some("HEAD"), &author, &author, message, &tree, &parents).expect("a commit");
        id.to_string()
    }

    /// Says who commits, for whoever commits here with git itself.
    pub fn identify(&self) {
        let mut config = self.git.config().expect("a configuration");
        config.set_str("user.name", "Test").expect("a name");
        config.set_str("user.email", "test@example.org").expect("an address");
    }

    /// Takes over the branch `main` of another, as a mirror does; the working tree stays as it is.
    pub fn follow(&self, other: &TestRepository) {
        let mut remote = self.git.remote_anonymous(&other.url()).expect("a remote");
        remote.fetch(&["+refs/heads/main:refs/mirror/main"], None, None).expect("a fetch");
        let newest = self.git.refname_to_id("refs/mirror/main").expect("it was fetched");
        self.git.reference("refs/heads/main", newest, true, "mirror").expect("a branch");
    }

    /// Rewrites history: `main` and the working tree go back to a commit, as a force-push would.
    pub fn reset(&self, commit: &str) {
        let object = self.git.revparse_single(commit).expect("a commit of ours");
        self.git.reset(&object, git2::ResetType::Hard, None).expect("a reset");
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a readable folder").map(|e| e.expect("a readable entry")) {
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a copy");
        }
    }
}
