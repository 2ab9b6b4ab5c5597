//! Starting one container, on a thread that has namespaces of its own.
//!
//! ```text
//!  new thread ── unshare mounts and network ── connect, policy in force
//!     ── mount overlay ── write /etc, bundle ── OCI runtime ── thread ends
//! ```
//!
//! Everything that is mounted on the way is seen by this thread and what it
//! starts, and by nobody else. So nothing has to be unmounted: when the thread
//! has ended, the container alone holds its root, and if the runner is killed
//! at any point, the kernel clears away the rest.

mod bundle;
mod etc;
mod files;
mod identity;
mod mounts;
mod probe;
mod seccomp;
mod spawn;
mod words;
mod writer;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use palisade_image::Image;
use palisade_init_protocol::config::Config;
use palisade_model::policy::Standing;
use palisade_model::profile::EgressMode;
use palisade_model::sandbox::Launch;
use rustix::thread::UnshareFlags;

use crate::cgroup::Cgroups;
use crate::config::Handler;
use crate::init_client::Handover;
use crate::laps::{Lap, Laps};
use crate::network::namespace::on_own_thread;
use crate::network::{AttachError, Network};
use crate::services;
use crate::state::{Held, SandboxState};

pub(crate) use self::bundle::Limits;
pub(crate) use self::identity::{Identities, Identity, namespace as owners_of};
pub(crate) use self::mounts::map_owners;
pub use self::probe::ProbeError;
pub(crate) use self::probe::probe;

const OWN_NETWORK: &str = "/proc/thread-self/ns/net";

/// Everything that one start needs, decided.
#[derive(Debug)]
pub(crate) struct Start<'a> {
    pub(crate) launch: &'a Launch,
    pub(crate) image: Arc<Image>,
    pub(crate) identity: &'a Identity,
    /// The detached mount of the file system that it has to itself.
    pub(crate) file_system: Option<&'a OwnedFd>,
    pub(crate) limits: Limits,
    pub(crate) config: Config,
    pub(crate) runtime: Runtime<'a>,
    pub(crate) state: &'a SandboxState,
    pub(crate) host: Host<'a>,
    /// Inherited by the runtime, so that it is known whether one still runs.
    pub(crate) starting: Held,
}

impl Start<'_> {
    fn file_system_path(&self) -> Option<&str> {
        self.file_system?;
        let wanted = self.launch.file_system.as_ref();
        wanted.map(|wanted| wanted.mount_path.as_str())
    }
}

/// The OCI runtime to use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Runtime<'a> {
    pub(crate) class: &'a str,
    pub(crate) handler: &'a Handler,
    /// Where it keeps what it remembers.
    pub(crate) root: &'a Path,
}

/// What all starts share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Host<'a> {
    pub(crate) network: &'a Network,
    pub(crate) cgroups: &'a Cgroups,
    pub(crate) mount_point: &'a Path,
    /// The program that becomes process 1.
    pub(crate) init: &'a Path,
}

/// Why a container could not be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("could not {what}")]
    Step {
        what: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("could not connect the sandbox to the network")]
    Network(#[from] AttachError),
    #[error("the image cannot be prepared: {what}")]
    Image {
        what: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("the file {path} cannot be put in place: {why}")]
    File { path: String, why: &'static str },
    #[error("the OCI runtime {class} could not be run")]
    Spawn {
        class: String,
        #[source]
        source: io::Error,
    },
    #[error("the OCI runtime {class} refused the sandbox: {message}")]
    Runtime { class: String, message: String },
}

/// Makes an error of a step.
fn step(what: &'static str) -> impl Fn(io::Error) -> StartError {
    move |source| StartError::Step { what, source }
}

/// Starts the container: when this returns, its process 1 runs.
pub(crate) fn start(start: &Start<'_>, laps: &mut Laps) -> Result<(), StartError> {
    let done = on_own_thread(|| on_this_thread(start, laps));
    done.map_err(step("make a thread"))?
}

#[expect(unsafe_code, reason = "replacing namespaces has no safe wrapper")]
fn on_this_thread(start: &Start<'_>, laps: &mut Laps) -> Result<(), StartError> {
    let own = UnshareFlags::NEWNS | UnshareFlags::NEWNET | UnshareFlags::FS;
    // SAFETY: what is replaced belongs to this thread alone from here on: its
    // mounts, its network and its working directory. Descriptors stay shared.
    unsafe { rustix::thread::unshare_unsafe(own) }
        .map_err(|error| step("make namespaces")(error.into()))?;
    let addresses = connect(start)?;
    laps.end(Lap::Network);
    let mounts = mounts::Mounts {
        point: start.host.mount_point,
        disk: start.state.disk(),
        lower: &start.image.lower_dirs,
        owners: start.identity.owners(),
        first_uid: start.identity.first(),
        file_system: start.file_system,
        init: start.host.init,
        hidden: start.host.cgroups.unified_to_hide(),
    };
    mounts.make()?;
    let root = start.host.mount_point.join(mounts::ROOT);
    etc::write(&etc::Plan {
        root: &root,
        owner: start.identity.first(),
        hostname: &start.launch.id.to_string(),
        addresses,
        resolver: resolver(start),
    })?;
    let files = files::stage(&files::Plan {
        files: &start.launch.mounted_files,
        disk: &start.host.mount_point.join(mounts::DISK),
        root: &root,
        owner: start.identity.first(),
    })?;
    laps.end(Lap::Root);
    let bundle = bundle::Bundle {
        kind: start.runtime.handler.kind,
        hostname: start.launch.id.to_string(),
        first_uid: start.identity.first(),
        cgroup: start.host.cgroups.path(start.launch.id),
        sees_cgroup: start.host.cgroups.is_v2(),
        mount_point: start.host.mount_point,
        file_system: start.file_system_path(),
        limits: start.limits,
        files: &files,
    };
    let written = start.state.write_bundle(&bundle.document().to_string());
    let place = written.map_err(step("write the bundle"))?;
    let handover = Handover::open(&start.state.paths(), start.config.clone());
    let handover = handover.map_err(step("prepare what process 1 is given"))?;
    laps.end(Lap::Bundle);
    let places = words::Places::new(&root, &start.state.host_places());
    let started = spawn::run(&spawn::Plan {
        runtime: start.runtime,
        id: start.launch.id,
        bundle: &place,
        log: &start.state.runtime_log(),
        places: &places,
        passed: &handover.descriptors(),
        held: start.starting.as_fd(),
    });
    laps.end(Lap::Runtime);
    started
}

fn connect(start: &Start<'_>) -> Result<crate::network::Addresses, StartError> {
    let namespace = std::fs::File::open(OWN_NETWORK).map_err(step("open a network namespace"))?;
    let (id, standing) = (start.launch.id, &Standing::of(start.launch));
    let network = start.host.network;
    let attached = match network.attach(id, standing, namespace.as_fd()) {
        // Left by a start that was cut short.
        Err(AttachError::AlreadyAttached) => {
            let detached = network.detach(id).map_err(io::Error::other);
            detached.map_err(step("free the addresses of an earlier attempt"))?;
            book(start)?;
            network.attach(id, standing, namespace.as_fd())?
        }
        other => other?,
    };
    Ok(attached.addresses)
}

/// Gets what is to lead to it once more.
fn book(start: &Start<'_>) -> Result<(), StartError> {
    let Some(wish) = services::wish(start.launch) else {
        return Ok(());
    };
    let booked = start.host.network.book(start.launch.id, &wish);
    booked
        .map_err(io::Error::other)
        .map_err(step("book ports or an address again"))
}

/// Where the sandbox looks names up, if it may.
fn resolver(start: &Start<'_>) -> Option<crate::network::Addresses> {
    match start.launch.egress.mode {
        EgressMode::Internet
        | EgressMode::Allowlist(_)
        | EgressMode::User
        | EgressMode::Org
        | EgressMode::Profile => Some(start.host.network.resolver()),
        EgressMode::None => None,
    }
}

/// The descriptors that a container is started with, in order from 3.
type Passed<'a> = [BorrowedFd<'a>; 5];
