//! One message each way, by which two that know the same key find new ones.
//!
//! ```text
//!     caller:   greet ──► hear ──► finish
//!     answerer: hear ──► greet ──► finish
//! ```

use std::fmt;
use std::sync::Arc;

use snow::{Builder, HandshakeState};

use crate::Broken;
use crate::record::{Opener, Sealer};

/// How long a key is.
pub const KEY_BYTES: usize = 32;

/// How long the one message of each end is: a point and a tag.
pub const GREETING_BYTES: usize = 48;

const PATTERN: &str = "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s";

/// What both ends have to agree on besides; a later protocol says something else.
const PROLOGUE: &[u8] = b"palisade-init agent 1";

/// A handshake that is under way.
pub struct Handshake(HandshakeState);

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handshake").finish_non_exhaustive()
    }
}

impl Handshake {
    /// The handshake of whoever made the connection.
    pub fn caller(key: &[u8; KEY_BYTES]) -> Result<Self, Broken> {
        let built = builder(key)?.build_initiator();
        Ok(Self(built.map_err(|_| Broken)?))
    }

    /// The handshake of whoever took the connection.
    pub fn answerer(key: &[u8; KEY_BYTES]) -> Result<Self, Broken> {
        let built = builder(key)?.build_responder();
        Ok(Self(built.map_err(|_| Broken)?))
    }

    /// What to send.
    pub fn greet(&mut self) -> Result<[u8; GREETING_BYTES], Broken> {
        let mut greeting = [0; GREETING_BYTES];
        match self.0.write_message(&[], &mut greeting) {
            Ok(GREETING_BYTES) => Ok(greeting),
            Ok(_) | Err(_) => Err(Broken),
        }
    }

    /// Takes what the other end sent.
    pub fn hear(&mut self, greeting: &[u8; GREETING_BYTES]) -> Result<(), Broken> {
        let read = self.0.read_message(greeting, &mut [0; GREETING_BYTES]);
        read.map(|_| ()).map_err(|_| Broken)
    }

    /// What seals and what opens from now on.
    pub fn finish(self) -> Result<(Sealer, Opener), Broken> {
        let state = self.0.into_stateless_transport_mode();
        let state = Arc::new(state.map_err(|_| Broken)?);
        Ok((Sealer::new(Arc::clone(&state)), Opener::new(state)))
    }
}

fn builder(key: &[u8; KEY_BYTES]) -> Result<Builder<'_>, Broken> {
    let pattern = PATTERN.parse().map_err(|_| Broken)?;
    Builder::new(pattern)
        .prologue(PROLOGUE)
        .and_then(|builder| builder.psk(0, key))
        .map_err(|_| Broken)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Both ends of a connection: those of the caller first.
    pub(crate) fn connected(key: &[u8; KEY_BYTES]) -> [(Sealer, Opener); 2] {
        let mut caller = Handshake::caller(key).unwrap();
        let mut answerer = Handshake::answerer(key).unwrap();
        answerer.hear(&caller.greet().unwrap()).unwrap();
        caller.hear(&answerer.greet().unwrap()).unwrap();
        [caller.finish().unwrap(), answerer.finish().unwrap()]
    }

    #[test]
    fn whoever_does_not_know_the_key_is_not_answered() {
        let mut caller = Handshake::caller(&[1; KEY_BYTES]).unwrap();
        let mut answerer = Handshake::answerer(&[2; KEY_BYTES]).unwrap();
        assert_eq!(answerer.hear(&caller.greet().unwrap()), Err(Broken));
        let mut answerer = Handshake::answerer(&[2; KEY_BYTES]).unwrap();
        assert_eq!(answerer.hear(&[0; GREETING_BYTES]), Err(Broken));
    }

    #[test]
    fn an_answer_without_the_key_is_not_taken() {
        let mut caller = Handshake::caller(&[1; KEY_BYTES]).unwrap();
        let mut other = Handshake::caller(&[1; KEY_BYTES]).unwrap();
        let mut answerer = Handshake::answerer(&[1; KEY_BYTES]).unwrap();
        caller.greet().unwrap();
        answerer.hear(&other.greet().unwrap()).unwrap();
        // It answers somebody else.
        assert_eq!(caller.hear(&answerer.greet().unwrap()), Err(Broken));
        assert_eq!(caller.hear(&[0; GREETING_BYTES]), Err(Broken));
    }

    #[test]
    fn a_handshake_that_was_recorded_opens_nothing() {
        let key = [7; KEY_BYTES];
        let mut caller = Handshake::caller(&key).unwrap();
        let greeting = caller.greet().unwrap();
        let mut first = Handshake::answerer(&key).unwrap();
        first.hear(&greeting).unwrap();
        caller.hear(&first.greet().unwrap()).unwrap();
        let (mut sealer, _) = caller.finish().unwrap();
        let mut recorded = Vec::new();
        sealer.seal(b"secret", &mut recorded).unwrap();
        // Sent again, it is answered, and leads to other keys.
        let mut second = Handshake::answerer(&key).unwrap();
        second.hear(&greeting).unwrap();
        second.greet().unwrap();
        let (_, mut opener) = second.finish().unwrap();
        opener.push(&recorded);
        assert_eq!(opener.next(&mut Vec::new()), Err(Broken));
    }
}
