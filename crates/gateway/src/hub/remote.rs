//! Sandboxes of a runner as if they were here.
//!
//! Each piece of work is asked for over the life line and has a stream of its
//! own, which the runner opens. Its errors are those of the runner; a runner
//! that is gone is a lost connection.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use palisade_backend::{
    Archive, Attach, AttachError, EXEC_QUEUE_MAX, Exec, ExecSpec, LogQuery, Logs, Tunnel, Upload,
};
use palisade_model::id::SandboxId;
use palisade_wire::proto::runner_v1 as pb;
use palisade_wire::proto::runner_v1::attach_up::Event;
use palisade_wire::proto::runner_v1::gateway_message::Message;
use palisade_wire::proto::runner_v1::open::Work;
use palisade_wire::runner::{attach_error, open_connect, open_exec, open_logs};
use tokio::sync::mpsc;
use tokio::time;

use super::Hub;
use super::pending::{Full, Link, PENDING_MAX};
use super::relay::{self, Outcome, event};
use super::session::{NoTurn, OPENINGS_MAX, Session};

/// A runner that does not open a stream within this time is given up on. The wait
/// for a turn has its own limit before that.
const OPEN_LIMIT: Duration = Duration::from_secs(15);
/// Work that has not begun within this time is given up on.
const BEGIN_LIMIT: Duration = Duration::from_secs(30);
/// How long the archiving of a file system may take before the first byte comes.
const ARCHIVE_LIMIT: Duration = Duration::from_hours(1);
/// How long one file may take.
const FILE_LIMIT: Duration = Duration::from_mins(2);

/// Talks to the sandboxes of one runner over its present connection.
#[derive(Clone, Debug)]
pub(super) struct RemoteAttach {
    hub: Hub,
    session: Arc<Session>,
}

/// Work that the runner said a first word about.
#[derive(Debug)]
struct Begun {
    link: Link,
    /// The name of the work, which the runner knows too.
    name: String,
    first: Event,
}

impl RemoteAttach {
    pub(super) fn new(hub: Hub, session: Arc<Session>) -> Self {
        Self { hub, session }
    }

    /// Asks the runner for work and waits for its stream.
    async fn open(&self, id: SandboxId, work: Work) -> Result<(Link, String), AttachError> {
        let _turn = self.session.turn().await.map_err(|none| match none {
            NoTurn::Busy => AttachError::Busy {
                limit: OPENINGS_MAX,
            },
            NoTurn::Ended => AttachError::Lost,
        })?;
        let inner = &self.hub.inner;
        let secret = inner.tools.ids.secret();
        let asked = inner
            .pending
            .wait_for(secret, self.session.identity.clone());
        let (_ticket, attach_id, link) =
            asked.map_err(|Full| AttachError::Busy { limit: PENDING_MAX })?;
        let name = attach_id.clone();
        let open = pb::Open {
            attach_id,
            sandbox_id: id.to_string(),
            work: Some(work),
        };
        let opened = async {
            let sent = self.session.send(Message::Open(open)).await;
            sent.map_err(|_| AttachError::Lost)?;
            let link = link.await.map_err(|_| AttachError::Lost)?;
            Ok((link, name))
        };
        tokio::select! {
            biased;
            opened = time::timeout(OPEN_LIMIT, opened) => opened.unwrap_or(Err(AttachError::Lost)),
            () = self.session.ended() => Err(AttachError::Lost),
        }
    }

    /// Waits for the first word of the runner about the work.
    async fn begin(&self, id: SandboxId, work: Work) -> Result<Begun, AttachError> {
        let (mut link, name) = self.open(id, work).await?;
        let first = tokio::select! {
            biased;
            first = time::timeout(BEGIN_LIMIT, event(&mut link.up)) => first,
            () = self.session.ended() => return Err(AttachError::Lost),
        };
        let first = first.unwrap_or(Err(AttachError::Lost))?;
        if let Event::Failure(failure) = first {
            return Err(attach_error(failure));
        }
        Ok(Begun { link, name, first })
    }

    /// One file, in either direction, within its time.
    async fn file<T>(
        &self,
        work: impl Future<Output = Result<T, AttachError>>,
    ) -> Result<T, AttachError> {
        tokio::select! {
            biased;
            done = time::timeout(FILE_LIMIT, work) => done.unwrap_or(Err(AttachError::Lost)),
            () = self.session.ended() => Err(AttachError::Lost),
        }
    }
}

#[async_trait]
impl Attach for RemoteAttach {
    async fn exec(&self, id: SandboxId, spec: ExecSpec) -> Result<Exec, AttachError> {
        let Begun { link, name, first } = self.begin(id, open_exec(spec)).await?;
        // A command may end without ever having run.
        let first = relay::output(first)?;
        let is_over = relay::is_end(&first);
        let (input, inputs) = mpsc::channel(EXEC_QUEUE_MAX);
        let (outputs, events) = mpsc::channel(EXEC_QUEUE_MAX);
        // The channel is new and empty, so that the first event always fits.
        let _ = outputs.try_send(first);
        if !is_over {
            let session = self.session.clone();
            let relay = async move {
                let outcome = relay::exec(link, inputs, outputs, session.ended()).await;
                abandon_if(outcome, name, &session).await;
            };
            self.hub.inner.tools.tasks.spawn(relay);
        }
        Ok(Exec { input, events })
    }

    async fn logs(&self, id: SandboxId, query: LogQuery) -> Result<Logs, AttachError> {
        let Begun { link, first, .. } = self.begin(id, open_logs(&query)).await?;
        if first != Event::Started(pb::Started {}) {
            return Err(AttachError::Lost);
        }
        let (sender, chunks) = mpsc::channel(EXEC_QUEUE_MAX);
        let session = self.session.clone();
        let relay = async move { relay::logs(link, sender, session.ended()).await };
        self.hub.inner.tools.tasks.spawn(relay);
        Ok(Logs { chunks })
    }

    async fn write_file(
        &self,
        id: SandboxId,
        path: &str,
        content: Upload,
    ) -> Result<(), AttachError> {
        let work = Work::WriteFile(pb::WriteFile {
            path: path.to_owned(),
            size_bytes: content.size_bytes(),
        });
        self.file(async { relay::write(self.open(id, work).await?.0, content).await })
            .await
    }

    async fn read_file(
        &self,
        id: SandboxId,
        path: &str,
        bytes_max: u64,
    ) -> Result<Bytes, AttachError> {
        let work = Work::ReadFile(pb::ReadFile {
            path: path.to_owned(),
            bytes_max,
        });
        self.file(async { relay::read(self.open(id, work).await?.0, bytes_max).await })
            .await
    }

    async fn connect(&self, id: SandboxId, port: NonZeroU16) -> Result<Tunnel, AttachError> {
        let Begun { link, name, first } = self.begin(id, open_connect(port)).await?;
        if first != Event::Started(pb::Started {}) {
            return Err(AttachError::Lost);
        }
        let (input, inputs) = mpsc::channel(EXEC_QUEUE_MAX);
        let (outputs, events) = mpsc::channel(EXEC_QUEUE_MAX);
        let session = self.session.clone();
        let relay = async move {
            let outcome = relay::tunnel(link, inputs, outputs, session.ended()).await;
            abandon_if(outcome, name, &session).await;
        };
        self.hub.inner.tools.tasks.spawn(relay);
        Ok(Tunnel { input, events })
    }

    async fn save_file_system(&self, id: SandboxId) -> Result<Archive, AttachError> {
        let work = Work::SaveFileSystem(pb::SaveFileSystem {});
        let (mut link, _) = self.open(id, work).await?;
        let first = tokio::select! {
            biased;
            first = time::timeout(ARCHIVE_LIMIT, event(&mut link.up)) => first,
            () = self.session.ended() => return Err(AttachError::Lost),
        };
        let content = relay::head(first.unwrap_or(Err(AttachError::Lost))?)?;
        let (sender, chunks) = mpsc::channel(EXEC_QUEUE_MAX);
        let session = self.session.clone();
        let relay = async move { relay::archive(link, sender, session.ended()).await };
        self.hub.inner.tools.tasks.spawn(relay);
        Ok(Archive { content, chunks })
    }
}

/// Tells the runner that nobody wants the work any more, unless it has ended.
async fn abandon_if(outcome: Outcome, attach_id: String, session: &Session) {
    if outcome == Outcome::Left {
        let message = Message::Abandon(pb::Abandon { attach_id });
        // A runner that takes no messages has lost its connection, and with it
        // all streams.
        let _ = session.send(message).await;
    }
}
