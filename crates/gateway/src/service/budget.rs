//! The time that a request itself gives its call, `max_timeout_seconds`.
//!
//! It is kept beside the deadline of the protocol, which clients over HTTP do not have.

use palisade_wire::v1beta2::call_limit;
use tokio::time;

use crate::error::ApiResult;
use crate::guard;

/// What a call comes to in the time that its request gives it; zero is none in particular.
/// Cut off, it is dropped where it waits.
pub(super) async fn within<T>(
    max_timeout_seconds: i32,
    work: impl Future<Output = ApiResult<T>>,
) -> ApiResult<T> {
    let Some(limit) = call_limit(max_timeout_seconds)? else {
        return work.await;
    };
    let done = time::timeout(limit, work).await;
    done.unwrap_or_else(|_| Err(guard::too_slow()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use palisade_model::reason::{Code, Reason};

    use super::*;

    async fn slow() -> ApiResult<&'static str> {
        time::sleep(Duration::from_secs(5)).await;
        Ok("done")
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_has_the_time_that_its_request_gives_it() {
        for seconds in [0, 6, i32::MAX] {
            assert_eq!(within(seconds, slow()).await.unwrap(), "done");
        }
        let late = within(4, slow()).await.unwrap_err().refusal;
        assert_eq!(late.code, Code::DeadlineExceeded);
        let wrong = within(-1, slow()).await.unwrap_err().refusal;
        assert_eq!(wrong.reason, Reason::InvalidRequest);
    }
}
