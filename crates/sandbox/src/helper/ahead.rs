//! What is made while nobody wants it: sandboxes for any program, programs of templates, and the zygotes that fork them.
//! Which template's turn it is, is decided in `prepared.rs`; who gets what was made, in `launch.rs`.

use std::collections::HashMap;

use crate::error::Failure;
use crate::helper::Helper;
use crate::helper::member::Member;
use crate::helper::parts::Parts;
use crate::helper::sources::{Source, Token};
use crate::helper::zygote::{Wanted, Zygote};

/// Sandboxes kept ready for any program, so that a burst of this many launches waits for none to be made.
const SPARES: usize = 4;

impl Helper {
    /// Sandboxes are made ahead only while no launch is on its way: making them takes the same kernel locks.
    pub(super) fn lacks_sandboxes(&self) -> bool {
        let is_possible = self.pending == 0 && !self.spares_fail && self.ground.slots.is_free();
        is_possible && (self.spares.len() < SPARES || self.lacking_template().is_some())
    }

    /// The template that lacks a program that waits; none while it lacks its zygote, which is on its way.
    fn lacking_template(&self) -> Option<String> {
        self.templates.lacking().filter(|name| self.zygote_of(name).is_none_or(|zygote| zygote.is_ready))
    }

    pub(super) fn zygote_of(&self, template: &str) -> Option<&Zygote> {
        self.zygotes.values().find(|(name, _)| name == template).map(|(_, zygote)| zygote)
    }

    pub(super) fn use_idle_time(&mut self) {
        self.clean_up();
        if !self.lacks_sandboxes() {
            return;
        }
        let made = match self.lacking_template() {
            // One at a time, for it is an interpreter that starts.
            Some(name) => self.prepare(&name),
            None => self.boot().map(|number| self.spares.push_back(number)),
        };
        // Tried again, and reported, by the next launch.
        self.spares_fail = made.is_err();
    }

    /// Makes a sandbox whose guest waits.
    pub(super) fn boot(&mut self) -> Result<u64, Failure> {
        let parts = Parts::make(&mut self.ground)?;
        let (number, guest) = (self.number(), self.number());
        match Member::boot(&self.ground, parts, self.network, guest) {
            Ok(member) => {
                self.members.insert(number, member);
                self.watch_processes(number, guest).inspect_err(|_| self.kill(number))?;
                Ok(number)
            }
            Err(failed) => {
                let (parts, failure) = *failed;
                self.ended.push((parts.slot, parts.group));
                Err(failure)
            }
        }
    }

    /// Starts the program of a template in a sandbox of its own, or has its zygote fork it there.
    fn prepare(&mut self, name: &str) -> Result<(), Failure> {
        if self.templates.wants_zygote(name) && self.zygote_of(name).is_none() {
            return self.start_zygote(name);
        }
        let number = self.spares.pop_front().map_or_else(|| self.boot(), Ok)?;
        self.templates.starts(name, number);
        self.start_program(name, number).inspect_err(|_| self.kill(number))
    }

    fn start_program(&mut self, name: &str, number: u64) -> Result<(), Failure> {
        let Some(template) = self.templates.get(name) else { return Ok(()) };
        let Some(member) = self.members.get_mut(&number) else { return Ok(()) };
        member.attach(&self.ground, &template.mounts, false, false)?;
        if self.zygotes.values().any(|(of, _)| of == name) {
            return self.fork_from_zygote(name, number, false);
        }
        member.main().map_or(Ok(()), |guest| guest.become_program(&template.program))?;
        self.watch_orders(number)
    }

    fn start_zygote(&mut self, name: &str) -> Result<(), Failure> {
        let Some(template) = self.templates.get(name) else { return Ok(()) };
        let Some(program) = &template.zygote else { return Ok(()) };
        let trees = self.ground.root.trees(&template.mounts, false)?;
        let zygote = Zygote::start(&self.ground, program, &trees)?;
        let number = self.number();
        self.sources.watch(zygote.orders(), Source::Zygote(number))?;
        self.zygotes.insert(number, (name.to_owned(), zygote));
        Ok(())
    }

    /// A zygote is ready, or has ended; then its template's programs are started one by one.
    pub(super) fn on_zygote(&mut self, token: Token, number: u64) {
        let Some((name, zygote)) = self.zygotes.get_mut(&number) else { return };
        if zygote.hear() {
            return;
        }
        zygote.end();
        let has_more = self.templates.loses_zygote(name);
        if !has_more {
            eprintln!(
                "firelet-sandbox-helper: interpreters of {name} cannot be forked and are started instead"
            );
        }
        self.sources.remove(token);
        self.zygotes.remove(&number);
    }

    pub(super) fn fork_from_zygote(
        &mut self,
        name: &str,
        number: u64,
        is_awaited: bool,
    ) -> Result<(), Failure> {
        let Some((_, zygote)) = self.zygotes.values().find(|(of, _)| of == name) else { return Ok(()) };
        let Some(member) = self.members.get_mut(&number) else { return Ok(()) };
        let processes = self.templates.get(name).map_or(0, |template| template.program.processes);
        let reply = member.expect(&self.ground, zygote, Wanted { processes, is_awaited })?;
        self.sources.watch(reply, Source::Forked(number))?;
        Ok(())
    }

    /// Zygotes of templates that are no more, or are others now, go.
    pub(super) fn end_zygotes(&mut self) {
        let templates = &self.templates;
        let (kept, gone): (HashMap<_, _>, HashMap<_, _>) = std::mem::take(&mut self.zygotes)
            .into_iter()
            .partition(|(_, (name, _))| templates.is_known(name));
        self.zygotes = kept;
        for (number, (_, zygote)) in &gone {
            self.sources.forget(Source::Zygote(*number));
            zygote.end();
        }
    }
}
