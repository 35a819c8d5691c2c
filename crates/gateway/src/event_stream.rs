//! The framing `application/vnd.amazon.eventstream`: messages of headers and a payload, each with two checksums.
//!
//! Only what answers need: events whose headers are text. AWS's own crate for it (aws-smithy-eventstream) reads as well, signs,
//! and brings three more.
//!
//! See <https://smithy.io/2.0/aws/amazon-eventstream.html>.

use bytes::{BufMut, Bytes, BytesMut};

/// Bytes of a message without its headers and payload.
const FRAME_BYTES: usize = 16;
/// The type of a header's value that is text.
const TEXT: u8 = 7;
/// Bytes that the headers of an event take, and a few more.
const HEADER_BYTES: usize = 128;

/// An event of the type `name`, whose payload is `content_type`.
pub(crate) fn event(name: &'static str, content_type: &'static str, payload: &[u8]) -> Bytes {
    let mut message = BytesMut::with_capacity(FRAME_BYTES + HEADER_BYTES + payload.len());
    // The lengths and the first checksum come when they are known.
    message.put_bytes(0, 12);
    put_header(&mut message, ":event-type", name);
    put_header(&mut message, ":content-type", content_type);
    put_header(&mut message, ":message-type", "event");
    let header_length = message.len() - 12;
    message.put_slice(payload);
    let length = message.len() + 4;
    message[0..4].copy_from_slice(&length_of(length));
    message[4..8].copy_from_slice(&length_of(header_length));
    let prelude = crc32fast::hash(&message[0..8]);
    message[8..12].copy_from_slice(&prelude.to_be_bytes());
    message.put_u32(crc32fast::hash(&message));
    message.freeze()
}

fn put_header(message: &mut BytesMut, name: &'static str, value: &'static str) {
    let name_length = u8::try_from(name.len()).expect("names are those above, of a few bytes");
    let value_length = u16::try_from(value.len()).expect("values are constants of a few bytes");
    message.put_u8(name_length);
    message.put_slice(name.as_bytes());
    message.put_u8(TEXT);
    message.put_u16(value_length);
    message.put_slice(value.as_bytes());
}

fn length_of(length: usize) -> [u8; 4] {
    u32::try_from(length)
        .expect("payloads are pieces, and descriptions of errors, of some megabytes")
        .to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a message as the specification has it: its headers and payload.
    fn parse(message: &[u8]) -> (Vec<(String, String)>, Vec<u8>) {
        let number = |at: usize| u32::from_be_bytes(message[at..at + 4].try_into().unwrap());
        assert_eq!(number(0) as usize, message.len());
        assert_eq!(number(8), crc32fast::hash(&message[..8]));
        assert_eq!(number(message.len() - 4), crc32fast::hash(&message[..message.len() - 4]));
        let (mut headers, payload) =
            message[12..message.len() - 4].split_at(usize::try_from(number(4)).unwrap());
        let mut found = Vec::new();
        let mut take = |length: usize| {
            let taken = headers[..length].to_vec();
            headers = &headers[length..];
            taken
        };
        while found.len() < 3 {
            let length = usize::from(take(1)[0]);
            let name = String::from_utf8(take(length)).unwrap();
            assert_eq!(take(1), [TEXT]);
            let length = usize::from(u16::from_be_bytes(take(2).try_into().unwrap()));
            found.push((name, String::from_utf8(take(length)).unwrap()));
        }
        assert!(headers.is_empty());
        (found, payload.to_vec())
    }

    #[test]
    fn messages_are_as_specified() {
        for payload in [&b""[..], b"{}", &[0xFF; 100_000]] {
            let message = event("PayloadChunk", "application/octet-stream", payload);
            let headers = [
                (":event-type", "PayloadChunk"),
                (":content-type", "application/octet-stream"),
                (":message-type", "event"),
            ];
            let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
            assert_eq!(parse(&message), (headers.to_vec(), payload.to_vec()));
        }
    }

    #[test]
    fn a_message_is_these_bytes() {
        let message = event("InvokeComplete", "application/json", b"{}");
        let expected = [
            &b"\x00\x00\x00\x66\x00\x00\x00\x54\x1f\x56\xc8\x69"[..],
            b"\x0b:event-type\x07\x00\x0eInvokeComplete",
            b"\x0d:content-type\x07\x00\x10application/json",
            b"\x0d:message-type\x07\x00\x05event",
            b"{}\x70\x06\xd4\x67",
        ];
        // The checksums were computed by zlib.
        assert_eq!(message, expected.concat());
    }
}
