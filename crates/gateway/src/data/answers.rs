//! The answer side of a stream.
//!
//! A task makes the answers and this hands them to the transport, through a
//! short channel, so that a client that does not read holds the task up. There
//! is always exactly one end. A task that is lost without telling one is told
//! as a failure: a stream that merely stopped would look like success.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use palisade_model::reason::{Code, Reason};
use palisade_model::refusal::Refusal;
use tokio::sync::mpsc;
use tokio::time;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::deadline;
use crate::context::Context as Call;
use crate::visits::{Visit, shown_out};

/// Answers that may wait for the client to read.
const ANSWERS_MAX: usize = 4;

/// How long a client is told to wait when the server stops: until it is there again.
const RETRY: Duration = Duration::from_secs(1);

/// The most payload of one answer. What a runner read at once is smaller; an
/// answer that is larger would be beyond what clients take by default.
const PAYLOAD_BYTES_MAX: usize = 1024 * 1024;

/// How a stream ends: with a last frame, or with a status.
pub(super) type End<T> = Result<T, Status>;

/// What ends a stream whose work goes on and whose client stays.
#[derive(Debug)]
pub(super) struct Bounds<'a> {
    /// The call that the stream answers.
    pub(super) call: &'a Call,
    /// Over when the token of the call holds no more.
    pub(super) visit: &'a Visit,
    /// When the client stops waiting.
    pub(super) deadline: Option<time::Instant>,
    /// What is said when the deadline passes.
    pub(super) late: fn() -> Refusal,
    /// Cancelled when the server stops.
    pub(super) stop: &'a CancellationToken,
}

impl Bounds<'_> {
    async fn passed(&self) -> Status {
        let refusal = tokio::select! {
            biased;
            () = self.stop.cancelled() => stopping(),
            () = self.visit.over() => shown_out(),
            () = deadline::reached(self.deadline) => (self.late)(),
        };
        self.call.status(&refusal.into())
    }
}

fn stopping() -> Refusal {
    Refusal::new(Reason::BackendUnavailable, "the server is stopping").retry_after(RETRY)
}

/// The end of the work was not told.
fn cut() -> Refusal {
    Refusal::new(Reason::BackendUnavailable, "the stream was cut").retry_after(RETRY)
}

/// The deadline of a stream that runs nothing passed.
pub(super) fn too_late() -> Refusal {
    let text = "the deadline of the call has passed";
    Refusal::new(Reason::BackendUnavailable, text).with_code(Code::DeadlineExceeded)
}

/// One answer.
#[derive(Debug)]
enum Answer<T> {
    More(T),
    Last(End<T>),
}

/// Where a task puts its answers.
#[derive(Debug)]
pub(super) struct Sink<T>(mpsc::Sender<Answer<T>>);

/// What the transport reads.
#[derive(Debug)]
pub(super) struct Answers<T> {
    received: mpsc::Receiver<Answer<T>>,
    is_over: bool,
    call: Call,
}

/// Both ends of the answer side of a call.
pub(super) fn answers<T>(call: &Call) -> (Sink<T>, Answers<T>) {
    let (sender, received) = mpsc::channel(ANSWERS_MAX);
    let answers = Answers {
        received,
        is_over: false,
        call: call.clone(),
    };
    (Sink(sender), answers)
}

/// The payload in frames of bounded size; mostly just one.
pub(super) fn frames(mut data: Bytes) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || {
        let size = data.len().min(PAYLOAD_BYTES_MAX);
        (size > 0).then(|| data.split_to(size))
    })
}

impl<T> Sink<T> {
    /// Hands on an answer once there is room for it.
    ///
    /// A client that is gone is noticed by [`Sink::carry_out`], which ends
    /// whatever is being done for it.
    pub(super) async fn send(&self, answer: T) {
        let _ = self.0.send(Answer::More(answer)).await;
    }

    /// Hands on an answer if the client makes room for it in time; whether it did.
    pub(super) async fn send_within(&self, answer: T, limit: Duration) -> bool {
        let sent = time::timeout(limit, self.0.send(Answer::More(answer)));
        sent.await.is_ok()
    }

    /// Does the work of a stream; `None` if its client left meanwhile.
    ///
    /// The work is dropped when the client leaves, when it is out of bounds, and in
    /// any case before this returns.
    pub(super) async fn carry_out(
        &self,
        bounds: &Bounds<'_>,
        work: impl Future<Output = End<T>>,
    ) -> Option<End<T>> {
        tokio::select! {
            biased;
            () = self.0.closed() => None,
            status = bounds.passed() => Some(Err(status)),
            end = work => Some(end),
        }
    }

    /// Tells the end of a stream. A client that does not read is waited for, so that
    /// whatever the stream held must have been let go.
    pub(super) async fn tell(&self, end: End<T>, stop: &CancellationToken) {
        tokio::select! {
            biased;
            // Without room the stream ends as one that was cut.
            _ = self.0.send(Answer::Last(end)) => {}
            () = stop.cancelled() => {}
        }
    }
}

impl<T: Unpin> Stream for Answers<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let answer = match self.received.poll_recv(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(answer) => answer,
        };
        let item = match answer {
            Some(Answer::More(answer)) => Ok(answer),
            Some(Answer::Last(end)) => {
                self.is_over = true;
                end
            }
            None => {
                self.is_over = true;
                Err(self.call.status(&cut().into()))
            }
        };
        Poll::Ready(Some(item))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use palisade_model::id::TokenId;
    use palisade_model::tenant::{Principal, Role};
    use palisade_wire::grpc_status;
    use tonic::Code;
    use uuid::Uuid;

    use super::*;
    use crate::visits::Visits;

    fn call() -> Call {
        Call {
            caller: Principal {
                organization: "acme".parse().unwrap(),
                user: "ada".parse().unwrap(),
                role: Role::SandboxUser,
                token: TokenId::new(Uuid::nil()),
            },
            request_id: "req-1".to_owned(),
        }
    }

    impl<T> Sink<T> {
        /// Does the work and tells its end.
        async fn conduct(
            &self,
            deadline: Option<time::Instant>,
            stop: &CancellationToken,
            work: impl Future<Output = End<T>>,
        ) {
            let bounds = Bounds {
                call: &call(),
                visit: &Visits::default().begin(call().caller.token),
                deadline,
                late: too_late,
                stop,
            };
            if let Some(end) = self.carry_out(&bounds, work).await {
                self.tell(end, stop).await;
            }
        }
    }

    fn codes(items: &[Result<u8, Status>]) -> Vec<Result<u8, Code>> {
        items
            .iter()
            .map(|item| item.as_ref().map_err(Status::code).copied())
            .collect()
    }

    #[tokio::test]
    async fn answers_come_in_order_and_nothing_follows_the_last() {
        let (sink, answers) = answers(&call());
        sink.send(1).await;
        sink.conduct(None, &CancellationToken::new(), async { Ok(2) })
            .await;
        sink.send(3).await;
        drop(sink);
        assert_eq!(codes(&answers.collect::<Vec<_>>().await), [Ok(1), Ok(2)]);
    }

    #[tokio::test]
    async fn a_task_that_is_lost_is_told_as_a_failure_with_its_reason() {
        let (sink, answers) = answers::<u8>(&call());
        drop(sink);
        let seen: Vec<_> = answers.collect().await;
        assert_eq!(codes(&seen), [Err(Code::Unavailable)]);
        let told = grpc_status::read(seen[0].as_ref().unwrap_err());
        assert_eq!(told.reason(), Some("CWSANDBOX_BACKEND_UNAVAILABLE"));
        assert_eq!(told.request_id(), Some("req-1"));
    }

    #[tokio::test]
    async fn a_stopping_server_does_not_wait_for_a_client_that_does_not_read() {
        let (sink, answers) = answers(&call());
        for number in 0..ANSWERS_MAX {
            sink.send(u8::try_from(number).unwrap()).await;
        }
        let stop = CancellationToken::new();
        stop.cancel();
        sink.conduct(None, &stop, std::future::pending()).await;
        drop(sink);
        let seen = codes(&answers.collect::<Vec<_>>().await);
        assert_eq!(seen.last(), Some(&Err(Code::Unavailable)));
        assert_eq!(seen.len(), ANSWERS_MAX + 1);
    }

    #[test]
    fn a_payload_is_cut_only_where_it_must_be() {
        let sizes = |size: usize| -> Vec<usize> {
            frames(vec![0; size].into())
                .map(|frame| frame.len())
                .collect()
        };
        assert_eq!(sizes(0), [] as [usize; 0]);
        assert_eq!(sizes(PAYLOAD_BYTES_MAX), [PAYLOAD_BYTES_MAX]);
        assert_eq!(sizes(PAYLOAD_BYTES_MAX + 1), [PAYLOAD_BYTES_MAX, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_is_waited_for_so_long_and_no_longer() {
        let (sink, mut answers) = answers(&call());
        let limit = Duration::from_mins(10);
        for number in 0..ANSWERS_MAX {
            let number = u8::try_from(number).unwrap();
            assert!(sink.send_within(number, limit).await);
        }
        let late = async {
            time::sleep(limit / 2).await;
            answers.next().await
        };
        let (sent, _) = tokio::join!(sink.send_within(8, limit), late);
        assert!(sent, "it read in time");
        assert!(!sink.send_within(9, limit).await, "it never read");
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_ends_the_work() {
        let (sink, answers) = answers::<u8>(&call());
        let (held, mut gone) = tokio::sync::oneshot::channel::<()>();
        let work = async {
            let _held = held;
            std::future::pending().await
        };
        let deadline = time::Instant::now() + Duration::from_secs(1);
        sink.conduct(Some(deadline), &CancellationToken::new(), work)
            .await;
        assert!(gone.try_recv().is_err(), "the work is dropped");
        drop(sink);
        assert_eq!(
            codes(&answers.collect::<Vec<_>>().await),
            [Err(Code::DeadlineExceeded)]
        );
    }
}
