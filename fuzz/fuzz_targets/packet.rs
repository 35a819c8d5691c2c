//! Any bytes as a packet that a guest sends: what is understood is answered by packets that are understood, or not at all.

#![no_main]

use firelet_sandbox::network::{Content, Packet, Unreachable, datagram, reset, unreachable};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some(packet) = Packet::parse(bytes) else { return };
    assert_eq!(packet.source.is_ipv4(), packet.destination.is_ipv4());
    assert!(bytes.starts_with(packet.beginning) && packet.beginning.len() <= 68);
    for why in [Unreachable::Forbidden, Unreachable::Host, Unreachable::Port] {
        assert!(unreachable(packet.beginning, why).is_some());
    }
    match packet.content {
        Content::Datagram(payload) => {
            assert_eq!(reset(&packet), None);
            if let Some(answer) = datagram(packet.destination, packet.source, payload) {
                check(&answer, &packet);
            }
        }
        Content::Opening { .. } => check(&reset(&packet).expect("a connection can be refused"), &packet),
    }
});

fn check(answer: &[u8], packet: &Packet<'_>) {
    let answer = Packet::parse(answer).expect("what is made is understood");
    assert_eq!((answer.source, answer.destination), (packet.destination, packet.source));
}
