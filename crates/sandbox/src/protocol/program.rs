//! A program as guests and the helper are told it. Who is told, and when, is no matter here.

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use crate::protocol::fields::{Reader, Writer};
use crate::spec;

/// A program as a guest is told it. Its strings may hold secrets: it wipes them when dropped.
#[derive(Clone)]
pub(crate) struct Program {
    pub(crate) working_directory: CString,
    pub(crate) processes: u32,
    /// Whether the program itself goes on listening to the guest's orders, on standard input.
    pub(crate) keeps_orders: bool,
    pub(crate) arguments: Vec<CString>,
    pub(crate) environment: Vec<CString>,
}

impl Program {
    /// The message to a guest.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer
            .bytes(self.working_directory.as_bytes())
            .number(self.processes.into())
            .byte(u8::from(self.keeps_orders));
        for strings in [&self.arguments, &self.environment] {
            writer.count(strings.len());
            for string in strings {
                writer.bytes(string.as_bytes());
            }
        }
        writer.finish()
    }

    /// The message to a program that was prepared ahead.
    pub(crate) fn encode_environment(&self) -> Vec<u8> {
        self.environment.iter().flat_map(|variable| variable.as_bytes_with_nul()).copied().collect()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        for secret in self.environment.drain(..).chain(self.arguments.drain(..)) {
            crate::sys::wipe(&mut secret.into_bytes());
        }
    }
}

pub(super) struct ProgramStrings<'a> {
    pub(super) directory: &'a OsStr,
    pub(super) arguments: &'a [OsString],
    pub(super) environment: &'a [(String, String)],
}

pub(super) fn encode_whole_program(
    writer: &mut Writer,
    program: &spec::Program,
    processes: u32,
    keeps_orders: bool,
) {
    let strings = ProgramStrings {
        directory: program.working_directory.as_os_str(),
        arguments: &program.argv,
        environment: &program.environment,
    };
    encode_program_strings(writer, &strings, processes, keeps_orders);
}

pub(super) fn encode_program_strings(
    writer: &mut Writer,
    strings: &ProgramStrings<'_>,
    processes: u32,
    keeps_orders: bool,
) {
    writer.bytes(strings.directory.as_bytes()).number(processes.into()).byte(u8::from(keeps_orders));
    writer.count(strings.arguments.len());
    for argument in strings.arguments {
        writer.bytes(argument.as_bytes());
    }
    writer.count(strings.environment.len());
    for (name, value) in strings.environment {
        writer.bytes(format!("{name}={value}").as_bytes());
    }
}

pub(crate) fn decode_program(bytes: &[u8]) -> Option<Program> {
    read_program(&mut Reader::new(bytes))
}

pub(super) fn read_program(reader: &mut Reader<'_>) -> Option<Program> {
    let mut program = Program {
        working_directory: reader.c_string()?,
        processes: reader.number_u32()?,
        keeps_orders: reader.byte()? == 1,
        arguments: Vec::new(),
        environment: Vec::new(),
    };
    for _ in 0..reader.count()? {
        program.arguments.push(reader.c_string()?);
    }
    for _ in 0..reader.count()? {
        program.environment.push(reader.c_string()?);
    }
    Some(program)
}

/// Whether a string can be passed to a program: it has no NUL.
pub(crate) fn is_passable(value: &OsStr) -> bool {
    !value.as_bytes().contains(&0)
}
