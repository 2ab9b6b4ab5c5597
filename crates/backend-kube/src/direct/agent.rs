//! The agent of one sandbox: how it is started, held and let go.
//!
//! ```text
//!     exec through the API server ──► told its key ──► listens ──► held
//!                        └──────────────┴── says why not, or nothing
//! ```
//!
//! It lives as long as the exec that started it. A task holds that: it says now and
//! then that somebody is there, and hears that the agent is. It ends when the
//! exec does, when the agent falls silent, when nobody refers to the agent any more,
//! or when the backend closes, and all connections to the agent end with it.

use std::net::SocketAddr;
use std::time::Duration;

use kube::api::AttachedProcess;
use palisade_init_protocol::agent::{
    AGENT, AgentConfig, BEAT, BEAT_BYTE, Key, REPORT_BYTES_MAX, Report, SILENCE_MAX,
};
use palisade_init_protocol::config::Limits;
use palisade_init_protocol::probe::PROGRAM;
use palisade_init_protocol::text::Reason;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Failure;
use super::way::{self, Way};
use crate::attach::{Target, exec};

/// How long a start may take; the call that waits for it has another way.
const START_LIMIT: Duration = Duration::from_secs(10);

/// What an agent is to bound. A connection is a process of its own there.
const LIMITS: Limits = Limits {
    connections: 2048,
    ..Limits::DEFAULT
};

/// An agent that listens. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Agent {
    key: Key,
    address: SocketAddr,
    gone: CancellationToken,
    _stays: DropGuard,
}

/// The streams of an agent.
struct Streams<I, O, E> {
    input: I,
    output: O,
    errors: E,
}

impl Agent {
    /// Starts an agent in the main container of a pod.
    pub(super) async fn start(target: &Target, address: SocketAddr) -> Result<Self, Failure> {
        let started = time::timeout(START_LIMIT, start(target, address));
        started.await.map_err(|_| Failure::Silent)?
    }

    /// Whether it has ended, or is about to.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.is_cancelled()
    }

    /// A connection to it.
    pub(super) async fn open(&self) -> Result<Way, Failure> {
        way::open(self.address, &self.key, &self.gone).await
    }
}

async fn start(target: &Target, address: SocketAddr) -> Result<Agent, Failure> {
    let key = key()?;
    let words = [PROGRAM, AGENT].map(str::to_owned).to_vec();
    let opened = exec::open(target, words, false).await;
    let mut process = opened.map_err(|error| Failure::NotStarted(error.to_string()))?;
    let (Some(input), Some(output), Some(errors)) =
        (process.stdin(), process.stdout(), process.stderr())
    else {
        return Err(Failure::NotStarted("it has no streams".to_owned()));
    };
    let mut streams = Streams {
        input,
        output,
        errors,
    };
    let port = address.port().try_into();
    let config = AgentConfig {
        port: port.map_err(|_| Failure::NotStarted("it has no port".to_owned()))?,
        key: key.clone(),
        limits: LIMITS,
    };
    match tell(&mut streams, config).await {
        Some(Report::Listening) => {}
        Some(Report::Failed(reason)) => return Err(Failure::NotStarted(reason.into_string())),
        None => return Err(Failure::NotStarted(why_not(process).await)),
    }
    let gone = CancellationToken::new();
    let closing = target.shared.closing.clone();
    let ends = gone.clone();
    target.shared.attached.spawn(async move {
        tokio::select! {
            () = ends.cancelled() => {}
            () = closing.cancelled() => {}
            () = hold(streams) => {}
        }
        ends.cancel();
        drop(process);
    });
    Ok(Agent {
        key,
        address,
        _stays: gone.clone().drop_guard(),
        gone,
    })
}

fn key() -> Result<Key, Failure> {
    let mut bytes = [0; Key::LEN];
    let filled = getrandom::fill(&mut bytes);
    filled.map_err(|error| Failure::NotStarted(error.to_string()))?;
    Ok(Key::new(bytes))
}

/// Tells an agent what to be, and returns what it says to that.
async fn tell<I, O, E>(streams: &mut Streams<I, O, E>, config: AgentConfig) -> Option<Report>
where
    I: AsyncWrite + Unpin,
    O: AsyncRead + Unpin,
{
    streams.input.write_all(&config.encode()).await.ok()?;
    streams.input.flush().await.ok()?;
    let mut line = Vec::new();
    loop {
        // Byte by byte: what follows the line is for somebody else.
        match streams.output.read_u8().await.ok()? {
            b'\n' => break,
            byte => line.push(byte),
        }
        if line.len() >= REPORT_BYTES_MAX {
            return None;
        }
    }
    Report::parse(std::str::from_utf8(&line).ok()?.trim_end())
}

/// Why a program ended that said nothing.
async fn why_not(mut process: AttachedProcess) -> String {
    let Some(status) = process.take_status() else {
        return "it ended".to_owned();
    };
    let status = status.await.and_then(|status| status.message);
    // Pods from before it was wanted have none, as those that keep its port.
    let said = status.unwrap_or_else(|| "it ended without a word".to_owned());
    Reason::new(said.chars().take(300).collect::<String>()).into_string()
}

/// Says that somebody is there, until the agent is not.
async fn hold<I, O, E>(streams: Streams<I, O, E>)
where
    I: AsyncWrite + Unpin,
    O: AsyncRead + Unpin,
    E: AsyncRead + Unpin,
{
    let Streams {
        mut input,
        mut output,
        mut errors,
    } = streams;
    let say = async {
        loop {
            time::sleep(BEAT).await;
            let said = input.write_all(&[BEAT_BYTE]).await;
            if said.is_err() || input.flush().await.is_err() {
                return;
            }
        }
    };
    let hear = async {
        let mut heard = [0; 64];
        while let Ok(Ok(1..)) = time::timeout(SILENCE_MAX, output.read(&mut heard)).await {}
    };
    let ignore = async {
        let _ = tokio::io::copy(&mut errors, &mut tokio::io::sink()).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = say => {}
        () = hear => {}
        () = ignore => {}
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{duplex, empty};

    use super::*;

    fn config() -> AgentConfig {
        AgentConfig {
            port: crate::settings::DirectExec::PORT,
            key: Key::new([1; Key::LEN]),
            limits: LIMITS,
        }
    }

    /// What is made of what an agent says.
    async fn told(said: &[u8]) -> Option<Report> {
        let mut streams = Streams {
            input: tokio::io::sink(),
            output: said,
            errors: empty(),
        };
        tell(&mut streams, config()).await
    }

    #[tokio::test]
    async fn an_agent_is_one_that_says_so_in_a_line() {
        assert_eq!(told(b"listening\n....").await, Some(Report::Listening));
        let failed = Report::Failed(Reason::new("the port is taken"));
        assert_eq!(told(b"failed: the port is taken\n").await, Some(failed));
        for odd in [
            &b""[..],
            b"listening",
            b"hello\n",
            b"\xff\n",
            &[b'x'; 10_000],
        ] {
            assert_eq!(told(odd).await, None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_that_falls_silent_is_let_go() {
        let (input, mut said) = duplex(64);
        let (output, mut answers) = duplex(64);
        let streams = Streams {
            input,
            output,
            errors: empty(),
        };
        let began = time::Instant::now();
        let mut held = std::pin::pin!(hold(streams));
        for _ in 0..10 {
            tokio::select! {
                () = &mut held => unreachable!("it answered"),
                byte = said.read_u8() => assert_eq!(byte.unwrap(), BEAT_BYTE),
            }
            answers.write_all(&[BEAT_BYTE]).await.unwrap();
        }
        held.await;
        assert_eq!(began.elapsed(), 10 * BEAT + SILENCE_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_that_ends_is_let_go_at_once() {
        let (input, _said) = duplex(64);
        let streams = Streams {
            input,
            output: empty(),
            errors: empty(),
        };
        let began = time::Instant::now();
        hold(streams).await;
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
