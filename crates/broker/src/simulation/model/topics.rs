//! What is known of the topics of one name, one after the other.

use uuid::Uuid;

use super::{Checked, Incarnation, Violation, must};

#[derive(Debug)]
pub(in crate::simulation) struct TopicModel {
    pub(in crate::simulation) name: &'static str,
    /// The one that clients use.
    pub(in crate::simulation) present: Option<Incarnation>,
    /// Begun to be made or deleted, and nobody was told how it ended.
    maybe: Vec<Incarnation>,
    /// Ids of those that were seen.
    ids: Vec<(Incarnation, Uuid)>,
}

impl TopicModel {
    pub(in crate::simulation) fn new(name: &'static str) -> TopicModel {
        TopicModel {
            name,
            present: None,
            maybe: Vec::new(),
            ids: Vec::new(),
        }
    }

    pub(in crate::simulation) fn begin_creation(&mut self, incarnation: Incarnation) {
        self.maybe.push(incarnation);
    }

    pub(in crate::simulation) fn created(&mut self, incarnation: Incarnation, id: Uuid) {
        self.maybe.clear();
        self.ids.push((incarnation, id));
        self.present = Some(incarnation);
    }

    pub(in crate::simulation) fn begin_deletion(&mut self) {
        self.maybe.extend(self.present.take());
    }

    pub(in crate::simulation) fn deleted(&mut self, incarnation: Incarnation) {
        self.maybe.retain(|maybe| *maybe != incarnation);
    }

    pub(in crate::simulation) fn was_ever(&self, incarnation: Incarnation) -> bool {
        self.present == Some(incarnation)
            || self.maybe.contains(&incarnation)
            || self.ids.iter().any(|(known, _)| *known == incarnation)
    }

    /// Which one an id is of, if it was seen.
    pub(in crate::simulation) fn of_id(&self, id: Uuid) -> Option<Incarnation> {
        let known = self.ids.iter().find(|(_, known)| *known == id);
        known.map(|(incarnation, _)| *incarnation)
    }

    /// After a start, the broker has this topic, or none.
    pub(in crate::simulation) fn found(&mut self, id: Option<Uuid>) -> Checked {
        let Some(id) = id else {
            return must(self.present.is_none(), || {
                format!("topic {} is gone", self.name)
            });
        };
        let known = self.ids.iter().find(|(_, known)| *known == id);
        let incarnation = match known {
            Some((incarnation, _)) => *incarnation,
            None => {
                let unseen = self
                    .maybe
                    .iter()
                    .rev()
                    .find(|maybe| self.ids.iter().all(|(seen, _)| seen != *maybe));
                let unseen = *unseen.ok_or_else(|| {
                    Violation(format!("nobody made the topic {} that is there", self.name))
                })?;
                self.ids.push((unseen, id));
                unseen
            }
        };
        let may_be = self.present == Some(incarnation)
            || self.present.is_none() && self.maybe.contains(&incarnation);
        must(may_be, || {
            format!("topic {} is one that was deleted", self.name)
        })?;
        self.maybe.retain(|maybe| *maybe != incarnation);
        self.present = Some(incarnation);
        Ok(())
    }
}
