//! What the compiling child says at the end of its life: `[u8 kind][u64 LE length][bytes]`.

use model::limit;
use sandbox::Sandbox;
use std::io::{Error, ErrorKind, Result, Write};
use tokio::io::{AsyncRead, AsyncReadExt};

const CODE: u8 = 0;
const UNFIT: u8 = 1;
const FAILED: u8 = 2;
const MAX_CODE_BYTES: u64 = limit("wasm-code-bytes");
const MAX_TEXT_BYTES: u64 = 16 * 1024;

/// The end of a compilation.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Machine code.
    Code(Vec<u8>),
    /// What is wrong with the component.
    Unfit(String),
    /// What is wrong with the platform.
    Failed(String),
}

impl Answer {
    /// Says it.
    pub(super) fn write(&self, mut to: impl Write) -> Result<()> {
        let (kind, bytes) = match self {
            Self::Code(code) => (CODE, code.as_slice()),
            Self::Unfit(why) => (UNFIT, why.as_bytes()),
            Self::Failed(why) => (FAILED, why.as_bytes()),
        };
        to.write_all(&[kind])?;
        to.write_all(&(bytes.len() as u64).to_le_bytes())?;
        to.write_all(bytes)
    }

    /// Reads it. The child has read a stranger's component: nothing that it says is believed to be short.
    async fn read(mut from: impl AsyncRead + Unpin) -> Result<Self> {
        let kind = from.read_u8().await?;
        let length = from.read_u64_le().await?;
        let most = if kind == CODE { MAX_CODE_BYTES } else { MAX_TEXT_BYTES };
        if kind == CODE && length > most {
            return Ok(Self::Unfit(format!(
                "the component's machine code has {length} bytes; at most {most} are allowed (limit wasm-code-bytes)"
            )));
        }
        if length > most {
            return Err(Error::new(ErrorKind::InvalidData, format!("a message of {length} bytes")));
        }
        let mut bytes = Vec::new();
        from.take(length).read_to_end(&mut bytes).await?;
        if (bytes.len() as u64) < length {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match kind {
            CODE => Ok(Self::Code(bytes)),
            UNFIT => Ok(Self::Unfit(text(&bytes))),
            FAILED => Ok(Self::Failed(text(&bytes))),
            _ => Err(Error::new(ErrorKind::InvalidData, format!("an answer of kind {kind}"))),
        }
    }
}

/// What the child in this sandbox says.
pub(super) async fn hear(sandbox: &mut Sandbox) -> Result<Answer> {
    let control = sandbox.control.take().ok_or_else(|| Error::other("there is no control socket"))?;
    control.set_nonblocking(true)?;
    Answer::read(tokio::net::UnixStream::from_std(control)?).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn answers_arrive_whole_or_not_at_all() {
        for answer in [Answer::Code(vec![1, 2]), Answer::Unfit("why".into()), Answer::Failed(String::new())] {
            let mut bytes = Vec::new();
            answer.write(&mut bytes).unwrap();
            for cut in 0..bytes.len() {
                assert!(Answer::read(&bytes[..cut]).await.is_err(), "{answer:?} cut at {cut}");
            }
            assert_eq!(Answer::read(&bytes[..]).await.unwrap(), answer);
        }
        let huge = [&[CODE][..], &u64::MAX.to_le_bytes()].concat();
        assert!(matches!(Answer::read(&huge[..]).await.unwrap(), Answer::Unfit(_)));
        let loud = [&[FAILED][..], &u64::MAX.to_le_bytes()].concat();
        assert!(Answer::read(&loud[..]).await.is_err());
        assert!(Answer::read(&[9, 0, 0, 0, 0, 0, 0, 0, 0][..]).await.is_err());
    }
}
