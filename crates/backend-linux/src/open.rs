//! Opening the backend: the same steps for a first start and for a restart.
//!
//! ```text
//!  lock ─► read what is remembered ─► wait for starts that go on without us
//!   ─► network, with the policies of what runs ─► sort ─► a driver for each
//! ```
//!
//! A disk that is full keeps nobody from that: what needs room is put off.
//!
//! Nothing is decided by what was remembered alone: whether a sandbox runs is
//! asked of the kernel, and how it ended of what process 1 wrote.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use palisade_backend::View;
use palisade_image::{HolderError, ImageError};
use palisade_model::id::SandboxId;
use palisade_model::policy::Standing;
use palisade_model::sandbox::Launch;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::backend::LinuxBackend;
use crate::cgroup::{CgroupError, Cgroups};
use crate::config::LinuxConfig;
use crate::container::{self, Identities, ProbeError};
use crate::driver::ending::{instant, status};
use crate::driver::watching::running;
use crate::driver::{self, Driver};
use crate::file_system::Maker;
use crate::ingress::{Ingress, IngressError};
use crate::machine;
use crate::network::{self, Attached, Known, Network, Opening};
use crate::program;
use crate::records::Records;
use crate::room;
use crate::sandbox::Sandbox;
use crate::secrets::Handed;
use crate::services;
use crate::shared::{Hints, Shared};
use crate::state::{self, Held, Remembered, SandboxState, State};

/// The longest path that a socket can have.
const SOCKET_PATH_MAX: usize = 107;

/// Why the backend could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("another runner uses the state directory {path}; stop it, or choose another one")]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// There is no program that could run sandboxes.
    #[error("no OCI runtime is configured for the class {class}; install crun, or configure one")]
    NoRuntime {
        /// The default class.
        class: String,
    },
    /// Sockets could not be made there.
    #[error("the directory {path} has too long a name for sockets in it; choose a shorter one")]
    PathTooLong {
        /// The directory.
        path: PathBuf,
    },
    /// The directories could not be used.
    #[error("could not use the directory {path}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// The machine could not be measured.
    #[error("could not measure this machine")]
    Machine(#[source] io::Error),
    /// Sandboxes could not be held within limits.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// The disks of sandboxes could not be made.
    #[error(transparent)]
    Disk(#[from] ProbeError),
    /// The network could not be opened.
    #[error("could not open the network of the sandboxes")]
    Network(#[from] network::OpenError),
    /// The HTTP entry point could not be opened.
    #[error(transparent)]
    Ingress(#[from] IngressError),
    /// The names of sandboxes could not be told.
    #[error("could not write to {path}; choose another file with --dns-records")]
    Records {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// What an earlier run left could not be sorted.
    #[error("could not take over the sandboxes of an earlier run")]
    TakeOver(#[source] io::Error),
    /// The images could not be used.
    #[error("could not use the images")]
    Images(#[from] ImageError),
    /// The name of the instance cannot be that of a holder of images.
    #[error("the name of the instance cannot be used for images")]
    Holder(#[from] HolderError),
}

/// A sandbox of an earlier run, and where its driver takes over.
struct Survivor {
    sandbox: Sandbox,
    from: driver::From,
}

/// What an earlier run left.
#[derive(Default)]
struct Found {
    sandboxes: Vec<(Launch, SandboxState)>,
    remains: Vec<SandboxState>,
}

impl LinuxBackend {
    /// Opens the backend, and takes over what an earlier run left: running
    /// sandboxes go on, and half-made ones are finished or cleaned away.
    ///
    /// Blocks for the time that an OCI runtime needs at most, on a thread where
    /// that is allowed.
    pub async fn open(config: LinuxConfig) -> Result<Arc<Self>, OpenError> {
        let opening = tokio::task::spawn_blocking(move || open(config));
        let (shared, survivors) = opening
            .await
            .map_err(|error| OpenError::TakeOver(io::Error::other(error)))??;
        release_leases(&shared).await?;
        for survivor in survivors {
            let sandbox = Arc::new(survivor.sandbox);
            shared
                .sandboxes()
                .insert(sandbox.id(), Arc::clone(&sandbox));
            Driver::spawn(&shared, &sandbox, survivor.from);
        }
        Ok(Arc::new(Self::new(shared)))
    }
}

fn open(config: LinuxConfig) -> Result<(Arc<Shared>, Vec<Survivor>), OpenError> {
    check(&config)?;
    let (state, lock) = take_state(&config)?;
    let total = machine::available(config.reserve).map_err(OpenError::Machine)?;
    let cgroups = Cgroups::detect(format!("palisade-{}", config.network.instance))?;
    let pids = machine::pids_max().map_err(OpenError::Machine)?;
    cgroups.prepare(total, pids)?;
    try_disk(&state, config.first_uid)?;
    let maker = config.snapshots.as_ref();
    let file_systems = maker.and_then(|_| Maker::detect(&state, config.first_uid));
    let init = install_program(&state)?;
    let found = find(&state).map_err(OpenError::TakeOver)?;
    let known = known(&found, &cgroups);
    let Opening { network, adopted } = Network::open(&config.network, &known)?;
    let closing = CancellationToken::new();
    let https = config.https.as_ref();
    let ingress = Ingress::open(&network, config.http_listen, https, closing.clone())?;
    let shared = Arc::new(Shared {
        identities: Identities::new(config.first_uid, config.sandboxes_max),
        starts: Arc::new(Semaphore::new(config.starts_max.get())),
        config,
        state,
        network,
        ingress,
        records: OnceLock::new(),
        cgroups,
        file_systems,
        init,
        total,
        tasks: TaskTracker::new(),
        attached: TaskTracker::new(),
        closing,
        sandboxes: Mutex::new(HashMap::new()),
        hints: Hints::default(),
        handed: Handed::default(),
        _lock: lock,
    });
    let survivors = take_over(&shared, found, &adopted).map_err(OpenError::TakeOver)?;
    open_records(&shared, &survivors)?;
    Ok((shared, survivors))
}

/// Tries what every start does on the disk, unless there is no room for that: then
/// there is none for a new sandbox either, and those that there are need not wait.
fn try_disk(state: &State, first_uid: u32) -> Result<(), OpenError> {
    let place = state.sandboxes();
    let room = room::check(&place, 0).map_err(in_directory(&place))?;
    let Err(scarce) = room else {
        return Ok(container::probe(state, first_uid)?);
    };
    warn!(path = %place.display(), "{scarce}; until then no new ones are taken on");
    Ok(())
}

/// Has process 1 on the disk, or has the next start put it there if the disk is full.
fn install_program(state: &State) -> Result<PathBuf, OpenError> {
    let place = program::place(state);
    match program::install(&place) {
        Err(error) if room::is_missing(&error) => {
            warn!(path = %place.display(), %error, "process 1 of new sandboxes could not be written");
        }
        done => done.map_err(in_directory(&state.programs()))?,
    }
    Ok(place)
}

/// Begins with the names of those that run, so that none of them is lost for a moment.
fn open_records(shared: &Shared, survivors: &[Survivor]) -> Result<(), OpenError> {
    let Some(path) = &shared.config.dns_records else {
        return Ok(());
    };
    let running = survivors.iter();
    let running = running.filter(|survivor| survivor.from == driver::From::Start);
    let known = running.filter_map(|survivor| {
        let launch = &survivor.sandbox.launch;
        Some((launch.id, shared.record(launch)?))
    });
    let opened = Records::open(path.clone(), known.collect());
    let records = opened.map_err(|source| OpenError::Records {
        path: path.clone(),
        source,
    })?;
    // Nobody else sets it.
    let _ = shared.records.set(records);
    Ok(())
}

fn check(config: &LinuxConfig) -> Result<(), OpenError> {
    let class = &config.default_class;
    if !config.handlers.contains_key(class) {
        let class = class.to_string();
        return Err(OpenError::NoRuntime { class });
    }
    let run = run_directory(config);
    let socket = run
        .join("sockets")
        .join(SandboxId::new(uuid::Uuid::nil()).to_string());
    if socket.as_os_str().len() > SOCKET_PATH_MAX {
        return Err(OpenError::PathTooLong { path: run });
    }
    Ok(())
}

fn run_directory(config: &LinuxConfig) -> PathBuf {
    let network = &config.network;
    network.directory.join(network.instance.as_str())
}

fn take_state(config: &LinuxConfig) -> Result<(State, Held), OpenError> {
    let path = &config.state;
    let state = State::create(path.clone(), run_directory(config)).map_err(in_directory(path))?;
    let lock = state::hold(&state.lock_file()).map_err(in_directory(path))?;
    let path = path.clone();
    Ok((state, lock.ok_or(OpenError::InUse { path })?))
}

fn in_directory(path: &std::path::Path) -> impl Fn(io::Error) -> OpenError {
    let path = path.to_path_buf();
    move |source| OpenError::Directory {
        path: path.clone(),
        source,
    }
}

fn find(state: &State) -> io::Result<Found> {
    let mut found = Found::default();
    for remembered in state.remembered()? {
        match remembered {
            Remembered::Sandbox(launch, state) => {
                // Not kept: from here on nobody else can start it.
                state.wait_for_starts()?;
                found.sandboxes.push((*launch, state));
            }
            Remembered::Remains(state) => found.remains.push(state),
        }
    }
    Ok(found)
}

/// Those whose policy has to stay in force.
fn known(found: &Found, cgroups: &Cgroups) -> Vec<Known> {
    let runs = |id| matches!(cgroups.process_1(id), Ok(Some(_)));
    let sandboxes = found.sandboxes.iter();
    sandboxes
        .filter(|(launch, _)| runs(launch.id))
        .map(|(launch, _)| Known {
            id: launch.id,
            standing: Standing::of(launch),
            wish: services::wish(launch),
        })
        .collect()
}

fn take_over(
    shared: &Shared,
    found: Found,
    adopted: &BTreeMap<SandboxId, Attached>,
) -> io::Result<Vec<Survivor>> {
    for state in &found.remains {
        warn!(sandbox.id = %state.id(), "a sandbox was left without its launch; removing it");
        shared.free(state)?;
        state.remove()?;
    }
    for (_, state) in &found.sandboxes {
        if let Some(owner) = state.disk_owner() {
            shared.identities.keep(owner);
        }
    }
    let sandboxes = found.sandboxes.into_iter();
    sandboxes
        .map(|(launch, state)| {
            let is_connected = adopted.contains_key(&launch.id);
            take_over_one(shared, launch, state, is_connected)
        })
        .collect()
}

fn take_over_one(
    shared: &Shared,
    launch: Launch,
    state: SandboxState,
    is_connected: bool,
) -> io::Result<Survivor> {
    let id = launch.id;
    let starting = View::Starting("taking it over".to_owned());
    let sandbox = Sandbox::new(launch, state, starting);
    let from = whence(shared, &sandbox, is_connected)?;
    info!(sandbox.id = %id, from = ?from, "sandbox of an earlier run is taken over");
    Ok(Survivor { sandbox, from })
}

/// Finds out where the driver of a sandbox takes over, and shows its view.
fn whence(shared: &Shared, sandbox: &Sandbox, is_connected: bool) -> io::Result<driver::From> {
    let state = &sandbox.state;
    if let Some(end) = state.end()? {
        shared.free(state)?;
        sandbox.show(end.view());
        return Ok(driver::From::End);
    }
    if state.is_capture_marked() {
        shared.cgroups.thaw(sandbox.id())?;
        state.unmark_capture()?;
    }
    let status = status(state);
    if let Some(started) = status.started {
        let is_frozen = shared.cgroups.is_frozen(sandbox.id());
        let since = instant(started.at.0);
        sandbox.show(running(shared, sandbox, since, is_frozen));
    }
    if let Some(by) = state.stop_by()? {
        // Whether process 1 was told is not known, and telling it twice does no harm.
        sandbox.wish_stop(by.saturating_since(shared.config.clock.now()));
    }
    let runs = shared.cgroups.process_1(sandbox.id())?.is_some();
    let has_run = status.started.is_some() || status.exit.is_some();
    Ok(match (runs, is_connected) {
        (true, false) => driver::From::Unguarded,
        (true, true) => driver::From::Start,
        // What ran and is over is concluded; what never ran can start yet.
        (false, _) if has_run => driver::From::Start,
        (false, _) => {
            shared.free(state)?;
            driver::From::Record
        }
    })
}

/// Ends the leases of sandboxes that are gone.
async fn release_leases(shared: &Shared) -> Result<(), OpenError> {
    let images = shared.config.images.store();
    let prefix = shared.holder_prefix();
    for lease in images.leases()? {
        let id = lease.holder.as_str().strip_prefix(&prefix);
        let Some(id) = id.and_then(|id| id.parse::<SandboxId>().ok()) else {
            continue;
        };
        if !shared.state.sandbox(id).needs_image() {
            images.release(&lease.holder).await?;
        }
    }
    Ok(())
}
