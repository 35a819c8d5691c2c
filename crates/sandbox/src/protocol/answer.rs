//! What the helper answers to the requests of `request.rs`, and how it says that a step failed.

use crate::error::{Failure, Step};
use crate::protocol::fields::{Reader, Writer};
use crate::sandbox::GaugeKind;
use crate::snapshot::Trouble;
use crate::spec::Stock;

/// How the helper answers a launch; descriptors travel in the order pidfds of first and main process, output, exit
/// report, gauge (its files, if any), listener (if any), freezer (if any), what is for packets, and all others are listeners of
/// the ways outside.
pub(crate) struct Launched {
    pub(crate) gauge: Option<GaugeKind>,
    pub(crate) listener: bool,
    pub(crate) freezer: bool,
    pub(crate) packets: u8,
}

impl Launched {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let gauge = match self.gauge {
            None => 0,
            Some(GaugeKind::V1) => 1,
            Some(GaugeKind::V2) => 2,
            Some(GaugeKind::Process) => 3,
        };
        vec![0, gauge, u8::from(self.listener), u8::from(self.freezer), self.packets]
    }
}

/// The answer to a [`ChannelRequest`] that worked and says no more than its descriptors do: of a program, pidfd, output
/// and exit report; of a socket, itself.
pub(crate) fn encode_done() -> Vec<u8> {
    vec![0]
}

pub(crate) fn decode_done(bytes: &[u8]) -> Option<Result<(), Failure>> {
    let mut reader = Reader::new(bytes);
    if reader.byte()? == 1 { decode_failure(&mut reader).map(Err) } else { Some(Ok(())) }
}

const REFUSED: u8 = 2;

/// The answer to [`ChannelRequest::Snapshot`]; image and description come with it.
pub(crate) fn encode_captured(size: u64) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.byte(0).number(size);
    writer.finish()
}

/// The same where the process cannot be captured, for this reason.
pub(crate) fn encode_refusal(reason: &str) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.byte(REFUSED).text(reason);
    writer.finish()
}

/// The size of what was captured, or why nothing was.
pub(crate) fn decode_captured(bytes: &[u8]) -> Option<Result<u64, Trouble>> {
    let mut reader = Reader::new(bytes);
    Some(match reader.byte()? {
        0 => Ok(reader.number()?),
        REFUSED => Err(Trouble::Unsupported(reader.text()?)),
        _ => Err(Trouble::Failed(decode_failure(&mut reader)?)),
    })
}

pub(crate) fn encode_failure(failure: &Failure) -> Vec<u8> {
    let mut writer = Writer::default();
    writer
        .byte(1)
        .byte(failure.step.code())
        .number(u64::from(failure.errno.cast_unsigned()))
        .text(&failure.detail);
    writer.finish()
}

pub(crate) fn decode_launched(bytes: &[u8]) -> Option<Result<Launched, Failure>> {
    let mut reader = Reader::new(bytes);
    if reader.byte()? == 1 {
        return decode_failure(&mut reader).map(Err);
    }
    let gauge = match reader.byte()? {
        1 => Some(GaugeKind::V1),
        2 => Some(GaugeKind::V2),
        3 => Some(GaugeKind::Process),
        _ => None,
    };
    let (listener, freezer, packets) = (reader.byte()? == 1, reader.byte()? == 1, reader.byte()?);
    Some(Ok(Launched { gauge, listener, freezer, packets }))
}

pub(super) fn decode_failure(reader: &mut Reader<'_>) -> Option<Failure> {
    let step = Step::from_code(reader.byte()?)?;
    let errno = reader.number_u32()?.cast_signed();
    Some(Failure { step, errno, detail: reader.text()? })
}

pub(crate) fn encode_stock(stock: &[Stock]) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.byte(0).count(stock.len());
    for Stock { name, wanted, waiting, memory_bytes } in stock {
        writer.text(name).count(*wanted).count(*waiting).number(*memory_bytes);
    }
    writer.finish()
}

pub(crate) fn decode_stock(bytes: &[u8]) -> Option<Result<Vec<Stock>, Failure>> {
    let mut reader = Reader::new(bytes);
    if reader.byte()? == 1 {
        return decode_failure(&mut reader).map(Err);
    }
    let mut stock = Vec::new();
    for _ in 0..reader.count()? {
        stock.push(Stock {
            name: reader.text()?,
            wanted: usize::try_from(reader.number()?).ok()?,
            waiting: usize::try_from(reader.number()?).ok()?,
            memory_bytes: reader.number()?,
        });
    }
    Some(Ok(stock))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Request, decode_request, encode_stock_request};

    #[test]
    fn a_stock_arrives_as_it_was_sent() {
        assert!(matches!(decode_request(&encode_stock_request()), Some(Request::Stock)));
        let of = |name: &str, waiting| Stock { name: name.into(), wanted: 2, waiting, memory_bytes: 1 << 40 };
        for stock in [vec![], vec![of("python3.13", 0), of("nodejs20.x", 2)]] {
            assert_eq!(decode_stock(&encode_stock(&stock)).unwrap().unwrap(), stock);
        }
        let whole = encode_stock(&[of("python3.13", 1)]);
        assert!((0..whole.len()).all(|length| decode_stock(&whole[..length]).is_none()));
    }
}
