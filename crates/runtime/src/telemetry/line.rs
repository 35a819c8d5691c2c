//! What there is to tell, written as subscribers want it: once for all that want the same.

use std::borrow::Cow;

use bytes::Bytes;
use firelet_types::Timestamp;
use serde::de::IgnoredAny;

use super::Entry;
use super::buffer::Dropped;
use super::request::Stream;
use crate::platform_log::Level;
use crate::platform_log::record::{self, Line, Schema};

/// One thing to tell, as far as it was written.
pub(super) struct Rendering<'a> {
    entry: &'a Entry,
    /// Whether output may be JSON.
    has_json_lines: bool,
    written: Vec<(Form, Vec<u8>)>,
}

/// In what subscribers differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Event(Schema),
    /// Each line of output as a text.
    Text,
    /// Each line of output that is a JSON object as it is, others as texts.
    Object,
}

impl<'a> Rendering<'a> {
    pub(super) fn new(entry: &'a Entry, has_json_lines: bool) -> Self {
        Self { entry, has_json_lines, written: Vec::new() }
    }

    pub(super) fn stream(&self) -> Stream {
        match self.entry {
            Entry::Event(_) => Stream::Platform,
            Entry::Lines(stream, _) => *stream,
        }
    }

    /// Events in `schema`, each with a line end.
    pub(super) fn lines(&mut self, schema: Schema, time: Timestamp) -> impl Iterator<Item = &[u8]> {
        let form = self.form(schema);
        let known = self.written.iter().position(|(written, _)| *written == form);
        let index = known.unwrap_or_else(|| {
            let mut lines = Vec::new();
            match self.entry {
                Entry::Event(event) => record::write(event, schema, Level::Debug, time, &mut lines),
                Entry::Lines(stream, output) => write_output(*stream, output, form, time, &mut lines),
            }
            self.written.push((form, lines));
            self.written.len() - 1
        });
        self.written[index].1.split_inclusive(|byte| *byte == b'\n')
    }

    /// How much is not told when it is not told.
    pub(super) fn size(&self) -> Dropped {
        match self.entry {
            Entry::Event(_) => Dropped { records: 1, bytes: 0 },
            Entry::Lines(_, lines) => {
                Dropped { records: pieces(lines).count() as u64, bytes: lines.len() as u64 }
            }
        }
    }

    /// Logs in JSON are given as objects since the version of December 2022.
    fn form(&self, schema: Schema) -> Form {
        match self.entry {
            Entry::Event(_) => Form::Event(schema),
            Entry::Lines(..) if self.has_json_lines && schema >= Schema::December2022 => Form::Object,
            Entry::Lines(..) => Form::Text,
        }
    }
}

/// Lines with their ends; the last may lack its own.
fn pieces(lines: &Bytes) -> impl Iterator<Item = &[u8]> {
    lines.split_inclusive(|byte| *byte == b'\n')
}

fn write_output(stream: Stream, output: &Bytes, form: Form, time: Timestamp, written: &mut Vec<u8>) {
    let time = time.iso8601();
    for piece in pieces(output) {
        match object(piece).filter(|_| form == Form::Object) {
            Some(object) => {
                let head = format!("{{\"time\":\"{time}\",\"type\":\"{}\",\"record\":", stream.name());
                written.extend_from_slice(head.as_bytes());
                written.extend_from_slice(object.as_bytes());
                written.push(b'}');
            }
            None => {
                let line = Line { time: &time, r#type: stream.name(), record: text(piece) };
                serde_json::to_writer(&mut *written, &line).expect("a text can be written to memory");
            }
        }
        written.push(b'\n');
    }
}

/// The line, if it is a JSON object.
fn object(line: &[u8]) -> Option<&str> {
    let line = std::str::from_utf8(line.trim_ascii()).ok()?;
    (line.starts_with('{') && serde_json::from_str::<IgnoredAny>(line).is_ok()).then_some(line)
}

/// The line with its end, as recorded. A function may write any bytes: what is no text becomes replacement characters.
fn text(line: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(line)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_123);

    /// The records of output in `schema`.
    fn records(lines: &'static [u8], has_json_lines: bool, schema: Schema) -> Vec<Value> {
        let entry = Entry::Lines(Stream::Function, Bytes::from_static(lines));
        let mut rendering = Rendering::new(&entry, has_json_lines);
        let parse = |line: &[u8]| {
            let mut line: Value = serde_json::from_slice(line).unwrap();
            assert_eq!(
                (&line["time"], &line["type"]),
                (&"2023-11-14T22:13:20.123Z".into(), &"function".into())
            );
            line["record"].take()
        };
        rendering.lines(schema, NOW).map(parse).collect()
    }

    #[test]
    fn each_line_of_output_is_a_record() {
        let expected = [json!("one\n"), json!("\n"), json!("two \"quoted\"\r\n"), json!("rest")];
        assert_eq!(records(b"one\n\ntwo \"quoted\"\r\nrest", true, Schema::January2025), expected);
        assert_eq!(records(b"one\n\ntwo \"quoted\"\r\nrest", false, Schema::Logs2020), expected);
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        assert_eq!(records(b"\xff\x00\xc3(\n", false, Schema::July2022), [json!("\u{fffd}\u{0}\u{fffd}(\n")]);
    }

    #[test]
    fn logs_in_json_are_given_as_they_are_to_those_who_know_how_to_take_them() {
        let line = b"{\"level\":\"INFO\"} \n";
        let object = json!({ "level": "INFO" });
        let text = json!("{\"level\":\"INFO\"} \n");
        for (has_json_lines, schema, expected) in [
            (true, Schema::December2022, &object),
            (true, Schema::January2025, &object),
            (true, Schema::July2022, &text),
            (true, Schema::Logs2021, &text),
            (false, Schema::January2025, &text),
        ] {
            assert_eq!(records(line, has_json_lines, schema), std::slice::from_ref(expected), "{schema:?}");
        }
    }

    #[test]
    fn only_whole_objects_count_as_json() {
        for line in ["1\n", "[1]\n", "{\"a\":1\n", "{\"a\":1} {}\n", "{\"a\":\"\u{1}\"}\n", "\"x\"\n"] {
            let lines = line.as_bytes().to_vec().leak();
            assert_eq!(records(lines, true, Schema::January2025), [json!(line)]);
        }
        let lines = b"{\"a\":\"\xff\"}\n";
        assert_eq!(records(lines, true, Schema::January2025), [json!("{\"a\":\"\u{fffd}\"}\n")]);
    }
}
