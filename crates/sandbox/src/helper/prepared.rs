//! Which programs are started ahead, and which sandboxes they wait in. Nothing here touches the system.

use std::collections::{BTreeMap, VecDeque};

use crate::protocol::Prepared;

/// A template whose program ends this often before it is ready is given up.
const PATIENCE: usize = 3;

/// The programs that are started ahead.
#[derive(Default)]
pub(super) struct Templates {
    templates: BTreeMap<String, Waiting>,
}

struct Waiting {
    template: Prepared,
    /// Sandboxes whose program is on its way.
    starting: Vec<u64>,
    /// Sandboxes whose program waits, oldest first.
    ready: VecDeque<u64>,
    /// How often in a row the program ended before it was ready.
    failures: usize,
    /// How often its zygote has ended.
    lost_zygotes: usize,
}

impl Templates {
    /// Takes other templates; answers the sandboxes that nobody will use. Templates that stay keep theirs.
    pub(super) fn replace(&mut self, templates: Vec<Prepared>) -> Vec<u64> {
        let mut old = std::mem::take(&mut self.templates);
        for template in templates {
            let kept = old.remove(&template.name).filter(|waiting| is_same(&waiting.template, &template));
            let (starting, ready) = kept.map_or_else(Default::default, |kept| (kept.starting, kept.ready));
            let name = template.name.clone();
            self.templates.insert(name, Waiting { template, starting, ready, failures: 0, lost_zygotes: 0 });
        }
        let surplus = self.templates.values_mut().flat_map(|waiting| {
            let count = waiting.template.count.min(waiting.ready.len());
            waiting.ready.split_off(count)
        });
        let surplus: Vec<u64> = surplus.collect();
        old.into_values().flat_map(Waiting::sandboxes).chain(surplus).collect()
    }

    pub(super) fn get(&self, name: &str) -> Option<&Prepared> {
        self.templates.get(name).map(|waiting| &waiting.template)
    }

    /// Each template, with the sandboxes where its program waits.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (&Prepared, &VecDeque<u64>)> {
        self.templates.values().map(|waiting| (&waiting.template, &waiting.ready))
    }

    /// The template that lacks a waiting program; none while one is on its way.
    pub(super) fn lacking(&self) -> Option<String> {
        if self.templates.values().any(|waiting| !waiting.starting.is_empty()) {
            return None;
        }
        let lacking = self
            .templates
            .iter()
            .find(|(_, waiting)| waiting.failures < PATIENCE && waiting.ready.len() < waiting.template.count);
        lacking.map(|(name, _)| name.clone())
    }

    pub(super) fn is_known(&self, name: &str) -> bool {
        self.templates.contains_key(name)
    }

    /// Whether the programs of a template are forked from a zygote.
    pub(super) fn wants_zygote(&self, name: &str) -> bool {
        let waiting = self.templates.get(name);
        waiting.is_some_and(|waiting| waiting.template.zygote.is_some() && waiting.lost_zygotes < PATIENCE)
    }

    /// The zygote of a template has ended; answers whether there will be another.
    pub(super) fn loses_zygote(&mut self, name: &str) -> bool {
        if let Some(waiting) = self.templates.get_mut(name) {
            waiting.lost_zygotes += 1;
        }
        self.wants_zygote(name)
    }

    /// The program of a template is being started in a sandbox.
    pub(super) fn starts(&mut self, name: &str, sandbox: u64) {
        if let Some(waiting) = self.templates.get_mut(name) {
            waiting.starting.push(sandbox);
        }
    }

    /// The program in a sandbox waits.
    pub(super) fn is_ready(&mut self, sandbox: u64) {
        for waiting in self.templates.values_mut() {
            if let Some(place) = waiting.starting.iter().position(|starting| *starting == sandbox) {
                waiting.starting.swap_remove(place);
                waiting.ready.push_back(sandbox);
                waiting.failures = 0;
            }
        }
    }

    /// A sandbox where the program of a template waits.
    pub(super) fn take(&mut self, name: &str) -> Option<u64> {
        self.templates.get_mut(name)?.ready.pop_front()
    }

    /// A sandbox has ended, whichever it is; answers the template that is given up because of it.
    pub(super) fn ended(&mut self, sandbox: u64) -> Option<&str> {
        let mut given_up = None;
        for (name, waiting) in &mut self.templates {
            waiting.ready.retain(|ready| *ready != sandbox);
            if let Some(place) = waiting.starting.iter().position(|starting| *starting == sandbox) {
                waiting.starting.swap_remove(place);
                waiting.failures += 1;
                if waiting.failures == PATIENCE {
                    given_up = Some(name.as_str());
                }
            }
        }
        given_up
    }

    /// Forgets all waiting programs; answers their sandboxes.
    pub(super) fn drop_all(&mut self) -> Vec<u64> {
        let forgotten = self.templates.values_mut().flat_map(|waiting| {
            std::mem::take(&mut waiting.starting).into_iter().chain(std::mem::take(&mut waiting.ready))
        });
        forgotten.collect()
    }
}

impl Waiting {
    fn sandboxes(self) -> impl Iterator<Item = u64> {
        self.starting.into_iter().chain(self.ready)
    }
}

fn is_same(old: &Prepared, new: &Prepared) -> bool {
    let (before, after) = (&old.program, &new.program);
    let zygotes = (&old.zygote, &new.zygote);
    let is_same_zygote = match zygotes {
        (Some(old), Some(new)) => old.arguments == new.arguments && old.environment == new.environment,
        (None, None) => true,
        _ => false,
    };
    is_same_zygote
        && old.mounts == new.mounts
        && before.arguments == after.arguments
        && before.environment == after.environment
        && before.working_directory == after.working_directory
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Program;

    fn template(name: &str, count: usize) -> Prepared {
        let program = Program {
            working_directory: c"/".to_owned(),
            processes: 1,
            keeps_orders: true,
            arguments: vec![c"/bin/cat".to_owned()],
            environment: Vec::new(),
        };
        Prepared { name: name.into(), count, mounts: Vec::new(), program, zygote: None }
    }

    #[test]
    fn programs_are_started_one_at_a_time_up_to_their_count() {
        let mut templates = Templates::default();
        templates.replace(vec![template("a", 2)]);
        for sandbox in [1, 2] {
            assert_eq!(templates.lacking().as_deref(), Some("a"));
            templates.starts("a", sandbox);
            assert_eq!(templates.lacking(), None);
            assert_eq!(templates.take("a"), (sandbox == 2).then_some(1));
            templates.is_ready(sandbox);
        }
        assert_eq!(templates.lacking().as_deref(), Some("a"));
        assert_eq!(templates.take("a"), Some(2));
        assert_eq!(templates.take("a"), None);
    }

    #[test]
    fn a_program_that_never_gets_ready_is_given_up() {
        let mut templates = Templates::default();
        templates.replace(vec![template("a", 1)]);
        for sandbox in 1..=3 {
            assert_eq!(templates.lacking().as_deref(), Some("a"));
            templates.starts("a", sandbox);
            assert_eq!(templates.ended(sandbox), (sandbox == 3).then_some("a"));
        }
        assert_eq!(templates.lacking(), None);
    }

    #[test]
    fn other_templates_free_what_they_do_not_use() {
        let mut templates = Templates::default();
        templates.replace(vec![template("a", 2), template("b", 1)]);
        for (name, sandbox) in [("a", 1), ("a", 2), ("b", 3)] {
            templates.starts(name, sandbox);
            templates.is_ready(sandbox);
        }
        assert_eq!(templates.replace(vec![template("a", 1)]), [3, 2]);
        assert_eq!(templates.take("a"), Some(1));
        assert_eq!(templates.drop_all(), []);
    }
}
