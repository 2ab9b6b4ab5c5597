//! A control plane for one test, and the program run against it.
//!
//! Ids and instants are the same in every run, so that what is printed can be
//! compared as a whole.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use palisade_control_plane::{ControlPlane, NoRunners, RunnerLive, router};
use palisade_model::clock::{Clock, Ids, Timestamp};
use palisade_model::id::TokenId;
use palisade_model::profile::Revision;
use palisade_model::quota::Quota;
use palisade_model::tenant::{Organization, Role};
use palisade_model::token::{Grant, PresentedToken, TokenRecord};
use palisade_store::{Organizations as _, SqliteStore, Tokens as _};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// The seed of everything: a profile that lets nothing out.
pub(crate) const DENY_ALL: &str = "\
display_name: default
description: Per-user sandboxes with no outbound network access
spec:
  namespace:
    strategy: per-user
  network:
    egress:
      default: deny-all
      modes:
        deny-all:
          type: none
";

const NOON: Timestamp = Timestamp::from_micros(1_798_113_600_000_000);

#[derive(Debug)]
struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        NOON
    }
}

#[derive(Debug, Default)]
struct CountedIds(AtomicU64);

impl Ids for CountedIds {
    fn uuid(&self) -> Uuid {
        let count = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        Uuid::from_u128(0x019b_5000_0000_7000_8000_0000_0000_0000 | u128::from(count))
    }

    fn secret(&self) -> [u8; 32] {
        [9; 32]
    }
}

/// A server, and a home for the settings of its callers.
pub(crate) struct Plane {
    pub(crate) address: SocketAddr,
    pub(crate) home: TempDir,
    /// Of an administrator of `acme`.
    pub(crate) token: String,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) stop: DropGuard,
    pub(crate) tasks: TaskTracker,
}

/// What a server is made of, before it is one.
pub(crate) struct Parts {
    pub(crate) home: TempDir,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
}

impl Parts {
    pub(crate) async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(home.path().join("store.db")).await;
        Self {
            home,
            store: Arc::new(store.unwrap()),
            clock: Arc::new(Noon),
            ids: Arc::new(CountedIds::default()),
        }
    }
}

/// What the program did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: i32,
}

impl Plane {
    pub(crate) async fn start() -> Self {
        Self::start_knowing(Arc::new(NoRunners)).await
    }

    /// A server that knows this of runners and their sandboxes.
    pub(crate) async fn start_knowing(live: Arc<dyn RunnerLive>) -> Self {
        let parts = Parts::new().await;
        let (clock, ids) = (parts.clock.clone(), parts.ids.clone());
        let plane = ControlPlane::new(parts.store.clone(), live, clock, ids);
        Self::serve(parts, router(plane)).await
    }

    /// Serves what answers requests.
    pub(crate) async fn serve(parts: Parts, router: Router) -> Self {
        let Parts { home, store, .. } = parts;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let server =
            axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
        tasks.spawn(async move { server.await.unwrap() });
        let organization = Organization {
            id: "acme".parse().unwrap(),
            quota: Quota::default(),
            revision: Revision::FIRST,
            created_at: NOON,
        };
        store.create_organization(organization).await.unwrap();
        let mut plane = Self {
            address,
            home,
            token: String::new(),
            store,
            stop: stop.drop_guard(),
            tasks,
        };
        plane.token = plane.token_of(Role::SandboxAdmin).await;
        plane
    }

    /// A token for a user of `acme`.
    pub(crate) async fn token_of(&self, role: Role) -> String {
        let grant = Grant::Caller {
            organization: "acme".parse().unwrap(),
            user: "ada".parse().unwrap(),
            role,
        };
        self.token_for(grant).await
    }

    /// A token for whoever the grant is for.
    pub(crate) async fn token_for(&self, grant: Grant) -> String {
        let token = PresentedToken::new(TokenId::new(Uuid::now_v7()), [9; 32]);
        let record = TokenRecord {
            id: token.id(),
            hash: token.hash(),
            grant,
            description: String::new(),
            created_at: NOON,
            expires_at: None,
        };
        self.store.create_token(record).await.unwrap();
        token.reveal()
    }

    /// Ends the server; nobody answers at its address any more.
    pub(crate) async fn vanish(&self) {
        self.stop.token().cancel();
        self.tasks.close();
        let gone = tokio::time::timeout(Duration::from_mins(1), self.tasks.wait());
        gone.await.expect("the server ends");
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The file of logins.
    pub(crate) fn config(&self) -> PathBuf {
        self.home
            .path()
            .join("config")
            .join("cwic")
            .join("config.yaml")
    }

    /// The program as an administrator calls it.
    pub(crate) fn cwic(&self, arguments: &str) -> Call {
        self.bare(arguments)
            .env("CWIC_SERVER", &self.url())
            .env("CWIC_TOKEN", &self.token)
    }

    /// The program without a word about server and token.
    pub(crate) fn bare(&self, arguments: &str) -> Call {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cwic"));
        command
            .args(arguments.split_whitespace())
            .current_dir(self.home.path())
            .env_clear()
            .env("XDG_CONFIG_HOME", self.home.path().join("config"));
        Call {
            command,
            input: Vec::new(),
        }
    }

    /// A file that arguments can name.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.home.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Creates a profile and returns its id.
    pub(crate) async fn profile(&self, name: &str) -> String {
        let document = DENY_ALL.replace("display_name: default", &format!("display_name: {name}"));
        let created = self
            .cwic("sandbox profile create -f -")
            .input(document)
            .run()
            .await;
        created.ok().trim().to_owned()
    }

    /// Creates a runner that binds the profile, and returns its id.
    pub(crate) async fn runner(&self, name: &str, profile: &str) -> String {
        let document = runner_document(name, profile);
        let created = self
            .cwic("sandbox runner create -f -")
            .input(document)
            .run()
            .await;
        created.ok().trim().to_owned()
    }
}

/// A runner that binds one profile.
pub(crate) fn runner_document(name: &str, profile: &str) -> String {
    format!(
        "identity:\n  runner_id: {name}\n  zone: zone-1\n  cluster_name: {name}\n\
         profile_bindings:\n  - profile_template_id: {profile}\n    is_default: true\n"
    )
}

/// A call of the program.
pub(crate) struct Call {
    command: Command,
    input: Vec<u8>,
}

impl Call {
    pub(crate) fn env(mut self, key: &str, value: &str) -> Self {
        self.command.env(key, value);
        self
    }

    /// One argument, whatever is in it.
    pub(crate) fn argument(mut self, argument: impl AsRef<Path>) -> Self {
        self.command.arg(argument.as_ref());
        self
    }

    /// What it finds on standard input.
    pub(crate) fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// The command itself, for a test that goes its own way.
    pub(crate) fn command(self) -> Command {
        self.command
    }

    /// Runs the program to its end.
    pub(crate) async fn run(self) -> Ran {
        let Self { mut command, input } = self;
        let ended = task::spawn_blocking(move || {
            let mut child = command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            // A program that does not read its input closes it early.
            let _ = child.stdin.take().unwrap().write_all(&input);
            child.wait_with_output().unwrap()
        });
        let Output {
            status,
            stdout,
            stderr,
        } = ended.await.unwrap();
        Ran {
            stdout: String::from_utf8(stdout).unwrap(),
            stderr: String::from_utf8(stderr).unwrap(),
            code: status.code().expect("it ends by itself"),
        }
    }
}

impl Ran {
    /// What a success wrote as its result.
    #[track_caller]
    pub(crate) fn ok(&self) -> &str {
        assert_eq!(self.code, 0, "{}", self.stderr);
        &self.stdout
    }

    /// What a failure wrote, which is never a result.
    #[track_caller]
    pub(crate) fn failed(&self, code: i32) -> &str {
        assert_eq!(
            (self.code, self.stdout.as_str()),
            (code, ""),
            "{}",
            self.stderr
        );
        &self.stderr
    }
}
