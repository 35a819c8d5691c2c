//! The first two messages: how the server wants the helper, and what the helper can enforce here. Decides nothing of it.

use std::os::unix::ffi::OsStrExt;

use crate::enforcement::{Enforcement, EnforcementItem, EnforcementStatus};
use crate::error::Failure;
use crate::protocol::answer::decode_failure;
use crate::protocol::fields::{Reader, Writer};
use crate::spec::{Options, Outside};

pub(crate) fn encode_options(options: &Options) -> Vec<u8> {
    let mut writer = Writer::default();
    writer
        .text(&options.instance)
        .bytes(options.scratch.as_os_str().as_bytes())
        .number(options.first_user_id.into())
        .number(options.user_id_count.into())
        .byte(u8::from(options.outside.nat))
        .count(options.outside.hosts.len());
    for host in &options.outside.hosts {
        writer.text(&host.to_string());
    }
    writer.finish()
}

pub(crate) fn decode_options(bytes: &[u8]) -> Option<Options> {
    let mut reader = Reader::new(bytes);
    Some(Options {
        instance: reader.text()?,
        scratch: reader.path()?,
        first_user_id: reader.number_u32()?,
        user_id_count: reader.number_u32()?,
        outside: decode_outside(&mut reader)?,
    })
}

fn decode_outside(reader: &mut Reader<'_>) -> Option<Outside> {
    let mut outside = Outside { nat: reader.byte()? == 1, hosts: Vec::new() };
    for _ in 0..reader.count()? {
        outside.hosts.push(reader.text()?.parse().ok()?);
    }
    Some(outside)
}

pub(crate) fn encode_enforcement(enforcement: &Enforcement) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.byte(0).count(enforcement.items.len());
    for item in &enforcement.items {
        writer.text(&item.name);
        match &item.status {
            EnforcementStatus::Enforced => writer.byte(0),
            EnforcementStatus::Limited(why) => writer.byte(1).text(why),
            EnforcementStatus::NotEnforced { why, remedy } => writer.byte(2).text(why).text(remedy),
        };
    }
    writer.finish()
}

pub(crate) fn decode_enforcement(bytes: &[u8]) -> Option<Result<Enforcement, Failure>> {
    let mut reader = Reader::new(bytes);
    if reader.byte()? == 1 {
        return decode_failure(&mut reader).map(Err);
    }
    let mut items = Vec::new();
    for _ in 0..reader.count()? {
        let name = reader.text()?;
        let status = match reader.byte()? {
            0 => EnforcementStatus::Enforced,
            1 => EnforcementStatus::Limited(reader.text()?),
            2 => EnforcementStatus::NotEnforced { why: reader.text()?, remedy: reader.text()? },
            _ => return None,
        };
        items.push(EnforcementItem { name, status });
    }
    Some(Ok(Enforcement { items }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enforcement_arrives_as_it_was_sent() {
        let enforcement = Enforcement {
            items: vec![
                EnforcementItem { name: "a".into(), status: EnforcementStatus::Enforced },
                EnforcementItem { name: "b".into(), status: EnforcementStatus::Limited("why".into()) },
                EnforcementItem {
                    name: "c".into(),
                    status: EnforcementStatus::NotEnforced { why: "no".into(), remedy: "do".into() },
                },
            ],
        };
        let decoded = decode_enforcement(&encode_enforcement(&enforcement)).unwrap().unwrap();
        assert_eq!(decoded, enforcement);
    }
}
