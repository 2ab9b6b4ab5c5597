//! Input of a command as the frames that its script reads.

use palisade_backend::ExecInput;

/// The most input in one frame.
const DATA_MAX: usize = 32 * 1024;

/// The end of input.
pub(super) const END: &[u8] = b"0\n";

/// What to write for an input; a size of a terminal has no meaning here.
pub(super) fn encode(input: &ExecInput) -> Vec<u8> {
    match input {
        ExecInput::Stdin(data) => {
            let mut frames = Vec::with_capacity(data.len() + 16);
            for piece in data.chunks(DATA_MAX) {
                frames.extend_from_slice(format!("{}\n", piece.len()).as_bytes());
                frames.extend_from_slice(piece);
            }
            frames
        }
        ExecInput::Close => END.to_vec(),
        ExecInput::Signal(number) if (1..=64).contains(number) => {
            format!("s{number}\n").into_bytes()
        }
        ExecInput::Signal(_) | ExecInput::Resize(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn input_is_announced_with_its_size_and_cut_to_pieces() {
        let small = ExecInput::Stdin(Bytes::from_static(b"ab\n0\n"));
        assert_eq!(encode(&small), b"5\nab\n0\n");
        let large = ExecInput::Stdin(Bytes::from(vec![b'x'; DATA_MAX + 1]));
        let frames = encode(&large);
        assert!(frames.starts_with(format!("{DATA_MAX}\nx").as_bytes()));
        assert!(frames.ends_with(b"x1\nx"));
    }

    #[test]
    fn nothing_reads_as_the_end_of_input_but_the_end() {
        assert_eq!(encode(&ExecInput::Stdin(Bytes::new())), b"");
        assert_eq!(encode(&ExecInput::Close), b"0\n");
        assert_eq!(encode(&ExecInput::Signal(15)), b"s15\n");
        for odd in [0, -9, 1_000] {
            assert_eq!(encode(&ExecInput::Signal(odd)), b"", "{odd}");
        }
    }
}
