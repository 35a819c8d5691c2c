//! The messages between server and helper: one packet each on a `SOCK_SEQPACKET` socket, with descriptors beside it.
//!
//! Fields are little-endian numbers and byte strings with a length in front. Strings of a launch stay where they
//! arrived, so that one buffer has to be wiped. Nothing here is ever spoken to a guest.

mod answer;
mod duty;
mod fields;
mod greeting;
mod packet;
mod program;
mod request;

pub(crate) use crate::protocol::answer::{
    Launched, decode_captured, decode_done, decode_launched, decode_stock, encode_captured, encode_done,
    encode_failure, encode_refusal, encode_stock,
};
pub(crate) use crate::protocol::duty::{Duty, Order};
pub(crate) use crate::protocol::fields::{Reader, Writer};
pub(crate) use crate::protocol::greeting::{
    decode_enforcement, decode_options, encode_enforcement, encode_options,
};
pub(crate) use crate::protocol::packet::{MESSAGE_LIMIT, receive, send};
pub(crate) use crate::protocol::program::{Program, decode_program, is_passable};
pub(crate) use crate::protocol::request::{
    ChannelRequest, Launch, Prepared, Request, decode_channel_request, decode_request, encode_launch,
    encode_prepare, encode_reset, encode_snapshot_request, encode_socket_request, encode_start,
    encode_stock_request,
};
