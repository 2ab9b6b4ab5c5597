//! How messages become bytes: as the library does it, with buffers of another size.
//!
//! The library gives each direction of each stream 8 KiB from the start, of which ten
//! thousand streams on which nothing is said have six times as many. Here a buffer is small
//! until there is a message, and then as large as that, at once. Nothing on the wire differs.

use std::fmt;
use std::marker::PhantomData;

use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, EncodeBuf};
use tonic_prost::ProstDecoder;

/// What a buffer has before there is anything to put into it.
const BUFFER_BYTES: usize = 256;
/// From how much on what is encoded is handed on without waiting for more.
const ENOUGH_BYTES: usize = 32 * 1024;

/// Encodes messages of one type and decodes those of another.
pub struct Codec<T, U>(PhantomData<(T, U)>);

/// Encodes messages.
pub struct Encoder<T>(PhantomData<T>);

fn buffers() -> BufferSettings {
    BufferSettings::new(BUFFER_BYTES, ENOUGH_BYTES)
}

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> fmt::Debug for Codec<T, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Codec")
    }
}

impl<T> fmt::Debug for Encoder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Encoder")
    }
}

impl<T, U> tonic::codec::Codec for Codec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = Encoder<T>;
    type Decoder = ProstDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        Encoder(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::new(buffers())
    }
}

impl<T: Message> tonic::codec::Encoder for Encoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, message: T, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(message.encoded_len());
        message
            .encode(buffer)
            .map_err(|error| Status::internal(error.to_string()))
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffers()
    }
}
