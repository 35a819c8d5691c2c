//! What the helper and the first process of a sandbox tell one another. The server hears none of it as it is.

use crate::error::Failure;
use crate::sandbox::End;

/// What the helper tells a first process. The end of the socket is the end of the sandbox.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Memory has this limit, in bytes.
    Limit(u64),
    /// The end of this process, numbered as in the sandbox, is of interest.
    Report(i32),
}

impl Order {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Limit(limit) => [&[0][..], &limit.to_le_bytes()].concat(),
            Self::Report(process) => [&[1][..], &process.to_le_bytes()].concat(),
        }
    }

    pub(crate) fn decode(message: &[u8]) -> Option<Self> {
        match message {
            [0, limit @ ..] => Some(Self::Limit(u64::from_le_bytes(limit.try_into().ok()?))),
            [1, process @ ..] => Some(Self::Report(i32::from_le_bytes(process.try_into().ok()?))),
            _ => None,
        }
    }
}

/// What a first process tells the helper.
#[derive(Debug)]
pub(crate) enum Duty {
    /// The sandbox stands; its namespaces and the guest's pidfd come with it.
    Ready,
    /// A process that is of interest, numbered as in the sandbox, has ended.
    Ended { process: i32, end: End },
    /// A step failed, and it ends.
    Failed(Failure),
    /// Memory is used up, and it ends.
    OutOfMemory,
}

impl Duty {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Ready => vec![0],
            Self::Failed(failure) => [vec![1], crate::guest::encode(failure)].concat(),
            Self::OutOfMemory => vec![2],
            Self::Ended { process, end } => {
                let (kind, value) = match end {
                    End::Exited(code) => (0, code),
                    End::Signaled(signal) => (1, signal),
                };
                [&[3, kind][..], &process.to_le_bytes(), &value.to_le_bytes()].concat()
            }
        }
    }

    pub(crate) fn decode(message: &[u8]) -> Option<Self> {
        match message {
            [3, kind, a, b, c, d, value @ ..] => {
                let process = i32::from_le_bytes([*a, *b, *c, *d]);
                let value = i32::from_le_bytes(value.try_into().ok()?);
                let end = if *kind == 0 { End::Exited(value) } else { End::Signaled(value) };
                Some(Self::Ended { process, end })
            }
            [0] => Some(Self::Ready),
            [1, failure @ ..] => crate::guest::decode(failure).map(Self::Failed),
            [2] => Some(Self::OutOfMemory),
            _ => None,
        }
    }
}
