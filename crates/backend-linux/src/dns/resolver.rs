//! The task that serves the sandboxes' questions.
//!
//! Inputs: datagrams and connections from inside the router. Outputs: answers,
//! and questions to the upstream servers. Ends when it is told to stop; what is
//! being answered then is given up, as a question that is lost is asked again.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::Message;
use tokio::net::{TcpListener, UdpSocket};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};

use super::answer;
use super::config::{Config, ConfigError};
use super::directory::Directory;
use super::question::{self, Request};
use super::service::{Decision, Forward, Service};
use super::stream;
use super::tally::Tally;
use super::upstream::Servers;
use crate::network::{Listening, Network, Outward};

/// Where resolvers listen.
const PORT: u16 = 53;
/// How often the host is asked whether it has other servers.
const REREAD_PERIOD: Duration = Duration::from_secs(10);
/// After a failure of the system that may last.
const PAUSE: Duration = Duration::from_millis(100);
/// How long tasks have to end.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// Why the resolver could not be made.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It could not listen inside the router.
    #[error("could not listen for the sandboxes' DNS questions inside the router")]
    Listen(#[source] io::Error),
    /// It has no way to the upstream servers.
    #[error("could not enter the host's network namespace for DNS")]
    Outward(#[source] io::Error),
    /// It has nobody to ask.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// The resolver could not start to serve.
#[derive(Debug, thiserror::Error)]
#[error("could not serve the sandboxes' DNS questions")]
pub struct RunError(#[source] io::Error);

/// A resolver whose sockets are open: from now on questions wait to be served.
#[derive(Debug)]
pub struct Resolver {
    listening: Listening,
    service: Arc<Service>,
}

impl Resolver {
    /// Listens where the sandboxes of this network look for a resolver. Blocks
    /// for a moment.
    pub fn open(network: &Network, config: Config) -> Result<Self, OpenError> {
        let listening = network.listen(PORT).map_err(OpenError::Listen)?;
        let outward = network.outward().map_err(OpenError::Outward)?;
        Self::new(listening, outward, network.directory(), config)
    }

    pub(super) fn new(
        listening: Listening,
        outward: Outward,
        directory: Directory,
        config: Config,
    ) -> Result<Self, OpenError> {
        let tally = Arc::new(Tally::default());
        let servers = Servers::new(config, outward, Arc::clone(&tally))?;
        Ok(Self {
            listening,
            service: Arc::new(Service::new(directory, servers, tally)),
        })
    }

    /// The counters, which stay readable while it runs.
    pub fn tally(&self) -> Arc<Tally> {
        Arc::clone(&self.service.tally)
    }

    /// Serves until `stop`. The network must stay open for as long.
    pub async fn run(self, stop: CancellationToken) -> Result<(), RunError> {
        let tasks = TaskTracker::new();
        // Whatever ends this, ends what it started.
        let stop = stop.child_token();
        let _ended = stop.clone().drop_guard();
        for socket in self.listening.datagrams {
            let socket = Arc::new(UdpSocket::from_std(socket).map_err(RunError)?);
            let serve = serve_datagrams(
                Arc::clone(&self.service),
                socket,
                tasks.clone(),
                stop.clone(),
            );
            tasks.spawn(serve);
        }
        for listener in self.listening.streams {
            let listener = TcpListener::from_std(listener).map_err(RunError)?;
            let serve = serve_streams(
                Arc::clone(&self.service),
                listener,
                tasks.clone(),
                stop.clone(),
            );
            tasks.spawn(serve);
        }
        info!("resolver is serving");
        let mut ticks = interval(REREAD_PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            self.service.servers.reread();
        }
        tasks.close();
        if timeout(DRAIN_MAX, tasks.wait()).await.is_err() {
            warn!(
                tasks = tasks.len(),
                "resolver stopped without its last tasks"
            );
        }
        info!("resolver stopped");
        Ok(())
    }
}

async fn serve_datagrams(
    service: Arc<Service>,
    socket: Arc<UdpSocket>,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let mut buffer = [0; question::LEN_MAX + 1];
    // Receiving loses nothing when it is given up.
    while let Some(received) = stop
        .run_until_cancelled(socket.recv_from(&mut buffer))
        .await
    {
        let (len, from) = match received {
            Ok(received) => received,
            Err(error) => {
                pause("receive", &error, &stop).await;
                continue;
            }
        };
        match service.decide(buffer.get(..len).unwrap_or_default(), from.ip()) {
            Decision::Nothing => {}
            Decision::Reply(request, answer) => reply(&socket, &request, &answer, from),
            Decision::Forward(forward) => {
                let (service, socket) = (Arc::clone(&service), Arc::clone(&socket));
                tasks.spawn(answer_datagram(
                    service,
                    socket,
                    forward,
                    from,
                    stop.clone(),
                ));
            }
        }
    }
}

async fn answer_datagram(
    service: Arc<Service>,
    socket: Arc<UdpSocket>,
    forward: Box<Forward>,
    from: SocketAddr,
    stop: CancellationToken,
) {
    if let Some(answer) = stop.run_until_cancelled(service.forward(&forward)).await {
        reply(&socket, &forward.question.request, &answer, from);
    }
}

/// Sends an answer, unless the socket is congested: then it is lost, as it may
/// be on any network.
fn reply(socket: &UdpSocket, request: &Request, answer: &Message, to: SocketAddr) {
    let Some(bytes) = answer::datagram(request, answer) else {
        return;
    };
    if let Err(error) = socket.try_send_to(&bytes, to) {
        debug!(
            error = &error as &dyn std::error::Error,
            "an answer was lost"
        );
    }
}

async fn serve_streams(
    service: Arc<Service>,
    listener: TcpListener,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    // Accepting loses nothing when it is given up.
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                pause("accept", &error, &stop).await;
                continue;
            }
        };
        match service.connection(from.ip()) {
            Ok(places) => {
                let (service, stop) = (Arc::clone(&service), stop.clone());
                tasks.spawn(async move {
                    let serve = stream::serve(&service, stream, from.ip());
                    stop.run_until_cancelled(serve).await;
                    drop(places);
                });
            }
            Err(cause) => service.tally.refused(cause),
        }
    }
}

/// Does not turn a failure that lasts into a busy loop.
async fn pause(what: &str, error: &io::Error, stop: &CancellationToken) {
    warn!(
        error = error as &dyn std::error::Error,
        "resolver could not {what}"
    );
    stop.run_until_cancelled(sleep(PAUSE)).await;
}
