//! What both services read from the headers of a call.
//!
//! Works on the values alone, so that it does not matter which protocol or
//! server they came through. A secret is read here and never shown.

use palisade_model::reason::Reason;
use palisade_model::refusal::Refusal;
use palisade_model::token::{PresentedToken, TokenError};

/// The header that names a call, in the request and in the answer.
pub const REQUEST_ID: &str = "x-request-id";

/// How the content type of a call in gRPC begins.
pub const GRPC: &str = "application/grpc";

/// The longest name of a call that is taken over.
const REQUEST_ID_LEN_MAX: usize = 128;

/// The name that the caller gave the call, if it can stand in a log as it is.
pub fn request_id(given: Option<&str>) -> Option<&str> {
    given.filter(|id| {
        (1..=REQUEST_ID_LEN_MAX).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic())
    })
}

/// Whether a content type is that of a call in gRPC, where the length of a message comes
/// before it.
pub fn is_grpc(content_type: Option<&[u8]>) -> bool {
    content_type.is_some_and(|kind| kind.starts_with(GRPC.as_bytes()))
}

/// The token in an `Authorization` header.
///
/// What is no token of ours is refused like a wrong one, so that nobody learns
/// what one looks like.
pub fn bearer(authorization: Option<&str>) -> Result<PresentedToken, Refusal> {
    let credentials = authorization.and_then(|value| value.trim().split_once(' '));
    let Some((_, token)) = credentials.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
    else {
        return Err(Refusal::new(
            Reason::Unauthenticated,
            "a token is needed, as in: Authorization: Bearer TOKEN",
        ));
    };
    PresentedToken::parse(token.trim()).map_err(|_| TokenError::WrongSecret.into())
}

#[cfg(test)]
mod tests {
    use palisade_model::id::TokenId;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_token_is_found_behind_its_scheme() {
        let token = PresentedToken::new(TokenId::new(Uuid::from_u128(7)), [9; 32]).reveal();
        for scheme in ["Bearer ", "bearer ", " BEARER   "] {
            let read = bearer(Some(&format!("{scheme}{token}"))).unwrap();
            assert_eq!(read.reveal(), token);
        }
    }

    #[test]
    fn what_is_no_bearer_is_told_how_one_is_written() {
        for value in [None, Some(""), Some("Bearer"), Some("Basic YTpi")] {
            let refusal = bearer(value).unwrap_err();
            assert_eq!(refusal.reason, Reason::Unauthenticated, "{value:?}");
            assert!(refusal.message.contains("Bearer TOKEN"), "{value:?}");
        }
    }

    #[test]
    fn what_is_no_token_is_refused_like_a_wrong_one_and_not_shown() {
        let wrong = Refusal::from(TokenError::WrongSecret);
        let refusal = bearer(Some("Bearer hunter2")).unwrap_err();
        assert_eq!(refusal, wrong);
        assert!(!format!("{refusal:?}").contains("hunter2"));
    }

    #[test]
    fn grpc_is_known_whatever_its_messages_are() {
        for (kind, is_one) in [
            (Some("application/grpc"), true),
            (Some("application/grpc+proto"), true),
            (Some("application/json"), false),
            (None, false),
        ] {
            assert_eq!(is_grpc(kind.map(str::as_bytes)), is_one, "{kind:?}");
        }
    }

    #[test]
    fn a_name_of_a_call_that_could_upset_a_log_is_not_taken() {
        let longest = "x".repeat(REQUEST_ID_LEN_MAX);
        assert_eq!(request_id(Some(&longest)), Some(&*longest));
        let too_long = format!("{longest}x");
        for bad in ["", "a b", "a\nb", "ä", &too_long] {
            assert_eq!(request_id(Some(bad)), None, "{bad:?}");
        }
        assert_eq!(request_id(None), None);
    }
}
